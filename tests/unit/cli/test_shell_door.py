"""How the shell reaches the door: one client, with or without a server, and nothing of the environment."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow

from countenance import settings
from countenance.cli import door
from countenance.testing import TestServer
from tests.unit.cli.conftest import Shell


def photo(picture: Pillow.Image) -> dict[str, bytes]:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return {"Bytes": stream.getvalue()}


def test_with_and_without_a_server_the_answers_are_the_same(
    home: Path, running: TestServer, hopper: Pillow.Image
) -> None:
    answers: list[Any] = []
    for place in (home, running.home):
        with door.opened(place) as client:
            answers.append(client.detect_faces(Image=photo(hopper)))
    inside, http = answers
    assert inside["FaceDetails"] == http["FaceDetails"]
    assert len(inside["FaceDetails"]) == 1
    receipts = [answer["ResponseMetadata"]["HTTPHeaders"]["x-countenance-receipt"] for answer in answers]
    assert receipts[0].startswith("decision=4;")  # after two entries of `init`, the packs and the settings
    assert door.find(settings.load(home)) is None
    assert (notice := door.find(settings.load(running.home)))
    assert (notice.url, notice.pid) == (running.url, os.getpid())


def test_the_environment_s_aws_settings_are_not_read(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[profile other]\nregion = eu-north-1\n")
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIAELSEWHERE",
        "AWS_SECRET_ACCESS_KEY": "another's",
        "AWS_SESSION_TOKEN": "token",
        "AWS_PROFILE": "missing",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_ENDPOINT_URL": "http://192.0.2.1",
        "HTTP_PROXY": "http://192.0.2.1:3128",
    }.items():
        monkeypatch.setenv(name, value)
    with door.opened(home) as client:
        assert client.list_collections()["CollectionIds"] == []


def test_a_key_that_is_not_the_home_s_is_refused_by_the_door_in_this_process_too(
    shell: Shell, home: Path
) -> None:
    credentials = home / "credentials"
    lines = credentials.read_text().splitlines()
    credentials.write_text("\n".join([*lines[:2], "aws_secret_access_key = wrong", lines[3]]))
    heic = Path(__file__).with_name("hopper.heic")
    told = shell("detect", heic, "--home", home, code=1).output
    assert "InvalidSignatureException" in told
    assert "`countenance keys create`" in told
    credentials.unlink()
    told = shell("detect", heic, "--home", home, code=1).output
    assert f"`countenance keys create --save {credentials}`" in told
    shell("keys", "create", "--home", home, "--save", credentials)
    shell("detect", heic, "--home", home)


@pytest.mark.parametrize(
    "notice",
    ["", "[]", '{"url": "http://127.0.0.1:1"}', '{"url": "http://127.0.0.1:1", "pid": 2147483646}'],
)
def test_a_notice_of_nobody_is_passed_over(home: Path, notice: str) -> None:
    (home / "server.json").write_text(notice)
    assert door.find(settings.load(home)) is None


def test_a_living_process_that_does_not_answer_is_no_server(home: Path) -> None:
    (home / "server.json").write_text(json.dumps({"url": "http://127.0.0.1:1", "pid": os.getpid()}))
    assert door.find(settings.load(home)) is None
