"""Faces made harder, and masks painted on them: what bench/heads.py learns from beside photos.

Masks are drawn along the 478 points of the face mesh (their numbers: MediaPipe's canonical face), so that
more of them are seen than a crowd of a few hundred people wears.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import cv2
import numpy as np

from countenance.types import Box, Face, Image
from countenance.vision.landmarks import Mesh
from countenance.vision.warp import cut

SIDE: Final = 288  # of a portrait, pixels; the face is half as wide or high
JAW: Final = [
    454,
    323,
    361,
    288,
    397,
    365,
    379,
    378,
    400,
    377,
    152,
    148,
    176,
    149,
    150,
    136,
    172,
    58,
    132,
    93,
    234,
]
CLOTHS: Final = np.array(
    [
        [235, 238, 240], [150, 195, 225], [110, 170, 215], [25, 25, 28], [60, 60, 65],
        [225, 170, 190], [190, 215, 200], [200, 190, 170], [30, 45, 90],
    ],
    float,
)  # fmt: skip
CLOTH_SHARES: Final = (0.2, 0.2, 0.12, 0.16, 0.07, 0.06, 0.06, 0.06, 0.07)
Random = np.random.Generator


def portrait(image: Image, face: Face, mesh: Mesh) -> tuple[Image, Face, Mesh]:
    """The face with as much again around it, SIDE pixels square."""
    width, height = image.width, image.height
    box = face.box
    centre = np.array([(box.left + box.width / 2) * width, (box.top + box.height / 2) * height])
    scale = SIDE / (2 * max(box.width * width, box.height * height))
    shift = SIDE / 2 - scale * centre
    matrix = np.column_stack([scale * np.eye(2), shift])
    whole = Box(
        (box.left * width * scale + shift[0]) / SIDE,
        (box.top * height * scale + shift[1]) / SIDE,
        box.width * width * scale / SIDE,
        box.height * height * scale / SIDE,
    )
    points = mesh.points * scale + [*shift, 0]
    return (
        replace(image, pixels=cut(image.pixels, matrix, SIDE, extended=True)),
        replace(face, box=whole),
        replace(mesh, points=points),
    )


def harder(image: Image, face: Face, mesh: Mesh, random: Random) -> tuple[Image, Face, Mesh]:
    """A portrait as worse cameras, light and detectors would give it; half are mirrored."""
    box, size = face.box, np.exp(random.normal(0, 0.07)) * np.exp(random.normal(0, 0.03, 2))
    left, top = random.normal(0, 0.03, 2) * [box.width, box.height] + [box.left, box.top]
    width, height = size * [box.width, box.height]
    box = Box(left + (box.width - width) / 2, top + (box.height - height) / 2, width, height)
    angle, middle = np.radians(random.normal(0, 4)), mesh.points[:, :2].mean(0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = mesh.points.copy()
    points[:, :2] = (points[:, :2] - middle) @ turn.T + middle
    pixels = _noisy(_lit(_blurred(image.pixels, random), random), random)
    if random.random() < 0.5:
        pixels, box = pixels[:, ::-1], replace(box, left=1 - box.left - box.width)
        points[:, 0] = SIDE - points[:, 0]
        points[[33, 263]] = points[[263, 33]]  # the eyes' outer corners, which cuts are levelled by
    image = replace(image, pixels=np.ascontiguousarray(pixels))
    return image, replace(face, box=box), replace(mesh, points=points)


def shrunk(image: Image, width: int) -> Image:
    """A portrait as if the face had been `width` pixels wide."""
    return replace(image, pixels=_small(image.pixels, width))


def paint_mask(image: Image, mesh: Mesh, random: Random) -> Image:
    """A cloth or surgical mask from the bridge of the nose to the chin."""
    points = mesh.points[:, :2]
    middle = points[JAW].mean(0)
    edge = (points[JAW] - middle) * random.uniform(0.98, 1.1) + middle
    spare = random.integers(0, 3)
    cheeks = points[random.choice([340, 346, 345, 352])], points[random.choice([111, 117, 116, 123])]
    nose = points[random.choice([6, 197, 195, 5], p=[0.15, 0.35, 0.35, 0.15])]
    beside = points[random.choice([351, 412, 277])], points[random.choice([122, 188, 47])]
    outline = np.array([*edge[spare : len(edge) - spare], cheeks[1], beside[1], nose, beside[0], cheeks[0]])
    cover = _filled(outline, random.uniform(0.6, 1.8))
    pixels = image.pixels.astype(float)
    cloth = _cloth(pixels, cover, nose, points[152], random)
    if random.random() < 0.6:
        ends = ((edge[0], 454), (edge[-1], 234), (cheeks[0], 454), (cheeks[1], 234))
        ears = [(start, points[ear] + 0.12 * (points[ear] - middle)) for start, ear in ends]
        straps = 0.8 * _lines([np.array(ear) for ear in ears], int(random.integers(1, 5)))
        pixels = pixels * (1 - straps) + cloth.mean((0, 1)) * straps
    return _image(image, pixels * (1 - cover) + cloth.clip(0, 255) * cover)


def _cloth(
    pixels: np.ndarray, cover: np.ndarray, top: np.ndarray, chin: np.ndarray, random: Random
) -> np.ndarray:
    """Plain, pleated or printed cloth, lit as the face under it is."""
    inside = cover[..., 0] > 0.5
    plain = (
        CLOTHS[random.choice(len(CLOTHS), p=CLOTH_SHARES)]
        if random.random() < 0.85
        else random.uniform(0, 255, 3)
    )
    light = cv2.GaussianBlur(pixels.mean(2), (0, 0), random.uniform(8, 18))
    mean = max(float(light[inside].mean()), 1.0) if inside.any() else 128.0
    shade = (light / mean) ** random.uniform(0.5, 1)
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    for _ in range(random.integers(0, 4)):
        fold = random.uniform(top[1], max(chin[1], top[1] + 1)) + random.normal(0, 0.06) * (x - SIDE / 2)
        shade *= 1 - random.uniform(0.05, 0.2) * np.exp(-(((y - fold) / random.uniform(1.3, 4)) ** 2))
    shade *= 1 - random.uniform(0, 0.15) * ((x - top[0]) / (SIDE / 4)).clip(-1.5, 1.5) ** 2
    cloth = plain * np.exp(random.normal(0, 0.08, 3)) * shade[..., None] * np.clip(mean / 140, 0.35, 1.15)
    if random.random() < 0.15:
        cloth *= 1 + 0.35 * np.sin(x / random.uniform(2, 10) + y / random.uniform(2, 10))[..., None]
    if random.random() < 0.12:
        cloth += cv2.resize(random.normal(0, 1, (SIDE // 8, SIDE // 8, 3)), (SIDE, SIDE)) * random.uniform(
            10, 50
        )
    return np.asarray(cloth + random.normal(0, 2, (SIDE, SIDE, 1)))


def _blurred(pixels: np.ndarray, random: Random) -> np.ndarray:
    if random.random() < 0.45:
        pixels = _small(pixels, int(np.exp(random.uniform(np.log(16), np.log(110)))))
    if random.random() < 0.2:
        pixels = cv2.GaussianBlur(pixels, (0, 0), random.uniform(1, 6))
    if random.random() < 0.1:  # the camera moved
        length = int(random.integers(5, 23))
        streak = np.zeros((length, length), np.float32)
        streak[length // 2] = 1 / length
        turn = cv2.getRotationMatrix2D(((length - 1) / 2, (length - 1) / 2), random.uniform(0, 180), 1)
        pixels = cv2.filter2D(pixels, -1, cv2.warpAffine(streak, turn, (length, length)))
    return pixels


def _small(pixels: np.ndarray, width: int) -> np.ndarray:
    few = cv2.resize(pixels, (2 * width, 2 * width), interpolation=cv2.INTER_AREA)
    return cv2.resize(few, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)


def _lit(pixels: np.ndarray, random: Random) -> np.ndarray:
    light = pixels / 255
    if random.random() < 0.6:
        light = light ** np.exp(random.normal(0, 0.45)) * np.exp(random.normal(0, 0.25))
        light = (light - 0.5) * np.exp(random.normal(0, 0.15)) + 0.5
        light = light * np.exp(random.normal(0, 0.08, 3))
    if random.random() < 0.12:
        light = np.repeat(light.mean(2, keepdims=True), 3, 2)
    return np.asarray(255 * light)


def _noisy(pixels: np.ndarray, random: Random) -> np.ndarray:
    if random.random() < 0.25:
        pixels = pixels + random.normal(0, random.uniform(2, 18), pixels.shape)
    whole = pixels.clip(0, 255).astype(np.uint8)
    if random.random() < 0.3:
        _, file = cv2.imencode(".jpg", whole, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(12, 70))])
        whole = cv2.imdecode(file, cv2.IMREAD_COLOR)
    return whole


def _filled(outline: np.ndarray, softness: float) -> np.ndarray:
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(canvas, [np.round(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return _soft(canvas, softness)


def _lines(lines: list[np.ndarray], width: int) -> np.ndarray:
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    cv2.polylines(
        canvas, [np.round(line * 16).astype(np.int32) for line in lines], False, 255, width, cv2.LINE_AA, 4
    )
    return _soft(canvas, 0.7)


def _soft(canvas: np.ndarray, softness: float) -> np.ndarray:
    return (cv2.GaussianBlur(canvas, (0, 0), softness) / 255)[..., None]


def _image(image: Image, pixels: np.ndarray) -> Image:
    return replace(image, pixels=pixels.clip(0, 255).astype(np.uint8))
