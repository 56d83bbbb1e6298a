"""A collection stays on the model whose templates it holds, whatever the service runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from countenance.service import Service
from countenance.types import Embedding, Face, Image
from countenance.vision import Vision
from tests.door.house import House
from tests.fakes import CARD, RED, FakeSenses, picture

PHOTO = {"Bytes": picture(RED)}


class Other(FakeSenses):
    """The same senses with another embedding model."""

    card = dataclasses.replace(CARD, id="fake-2")

    def embed(self, image: Image, faces: Sequence[Face]) -> tuple[Embedding, ...]:
        return tuple(Embedding(-each.vector, "fake-2") for each in super().embed(image, faces))


class Broken(FakeSenses):
    """An embedding model that gives what is no vector, or one of another length."""

    def __init__(self, vector: np.ndarray) -> None:
        self.vector = vector.astype(np.float32)

    def embed(self, image: Image, faces: Sequence[Face]) -> tuple[Embedding, ...]:
        return tuple(Embedding(self.vector, CARD.id) for _ in faces)


def runs(house: House, senses: FakeSenses) -> None:
    """The house closes, and opens with other senses."""
    house.close()
    house.service = Service(house.settings, Vision(senses, senses, senses, senses))


@pytest.fixture
def enrolled(house: House) -> str:
    house.call("CreateCollection", CollectionId="people").result()
    answer = house.call("IndexFaces", CollectionId="people", Image=PHOTO).result()
    face_id: str = answer["FaceRecords"][0]["Face"]["FaceId"]
    return face_id


def test_another_model_is_refused_and_changes_nothing(house: House, enrolled: str) -> None:
    runs(house, Other())
    before = house.contents()
    for operation, asked in (
        ("IndexFaces", {"Image": PHOTO}),
        ("SearchFacesByImage", {"Image": PHOTO}),
        ("SearchFaces", {"FaceId": enrolled}),
        ("MeasureCollection", {}),
    ):
        answer = house.call(operation, CollectionId="people", **asked)
        assert answer.error is not None, operation
        assert answer.error.code == "InvalidParameterException"
        assert "holds templates of fake-1, and this service runs fake-2" in answer.error.message
    assert house.contents() == before
    house.close()
    house.open()
    found = house.call("SearchFacesByImage", CollectionId="people", Image=PHOTO).result()
    assert [match["Face"]["FaceId"] for match in found["FaceMatches"]] == [enrolled]


@pytest.mark.parametrize(
    "vector", [np.full(64, np.nan), np.zeros(64), np.full(64, 2.0), np.full(32, 32**-0.5)]
)
@pytest.mark.usefixtures("enrolled")
def test_what_is_no_vector_is_neither_enrolled_nor_searched_with(house: House, vector: np.ndarray) -> None:
    runs(house, Broken(vector))
    before = house.contents()
    for operation in ("IndexFaces", "SearchFacesByImage"):
        answer = house.call(operation, CollectionId="people", Image={"Bytes": picture(RED, side=120)})
        assert answer.error is not None, operation
        assert answer.error.code == "InternalServerError"
        assert house.entries()[-1]["result"] == "failed"
    assert house.contents() == before
