"""A gallery's index outside this process, which every process on one database searches and keeps current.

What it holds can always be made again from the database, and is never believed: a search takes from it who
may be near, and compares vectors of the database. It carries a note of what it stands for (`Standing`).

Several processes write to it at once, and none waits for another:

- Rows are put and dropped by their number, which is never given to another. Doing either twice is doing it
  once.
- Whoever put or dropped a row looks in the database *afterwards* whether it changed meanwhile, and does
  that too. So the last word on a row is always said by somebody who knew the database as it is.
- A note says "everything up to this change is here". It is written after what it speaks of, by whoever did
  that, and not over one that says more. Should two cross, the lesser one costs work: changes are put again.
- An index is made anew as a new collection, never by emptying one. Who wrote to the old one finds it gone.
- What a process left that died in the middle, or a message of one that came late, is found by counting.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from countenance.errors import IndexFault
from countenance.galleries.history import Delta, History
from countenance.galleries.index import Near, Numbers, sound
from countenance.galleries.milvus import MOST, Dropped, Milvus
from countenance.types import Vector

LOG = logging.getLogger(__name__)

NOTE, FENCE = -1, -2
"""Rows of ours. One bears the note; the other is written only for the time that Milvus gives the write."""

PIECE = 4_000
"""Rows put at once: 8 MB of 512 dimensions, an eighth of what Milvus takes in one message."""

TRIES = 4
"""Times that an index is looked for again, because it was dropped in between."""

SPARE = 16
"""Rows asked for beyond those wanted: ours, such as were put since, and ties at the end."""

MOMENT = 0.5
"""Seconds after which a count that is wrong is looked at again: writes on their way have arrived."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a collection holds: every row of the gallery as of `change`, and maybe some that came since.

    last: the highest row as of then. sees: the time, by Milvus's clock, by which all of it was written.
    anchor: the newest entry of the ledger at that time, or somewhat later. dropped: rows dropped from it,
    ever; settled: those of them after which Milvus was told to write its files anew.
    """

    collection: str = ""
    dimension: int = 0
    change: int = 0
    last: int = -1
    sees: int = 1
    anchor: str = ""
    dropped: int = 0
    settled: int = 0


NOWHERE = Standing()


class RemoteIndex:
    """One gallery's index in Milvus. Safe for threads."""

    def __init__(self, milvus: Milvus, history: History) -> None:
        self._milvus = milvus
        self._history = history
        self._alias = milvus.alias(history.number, history.model, history.of.name)
        self._lock = threading.Lock()
        self._at = NOWHERE

    @property
    def change(self) -> int:
        """The change that it has at least, as far as this process knows."""
        return self._at.change

    def follow(self, change: int) -> None:
        """Bring the index to `change` at least. Raises GalleryGone, IndexFault."""
        with self._lock:
            for _ in range(TRIES):
                if change <= self._at.change:
                    return
                try:
                    self._at = self._followed(self._at, change)
                except Dropped:
                    self._at = NOWHERE
                else:
                    return
        raise IndexFault("the index in Milvus is dropped by somebody again and again")

    def near(self, probe: Vector, limit: int, floor: float) -> Near:
        """Every row that float64 could place among the `limit` best with a cosine of at least `floor`.

        probe: float32 (D,), of unit length. Raises ValueError where it is not, or of another dimension;
        IndexFault, also where more are equally near than Milvus gives.
        """
        sound(probe[None])
        at = self._at
        if not at.collection:
            return Near(np.zeros(0, np.int64), at.change)
        if len(probe) != at.dimension:
            raise ValueError(f"the gallery's templates have {at.dimension} dimensions, not {len(probe)}")
        off = len(probe) * 2.0**-24  # what float32 may lose of a product of two unit vectors
        asked = min(limit + SPARE, MOST)
        try:
            while True:
                rows, scores = self._milvus.near(at.collection, probe, asked, at.sees)
                theirs = (rows >= 0) & (rows <= at.last)
                worst, all_of_them = scores[-1:], len(rows) < asked
                rows, scores = rows[theirs], scores[theirs]
                bar = floor - off
                if len(scores) >= limit:
                    bar = max(bar, float(scores[limit - 1]) - 2 * off)
                if all_of_them or float(worst[0]) < bar:
                    return Near(np.sort(rows[scores >= bar]), at.change)
                if asked == MOST:
                    raise IndexFault(f"more than {MOST} templates are equally near: Milvus gives no more")
                asked = min(2 * asked, MOST)
        except Dropped:
            self._at = NOWHERE
            return Near(np.zeros(0, np.int64), 0)  # as of before everything: the search begins again

    def wipe(self) -> None:
        """Drop it, whoever made it. Raises IndexFault."""
        with self._lock:
            self._milvus.unlead(self._alias)
            self._at = NOWHERE

    def stands(self) -> bool:
        """Whether anybody has made it. Raises IndexFault."""
        return self._milvus.resolve(self._alias) is not None

    def tidy(self) -> Iterator[str]:
        """Bring it up to date, make it anew where it does not hold what it should, and have Milvus write its
        files without what was dropped; what was done, in words. Raises GalleryGone, IndexFault.
        """
        change, _ = self._history.count()
        if change > self.change:
            self.follow(change)
        if not self._whole():
            time.sleep(MOMENT)
            if not self._whole():
                self.wipe()
                self.follow(self._history.count()[0])
                yield "the index did not hold the gallery's rows and was made anew"
        at = self._at
        if at.collection and at.settled < at.dropped:
            self._milvus.settle(at.collection)
            with self._lock:
                self._at = self._write(dataclasses.replace(self._at, settled=at.dropped))
            yield f"{at.dropped - at.settled} rows dropped from the index: its files are written anew"

    def _whole(self) -> bool:
        """Whether there are as many rows as the gallery has; yes where somebody writes at this moment."""
        change, faces = self._history.count()
        if not self._at.collection or change != self._at.change:
            return True
        try:
            return self._milvus.count(self._at.collection) == faces or self._history.count()[0] != change
        except Dropped:
            return False

    def _followed(self, known: Standing, change: int) -> Standing:
        """What stands in Milvus, brought to the change at least; NOWHERE but for the change where nobody is
        enrolled and there is nothing to hold. Raises Dropped."""
        at = self._found(known)
        if at.change >= change:
            return at
        delta = self._history.since(at.change)
        if len(delta.rows) and not self._fits(at, delta.rows):
            at = self._begun(at, delta.rows)
            if at.change >= change:
                return at
            delta = self._history.since(at.change)
        if not at.collection or not len(delta.rows) + len(delta.gone):
            return dataclasses.replace(at, change=delta.change)
        self._apply(at.collection, delta)
        last = int(delta.rows.max(initial=at.last))
        return self._write(
            dataclasses.replace(
                at,
                change=delta.change,
                last=last,
                sees=self._fence(at),
                dropped=at.dropped + len(delta.gone) if at.change else 0,
            )
        )

    def _found(self, known: Standing) -> Standing:
        """What stands in Milvus by its own note. What is of another past of the database is dropped."""
        new = not known.collection
        name = self._milvus.resolve(self._alias) if new else known.collection
        if name is None:
            return NOWHERE
        note = self._milvus.note(name, NOTE, newest=new)
        if not new and note is None:
            return known  # it was written, and is not visible yet
        dimension = self._milvus.look(name).dimension if new else known.dimension
        at = Standing(name, dimension) if note is None else _read(name, note)
        if at is None or at.dimension != dimension or not self._history.holds(at.anchor):
            LOG.warning("the index of gallery %s is of another past of the database", self._history.number)
            self._milvus.unlead(self._alias)
            return NOWHERE
        return at if new else max(at, known, key=lambda each: each.change)

    def _fits(self, at: Standing, rows: Numbers) -> bool:
        _, [*vectors] = self._history.vectors(rows[:1])
        return bool(at.collection) and all(len(each) == at.dimension for each in vectors)

    def _begun(self, at: Standing, rows: Numbers) -> Standing:
        """An empty collection for vectors such as these, in place of one that has another dimension."""
        _, [*vectors] = self._history.vectors(rows[:1])
        if not vectors:
            raise Dropped("who was enrolled is gone again")
        self._milvus.begin(self._alias, len(vectors[0]), at.collection or None)
        return self._found(NOWHERE)

    def _apply(self, collection: str, delta: Delta) -> None:
        """Drop and put what changed; then what happened meanwhile to these rows, until nothing did."""
        while len(delta.rows) + len(delta.gone):
            self._drop(collection, delta.gone)
            for start in range(0, len(delta.rows), PIECE):
                rows, vectors = self._history.vectors(delta.rows[start : start + PIECE])
                if len(rows):
                    sound(vectors)
                    self._milvus.put(collection, rows.tolist(), vectors)
            mine, later = np.concatenate([delta.rows, delta.gone]), self._history.since(delta.change)
            delta = Delta(later.change, np.intersect1d(later.rows, mine), np.intersect1d(later.gone, mine))

    def _drop(self, collection: str, rows: Numbers) -> None:
        for start in range(0, len(rows), PIECE):
            self._milvus.remove(collection, rows[start : start + PIECE].tolist())

    def _fence(self, at: Standing) -> int:
        """A time by which everything is written that was written before: Milvus gives none for a removal."""
        return self._milvus.put(at.collection, [FENCE], np.zeros((1, at.dimension), np.float32))

    def _write(self, at: Standing) -> Standing:
        """Note where the index stands, unless somebody noted more."""
        note = self._milvus.note(at.collection, NOTE, newest=False)
        other = None if note is None else _read(at.collection, note)
        if other is not None and other.change > at.change:
            return other
        at = dataclasses.replace(at, anchor=self._history.anchor())  # one of later would do, none of earlier
        told = {name: value for name, value in dataclasses.asdict(at).items() if name != "collection"}
        nothing = np.zeros((1, at.dimension), np.float32)
        self._milvus.put(at.collection, [NOTE], nothing, json.dumps(told))
        return at


def _read(collection: str, note: str) -> Standing | None:
    """None for what is no note of ours."""
    try:
        return Standing(collection, **json.loads(note))
    except (TypeError, ValueError):
        return None
