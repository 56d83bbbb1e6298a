from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from tests.unit.vision.conftest import altered, only

from countenance.types import Face, Image
from countenance.vision import Vision
from countenance.vision.images import decode
from countenance.vision.yunet import YuNet, fit, suppress


def centre(face: Face) -> tuple[float, float]:
    return face.box.left + face.box.width / 2, face.box.top + face.box.height / 2


def scaled(image: Image, longest: int) -> np.ndarray:
    factor = longest / max(image.width, image.height)
    size = round(image.width * factor), round(image.height * factor)
    return np.asarray(
        cv2.resize(image.pixels, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    )


def test_a_portrait_holds_one_face_with_its_points_in_place(vision: Vision, hopper: Image) -> None:
    face = only(vision.detect(hopper))
    marks = face.landmarks
    assert face.confidence > 85
    assert (
        face.box.left < marks.eye_left.x < marks.nose.x < marks.eye_right.x < face.box.left + face.box.width
    )
    assert marks.mouth_left.x < marks.mouth_right.x
    assert (
        face.box.top < marks.eye_left.y < marks.nose.y < marks.mouth_left.y < face.box.top + face.box.height
    )
    assert centre(face) == pytest.approx((0.52, 0.38), abs=0.03)


@pytest.mark.parametrize("longest", [100, 160, 256, 257, 400, 900, 2000, 4000])
def test_the_face_is_where_it_was_at_any_size(vision: Vision, hopper: Image, longest: int) -> None:
    whole, resized = only(vision.detect(hopper)), only(vision.detect(altered(scaled(hopper, longest))))
    assert centre(resized) == pytest.approx(centre(whole), abs=0.02)
    assert resized.box.width == pytest.approx(whole.box.width, rel=0.12)


def test_a_mirrored_face_keeps_the_viewers_left(vision: Vision, hopper: Image) -> None:
    marks = only(vision.detect(altered(hopper.pixels[:, ::-1]))).landmarks
    assert marks.eye_left.x < marks.eye_right.x
    assert marks.mouth_left.x < marks.mouth_right.x


def test_boxes_are_in_the_upright_frame(vision: Vision, hopper: Image) -> None:
    stream = io.BytesIO()
    stored = Pillow.fromarray(hopper.pixels).transpose(Pillow.Transpose.ROTATE_90)
    exif = Pillow.Exif()
    exif[0x0112] = 6
    stored.save(stream, "JPEG", quality=95, exif=exif)
    turned = decode(stream.getvalue())
    assert (turned.width, turned.height) == (hopper.width, hopper.height)
    assert centre(only(vision.detect(turned))) == pytest.approx(centre(only(vision.detect(hopper))), abs=0.02)


@pytest.mark.parametrize("columns", [8, 14])
def test_a_crowd_of_small_faces_is_found(vision: Vision, hopper: Image, collins: Image, columns: int) -> None:
    """Tiles of 112 px hold faces of about 22 and 38 px; fourteen columns make a picture of 1,568 px."""
    tiles = [cv2.resize(each.pixels, (112, 112), interpolation=cv2.INTER_AREA) for each in (hopper, collins)]
    crowd = np.vstack(
        [np.hstack([tiles[(row + column) % 2] for column in range(columns)]) for row in range(7)]
    )
    faces = vision.detect(altered(crowd))
    assert len(faces) >= 0.97 * min(100, 7 * columns)
    assert len({(int(x * columns), int(y * 7)) for x, y in map(centre, faces)}) == len(faces)


def test_the_quarters_of_a_large_picture_are_searched(vision: Vision, collins: Image) -> None:
    """Faces of 32 px in 4,000: invisible on one canvas, found in the quarters, none of them twice."""
    tile = cv2.resize(collins.pixels, (180, 180), interpolation=cv2.INTER_AREA)
    wide = np.full((3000, 4000, 3), 110, np.uint8)
    places = [(x, y) for x in (150, 1900, 2020, 3700) for y in (100, 1400, 1500 + 110, 2700)]
    for x, y in places:
        wide[y : y + 180, x : x + 180] = tile
    faces = vision.detect(altered(wide))
    found = {(int(x * 4000) // 180, int(y * 3000) // 180) for x, y in map(centre, faces)}
    assert len(found) == len(faces)
    assert len(faces) >= 14


def test_faces_come_largest_first_and_a_hundred_at_most(vision: Vision, hopper: Image) -> None:
    sizes = np.linspace(90, 130, 120).astype(int)
    crowd = np.zeros((10 * 130, 12 * 130, 3), np.uint8)
    for place, size in enumerate(sizes):
        row, column = divmod(place, 12)
        tile = cv2.resize(hopper.pixels, (size, size), interpolation=cv2.INTER_AREA)
        crowd[row * 130 : row * 130 + size, column * 130 : column * 130 + size] = tile
    areas = [face.box.area for face in vision.detect(altered(crowd))]
    assert len(areas) == 100
    assert areas == sorted(areas, reverse=True)


@pytest.mark.parametrize("kind", ["black", "noise", "gradient"])
def test_nobody_is_found_where_nobody_is(vision: Vision, kind: str) -> None:
    pixels: dict[str, np.ndarray] = {
        "black": np.zeros((300, 400, 3), np.uint8),
        "noise": np.random.default_rng(0).integers(0, 255, (300, 400, 3)),
        "gradient": np.broadcast_to(np.linspace(0, 255, 400)[None, :, None], (300, 400, 3)),
    }
    assert vision.detect(altered(pixels[kind])) == ()


def test_a_canvas_holds_the_whole_picture_in_its_corner() -> None:
    pixels = np.full((200, 400, 3), (10, 20, 30), np.uint8)
    canvas = fit(pixels, 1.6, 640)
    assert canvas.shape == (1, 480, 640, 3)
    assert canvas[0, 319, 639].tolist() == [30, 20, 10]  # BGR
    assert not canvas[0, 320:].any()


def test_the_best_of_overlapping_rows_stays() -> None:
    def row(left: float, score: float) -> list[float]:
        return [left, 0, left + 10, 10, *[0.0] * 10, score]

    rows = np.array([row(0, 0.7), row(1, 0.9), row(8, 0.8), row(30, 0.6)], np.float32)
    assert suppress(rows, 0.3)[:, [0, -1]].tolist() == [
        [1, pytest.approx(0.9)],
        [8, pytest.approx(0.8)],
        [30, pytest.approx(0.6)],
    ]
    assert suppress(rows[:0], 0.3).shape == (0, 15)


def street(*faces: tuple[np.ndarray, int], width: int = 1920, height: int = 1080) -> Image:
    """Photos shrunk to so many pixels, side by side on grey."""
    canvas, left = np.full((height, width, 3), 128, np.uint8), 40
    for pixels, side in faces:
        canvas[40 : 40 + side, left : left + side] = cv2.resize(
            pixels, (side, side), interpolation=cv2.INTER_AREA
        )
        left += side + 60
    return altered(canvas)


@pytest.mark.parametrize("large", [0, 1000])
def test_a_crowd_is_glanced_at_once_and_nobody_is_lost(
    vision: Vision, collins: Image, monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    [face] = vision.detect(collins)
    left, top, width = (round(512 * value) for value in (face.box.left, face.box.top, face.box.width))
    closely = collins.pixels[top - width // 4 : top + 3 * width // 2, left - width // 4 :][
        :, : 7 * width // 4
    ]
    image = street(*[(collins.pixels, 130)] * 4, *[(closely, large)] * bool(large))
    plain = vision.glance(image)
    looks: list[int] = []
    look = YuNet._look

    def counted(net: YuNet, pixels: np.ndarray, longest: int, *, snug: bool = False) -> Any:
        looks.append(longest)
        return look(net, pixels, longest, snug=snug)

    monkeypatch.setattr(YuNet, "_look", counted)
    crowded = vision.glance(image, crowded=True)
    assert looks == ([1280, 640] if large else [1280])
    assert len(crowded) == 4 + bool(large)
    for one in plain:
        assert max(one.box.overlap(other.box) for other in crowded) > 0.7


def test_a_small_frame_is_never_enlarged_first(vision: Vision, hopper: Image) -> None:
    """Blurred faces are found at their own size alone."""
    image = altered(cv2.resize(hopper.pixels, (640, 750)))
    assert vision.glance(image, crowded=True) == vision.glance(image)


def test_a_frame_fills_its_canvas() -> None:
    frame = np.full((1080, 1920, 3), 200, np.uint8)
    assert fit(frame, 1280 / 1920, 1280, snug=True).shape == (1, 736, 1280, 3)
    assert fit(frame, 1280 / 1920, 1280).shape == (1, 960, 1280, 3)
    assert fit(frame.transpose(1, 0, 2), 640 / 1920, 640, snug=True).shape == (1, 640, 384, 3)
