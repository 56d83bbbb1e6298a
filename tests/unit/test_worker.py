"""Duties come up in their turn, and one that fails stops no other."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from countenance import office, settings
from countenance.errors import StorageError
from countenance.ledger.checkpoint import read_key, verify, witness_key
from countenance.settings import Settings
from countenance.types import OrganisationKind
from countenance.worker import HOUR, MINUTE, Crew, Duty, Worker, duties

if TYPE_CHECKING:
    from countenance.service import Service

START = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> dt.datetime:
        return self.now


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    office.found(Settings(home=tmp_path / "home"), "a house", OrganisationKind.BUSINESS, "world", "general")
    return dataclasses.replace(settings.load(tmp_path / "home"), publish=str(tmp_path / "out"))


def test_each_duty_has_its_turns_and_is_told_the_time() -> None:
    clock = Clock()
    told: list[tuple[str, dt.datetime]] = []

    def duty(name: str, every: dt.timedelta) -> Duty:
        def work(now: dt.datetime) -> Iterable[str]:
            told.append((name, now))
            yield f"{name} was done"

        return Duty(name, every, work)

    worker = Worker([duty("often", MINUTE), duty("seldom", HOUR)], clock)
    assert worker.turn() == (["often was done", "seldom was done"], [])
    assert worker.turn() == ([], [])
    for _ in range(120):
        clock.now += MINUTE
        worker.turn()
    assert [name for name, _ in told].count("often") == 121
    assert [now for name, now in told if name == "seldom"] == [START, START + HOUR, START + 2 * HOUR]


def test_a_duty_that_fails_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()

    def fail(_now: dt.datetime) -> Iterable[str]:
        raise OSError("the disk is gone")

    worker = Worker([Duty("bad", MINUTE, fail), Duty("good", MINUTE, lambda _now: ["done"])], clock)
    with caplog.at_level(logging.ERROR):
        assert worker.turn() == (["done"], ["bad"])
    assert "the disk is gone; it is tried again" in caplog.text
    clock.now += MINUTE
    assert worker.turn() == (["done"], ["bad"])


def test_a_thread_works_until_it_is_stopped() -> None:
    worked = threading.Event()

    def work(_now: dt.datetime) -> Iterable[str]:
        worked.set()
        return []

    before = set(threading.enumerate())  # a server of this session has a worker too
    worker = Worker([Duty("one", HOUR, work)])
    worker.start()
    [own] = (thread for thread in set(threading.enumerate()) - before if thread.name == "worker")
    assert worked.wait(10)
    worker.stop()
    assert not own.is_alive()
    worker.stop()


def test_the_duties_of_a_home_are_what_its_settings_ask_for(home: Settings, tmp_path: Path) -> None:
    plain = dataclasses.replace(home, publish="")
    assert [duty.name for duty in duties(plain)] == ["retention"]
    assert [duty.name for duty in duties(home)] == ["retention", "publication"]
    remote = dataclasses.replace(plain, index_url="milvus://127.0.0.1")
    assert [duty.name for duty in duties(remote)] == ["retention", "indexes"]
    done, failed = Worker(duties(home)).turn()
    assert failed == []
    assert done == [f"2 entries published to {tmp_path / 'out'}"]
    name, key = read_key(home.ledger_public_key.read_text())
    assert verify((tmp_path / "out" / "checkpoint").read_text(), name, key).size == 2
    assert Worker(duties(home)).turn() == ([], [])


def test_a_witness_that_does_not_answer_is_told_of(home: Settings, caplog: pytest.LogCaptureFixture) -> None:
    _, key = read_key(home.ledger_public_key.read_text())
    line = f"http://127.0.0.1:9/ {witness_key('w.example', key)}"
    watched = dataclasses.replace(home, witnesses=(line,))
    with caplog.at_level(logging.WARNING):
        done, failed = Worker([duty for duty in duties(watched) if duty.name == "witnesses"]).turn()
    assert (done, failed) == ([], [])
    assert "the witness w.example has not signed" in caplog.text


def test_a_crew_does_jobs_and_tells_of_their_ends_and_goes_on_after_a_fault(
    home: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Home:
        """A service with three jobs, the second of which the database refuses."""

        def __init__(self) -> None:
            self.waiting = ["one", "broken", "three"]
            self.asked: list[bool] = []

        def work(self, stopping: Callable[[], bool]) -> str | None:
            self.asked.append(stopping())
            if not self.waiting:
                return None
            if (job := self.waiting.pop(0)) == "broken":
                raise StorageError("the disk is full")
            return job

        def announce(self) -> Iterator[str]:
            yield "told"

        def sweep(self) -> Iterator[str]:
            yield "swept"

        def forget(self, _now: dt.datetime) -> Iterator[str]:
            yield "forgotten"

    service = Home()
    crew = Crew(cast("Service", service))
    with caplog.at_level(logging.ERROR):
        assert crew.turn() == (["one", "told", "swept", "forgotten"], ["jobs"])
    assert "the disk is full" in caplog.text
    crew.start()
    deadline = time.monotonic() + 20
    while service.waiting or len(service.asked) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    crew.stop()
    assert service.asked == [False] * len(service.asked)
    asked = len(service.asked)
    assert crew.turn() == ([], [])
    assert len(service.asked) == asked
