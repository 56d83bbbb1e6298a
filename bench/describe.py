"""What a whole answer to Attributes=["ALL"] costs for one face, beside its networks' bare inferences.

    python bench/describe.py [--photo FILE] [--rounds 60]

One thread. First the arrays that every network is handed for this photo are written down; then rounds take
turns between the whole answer and those inferences alone, so that whatever else the machine does meets both.
Bare means infer() on a tensor that is already filled: no decoding, no cutting of faces, no copies.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from countenance.types import Attribute
from countenance.vision import Vision, images
from countenance.vision.runtime import Session

Inference = tuple[Session, np.ndarray]


@contextmanager
def written_down() -> Iterator[list[Inference]]:
    """The inferences that run inside, in order."""
    seen: list[Inference] = []
    plain = Session.run

    def run(session: Session, array: Any) -> Any:
        seen.append((session, np.array(array)))
        return plain(session, array)

    Session.run = run  # type: ignore[method-assign]
    try:
        yield seen
    finally:
        Session.run = plain  # type: ignore[method-assign]


def bare(inferences: list[Inference]) -> list[float]:
    """Milliseconds of each, the tensor filled before the clock starts."""
    times = []
    for session, array in inferences:
        requests = session._requests(array.shape)  # noqa: SLF001
        request = requests.get()
        request.input_tensors[0].data[...] = array
        start = time.perf_counter()
        request.infer(share_outputs=True)
        times.append(1000 * (time.perf_counter() - start))
        requests.put(request)
    return times


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start)


def spread(values: list[float]) -> str:
    low, middle, high = np.percentile(values, (10, 50, 90))
    return f"{middle:7.2f} [{low:.2f}, {high:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    hopper = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    parser.add_argument("--photo", type=Path, default=hopper)
    parser.add_argument("--rounds", type=int, default=60)
    arguments = parser.parse_args()
    vision = Vision.load(threads=1)
    image = images.decode(arguments.photo.read_bytes())
    faces = vision.detect(image)[:1]
    with written_down() as found:
        vision.detect(image)
    with written_down() as described:
        vision.describe(image, faces, Attribute)
    rounds: dict[str, list[float]] = {"detect": [], "describe": [], "bare detect": [], "bare describe": []}
    each: list[list[float]] = []
    for _ in range(arguments.rounds):
        rounds["detect"].append(timed(lambda: vision.detect(image)))
        rounds["bare detect"].append(sum(bare(found)))
        rounds["describe"].append(timed(lambda: vision.describe(image, faces, Attribute)))
        each.append(bare(described))
        rounds["bare describe"].append(sum(each[-1]))
    print("milliseconds, median [10 %, 90 %] of", arguments.rounds, "rounds; one face, one thread")
    for (session, array), times in zip(described, zip(*each, strict=True), strict=True):
        print(f"  {session._name:28} {array.shape!s:20} {spread(list(times))}")  # noqa: SLF001
    for name, values in rounds.items():
        print(f"{name:30} {'':20} {spread(values)}")
    offered = ", ".join(sorted(vision.describer.offered))
    print(f"the answer: pose, quality, thirty points, {offered or 'no attribute'}")
    told = ratios(rounds["describe"], rounds["bare describe"])
    print(f"describe over its bare inferences: {told}")
    whole = [a + b for a, b in zip(rounds["detect"], rounds["describe"], strict=True)]
    alone = [a + b for a, b in zip(rounds["bare detect"], rounds["bare describe"], strict=True)]
    print(f"with detection, over all of theirs: {ratios(whole, alone)} (asked: at most 1.3)")
    once = {
        session: statistics.median(times)
        for (session, _), times in zip(described, zip(*each, strict=True), strict=True)
    }
    ours = statistics.median(rounds["describe"])
    print(f"describe over each of its networks counted once: {ours / sum(once.values()):.2f}")


def ratios(ours: list[float], theirs: list[float]) -> str:
    """Of each round, so that a slow round is slow for both."""
    return spread([a / b for a, b in zip(ours, theirs, strict=True)]).strip()


if __name__ == "__main__":
    main()
