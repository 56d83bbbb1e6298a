from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag

from countenance.database import Database
from countenance.errors import HomeError
from countenance.keys import Keys, Organisation
from countenance.types import OrganisationKind

MASTER = bytes(range(32))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/house.db")
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
    with database.reading() as connection, pytest.raises(InvalidTag):
        Keys(bytes(32)).find(connection, key.access_key_id)


def test_pseudonyms_and_tokens_are_this_homes(keys: Keys) -> None:
    assert keys.pseudonym("AKIA") == keys.pseudonym("AKIA") != Keys(bytes(32)).pseudonym("AKIA")
    assert keys.token(b"page") != Keys(bytes(32)).token(b"page")


def test_a_damaged_master_key_is_named() -> None:
    with pytest.raises(HomeError, match=r"master\.key"):
        Keys(b"short")
