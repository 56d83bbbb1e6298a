"""Every card keeps what it promises: its file, its licence, its family, its shape, its numbers."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from tests.parity import photos

from countenance.vision import (
    CLASSIFIERS,
    DETECTORS,
    EMBEDDERS,
    FINDERS,
    HEADS,
    LANDMARKERS,
    MODERATORS,
    NETS,
    READERS,
    THINGS,
    TURNERS,
    zoo,
)
from countenance.vision.calibration import fmr
from countenance.vision.images import decode
from countenance.vision.zoo import Card

CARDS = zoo.cards()
PLACES = {
    "detect": DETECTORS,
    "landmarks": LANDMARKERS,
    "embed": EMBEDDERS,
    "attributes": {**NETS, **HEADS},
    "objects": THINGS,
    "classify": CLASSIFIERS,
    "text": {**FINDERS, **TURNERS, **READERS},
    "moderate": MODERATORS,
}
every_card = pytest.mark.parametrize("card", CARDS, ids=lambda card: card.id)
every_curve = pytest.mark.parametrize(
    ("card", "population"),
    [(card, population) for card in CARDS for population in card.calibrations],
    ids=lambda value: value if isinstance(value, str) else value.id,
)


def test_ids_are_unique() -> None:
    assert max(Counter(card.id for card in CARDS).values()) == 1


@every_card
def test_the_card_is_filled_in(card: Card) -> None:
    assert re.fullmatch(r"[a-z0-9-]{3,40}", card.id)
    for file in card.files:
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        if card.carrier:
            assert file.upstream.startswith("https://")
            assert file.member
    assert card.licence in {"MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0"}
    assert card.licence_source.startswith("https://") if card.carrier else card.licence_source == "LICENSE"
    for text in (card.title, card.intended_use, card.not_for, card.input, card.paper, card.commercial_reason):
        assert len(text) > 15
    assert len(card.training) > 15 or card.training == "not disclosed"
    assert card.measured


@every_card
def test_a_family_runs_it(card: Card) -> None:
    assert card.family in PLACES[card.task]


@every_card
def test_the_file_is_the_one_on_the_card(card: Card) -> None:
    zoo.pull(card)
    assert [path.stat().st_size for path in zoo.paths(card)] == [file.size for file in card.files]
    assert zoo.load(card)


@pytest.mark.parametrize("card", [card for card in CARDS if card.task == "embed"], ids=lambda card: card.id)
def test_an_embedding_model_tells_two_people_apart(card: Card) -> None:
    detector = DETECTORS["YuNet"](zoo.card("yunet-2023mar"), None)
    embedder = EMBEDDERS[card.family](card, None)
    vectors = []
    for photo in (photos.grace(), photos.grace_again(), photos.eileen()):
        image = decode(photo)
        [embedding] = embedder.embed(image, detector.detect(image))
        assert embedding.model == card.id
        assert embedding.vector.shape == (card.dimensions,)
        assert np.linalg.norm(embedding.vector) == pytest.approx(1, abs=1e-6)
        vectors.append(embedding.vector)
    assert card.calibrations, "an embedding model without calibration has no Similarity"
    for curve in card.calibrations.values():
        assert (
            curve.similarity(float(vectors[0] @ vectors[1]))
            > 80
            > curve.similarity(float(vectors[0] @ vectors[2]))
        )


@pytest.mark.parametrize("card", [card for card in CARDS if card.family in NETS], ids=lambda card: card.id)
def test_a_net_gives_each_face_its_own_signals_in_order(card: Card) -> None:
    detector = DETECTORS["YuNet"](zoo.card("yunet-2023mar"), None)
    landmarker = LANDMARKERS["MediaPipeLandmarks"](zoo.card("mediapipe-face-landmarker"), None)
    net = NETS[card.family](card, None)
    rows = []
    for photo in (photos.grace(), photos.eileen()):
        image = decode(photo)
        faces = detector.detect(image)[:1]
        rows.append(net.look(image, faces * 2, landmarker.meshes(image, faces * 2)))
    assert rows[0].dtype == np.float32
    assert rows[0].ndim == 2
    assert np.isfinite(rows).all()
    for twice in rows:
        np.testing.assert_allclose(twice[0], twice[1], atol=1e-3)
    assert np.abs(rows[0] - rows[1]).max() > 0.01, "two people are told apart"
    image = decode(photos.grace())
    assert net.look(image, (), ()).shape == (0, rows[0].shape[1])


@every_curve
def test_a_curve_covers_the_thresholds_clients_hard_code(card: Card, population: str) -> None:
    curve = card.calibrations[population]
    cosines = [curve.cosine(percent) for percent in (50, 80, 90, 95, 99)]
    assert -1 < cosines[0] < cosines[-1] < 1
    assert cosines == sorted(set(cosines))
    assert curve.population == population
    assert curve.extrapolated(99) == (curve.measured_to > -7)


@every_curve
def test_a_curve_says_what_stands_behind_it(card: Card, population: str) -> None:
    curve = card.calibrations[population]
    low, high = curve.interval
    assert 0 < low <= high < 1
    assert low <= fmr(80) <= high * 1.001
    assert len(curve.source) > 30
