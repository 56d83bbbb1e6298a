"""models list, pull, verify."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from countenance import settings
from countenance.cli import weights
from countenance.types import Attribute
from countenance.vision import zoo
from countenance.vision.attributes import Reading
from tests.unit.cli.conftest import Shell


@pytest.fixture(scope="module", autouse=True)
def _weights() -> None:
    zoo.pull(*zoo.cards())


def test_cards_are_listed_with_licence_and_presence(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = json.loads(shell("models", "list", "--json").stdout)
    assert [card["id"] for card in here] == [card.id for card in zoo.cards()]
    assert all(card["licence"] and card["training"] and card["present"] for card in here)
    assert all(file["sha256"] for card in here for file in card["files"])
    monkeypatch.setenv("COUNTENANCE_MODELS", str(tmp_path))
    told = shell("models", "list").output
    assert "Apache-2.0" in told
    assert "`countenance models pull` fetches what is missing" in told
    assert "`countenance models pull text` fetches what is fetched only when asked: text" in told


def test_what_is_fetched_only_when_asked_is_not_missed(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everywhere = zoo.fetched_for("", commercial_only=False)
    for card in everywhere:
        for path in zoo.paths(card):
            shutil.copy(path, tmp_path)
    monkeypatch.setenv("COUNTENANCE_MODELS", str(tmp_path))
    assert "already" in shell("models", "pull").output
    found = json.loads(shell("models", "verify", "--json").stdout)
    assert found["ok"]
    assert [model["id"] for model in found["models"]] == [card.id for card in everywhere]
    assert "pull` fetches what is missing" not in shell("models", "list").output


def test_pull_fetches_nothing_that_is_here(shell: Shell) -> None:
    assert "already" in shell("models", "pull").output
    told = shell("models", "pull", "no-such-model", code=1).output
    assert "no model is called 'no-such-model'; there are yunet" in told


def test_a_wrong_byte_is_found(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(shell("models", "verify", "--json").stdout)["ok"]
    card = zoo.cards()[0]
    for each in zoo.cards():
        for path in zoo.paths(each):
            shutil.copy(path, tmp_path)
    monkeypatch.setenv("COUNTENANCE_MODELS", str(tmp_path))
    [path] = zoo.paths(card)
    altered = bytearray(path.read_bytes())
    altered[1000] ^= 1
    path.write_bytes(altered)
    result = shell("models", "verify", code=1)
    assert f"is not the file on the card of {card.id}" in result.output
    assert result.stdout.count("good") == len(zoo.cards()) - 1


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> zoo.Card:
    """A card whose labels close commercial use, beside the real ones; its file is not here."""
    card = replace(
        zoo.cards()[0],
        id="closed-model",
        files=(replace(zoo.cards()[0].files[0], sha256="0" * 64),),
        commercial=False,
        commercial_reason="its labels are for research",
    )
    cards = (*zoo.cards(), card)
    monkeypatch.setattr(zoo, "cards", lambda: cards)
    smile = Reading(
        Attribute.SMILE, "Smiling", "tests", "anything else", nets=(card.id,), points=((0, 0), (1, 1))
    )
    monkeypatch.setattr(
        weights, "readings", lambda: (smile, replace(smile, attribute=Attribute.BEARD, off="no"))
    )
    return card


def test_a_commercial_home_neither_fetches_nor_loads_what_is_closed_and_says_so(
    shell: Shell, tmp_path: Path, closed: zoo.Card
) -> None:
    home = tmp_path / "company"
    shell("init", "--home", home, "--commercial-only")
    listed = json.loads(shell("models", "list", "--home", home, "--json").stdout)
    assert [card["id"] for card in listed if card["withheld"]] == [
        "celeba-heads",
        "efficientnet-lite2",
        "closed-model",
    ]
    for command in ("list", "pull"):
        told = shell("models", command, "--home", home).output
        assert "closed-model (SMILE): its labels are for research" in told
    assert "fetches what is missing" not in told
    shell("models", "verify", "--home", home)
    told = shell("models", "pull", "closed-model", "--home", home, code=1).output
    assert "closed-model is not loaded, this home being commercial_only: its labels" in told
    assert not zoo.present(closed)
    assert json.loads(shell("keys", "list", "--home", home, "--json").stdout)


def test_without_the_setting_a_closed_model_is_listed_as_such(
    shell: Shell, home: Path, closed: zoo.Card
) -> None:
    listed = json.loads(shell("models", "list", "--home", home, "--json").stdout)
    assert [card["id"] for card in listed if not card["commercial"]] == [
        "celeba-heads",
        "efficientnet-lite2",
        "closed-model",
    ]
    assert listed[-1]["backs"] == ["SMILE"]
    assert not any(card["withheld"] for card in listed)
    assert "its labels" not in shell("models", "list", "--home", home).output
    assert "its labels" in shell("models", "list", "--home", home, "--commercial-only").output


def test_a_commercial_home_does_not_start_with_a_closed_embedder(
    shell: Shell, tmp_path: Path, album: Path, closed: zoo.Card
) -> None:
    home = tmp_path / "company"
    shell("init", "--home", home, "--commercial-only")
    file = home / settings.FILE
    file.write_text(f'{file.read_text()}embedder = "closed-model"\n')
    told = shell("detect", album / "autumn" / "IMG_1.jpg", "--home", home, code=1).output
    assert "closed-model is not loaded, this home being commercial_only" in told


def test_a_commercial_home_starts_without_labels_and_says_why_it_has_none(
    shell: Shell, tmp_path: Path, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, photo = tmp_path / "company", album / "autumn" / "IMG_1.jpg"
    shell("init", "--home", home, "--commercial-only")
    assert "efficientnet-lite2 (labels): ImageNet's terms" in shell("models", "list", "--home", home).output
    told = shell("models", "pull", "labels", "--home", home, code=1).output
    assert "efficientnet-lite2 is not loaded, this home being commercial_only" in told
    assert "1 face" in shell("detect", photo, "--home", home).output
    told = shell("labels", photo, "--home", home, code=1).output
    assert "DetectLabels is not offered here" in told
    assert "commercial_only" in told


def test_a_home_without_the_weights_of_labels_starts(
    shell: Shell, tmp_path: Path, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, photo = tmp_path / "home", album / "autumn" / "IMG_1.jpg"
    for card in zoo.fetched_for("", commercial_only=False):
        for path in zoo.paths(card):
            shutil.copy(path, tmp_path)
    monkeypatch.setenv("COUNTENANCE_MODELS", str(tmp_path))
    shell("init", "--home", home)
    assert "1 face" in shell("detect", photo, "--home", home).output
    assert "countenance models pull labels" in shell("labels", photo, "--home", home, code=1).output
    assert not any(map(zoo.present, zoo.fetched_for("labels", commercial_only=False)))
