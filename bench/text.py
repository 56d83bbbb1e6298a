"""How well text is read: error rates on pictures that this script paints, and what they cost.

    countenance models pull text
    python bench/text.py [--each 12] [--only NAME] [--peer]

Each kind of picture is painted `--each` times: four lines of words, numbers and codes in one of five faces.
A character error rate (CER) is the edits between the lines painted and the lines read (Levenshtein's
distance), over the characters painted: each painted line is held to the nearest line read, lines that were
not read count whole, and so do lines that nobody painted. --peer reads the same pictures with RapidOCR's own
program (`pip install rapidocr==3.10.0 onnxruntime`). One thread; milliseconds are processor time.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from countenance.types import Image
from countenance.vision import Vision

FONTS = ("DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "DejaVuSans-Bold", "DejaVuSerif-Italic")
SAID = (
    "the harbour opens at seven every morning please keep left platform exit Street Avenue Museum Garden "
    "Tickets are sold here until noon mind your step coffee bakery fresh bread open closed Monday Tuesday "
    "invoice total amount due account number signed witness city library fragile handle with care this side "
    "Bitte nicht betreten Straße geöffnet für Fußgänger l'entrée défense d'afficher sortie señal salida año "
    "Quality Jazz quick brown foxes jump over lazy dogs WARNING CAUTION STOP SPEED LIMIT PARKING RESERVED"
)


@dataclass(frozen=True)
class Kind:
    """A kind of picture. size, blur: pixels. turn: degrees. noise, contrast: of 255. side: the longer one."""

    size: int = 24
    turn: float = 0.0
    noise: float = 0.0
    blur: float = 0.0
    quality: int = 95
    contrast: int = 220
    side: int = 1000


KINDS = {
    "plain, 24 px": Kind(),
    "8 px": Kind(size=8),
    "10 px": Kind(size=10),
    "12 px": Kind(size=12),
    "16 px": Kind(size=16),
    "48 px": Kind(size=48),
    "96 px in 2,000 px": Kind(size=96, side=2000),
    "24 px in 3,000 px": Kind(size=24, side=3000),
    "48 px in 3,000 px": Kind(size=48, side=3000),
    "turned 5": Kind(turn=5),
    "turned 15": Kind(turn=15),
    "turned 30": Kind(turn=30),
    "turned 45": Kind(turn=45),
    "turned 90": Kind(turn=90),
    "turned 270": Kind(turn=270),
    "upside down": Kind(turn=180),
    "upside down, 12 px": Kind(turn=180, size=12),
    "noise 25": Kind(noise=25),
    "noise 50": Kind(noise=50),
    "blurred 2 px": Kind(blur=2),
    "blurred 4 px": Kind(blur=4),
    "JPEG at 15": Kind(quality=15),
    "contrast 40 of 255": Kind(contrast=40),
    "contrast 15 of 255": Kind(contrast=15),
}


@dataclass
class Count:
    pictures: int = 0
    lines: int = 0
    characters: int = 0
    errors: int = 0
    exact: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    words: list[tuple[float, bool]] = field(default_factory=list)


def text(chance: random.Random) -> list[str]:
    """Three lines of words and one of numbers and codes."""
    lines = [" ".join(chance.choice(SAID.split()) for _ in range(chance.randint(2, 4))) for _ in range(3)]
    code = "".join(chance.choice("ABCDEFGHJKLMNPQRSTUVWXYZ23456789") for _ in range(7))
    lines.insert(chance.randint(0, 3), f"{code} {chance.randint(10, 9999)},{chance.randint(10, 99)}")
    return lines


def painted(kind: Kind, lines: list[str], chance: random.Random) -> np.ndarray:
    """The lines on a ground of one colour with a slope of light, then turned, blurred, noisy, compressed."""
    name = chance.choice(FONTS)
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    font = ImageFont.truetype(fonts / f"{name}.ttf", kind.size)
    width, height = kind.side, kind.side * 3 // 4
    light = chance.randint(kind.contrast, 250) if kind.contrast < 250 else 250
    dark = light - kind.contrast
    if chance.random() < 0.3:
        light, dark = dark, light
    while max(font.getlength(line) for line in lines) > 0.9 * width:
        lines[:] = [line if font.getlength(line) <= 0.9 * width else line.rsplit(" ", 1)[0] for line in lines]
    tint = [chance.randint(-12, 12) if kind.contrast > 60 else 0 for _ in range(3)]
    ground = tuple(min(255, max(0, light + each)) for each in tint)
    picture = Pillow.new("RGB", (width, height), ground)
    draw = ImageDraw.Draw(picture)
    gap = min(2.2 * kind.size, height / (len(lines) + 0.5))
    top = chance.uniform(0.02, 1) * max(1.0, height - gap * (len(lines) + 0.4))
    for number, line in enumerate(lines):
        left = chance.uniform(0.03, 0.97 - font.getlength(line) / width) * width
        draw.text((left, top + number * gap), line, fill=(dark,) * 3, font=font)
    picture = picture.rotate(kind.turn, Pillow.Resampling.BICUBIC, expand=True, fillcolor=ground)
    pixels = np.asarray(picture).astype(np.float32)
    if kind.blur:
        pixels = cv2.GaussianBlur(pixels, (0, 0), kind.blur)
    if kind.noise:
        pixels += np.random.default_rng(chance.randint(0, 2**31)).normal(0, kind.noise, pixels.shape)
    _, jpeg = cv2.imencode(
        ".jpg", pixels.clip(0, 255).astype(np.uint8)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, kind.quality]
    )
    return np.ascontiguousarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1])


def edits(one: str, other: str) -> int:
    """Levenshtein's distance."""
    row = list(range(len(other) + 1))
    for n, a in enumerate(one, 1):
        before, row[0] = row[0], n
        for m, b in enumerate(other, 1):
            before, row[m] = row[m], min(row[m] + 1, row[m - 1] + 1, before + (a != b))
    return row[-1]


