"""Which change of a tag opens what was shut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countenance.declared import TAGS, Basis, Consent, Declared, Origin, changes, stated, strange, widens

words = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(sorted(tag.words)) for name, tag in TAGS.items()}
)


@pytest.mark.parametrize(
    ("name", "before", "after", "opens"),
    [
        ("origin", None, "web-scrape", False),
        ("origin", None, "unstated", False),
        ("origin", None, "licensed", True),
        ("origin", "web-scrape", None, True),
        ("origin", "web-scrape", "cctv-bulk", True),  # of one tier, and another word
        ("origin", "licensed", "custody-images", True),
        ("origin", "licensed", None, False),
        ("basis", None, "law", True),
        ("basis", "law", "research", True),
        ("basis", "law", None, False),
        ("consent", "written", "informed", False),
        ("consent", "informed", "written", True),
        ("consent", None, "none", False),
        ("consent", "none", None, True),
        ("never-suspects", None, "true", False),
        ("never-suspects", "true", None, True),
        ("never-suspects", None, "false", False),
        ("subjects", "adults", "children", False),  # which scale is used is no rule's matter
        ("colour", "red", "blue", False),
    ],
)
def test_a_change_that_could_open_something_widens(
    name: str, before: str | None, after: str | None, opens: bool
) -> None:
    then, now = ({} if word is None else {f"countenance:{name}": word} for word in (before, after))
    assert widens(changes(then, now)) is opens


def test_the_tags_have_the_words_of_the_schema() -> None:
    assert TAGS["countenance:origin"].words == set(Origin)
    assert TAGS["countenance:basis"].words == set(Basis)
    assert TAGS["countenance:consent"].words == set(Consent)
    for tag in TAGS.values():
        assert sum(len(tier) for tier in tag.tiers) == len(tag.words)


@given(words, words)
def test_there_is_no_way_round_by_narrowing(before: dict[str, str], after: dict[str, str]) -> None:
    """What opens something cannot be undone by what shuts, and the other way about."""
    forth, back = changes(before, after), changes(after, before)
    if forth:
        assert widens(forth) or widens(back)
    assert not widens(changes(before, before))


def test_a_word_of_an_older_home_is_no_fact_and_told_where_it_is_read() -> None:
    older = {"countenance:origin": "opt-in", "countenance:never-suspects": "TRUE", "team": "TRUE"}
    assert stated(older) == stated({})
    [told] = strange(older, {"countenance:never-suspects", "countenance:consent", "team"})
    assert told.startswith(
        "the collection's tag countenance:never-suspects says 'TRUE', which is none of false"
    )
    assert not strange(older, {"countenance:consent"})
    assert not strange({"countenance:never-suspects": "true"}, TAGS)


@pytest.mark.parametrize(
    ("name", "after", "opens"),
    [
        ("never-suspects", "false", True),
        ("never-suspects", None, True),
        ("never-suspects", "true", False),  # what shuts most
        ("consent", "none", False),
        ("consent", None, True),
        ("basis", None, False),
        ("origin", "web-scrape", True),  # it may have been bulk of cameras, which other rules forbid
        ("origin", "opt-out", False),  # no better: what reads it refuses
    ],
)
def test_a_word_that_is_none_may_have_been_any(name: str, after: str | None, opens: bool) -> None:
    then, now = {f"countenance:{name}": "opt-in"}, {} if after is None else {f"countenance:{name}": after}
    assert [change.before for change in changes(then, now)] == ["opt-in"]
    assert widens(changes(then, now)) is opens
    assert not widens(changes(now, then))


@pytest.mark.parametrize(
    ("names", "two"),
    [
        ({"Ada", "Grace"}, True),
        ({"Ada"}, False),
        ({"Ada Byron", "ada byron"}, False),
        ({"Ada Byron", "Ada  Byron"}, False),
        (set(), False),
    ],
)
def test_one_person_written_twice_is_not_two_reviewers(names: set[str], two: bool) -> None:
    assert Declared(reviewers=frozenset(names)).two_reviewers is two
