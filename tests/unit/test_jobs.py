"""Jobs and leases: one worker at a time, results once, whatever becomes of workers."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from countenance import jobs, leases, results, schema
from countenance.database import Database
from countenance.errors import StorageError
from countenance.jobs import Job, State
from countenance.leases import Cancelled, Lease, Lost, Overdue, Stopped, TooMuch
from countenance.results import Finding, Order

START = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
ACCOUNT = "111122223333"


@dataclass
class Clock:
    now: dt.datetime = START

    def __call__(self) -> dt.datetime:
        return self.now

    def go(self, **span: float) -> None:
        self.now += dt.timedelta(**span)


@dataclass
class Home:
    """A database with a clock that only tests move."""

    database: Database
    clock: Clock = field(default_factory=Clock)
    stopping: threading.Event = field(default_factory=threading.Event)
    most: int = 10**6
    decisions: int = 7

    def add(self, name: str = "a", account: str = ACCOUNT, topic: str = "", token: str | None = None) -> None:
        values = {"asked": b"sealed", "question": b"mac", "started": 7, "created": self.clock().timestamp()}
        self.database.write(
            lambda connection: jobs.add(
                connection,
                job_id=name,
                account=account,
                key="CNTKEY",
                operation="StartFaceDetection",
                topic=topic,
                token=token,
                **values,
            )
        )

    def take(self, worker: str = "one") -> Lease | None:
        job = self.database.write(lambda connection: jobs.take(connection, worker, self.clock()))
        return None if job is None else self.lease(job)

    def lease(self, job: Job) -> Lease:
        return Lease(self.database, job, self.clock, self.stopping.is_set, dt.timedelta(hours=1), self.most)

    def begun(self, worker: str = "one") -> Lease:
        """The next job, under the next decision: 8 is the first."""
        lease = self.take(worker)
        assert lease is not None
        self.decisions += 1
        self.database.write(lambda connection: lease.began(connection, self.decisions))
        return lease

    def end(self, lease: Lease, state: State = State.SUCCEEDED, message: str = "") -> None:
        self.database.write(lambda connection: lease.ended(connection, state, message, "{}"))

    def job(self, name: str = "a") -> Job:
        with self.database.reading() as connection:
            found = jobs.find(connection, ACCOUNT, name)
        assert found is not None
        return found

    def found(self, name: str = "a", order: Order = Order.TIME) -> list[Finding]:
        with self.database.reading() as connection:
            return jobs.found(connection, self.job(name), 0, 10_000, order)

    def pages(self) -> list[int]:
        """Of each page that is stored, the decision."""
        with self.database.reading() as connection:
            return list(connection.execute(sa.select(schema.findings.c.decision)).scalars())


@pytest.fixture
def home(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setattr(results, "LINES", 2)
    database = Database(database_url)
    yield Home(database)
    database.close()


def lines(*at: int, person: int = 0) -> list[Finding]:
    return [Finding(each, f'{{"at":{each}}}', person) for each in at]


def test_a_job_is_taken_once_worked_on_and_shown(home: Home) -> None:
    home.add()
    lease = home.begun()
    assert home.take("two") is None
    lease.tell(0.5, lines(0, 200))
    assert home.job().done == 0.5
    lease.tell(0.9, lines(400))
    lease.renew()
    assert home.job().done == 0.9
    assert home.found() == lines(0, 200)
    lease.tell(found=lines(600, 800))
    home.end(lease)
    assert home.found() == lines(0, 200, 400, 600, 800)
    assert len(home.pages()) == 3
    job = home.job()
    assert (job.state, job.attempts, job.worker, job.decision, job.ended) == (
        State.SUCCEEDED,
        1,
        None,
        8,
        home.clock().timestamp(),
    )
    assert home.take() is None


def test_the_one_that_has_waited_longest_comes_first(home: Home) -> None:
    for name in ("a", "b", "c"):
        home.add(name)
    assert [home.begun().job.job_id for _ in range(3)] == ["a", "b", "c"]


def test_the_dead_workers_job_begins_anew_and_the_slow_one_can_write_nothing(home: Home) -> None:
    home.add()
    slow = home.begun("slow")
    home.clock.go(seconds=4)
    slow.tell(0.3, lines(0, 200))
    home.clock.go(seconds=59)
    assert home.take("quick") is None
    home.clock.go(seconds=2)
    quick = home.begun("quick")
    assert (quick.job.attempts, quick.job.decision) == (2, 8)
    assert home.found() == []
    assert home.pages() == [8]
    assert results.sweep(home.database)
    assert home.pages() == []
    with pytest.raises(Lost):
        slow.tell(0.6, lines(400, 600))
    with pytest.raises(Lost):
        slow.renew()
    with pytest.raises(Lost):
        home.end(slow)
    quick.tell(1.0, lines(0, 200, 400))
    home.end(quick)
    assert home.found() == lines(0, 200, 400)
    with pytest.raises(Lost):
        home.end(slow, State.FAILED)
    assert home.job().state is State.SUCCEEDED


def test_a_job_that_ends_its_worker_every_time_is_given_up(home: Home) -> None:
    home.add(topic="arn:aws:sns:us-east-1:111122223333:ends")
    for _ in range(jobs.ATTEMPTS):
        home.begun()
        home.clock.go(seconds=61)
    assert home.take() is None
    given_up = home.database.write(lambda connection: jobs.give_up(connection, home.clock()))
    assert [(job.job_id, job.decision) for job in given_up] == [("a", 10)]
    job = home.job()
    assert (job.state, job.message) == (
        State.FAILED,
        "given up after 3 attempts: each time its worker ended, or could write no more, while it was at it",
    )
    assert job.notice_at == home.clock().timestamp()


def test_a_job_whose_database_refused_waits_a_while_and_says_why_it_is_given_up(home: Home) -> None:
    home.add()
    for wait in (60, 600, 600):
        lease = home.begun()
        home.end(lease, State.WAITING, "the disk is full")
        assert (home.job().state, home.job().message) == (State.WAITING, "the disk is full")
        home.clock.go(seconds=wait - 1)
        assert home.take() is None
        assert home.database.write(lambda connection: jobs.give_up(connection, home.clock())) == []
        home.clock.go(seconds=1)
    assert home.take() is None
    home.database.write(lambda connection: jobs.give_up(connection, home.clock()))
    assert home.job().message == "given up after 3 attempts: the disk is full"


def test_a_job_at_work_keeps_its_worker_however_little_the_work_says(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread renews the lease, and learns whether the job was cancelled; another worker gets nothing."""
    monkeypatch.setattr(leases, "RENEWED", dt.timedelta(milliseconds=5))
    home.add()
    lease = home.begun()

    def until() -> float:
        with home.database.reading() as connection:
            return float(connection.execute(sa.select(schema.jobs.c.until)).scalar_one())

    def wait(for_what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not for_what():
            assert time.monotonic() < deadline
            time.sleep(0.002)

    with lease.renewing():
        for _ in range(jobs.ATTEMPTS + 1):
            home.clock.go(seconds=59)
            wait(lambda: until() == (home.clock() + jobs.LEASE).timestamp())
            assert home.take("two") is None
            assert home.database.write(lambda connection: jobs.give_up(connection, home.clock())) == []
        job = home.job()
        home.database.write(lambda connection: jobs.cancel(connection, job, home.clock()))

        def told() -> bool:
            try:
                lease.tell()
            except Cancelled:
                return True
            return False

        wait(told)


def test_a_stuck_worker_loses_its_job_once_its_time_is_over(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RENEWED", dt.timedelta(milliseconds=5))
    home.add()
    lease = home.begun()
    with lease.renewing():
        home.clock.go(hours=1, seconds=61)
        time.sleep(0.05)
        assert home.take("two") is not None


def test_a_database_that_refuses_for_a_while_costs_no_lease(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(leases, "RENEWED", dt.timedelta(milliseconds=5))
    home.add()
    lease = home.begun()
    write, tries = home.database.write, 0

    def refuses(*work: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries <= 3:
            raise StorageError("the disk is full")
        return write(*work)

    monkeypatch.setattr(home.database, "write", refuses)
    home.clock.go(seconds=30)
    with lease.renewing():
        deadline = time.monotonic() + 10
        while tries <= 4:
            assert time.monotonic() < deadline
            time.sleep(0.002)
    home.clock.go(seconds=59)
    assert home.take("two") is None
    assert "was not renewed: the disk is full" in caplog.text


def test_more_than_a_job_may_keep_is_a_failure_that_says_what_to_do(home: Home) -> None:
    home.add()
    home.most = 200
    lease = home.begun()
    lease.tell(found=lines(0, 200))
    with pytest.raises(TooMuch, match=r"more than the 0.0002 MB .* for a shorter clip") as fault:
        lease.tell(found=lines(*range(0, 40_000, 200)))
    home.end(lease, State.FAILED, fault.value.message)
    results.sweep(home.database)
    assert (home.job().state, home.pages()) == (State.FAILED, [])
    home.add("b")
    lease = home.begun()
    with pytest.raises(TooMuch):  # what belongs to every page counts too
        home.database.write(lambda connection: lease.ended(connection, State.SUCCEEDED, "", "x" * 201))


def test_what_the_jobs_of_an_organisation_keep_is_counted(home: Home) -> None:
    home.add()
    lease = home.begun()
    lease.tell(found=lines(0, 200, 400))
    home.end(lease)

    def stored() -> int:
        with home.database.reading() as connection:
            return jobs.stored(connection, ACCOUNT)

    with home.database.reading() as connection:
        bodies = connection.execute(sa.select(schema.findings.c.body)).scalars().all()
    assert stored() == sum(map(len, bodies)) + len("{}")
    home.clock.go(days=7)
    home.database.write(lambda connection: jobs.expire(connection, ACCOUNT, home.clock(), 10))
    assert stored() == 0


def test_what_is_discarded_goes_in_slices(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's write waits for one slice at most."""
    monkeypatch.setattr(results, "SLICE", 2)
    home.add()
    home.add("b")
    lease = home.begun()
    lease.tell(found=lines(*range(20)))
    lease.tell(found=lines(*range(20)), order=Order.PERSON)
    other = home.begun()
    other.tell(found=lines(0, 1))
    job = home.job()
    assert home.database.write(lambda connection: jobs.cancel(connection, job, home.clock()))
    assert len(home.pages()) == 21
    left = []
    write = home.database.write

    def counted(work: Any) -> Any:
        done = write(work)
        left.append(len(home.pages()))
        return done

    monkeypatch.setattr(home.database, "write", counted)
    assert results.sweep(home.database)
    assert left[:10] == [19, 17, 15, 13, 11, 9, 7, 5, 3, 1]
    assert home.pages() == [9]
    assert not results.sweep(home.database)
    with home.database.reading() as connection:
        assert connection.execute(sa.select(schema.discarded)).all() == []


def test_organisations_take_turns(home: Home) -> None:
    for name in ("a", "b", "c"):
        home.add(name)
    home.add("x", account="999999999999")
    home.add("y", account="999999999999")
    home.add("z", account="888888888888")
    taken = []
    for _ in range(6):
        taken.append(home.begun().job.job_id)
        home.clock.go(seconds=1)
    assert taken == ["a", "x", "z", "b", "y", "c"]


def test_a_job_that_no_worker_takes_is_over_some_day(home: Home) -> None:
    home.add("a")
    home.clock.go(days=6)
    home.add("b")
    home.clock.go(days=1)
    assert home.database.write(lambda connection: jobs.time_out(connection, home.clock())) == 1
    job = home.job("a")
    assert (job.state, job.message, home.job("b").state) == (
        State.TIMED_OUT,
        "no worker took it in 7 days",
        State.WAITING,
    )
    assert job.ended == home.clock().timestamp()


def test_who_asks_for_what_is_current_does_not_see_what_ended_before(home: Home) -> None:
    home.add("a")
    home.add("b")
    home.end(home.begun())
    home.clock.go(days=7)
    since = home.clock() - jobs.KEPT
    with home.database.reading() as connection:
        assert jobs.find(connection, ACCOUNT, "a") is not None
        assert jobs.find(connection, ACCOUNT, "a", since=since) is None
        assert [job.job_id for job in jobs.page(connection, ACCOUNT, 0, 10, since=since)] == ["b"]


def test_a_worker_that_stops_leaves_the_job_to_others_and_costs_it_no_attempt(home: Home) -> None:
    home.add()
    for _ in range(jobs.ATTEMPTS + 1):
        lease = home.begun()
        lease.tell(0.5, lines(0, 1))
        home.stopping.set()
        with pytest.raises(Stopped):
            lease.tell(0.6)
        home.end(lease, State.WAITING)
        home.stopping.clear()
        results.sweep(home.database)
        assert (home.job().state, home.job().attempts, home.found()) == (State.WAITING, 0, [])


def test_a_cancelled_job_is_told_so_at_its_next_word(home: Home) -> None:
    home.add()
    lease = home.begun()
    lease.tell(0.1, lines(0, 1))
    job = home.job()
    assert home.database.write(lambda connection: jobs.cancel(connection, job, home.clock()))
    assert not home.database.write(lambda connection: jobs.cancel(connection, job, home.clock()))
    with pytest.raises(Cancelled):
        lease.tell(0.2, lines(200, 400))
    results.sweep(home.database)
    assert (home.job().state, home.found()) == (State.CANCELLED, [])


def test_a_waiting_job_can_be_cancelled_too(home: Home) -> None:
    home.add()
    job = home.job()
    assert home.database.write(lambda connection: jobs.cancel(connection, job, home.clock()))
    assert home.take() is None


def test_an_attempt_that_takes_too_long_is_over(home: Home) -> None:
    home.add()
    lease = home.begun()
    home.clock.go(minutes=59)
    lease.tell(0.5)
    home.clock.go(minutes=1)
    with pytest.raises(Overdue) as over:
        lease.tell(0.6)
    assert over.value.state is State.TIMED_OUT


def test_results_by_person_keep_the_order_of_time(home: Home) -> None:
    home.add()
    lease = home.begun()
    for at in (0, 200, 400):
        lease.tell(found=[*lines(at, person=0), *lines(at, person=1)])
    for person in (0, 1):
        lease.tell(found=lines(0, 200, 400, person=person), order=Order.PERSON)
    home.end(lease)
    assert [(each.person, each.at) for each in home.found(order=Order.PERSON)] == [
        (person, at) for person in (0, 1) for at in (0, 200, 400)
    ]
    for order in (Order.TIME, Order.PERSON):
        every = home.found(order=order)
        for start in range(7):
            for limit in range(1, 5):
                with home.database.reading() as connection:
                    some = jobs.found(connection, home.job(), start, limit, order)
                assert some == every[start : start + limit]


def test_another_organisation_finds_nothing(home: Home) -> None:
    home.add("a")
    home.add("b", account="999999999999")
    with home.database.reading() as connection:
        assert jobs.find(connection, ACCOUNT, "b") is None
        assert jobs.find(connection, ACCOUNT, "a", "StartFaceSearch") is None
        assert [job.job_id for job in jobs.page(connection, ACCOUNT, 0, 10)] == ["a"]
        assert jobs.unfinished(connection, ACCOUNT) == 1


def test_a_token_stands_for_its_job_for_seven_days(home: Home) -> None:
    home.add(token="once")

    def known() -> Job | None:
        with home.database.reading() as connection:
            return jobs.with_token(connection, ACCOUNT, "StartFaceDetection", "once", home.clock())

    home.clock.go(days=6, hours=23)
    assert known() == home.job()
    home.clock.go(hours=1)
    assert known() is None


def test_what_ended_is_forgotten_with_all_it_found_and_what_waits_is_not(home: Home) -> None:
    home.add("a")
    home.add("b")
    lease = home.begun()
    lease.tell(found=lines(0))
    home.end(lease)
    assert home.pages() == [8]
    home.clock.go(days=7)
    gone = home.database.write(lambda connection: jobs.expire(connection, ACCOUNT, home.clock(), 10))
    assert gone == 1
    results.sweep(home.database)
    assert home.pages() == []
    with home.database.reading() as connection:
        assert [job.job_id for job in jobs.page(connection, ACCOUNT, 0, 10)] == ["b"]


def test_the_end_is_told_until_it_is_heard_or_nobody_listens(home: Home) -> None:
    home.add(topic="arn")
    home.add("b")
    for _ in range(2):
        home.end(home.begun())

    def to_tell() -> Job | None:
        return home.database.write(lambda connection: jobs.to_tell(connection, home.clock()))

    waits = []
    for _ in range(jobs.NOTICES):
        job = to_tell()
        assert job is not None
        assert job.job_id == "a"
        assert to_tell() is None  # another worker does not tell it meanwhile
        home.database.write(partial(jobs.told, job=job, now=home.clock(), error="no answer"))
        again = home.job().notice_at
        if again is not None:
            waits.append(again - home.clock().timestamp())
            home.clock.go(seconds=waits[-1])
    assert waits == [5, 30, 120, 600, *[3600] * 19]
    assert to_tell() is None
    assert (home.job().notice_error, home.job().noticed) == ("no answer", jobs.NOTICES)


def test_the_end_that_is_heard_is_told_once(home: Home) -> None:
    home.add(topic="arn")
    home.end(home.begun())
    job = home.database.write(lambda connection: jobs.to_tell(connection, home.clock()))
    assert job is not None
    home.database.write(lambda connection: jobs.told(connection, job, home.clock()))
    home.clock.go(days=1)
    assert home.database.write(lambda connection: jobs.to_tell(connection, home.clock())) is None


def _work_until_killed(url: str, ready: str) -> None:
    database = Database(url)
    clock = Clock()
    job = database.write(lambda connection: jobs.take(connection, "doomed", clock()))
    assert job is not None
    lease = Lease(database, job, clock, lambda: False, dt.timedelta(hours=1), 10**6)
    results.LINES = 2
    database.write(lambda connection: lease.began(connection, 8))
    at = 0
    while True:
        lease.tell(0.5, lines(at))
        at += 200
        if at == 1000:
            Path(ready).touch()


@pytest.mark.parametrize("_", range(3))
def test_kill_9_in_the_middle_and_the_results_are_there_once(home: Home, tmp_path: Path, _: int) -> None:
    home.add()
    ready = tmp_path / "ready"
    child = multiprocessing.get_context("spawn").Process(
        target=_work_until_killed, args=(home.database.url.render_as_string(hide_password=False), str(ready))
    )
    child.start()
    while not ready.exists():
        child.join(0.01)
        assert child.is_alive()
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    child.close()
    assert len(home.found()) >= 4
    home.clock.go(days=1)
    home.decisions = 8
    lease = home.begun("next")
    lease.tell(1.0, lines(0, 200, 400))
    home.end(lease)
    assert home.found() == lines(0, 200, 400)
    assert home.job().attempts == 2
    results.sweep(home.database)
    assert set(home.pages()) == {9}
