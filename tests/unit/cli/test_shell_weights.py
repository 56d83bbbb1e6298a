"""models list, pull, verify."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from countenance.vision import zoo
from tests.unit.cli.conftest import Shell


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
