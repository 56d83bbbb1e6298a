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

import pytest
import sqlalchemy as sa

from countenance import endings, jobs, schema
from countenance.database import Database
from countenance.jobs import Cancelled, Finding, Job, Lease, Lost, Overdue, Overfull, State, Stopped

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
        return Lease(self.database, job, self.clock, self.stopping.is_set, dt.timedelta(hours=1))

    def begun(self, worker: str = "one", decision: int = 8) -> Lease:
        lease = self.take(worker)
        assert lease is not None
        self.database.write(lambda connection: lease.began(connection, decision))
        return lease

    def end(self, lease: Lease, state: State = State.SUCCEEDED, message: str = "") -> None:
        self.database.write(lambda connection: lease.ended(connection, state, message, "{}"))

    def job(self, name: str = "a") -> Job:
        with self.database.reading() as connection:
            found = jobs.find(connection, ACCOUNT, name)
        assert found is not None
        return found

    def found(self, name: str = "a", **how: bool) -> list[Finding]:
        with self.database.reading() as connection:
            return jobs.results(connection, self.job(name), 0, 10_000, **how)

    def rows(self) -> int:
        with self.database.reading() as connection:
            return int(
                connection.execute(sa.select(sa.func.count()).select_from(schema.findings)).scalar_one()
            )

    def swept(self) -> list[object]:
        """What is left of findings once nothing is to be swept."""
        while self.database.write(endings.sweep):
            pass
        with self.database.reading() as connection:
            return list(connection.execute(sa.select(schema.findings)))

    def until(self) -> float:
        with self.database.reading() as connection:
            return float(connection.execute(sa.select(schema.jobs.c.until)).scalar_one())


