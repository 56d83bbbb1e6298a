from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.engine import Connection

from countenance.database import Database
from countenance.errors import HomeError
from countenance.keys import DAY, Count, Key, Keys, Organisation
from countenance.schema import keys as rows
from countenance.types import OrganisationKind
from tests.postgres import ON_SQLITE

MASTER = bytes(range(32))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def keys() -> Keys:
    return Keys(MASTER)


@pytest.fixture
def archive(database: Database, keys: Keys) -> Organisation:
    return database.write(lambda c: keys.register(c, "City archive", OrganisationKind.ARCHIVE, "DE"))


def test_a_key_is_found_with_its_holder(database: Database, keys: Keys, archive: Organisation) -> None:
    key, secret = database.write(lambda c: keys.issue(c, archive, "archive-research"))
    with database.reading() as connection:
        found = keys.find(connection, key.access_key_id)
    assert found is not None
    caller, same = found
    assert same == secret
    assert (caller.account, caller.kind, caller.place) == (archive.account, OrganisationKind.ARCHIVE, "DE")
    assert (caller.purpose, caller.key) == ("archive-research", key.access_key_id)
    assert len(archive.account) == 12
    assert archive.account.isdigit()


def test_a_key_knows_what_it_may_be_for(database: Database, keys: Keys) -> None:
    def make(connection: Connection) -> tuple[Key, str]:
        thorn = keys.register(connection, "Thorn", OrganisationKind.NGO, "US", {"child-protection"})
        return keys.issue(
            connection, thorn, "missing-persons", ["trafficking-victims", "research"], policy_owner=True
        )

    key, _ = database.write(make)
    with database.reading() as connection:
        found = keys.find(connection, key.access_key_id)
        assert keys.list(connection) == [key]
    assert found is not None
    assert found[0].purposes == {"missing-persons", "trafficking-victims", "research"}
    assert found[0].purpose == "missing-persons"
    assert found[0].groups == {"child-protection"}
    assert found[0].policy_owner


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE keys SET policy_owner = 0",
        "UPDATE keys SET purposes = ''",
        'UPDATE keys SET purposes = \'["research", "mass-surveillance"]\'',
        "UPDATE organisations SET groups = ''",
    ],
)
def test_what_a_key_is_for_is_in_its_seal(database: Database, keys: Keys, change: str) -> None:
    def make(connection: Connection) -> tuple[Key, str]:
        thorn = keys.register(connection, "Thorn", OrganisationKind.NGO, "US", {"child-protection"})
        return keys.issue(connection, thorn, None, ["research"], policy_owner=True)

    key, _ = database.write(make)
    database.write(lambda c: c.exec_driver_sql(change))
    with database.reading() as connection:
        assert keys.find(connection, key.access_key_id) is None


def test_a_key_sealed_before_there_were_groups_and_purposes_opens(
    database: Database, keys: Keys, archive: Organisation
) -> None:
    """Its seal names key, account, kind, place and purpose, and no more."""
    key, secret = database.write(lambda c: keys.issue(c, archive, "research"))
    old = AESGCM(keys._derive(MASTER, "api-key-secrets"))
    holder = [key.access_key_id, archive.account, "archive", "DE", "research"]
    sealed = bytes(12) + old.encrypt(bytes(12), secret.encode(), json.dumps(holder).encode())
    database.write(lambda c: c.execute(rows.update().values(secret=sealed)))
    with database.reading() as connection:
        found = keys.find(connection, key.access_key_id)
    assert found is not None
    assert found[0].purposes == {"research"}
    assert found[1] == secret


def test_a_revoked_key_is_nobodys(database: Database, keys: Keys, archive: Organisation) -> None:
    key, _ = database.write(lambda c: keys.issue(c, archive, None))
    assert database.write(lambda c: keys.revoke(c, key.access_key_id))
    assert not database.write(lambda c: keys.revoke(c, key.access_key_id))
    with database.reading() as connection:
        assert keys.find(connection, key.access_key_id) is None
        [listed] = keys.list(connection)
    assert listed.revoked is not None


def test_the_database_alone_opens_nothing(
    database: Database, keys: Keys, archive: Organisation, tmp_path: Path
) -> None:
    key, secret = database.write(lambda c: keys.issue(c, archive, None))
    on_disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert secret.encode() not in on_disk
    with database.reading() as connection:
        assert Keys(bytes(32)).find(connection, key.access_key_id) is None


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE organisations SET kind = 'business'",
        "UPDATE organisations SET kind = 'nonsense'",
        "UPDATE organisations SET kind = x'00'",
        "UPDATE organisations SET place = 'US-CA'",
        "UPDATE keys SET purpose = 'general'",
        "UPDATE keys SET purpose = NULL",
        "UPDATE keys SET account = (SELECT account FROM organisations WHERE name = 'Other')",
        "UPDATE keys SET access_key_id = 'CNTOTHER'",
        "UPDATE keys SET secret = ''",
        "UPDATE keys SET secret = '12345678901234567890123456789012345678901234567890123456789012345678'",
        "UPDATE keys SET policy_owner = 1",
        "UPDATE keys SET purposes = '[\"general\"]'",
        "UPDATE keys SET purposes = x'00'",
        "UPDATE organisations SET groups = '[\"child-protection\"]'",
        "UPDATE organisations SET groups = 'nonsense'",
    ],
)
def test_a_key_whose_holder_was_changed_in_the_database_is_nobodys(
    database: Database, keys: Keys, archive: Organisation, change: str
) -> None:
    nobodys_after(change, database, keys, archive)


