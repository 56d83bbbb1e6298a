"""Kills and power cuts on the bare ledger. `make soak` does it a thousand times."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import sqlalchemy as sa

from countenance.database import Database
from countenance.schema import checkpoints, entries
from tests.door import kills


def test_twenty_kills_lose_nothing_and_no_head_is_ahead_of_the_disk(database_url: str) -> None:
    chance, acknowledged = random.Random(5), 0
    for _ in range(20):
        said = kills.killed(database_url, chance.uniform(0, 0.08))
        kills.check(database_url, said)
        acknowledged += len(said)
    assert kills.verified(database_url).size >= acknowledged >= 20


def test_a_power_cut_anywhere_in_a_write_leaves_a_record_that_verifies(tmp_path: Path) -> None:
    """What a disk holds after one is the file and some beginning of the log beside it."""
    home = tmp_path / "home.db"
    kills.killed(f"sqlite:///{home}", 0.4)
    wal = home.with_name("home.db-wal").read_bytes()
    assert len(wal) > 4096
    chance, sizes = random.Random(7), set()
    for number in range(30):
        cut = tmp_path / str(number) / "home.db"
        cut.parent.mkdir()
        shutil.copy(home, cut)
        cut.with_name("home.db-wal").write_bytes(wal[: chance.randrange(len(wal))])
        url = f"sqlite:///{cut}"
        if tables(url):
            sizes.add(kills.verified(url).size)
    assert len(sizes) > 2  # the cuts fell into different commits


def tables(url: str) -> bool:
    """Whether the cut was after the tables were made, and the first entry written."""
    engine = sa.create_engine(url)
    try:
        if not sa.inspect(engine).has_table(checkpoints.name):
            return False
    finally:
        engine.dispose()
    database = Database(url)
    try:
        with database.reading() as connection:
            return bool(connection.execute(sa.select(sa.func.count()).select_from(entries)).scalar_one())
    finally:
        database.close()
