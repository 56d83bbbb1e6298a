"""Whether a user's vector, made of several faces, is searched better than a single face of the same person.

python bench/users.py --photos FOLDER [--cache FOLDER] [--faces 3] [--splits 20] [--growing]

FOLDER holds one folder a person (LFW, say). In each split half of the people are enrolled with `--faces`
photos and looked for with their others; all photos of the other half are strangers'. Every way of enrolling
sees the same photos. With --growing the same people are enrolled with 1, 2, 3 and 5 photos, one after
another, and looked for with the same others.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from countenance.audit.embedding import Embedder, central
from countenance.vision import Vision

GROWING = (1, 2, 3, 5)
"""Faces a user has, one after another."""

THRESHOLDS = (70.0, 80.0, 90.0)

Rows = np.ndarray
"""Unit vectors, float64 (n, D)."""

Score = Callable[[Rows, Rows], Rows]
"""Probes (p, D) and all enrolled faces, person after person (people, faces, D): cosines (p, people)."""


def unit(rows: Rows) -> Rows:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def medoid(faces: Rows) -> Rows:
    """Of each person the face that is nearest to the others: the best single one that can be told."""
    near = np.einsum("pid,pjd->pij", faces, faces).sum(axis=2).argmax(axis=1)
    return faces[np.arange(len(faces)), near]


def shrunk(faces: Rows) -> Rows:
    """Faces weighted by how near they lie to the others: an odd one counts less."""
    near = np.einsum("pid,pjd->pij", faces, faces).sum(axis=2) - 1
    weights = np.clip(near / (faces.shape[1] - 1), 0.05, None)
    return unit((faces * weights[..., None]).sum(axis=1))


WAYS: Mapping[str, Score] = {
    "one face, at random": lambda probes, faces: probes @ faces[:, 0].T,
    "one face, the nearest to the others": lambda probes, faces: probes @ medoid(faces).T,
    "every face, the best score": lambda probes, faces: np.einsum("qd,pfd->qpf", probes, faces).max(axis=2),
    "every face, the mean score": lambda probes, faces: probes @ faces.mean(axis=1).T,
    "user vector (normalised mean)": lambda probes, faces: probes @ unit(faces.mean(axis=1)).T,
    "weighted mean": lambda probes, faces: probes @ shrunk(faces).T,
}


def people(folder: Path, cache: Path | None, least: int) -> list[Rows]:
    """Of everybody with at least so many photos: the embeddings of their faces."""
    photos = {each: sorted(each.glob("*.jpg")) for each in sorted(folder.iterdir()) if each.is_dir()}
    kept = {person: paths for person, paths in photos.items() if len(paths) >= least}
    flat = [path for paths in kept.values() for path in paths]
    with Progress() as progress:
        task = progress.add_task("photos", total=len(flat))
        embedded = Embedder(Vision.load(threads=1), cache).embed(
            flat, central, lambda done, _: progress.update(task, completed=done)
        )
    owners = np.repeat(np.arange(len(kept)), [len(paths) for paths in kept.values()])
    rows = [embedded.vectors[(owners == n) & embedded.found].astype(np.float64) for n in range(len(kept))]
    return [each for each in rows if len(each) >= least]


def table(faces: int, people_: list[Rows], splits: int, least: tuple[float, ...]) -> Table:
    """One row a way of enrolling: means over splits."""
    curve = Vision.load(threads=1).calibration()
    draw = np.random.default_rng(7)
    sums: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    shown = ""
    for _ in range(splits):
        order = draw.permutation(len(people_))
        half = len(order) // 2
        members = [draw.permutation(people_[n]) for n in order[:half] if len(people_[n]) > faces]
        strangers = np.concatenate([people_[n] for n in order[half:]])
        enrolled = np.stack([rows[:faces] for rows in members])
        probes = np.concatenate([rows[faces:] for rows in members])
        owners = np.repeat(np.arange(len(members)), [len(rows) - faces for rows in members])
        shown = f"{len(members)} people, {len(probes)} probes, {len(strangers)} strangers"
        for way, score in WAYS.items():
            sums[way].append(
                _figures(score, enrolled, probes, owners, strangers, [curve.cosine(t) for t in least])
            )
    return _filled(f"{faces} faces each: {shown}", "way", sums, least)


def growing(people_: list[Rows], splits: int, least: tuple[float, ...]) -> Table:
    """One row a number of faces: users' vectors of the first so many photos; means over splits."""
    curve, draw = Vision.load(threads=1).calibration(), np.random.default_rng(7)
    floors, score = [curve.cosine(each) for each in least], WAYS["user vector (normalised mean)"]
    sums: dict[int, list[list[float]]] = {count: [] for count in GROWING}
    shown = ""
    for _ in range(splits):
        order = draw.permutation(len(people_))
        half = len(order) // 2
        members = [draw.permutation(people_[n]) for n in order[:half]]
        probes = np.concatenate([rows[max(GROWING) :] for rows in members])
        owners = np.repeat(np.arange(half), [len(rows) - max(GROWING) for rows in members])
        strangers = np.concatenate([people_[n] for n in order[half:]])
        shown = f"{half} people, {len(probes)} probes, {len(strangers)} strangers' photos"
        for count in GROWING:
            enrolled = np.stack([rows[:count] for rows in members])
            sums[count].append(_figures(score, enrolled, probes, owners, strangers, floors))
    return _filled(f"the same users by number of faces: {shown}", "faces", sums, least)


def _filled(title: str, what: str, sums: Mapping[Any, list[list[float]]], least: tuple[float, ...]) -> Table:
    """A row a line of figures, each the mean of the splits'."""
    columns = ["rank 1"] + [f"{name} {t:g}" for t in least for name in ("FNMR", "FPIR")]
    made = Table(what, *columns, "FNMR at FPIR 1 %", title=title)
    for line, rows in sums.items():
        made.add_row(str(line), *(f"{value:.2%}" for value in np.mean(rows, axis=0)))
    return made


def _figures(
    score: Score, enrolled: Rows, probes: Rows, owners: Rows, strangers: Rows, floors: list[float]
) -> list[float]:
    """Rank-1, then FNMR and FPIR at each cosine, then FNMR where FPIR is 1 %."""
    mine, others = score(probes, enrolled), score(strangers, enrolled).max(axis=1)
    mates = mine[np.arange(len(owners)), owners]
    at = [figure for floor in floors for figure in ((mates < floor).mean(), (others >= floor).mean())]
    rare = np.sort(others)[int(0.99 * len(others))]
    return [(mine.argmax(axis=1) == owners).mean(), *at, (mates < rare).mean()]


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--photos", type=Path, required=True)
    ask.add_argument("--cache", type=Path)
    ask.add_argument("--faces", type=int, action="append", help="enrolled of each person; may be said again")
    ask.add_argument("--splits", type=int, default=20)
    ask.add_argument("--growing", action="store_true", help="the same people, by number of faces")
    options = ask.parse_args()
    console = Console(width=160)
    if options.growing:
        known = people(options.photos, options.cache, max(GROWING) + 1)
        console.print(growing(known, options.splits, THRESHOLDS))
        return
    known = people(options.photos, options.cache, 2)
    for faces in options.faces or [2, 3, 5]:
        console.print(table(faces, known, options.splits, THRESHOLDS))


if __name__ == "__main__":
    main()
