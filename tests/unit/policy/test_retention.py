"""How long what is kept: which limits bind whom, which wins, and what no pack may say."""

from __future__ import annotations

import datetime as dt
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from countenance.errors import PolicyError
from countenance.policy import Policy, pack, retention
from countenance.policy.retention import Due, Kept
from countenance.types import OrganisationKind

NOW = dt.datetime(2028, 3, 1, 12, tzinfo=dt.UTC)
BUSINESS, POLICE = OrganisationKind.BUSINESS, OrganisationKind.POLICE
EVERY = Policy.read(pack.shipped()).retention
OLD = {
    "id": "house/old",
    "what": "private",
    "at_most": 90,
    "counted_from": "written",
    "effective": dt.date(2020, 1, 1),
    "source": "the house",
    "quote": "no longer than a season",
}


def ago(days: float) -> dt.datetime:
    return NOW - dt.timedelta(days)


def house(*tables: dict[str, Any], place: str = "world") -> retention.Retention:
    limits = retention.read({"retention": list(tables)}, place, dt.date(2020, 1, 1))
    return retention.Retention(limits, lambda place, other: other in {place, "world"})


def test_illinois_counts_three_years_and_the_end_of_the_purpose() -> None:
    assert EVERY.templates(BUSINESS, "US-IL", None, NOW) == Due("us-il-bipa/15-a-three-years", ago(1095))
    ended = EVERY.templates(BUSINESS, "US-IL", NOW.date(), NOW)
    assert ended == Due("us-il-bipa/15-a-purpose", NOW)
    coming = EVERY.templates(BUSINESS, "US-IL", NOW.date() + dt.timedelta(1), NOW)
    assert coming == Due("us-il-bipa/15-a-three-years", ago(1095))


def test_texas_counts_a_year_from_the_end() -> None:
    day = NOW.date() - dt.timedelta(365)
    assert EVERY.templates(BUSINESS, "US-TX", day, NOW) == Due("us-tx-cubi/c-3", NOW)
    assert EVERY.templates(BUSINESS, "US-TX", day + dt.timedelta(1), NOW) is None
    assert EVERY.templates(BUSINESS, "US-TX", None, NOW) is None


@pytest.mark.parametrize(("kind", "place"), [(POLICE, "US-IL"), (BUSINESS, "US-CA"), (BUSINESS, "DE")])
def test_a_law_binds_whom_it_says_where_it_holds(kind: OrganisationKind, place: str) -> None:
    assert EVERY.templates(kind, place, NOW.date(), NOW) is None


def test_europe_keeps_what_is_private_six_months_against_an_erasure() -> None:
    written = ago(100)
    assert EVERY.kept(POLICE, "DE", written, NOW) == Kept("eu-ai-act/26-6", written + dt.timedelta(184))
    assert EVERY.kept(POLICE, "DE", ago(184), NOW) is None
    assert EVERY.kept(POLICE, "US-IL", written, NOW) is None
    before = dt.datetime(2027, 12, 1, tzinfo=dt.UTC)  # the day before it applies
    assert EVERY.kept(POLICE, "DE", before, before) is None


def test_six_months_are_never_longer_than_that() -> None:
    for month in range(1, 13):
        start = dt.date(2027, month, 1)
        after = dt.date(2027 + (month > 6), (month + 5) % 12 + 1, 1)
        assert (after - start).days <= 184


def test_what_destroys_wins_unless_it_is_told_otherwise() -> None:
    least = {**OLD, "id": "house/least", "at_least": 120}
    del least["at_most"]
    plain = house(OLD, least)
    assert plain.private(BUSINESS, "DE", NOW) == Due("house/old", ago(90))
    assert plain.kept(BUSINESS, "DE", ago(100), NOW, "house/old") is None
    told = house(OLD, {**least, "prevails": ["house/old"]})
    assert told.kept(BUSINESS, "DE", ago(100), NOW, "house/old") == Kept("house/least", ago(100 - 120))
    assert told.kept(BUSINESS, "DE", ago(100), NOW) is None  # an erasure is another matter


def test_the_strictest_of_several_wins() -> None:
    found = house(OLD, {**OLD, "id": "house/stricter", "at_most": 30})
    assert found.private(BUSINESS, "DE", NOW) == Due("house/stricter", ago(30))


def test_a_limit_that_is_over_binds_nobody() -> None:
    assert house({**OLD, "until": NOW.date()}).private(BUSINESS, "DE", NOW) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"at_least": 3}, "at_most or at_least, one of them"),
        ({"what": "templates"}, "cannot be counted from written"),
        (
            {"what": "templates", "counted_from": "ended", "at_most": None, "at_least": 9},
            "against an erasure",
        ),
        ({"what": "photos"}, "'photos' is not a valid What"),
        ({"at_most": -1}, "days from 0"),
        ({"at_most": True}, "days from 0"),
        ({"prevails": ["erasure"]}, "prevails is for at_least"),
        ({"effective": "2020-01-01"}, "a date such as"),
        ({"effective": dt.date(2019, 12, 31)}, "its pack since 2020-01-01"),
        ({"kinds": ["burglar"]}, "'burglar' is not a valid OrganisationKind"),
        ({"kinds": []}, "a list of texts"),
        ({"source": ""}, "a text is wanted"),
        ({"quote": None}, "quote is missing"),
        ({"colour": "red"}, "unknown line 'colour'"),
    ],
)
def test_what_no_pack_may_say(change: dict[str, Any], said: str) -> None:
    table = {name: value for name, value in {**OLD, **change}.items() if value is not None}
    with pytest.raises(ValueError, match=re.escape(said)):
        house(table)


def test_a_limit_is_part_of_the_digest_and_its_fault_names_the_file(tmp_path: Path) -> None:
    """What is destroyed when is decided by it: changed, it is another policy."""
    folder = tmp_path / "us-il-bipa"
    shutil.copytree(pack.folder_of("us-il-bipa"), folder)
    before = Policy.read(["base", folder]).digest
    file = folder / "retention.toml"
    file.write_text(file.read_text().replace("1095", "3650"))
    assert Policy.read(["base", folder]).digest != before
    file.write_text(file.read_text().replace("3650", '"long"'))
    with pytest.raises(PolicyError, match=r"retention\.toml: us-il-bipa/15-a-three-years: days from 0"):
        Policy.read(["base", folder])


def test_results_are_kept_as_long_as_nobody_says_less() -> None:
    week = dt.timedelta(days=7)

    def due(*days: int) -> Due:
        rules = [{**OLD, "id": f"house/{each}", "what": "results", "at_most": each} for each in days]
        return house(*rules).results(BUSINESS, "DE", NOW, week)

    assert due() == Due("countenance/results", ago(7))
    assert due(30) == Due("countenance/results", ago(7))
    assert due(30, 1, 3) == Due("house/1", ago(1))
    with pytest.raises(ValueError, match="at_least is for private alone"):
        house({**{k: v for k, v in OLD.items() if k != "at_most"}, "what": "results", "at_least": 9})
