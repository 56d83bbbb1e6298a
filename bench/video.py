"""How fast stored video is looked at, and beside deepface's loop over the same frames.

    python bench/video.py [--clips FOLDER] [--seconds 20] [--rounds 3] [--peer ENVIRONMENT/bin/python]

Clips are scaled and looped to the length asked for. FOLDER holds `one.mp4` and `crowd.mp4` or any links of
those names: one face, and a street in 1080p. Without a folder they are made of two public-domain portraits.
`--peer`: the environment that bench/README.md sets up; deepface gets our weights as peers.py leaves them in
build/. Its loop is what its users write: OpenCV's frames, those we look at too, each through represent().

    python bench/video.py --hours 1 [--samples 5]

What this process holds while it follows one face for so long, every ten minutes of the clip, and no speeds.
"""

# ruff: noqa: PLC0415 - the peer's process has deepface and not Countenance
from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BUILD = Path(__file__).resolve().parent.parent / "build"
RATE = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--hours", type=float)
    parser.add_argument("--samples", type=float, default=RATE)
    parser.add_argument("--as-peer", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.as_peer:
        loop_of_deepface(asked.as_peer)
        return
    with tempfile.TemporaryDirectory() as folder:
        if asked.hours:
            memory(Path(folder) / "long.mp4", asked.hours, asked.samples)
            return
        made = clips(Path(folder), asked.clips, asked.seconds)
        measure(made, asked)


def measure(made: dict[str, Path], asked: argparse.Namespace) -> None:
    from countenance.types import Attribute
    from countenance.vision import Vision

    vision = Vision.load()
    shown = {Attribute.EMOTIONS, Attribute.SMILE, Attribute.MOUTH_OPEN}
    whole = shown | {Attribute.AGE_RANGE, Attribute.GENDER}
    least = vision.calibration().cosine(80.0)
    work: dict[str, tuple[str, Callable[[Any], int], float]] = {
        "timeline, 720p, one face": ("one", timeline(vision, whole, least), 3),
        "timeline, 720p, three faces": ("three", timeline(vision, whole, least), 1),
        "faces found, 1080p": ("crowd", found(vision), 4),
    }
    print(f"{asked.seconds} s of each clip, {RATE} samples a second, {os.cpu_count()} cores")
    print(f"{'':30} {'times real time':>22} {'asked':>6} {'cpu s/s':>8} {'wall/models':>12} {'faces':>6}")
    for name, (clip, task, goal) in work.items():
        run(task, made[clip])  # loads the models
        rounds = [run(task, made[clip]) for _ in range(asked.rounds)]
        speeds = [asked.seconds / each["wall"] for each in rounds]
        costs = statistics.median(each["cpu"] for each in rounds) / asked.seconds
        overlap = statistics.median(each["wall"] / each["models"] for each in rounds)
        faces = rounds[0]["faces"]
        print(f"{name:30} {spread(speeds):>22} {goal:>6} {costs:>8.2f} {overlap:>12.2f} {faces:>6.0f}")
    print(f"largest so far in memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    if asked.peer:
        beside(asked, made["one"], embedding(vision, least))


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def timeline(vision: Any, asked: Any, least: float) -> Callable[[Any], int]:
    from countenance.vision.timeline import timeline as of
    from countenance.vision.watching import watch

    def task(clip: Any) -> int:
        watched = watch(vision, clip, asked, rate=RATE, least=least)
        return sum(len(of(person, watched.step_ms).moments) for person in watched.people)

    return task


def found(vision: Any) -> Callable[[Any], int]:
    from countenance.vision.watching import look

    return lambda clip: sum(len(each.faces) for each in look(vision, clip, None, rate=RATE))


def embedding(vision: Any, least: float) -> Callable[[Any], int]:
    """What deepface's loop tells too: where each face is, and who is one person."""
    from countenance.vision.watching import watch

    return lambda clip: sum(
        len(each.sightings) for each in watch(vision, clip, None, rate=RATE, least=least).people
    )


def run(task: Callable[[Any], int], path: Path) -> dict[str, float]:
    from countenance.vision.video import open_clip

    with inferring() as spent, open_clip(path) as clip:
        wall, cpu = time.perf_counter(), time.process_time()
        faces = task(clip)
        return {
            "wall": time.perf_counter() - wall,
            "cpu": time.process_time() - cpu,
            "models": sum(spent),
            "faces": faces,
        }


def memory(path: Path, hours: float, samples: float) -> None:
    """Resident MiB while a clip of 640 x 360 and five frames a second is laid out, and once that is over."""
    from countenance.types import Attribute
    from countenance.vision import Vision
    from countenance.vision.timeline import timeline as of
    from countenance.vision.video import open_clip
    from countenance.vision.watching import watch

    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)

    def tell(at: int) -> None:
        nonlocal due
        if at >= due:
            print(f"{at / 60_000:5.0f} min {resident():6} MiB", flush=True)
            due += 600_000

    due = 1_000  # by then the networks are loaded
    looped(path, portrait(), (640, 360), round(hours * 3600), rate=5)
    vision, shown = Vision.load(), {Attribute.EMOTIONS, Attribute.SMILE, Attribute.MOUTH_OPEN}
    with open_clip(path) as clip:
        watched = watch(
            vision, clip, shown, rate=samples, least=vision.calibration().cosine(80.0), progress=tell
        )
    print(f"  seen {resident():6} MiB: {len(watched.frames)} frames, {len(watched.people)} people")
    moments = sum(len(of(person, watched.step_ms).moments) for person in watched.people)
    print(f"   end {resident():6} MiB: {moments} samples laid out")


@contextmanager
def inferring() -> Iterator[list[float]]:
    """Seconds that each inference inside takes, by the wall."""
    from countenance.vision.runtime import Session

    spent: list[float] = []
    plain, lock = Session.run, threading.Lock()

    def timed(session: Session, array: Any) -> Any:
        start = time.perf_counter()
        try:
            return plain(session, array)
        finally:
            with lock:
                spent.append(time.perf_counter() - start)

    Session.run = timed  # type: ignore[method-assign]
    try:
        yield spent
    finally:
        Session.run = plain  # type: ignore[method-assign]


def beside(asked: argparse.Namespace, clip: Path, ours: Callable[[Any], int]) -> None:
    """In turns, so that whatever else the machine does meets both."""
    command = [str(asked.peer), __file__, "--as-peer", str(clip)]
    settings = {**os.environ, "DEEPFACE_HOME": str(BUILD / "peers-home"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    with subprocess.Popen(
        command,
        env=settings,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as peer:
        assert peer.stdin is not None
        assert peer.stdout is not None
        run(ours, clip)
        rows = []
        for turn in range(asked.rounds + 1):
            peer.stdin.write("go\n")
            peer.stdin.flush()
            faces, wall, cpu = map(float, peer.stdout.readline().split())
            mine = run(ours, clip)
            if turn:  # the first loads its models
                rows.append((wall / mine["wall"], cpu / mine["cpu"]))
        peer.stdin.close()
    print(f"who is where, 720p, one face: deepface {faces:.0f} faces, Countenance {mine['faces']:.0f}")
    print(f"  deepface takes {spread([each[0] for each in rows])} times as long by the wall,")
    print(f"  {spread([each[1] for each in rows])} times the processor's time")


def loop_of_deepface(clip: Path) -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    import cv2
    from deepface import DeepFace

    for _ in sys.stdin:
        wall, cpu, faces = time.perf_counter(), time.process_time(), 0
        film = cv2.VideoCapture(str(clip))
        every = round(film.get(cv2.CAP_PROP_FPS) / RATE)
        number = 0
        while film.grab():
            if number % every == 0:
                _, frame = film.retrieve()
                found = DeepFace.represent(
                    frame, model_name="SFace", detector_backend="yunet", enforce_detection=False
                )
                faces += sum(each["face_confidence"] > 0 for each in found)
            number += 1
        print(faces, time.perf_counter() - wall, time.process_time() - cpu, file=answers)


def clips(folder: Path, given: Path | None, seconds: int) -> dict[str, Path]:
    """One face and three in 720p, a street or two faces in 1080p; 25 frames a second."""
    import numpy as np

    one = frames(given / "one.mp4") if given else portrait()
    crowd = frames(given / "crowd.mp4") if given else portrait()
    three = [
        np.concatenate([middle(each, 426), middle(each, 426)[:, ::-1], middle(each, 428)], 1) for each in one
    ]
    return {
        "one": looped(folder / "one.mp4", one, (1280, 720), seconds),
        "three": looped(folder / "three.mp4", three, (1280, 720), seconds),
        "crowd": looped(folder / "crowd.mp4", crowd, (1920, 1080), seconds),
    }


def frames(path: Path) -> list[Any]:
    from countenance.vision.video import open_clip

    with open_clip(path) as clip:
        return [each.image.pixels for each in clip.frames(1000)]


def portrait() -> list[Any]:
    """Eileen Collins (NASA, public domain), wandering."""
    import numpy as np
    from skimage import data

    photo = data.astronaut()[:360]
    canvas = np.full((25, 360, 640, 3), 90, np.uint8)
    for number, each in enumerate(canvas):
        each[:, 60 + number : 572 + number] = photo
    return [*canvas, *canvas[::-1]]


def middle(pixels: Any, width: int) -> Any:
    """As wide as that at 720 lines, the middle."""
    import cv2

    height = pixels.shape[0]
    share = round(height * width / 720)
    left = (pixels.shape[1] - share) // 2
    return cv2.resize(pixels[:, left : left + share], (width, 720))


def looped(path: Path, pictures: list[Any], size: tuple[int, int], seconds: int, rate: int = 25) -> Path:
    """There and back again, so that it never jumps."""
    import av
    import cv2

    circle = [*pictures, *pictures[::-1]]
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=rate, options={"crf": "23"})
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        for number in range(rate * seconds):
            pixels = cv2.resize(circle[number % len(circle)], size)
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode(None))
    return path


if __name__ == "__main__":
    main()
