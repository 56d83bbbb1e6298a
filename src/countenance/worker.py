"""The threads beside the server: what has to be done without anybody asking, and what calls put off.

Every minute the newest checkpoint is shown to the witnesses, the published copy brought up to date and so are
the indexes in Milvus, where settings.toml names such; every hour what time is over for is destroyed. A duty
that fails is logged and tried again at its next turn; the others go on. Each writes its own entries. A Crew
does queued jobs, one after another, tells topics of their ends, and forgets what they found in its time.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from countenance import publication, upkeep
from countenance.errors import CountenanceError
from countenance.service import Service
from countenance.settings import Settings

LOG = logging.getLogger(__name__)

SECOND, MINUTE, HOUR = dt.timedelta(seconds=1), dt.timedelta(minutes=1), dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Duty:
    """Something to be done again and again. work: does it once, and says what was done, in words."""

    name: str
    every: dt.timedelta
    work: Callable[[dt.datetime], Iterable[str]]


def utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def duties(settings: Settings) -> tuple[Duty, ...]:
    """What a home's settings and packs ask for."""

    def witnesses(_now: dt.datetime) -> Iterable[str]:
        done = publication.submitted(settings)
        for name, why in done.failed.items():
            LOG.warning(
                "the witness %s has not signed the checkpoint of %s entries: %s", name, done.size, why
            )
        if done.signed:
            yield f"the checkpoint of {done.size} entries signed by {', '.join(done.signed)}"

    def published(_now: dt.datetime) -> Iterable[str]:
        done = publication.exported(settings, settings.home / settings.publish)
        if done.size != done.before:
            yield f"{done.size - done.before} entries published to {settings.publish}"

    def indexes(_now: dt.datetime) -> Iterable[str]:
        with upkeep.opened(settings) as home:
            yield from home.tidy_indexes()

    wanted = (
        (True, retention(settings)),
        (settings.index_url, Duty("indexes", MINUTE, indexes)),
        (settings.witnesses, Duty("witnesses", MINUTE, witnesses)),
        (settings.publish, Duty("publication", MINUTE, published)),
    )
    return tuple(duty for asked_for, duty in wanted if asked_for)


def retention(settings: Settings) -> Duty:
    """Destroying what no rule keeps any longer."""

    def work(now: dt.datetime) -> Iterable[str]:
        with upkeep.opened(settings) as home:
            for done in (*home.expire_templates(now), *home.shred_private(now), *home.expire_results(now)):
                yield f"{done.what}, by {done.rule}"

    return Duty("retention", HOUR, work)


class Worker:
    """Does duties in turn. clock: the time that they are told; their turns are counted by it too."""

    def __init__(self, work: Iterable[Duty], clock: Callable[[], dt.datetime] = utc_now) -> None:
        self._duties = tuple(work)
        self._clock = clock
        self._next = {duty.name: clock() for duty in self._duties}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopping.is_set()

    def turn(self) -> tuple[list[str], list[str]]:
        """Do what is due now: what was done, and the names of the duties that failed."""
        done: list[str] = []
        failed: list[str] = []
        for duty in self._duties:
            now = self._clock()
            if self._stopping.is_set() or now < self._next[duty.name]:
                continue
            self._next[duty.name] = now + duty.every
            try:
                for each in duty.work(now):
                    LOG.info("%s: %s", duty.name, each)
                    done.append(each)
            except (CountenanceError, OSError) as fault:
                LOG.error("the duty %s failed: %s; it is tried again in %s", duty.name, fault, duty.every)
                failed.append(duty.name)
            except Exception:
                LOG.exception("the duty %s failed; it is tried again in %s", duty.name, duty.every)
                failed.append(duty.name)
        return done, failed

    def work_here(self) -> None:
        """Take turns in this thread until `stop`."""
        while not self._stopping.is_set():
            self.turn()
            self._stopping.wait(_LOOK)

    def start(self) -> None:
        """Take turns in a thread of its own until `stop`."""
        self._thread = threading.Thread(target=self.work_here, name="worker", daemon=True)
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Begin no other duty."""
        self._stopping.set()

    def stop(self) -> None:
        """Finish the duty at hand, begin no other."""
        self.ask_to_stop()
        if self._thread is not None:
            self._thread.join()


class Crew:
    """A home's queued work: jobs in one thread; news of their ends, and the end of their results, in another,
    so that neither waits."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._jobs = Worker([Duty("jobs", SECOND, self._work)])
        self._news = Worker(
            [
                Duty("notifications", SECOND, lambda _now: service.announce()),
                Duty("discarded", MINUTE, lambda _now: service.sweep()),
                Duty("results", HOUR, service.forget),  # perhaps nobody else keeps the home's times
            ]
        )

    def _work(self, _now: dt.datetime) -> Iterable[str]:
        while not self._jobs.stopping:
            done = self._service.work(lambda: self._jobs.stopping)
            if done is None:
                return
            yield done

    def turn(self) -> tuple[list[str], list[str]]:
        """Do all that waits, once: what was done, and the names of the duties that failed."""
        (done, failed), (told, untold) = self._jobs.turn(), self._news.turn()
        return done + told, failed + untold

    def start(self) -> None:
        self._jobs.start()
        self._news.start()

    def ask_to_stop(self) -> None:
        """Leave the job at hand to another worker; `stop` waits until that is written."""
        self._jobs.ask_to_stop()
        self._news.ask_to_stop()

    def stop(self) -> None:
        self._jobs.ask_to_stop()
        self._news.stop()
        self._jobs.stop()

    def work_here(self) -> None:
        """Do jobs in this thread until `ask_to_stop`."""
        self._news.start()
        self._jobs.work_here()
        self._news.stop()


_LOOK = 1.0
"""Seconds between looks at what is due."""
