"""What is asked about a face: decided by action, recorded, and nothing run that was not asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from countenance.types import Attribute, Face, Image, OrganisationKind, Trace
from countenance.vision.landmarks import Mesh
from tests.door.house import House
from tests.fakes import RED, FakeSenses, picture

IMAGE = {"Bytes": picture(RED)}


class Overheard(FakeSenses):
    """Remembers what it was asked to read."""

    def __init__(self) -> None:
        self.asked: list[set[Attribute]] = []

    def read(
        self, image: Image, faces: Sequence[Face], meshes: Sequence[Mesh], asked: Collection[Attribute]
    ) -> tuple[Mapping[Attribute, Trace], ...]:
        self.asked.append(set(asked))
        return super().read(image, faces, meshes, asked)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "home")
    house.call("CreateCollection", CollectionId="people").result()
    yield house
    house.close()


@pytest.fixture
def police(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "home", OrganisationKind.POLICE, purpose="criminal-investigation")
    yield house
    house.close()


@pytest.mark.parametrize(
    ("names", "actions", "asked"),
    [
        (None, ["detect"], set()),
        (["DEFAULT"], ["detect"], set()),
        (["SMILE"], ["detect", "describe"], {Attribute.SMILE}),
        (["DEFAULT", "GENDER"], ["detect", "infer"], {Attribute.GENDER}),
        (["ALL", "DEFAULT"], ["detect", "describe", "infer"], set(Attribute)),
    ],
)
def test_what_is_asked_is_decided_recorded_and_read(
    house: House, names: list[str] | None, actions: list[str], asked: set[Attribute]
) -> None:
    describer = house.vision.describer = Overheard()
    request: dict[str, Any] = {} if names is None else {"Attributes": names}
    answer = house.call("DetectFaces", Image=IMAGE, **request)
    [face] = answer.result()["FaceDetails"]
    missing = ", ".join(sorted(asked - {Attribute.SMILE}))
    assert answer.headers.get("x-countenance-not-offered", "") == missing
    decision = house.entries()[-2]
    assert decision["actions"] == actions
    assert decision.get("attributes", []) == sorted(asked)
    assert describer.asked == [asked]
    assert face.get("Smile") == ({"Value": True, "Confidence": 90.0} if "SMILE" in asked else None)
    assert not {"Gender", "AgeRange", "Emotions"} & face.keys()  # no card backs them here


def test_enrolment_asks_the_same_way(house: House) -> None:
    request: dict[str, Any] = {
        "CollectionId": "people",
        "Image": IMAGE,
        "DetectionAttributes": ["SMILE", "EMOTIONS"],
    }
    [record] = house.call("IndexFaces", **request).result()["FaceRecords"]
    assert record["FaceDetail"]["Smile"]["Value"] is True
    assert house.entries()[-2]["actions"] == ["enrol", "describe", "infer"]


def test_the_police_learn_which_attributes_to_leave_out(police: House) -> None:
    before = police.vision.asked
    caller = dataclasses.replace(police.caller, purpose="criminal-investigation")  # as its calls declare
    refused = police.call("DetectFaces", caller, Image=IMAGE, Attributes=["ALL"])
    assert refused.error is not None
    assert "Leave out AGE_RANGE, EMOTIONS, GENDER" in refused.error.message
    assert police.vision.asked == before
    rest = sorted(set(Attribute) - {Attribute.AGE_RANGE, Attribute.EMOTIONS, Attribute.GENDER})
    assert police.call("DetectFaces", caller, Image=IMAGE, Attributes=rest).error is None


@pytest.mark.parametrize("purpose", ["workplace", "education"])
def test_nobody_reads_emotions_at_work_or_school(tmp_path: Path, purpose: str) -> None:
    house = House(tmp_path / "home", purpose=purpose)
    refused = house.call("DetectFaces", Image=IMAGE, Attributes=["ALL"])
    assert refused.error is not None
    assert "Leave out EMOTIONS:" in refused.error.message
    assert house.call("DetectFaces", Image=IMAGE, Attributes=["GENDER", "SMILE"]).error is None
    house.close()
