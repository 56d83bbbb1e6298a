"""What DetectLabels finds, on COCO and on scenes: the tables of docs/numbers-labels.md.

    python bench/labels.py --data DIR [--only coco|scenes|people|speed]

`coco`: mean average precision at an overlap of a half, of our boxes and of the plain recipe of the same
network (no second box of a thing left out, scores as they come), in one run; and of the labels of whole
pictures at Rekognition's default Confidence, COCO's eighty kinds alone, whoever of the two networks named
them. Nothing was fitted on these photographs; but the network was trained on COCO's training part, of which
they are some.
`scenes`: every second photograph of each folder, half B: whether the folder's place is among the first five
labels. Calibration error: how far Confidence lies from how often it is right, by bins of equal size.
`people`: how many portraits of people are given the label of an animal, by the groups that the sets name.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from countenance.types import Box, Image
from countenance.vision import Vision, centernet, images, zoo
from countenance.vision.centernet import CLASSES, SIDE, CenterNet
from countenance.vision.colours import Painted
from countenance.vision.labels import kinds
from countenance.vision.runtime import Session
from countenance.vision.taxonomy import taxonomy

PLACES = {
    "buildings": "Building",
    "forest": "Forest",
    "glacier": "Glacier",
    "mountain": "Mountain",
    "sea": "Sea",
    "street": "Street",
}
Found = tuple[str, Box, float]
"""A kind of thing, where, and how sure."""


def photographs(folder: Path) -> Iterator[tuple[Path, Image]]:
    limits = images.Limits(smallest=30)
    for path in sorted(folder.rglob("*.jpg")):
        yield path, images.decode(path.read_bytes(), limits=limits)


def truth(path: Path) -> list[tuple[str, Box]] | None:
    """COCO's boxes of a photograph; None where the set has none for it."""
    labels = path.parent.parent / "labels" / f"{path.stem}.txt"
    if not labels.exists():
        return None
    rows = [[float(word) for word in line.split()] for line in labels.read_text().splitlines()]
    return [(CLASSES[int(k)], Box(x - w / 2, y - h / 2, w, h)) for k, x, y, w, h in rows]


def plain(card: zoo.Card) -> Callable[[Image], list[Found]]:
    """The network as its makers run it: resize, peaks of the map, boxes."""
    session = Session("plain recipe", lambda: zoo.load(card), 1)

    def find(image: Image) -> list[Found]:
        small = cv2.resize(image.pixels, (SIDE, SIDE))
        edges, peaks = session.run(small[None].astype(np.float32))
        boxes, scores, numbers = centernet.decode(edges[0], peaks[0], 0.0)
        rows = zip(boxes.tolist(), scores.tolist(), numbers.tolist(), strict=True)
        return [(CLASSES[k], Box(a, b, c - a, d - b), s) for (a, b, c, d), s, k in rows]

    return find


def average_precision(found: Sequence[tuple[float, bool]], there: int) -> float:
    """Area under precision over recall, precision made to fall only (COCO's, at every point)."""
    if not found:
        return 0.0
    hits = np.array([hit for _, hit in sorted(found, reverse=True)], float)
    true = np.cumsum(hits)
    precision, recall = true / np.arange(1, len(hits) + 1), true / there
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * falling).sum())


def mean_average_precision(
    pictures: Sequence[tuple[list[tuple[str, Box]], list[Found]]], overlap: float = 0.5
) -> float:
    """Over the kinds that are there. A thing is found once; a second box of it is wrong."""
    there: Counter[str] = Counter()
    rows: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    for things, found in pictures:
        there.update(kind for kind, _ in things)
        taken: set[int] = set()
        for kind, box, score in sorted(found, key=lambda each: -each[2]):
            fits = [
                (box.overlap(other), number)
                for number, (of, other) in enumerate(things)
                if of == kind and number not in taken
            ]
            best, number = max(fits, default=(0.0, -1))
            if best >= overlap:
                taken.add(number)
            rows[kind].append((score, best >= overlap))
    return float(np.mean([average_precision(rows[kind], there[kind]) for kind in there]))


def calibration_error(told: Sequence[tuple[float, bool]], bins: int = 10) -> float:
    """Mean distance of probability and share that was right, over bins of equal size."""
    ordered = sorted(told)
    parts = [part for part in np.array_split(np.arange(len(ordered)), bins) if len(part)]
    gaps = [
        len(part)
        * abs(np.mean([ordered[i][0] for i in part]) - np.mean([float(ordered[i][1]) for i in part]))
        for part in parts
    ]
    return float(sum(gaps) / len(ordered))


