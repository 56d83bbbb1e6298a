"""The atlas: exact, checked against the engine call by call, and what it says of the packs that ship."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from countenance.errors import PolicyError
from countenance.policy import Policy, pack
from countenance.policy.atlas import Atlas, Cell, days
from countenance.policy.dimensions import Choice, question
from countenance.types import Action
from tests.unit.policy.packs import ABOUT

LATER = dt.date(2028, 1, 1)
"""After every date that the packs write."""


@pytest.fixture(scope="module")
def everything() -> Policy:
    return Policy.load(pack.shipped())


@pytest.fixture(scope="module")
def atlas(everything: Policy) -> Atlas:
    return Atlas(everything, LATER)


def drawn(atlas: Atlas, dice: random.Random) -> dict[str, Choice]:
    """One call of all there can be."""
    return {each.name: dice.choice(each.choices) for each in atlas.dimensions}


def holding(cells: list[Cell], call: Mapping[str, Choice]) -> list[Cell]:
    return [cell for cell in cells if all(call[name] in some for name, some in cell.chosen.items())]


def towards(atlas: Atlas, cell: Cell, dice: random.Random) -> dict[str, Choice]:
    """Some call of a cell."""
    return {each.name: dice.choice(cell.chosen.get(each.name, each.choices)) for each in atlas.dimensions}


@pytest.mark.parametrize("action", [Action.IDENTIFY, Action.ENROL, Action.INFER, Action.VERIFY])
def test_cells_are_what_the_engine_says_of_any_call_in_them(
    everything: Policy, atlas: Atlas, action: Action
) -> None:
    """Not only of the one call that the atlas asks about: of calls drawn from each cell, and from all."""
    dice, cells = random.Random(4), list(atlas.cells((action,)))
    calls = [towards(atlas, cell, dice) for cell in dice.sample(cells, min(150, len(cells)))]
    for call in [*calls, *(drawn(atlas, dice) for _ in range(50))]:
        (cell,) = holding(cells, call)
        asked = question(action, atlas.now, {name: choice.fact for name, choice in call.items()})
        decision = everything.decide(asked)
        words = {name: choice.word for name, choice in call.items()}
        assert (decision.allowed, decision.errors) == (cell.allowed, ()), (words, cell.by, decision)
        assert not cell.by or cell.by in decision.rules


def test_no_call_is_left_out(atlas: Atlas) -> None:
    """The cells' sizes sum to the number of calls."""
    cells = list(atlas.cells((Action.ENROL,)))
    total = 1
    for each in atlas.dimensions:
        total *= len(each.choices)
    assert sum(atlas.size(cell, atlas.dimensions) for cell in cells) == total


def test_without_an_engine_error(atlas: Atlas) -> None:
    assert len(list(atlas.cells(tuple(Action)))) > 0
    assert (atlas.tally.asked > 0, atlas.tally.errors) == (True, 0)


def test_every_rule_that_ships_decides_a_call_on_some_day(everything: Policy) -> None:
    """Each on the days on which it can: a rule that never decides would be a promise nobody keeps."""
    alive: set[str] = set()
    for day in sorted({rule.effective or LATER for rule in everything.rules.values()}):
        there = Atlas(everything, day)
        dead = {rule.id for rule in there.dead()}
        alive |= {rule.id for rule in there.rules} - dead
    assert alive == set(everything.rules)


def test_a_dead_rule_is_told(tmp_path: Path) -> None:
    """A permit that another rule shadows on every call."""
    folder = shadowed(tmp_path)
    schema = pack.read_schema()
    packs = [pack.read(each, schema) for each in (pack.folder_of("base"), folder)]
    dead = Atlas(Policy(packs, schema), LATER).dead()
    assert "shadow/watch" in [rule.id for rule in dead]


def shadowed(tmp_path: Path) -> Path:
    folder = tmp_path / "shadow"
    folder.mkdir()
    (folder / "pack.toml").write_text(ABOUT + "grants = true\n")
    (folder / "entities.json").write_text("[]")
    (folder / "tests.toml").write_text("")
    notes = '@source("s") @advice("a") @quote("q") @effective("always")'
    head = 'principal, action == Countenance::Action::"watch", resource'
    (folder / "rules.cedar").write_text(
        f'@id("shadow/watch") {notes} permit ({head});\n@id("shadow/never") {notes} forbid ({head});\n'
    )
    return folder


def test_days_are_those_written_the_days_before_and_today(everything: Policy) -> None:
    found = days(everything, dt.date(2026, 11, 22))
    assert {dt.date(2020, 6, 10), dt.date(2020, 6, 9), dt.date(2026, 11, 22)} <= set(found)
    assert found == sorted(set(found))


def test_places_that_no_rule_tells_apart_are_one(atlas: Atlas) -> None:
    places = atlas.places()
    assert "FR" in places["EU"]
    assert "US-NV" in places["US"]
    assert places["US-MD"] == ("US-MD",)
    assert "JP" in places["world"]


def test_a_dimension_is_dropped_only_where_no_rule_reads_it(atlas: Atlas) -> None:
    """Search: nobody asks about an offence in Japan, the Union does, and Portland asks about the venue."""
    read = {place: {d.name for d in atlas.read_at(place, (Action.IDENTIFY,))} for place in atlas.places()}
    assert "offence" not in read["world"]
    assert "offence" in read["EU"]
    assert "venue" in read["US-OR-PDX"]
    assert "venue" not in read["US-TX"]


def test_who_may_search(atlas: Atlas) -> None:
    where = {"place": "US-CA-SF", "seat": "US-CA-SF", "collection": "own"}
    agency = atlas.answer((Action.IDENTIFY,), kind="public-agency", **where)
    assert agency.verdict == "no"
    assert ("us-ca-sf/19B.2", True) in [(each.rule.id, each.always) for each in agency.barriers]
    business = atlas.answer((Action.IDENTIFY,), kind="business", **where)
    assert business.verdict == "partly"
    barriers = {each.rule.id: each.purposes for each in business.barriers}
    assert barriers["ibm-2020/never"] == ("mass-surveillance", "racial-profiling")
    assert barriers["ibm-2020/audit"] == ("law-enforcement",)
    assert "us-ca-sf/19B.2" not in barriers


def test_whom_a_rule_binds(atlas: Atlas) -> None:
    bound = atlas.bound("us-md/2-503", (Action.IDENTIFY,), "US-MD")
    assert bound == {"police"}
    assert atlas.bound("us-md/2-503", (Action.IDENTIFY,), "US") == frozenset()


def test_a_word_outside_the_vocabulary(atlas: Atlas) -> None:
    with pytest.raises(PolicyError, match="'US-ZZ' is not one of"):
        list(atlas.cells((Action.DETECT,), place="US-ZZ"))
