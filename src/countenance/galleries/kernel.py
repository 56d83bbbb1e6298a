"""How codes are compared: whole numbers in, exact whole numbers out, by the best library that is there.

Every path gives the same numbers, so a search gives the same faces with any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int8]
Scores = npt.NDArray[np.int32] | npt.NDArray[np.float32] | npt.NDArray[np.float64]
Compare = Callable[[Codes], Scores]
Kernel = Callable[[Codes], tuple[int, Compare]]
"""Of probes (P, D): how many codes to compare at once, and what gives codes (N, D) their products (N, P).
These are good until it is asked again; it is for one thread."""

WORK = 2**18
"""Multiplications up to which OpenBLAS keeps a product to the thread that asks (65,536 times 4, its
interface/gemm.c). It shares out larger ones and waits for all threads, which on busy cores took ten times the
processor time (docs/numbers-speed.md); so numpy is asked for small ones, and the threads are ours."""

PLAIN_ROWS = 1024
"""Codes that numpy widens at once: with few probes they and their product stay in the second cache."""

SCORES = 262_144
"""Scores that are given at once: at four bytes each they stay in the second cache. Fewer would have a
busy server's threads wait for the interpreter more often."""

EXACT = 2**24 // 127**2
"""Dimensions up to which a float32 sum of products of codes is exact: 1,040."""


def plain(probes: Codes) -> tuple[int, Compare]:
    """By numpy alone, which has a fast product for floats only: codes are widened piece by piece."""
    wide = np.float32 if probes.shape[1] <= EXACT else np.float64
    across = np.ascontiguousarray(probes.T, wide)
    rows, at_once = _rows(len(probes)), max(1, WORK // probes.size)
    room = np.empty((PLAIN_ROWS, probes.shape[1]), wide)
    scores = np.empty((rows, len(probes)), wide)

    def compare(codes: Codes) -> Scores:
        for start in range(0, len(codes), PLAIN_ROWS):
            piece = room[: min(PLAIN_ROWS, len(codes) - start)]
            piece[...] = codes[start : start + PLAIN_ROWS]
            for at in range(0, len(piece), at_once):
                few = piece[at : at + at_once]
                np.matmul(few, across, out=scores[start + at :][: len(few)])
        return scores[: len(codes)]

    return rows, compare


def _rows(probes: int) -> int:
    """How many codes to compare at once with so many probes."""
    return min(65_536, SCORES // probes)


def numkong(probes: Codes) -> tuple[int, Compare]:
    """By numkong, which uses the processor's products of bytes. Raises ImportError where it is not there."""
    library = import_module("numkong")
    packed = library.dots_pack(probes)
    return _rows(len(probes)), lambda codes: np.asarray(library.dots_packed(codes, packed))


@cache
def best() -> Kernel:
    """The fastest that is installed and right on this processor."""
    return numkong if find_spec("numkong") and _agrees(numkong) else plain


def _agrees(kernel: Kernel) -> bool:
    """Whether it gives numpy's products, also at the ends of the range: a wrong one would lose faces."""
    rng = np.random.default_rng(0)
    for dimension in (128, 512, 77):
        for count in (1, 5, 64):
            codes = rng.integers(-127, 128, (300, dimension), np.int8)
            codes[::7], codes[3::7] = 127, -127
            probes = np.ascontiguousarray(codes[:count])
            if (kernel(probes)[1](codes) != plain(probes)[1](codes)).any():
                return False
    return True
