"""What the log says, as canonical JSON: of a call two entries, decision and outcome; of a change in who
may call one entry, govern.

Never an image, a crop, an embedding, a FaceId or a name. Numbers with a fraction are written as
strings, so that any JSON tool on earth reproduces the same bytes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum

import rfc8785

from countenance.declared import NOTHING, Change, Declared
from countenance.types import Action, Attribute, Caller, Decision, OrganisationKind

VERSION = 1

Value = str | int | bool | list["Value"]
Entry = dict[str, Value]


class Result(StrEnum):
    """How a call ended. INTERRUPTED: its process died; written at the next start."""

    ANSWERED = "answered"
    REFUSED = "refused"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class Act(StrEnum):
    """What the operator did about who may call, and by which rules."""

    REGISTER = "register"
    ISSUE = "issue"
    REVOKE = "revoke"
    PACKS = "packs"


def canonical(entry: Mapping[str, object]) -> bytes:
    """The one way to write an entry (RFC 8785). Raises TypeError for a value the log does not take."""
    for name, value in entry.items():
        _check(name, value)
    return bytes(rfc8785.dumps(dict(entry)))


def _check(name: str, value: object) -> None:
    if isinstance(value, list):
        for item in value:
            _check(name, item)
    elif not isinstance(value, str | int):
        raise TypeError(
            f"{name}: the log takes text, whole numbers, booleans and lists, not {type(value).__name__}"
        )


def decision_entry(  # noqa: PLR0913 - each is one line of the entry
    *,
    now: dt.datetime,
    request: str,
    operation: str,
    actions: Sequence[Action],
    decision: Decision,
    caller: Caller,
    pseudonym: str,
    counter: int,
    purpose: str | None = None,
    model: str | None = None,
    collection: str | None = None,
    size: int | None = None,
    threshold: float | None = None,
    attributes: Collection[Attribute] = (),
    declared: Declared = NOTHING,
    defaults: Sequence[str] = (),
    changed: Sequence[Change] = (),
    refusal: str = "",
) -> Entry:
    """What was asked and what policy said, before any work is done.

    request: the request id. pseudonym: what the ledger calls the key. counter: the key's calls so far,
    so that one left out shows. collection, size: its CollectionId and number of faces.
    threshold: similarity in percent, after defaults. attributes: what was asked about each face. declared:
    what the call said of itself. defaults: what it left to one, and a rule in force reads. changed: the tags
    it sets anew, each with the word before and after. refusal: why not, as JSON. What is None or empty is
    left out.
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
        "counter": counter,
    }
    told = {"purpose": purpose, "model": model, "collection": collection, "collection_size": size}
    entry |= {name: value for name, value in told.items() if value is not None}
    if threshold is not None:
        entry["threshold"] = f"{threshold:.4f}"
    if attributes:
        entry["attributes"] = [attribute.value for attribute in sorted(attributes)]
    further: Entry = {
        **_said(declared),
        "defaults": list(defaults),
        "tags": [list(change) for change in changed],
        "refusal": refusal,
    }
    return entry | {name: value for name, value in further.items() if value not in ("", [])}


def _said(declared: Declared) -> Entry:
    """What a call said, but of a case, an authorisation, evidence and reviewers only that it named them:
    they are other people's business."""
    plain = ("venue", "realtime", "public_space", "mobile_camera", "offence", "listing")
    named = ("case", "authorisation", "evidence", "reviewers")
    said: Entry = {name: value for name in plain if (value := getattr(declared, name)) is not None}
    said |= {name: "given" for name in named if getattr(declared, name)}
    if declared.place is not None:
        said["called_from"] = declared.place
    if declared.on_behalf_of is not None:
        who = declared.on_behalf_of
        said["requester"] = [who.kind.value, who.place, *sorted(who.groups)]
    return said


def outcome_entry(
    *,
    now: dt.datetime,
    decision: int,
    result: Result,
    error: str | None = None,
    candidates: int | None = None,
    top: float | None = None,
) -> Entry:
    """How the call that entry `decision` decided ended.

    error: the AWS error code. candidates: how many lines the answer lists. top: the best similarity in
    percent, of which only the bucket is written. What is None is left out.
    """
    entry: Entry = {
        "v": VERSION,
        "kind": "outcome",
        "time": timestamp(now),
        "decision": decision,
        "result": result.value,
    }
    if error is not None:
        entry["error"] = error
    if candidates is not None:
        entry["candidates"] = candidates
    if top is not None:
        entry["top"] = bucket(top)
    return entry


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
    pseudonym: str | None = None,
) -> Entry:
    """An organisation was registered, or a key of its was issued or revoked.

    purpose: the key's default. purposes: what it may be for, where that is more. pseudonym: what the ledger
    calls the key. What is None, empty or false is left out.
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
