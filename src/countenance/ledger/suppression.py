"""Which counts of a report may be printed, pure: nobody is to work out a small one from those that are.

A count under the least one is not printed, and nor is one that would give it away: a row beside a single
small one under the same total, say, or in another table that counts the same calls by another word. What can
be worked out from sums is their linear combinations, so that is what is looked at: every printed count is a
sum over *atoms*, things that the report never tells apart.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

PRIME = 2**61 - 1
"""Combinations are computed modulo this prime: exact, and quicker than in fractions."""

Vector = dict[int, int]
"""How often each atom is counted; atoms that are not are left out."""

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Sum(Generic[Name]):
    """A count that a report would print. name: what it is of. group: the rows it is one of; a total is alone.

    atoms: what it is a sum over. free: whether it is printed however small.
    """

    name: Name
    group: Hashable
    count: int
    atoms: frozenset[int]
    free: bool = False


def printable(sums: Sequence[Sum[Name]], least: int) -> frozenset[Name]:
    """The names of those to print.

    First the free ones. Then, the larger before the smaller and otherwise in the order given, each that does
    not make a secret known. Secret are counts from 1 to `least` - 1, and the sum of a group's secret counts
    while that is under `least` too.
    """
    told = _Told(_secrets(sums, least))
    shown = set()
    for each in sorted(sums, key=lambda each: (not each.free, -each.count)):
        vector = _vector([each])
        if each.free or not (0 < each.count < least or told.would_tell(vector)):
            told.add(vector)
            shown.add(each.name)
    return frozenset(shown)


def _secrets(sums: Iterable[Sum[Name]], least: int) -> list[Vector]:
    small: dict[Hashable, list[Sum[Name]]] = {}
    for each in sums:
        if 0 < each.count < least and not each.free:
            small.setdefault(each.group, []).append(each)
    secrets = [[each] for group in small.values() for each in group]
    secrets += [group for group in small.values() if sum(each.count for each in group) < least]
    return [_vector(group) for group in secrets]


def _vector(sums: Iterable[Sum[Name]]) -> Vector:
    vector: Vector = {}
    for each in sums:
        for atom in each.atoms:
            vector[atom] = vector.get(atom, 0) + 1
    return vector


class _Told:
    """What is known to who adds and subtracts the printed counts: the span of their vectors."""

    def __init__(self, secrets: list[Vector]) -> None:
        # By pivot, where its coefficient is 1, each row with its number; it is 0 at the pivots before.
        self._rows: dict[int, tuple[int, Vector]] = {}
        self._order: list[int] = []
        self._secrets = secrets  # each without what is known of it already

    def would_tell(self, vector: Vector) -> bool:
        """Whether a secret would be known if this were."""
        row = self._normal(vector)
        return row is not None and any(
            left and left == _scaled(row[1], left.get(row[0], 0)) for left in self._secrets
        )

    def add(self, vector: Vector) -> None:
        row = self._normal(vector)
        if row is not None:
            self._rows[row[0]] = len(self._order), row[1]
            self._order.append(row[0])
            self._secrets = [_without(left, *row) for left in self._secrets]

    def _normal(self, vector: Vector) -> tuple[int, Vector] | None:
        """What is new in it, with a pivot; None where nothing is."""
        while known := [self._rows[atom][0] for atom in vector if atom in self._rows]:
            pivot = self._order[min(known)]
            vector = _without(vector, pivot, self._rows[pivot][1])
        if not vector:
            return None
        pivot = min(vector)
        return pivot, _scaled(vector, pow(vector[pivot], -1, PRIME))


def _scaled(vector: Mapping[int, int], by: int) -> Vector:
    return {atom: value * by % PRIME for atom, value in vector.items()}


def _without(vector: Vector, pivot: int, row: Mapping[int, int]) -> Vector:
    factor = vector.get(pivot, 0)
    if not factor:
        return vector
    left = dict(vector)
    for atom, value in row.items():
        new = (left.get(atom, 0) - factor * value) % PRIME
        if new:
            left[atom] = new
        else:
            left.pop(atom, None)
    return left
