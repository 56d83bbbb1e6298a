"""A collection changes to another model under the same FaceIds. The other model is SFace under another name:
what is on trial is the change, not the model."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from countenance import settings
from countenance.vision import zoo
from tests.unit.cli.conftest import Shell

OTHER = "sface-by-another-name"


@pytest.fixture
def other_model(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = (*zoo.cards(), dataclasses.replace(zoo.card("sface-2021dec"), id=OTHER))
    monkeypatch.setattr(zoo, "cards", lambda: cards)


def choose(home: Path, embedder: str) -> None:
    file = home / settings.FILE
    file.write_text(f'{file.read_text()}embedder = "{embedder}"\n')


def found(shell: Shell, home: Path, photo: Path) -> list[tuple[str, str]]:
    answer = json.loads(shell("search", "family", photo, "--home", home, "--json").stdout)
    return [
        (match["Face"]["FaceId"], match["Face"]["IndexFacesModelVersion"]) for match in answer["FaceMatches"]
    ]


@pytest.mark.usefixtures("other_model")
def test_a_collection_changes_over_and_keeps_its_face_ids(shell: Shell, home: Path, album: Path) -> None:
    shell("index", "family", album, "--home", home, code=3)
    photo = album / "autumn" / "IMG_1.jpg"
    [(face_id, model)] = found(shell, home, photo)
    assert model == "sface-2021dec"
    assert "already" in shell("reindex", "family", "--home", home).output
    choose(home, OTHER)
    refused = shell("search", "family", photo, "--home", home, code=1)
    assert "countenance reindex" in refused.output
    assert "2 faces" in shell("reindex", "family", "--home", home).output
    assert found(shell, home, photo) == [(face_id, OTHER)]
    shell("ledger", "verify", "--home", home)


@pytest.mark.usefixtures("other_model")
def test_a_lost_photo_holds_the_change_up_until_its_faces_are_forgotten(
    shell: Shell, home: Path, album: Path
) -> None:
    shell("index", "family", album, "--home", home, code=3)
    photo = album / "autumn" / "IMG_1.jpg"
    for copy in (album / "spring" / "IMG_1.jpg", album / "copy [1].jpg"):
        copy.unlink()
    choose(home, OTHER)
    told = shell("reindex", "family", "--home", home, code=1)
    assert "1 are lost" in told.output
    assert "countenance reindex" in shell("search", "family", photo, "--home", home, code=1).output
    shell("reindex", "family", "--home", home, "--forget-lost")
    [(_, model)] = found(shell, home, photo)
    assert model == OTHER
