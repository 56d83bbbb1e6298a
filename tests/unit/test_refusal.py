"""What a refusal says, in words and as the JSON of a header."""

from __future__ import annotations

import datetime as dt
import json

from countenance import refusal
from countenance.operations import Call
from countenance.types import Caller, Decision, OrganisationKind, Refusal

CALLER = Caller("123456789012", "County", OrganisationKind.POLICE, "US-CA", None, "CNTKEY")
CALL = Call(
    "SearchFacesByImage",
    {"CollectionId": "people"},
    CALLER,
    "us-east-1",
    dt.datetime(2026, 11, 21, tzinfo=dt.UTC),
    None,
)
BAN = Refusal("city/ban", "No “search” shall be made", "Code 1", dt.date(2019, 7, 1), "A law would turn it.")


def decision(**changes: object) -> Decision:
    words = {
        "rules": ("city/ban",),
        "advice": "Even then nobody permits it.",
        "source": BAN.source,
        "refusals": (BAN,),
        **changes,
    }
    return Decision(allowed=False, errors=(), pack="ab" * 32, **words)  # type: ignore[arg-type]


def test_aws_sentence_comes_first_then_the_rule_in_its_own_words() -> None:
    sentence, told = refusal.denied(CALL, decision()).message.split("collection/people: ")
    assert sentence == (
        "User: arn:aws:iam::123456789012:user/CNTKEY is not authorized to perform: "
        "rekognition:SearchFacesByImage on resource: arn:aws:rekognition:us-east-1:123456789012:"
    )
    assert told == (
        'refused by city/ban, in force since 2019-07-01 (Code 1): "No “search” shall be made". '
        "A law would turn it. Even then nobody permits it."
    )


def test_each_rules_advice_stands_beside_the_rule_and_nowhere_else() -> None:
    told = Refusal("state/told", "(not read; as told: none)", "Act 2", None, "An audit would.")
    message = refusal.denied(CALL, decision(refusals=(BAN, told), advice="")).message
    assert message.endswith(
        'refused by city/ban, in force since 2019-07-01 (Code 1): "No “search” shall be made". '
        "A law would turn it. "
        "Also refused by state/told (Act 2): (not read; as told: none). An audit would."
    )
    said = json.loads(refusal.note(decision(refusals=(BAN, told), advice="")))
    assert [rule["advice"] for rule in said["rules"]] == [BAN.advice, told.advice]
    assert said["advice"] == ""


def test_what_a_rule_reads_and_the_call_lacks_is_named_by_header_and_tag() -> None:
    told = refusal.denied(CALL, decision(missing=("case", "countenance:consent"))).message
    assert told.endswith("does not say: header x-countenance-case, tag countenance:consent.")
    said = json.loads(refusal.note(decision(missing=("on_behalf_of", "countenance:consent"))))
    assert said["missing"] == ["x-countenance-on-behalf-of", "countenance:consent"]


def test_the_header_is_ascii_and_says_what_the_message_says() -> None:
    text = refusal.note(decision())
    assert text.isascii()
    [rule] = json.loads(text)["rules"]
    assert rule == {
        "rule": "city/ban",
        "quote": BAN.quote,
        "source": "Code 1",
        "since": "2019-07-01",
        "advice": BAN.advice,
    }


def test_the_header_stays_short_and_counts_what_it_leaves_out() -> None:
    many = tuple(Refusal(f"city/{n}", "“" * 400, "Code", dt.date(2019, 7, 1), "None.") for n in range(40))
    text = refusal.note(decision(refusals=many))
    assert len(text) <= refusal.LONGEST
    said = json.loads(text)
    assert len(said["rules"]) + said["more"] == 40
    assert said["rules"]


def test_a_refusal_that_no_rule_spoke_says_so() -> None:
    told = refusal.denied(CALL, decision(rules=(), refusals=(), advice="No rule permits it to police."))
    assert ": no rule permits it. No rule permits it to police. Source: Code 1." in told.message
