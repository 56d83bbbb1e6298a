"""How often DetectModerationLabels calls a harmless photo explicit, and what a look costs.

    countenance models pull moderation
    python bench/moderation.py --photos FOLDER... [--most 600]

Each FOLDER is a set without unsafe pictures. Of larger sets `--most` are drawn, the same each time. There
is no set of unsafe pictures here, so how many of those are found is not measured. One thread, processor time.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

from countenance.errors import AwsError
from countenance.vision import Vision, images
from countenance.vision.nsfw import EXPLICIT

KINDS = {".jpg", ".jpeg", ".png"}
FROM = (20, 50, 80, 95)
TINY = images.Limits(smallest=1)
"""Sets of small pictures are measured too, though the API refuses what is under 80 pixels."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--photos", nargs="+", type=Path, required=True)
    arguments.add_argument("--most", type=int, default=600)
    arguments.add_argument("--show", type=float, default=101, help="name photos from this confidence on")
    asked = arguments.parse_args()
    vision = Vision.load(threads=1)
    for folder in asked.photos:
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in KINDS)
        if len(paths) > asked.most:
            paths = random.Random(8).sample(paths, asked.most)
        told, seconds = [], 0.0
        for path in paths:
            try:
                image = images.decode(path.read_bytes(), limits=TINY)
            except AwsError as fault:
                print(f"{path.name}: {fault}")
                continue
            began = time.process_time()
            told.append(vision.moderate(image)[EXPLICIT])
            seconds += time.process_time() - began
            if told[-1] >= asked.show:
                print(f"  {path}: {told[-1]:.1f}")
        counts = "  ".join(f">= {least}: {sum(each >= least for each in told)}" for least in FROM)
        print(
            f"{folder.name:12} {len(told):5} photos  {counts}  highest {max(told):.1f}"
            f"  {1000 * seconds / len(told):.1f} ms a photo",
            flush=True,
        )


if __name__ == "__main__":
    main()
