"""One contestant of bench/peers.py, in a process of its own so that each has its own environment.

    python contestant.py NAME CORES AT_ONCE     (CORES: numbers with commas between)

Says "ready" when its models are loaded. Then each line it reads is the path of a photo, and each line it
writes is `FACES CPU`: the faces it found and embedded in that photo, and the processor seconds that the
whole process has used so far. AT_ONCE photos are looked at together. It ends with its input.
"""

# ruff: noqa: PLC0415 - each library is imported where it is installed
from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

Recipe = Callable[[str], int]


def countenance() -> Recipe:
    """The library's own senses: what IndexFaces and SearchFacesByImage run, without door and wire."""
    from countenance.vision import Vision, images

    vision = Vision.load(threads=len(os.sched_getaffinity(0)))

    def look(path: str) -> int:
        image = images.decode(Path(path).read_bytes())
        return len(vision.embed(image, vision.detect(image)))

    return look


def deepface() -> Recipe:
    """deepface's documented call, with the weights that peers.py put where deepface looks for them."""
    from deepface import DeepFace

    def look(path: str) -> int:
        try:
            return len(DeepFace.represent(path, model_name="SFace", detector_backend="yunet"))
        except ValueError as fault:
            if "could not be detected" not in str(fault):
                raise
            return 0

    return look


def face_recognition() -> Recipe:
    """The documented way: dlib's HOG detector, then its ResNet."""
    import face_recognition as dlib

    def look(path: str) -> int:
        pixels = dlib.load_image_file(path)
        return len(dlib.face_encodings(pixels, dlib.face_locations(pixels)))

    return look


RECIPES: dict[str, Callable[[], Recipe]] = {
    "countenance": countenance,
    "deepface": deepface,
    "face_recognition": face_recognition,
}


def main(name: str, cores: str, at_once: str) -> None:
    # Before any library is imported: each sizes its threads by the cores it sees.
    os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    # Libraries print to stdout; the answers go through a copy that they do not know.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    recipe = RECIPES[name]()
    writing = threading.Lock()

    def answer(path: str) -> None:
        faces = recipe(path)
        with writing:
            print(faces, time.process_time(), file=answers)

    def watch(look: Future[None]) -> None:
        if fault := look.exception():
            traceback.print_exception(fault)
            os._exit(1)  # peers.py sees the pipe end, rather than wait for an answer

    print("ready", file=answers)
    with ThreadPoolExecutor(int(at_once)) as pool:
        for line in sys.stdin:
            pool.submit(answer, line.rstrip("\n")).add_done_callback(watch)


if __name__ == "__main__":
    main(*sys.argv[1:])
