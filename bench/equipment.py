"""How many people of street photos DetectProtectiveEquipment tells, and how often it is right on masks.

    python bench/equipment.py --data FOLDER      (the folder that holds `facemask`)

A labelled face counts as told where a told person's face overlaps it by .4 or more (intersection over union).
Faces whose mask sits wrong are left out. The head that tells masks was fitted on half of these photos' faces;
`countenance bench attributes` measures it on the other half. Here it is the whole way that is looked at.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

from countenance.audit import sets
from countenance.operations import equipment
from countenance.types import Box
from countenance.vision import Vision, images

NEAR = 0.4


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--most", type=int, default=150)
    asked = arguments.parse_args()
    vision = Vision.load(threads=1)
    counts, told, people, faceless, seconds = Counter[tuple[bool, str]](), 0, 0, 0, 0.0
    faces: dict[Path, list[sets.Photo]] = {}
    for face in sets.masks(asked.data):
        faces.setdefault(face.path, []).append(face)
    for path, labelled in list(faces.items())[: asked.most]:
        image = images.decode(path.read_bytes())
        began = time.process_time()
        found = equipment.look(image, vision)
        seconds += time.process_time() - began
        people += len(found)
        faceless += sum(person.face is None for person in found)
        for face in labelled:
            assert face.box is not None
            counts[face.marks["mask"], verdict(face.box, found)] += 1
            told += 1
    looked = min(len(faces), asked.most)
    print(f"{looked} photos, {told} labelled faces; {people} people told, {faceless} of them without a face")
    for masked in (True, False):
        every = sum(count for (kind, _), count in counts.items() if kind is masked)
        shares = {word: counts[masked, word] for word in ("mask", "no mask", "undecided", "not told")}
        words = ", ".join(f"{word} {count}" for word, count in shares.items())
        print(f"{'masked' if masked else 'unmasked'}: {every}; {words}")
    print(f"{1000 * seconds / looked:.0f} ms of processor time a photo")


def verdict(box: Box, people: list[equipment.Person]) -> str:
    """What is said of a labelled face."""
    of = [person for person in people if person.face is not None and person.face.box.overlap(box) >= NEAR]
    if not of:
        return "not told"
    worn = of[0].worn(equipment.LEAST)
    return "undecided" if worn is None else "mask" if worn else "no mask"


if __name__ == "__main__":
    main()
