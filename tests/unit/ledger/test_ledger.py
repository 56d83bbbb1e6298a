"""Appending and sealing: in batches, beside other processes, and when work is undone."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.engine import Connection
from tests.postgres import ON_SQLITE

from countenance.database import Database
from countenance.errors import LedgerError
from countenance.ledger import KEPT_EVERY, Ledger, Result, Written, _load, outcome_entry
from countenance.ledger.checkpoint import Checkpoint, cosign, sign
from countenance.ledger.checkpoint import verify as open_note
from countenance.ledger.merkle import Frontier, Tree, leaf_hash
from countenance.schema import checkpoints, entries, nodes, witnessed

NOW = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
ORIGIN = "countenance.example/log"
Work = Callable[[Connection], Written]


@pytest.fixture
def home(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def ledger(home: Database) -> Ledger:
    return opened(home)


def opened(database: Database) -> Ledger:
    ledger = Ledger(KEY, ORIGIN)
    database.keep(ledger)
    return ledger


class Full:
    """A journal beside the ledger that keeps every commit from happening."""

    def begin(self, connection: Connection) -> None: ...

    def seal(self, connection: Connection) -> None:
        raise OSError("no space left on device")

    def settled(self) -> None: ...


def together(home: Database, *works: Work) -> list[Written | Exception]:
    """Pieces of work that share one commit, and what each came to."""
    busy, gate = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        busy.set()
        gate.wait(5)

    def run(work: Work) -> Written | Exception:
        try:
            return home.write(work)
        except KeyError as fault:
            return fault

    with ThreadPoolExecutor(len(works) + 1) as pool:
        pool.submit(home.write, hold)
        assert busy.wait(5)
        results = []
        for number, work in enumerate(works, 1):
            results.append(pool.submit(run, work))
            while len(home._waiting) < number:
                time.sleep(0.001)
        gate.set()
        return [result.result() for result in results]


def decision(connection: Connection, ledger: Ledger, **more: object) -> Written:
    return ledger.append(connection, {"v": 1, "kind": "decision", **more})


def write(home: Database, ledger: Ledger, count: int = 1, **more: object) -> list[Written]:
    """So many decisions in one commit."""
    return home.write(lambda c: [decision(c, ledger, **more) for _ in range(count)])


def sizes(home: Database) -> list[int]:
    with home.reading() as connection:
        return list(connection.execute(sa.select(checkpoints.c.size).order_by(checkpoints.c.size)).scalars())


def whole(home: Database, ledger: Ledger) -> int:
    return ledger.verify(home.reading).size


def test_entries_are_numbered_from_nought_and_carry_their_number(home: Database, ledger: Ledger) -> None:
    written = [write(home, ledger, n=n, request="r")[0] for n in range(5)]
    assert [w.seq for w in written] == [0, 1, 2, 3, 4]
    with home.reading() as connection:
        assert ledger.entry(connection, 3) == {
            "v": 1,
            "kind": "decision",
            "n": 3,
            "request": "r",
            "seq": 3,
        }
        bodies = connection.execute(sa.select(entries.c.body).order_by(entries.c.seq)).scalars().all()
    assert bodies[3] == b'{"kind":"decision","n":3,"request":"r","seq":3,"v":1}'
    assert [leaf_hash(body) for body in bodies] == [w.leaf for w in written]


def test_no_hash_of_an_entry_leads_back_to_it(home: Database, ledger: Ledger) -> None:
    """A receipt shows the hashes of neighbours: what an outcome says could be tried, but for its salt."""
    same = [write(home, ledger, n=1)[0] for _ in range(3)]
    with home.reading() as connection:
        salts = {ledger.entry(connection, each.seq)["salt"] for each in same}
    assert [len(salt) for salt in salts] == [16, 16, 16]


def test_every_commit_ends_with_one_signed_head_over_all(home: Database, ledger: Ledger) -> None:
    write(home, ledger, 5)
    tree = Tree(Frontier())
    with home.reading() as connection:
        note = connection.execute(sa.select(checkpoints.c.note)).scalar_one()
        for leaf in connection.execute(sa.select(entries.c.leaf).order_by(entries.c.seq)).scalars():
            tree.append(leaf)
    head = open_note(note, ORIGIN, KEY.public_key())
    assert (head.size, head.root) == (5, tree.root())


def test_a_commit_without_an_entry_signs_nothing(home: Database, ledger: Ledger) -> None:
    home.write(lambda c: None)
    assert sizes(home) == []
    write(home, ledger)
    home.write(lambda c: None)
    assert sizes(home) == [1]


def test_the_newest_head_is_kept_and_one_in_each_thousand(home: Database, ledger: Ledger) -> None:
    for count in (1, 2, KEPT_EVERY, 3, 4, KEPT_EVERY, 1):
        write(home, ledger, count)
    assert sizes(home) == [1, 1003, 2010, 2011]
    assert whole(home, ledger) == 2011


def test_only_complete_subtrees_are_stored_and_leaves_once(home: Database, ledger: Ledger) -> None:
    write(home, ledger, 11)
    with home.reading() as connection:
        stored = connection.execute(sa.select(nodes.c.level, nodes.c.idx)).all()
    assert sorted(map(tuple, stored)) == [(1, n) for n in range(5)] + [(2, 0), (2, 1), (3, 0)]


def test_work_that_raises_is_undone_alone_and_leaves_no_gap(home: Database, ledger: Ledger) -> None:
    def failing(connection: Connection) -> Written:
        decision(connection, ledger, n=-1)
        decision(connection, ledger, n=-2)
        raise KeyError("no")

    first, failed, second = together(
        home, lambda c: decision(c, ledger, n=1), failing, lambda c: decision(c, ledger, n=2)
    )
    assert isinstance(failed, KeyError)
    assert [w.seq for w in (first, second) if isinstance(w, Written)] == [0, 1]
    assert sizes(home) == [1, 2]  # what came before it was done again, and committed by itself
    with pytest.raises(KeyError):
        home.write(failing)
    assert write(home, ledger)[0].seq == 2
    assert whole(home, ledger) == 3


def test_a_commit_that_fails_leaves_the_ledger_ready(home: Database, ledger: Ledger) -> None:
    write(home, ledger)
    home.keep(Full())
    with pytest.raises(OSError, match="no space"):
        write(home, ledger, 3)
    home._journals.pop()
    assert write(home, ledger)[0].seq == 1
    assert whole(home, ledger) == 2


def test_processes_that_share_a_home_append_to_one_log(database_url: str) -> None:
    """Each has its own database handle and its own idea of the tree."""
    homes = [Database(database_url) for _ in range(3)]
    ledgers = [opened(home) for home in homes]

    def work(which: int) -> None:
        for n in range(20):
            write(homes[which], ledgers[which], who=which, n=n)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    assert whole(homes[0], ledgers[0]) == 60
    for home in homes:
        home.close()


def test_a_new_process_goes_on_where_the_last_one_stopped(database_url: str) -> None:
    for n in range(12):
        home = Database(database_url)
        ledger = opened(home)
        assert write(home, ledger)[0].seq == n
        assert whole(home, ledger) == n + 1
        home.close()


def test_a_float_is_refused_and_nothing_is_written(home: Database, ledger: Ledger) -> None:
    with pytest.raises(TypeError, match="score"):
        home.write(lambda c: decision(c, ledger, score=0.5))
    assert sizes(home) == []


def test_reading_an_entry_recomputes_its_leaf(home: Database, ledger: Ledger) -> None:
    home.write(lambda c: [decision(c, ledger, n=n) for n in range(3)])
    forged = json.dumps({"kind": "decision", "n": 9, "seq": 1}).encode()
    home.write(lambda c: c.execute(entries.update().where(entries.c.seq == 1).values(body=forged)))
    with home.reading() as connection:
        assert ledger.entry(connection, 0)["n"] == 0
        with pytest.raises(LedgerError, match="entry 1 was changed") as fault:
            ledger.entry(connection, 1)
        assert fault.value.entry == 1
        with pytest.raises(LedgerError, match="no entry 3"):
            ledger.entry(connection, 3)


def test_reading_an_entry_of_another_type_is_no_other_error(home: Database, ledger: Ledger) -> None:
    write(home, ledger)
    home.write(lambda c: c.exec_driver_sql("UPDATE entries SET body = 'text'"))
    with home.reading() as connection, pytest.raises(LedgerError, match="entry 0 was changed"):
        ledger.entry(connection, 0)


def test_a_tree_that_lost_a_node_it_needs_takes_no_entry(home: Database, ledger: Ledger) -> None:
    write(home, ledger, 4)
    home.write(lambda c: c.execute(nodes.delete().where(nodes.c.level == 2)))
    again = opened_beside(home)
    with pytest.raises(LedgerError, match="level 2"):
        home.write(lambda c: decision(c, again))


@ON_SQLITE
def test_what_the_tree_is_read_from_is_found_by_an_index(home: Database, ledger: Ledger) -> None:
    """A process reads it again whenever another has appended, or one of its own writes failed."""
    write(home, ledger, 11)
    read: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, text: str, values: object, *_: object) -> None:
        read.append((text, values))

    sa.event.listen(home._readers, "before_cursor_execute", note)
    with home.reading() as connection:
        assert _load(connection, 11).size == 11
        [(text, values)] = read
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values).all()
    assert "SEARCH nodes USING INDEX" in str(plan)
    assert "SCAN nodes" not in str(plan)


def test_calls_are_counted_and_those_without_outcome_listed(home: Database, ledger: Ledger) -> None:
    first, second = write(home, ledger, 2)
    home.write(
        lambda c: ledger.append(c, outcome_entry(now=NOW, decision=second.seq, result=Result.INTERRUPTED))
    )
    verified = ledger.verify(home.reading)
    assert (verified.decisions, verified.outcomes, verified.without_outcome) == (2, 1, (first.seq,))


# What somebody without the key wrote into the database


def rewritten(home: Database) -> None:
    """Entry 1 with another body, and every hash over it to match."""
    tree = Tree(Frontier())

    def forge(connection: Connection) -> None:
        for seq, body in connection.execute(sa.select(entries.c.seq, entries.c.body)).all():
            forged = body.replace(b'"n":1', b'"n":9')
            leaf = leaf_hash(forged)
            row = entries.update().where(entries.c.seq == seq)
            connection.execute(row.values(body=forged, leaf=leaf))
            for level, index, value in tree.append(leaf)[1:]:
                node = nodes.update().where(nodes.c.level == level, nodes.c.idx == index)
                connection.execute(node.values(hash=value))

    home.write(forge)


@pytest.fixture
def forger(home: Database, ledger: Ledger) -> Iterator[Database]:
    """Five sealed entries, and a way into the database that the ledger knows nothing of."""
    for n in range(5):
        write(home, ledger, n=n)
    forger = Database(home.url)
    yield forger
    forger.close()


def refused(home: Database, ledger: Ledger, match: str) -> None:
    """Nothing is appended, nothing signed, and other writes of the home fail too."""
    with home.reading() as connection:
        before = (
            connection.execute(sa.select(checkpoints)).all(),
            connection.execute(sa.select(entries)).all(),
        )
    for work in (lambda c: decision(c, ledger), lambda c: None):
        with pytest.raises(LedgerError, match=match):
            home.write(work)
    with home.reading() as connection:
        after = connection.execute(sa.select(checkpoints)).all(), connection.execute(sa.select(entries)).all()
    assert before == after


def test_a_rewritten_history_is_not_signed_by_the_next_process(home: Database, forger: Database) -> None:
    rewritten(forger)
    again = opened(home)
    refused(home, again, "are not those that the newest checkpoint, of size 5,")
    forger.write(lambda c: c.execute(checkpoints.delete()))
    refused(home, again, "no checkpoint covers the 5 entries")


def test_a_head_of_another_key_is_not_believed(home: Database, forger: Database) -> None:
    rewritten(forger)
    forger.write(lambda c: c.execute(checkpoints.delete()))
    with forger.reading() as connection:
        tree = tree_of(connection)
    note = sign(Checkpoint(ORIGIN, 5, tree.root()), Ed25519PrivateKey.generate())
    forger.write(lambda c: c.execute(checkpoints.insert(), {"size": 5, "note": note}))
    refused(home, opened(home), "not signed by this log's key")


def tree_of(connection: Connection) -> Tree:
    tree = Tree(Frontier())
    for leaf in connection.execute(sa.select(entries.c.leaf).order_by(entries.c.seq)).scalars():
        tree.append(leaf)
    return tree


def slip_in(forger: Database) -> None:
    """A sixth entry, with all its nodes."""
    body = b'{"kind":"decision","seq":5}'

    def insert(connection: Connection) -> None:
        tree = tree_of(connection)
        leaf = leaf_hash(body)
        connection.execute(entries.insert(), {"seq": 5, "body": body, "leaf": leaf})
        for level, index, value in tree.append(leaf)[1:]:
            connection.execute(nodes.insert(), {"level": level, "idx": index, "hash": value})

    forger.write(insert)


def test_an_entry_slipped_in_is_not_signed(home: Database, ledger: Ledger, forger: Database) -> None:
    slip_in(forger)
    refused(home, ledger, "the 6 entries")


def test_an_entry_slipped_in_for_one_that_was_undone_is_not_signed(
    home: Database, ledger: Ledger, forger: Database
) -> None:
    """Our tree has grown by one entry that was never committed: the size alone would fit."""

    home.keep(Full())
    with pytest.raises(OSError, match="no space"):
        write(home, ledger)
    home._journals.pop()
    slip_in(forger)
    refused(home, ledger, "the 6 entries")


@ON_SQLITE
def test_a_node_or_a_head_of_another_type_is_no_other_error(home: Database, forger: Database) -> None:
    forger.write(lambda c: c.exec_driver_sql("UPDATE nodes SET hash = 'text'"))
    refused(home, opened(home), "level 2 of the ledger's tree is gone")
    forger.write(lambda c: c.exec_driver_sql("UPDATE checkpoints SET note = x'00'"))
    refused(home, opened(home), "gone|not text")


def test_a_running_process_does_not_go_back_to_an_older_head(
    home: Database, ledger: Ledger, forger: Database
) -> None:
    """Everything fits as of the first entry: only who knows that there were more can tell."""
    forger.write(lambda c: c.execute(entries.delete().where(entries.c.seq > 0)))
    forger.write(lambda c: c.execute(nodes.delete()))
    forger.write(lambda c: c.execute(checkpoints.delete().where(checkpoints.c.size > 1)))
    refused(home, ledger, "put back: it holds 1 entries where 5 were durable")
    assert write(home, opened_beside(home))[0].seq == 1  # a new process cannot know


def put_back(home: Database, ledger: Ledger) -> None:
    """What was there before the newest entry, a refusal's say, in the place of what is there with it."""
    recorded = (entries, nodes, checkpoints)
    with home.reading() as connection:
        rows = {table: connection.execute(sa.select(table)).all() for table in recorded}
    write(home, ledger)
    intruder = sa.create_engine(home.url)
    with intruder.begin() as connection:
        for table, before in rows.items():
            connection.execute(table.delete())
            connection.execute(table.insert(), [row._asdict() for row in before])
    intruder.dispose()


