"""A pack: a folder of rules, the words they speak of, and tests that say what they decide.

    pack.toml       whose it is, since when, how well its sources were read; `grants = true` where it permits
    rules.cedar     the rules; each carries @id @source @quote @advice @effective, and @until where it ends
    entities.json   places, purposes, offences and groups, in Cedar's own entity format
    tests.toml      calls, and which rules decide them
    retention.toml  how long templates and private records may be kept, where the pack says so (`retention`)

Everything is checked when it is read: a pack that is wrong anywhere is not loaded at all.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import cedarpy

from countenance.errors import PolicyError
from countenance.policy import retention
from countenance.policy import rule as rules_as_written
from countenance.policy.retention import Limit
from countenance.policy.rule import CLOSED, Rule, Word, kind_of

HERE = Path(__file__).parent
SCHEMA = HERE / "schema.cedarschema"

ROOTS = {"Place": "world", "Purpose": "any"}
"""What every word of a kind lies in, at last: a rule about it reaches them all."""

_UNCLAIMED = {"any"}
"""What no call may claim. A seat of "world" may be claimed: an organisation that names no place."""


class Confidence(StrEnum):
    """How well the text behind a pack is known. Low: it may only forbid."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    PROJECT_RULE = "project-rule"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """A pack.toml; every field is a line of it.

    place: whose law or promise it is, "world" for pledges. in_force_until: the first day it no longer is.
    read_on: when the sources were read. reviewed_by: who compared the rules with the text. supersedes: packs
    that this one is about to replace; it changes nothing. unread: what nobody has read of the sources.
    grants: whether it may permit anything.
    """

    title: str
    issuer: str
    place: str
    in_force_from: dt.date
    in_force_until: dt.date | None = None
    confidence: Confidence
    read_on: dt.date
    reviewed_by: str
    sources: tuple[str, ...]
    supersedes: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    grants: bool = False


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack that parsed and fits the schema by itself.

    words: those it defines, each with those it lies in. digests: SHA-256 (hex) of each file in force. limits:
    how long what is kept.
    """

    name: str
    folder: Path
    about: About
    text: str
    rules: tuple[Rule, ...]
    entities: tuple[dict[str, Any], ...]
    words: Mapping[Word, frozenset[Word]]
    digests: tuple[tuple[str, str], ...]
    limits: tuple[Limit, ...] = ()


def folder_of(name: str | Path) -> Path:
    """A pack by its folder, or by name where it ships with Countenance. Raises PolicyError."""
    folder = name if isinstance(name, Path) else HERE / "packs" / name  # `name` itself if a whole path
    if not folder.is_dir():
        raise PolicyError(
            f"there is no pack {str(name)!r}: {', '.join(shipped())} comes with Countenance; name one of "
            "your own by the whole path of its folder"
        )
    return folder


def shipped() -> list[str]:
    """The names of the packs that come with Countenance."""
    return sorted(path.name for path in (HERE / "packs").iterdir() if path.is_dir())


def read_schema() -> cedarpy.Schema:
    return _schema(SCHEMA.read_text("utf-8"))


@cache
def _schema(text: str) -> cedarpy.Schema:
    return cedarpy.Schema.from_str(text)


def read(folder: Path, schema: cedarpy.Schema) -> Pack:
    """Read one pack. Raises PolicyError naming the file, and the rule where it is one rule's fault."""
    text = text_of(folder / "rules.cedar")
    about = read_about(folder)
    rules = _rules(folder / "rules.cedar", text, schema)
    for rule in rules:
        if fault := _unfit(rule, about):
            raise PolicyError(f"{folder / 'pack.toml'}: rule {rule.id} {fault}")
    entities = _entities(folder / "entities.json", text_of(folder / "entities.json"), schema)
    return Pack(
        name=folder.name,
        folder=folder,
        about=about,
        text=text,
        rules=rules,
        entities=entities,
        words={
            (kind_of(entity["uid"]), entity["uid"]["id"]): frozenset(
                (kind_of(up), up["id"]) for up in entity["parents"]
            )
            for entity in entities
        },
        digests=tuple(
            (name, _digest(folder / name))
            for name in ("rules.cedar", "entities.json", retention.FILE)
            if name != retention.FILE or (folder / name).exists()
        ),
        limits=_limits(folder / retention.FILE, about),
    )