def wait(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def home(database_url: str) -> Iterator[Home]:
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
    home.clock.go(seconds=4)
    lease.tell(0.9, lines(400))
    assert home.job().done == 0.9
    assert home.found() == lines(0, 200, 400)
    lease.tell(found=lines(600))
    home.end(lease)
    assert home.found() == lines(0, 200, 400, 600)
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
    quick = home.begun("quick", decision=9)
    assert (quick.job.attempts, quick.job.decision) == (2, 8)
    assert home.found() == []
    with pytest.raises(Lost):
        slow.tell(0.6, lines(400))
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
    job = home.job()
    assert (job.state, job.message) == (
        State.FAILED,
        "given up: begun 3 times and never ended; the logs of those who worked on it say why",
    )
    assert job.notice_at == home.clock().timestamp()


def test_a_worker_that_stops_leaves_the_job_to_others_and_costs_it_no_attempt(home: Home) -> None:
    home.add()
    for _ in range(jobs.ATTEMPTS + 1):
        lease = home.begun()
        lease.tell(0.5, lines(0))
        home.stopping.set()
        with pytest.raises(Stopped):
            lease.tell(0.6)
        home.end(lease, State.WAITING)
        home.stopping.clear()
        assert (home.job().state, home.job().attempts, home.found()) == (State.WAITING, 0, [])


def test_a_cancelled_job_is_told_so_at_its_next_word(home: Home) -> None:
    home.add()
    lease = home.begun()
    home.clock.go(seconds=4)
    lease.tell(0.1, lines(0))
    job = home.job()
    assert home.database.write(lambda connection: jobs.cancel(connection, job, home.clock()))
    assert not home.database.write(lambda connection: jobs.cancel(connection, job, home.clock()))
    home.clock.go(seconds=4)
    with pytest.raises(Cancelled):
        lease.tell(0.2, lines(200))
    assert home.job().state is State.CANCELLED
    assert home.swept() == []


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
        lease.tell(found=[*lines(at, person=1), *lines(at, person=0)])
    home.end(lease)
    assert [(each.person, each.at) for each in home.found(by_person=True)] == [
        (person, at) for person in (0, 1) for at in (0, 200, 400)
    ]
    with home.database.reading() as connection:
        later = jobs.results(connection, home.job(), 4, 2)
    assert [each.at for each in later] == [400, 400]


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
    home.clock.go(days=7)
    gone = home.database.write(lambda connection: endings.expire(connection, ACCOUNT, home.clock(), 10))
    assert gone == 1
    with home.database.reading() as connection:
        assert jobs.find(connection, ACCOUNT, "a") is None
        assert [job.job_id for job in jobs.page(connection, ACCOUNT, 0, 10)] == ["b"]
    assert home.swept() == []
    with home.database.reading() as connection:
        assert connection.execute(sa.select(schema.jobs.c.job_id)).scalars().all() == ["b"]


def test_what_no_one_is_shown_is_swept_away_a_little_at_a_time(home: Home) -> None:
    """What is shown stays: a running job's and a succeeded one's last attempt."""
    for name in ("succeeded", "failed", "retried"):
        home.add(name)
        lease = home.begun(decision=10)
        for first in range(0, 1200, 400):
            lease.tell(found=lines(*range(first, first + 400)))
        if name == "retried":
            home.clock.go(seconds=61)
            lease = home.begun("two", decision=11)
            lease.tell(found=lines(*range(600)))
        home.end(lease, State.FAILED if name == "failed" else State.SUCCEEDED)
    before, steps = home.rows(), 0
    while home.database.write(endings.sweep):
        now = home.rows()
        assert before - now <= jobs.AT_ONCE
        before, steps = now, steps + 1
    assert steps >= 4
    assert home.rows() == 1200 + 600
    assert [len(home.found(name)) for name in ("succeeded", "failed", "retried")] == [1200, 0, 600]


def test_organisations_take_turns(home: Home) -> None:
    for number in range(4):
        home.add(f"many-{number}")
        home.clock.go(seconds=1)
    home.add("one", account="999999999999")
    order = []
    while (lease := home.take()) is not None:
        order.append(lease.job.job_id)
        home.clock.go(seconds=1)
    assert order == ["many-0", "one", "many-1", "many-2", "many-3"]


def test_a_job_that_nobody_begins_is_over_one_day(home: Home) -> None:
    home.add()
    home.clock.go(days=7)
    assert home.take() is None
    job = home.job()
    assert (job.state, job.message) == (
        State.TIMED_OUT,
        "nobody began it within 7 days: no worker ran",
    )


def test_no_job_finds_more_than_its_share(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MOST_FOUND", 1000)
    home.add()
    lease = home.begun()
    lease.tell(found=lines(*range(600)))
    with pytest.raises(Overfull):
        lease.tell(found=lines(*range(600)))


def test_a_silent_loop_does_not_lose_its_lease(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "RENEWED", dt.timedelta(milliseconds=5))
    home.add()
    lease = home.begun()
    with lease.kept():
        for _ in range(10):
            home.clock.go(seconds=30)
            until = (home.clock() + jobs.LEASE).timestamp()
            wait(lambda: home.until() == until)  # noqa: B023 - over before the next turn
            assert home.take("two") is None
        lease.tell(0.5)
    home.clock.go(seconds=61)
    other = home.take("two")
    assert other is not None
    with lease.kept():
        home.clock.go(seconds=13)
        wait(lambda: lease._lost is not None)
        with pytest.raises(Lost):
            lease.tell()


def test_a_lease_is_not_renewed_beyond_what_a_job_may_take(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "RENEWED", dt.timedelta(milliseconds=5))
    home.add()
    lease = home.begun()
    before = home.until()
    with lease.kept():
        home.clock.go(hours=1)
        time.sleep(0.1)
    assert home.until() == before


def test_the_end_is_told_until_it_is_heard_or_nobody_listens(home: Home) -> None:
    home.add(topic="arn")
    home.add("b")
    for _ in range(2):
        home.end(home.begun())

    def to_tell() -> Job | None:
        return home.database.write(lambda connection: endings.to_tell(connection, home.clock()))

    waits = []
    for _ in range(endings.NOTICES):
        job = to_tell()
        assert job is not None
        assert job.job_id == "a"
        assert to_tell() is None  # another worker does not tell it meanwhile
        home.database.write(partial(endings.told, job=job, now=home.clock(), error="no answer"))
        again = home.job().notice_at
        if again is not None:
            waits.append(again - home.clock().timestamp())
            home.clock.go(seconds=waits[-1])
    assert waits == [5, 30, 120, 600, *[3600] * 19]
    assert to_tell() is None
    assert (home.job().notice_error, home.job().noticed) == ("no answer", endings.NOTICES)


def test_the_end_that_is_heard_is_told_once(home: Home) -> None:
    home.add(topic="arn")
    home.end(home.begun())
    job = home.database.write(lambda connection: endings.to_tell(connection, home.clock()))
    assert job is not None
    home.database.write(lambda connection: endings.told(connection, job, home.clock()))
    home.clock.go(days=1)
    assert home.database.write(lambda connection: endings.to_tell(connection, home.clock())) is None


def _work_until_killed(url: str, ready: str) -> None:
    database = Database(url)
    clock = Clock()
    job = database.write(lambda connection: jobs.take(connection, "doomed", clock()))
    assert job is not None
    lease = Lease(database, job, clock, lambda: False, dt.timedelta(hours=1))
    database.write(lambda connection: lease.began(connection, 8))
    at = 0
    while True:
        clock.go(seconds=4)
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
    lease = home.begun("next", decision=9)
    lease.tell(1.0, lines(0, 200, 400))
    home.end(lease)
    assert home.found() == lines(0, 200, 400)
    assert home.job().attempts == 2
