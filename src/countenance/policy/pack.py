"""A pack: a folder of rules, the places and purposes they speak of, and tests that say what they decide.

    pack.toml       title, issuer, confidence, and `grants = true` where the pack may permit anything
    rules.cedar     the rules; each carries @id @source @advice @effective
    entities.json   places and purposes, in Cedar's own entity format
    tests.toml      calls, and which rules decide them

Everything is checked when it is read: a pack that is wrong anywhere is not loaded at all.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cedarpy

from countenance.errors import PolicyError

HERE = Path(__file__).parent
SCHEMA = HERE / "schema.cedarschema"
NAMESPACE = "Countenance::"

_CLOSED = ("Purpose", "Place")
"""The entity types whose ids are a closed vocabulary."""

_UNCLAIMED = {"any"}
"""What no call may claim. A seat of "world" may be claimed: an organisation that names no place."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as people read it. actions: what its scope names; empty where it covers every action."""

    id: str
    permits: bool
    actions: frozenset[str]
    source: str
    advice: str
    effective: dt.date


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack that parsed and fits the schema by itself. digests: SHA-256 (hex) of each file in force."""

    name: str
    folder: Path
    text: str
    rules: tuple[Rule, ...]
    names: frozenset[tuple[str, str]]
    entities: tuple[dict[str, Any], ...]
    digests: tuple[tuple[str, str], ...]


def folder_of(name: str | Path) -> Path:
    """A pack by its folder, or by name where it ships with Countenance. Raises PolicyError."""
    folder = name if isinstance(name, Path) else HERE / "packs" / name  # `name` itself if a whole path
    if not folder.is_dir():
        shipped = ", ".join(sorted(path.name for path in (HERE / "packs").iterdir()))
        raise PolicyError(
            f"there is no pack {str(name)!r}: {shipped} comes with Countenance; name one of your own by the "
            "whole path of its folder"
        )
    return folder


def read_schema() -> cedarpy.Schema:
    return cedarpy.Schema.from_str(SCHEMA.read_text("utf-8"))


def read(folder: Path, schema: cedarpy.Schema) -> Pack:
    """Read one pack. Raises PolicyError naming the file, and the rule where it is one rule's fault."""
    text = _text(folder / "rules.cedar")
    about = _toml(folder / "pack.toml")
    rules, names = _rules(folder / "rules.cedar", text, schema)
    granting = [rule.id for rule in rules if rule.permits]
    if granting and about.get("grants") is not True:
        raise PolicyError(
            f"{folder / 'pack.toml'}: {granting[0]} permits, but the pack is not marked grants = true"
        )
    return Pack(
        name=folder.name,
        folder=folder,
        text=text,
        rules=rules,
        names=names,
        entities=_entities(folder / "entities.json", schema),
        digests=tuple((name, _digest(folder / name)) for name in ("rules.cedar", "entities.json")),
    )


def cases(pack: Pack) -> list[dict[str, Any]]:
    """The pack's own tests, as written. Raises PolicyError where there are none."""
    path = pack.folder / "tests.toml"
    found = _toml(path).get("case", [])
    if not found:
        raise PolicyError(f"{path}: a pack without a [[case]] proves nothing; write at least one")
    return list(found)


def vocabulary(packs: Sequence[Pack], kind: str) -> frozenset[str]:
    """The ids of one entity type ("Purpose", "Place") that a call may claim."""
    ids = {entity["uid"]["id"] for pack in packs for entity in pack.entities if _type(entity["uid"]) == kind}
    return frozenset(ids - _UNCLAIMED)


