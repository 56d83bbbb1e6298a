"""`countenance users`, and what the other commands do about a collection's users."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from countenance.cli import door
from tests.unit.cli.conftest import Shell
from tests.unit.cli.test_shell_renewal import OTHER, choose, other_model

__all__ = ["other_model"]


@pytest.fixture
def faces(shell: Shell, home: Path, album: Path) -> dict[str, str]:
    """The two faces of the album, of which one is a user's."""
    shell("index", "family", album, "--home", home, code=3)
    with door.opened(home) as client:
        known = client.list_faces(CollectionId="family")["Faces"]
        client.create_user(CollectionId="family", UserId="grace")
        client.create_user(CollectionId="family", UserId="nobody-yet")
        photo = (album / "spring" / "IMG_1.jpg").read_bytes()
        [match] = client.search_faces_by_image(CollectionId="family", Image={"Bytes": photo})["FaceMatches"]
        mine = match["Face"]["FaceId"]
        client.associate_faces(CollectionId="family", UserId="grace", FaceIds=[mine])
    [other] = [face["FaceId"] for face in known if face["FaceId"] != mine]
    return {"mine": mine, "other": other}


def users(shell: Shell, home: Path) -> Any:
    return json.loads(shell("users", "list", "family", "--home", home, "--json").stdout)


def test_users_are_listed_shown_and_erased_by_name(shell: Shell, home: Path, faces: dict[str, str]) -> None:
    assert users(shell, home) == [
        {"UserId": "grace", "UserStatus": "ACTIVE"},
        {"UserId": "nobody-yet", "UserStatus": "CREATED"},
    ]
    assert "nobody-yet" in shell("users", "list", "family", "--home", home).stdout
    [face] = json.loads(shell("users", "show", "family", "grace", "--home", home, "--json").stdout)
    assert face["FaceId"] == faces["mine"]
    assert faces["mine"] in shell("users", "show", "family", "grace", "--home", home).stdout
    assert "No face of family" in shell("users", "show", "family", "nobody-yet", "--home", home).stderr
    told = json.loads(shell("erase", "--user", "grace", "--home", home, "--json").stdout)
    assert [face["FaceId"] for face in told["ErasedFaces"]] == [faces["mine"]]
    assert [user["UserId"] for user in users(shell, home)] == ["nobody-yet"]
    assert "one of them" in shell("erase", "--user", "a", "--subject", "b", "--home", home, code=2).output


@pytest.mark.usefixtures("other_model")
def test_another_model_finds_the_user_too(
    shell: Shell, home: Path, album: Path, faces: dict[str, str]
) -> None:
    choose(home, OTHER)
    shell("reindex", "family", "--home", home)
    with door.opened(home) as client:
        photo = (album / "spring" / "IMG_1.jpg").read_bytes()
        answer = client.search_users_by_image(CollectionId="family", Image={"Bytes": photo})
    assert answer["FaceModelVersion"] == OTHER
    [match] = answer["UserMatches"]
    assert (match["User"]["UserId"], match["NearestFace"]["FaceId"]) == ("grace", faces["mine"])


@pytest.mark.usefixtures("other_model", "faces")
def test_a_users_lost_face_is_forgotten_too(shell: Shell, home: Path, album: Path) -> None:
    for copy in (album / "spring" / "IMG_1.jpg", album / "copy [1].jpg"):
        copy.unlink()
    choose(home, OTHER)
    shell("reindex", "family", "--home", home, code=1)
    shell("reindex", "family", "--home", home, "--forget-lost")
    with door.opened(home) as client:
        known = client.describe_collection(CollectionId="family")
    assert (known["FaceCount"], known["FaceModelVersion"]) == (1, OTHER)
    assert {user["UserStatus"] for user in users(shell, home)} == {"CREATED"}