def coco(vision: Vision, data: Path) -> None:
    finder = CenterNet(zoo.card("centernet-mobilenetv3"), 1)
    recipe = plain(finder.card)
    named = {label: kind for kind, label in kinds().items()}
    ours, theirs, told, boxes = [], [], [], []
    right = said = there = 0
    for path, image in photographs(data / "coco" / "images"):
        if (things := truth(path)) is None:
            continue
        labels = vision.label(image)
        found = [(named[each.name], one.box, one.confidence) for each in labels for one in each.instances]
        ours.append((things, found))
        theirs.append((things, recipe(image)))
        kept = {kind for kind, _ in things}
        mine = {named[each.name]: each.confidence for each in labels if each.name in named}
        told += [(mine[kind] / 100, kind in kept) for kind in mine]
        sure = {kind for kind, confidence in mine.items() if confidence >= 55}
        right, said, there = right + len(sure & kept), said + len(sure), there + len(kept)
        boxes += _judged(things, found)
    print(f"coco: {len(ours)} photographs with labels")
    print(f"  mAP50, ours                      {mean_average_precision(ours):.4f}")
    print(f"  mAP50, the plain recipe          {mean_average_precision(theirs):.4f}")
    print(f"  labels from Confidence 55        precision {right / said:.3f}, recall {right / there:.3f}")
    print(f"                                   ({right} right of {said} told; {there} there)")
    print(f"  calibration error of labels      {calibration_error(told):.3f} ({len(told)} told at all)")
    upper = [each for each in told if each[0] >= 0.3]
    print(f"  the same from Confidence 30 on   {calibration_error(upper):.3f} ({len(upper)})")
    print(f"  calibration error of instances   {calibration_error(boxes):.3f} ({len(boxes)})")


def _judged(things: list[tuple[str, Box]], found: list[Found]) -> list[tuple[float, bool]]:
    """Each instance's probability, and whether it holds a thing of its kind: an overlap of .3 or more."""
    return [
        (confidence / 100, any(of == kind and box.overlap(other) >= 0.3 for of, other in things))
        for kind, box, confidence in found
    ]


def scenes(vision: Vision, data: Path) -> None:
    first: dict[str, list[bool]] = defaultdict(list)
    sure: dict[str, list[bool]] = defaultdict(list)
    told: list[tuple[float, bool]] = []
    alike = {("street", "Building"), ("glacier", "Mountain"), ("buildings", "Street")}
    for folder, place in PLACES.items():
        for _, image in list(photographs(data / "scenes" / folder))[1::2]:
            labels = vision.label(image)
            first[folder].append(place in {each.name for each in labels[:5]})
            chance = {each.name: each.confidence / 100 for each in labels}
            sure[folder].append(
                place in {each.name for each in labels if each.confidence >= 55},
            )
            told += [
                (chance.get(other, 0.0), other == place)
                for kind, other in PLACES.items()
                if (folder, other) not in alike
            ]
    print(f"scenes, half B: {sum(map(len, first.values()))} photographs")
    for folder in PLACES:
        five, likely = np.mean(first[folder]), np.mean(sure[folder])
        print(f"  {folder:<10} among the first five {five:.2f}, from Confidence 55 {likely:.2f}")
    every = [hit for hits in first.values() for hit in hits]
    some = [hit for hits in sure.values() for hit in hits]
    print(f"  all        among the first five {np.mean(every):.3f}, from Confidence 55 {np.mean(some):.3f}")
    print(f"  calibration error                {calibration_error(told):.3f} ({len(told)} places asked of)")


def people(vision: Vision, data: Path) -> None:
    """Faces that are given any animal's label, of each group the sample is the same in every run."""
    print("people: portraits given an animal's label    n   from 20   from 55   the worst")
    for group, paths in _portraits(data).items():
        worst: list[tuple[float, str]] = []
        for path in paths:
            image = images.decode(path.read_bytes(), limits=images.Limits(smallest=30))
            animals = [
                (each.confidence, each.name)
                for each in vision.label(image)
                if "Animal" in taxonomy().lineages[each.name]
            ]
            worst.append(max(animals, default=(0.0, "none")))
        some, likely = (sum(confidence >= least for confidence, _ in worst) for least in (20, 55))
        top, name = max(worst)
        print(f"  {group:<40} {len(paths):>5} {some:>9} {likely:>9}   {name} {top:.1f}")


def _portraits(data: Path) -> dict[str, list[Path]]:
    """By set and group: utkface sixty a group, fairface all, lfw a hundred people."""
    groups: dict[str, list[Path]] = {}
    races = ("White", "Black", "Asian", "Indian", "other")
    for number, race in enumerate(races):
        every = sorted((data / "utkface").glob(f"*_*_{number}_*.jpg"))
        groups[f"utkface, {race}"] = every[:: len(every) // 60][:60]  # of all ages: names begin with them
    with (data / "fairface" / "labels.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            path = data / "fairface" / "images" / row["file"]
            groups.setdefault(f"fairface, {row['race']}", []).append(path)
    persons = sorted((data / "lfw" / "images").iterdir())[::10][:100]
    groups["lfw"] = [min(person.glob("*.jpg")) for person in persons]
    return groups


def speed(vision: Vision, data: Path) -> None:
    """Processor time of everything beyond decoding, one thread: of ten rounds the least, of ten photos the
    middle."""
    taken = []
    for _, image in list(photographs(data / "coco" / "images"))[:10]:
        rounds = []
        for _ in range(10):
            start = time.thread_time()
            labels = vision.label(image)
            boxes = [one.box for each in labels for one in each.instances if one.confidence >= 55]
            Painted(image).looks(boxes)
            rounds.append(time.thread_time() - start)
        taken.append(min(rounds))
    middle = 1000 * float(np.median(taken))
    print(f"speed: {middle:.0f} ms of processor time a photograph, labels and properties")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", choices=["coco", "scenes", "people", "speed"])
    chosen = parser.parse_args()
    vision = Vision.load(threads=1)
    for name, part in {"coco": coco, "scenes": scenes, "people": people, "speed": speed}.items():
        if chosen.only in {None, name}:
            part(vision, chosen.data)


if __name__ == "__main__":
    main()