def test_a_running_process_misses_even_the_newest_commit(home: Database, ledger: Ledger) -> None:
    write(home, ledger, 5)
    put_back(home, ledger)
    with pytest.raises(LedgerError, match="put back: it holds 5 entries where 6 were durable"):
        write(home, ledger)


def test_a_running_process_does_not_follow_another_that_went_on_from_a_copy(
    home: Database, ledger: Ledger
) -> None:
    write(home, ledger, 5)
    put_back(home, ledger)
    beside = Database(home.url)
    try:
        write(beside, opened(beside), 4, n=1)  # a new process cannot know
    finally:
        beside.close()
    for _ in range(2):
        with pytest.raises(LedgerError, match="put back, and went on: its first 6 entries are not"):
            write(home, ledger)


def opened_beside(home: Database) -> Ledger:
    home._journals.clear()
    return opened(home)


def test_work_undone_after_other_work_leaves_that_in_the_tree(home: Database, ledger: Ledger) -> None:
    def failing(connection: Connection) -> Written:
        for n in range(3):
            decision(connection, ledger, n=-n)
        raise KeyError("no")

    def working(connection: Connection) -> Written:
        return decision(connection, ledger)

    write(home, ledger, 3)
    together(home, working, failing, working, failing, failing, working, working)
    assert whole(home, ledger) == 7


