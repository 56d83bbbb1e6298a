"""What is private: readable with its key, committed to in the log, and gone without."""

from __future__ import annotations

import datetime as dt
import functools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from countenance.database import Database
from countenance.declared import Authorisation, AuthorisationKind, Declared
from countenance.errors import LedgerError
from countenance.keys import Keys
from countenance.ledger.vault import Record, Vault, commitment, private, subject_tag

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
CASE = Record({"case": "2026-117", "reviewers": "Ada\nGrace"})


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def vault() -> Vault:
    return Vault(Keys(bytes(32)))


def found(database: Database, vault: Vault, decision: int) -> Record | None:
    with database.reading() as connection:
        return vault.open(connection, decision)


def test_what_is_put_is_found_and_fits_its_commitments(database: Database, vault: Vault) -> None:
    database.write(lambda c: vault.put(c, 14, CASE, NOW))
    record = found(database, vault, 14)
    assert record == CASE
    assert record.commitments["case"] == commitment(CASE.key, "case", "2026-117")
    assert found(database, vault, 16) is None


def test_one_text_has_another_commitment_in_each_record_and_under_each_name() -> None:
    again = Record(CASE.said)
    made = [record.commitments[name] for record in (CASE, again) for name in record.said]
    assert len(set(made)) == 4
    assert commitment(CASE.key, "a", "b") != commitment(CASE.key, "b", "a")


def test_nothing_readable_is_in_the_database(database: Database, vault: Vault, tmp_path: Path) -> None:
    database.write(lambda c: vault.put(c, 14, CASE, NOW))
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert CASE.key not in stored
    assert not any(text in stored for text in (b"2026-117", b"Ada", b"Grace"))


def test_without_its_key_a_record_is_gone(database: Database, vault: Vault) -> None:
    database.write(lambda c: vault.put(c, 14, CASE, NOW))
    database.write(lambda c: vault.put(c, 16, CASE, NOW))
    assert database.write(lambda c: vault.shred(c, [14, 15])) == 1
    assert found(database, vault, 14) is None
    assert found(database, vault, 16) == CASE


def test_another_homes_master_key_opens_nothing(database: Database, vault: Vault) -> None:
    database.write(lambda c: vault.put(c, 14, CASE, NOW))
    with pytest.raises(LedgerError, match="entry 14 was changed"):
        found(database, Vault(Keys(bytes([1]) * 32)), 14)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE vault SET body = '0'",
        "UPDATE vault SET body = 'text'",
        "UPDATE vault_keys SET key = '0'",
        "UPDATE vault SET decision = 16; UPDATE vault_keys SET decision = 16",
    ],
)
def test_a_record_that_was_changed_or_moved_is_refused(database: Database, vault: Vault, change: str) -> None:
    database.write(lambda c: vault.put(c, 14, CASE, NOW))
    for statement in change.split("; "):
        database.write(functools.partial(Connection.exec_driver_sql, statement=statement))
    with pytest.raises(LedgerError, match="was changed"):
        found(database, vault, 16 if "16" in change else 14)


def test_what_is_private_of_a_declaration() -> None:
    paper = Authorisation("W-1", AuthorisationKind.WARRANT, "a judge", NOW, NOW + dt.timedelta(days=1))
    said = private(
        Declared(
            case="2026-117",
            authorisation=paper,
            evidence="a witness",
            reviewers=frozenset({"Grace", "Ada"}),
            offence="theft",
        )
    )
    assert json.loads(said.pop("authorisation"))["id"] == "W-1"
    assert said == {"case": "2026-117", "evidence": "a witness", "reviewers": "Ada\nGrace"}
    assert private(Declared(offence="theft")) == {}


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**40), st.integers(0, 2**40))
def test_a_subjects_tags_have_eleven_characters_and_no_two_are_alike(
    subject: bytes, one: int, other: int
) -> None:
    tag = subject_tag(subject, one)
    assert len(tag) == 11
    assert (tag == subject_tag(subject, other)) == (one == other)
