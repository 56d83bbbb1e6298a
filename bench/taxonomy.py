"""Whether the parents of taxonomy.toml are WordNet's: prints every one that is not, and fails.

    apt install wordnet-base
    python bench/taxonomy.py [--dict /usr/share/wordnet]

Every parent of a label must be among what WordNet 3.0 has above its synset, but for the exceptions below.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from countenance.vision.taxonomy import Entry, taxonomy

SKIPPED = {
    "Donut": "WordNet has it under cake, which is a kind of the detector's of its own",
    "Hot Dog": "WordNet has it under sandwich, likewise",
    "Home Theater": "WordNet has it under building",
    "Stop Sign": "WordNet has no word for it",
}
"""Labels whose parents are ours, and why."""

ALSO_MEANT = {"n00021265": "Food"}
"""Second meanings of a label: food that nourishes, beside solid food."""


def hypernyms(folder: Path) -> Mapping[str, tuple[str, ...]]:
    """Of each noun's synset, those right above it (wndb(5WN): data.noun)."""
    above = {}
    with (folder / "data.noun").open(encoding="latin-1") as file:
        for line in file:
            if line.startswith("  "):
                continue
            words = line.split(" | ")[0].split()
            start = 4 + 2 * int(words[3], 16)
            pointers = [words[start + 1 + 4 * n : start + 5 + 4 * n] for n in range(int(words[start]))]
            higher = [f"n{at}" for kind, at, part, _ in pointers if kind[0] == "@" and part == "n"]
            above[f"n{words[0]}"] = tuple(higher)
    return above


def ancestors(synset: str, above: Mapping[str, tuple[str, ...]]) -> set[str]:
    found: set[str] = set()
    waiting = [synset]
    while waiting:
        for each in above[waiting.pop()]:
            if each not in found:
                found.add(each)
                waiting.append(each)
    return found


def wrong(entry: Entry, above: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The parents that WordNet does not have above a label."""
    names = {each.synset: each.name for each in taxonomy().entries.values() if each.synset} | ALSO_MEANT
    higher = {names[each] for each in ancestors(entry.synset, above) if each in names}
    return [each for each in entry.parents if each not in higher]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dict", type=Path, default=Path("/usr/share/wordnet"))
    above = hypernyms(parser.parse_args().dict)
    entries = [each for each in taxonomy().entries.values() if each.name not in SKIPPED]
    faults = {each.name: each.synset for each in entries if each.synset not in above}
    odd = {each.name: wrong(each, above) for each in entries if each.name not in faults}
    odd = {name: parents for name, parents in odd.items() if parents}
    print(f"{len(entries)} labels, {sum(len(each.parents) for each in entries)} parents")
    for name, told in {**faults, **odd}.items():
        print(f"  {name}: {told}")
    if faults or odd:
        sys.exit(1)


if __name__ == "__main__":
    main()