@ON_SQLITE
@pytest.mark.parametrize("value", ["zeroblob(68)", "x''", "'text'", "7"])
def test_a_secret_of_any_type_opens_nothing(
    database: Database, keys: Keys, archive: Organisation, value: str
) -> None:
    nobodys_after(f"UPDATE keys SET secret = {value}", database, keys, archive)


def nobodys_after(change: str, database: Database, keys: Keys, archive: Organisation) -> None:
    key, _ = database.write(lambda c: keys.issue(c, archive, "archive-research"))
    database.write(lambda c: keys.register(c, "Other", OrganisationKind.ARCHIVE, "DE"))
    database.write(lambda c: c.exec_driver_sql(change))
    with database.reading() as connection:
        assert keys.find(connection, key.access_key_id) is None
        assert keys.find(connection, "CNTOTHER") is None
        with pytest.raises(HomeError, match=r"master\.key"):
            keys.unusable(connection)


def test_the_keys_that_were_changed_are_told_from_the_others(
    database: Database, keys: Keys, archive: Organisation
) -> None:
    with database.reading() as connection:
        assert keys.unusable(connection) == []
    (bad, _), (good, _) = [database.write(lambda c: keys.issue(c, archive, None)) for _ in range(2)]
    changed = rows.update().where(rows.c.access_key_id == bad.access_key_id).values(purpose="general")
    database.write(lambda c: c.execute(changed))
    with database.reading() as connection:
        assert keys.unusable(connection) == [bad.access_key_id]
        assert keys.find(connection, good.access_key_id) is not None


def test_a_key_sealed_before_seals_named_the_holder_is_nobodys(
    database: Database, keys: Keys, archive: Organisation
) -> None:
    key, secret = database.write(lambda c: keys.issue(c, archive, None))
    old = AESGCM(keys._derive(MASTER, "api-key-secrets"))
    sealed = bytes(12) + old.encrypt(bytes(12), secret.encode(), key.access_key_id.encode())
    database.write(lambda c: c.execute(rows.update().values(secret=sealed)))
    with database.reading() as connection:
        assert keys.find(connection, key.access_key_id) is None


def test_a_revoked_key_does_not_come_back_with_its_mark(
    database: Database, keys: Keys, archive: Organisation
) -> None:
    key, _ = database.write(lambda c: keys.issue(c, archive, None))
    database.write(lambda c: keys.revoke(c, key.access_key_id))
    database.write(lambda c: c.execute(rows.update().values(revoked=None)))
    with database.reading() as connection:
        assert keys.find(connection, key.access_key_id) is None


def test_an_organisation_of_no_kind_is_said(database: Database, keys: Keys, archive: Organisation) -> None:
    database.write(lambda c: c.exec_driver_sql("UPDATE organisations SET kind = 'nonsense'"))
    with database.reading() as connection, pytest.raises(HomeError, match=archive.account):
        keys.organisations(connection)


def test_pseudonyms_and_tokens_are_this_homes(keys: Keys) -> None:
    assert keys.pseudonym("AKIA") == keys.pseudonym("AKIA") != Keys(bytes(32)).pseudonym("AKIA")
    assert keys.token(b"page") != Keys(bytes(32)).token(b"page")


def test_a_damaged_master_key_is_named() -> None:
    with pytest.raises(HomeError, match=r"master\.key"):
        Keys(b"short")


def test_calls_are_counted_by_day_against_the_quota(
    database: Database, keys: Keys, archive: Organisation
) -> None:
    key, _ = database.write(lambda c: keys.issue(c, archive, "archive-research", quota=2))

    def counted(now: float) -> Count:
        return database.write(lambda c: keys.count(c, key.access_key_id, now))

    found = [counted(5 * DAY + 1), counted(6 * DAY - 1), counted(6 * DAY - 1)]
    assert found == [(1, 1, 2), (2, 2, 2), (3, 3, 2)]
    assert [count.spent for count in found] == [None, None, 2]
    assert counted(6 * DAY) == (4, 1, 2)
    limited = database.write(lambda c: keys.limit(c, key.access_key_id, None))
    assert limited is not None
    assert (limited.quota, limited.calls, limited.used_on(6 * DAY), limited.used_on(7 * DAY)) == (
        None,
        4,
        1,
        0,
    )
    assert counted(6 * DAY).quota is None
    assert database.write(lambda c: keys.limit(c, "CNTNOBODY", 5)) is None
