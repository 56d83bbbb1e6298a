"""What the log says, as canonical JSON: of a call two entries, decision and outcome; of a change in who
may call one entry, govern.

Never an image, a crop, an embedding, a FaceId or a name: of a person only a tag that no two calls share,
which the subject's own key leads to, and of what is private a commitment (`vault`). Numbers with a fraction
are written as strings, so that any JSON tool on earth reproduces the same bytes.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NoReturn

import orjson

from countenance.declared import NOTHING, Change, Declared
from countenance.ledger.vault import subject_tag
from countenance.types import EMPTY, Action, Attribute, Caller, Decision, OrganisationKind

VERSION = 1

Value = str | int | bool | list["Value"]
Entry = dict[str, Value]


class Result(StrEnum):
    """How a call ended. INTERRUPTED: its process died; written at the next start."""

    ANSWERED = "answered"
    REFUSED = "refused"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class Stage(StrEnum):
    """What a decision about put-off work lets in: START queues it, RUN does it, READ tells what it found."""

    START = "start"
    RUN = "run"
    READ = "read"


class Act(StrEnum):
    """What the operator did about who may call, and by which rules."""

    REGISTER = "register"
    ISSUE = "issue"
    REVOKE = "revoke"
    LIMIT = "limit"
    PACKS = "packs"
    SETTINGS = "settings"
    ROTATE = "rotate"
    EXPIRE = "expire"


LONGEST = 65_535
"""Bytes of one entry (C2SP tlog-tiles: two bytes hold its length)."""

DEEPEST = 2
"""Lists within one another."""

_EXACT = 2**53
"""Whole numbers from here on lose digits in JSON tools that read them as doubles (RFC 8785, 3.2.2.3)."""


def _dump(entry: object) -> bytes:
    """For what `_check` lets through this is RFC 8785, byte for byte (a test compares it with the package
    rfc8785), at a fiftieth of the time. Raises TypeError for what is no JSON."""
    return orjson.dumps(entry, option=orjson.OPT_SORT_KEYS)


def _refuse(what: str) -> NoReturn:
    raise ValueError(f"{what} is no whole number")


_load = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse).decode


def canonical(entry: Mapping[str, object]) -> bytes:
    """The one way to write an entry (RFC 8785).

    Raises TypeError for a value the log does not take, ValueError for a name that is not ASCII (others sort
    in more than one way), for text that is not Unicode, for a number or an entry that is too large.
    """
    for name, value in entry.items():
        if type(value) is not str and not _plain(value):
            _check(name, value)
    if not "".join(entry).isascii():
        raise ValueError(f"{[*entry]} holds what is no name for a member of an entry")
    try:
        body = _dump(entry)
    except TypeError as fault:
        raise ValueError(f"this cannot be written: {fault}") from fault
    if len(body) > LONGEST:
        raise ValueError(f"an entry holds {LONGEST} bytes at most, not {len(body)}")
    return body


def parsed(body: bytes) -> dict[str, Any]:
    """What an entry says. Raises ValueError for what `canonical` does not write: of a member that is there
    twice, say, one reader would see the first and another the last."""
    try:
        entry = _load(body.decode())
        if not isinstance(entry, dict) or _dump(entry) != body:
            raise ValueError("another spelling")
        for name, value in entry.items():
            if not name.isascii() or (type(value) is not str and not _plain(value)):
                raise ValueError(f"{name!r} holds what no entry does")
    except (TypeError, ValueError, RecursionError) as fault:
        raise ValueError(f"it is not canonical JSON: {fault}") from fault
    return entry


def _plain(value: Any, depth: int = 0) -> bool:
    kind = type(value)
    if kind is not list:
        return kind is str or kind is bool or (kind is int and -_EXACT < value < _EXACT)
    if depth == DEEPEST:
        return False
    return {*map(type, value)} <= {str} or all(_plain(item, depth + 1) for item in value)


def _check(name: str, value: object, depth: int = 0) -> None:
    if isinstance(value, str | bool):
        return
    if isinstance(value, list):
        if depth == DEEPEST:
            raise ValueError(f"{name}: lists hold lists, and those hold none")
        for item in value:
            _check(name, item, depth + 1)
    elif not isinstance(value, int):
        raise TypeError(
            f"{name}: the log takes text, whole numbers, booleans and lists, not {type(value).__name__}"
        )
    elif not -_EXACT < value < _EXACT:
        raise ValueError(f"{name}: {value} is not exact in every JSON tool")


def decision_entry(  # noqa: PLR0913 - each is one line of the entry
    *,
    now: dt.datetime,
    request: str,
    operation: str,
    actions: Sequence[Action],
    decision: Decision,
    caller: Caller,
    pseudonym: str,
    purpose: str | None = None,
    model: Model | None = None,
    collection: str | None = None,
    size: int | None = None,
    threshold: float | None = None,
    attributes: Collection[Attribute] = (),
    declared: Declared = NOTHING,
    private: Mapping[str, str] = EMPTY,
    defaults: Sequence[str] = (),
    changed: Sequence[Change] = (),
    refusal: str = "",
    stage: Stage | None = None,
    started: int | None = None,
) -> Entry:
    """What was asked and what policy said, before any work is done.

    Who writes it adds "counter", the key's calls so far, so that one left out shows.
    request: the request id. pseudonym: what the ledger calls the key. collection, size: its CollectionId and
    number of faces. threshold: similarity in percent, after defaults. attributes: what was asked about each
    face. declared: what the call said of itself. private: commitments to what of it is nobody else's
    business. defaults: what it left to one, and a rule in force reads. changed: the tags it sets anew, each
    with the word before and after. refusal: why not, as JSON. stage: of work that is put off; started: the
    decision that put it off. What is None or empty is left out.
    """
    entry: Entry = {
        "v": VERSION,
        "kind": "decision",
        "time": timestamp(now),
        "request": request,
        "operation": operation,
        "actions": [action.value for action in actions],
        "allowed": decision.allowed,
        "rules": list(decision.rules),
        "errors": list(decision.errors),
        "pack": decision.pack,
        "account": caller.account,
        "organisation_kind": caller.kind.value,
        "place": caller.place,
        "caller": pseudonym,
    }
    told = {
        "purpose": purpose,
        "collection": collection,
        "collection_size": size,
        "stage": None if stage is None else stage.value,
        "started": started,
    }
    entry |= {name: value for name, value in told.items() if value is not None}
    if model is not None:
        entry |= {"model": model.card, "model_digest": model.digest}
    if threshold is not None:
        entry["threshold"] = f"{threshold:.4f}"
        if model is not None:
            entry["calibration"] = model.calibration
    if attributes:
        entry["attributes"] = [attribute.value for attribute in sorted(attributes)]
    further: Entry = {
        **_said(declared),
        **private,
        "defaults": list(defaults),
        "tags": [list(change) for change in changed],
        "refusal": refusal,
    }
    return entry | {name: value for name, value in further.items() if value not in ("", [])}


def _said(declared: Declared) -> Entry:
    """What a call said that anybody may know; `vault.private` is the rest."""
    plain = ("venue", "realtime", "public_space", "mobile_camera", "offence", "listing")
    said: Entry = {name: value for name in plain if (value := getattr(declared, name)) is not None}
    if declared.place is not None:
        said["called_from"] = declared.place
    if declared.max_fpir is not None:
        said["max_fpir"] = repr(declared.max_fpir)
    if declared.prior is not None:
        said["prior"] = repr(declared.prior)
    if declared.on_behalf_of is not None:
        who = declared.on_behalf_of
        said["requester"] = [who.kind.value, who.place, *sorted(who.groups)]
    return said


@dataclass(frozen=True, slots=True)
class Model:
    """What compared. digest: SHA-256 (hex) of its weights. calibration: its curve, by population, digest."""

    card: str
    digest: str
    calibration: str


@dataclass(frozen=True, slots=True)
class Told:
    """What the log is told of an answer, never the answer.

    candidates: how many lines it lists. top: the best similarity in percent, of which only the bucket is
    written. subjects: the keys (32 bytes) of whom the call concerned, which only their own tag stands for.
    enrolled, removed: how many templates. further: what only one operation tells. What is None is left out.
    """

    candidates: int | None = None
    top: float | None = None
    subjects: Sequence[bytes] = ()
    enrolled: int | None = None
    removed: int | None = None
    further: Mapping[str, Value] = field(default_factory=lambda: NOTHING_FURTHER)


NOTHING_FURTHER: Mapping[str, Value] = MappingProxyType({})
SILENCE = Told()


def outcome_entry(
    *, now: dt.datetime, decision: int, result: Result, error: str | None = None, told: Told = SILENCE
) -> Entry:
    """How the call that entry `decision` decided ended. error: the AWS error code."""
    entry: Entry = {
        "v": VERSION,
        "kind": "outcome",
        "time": timestamp(now),
        "decision": decision,
        "result": result.value,
    }
    counts = {"candidates": told.candidates, "enrolled": told.enrolled, "removed": told.removed}
    entry |= {name: value for name, value in counts.items() if value is not None}
    if error is not None:
        entry["error"] = error
    if told.top is not None:
        entry["top"] = bucket(told.top)
    if told.subjects:
        entry["subjects"] = [subject_tag(subject, decision) for subject in dict.fromkeys(told.subjects)]
    return {**entry, **told.further}


def govern_entry(  # noqa: PLR0913 - each is one line of the entry
    *,
    now: dt.datetime,
    act: Act,
    account: str,
    kind: OrganisationKind,
    place: str,
    groups: Collection[str] = (),
    purpose: str | None = None,
    purposes: Collection[str] = (),
    policy_owner: bool = False,
    quota: int | None = None,
    pseudonym: str | None = None,
) -> Entry:
    """An organisation was registered, or a key of its was issued, given another quota or revoked.

    purpose: the key's default. purposes: what it may be for, where that is more. quota: calls a day that it
    may make. pseudonym: what the ledger calls the key. What is None, empty or false is left out.
    """
    entry: Entry = {
        "v": VERSION,
        "kind": "govern",
        "time": timestamp(now),
        "act": act.value,
        "account": account,
        "organisation_kind": kind.value,
        "place": place,
    }
    told: Entry = {
        "groups": sorted(groups),
        "purpose": purpose or "",
        "purposes": sorted(set(purposes) - {purpose}),
        "policy_owner": policy_owner,
        "quota": quota or 0,
        "caller": pseudonym or "",
    }
    return entry | {name: value for name, value in told.items() if value}


def packs_entry(
    *, now: dt.datetime, digest: str, packs: Sequence[str], before: tuple[str, Sequence[str]] | None = None
) -> Entry:
    """Other packs are in force from here on.

    digest: as in every decision's `pack`. packs: their names. before: the same of those until now, None at a
    home's first start.
    """
    entry: Entry = {
        "v": VERSION,
        "kind": "govern",
        "time": timestamp(now),
        "act": Act.PACKS.value,
        "pack": digest,
        "packs": list(packs),
    }
    if before is not None:
        entry |= {"pack_before": before[0], "packs_before": list(before[1])}
    return entry


def settings_entry(*, now: dt.datetime, settings: Mapping[str, Value], before: Mapping[str, Value]) -> Entry:
    """Something else compares from here on: models, curves, a default. before: the same until now."""
    return {
        "v": VERSION,
        "kind": "govern",
        "time": timestamp(now),
        "act": Act.SETTINGS.value,
        **settings,
        **{f"{name}_before": value for name, value in before.items()},
    }


def expire_entry(  # noqa: PLR0913 - each is one line of the entry
    *,
    now: dt.datetime,
    rule: str,
    account: str,
    collection: str | None = None,
    removed: int | None = None,
    subjects: Sequence[str] = (),
    shredded: int | None = None,
    kept: int | None = None,
    kept_by: str | None = None,
    kept_until: str | None = None,
    jobs: int | None = None,
) -> Entry:
    """A rule of retention destroyed something of an organisation's, or another kept it from that.

    removed: templates of a collection; subjects: tags made with this entry's own number. shredded, kept:
    private records. jobs: those forgotten with their results. What is None or empty is left out.
    """
    entry: Entry = {
        "v": VERSION,
        "kind": "govern",
        "time": timestamp(now),
        "act": Act.EXPIRE.value,
        "rule": rule,
        "account": account,
    }
    told: dict[str, Value | None] = {
        "collection": collection,
        "removed": removed,
        "subjects": list(subjects) or None,
        "shredded": shredded,
        "kept": kept,
        "kept_by": kept_by,
        "kept_until": kept_until,
        "jobs": jobs,
    }
    return entry | {name: value for name, value in told.items() if value is not None}


def rotate_entry(*, now: dt.datetime, key: str, before: str) -> Entry:
    """Another key signs the log's heads from here on: verifier keys of both (C2SP signed-note)."""
    return {
        "v": VERSION,
        "kind": "govern",
        "time": timestamp(now),
        "act": Act.ROTATE.value,
        "key": key,
        "key_before": before,
    }


def bucket(similarity: float) -> str:
    """A band of the similarity scale (80, 90, 95, 99 stand for FMR 1e-4 .. 1e-7), never the score itself."""
    for floor, ceiling in ((99, 100), (95, 99), (90, 95), (80, 90)):
        if similarity >= floor:
            return f"{floor}-{ceiling}"
    return "0-80"


def timestamp(now: dt.datetime) -> str:
    """UTC to the millisecond. Raises ValueError without a time zone."""
    if now.tzinfo is None:
        raise ValueError("the log needs to know the time zone of now")
    return now.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
