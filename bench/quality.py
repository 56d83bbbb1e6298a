"""How many faces of a folder of photos each level of QualityFilter passes, and why it refuses the others.

python bench/quality.py --photos FOLDER [--photos FOLDER ...] [--most 100]
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from countenance.errors import AwsError
from countenance.operations.photos import BARS
from countenance.vision import Vision, images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--photos", type=Path, action="append", required=True)
    parser.add_argument("--most", type=int, default=100, help="photos of a folder, evenly spread")
    arguments = parser.parse_args()
    vision = Vision.load()
    table = Table("folder", "level", "faces", "passed", "refused for")
    for folder in arguments.photos:
        paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png"})
        reasons: dict[str, Counter[str]] = {level: Counter() for level in BARS}
        passed: Counter[str] = Counter()
        faces = 0
        for path in track(paths[:: max(1, len(paths) // arguments.most)], folder.name):
            try:
                image = images.decode(path.read_bytes())
            except AwsError:
                continue
            found = vision.detect(image)
            faces += len(found)
            for face, description in zip(found, vision.describe(image, found), strict=True):
                for level, bar in BARS.items():
                    why = bar.reasons(image, face, description) if bar else ()
                    passed[level] += not why
                    reasons[level].update(why)
        for level in ("LOW", "MEDIUM", "HIGH"):
            why = ", ".join(f"{reason} {count}" for reason, count in reasons[level].most_common())
            table.add_row(folder.name, level, str(faces), f"{passed[level] / max(faces, 1):.0%}", why)
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