def check_together(packs: Sequence[Pack]) -> None:
    """What only shows when packs meet: one id twice, a name that no pack defines. Raises PolicyError."""
    names = [pack.name for pack in packs]
    if twice := {name for name in names if names.count(name) > 1}:
        raise PolicyError(f"two packs are called {', '.join(sorted(twice))}")
    rules: dict[str, str] = {}
    known: dict[tuple[str, str], str] = {}
    for pack in packs:
        for rule in pack.rules:
            if rule.id in rules:
                raise PolicyError(
                    f"{pack.folder / 'rules.cedar'}: @id {rule.id} is already in pack {rules[rule.id]}"
                )
            rules[rule.id] = pack.name
        for entity in pack.entities:
            word = (_type(entity["uid"]), entity["uid"]["id"])
            if word in known:
                raise PolicyError(f"{pack.folder / 'entities.json'}: {word} is already in pack {known[word]}")
            known[word] = pack.name
    for pack in packs:
        spoken = {(_type(up), up["id"]) for entity in pack.entities for up in entity["parents"]} | pack.names
        for kind, name in sorted(spoken - set(known)):
            raise PolicyError(
                f"{pack.folder}: {kind} {name!r} is not in the vocabulary of the packs in force"
            )


def digest(packs: Sequence[Pack]) -> str:
    """SHA-256 (hex) over every rule, entity and schema byte in force, in no order that loading decides.

    It is the digest of what `sha256sum` prints for the files, sorted by name.
    """
    lines = [f"{_digest(SCHEMA)}  {SCHEMA.name}\n"]
    for pack in sorted(packs, key=lambda pack: pack.name):
        lines += [f"{value}  {pack.name}/{name}\n" for name, value in sorted(pack.digests)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _rules(
    path: Path, text: str, schema: cedarpy.Schema
) -> tuple[tuple[Rule, ...], frozenset[tuple[str, str]]]:
    try:
        verdict = cedarpy.validate_policies(text, schema)
        parsed = json.loads(cedarpy.policies_to_json_str(text))
    except ValueError as error:
        raise PolicyError(f"{path}: {error}") from error
    for fault in verdict.errors:
        rule = verdict.id_annotations_by_policy_id.get(fault.policy_id, fault.policy_id)
        raise PolicyError(f"{path}: rule {rule}: {fault.error}")
    if not verdict.validation_passed:
        raise PolicyError(f"{path}: the rules do not fit {SCHEMA.name}")
    if parsed["templates"]:
        raise PolicyError(f"{path}: a template decides nothing by itself; write the rule out")
    written = sorted(parsed["staticPolicies"].items(), key=lambda item: int(item[0].removeprefix("policy")))
    rules = tuple(_rule(path, place, body) for place, body in written)
    if twice := [rule.id for n, rule in enumerate(rules) if rule.id in {r.id for r in rules[:n]}]:
        raise PolicyError(f"{path}: @id {twice[0]} is used twice")
    return rules, frozenset(_names(parsed["staticPolicies"]))


def _rule(path: Path, place: str, body: dict[str, Any]) -> Rule:
    notes = body["annotations"]
    for name in ("id", "source", "advice", "effective"):
        if not notes.get(name):
            raise PolicyError(f"{path}: rule {notes.get('id') or place}: @{name} is missing")
    try:
        effective = dt.date.fromisoformat(notes["effective"])
    except ValueError as error:
        raise PolicyError(f"{path}: rule {notes['id']}: @effective is not a date: {error}") from error
    scope = body["action"]
    named = scope.get("entities") or ([scope["entity"]] if "entity" in scope else [])
    return Rule(
        id=notes["id"],
        permits=body["effect"] == "permit",
        actions=frozenset(entity["id"] for entity in named),
        source=notes["source"],
        advice=notes["advice"],
        effective=effective,
    )


def _names(tree: object) -> Iterator[tuple[str, str]]:
    """Every place and purpose a rule names. Cedar's validator does not ask whether they exist."""
    if isinstance(tree, dict):
        if tree.keys() == {"type", "id"} and _type(tree) in _CLOSED:
            yield _type(tree), tree["id"]
        for branch in tree.values():
            yield from _names(branch)
    elif isinstance(tree, list):
        for branch in tree:
            yield from _names(branch)


def _entities(path: Path, schema: cedarpy.Schema) -> tuple[dict[str, Any], ...]:
    try:
        entities = json.loads(_text(path))
        cedarpy.Entities.from_json_str(json.dumps(entities), schema)
    except ValueError as error:
        raise PolicyError(f"{path}: {error}") from error
    return tuple(entities)


def _type(uid: dict[str, str]) -> str:
    return uid["type"].removeprefix(NAMESPACE)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: {error}") from error


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"{path}: {error}") from error