def read_about(folder: Path) -> About:
    """A pack's own card. Raises PolicyError naming the line that is missing, unknown or of another type."""
    path = folder / "pack.toml"
    lines = read_toml(path)
    fields = {each.name: each for each in dataclasses.fields(About)}
    if unknown := sorted(lines.keys() - fields):
        raise PolicyError(f"{path}: unknown line {unknown[0]!r}; known are {', '.join(fields)}")
    for name, each in fields.items():
        if name not in lines and each.default is dataclasses.MISSING:
            raise PolicyError(f"{path}: {name} is missing")
    return About(**{name: _line(path, name, str(fields[name].type), value) for name, value in lines.items()})


def _line(path: Path, name: str, kind: str, value: object) -> Any:
    if kind == "Confidence":
        if value not in set(Confidence):
            raise PolicyError(f"{path}: {name} must be one of {', '.join(Confidence)}, not {value!r}")
        return Confidence(str(value))
    if kind.startswith("tuple"):
        fits = isinstance(value, list) and all(isinstance(item, str) for item in value)
        wanted = "a list of texts"
    elif kind.startswith("dt.date"):
        fits, wanted = type(value) is dt.date, "a date such as 2020-06-10"
    elif kind == "bool":
        fits, wanted = isinstance(value, bool), "true or false"
    else:
        fits, wanted = isinstance(value, str) and value != "", "a text"
    if not fits:
        raise PolicyError(f"{path}: {name} must be {wanted}, not {value!r}")
    return tuple(value) if isinstance(value, list) else value


def _limits(path: Path, about: About) -> tuple[Limit, ...]:
    if not path.exists():
        return ()
    try:
        return retention.read(read_toml(path), about.place, about.in_force_from)
    except ValueError as fault:
        raise PolicyError(f"{path}: {fault}") from fault


def _unfit(rule: Rule, about: About) -> str:
    """What a rule does that its pack's card does not let it, if anything."""
    if rule.permits and not about.grants:
        return "permits, but the pack is not marked grants = true"
    if rule.permits and about.confidence is Confidence.LOW:
        return "permits, but what is known with low confidence may only forbid"
    if rule.effective is not None and rule.effective < about.in_force_from:
        return f"applies since {rule.effective}, but the pack is in_force_from {about.in_force_from}"
    return ""


def vocabulary(packs: Sequence[Pack], kind: str) -> frozenset[str]:
    """The ids of one closed entity type ("Purpose", "Place", ...) that a call may claim."""
    return frozenset({name for pack in packs for of, name in pack.words if of == kind} - _UNCLAIMED)


def above(packs: Sequence[Pack]) -> dict[Word, frozenset[Word]]:
    """Each closed word with those it lies in, itself included."""
    direct = {word: parents for pack in packs for word, parents in pack.words.items()}

    def all_above(word: Word) -> frozenset[Word]:
        return frozenset({word}).union(*(all_above(up) for up in direct.get(word, ())))

    return {word: all_above(word) for word in direct}


def check_together(packs: Sequence[Pack]) -> None:
    """What only shows when packs meet: one id twice, a word that no pack defines. Raises PolicyError."""
    names = [pack.name for pack in packs]
    if twice := {name for name in names if names.count(name) > 1}:
        raise PolicyError(f"two packs are called {', '.join(sorted(twice))}")
    rules: dict[str, str] = {}
    known: dict[Word, str] = {}
    for pack in packs:
        for rule in pack.rules:
            if rule.id in rules:
                raise PolicyError(
                    f"{pack.folder / 'rules.cedar'}: @id {rule.id} is already in pack {rules[rule.id]}"
                )
            rules[rule.id] = pack.name
        for limit in pack.limits:
            if limit.id in rules:
                raise PolicyError(
                    f"{pack.folder / retention.FILE}: id {limit.id} is already in pack {rules[limit.id]}"
                )
            rules[limit.id] = pack.name
        for word in pack.words:
            if word in known:
                raise PolicyError(f"{pack.folder / 'entities.json'}: {word} is already in pack {known[word]}")
            known[word] = pack.name
    for pack in packs:
        _check_words(pack, known)