def compare(count: Count, lines: list[str], read: list[str]) -> None:
    """Each painted line beside the nearest that was read, the nearest pairs first."""
    pairs = sorted((edits(a, b), n, m) for n, a in enumerate(lines) for m, b in enumerate(read))
    left, unused = dict(enumerate(lines)), dict(enumerate(read))
    for distance, n, m in pairs:
        if n in left and m in unused and distance < max(len(lines[n]), len(read[m])):
            count.errors += distance
            count.exact += not distance
            del left[n], unused[m]
    count.errors += sum(map(len, left.values())) + sum(map(len, unused.values()))
    count.lines += len(lines)
    count.characters += sum(map(len, lines))


def ours() -> Callable[[np.ndarray, list[str], Count], list[str]]:
    vision = Vision.load(threads=1)

    def read(pixels: np.ndarray, lines: list[str], count: Count) -> list[str]:
        found = vision.read(Image(pixels, b"")).lines
        truth = " ".join(lines).split()
        for line in found:
            for word in line.words:
                count.words.append((word.confidence, word.text in truth))
                if word.text in truth:
                    truth.remove(word.text)
        return [line.text for line in found]

    return read


def peer() -> Callable[[np.ndarray, list[str], Count], list[str]]:
    from rapidocr import RapidOCR  # noqa: PLC0415 - only where it is asked for

    single = {
        "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    }
    engine = RapidOCR(params={"Global.log_level": "error", **single})

    def read(pixels: np.ndarray, _lines: list[str], _count: Count) -> list[str]:
        return list(engine(np.ascontiguousarray(pixels[..., ::-1])).txts or ())

    return read


def pictures(kind: Kind, each: int, seed: int) -> Iterator[tuple[list[str], np.ndarray]]:
    for number in range(each):
        chance = random.Random(1000 * seed + number)
        lines = text(chance)
        yield lines, painted(kind, lines, chance)


def measure(
    read: Callable[[np.ndarray, list[str], Count], list[str]], each: int, only: str
) -> dict[str, Count]:
    counts = {}
    for seed, (name, kind) in enumerate(KINDS.items()):
        if only not in name:
            continue
        count = counts[name] = Count()
        for lines, pixels in pictures(kind, each, seed):
            began = time.process_time()
            said = read(pixels, lines, count)
            spent = time.process_time() - began
            compare(count, lines, said)
            count.pictures += 1
            count.seconds += spent
            count.slowest = max(count.slowest, spent)
        print(
            f"{name:20} {count.pictures:4} pictures {count.characters:6} characters"
            f"  CER {count.errors / count.characters:.4f}  lines exact {count.exact / count.lines:.3f}"
            f"  {1000 * count.seconds / count.pictures:6.0f} ms",
            flush=True,
        )
    return counts


def calibration(counts: dict[str, Count]) -> None:
    """Of the words told at each confidence, how many were painted."""
    words = [word for count in counts.values() for word in count.words]
    for low, high in ((0, 60), (60, 80), (80, 90), (90, 95), (95, 99), (99, 100.1)):
        told = [right for percent, right in words if low <= percent < high]
        if told:
            share = sum(told) / len(told)
            print(f"confidence {low:3} to {min(high, 100):3}: {len(told):5} words, {share:.3f} right")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--each", type=int, default=12)
    arguments.add_argument("--only", default="")
    arguments.add_argument("--peer", action="store_true")
    asked = arguments.parse_args()
    counts = measure(peer() if asked.peer else ours(), asked.each, asked.only)
    every = [
        sum(getattr(c, name) for c in counts.values()) for name in ("errors", "characters", "exact", "lines")
    ]
    print(f"all: CER {every[0] / every[1]:.4f}, lines exact {every[2] / every[3]:.3f}, {every[1]} characters")
    calibration(counts)


if __name__ == "__main__":
    main()
