"""How a bulk enrolment is told: a bar while it goes, a report of what was left out, and what it came to."""

from __future__ import annotations

import collections
import contextlib
import csv
import math
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from countenance.cli import terminal
from countenance.cli.enrolling import Desk, Fate, Outcome, Tally
from countenance.cli.manifest import Pace
from countenance.cli.sources import Source
from countenance.errors import AwsError

SPOKEN_EVERY = 10.0
"""Seconds between lines of progress where no terminal shows a bar."""

WINDOW = 60.0
"""Seconds over which a rate is taken: a resumed run's known photos fly by before slow ones come."""

WARM = 20
"""Photos after which a rate means something."""

LISTED = frozenset({Fate.UNREADABLE, Fate.OTHER, Fate.COPY, Fate.ENROLLED, Fate.FACELESS, Fate.KNOWN})
"""Fates whose remarks are in the report: every one of them has something that was left out."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run came to. finished: False where it was interrupted. total: photos in all, None where nobody
    counted to the end. seconds: of the whole run. pace: of what it sent."""

    tally: Tally
    finished: bool
    total: int | None
    seconds: float
    pace: Pace | None = None

    @property
    def left(self) -> int:
        """Photos that nobody came to."""
        return max((self.total or 0) - self.tally.seen, self.tally.fates[Fate.LEFT])


def follow(outcomes: Generator[Outcome, None, None], source: Source, report: Path | None, desk: Desk) -> Run:
    """Every outcome, shown and noted."""
    tally, began, finished = Tally(), time.monotonic(), True
    count = _Count(source)
    count.start()
    with _listed(report) as write, _heeding(desk), _shown(count, tally) as show, closing(outcomes):
        try:
            for outcome in outcomes:
                tally.add(outcome)
                if outcome.fate in LISTED:
                    for remark in outcome.remarks:
                        write(outcome, remark)
                show()
        except KeyboardInterrupt:
            finished = False
    if desk.full and not desk.stopped:
        count.join()  # what is left is to be told
    return Run(tally, finished and not desk.stopped, count.total, time.monotonic() - began)


