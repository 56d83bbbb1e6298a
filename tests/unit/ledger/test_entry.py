"""What the log says of a call: the same bytes everywhere, and nothing about a face."""

from __future__ import annotations

import datetime as dt
import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from countenance.ledger import Act, Model, Result, Told, decision_entry, govern_entry, outcome_entry
from countenance.ledger.entry import bucket, canonical, timestamp
from countenance.types import Action, Caller, Decision, OrganisationKind

NOW = dt.datetime(2026, 11, 21, 23, 59, 59, 123456, dt.timezone(dt.timedelta(hours=2)))
CALLER = Caller("123456789012", "Example Ltd", OrganisationKind.BUSINESS, "US-CA", "general", "AKIDEXAMPLE")
DECISION = Decision(True, ("base/permit-ordinary",), (), "ab" * 32)


def full_decision() -> dict[str, object]:
    return dict(
        decision_entry(
            now=NOW,
            request="5a4f0f4e",
            operation="SearchFacesByImage",
            actions=[Action.DETECT, Action.IDENTIFY],
            decision=DECISION,
            caller=CALLER,
            pseudonym="0123456789abcdef01234567",
            purpose="general",
            model=Model("sface", "cd" * 32, "adults:0123456789abcdef"),
            collection="album",
            size=12,
            threshold=80.0,
        )
    )


def test_a_decision_says_who_asked_what_and_which_rules_answered() -> None:
    assert full_decision() == {
        "v": 1,
        "kind": "decision",
        "time": "2026-11-21T21:59:59.123Z",
        "request": "5a4f0f4e",
        "operation": "SearchFacesByImage",
        "actions": ["detect", "identify"],
        "allowed": True,
        "rules": ["base/permit-ordinary"],
        "errors": [],
        "pack": "ab" * 32,
        "account": "123456789012",
        "organisation_kind": "business",
        "place": "US-CA",
        "caller": "0123456789abcdef01234567",
        "purpose": "general",
        "model": "sface",
        "model_digest": "cd" * 32,
        "calibration": "adults:0123456789abcdef",
        "collection": "album",
        "collection_size": 12,
        "threshold": "80.0000",
    }


def test_neither_the_key_nor_the_organisations_name_is_written() -> None:
    written = canonical(full_decision()).decode()
    assert CALLER.key not in written
    assert CALLER.organisation not in written


def test_who_may_call_is_said_without_a_name() -> None:
    entry = govern_entry(
        now=NOW,
        act=Act.ISSUE,
        account=CALLER.account,
        kind=CALLER.kind,
        place=CALLER.place,
        purpose="general",
        pseudonym="0123456789abcdef01234567",
    )
    assert entry == {
        "v": 1,
        "kind": "govern",
        "time": "2026-11-21T21:59:59.123Z",
        "act": "issue",
        "account": "123456789012",
        "organisation_kind": "business",
        "place": "US-CA",
        "purpose": "general",
        "caller": "0123456789abcdef01234567",
    }
    plain = govern_entry(
        now=NOW, act=Act.REGISTER, account=CALLER.account, kind=CALLER.kind, place=CALLER.place
    )
    assert not {"purpose", "caller"} & set(plain)


def test_an_outcome_names_its_decision_and_a_bucket_not_a_score() -> None:
    entry = outcome_entry(now=NOW, decision=4, result=Result.ANSWERED, told=Told(candidates=2, top=93.217))
    assert entry == {
        "v": 1,
        "kind": "outcome",
        "time": "2026-11-21T21:59:59.123Z",
        "decision": 4,
        "result": "answered",
        "candidates": 2,
        "top": "90-95",
    }
    failed = outcome_entry(now=NOW, decision=4, result=Result.FAILED, error="InvalidParameterException")
    assert failed["error"] == "InvalidParameterException"
    assert "candidates" not in failed


@pytest.mark.parametrize(
    ("similarity", "band"),
    [
        (0, "0-80"),
        (79.999, "0-80"),
        (80, "80-90"),
        (90, "90-95"),
        (95, "95-99"),
        (99, "99-100"),
        (100, "99-100"),
    ],
)
def test_buckets_meet_at_the_scales_marks(similarity: float, band: str) -> None:
    assert bucket(similarity) == band


@pytest.mark.parametrize("value", [1.0, None, b"bytes", {"a": 1}, [1, [2.5]], ("tuple",)])
def test_what_json_tools_may_write_differently_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="detail"):
        canonical({"detail": value})


plain = st.text() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1)
values = plain | st.lists(plain | st.lists(plain, max_size=4), max_size=4)


names = st.text(st.characters(codec="ascii"))


@given(st.dictionaries(names, values, max_size=6))
def test_the_bytes_are_those_that_another_hand_writes(entry: dict[str, object]) -> None:
    written = canonical(entry)
    assert json.loads(written) == entry
    assert written == rfc8785.dumps(entry)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"größe": 1}, "no name"),
        ({"size": 2**53}, "not exact"),
        ({"size": [-(2**53)]}, "not exact"),
        ({"text": "\ud800"}, "surrogates"),
        ({"text": "x" * 65_530}, "65535 bytes at most"),
    ],
)
def test_what_others_could_not_read_alike_is_refused(entry: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        canonical(entry)


def test_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        timestamp(dt.datetime(2026, 1, 1))  # noqa: DTZ001 - the point of the test
