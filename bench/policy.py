"""What a decision costs with every pack that ships in force, and the atlas of a day.

    python bench/policy.py [--rounds 5] [--calls 400]

A decision is one `Policy.decide_all`, as the door asks it for a call: facts to the engine's JSON, the engine,
the refusal's words. Callers and collections take turns, so that what is kept between calls helps as it does
in a server. Each round times every call; the table gives the median of the rounds' medians, with the least
and the most, and the 99th percentile over all calls. Loading the packs, without their tests, is told apart.
"""

from __future__ import annotations

import argparse
import datetime as dt
import statistics
import time
from collections.abc import Mapping, Sequence

from countenance.policy import Policy, Question, cases, pack
from countenance.policy.atlas import Atlas
from countenance.types import Action, Attribute

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)

ALL = {"actions": ["detect", "describe", "infer"], "attributes": list(Attribute), "collection": "none"}
SEARCH = {"actions": ["identify"]}
ORDINARY = {"kind": "business", "place": "US-CA", "purpose": "photo-library"}
POLICE = {"kind": "police", "place": "US-CA-SF", "purpose": "criminal-investigation"}

CALLS: Mapping[str, Mapping[str, object]] = {
    "search, allowed": {**ORDINARY, **SEARCH},
    "search by police, refused by six rules": {**POLICE, **SEARCH},
    "search on behalf of police, refused": {
        **ORDINARY,
        **SEARCH,
        "on-behalf-of": {"kind": "police", "place": "US-CA-SF"},
    },
    "DetectFaces ALL (three actions)": {**ORDINARY, **ALL},
    "DetectFaces ALL by police, refused": {**POLICE, **ALL},
    "DetectFaces ALL at work in the EU, refused": {
        "kind": "business",
        "place": "DE",
        "purpose": "workplace",
        **ALL,
    },
}


def timed(policy: Policy, questions: Sequence[Question]) -> float:
    """Milliseconds of one decision."""
    began = time.perf_counter()
    policy.decide_all(questions)
    return 1000 * (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=400, help="of each sort in a round")
    options = parser.parse_args()
    began = time.perf_counter()
    policy = Policy.read([name for name in pack.shipped() if name != "microsoft-2022-attributes"])
    loading = time.perf_counter() - began
    print(f"{len(policy.packs)} packs, {len(policy.rules)} rules, read in {loading:.2f} s\n")
    asked = {name: cases.questions({"now": NOW, **lines}) for name, lines in CALLS.items()}
    medians: dict[str, list[float]] = {name: [] for name in asked}
    every: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(options.rounds):
        taken: dict[str, list[float]] = {name: [] for name in asked}
        for _ in range(options.calls):
            for name, questions in asked.items():
                taken[name].append(timed(policy, questions))
        for name, times in taken.items():
            medians[name].append(statistics.median(times))
            every[name] += times
    print("| decision | median ms | of rounds | p99 ms |\n|---|---|---|---|")
    for name, middle in medians.items():
        last = statistics.quantiles(every[name], n=100)[-1]
        spread = f"{min(middle):.2f} to {max(middle):.2f}"
        print(f"| {name} | {statistics.median(middle):.2f} | {spread} | {last:.2f} |")
    atlas, began = Atlas(policy, NOW.date()), time.perf_counter()
    cells = sum(1 for action in Action for _ in atlas.cells((action,)))
    dead = atlas.dead()
    print(
        f"\nThe atlas of {NOW.date()}: {cells} cells in {time.perf_counter() - began:.1f} s, "
        f"{atlas.tally.errors} engine errors, {len(dead)} of {len(atlas.rules)} rules in force dead."
    )


if __name__ == "__main__":
    main()