def test_a_successor_whose_handover_was_undone_signs_nothing(home: Database, ledger: Ledger) -> None:
    def failing(connection: Connection) -> Written:
        ledger.hand_over(connection, Ed25519PrivateKey.generate(), NOW)
        raise KeyError("no")

    write(home, ledger)
    for _ in range(2):
        with pytest.raises(KeyError):
            home.write(failing)
    assert write(home, ledger)[0].seq == 1
    assert whole(home, ledger) == 2


def test_decisions_without_an_outcome_are_told_from_all_else(home: Database, ledger: Ledger) -> None:
    first, second, third = write(home, ledger, 3)
    home.write(
        lambda c: ledger.append(c, outcome_entry(now=NOW, decision=second.seq, result=Result.ANSWERED))
    )
    with home.reading() as connection:
        assert ledger.outcomes(connection, []) == {}
        assert ledger.outcomes(connection, [-1, 3, 4, 10**9]) == {}
        assert ledger.outcomes(connection, range(-1, 6)) == {first.seq: None, second.seq: 3, third.seq: None}
        assert ledger.outcomes(connection, [third.seq]) == {third.seq: None}
    home.write(lambda c: c.execute(entries.update().where(entries.c.seq == 0).values(body=b"{}")))
    with home.reading() as connection, pytest.raises(LedgerError, match="entry 0 was changed"):
        ledger.outcomes(connection, [0])


