"""Who may be one person, among many faces: Chinese whispers over the pairs that reach a threshold. Pure.

Every face begins as a group of its own. Then each, in a drawn order and again and again, joins the group that
the cosines of its neighbours speak for most, until nobody moves (Biemann 2006). Neighbours are pairs at or
above the threshold, found exactly. The draw is always the same, so one enrolment has one answer.
bench/groups.py measures it beside HDBSCAN, average and single linkage (docs/groups.md).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from countenance.types import Vector

MOST = 50_000
"""Faces that are sorted at once: docs/groups.md says in what time."""

MOST_PAIRS = 10_000_000
"""Pairs that may reach the threshold: 700 MB while they are sorted. More tell nobody from anybody."""

AT_ONCE = 256
"""Faces compared with all that follow in one product: 51 MB for MOST."""

HAIR = 1e-5
"""What float32 may take from a cosine."""

ROUNDS = 30
"""Two to four are enough for LFW. Where two groups keep exchanging a face it stays where it is then."""

_ONE = threading.Lock()  # so that the memory is held once

Numbers = npt.NDArray[np.integer[Any]]


class TooMany(ValueError):
    """More than MOST_PAIRS reach the threshold."""


@dataclass(frozen=True, slots=True)
class Group:
    """places: of its faces in the vectors given, the most typical first. cosines: of each, the mean with the
    others [-1, 1]; none where it is alone."""

    places: tuple[int, ...]
    cosines: tuple[float, ...]


def groups(
    vectors: Vector,
    photos: Sequence[str],
    least: float,
    *,
    once: bool,
    apart: Iterable[tuple[int, int]] = (),
) -> list[Group]:
    """Every face in one group, perhaps alone; the largest group first, then by first place.

    vectors: float32 (N, D), of unit length. photos: the photo each is of. least: the threshold, a cosine.
    once: whether two faces of a photo are never one person. apart: places of faces that are not one person's,
    as somebody said. Raises TooMany.
    """
    _, photo = np.unique(np.asarray(photos, dtype=str), return_inverse=True)
    beside = _beside(photo) if once else {}
    for one, other in apart:
        beside.setdefault(one, []).append(other)
        beside.setdefault(other, []).append(one)
    with _ONE:
        label = _whispered(*_pairs(vectors, photo, least, once=once), len(vectors), beside)
    order = np.argsort(label, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(label[order])) + 1) if len(order) else []
    found = [_group(vectors, part) for part in parts]
    return sorted(found, key=lambda group: (-len(group.places), min(group.places)))


def _beside(photo: Numbers) -> dict[int, list[int]]:
    """For each face that is not alone in its photo, the others there."""
    order = np.argsort(photo, kind="stable")
    shared = np.split(order, np.flatnonzero(np.diff(photo[order])) + 1)
    return {
        face: [each for each in part if each != face]
        for part in map(np.ndarray.tolist, shared)
        for face in part
    }


def _pairs(vectors: Vector, photo: Numbers, least: float, *, once: bool) -> tuple[Numbers, Numbers, Vector]:
    """Each pair at or above the threshold, both ways round, by its first face: (first, second, cosine).

    Without those of one photo where they cannot be one person. Raises TooMany.
    """
    ones, others, cosines = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)], [np.zeros(0, np.float32)]
    count = 0
    for start in range(0, len(vectors), AT_ONCE):
        products = vectors[start : start + AT_ONCE] @ vectors[start:].T
        one, other = np.nonzero(products >= least - HAIR)
        kept = (other > one) & ((photo[one + start] != photo[other + start]) | (not once))
        one, other = one[kept], other[kept]
        count += len(one)
        if count > MOST_PAIRS:
            raise TooMany(f"more than {MOST_PAIRS:,} pairs reach the threshold")
        cosines.append(products[one, other])
        ones.append((one + start).astype(np.int32))
        others.append((other + start).astype(np.int32))
    first = np.concatenate((*ones, *others))
    second = np.concatenate((*others, *ones))
    cosine = np.concatenate((*cosines, *cosines))
    order = np.lexsort((second, first))
    return first[order], second[order], cosine[order]


def _whispered(
    ones: Numbers, others: Numbers, cosines: Vector, count: int, beside: Mapping[int, Sequence[int]]
) -> Numbers:
    """The group of each face, by a number."""
    starts = np.searchsorted(ones, np.arange(count + 1))
    label = np.arange(count)
    draw = np.random.default_rng(0)
    near = np.flatnonzero(np.diff(starts))
    for _ in range(ROUNDS):
        moved = 0
        for face in draw.permutation(near).tolist():
            mine = slice(starts[face], starts[face + 1])
            heard, which = np.unique(label[others[mine]], return_inverse=True)
            loudness = np.bincount(which, weights=cosines[mine])
            taken = [label[each] for each in beside.get(face, ())]
            loudness[np.isin(heard, taken)] = 0
            loudest = int(loudness.argmax())
            if loudness[loudest] > 0 and heard[loudest] != label[face]:
                label[face] = heard[loudest]
                moved += 1
        if not moved:
            break
    return label


def _group(vectors: Vector, places: Numbers) -> Group:
    if len(places) == 1:
        return Group((int(places[0]),), ())
    exact = vectors[places].astype(np.float64)
    means = (exact @ exact.sum(axis=0) - np.einsum("ij,ij->i", exact, exact)) / (len(places) - 1)
    order = np.lexsort((places, -means))
    return Group(tuple(map(int, places[order])), tuple(map(float, means[order])))
