"""The ledger's key changes hands: whoever holds the old one is led to the new one, and a cut is mended."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from countenance import office, publication, settings
from countenance.errors import HomeError, LedgerError
from tests.door.house import House


def test_who_holds_only_the_first_key_verifies_what_later_ones_signed(house: House, tmp_path: Path) -> None:
    kept = tmp_path / "monday.pub"
    shutil.copy(house.settings.ledger_public_key, kept)
    for _ in range(3):
        house.call("ListCollections")
        house.close()
        line = office.rotate(house.settings)
        house.open()
    house.call("ListCollections").result()
    found = office.verified(house.settings, public_key=kept)
    assert found == office.verified(house.settings)
    assert house.settings.ledger_public_key.read_text().splitlines()[-1] == line
    assert len(house.settings.ledger_public_key.read_text().splitlines()) == 4
    publication.exported(house.settings, tmp_path / "public")
    assert (tmp_path / "public/log.pub").read_text() == house.settings.ledger_public_key.read_text()


def test_no_key_changes_under_a_server(house: House) -> None:
    before = house.settings.ledger_key.read_bytes()
    with pytest.raises(HomeError, match="stop it first"):
        office.rotate(house.settings)
    assert house.settings.ledger_key.read_bytes() == before


def test_a_rotation_cut_off_before_it_was_recorded_goes_on_with_the_same_key(house: House) -> None:
    house.close()
    new = house.settings.home / "ledger.key.new"
    settings.write_private(new, bytes(32))
    line = office.rotate(house.settings)
    assert house.settings.ledger_key.read_bytes() == bytes(32)
    assert not new.exists()
    finished(house, line)


def test_a_rotation_cut_off_after_it_was_recorded_is_finished(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log names the new key, and the old one is still in its place."""
    house.close()
    with monkeypatch.context() as patch:

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr("pathlib.Path.replace", die)
        with pytest.raises(KeyboardInterrupt):
            office.rotate(house.settings)
    with pytest.raises(LedgerError, match="ledger rotate"):
        house.open()
    finished(house, office.rotate(house.settings))


def finished(house: House, line: str) -> None:
    house.open()
    house.call("ListCollections").result()
    office.verified(house.settings)
    acts = [entry for entry in house.entries() if entry.get("act") == "rotate"]
    assert [entry["key"] for entry in acts] == [line]


def test_a_signing_key_may_lie_outside_the_home(house: House, tmp_path: Path) -> None:
    house.close()
    elsewhere = tmp_path / "vault" / "signing.key"
    elsewhere.parent.mkdir()
    house.settings.ledger_key.rename(elsewhere)
    with pytest.raises(HomeError, match=r"ledger\.key is missing"):
        house.open()
    lines = (house.settings.home / settings.FILE).read_text()
    (house.settings.home / settings.FILE).write_text(f'{lines}signing_key = "{elsewhere}"\n')
    house.settings = settings.load(house.settings.home)
    assert house.settings == dataclasses.replace(house.settings, signing_key=str(elsewhere))
    house.open()
    house.call("ListCollections").result()
    house.close()
    office.rotate(house.settings)
    house.open()
    house.call("ListCollections").result()
    assert not (house.settings.home / "ledger.key").exists()
    office.verified(house.settings)