def test_an_empty_ledger_has_no_unfinished_decision(home: Database, ledger: Ledger) -> None:
    with home.reading() as connection:
        assert ledger.outcomes(connection, [0]) == {}


def test_verifying_holds_no_snapshot_open_while_it_computes(home: Database, ledger: Ledger) -> None:
    """A deletion must not wait for a long ledger to be read: what is written meanwhile is left for later."""
    write(home, ledger, 20)
    sizes = []

    def told(_done: int, _total: int) -> None:
        assert home.scrub(patience=0)
        sizes.append(write(home, ledger)[0].seq)

    assert ledger.verify(home.reading, told).size == 20
    assert sizes == [20]


# Heads that witnesses signed


def test_an_entry_is_proven_under_a_witnessed_head_where_one_covers_it(
    home: Database, ledger: Ledger
) -> None:
    write(home, ledger, 3)
    with home.reading() as connection:
        note = connection.execute(sa.select(checkpoints.c.note)).scalar_one()
    signed = note + cosign(note, "witness.example/w1", KEY, 1)
    write(home, ledger, 2)
    home.write(lambda c: c.execute(witnessed.insert(), {"size": 3, "note": signed}))
    with home.reading() as connection:
        assert ledger.prove(connection, [2]).note == signed
        assert open_note(ledger.prove(connection, [3]).note, ORIGIN, KEY.public_key()).size == 5


def test_a_head_witnessed_before_the_key_was_changed_does_not_hinder_proofs(
    home: Database, ledger: Ledger
) -> None:
    write(home, ledger, 3)
    with home.reading() as connection:
        note = connection.execute(sa.select(checkpoints.c.note)).scalar_one()
    home.write(lambda c: c.execute(witnessed.insert(), {"size": 3, "note": note}))
    successor = Ed25519PrivateKey.generate()
    home.write(lambda c: ledger.hand_over(c, successor, NOW))
    write(home, ledger)
    with home.reading() as connection:
        proven = ledger.prove(connection, [0])
    assert open_note(proven.note, ORIGIN, successor.public_key()).size == 5
