"""The heads' arithmetic on made-up signals, their file against its card, and two portraits."""

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.unit.vision.conftest import altered

from countenance.errors import ModelError
from countenance.types import Image
from countenance.vision import Vision, faceres, heads, zoo
from countenance.vision.faceres import FaceRes
from countenance.vision.heads import FEATURES, NAMES, Heads

CARD = zoo.card("celeba-heads")


@pytest.fixture(scope="module")
def net() -> FaceRes:
    return FaceRes(zoo.card("faceres-deep"), 1)


def seen(net: FaceRes, vision: Vision, image: Image) -> dict[str, float]:
    """What the heads say of a portrait's face."""
    faces = vision.detect(image)[:1]
    (scores,) = Heads(CARD).read(net.look(image, faces, vision.landmarker.meshes(image, faces)))
    return dict(zip(NAMES, scores.tolist(), strict=True))


def signals(count: int) -> np.ndarray:
    return np.random.default_rng(5).random((count, faceres.SIGNALS), np.float32)


def written(path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> Heads:
    """Heads whose card names a file that holds `content`."""
    path.write_bytes(content)
    monkeypatch.setattr(zoo, "paths", lambda _: (path,))
    file = replace(CARD.files[0], size=len(content), sha256=hashlib.sha256(content).hexdigest())
    return Heads(replace(CARD, files=(file,)))


def test_a_score_is_the_product_of_features_and_weights_and_the_bias() -> None:
    given = signals(3)
    with np.load(zoo.paths(CARD)[0]) as fitted:
        weights, bias = fitted["weights"], fitted["bias"]
    expected = given[:, FEATURES].astype(float) @ weights.T.astype(float) + bias
    np.testing.assert_allclose(Heads(CARD).read(given), expected, rtol=1e-4, atol=1e-4)


def test_no_head_reads_age_or_gender() -> None:
    given = signals(2)
    changed = given.copy()
    changed[:, [faceres.MALE, faceres.YEARS]] += 50
    np.testing.assert_array_equal(Heads(CARD).read(given), Heads(CARD).read(changed))


def test_faces_are_read_one_by_one() -> None:
    given = signals(4)
    whole = Heads(CARD).read(given)
    assert whole.shape == (4, len(NAMES))
    assert whole.dtype == np.float32
    for place in range(4):
        np.testing.assert_allclose(
            Heads(CARD).read(given[place : place + 1])[0], whole[place], rtol=1e-4, atol=1e-4
        )
    assert Heads(CARD).read(given[:0]).shape == (0, len(NAMES))


def test_grace_hopper_wears_glasses_and_a_hat_and_eileen_collins_neither(
    net: FaceRes, vision: Vision, hopper: Image, collins: Image
) -> None:
    one, other = seen(net, vision, hopper), seen(net, vision, collins)
    for name in ("eyeglasses", "hat"):
        assert one[name] > other[name] + 1


def test_cloth_before_mouth_and_nose_is_a_mask(net: FaceRes, vision: Vision, collins: Image) -> None:
    (face,) = vision.detect(collins)[:1]
    (mesh,) = vision.landmarker.meshes(collins, [face])
    jaw = mesh.points[[454, 361, 397, 378, 152, 149, 172, 132, 234, 195], :2]
    pixels = collins.pixels.copy()
    cv2.fillPoly(pixels, [np.round(jaw).astype(np.int32)], (150, 195, 225))
    assert seen(net, vision, altered(pixels))["mask"] > seen(net, vision, collins)["mask"] + 1


def test_a_file_that_is_not_the_one_on_the_card_is_refused() -> None:
    (file,) = CARD.files
    with pytest.raises(ModelError, match="sha256"):
        Heads(replace(CARD, files=(replace(file, sha256="0" * 64),))).read(signals(1))


def test_weights_of_another_shape_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    np.savez(file, weights=np.zeros((5, 7), np.float32), bias=np.zeros(5, np.float32))
    with pytest.raises(ModelError, match="are needed"):
        written(tmp_path / "heads.npz", monkeypatch, file.getvalue()).read(signals(1))


def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    np.savez(file, bias=np.zeros(5, np.float32))
    for content in (file.getvalue(), file.getvalue()[:40], b"no arrays"):
        with pytest.raises(ModelError, match="cannot be read"):
            written(tmp_path / "heads.npz", monkeypatch, content).read(signals(1))


def test_a_commercial_home_has_no_heads() -> None:
    assert not CARD.commercial
    assert "CelebA" in CARD.training
    with pytest.raises(ModelError, match="commercial_only"):
        zoo.card("celeba-heads", commercial_only=True)
    assert heads.Heads.source == "faceres-deep"