def _check_words(pack: Pack, known: Mapping[Word, str]) -> None:
    """Every word a pack speaks is defined, and every one it defines lies in another. Raises PolicyError."""
    for where, (kind, name) in _spoken(pack):
        if (kind, name) not in known:
            raise PolicyError(
                f"{pack.folder / where}: {kind} {name!r} is not in the vocabulary of the packs in force"
            )
    for (kind, name), parents in pack.words.items():
        if kind in ROOTS and not parents and name != ROOTS[kind]:
            raise PolicyError(
                f"{pack.folder / 'entities.json'}: {kind} {name!r} lies in nothing, so no rule about"
                f" {ROOTS[kind]!r} would reach it; name what it lies in"
            )


def _spoken(pack: Pack) -> list[tuple[str, Word]]:
    """Every word a pack uses, with where it does."""
    above = {word for parents in pack.words.values() for word in parents}
    return [
        ("pack.toml", ("Place", pack.about.place)),
        *(("entities.json", word) for word in sorted(above)),
        *((f"rules.cedar: rule {rule.id}", word) for rule in pack.rules for word in sorted(rule.words)),
    ]


def digest(packs: Sequence[Pack]) -> str:
    """SHA-256 (hex) over every rule, entity, limit and schema byte in force, in no order loading decides.

    It is the digest of what `sha256sum` prints for the files, sorted by name.
    """
    lines = [f"{_digest(SCHEMA)}  {SCHEMA.name}\n"]
    for pack in sorted(packs, key=lambda pack: pack.name):
        lines += [f"{value}  {pack.name}/{name}\n" for name, value in sorted(pack.digests)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@lru_cache(maxsize=64)  # a home that is made, or opened again, reads the same packs several times
def _rules(path: Path, text: str, schema: cedarpy.Schema) -> tuple[Rule, ...]:
    try:
        verdict = cedarpy.validate_policies(text, schema)
        parsed = json.loads(cedarpy.policies_to_json_str(text))
    except ValueError as error:
        raise PolicyError(f"{path}: {error}") from error
    if verdict.errors:  # the engine lists them in any order
        named = verdict.id_annotations_by_policy_id
        faults = [f"rule {named.get(one.policy_id, one.policy_id)}: {one.error}" for one in verdict.errors]
        raise PolicyError(f"{path}: {'; '.join(sorted(faults))}")
    if not verdict.validation_passed:
        raise PolicyError(f"{path}: the rules do not fit {SCHEMA.name}")
    if parsed["templates"]:
        raise PolicyError(f"{path}: a template decides nothing by itself; write the rule out")
    written = sorted(parsed["staticPolicies"].items(), key=lambda item: int(item[0].removeprefix("policy")))
    rules = tuple(_rule(path, place, tree) for place, tree in written)
    if twice := [rule.id for n, rule in enumerate(rules) if rule.id in {r.id for r in rules[:n]}]:
        raise PolicyError(f"{path}: @id {twice[0]} is used twice")
    return rules


def _rule(path: Path, place: str, tree: dict[str, Any]) -> Rule:
    try:
        return rules_as_written.read(tree)
    except ValueError as error:
        raise PolicyError(f"{path}: rule {tree['annotations'].get('id') or place}: {error}") from error


@lru_cache(maxsize=64)
def _entities(path: Path, text: str, schema: cedarpy.Schema) -> tuple[dict[str, Any], ...]:
    try:
        entities = json.loads(text)
        cedarpy.Entities.from_json_str(json.dumps(entities), schema)
    except ValueError as error:
        raise PolicyError(f"{path}: {error}") from error
    for entity in entities:
        if kind_of(entity["uid"]) not in CLOSED:
            raise PolicyError(f"{path}: a pack may add {', '.join(sorted(CLOSED))}, not {entity['uid']}")
    return tuple(entities)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: {error}") from error


def read_toml(path: Path) -> dict[str, Any]:
    """Raises PolicyError."""
    try:
        return tomllib.loads(text_of(path))
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"{path}: {error}") from error
