"""The labels that a picture can be given, and how they stand to each other (taxonomy.toml)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from types import MappingProxyType
from typing import Any

from countenance.errors import ModelError

NONE: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Entry:
    """A label. synset: its meaning, by WordNet 3.0's number; empty where WordNet has none.

    parents: the nearest above it in WordNet. also: parents that WordNet does not know. coco: the detector's
    class that stands for it, empty where there is none; imagenet: the classifier's.
    """

    name: str
    synset: str
    category: str
    parents: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    coco: str = ""
    imagenet: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Scene:
    """What speaks for a place, by label: of its probability, so much.

    shown_by: of the classifier's. things: of the detector's. shared: of the classifier's, times the share of
    the picture that looks like the `ground`.
    """

    name: str
    shown_by: Mapping[str, float] = field(default_factory=lambda: NONE)
    things: Mapping[str, float] = field(default_factory=lambda: NONE)
    shared: Mapping[str, float] = field(default_factory=lambda: NONE)
    ground: str = ""


@dataclass(frozen=True)
class Taxonomy:
    """Every label by its name, in alphabetical order, and the scenes."""

    entries: Mapping[str, Entry]
    scenes: tuple[Scene, ...]
    folded: tuple[int, ...]

    def ancestors(self, name: str) -> tuple[str, ...]:
        """All labels above one, nearest first; each once."""
        found: dict[str, None] = {}
        waiting = [name]
        while waiting:
            entry = self.entries[waiting.pop(0)]
            above = [each for each in (*entry.parents, *entry.also) if each not in found]
            found |= dict.fromkeys(above)
            waiting += above
        return tuple(found)

    @cached_property
    def lineages(self) -> Mapping[str, frozenset[str]]:
        """Of each label, itself and those above it by meaning, without what only `also` names."""
        return MappingProxyType({name: self._lineage(name) for name in self.entries})

    def _lineage(self, name: str) -> frozenset[str]:
        return frozenset({name}).union(*(self._lineage(each) for each in self.entries[name].parents))

    @property
    def categories(self) -> frozenset[str]:
        return frozenset(entry.category for entry in self.entries.values())


@cache
def taxonomy() -> Taxonomy:
    """What taxonomy.toml says. Raises ModelError where a label it speaks of is none of its own."""
    text = resources.files("countenance.vision").joinpath("taxonomy.toml").read_text("utf-8")
    tables = tomllib.loads(text)
    entries = {each.name: each for each in (Entry(**_frozen(table)) for table in tables["labels"])}
    scenes = tuple(Scene(**table) for table in tables["scenes"])
    named = {name for entry in entries.values() for name in (*entry.parents, *entry.also)}
    for scene in scenes:
        named |= {scene.name, *scene.shown_by, *scene.things, *scene.shared}
    if len(entries) < len(tables["labels"]) or not named <= entries.keys():
        raise ModelError(f"taxonomy.toml names no label {sorted(named - entries.keys())}, or one twice")
    return Taxonomy(MappingProxyType(entries), scenes, tuple(tables["folded"]))


def _frozen(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
