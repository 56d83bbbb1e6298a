"""Photos a second, from the bytes of a file to its faces' embeddings: Countenance beside its peers.

    python bench/peers.py --photos FOLDER          (README.md here: how to install the peers)

Every contestant is a process (contestant.py) that holds its models; they take turns on the same photos, so
that whatever else the machine does meets all of them. On one core each is one process and looks at one
photo at a time. On two cores each peer is two processes, one a core, that share the photos between them;
Countenance is one process that looks at four photos at once, as its server does. Loading models
and one unmeasured turn come first. Linux only: it pins processes to cores.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from PIL import Image, ImageEnhance, ImageOps
from skimage import data

from countenance.vision import zoo

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build"
OURS = "countenance"
PEERS = ("deepface", "face_recognition")
KINDS = {".jpg", ".jpeg", ".png"}
STARTING = 300.0  # seconds a contestant may take to load; TensorFlow under deepface needs most of a minute


@dataclass(frozen=True)
class Turn:
    """One pass over the photos. seconds: by the wall. processor: seconds of all cores together."""

    photos: int
    faces: int
    seconds: float
    processor: float

    @property
    def rate(self) -> float:
        return self.photos / self.seconds


class Contestant:
    """The processes of one contestant. at_once: photos that each looks at together."""

    def __init__(self, name: str, python: Path, homes: Sequence[Sequence[int]], at_once: int) -> None:
        self.name = name
        self._at_once = at_once
        environment = {**os.environ, "DEEPFACE_HOME": str(BUILD / "peers-home"), "TF_CPP_MIN_LOG_LEVEL": "3"}
        self._processes = [
            subprocess.Popen(
                [python, HERE / "contestant.py", name, ",".join(map(str, cores)), str(at_once)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=(BUILD / f"peers-{name}.log").open("a"),
                text=True,
                bufsize=1,
                env=environment,
            )
            for cores in homes
        ]
        self._used = [0.0] * len(homes)

    def wait(self) -> None:
        for process in self._processes:
            self._line(process)

    def take(self, photos: Sequence[Path]) -> Turn:
        """Hand the photos out one by one to whoever is free."""
        before = sum(self._used)
        faces: list[int] = []
        waiting: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for photo in photos:
            waiting.put(photo)
        started = time.perf_counter()
        clerks = [
            threading.Thread(target=self._feed, args=(number, waiting, faces))
            for number in range(len(self._processes))
        ]
        for clerk in clerks:
            clerk.start()
        for clerk in clerks:
            clerk.join()
        seconds = time.perf_counter() - started
        if len(faces) != len(photos):
            raise SystemExit(f"{self.name} failed: {BUILD / f'peers-{self.name}.log'} says why")
        return Turn(len(photos), sum(faces), seconds, sum(self._used) - before)

    def close(self) -> None:
        for process in self._processes:
            assert process.stdin
            process.stdin.close()
        for process in self._processes:
            process.wait()

    def _feed(self, number: int, waiting: queue.SimpleQueue[Path], faces: list[int]) -> None:
        process, inside = self._processes[number], 0
        assert process.stdin
        with contextlib.suppress(EOFError, BrokenPipeError):
            while True:
                while inside < self._at_once and not waiting.empty():
                    with contextlib.suppress(queue.Empty):
                        process.stdin.write(f"{waiting.get_nowait()}\n")
                        inside += 1
                if not inside:
                    return
                found, used = self._line(process).split()
                inside -= 1
                faces.append(int(found))
                self._used[number] = max(self._used[number], float(used))

    @staticmethod
    def _line(process: subprocess.Popen[str]) -> str:
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            raise EOFError
        return line


def contest(
    names: Sequence[str], peers_python: Path, cores: Sequence[int], photos: Sequence[Path], rounds: int
) -> dict[str, list[Turn]]:
    """Turns of every contestant, interleaved; each round begins with another one."""
    with contextlib.ExitStack() as open_ones:
        contestants = []
        for name in names:
            ours = name == OURS
            python = Path(sys.executable) if ours else peers_python
            homes = [cores] if ours else [[core] for core in cores]
            # As many as the server's threads that look: two decode while each core has a model to run.
            at_once = len(cores) + 2 if ours and len(cores) > 1 else 1
            contestants.append(Contestant(name, python, homes, at_once))
            open_ones.callback(contestants[-1].close)
        for contestant in contestants:
            try:
                contestant.wait()
            except EOFError:
                log = BUILD / f"peers-{contestant.name}.log"
                raise SystemExit(f"{contestant.name} does not start: {log} says why") from None
            contestant.take(photos)
        turns: dict[str, list[Turn]] = {name: [] for name in names}
        for number in range(rounds):
            first = number % len(contestants)
            for contestant in contestants[first:] + contestants[:first]:
                turns[contestant.name].append(contestant.take(photos))
                print(f"round {number + 1}: {contestant.name} {turns[contestant.name][-1]}", file=sys.stderr)
    return turns


def table(turns: dict[str, list[Turn]]) -> Iterator[str]:
    """Markdown. The ratio is of two turns of one round: Countenance's rate over the other's."""
    yield "| | photos a second: median (min to max) | Countenance is faster by: median (min to max) |" + (
        " processor ms a photo | faces found |"
    )
    yield "|---|---|---|---|---|"
    for name, taken in turns.items():
        ratios = [ours.rate / theirs.rate for ours, theirs in zip(turns[OURS], taken, strict=True)]
        processor = statistics.median(turn.processor / turn.photos for turn in taken) * 1000
        faces = "/".join(str(count) for count in sorted({turn.faces for turn in taken}))
        rate, ratio = _spread([turn.rate for turn in taken], 1), _spread(ratios, 2)
        yield f"| {name} | {rate} | {'' if name == OURS else ratio} | {processor:.0f} | {faces} |"


def _spread(values: Sequence[float], digits: int) -> str:
    middle, low, high = (f"{v:.{digits}f}" for v in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({low} to {high})"


def place_weights() -> None:
    """Our weights, unfolded to the float32 that OpenCV reads, where deepface looks before it downloads."""
    folder = BUILD / "peers-home" / ".deepface" / "weights"
    folder.mkdir(parents=True, exist_ok=True)
    for identity, file in (
        ("yunet-2023mar", "face_detection_yunet_2023mar.onnx"),
        ("sface-2021dec", "face_recognition_sface_2021dec.onnx"),
    ):
        card = zoo.card(identity)
        zoo.pull(card)
        (folder / file).write_bytes(zoo.load(card))


def chosen(folder: Path, number: int) -> list[Path]:
    """`number` photos evenly over the folder's sorted paths."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in KINDS)
    if not found:
        raise SystemExit(f"{folder} holds no JPEG or PNG")
    number = min(number, len(found))
    return [found[index * len(found) // number] for index in range(number)]


def altered_portraits(folder: Path, number: int) -> Path:
    """Copies of two public-domain portraits that installed packages carry: sizes, light and sides vary."""
    hopper = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    portraits = [Image.open(hopper).convert("RGB"), Image.fromarray(data.astronaut())]
    for index in range(number):
        picture = portraits[index % 2]
        side = 400 + 37 * index  # web photos: 400 to 2,600 pixels
        picture = ImageOps.contain(picture, (side, side))
        picture = ImageEnhance.Brightness(picture).enhance(0.6 + 0.02 * (index % 30))
        picture = ImageOps.mirror(picture) if index % 4 > 1 else picture
        content = io.BytesIO()
        picture.save(content, "JPEG", quality=70 + index % 25)
        (folder / f"{index:03}.jpg").write_bytes(content.getvalue())
    return folder


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, help="folder; without it, altered public-domain portraits")
    parser.add_argument("--number", type=int, default=60, help="photos taken, evenly over the folder")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2], help="how many, one table for each")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS)
    parser.add_argument("--python", type=Path, default=BUILD / "peers-venv" / "bin" / "python")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    if asked.peers and not asked.python.exists():
        raise SystemExit(f"{asked.python} is missing: bench/README.md says how to install the peers")
    here = sorted(os.sched_getaffinity(0))
    if len(here) < max(asked.cores):
        raise SystemExit(f"this process may use {len(here)} cores, not {max(asked.cores)}")
    place_weights()
    with tempfile.TemporaryDirectory() as folder:
        source = asked.photos or altered_portraits(Path(folder), asked.number)
        photos = chosen(source.resolve(), asked.number)
        for count in asked.cores:
            turns = contest((OURS, *asked.peers), asked.python.absolute(), here[:count], photos, asked.rounds)
            print(f"\n{len(photos)} photos, {asked.rounds} rounds, {count} core{'s' * (count > 1)}\n")
            print("\n".join(table(turns)), flush=True)


if __name__ == "__main__":
    main()
