"""What a call says of itself, as signed headers: `x-countenance-purpose: missing-persons` and its like.

They arrive after the signature was verified, so they are the caller's, each once (sigv4). A header is a word
of a closed list, "true" or "false", a short text, a number, names between commas, or parts
such as `kind=police; place=US-CA`. `read` and `write` are each other's inverse.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from countenance.declared import Authorisation, AuthorisationKind, Declared, Listing, Requester, Venue
from countenance.errors import Validation
from countenance.types import OrganisationKind

PREFIX = "x-countenance-"

LONGEST = 256
"""Characters of one header's value, as of an AWS tag's."""

Known = Mapping[str, Collection[str]]
"""The closed words of the packs in force, by kind: Purpose, Place, Offence, Group."""


@dataclass(frozen=True, slots=True)
class Form:
    """How one header is written. read: raises ValueError saying what it may be."""

    read: Callable[[str, Known], Any]
    write: Callable[[Any], str] = str


def header(field: str) -> str:
    """The header that says a field of Declared."""
    return PREFIX + field.replace("_", "-")


def read(headers: Iterable[tuple[str, str]], known: Known) -> Declared:
    """What a request declares. headers: lower-case names, values decoded as Latin-1, no name twice.

    Raises Validation naming the header and what it may be.
    """
    said = {}
    for name, value in headers:
        if name.startswith(PREFIX):
            field = next((field for field in FORMS if header(field) == name), None)
            if field is None:
                raise Validation(f"Header '{name[:64]}' is not one of {', '.join(map(header, FORMS))}")
            said[field] = _value(name, value, FORMS[field], known)
    return Declared(**said)


def write(declared: Declared) -> dict[str, str]:
    """The headers that say it. Raises ValueError for a text that no header holds."""
    said = {}
    for field, form in FORMS.items():
        value = getattr(declared, field)
        if value is not None and value != frozenset():
            said[header(field)] = _fit(form.write(value))
    return said


def typed(said: Mapping[str, str]) -> dict[str, str]:
    """The headers of fields of Declared, with values as somebody typed them; whether they are words that may
    be said, the reader knows. Raises Validation for a text that no header holds."""
    return {header(field): _value(header(field), value, Form(_text), {}) for field, value in said.items()}


def _value(name: str, value: str, form: Form, known: Known) -> Any:
    try:
        return form.read(_fit(value), known)
    except ValueError as fault:
        raise Validation(f"Header '{name}' {fault}") from None


def _fit(value: str) -> str:
    """Raises ValueError for what is too long, empty or not printable ASCII."""
    if len(value) > LONGEST:
        raise ValueError(f"must be at most {LONGEST} characters long")
    if not (value.isascii() and value.isprintable()):
        raise ValueError("must be printable ASCII")
    if not value.strip():
        raise ValueError("must not be empty")
    return value.strip()


def _text(value: str, _known: Known) -> str:
    return value


def _one_of(value: str, words: Collection[str]) -> str:
    if value not in words:
        few = sorted(words)
        raise ValueError(f"must be one of {', '.join(few)}" if few else "has no word that a pack here knows")
    return value


def _word(kind: str, value: str, known: Known) -> str:
    if kind == "Place" and value not in known[kind]:
        raise ValueError("must be a code of a place such as US-CA, DE or world")
    return _one_of(value, known[kind])


def _closed(words: type[StrEnum], value: str, _known: Known) -> StrEnum:
    return words(_one_of(value, list(words)))


def _truth(value: str, _known: Known) -> bool:
    return _one_of(value, ("false", "true")) == "true"


def _names(value: str, _known: Known) -> frozenset[str]:
    names = [name.strip() for name in value.split(",")]
    if not all(names):
        raise ValueError("must be names between commas")
    return frozenset(names)


def _write_names(names: Iterable[str]) -> str:
    """Raises ValueError for a name with a comma: it would be read as two people."""
    if any("," in name for name in names):
        raise ValueError("a name between commas holds none itself")
    return ", ".join(sorted(names))


def _parts(value: str, wanted: Collection[str], optional: Collection[str] = ()) -> dict[str, str]:
    """`name=value` between semicolons, each name once."""
    pairs = [part.strip().partition("=") for part in value.split(";")]
    parts = {name.strip(): content.strip() for name, _, content in pairs}
    due = set(wanted)
    if len(parts) != len(pairs) or not due <= parts.keys() <= due | set(optional) or not all(parts.values()):
        further = f", and it may have {', '.join(optional)}=..." if optional else ""
        raise ValueError(f"must be {'; '.join(f'{name}=...' for name in wanted)}{further}")
    return parts


def _authorisation(value: str, _known: Known) -> Authorisation:
    parts = _parts(value, ("id", "kind", "issued-by", "from", "until"))
    if parts["kind"] not in set(AuthorisationKind):
        raise ValueError(f"must say kind= one of {', '.join(AuthorisationKind)}")
    begin, end = _moment(parts["from"]), _moment(parts["until"])
    if begin >= end:
        raise ValueError("must say an until= that is after its from=")
    return Authorisation(parts["id"], AuthorisationKind(parts["kind"]), parts["issued-by"], begin, end)


def _write_authorisation(stated: Authorisation) -> str:
    span = (stated.valid_from, stated.valid_until)
    begin, end = (f"{moment.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}" for moment in span)
    if ";" in stated.id + stated.issued_by:
        raise ValueError("an authorisation's id and issuer hold no semicolon")
    return f"id={stated.id}; kind={stated.kind}; issued-by={stated.issued_by}; from={begin}; until={end}"


def _moment(text: str) -> dt.datetime:
    """The moment in UTC, from 1000 to 9999. A day is its first."""
    try:
        written = dt.datetime.fromisoformat(text)
        moment = (written if written.tzinfo else written.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    except (ValueError, OverflowError):  # in UTC its year may be 0 or 10000
        moment = None
    if moment is None or moment.year < 1000:  # the engine takes years of four digits
        raise ValueError("must say dates such as 2026-03-01 or 2026-03-01T12:00:00Z")
    return moment


def _share(value: str, _known: Known) -> float:
    try:
        share = float(value)
    except ValueError:
        share = math.nan
    if not 0 < share < 1:
        raise ValueError("must be a number between 0 and 1, such as 0.001")
    return share


def _requester(value: str, known: Known) -> Requester:
    parts = _parts(value, ("kind", "place"), ("groups",))
    if parts["kind"] not in set(OrganisationKind):
        raise ValueError(f"must say kind= one of {', '.join(OrganisationKind)}")
    if parts["place"] not in known["Place"]:
        raise ValueError("must say place= a code such as US-CA, DE or world")
    groups = _names(parts["groups"], known) if "groups" in parts else frozenset()
    if not groups <= set(known["Group"]):
        raise ValueError(f"must say groups= some of {', '.join(sorted(known['Group']))}")
    return Requester(OrganisationKind(parts["kind"]), parts["place"], groups)


def _write_requester(who: Requester) -> str:
    groups = f"; groups={','.join(sorted(who.groups))}" if who.groups else ""
    return f"kind={who.kind}; place={who.place}{groups}"


_TRUTH = Form(_truth, lambda value: str(value).lower())

FORMS: Mapping[str, Form] = {
    "purpose": Form(partial(_word, "Purpose")),
    "place": Form(partial(_word, "Place")),
    "venue": Form(partial(_closed, Venue)),
    "realtime": _TRUTH,
    "public_space": _TRUTH,
    "mobile_camera": _TRUTH,
    "case": Form(_text),
    "offence": Form(partial(_word, "Offence")),
    "authorisation": Form(_authorisation, _write_authorisation),
    "evidence": Form(_text),
    "listing": Form(partial(_closed, Listing)),
    "reviewers": Form(_names, _write_names),
    "on_behalf_of": Form(_requester, _write_requester),
    "max_fpir": Form(_share, repr),
    "prior": Form(_share, repr),
}
"""The header of each field of Declared."""

assert FORMS.keys() == {field.name for field in dataclasses.fields(Declared)}