@contextmanager
def _heeding(desk: Desk) -> Iterator[None]:
    """The first Ctrl-C stops the desk, so that what is under way is finished; the second is as ever."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # ignored, as in a job in the background, or somebody else's
        yield
        return

    def stop(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, before)
        desk.stopped = True
        click.echo("\nFinishing what is under way. Ctrl-C again leaves it.", err=True)

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Count(threading.Thread):
    """Counts the photos beside the work. total: None until it knows."""

    def __init__(self, source: Source) -> None:
        super().__init__(name="count", daemon=True)
        self._source = source
        self.total: int | None = None

    def run(self) -> None:
        with contextlib.suppress(AwsError):  # whoever enrols meets it too, and says so
            self.total = self._source.count()


@contextmanager
def _listed(target: Path | None) -> Iterator[Callable[[Outcome, str], Any]]:
    """A function that notes what was left out, in a CSV file if one is wanted."""
    if target is None:
        yield lambda _outcome, _remark: None
        return
    target.touch(mode=0o600)
    target.chmod(0o600)  # also where an earlier report was: paths name people
    with target.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = csv.writer(file)
        rows.writerow(("photo", "fate", "reason"))
        yield lambda outcome, remark: rows.writerow((outcome.place, outcome.fate.value, remark))


class Meter:
    """Rates of the last minute."""

    def __init__(self) -> None:
        self._marks: collections.deque[tuple[float, int, int, int]] = collections.deque()

    def mark(self, tally: Tally, now: float) -> None:
        """At most one mark a second is kept."""
        if self._marks and now - self._marks[-1][0] < 1:
            return
        self._marks.append((now, tally.seen, tally.sent, tally.faces))
        while now - self._marks[0][0] > WINDOW and len(self._marks) > 2:
            self._marks.popleft()

    def rates(self) -> tuple[float, float, float]:
        """Photos seen, photos sent and faces enrolled a second."""
        first, last = self._marks[0], self._marks[-1]
        seconds = last[0] - first[0]
        if not seconds:
            return 0.0, 0.0, 0.0
        seen, sent, faces = ((last[n] - first[n]) / seconds for n in (1, 2, 3))
        return seen, sent, faces


@contextmanager
def _shown(count: _Count, tally: Tally) -> Iterator[Callable[[], None]]:
    """A function to call after each photo: it moves a bar or, without a terminal, says a line at times."""
    meter = Meter()
    meter.mark(tally, time.monotonic())
    with terminal.counting("Indexing") as progress:
        task = progress.add_task("", total=None)
        spoken = time.monotonic()

        def show() -> None:
            nonlocal spoken
            now = time.monotonic()
            meter.mark(tally, now)
            seen, sent, faces = meter.rates()
            told = f"{tally.faces} faces, {sent:.1f} photos/s, {faces:.1f} faces/s"
            progress.update(task, completed=tally.seen, total=count.total, description=told)
            if progress.disable and now - spoken >= SPOKEN_EVERY:
                spoken = now
                whole = "so far" if count.total is None else f"of {count.total}"
                left = ""
                if count.total is not None and seen and tally.seen >= WARM:
                    left = f", {duration((count.total - tally.seen) / seen)} left"
                click.echo(f"{tally.seen} {whole}, {told}{left}", err=True)

        yield show


def duration(seconds: float) -> str:
    """3 h 20 min, 5 min 10 s or 12 s."""
    whole = math.ceil(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def summarise(run: Run, collection: str, before: Pace | None, *, as_json: bool) -> None:
    """before: how fast an earlier run was, for the estimate of one that sent nothing."""
    tally, pace = run.tally, run.pace or before
    unsent = run.left + tally.fates[Fate.NEW]
    estimate = unsent * pace.seconds / pace.photos if pace and unsent else None
    facts: dict[str, Any] = {
        "collection": collection,
        "files": run.total if run.total is not None else tally.seen,
        **{fate.name.lower(): tally.fates[fate] for fate in Fate if fate is not Fate.LEFT},
        "left": run.left,
        "faces": tally.faces,
        "faces_refused": tally.refused,
        "reasons": dict(tally.reasons.most_common()),
        "unread": [{"photo": place, "reason": why} for place, why in tally.unread],
        "seconds": round(run.seconds, 1),
        "photos_per_second": _rate(run.pace, "photos"),
        "faces_per_second": _rate(run.pace, "faces"),
        "seconds_left": None if estimate is None else round(estimate),
        "finished": run.finished,
    }
    if as_json:
        terminal.print_json(facts)
    else:
        _tables(facts, tally, run, _outlook(unsent, estimate, run.pace, before) if unsent else "")


def _tables(facts: Mapping[str, Any], tally: Tally, run: Run, outlook: str) -> None:
    """The same for people."""
    rows: list[tuple[object, ...]] = [
        (tally.fates[fate], fate.value) for fate in Fate if tally.fates[fate] and fate is not Fate.LEFT
    ]
    rows += [(run.left, Fate.LEFT.value)] if run.left else []
    rows += [(tally.faces, "faces enrolled")]
    rows += [(tally.refused, "faces refused, or photos without one")] if tally.refused else []
    terminal.print_table(
        (f"{facts['files']}>", f"photos for {facts['collection']}, {duration(run.seconds)}"), rows
    )
    if tally.reasons:
        terminal.print_table(
            ("times>", "left out because"), [(n, why) for why, n in tally.reasons.most_common()]
        )
    if tally.unread:
        terminal.print_table(("photo", "could not be read"), tally.unread)
    if more := tally.fates[Fate.UNREADABLE] - len(tally.unread):
        click.echo(f"And {more} more: `--report FILE.csv` names each.")
    if run.pace:
        click.echo(
            f"{run.pace.photos} photos were sent, {facts['photos_per_second']} a second; "
            f"{facts['faces_per_second']} faces a second."
        )
    if outlook:
        click.echo(outlook)


def _rate(pace: Pace | None, what: str) -> float | None:
    return round(getattr(pace, what) / pace.seconds, 1) if pace and pace.seconds else None


def _outlook(unsent: int, estimate: float | None, pace: Pace | None, before: Pace | None) -> str:
    if estimate is None:
        return (
            f"How long {unsent} photos take was not measured yet: `--first 100` enrols a hundred and says so."
        )
    if pace:
        return f"At this rate the other {unsent} take about {duration(estimate)}, if all are new."
    assert before is not None
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(before.began))
    rate = _rate(before, "photos")
    return (
        f"{unsent} photos would take about {duration(estimate)}, at the {rate} a second "
        f"measured with {before.photos} on {day}."
    )
