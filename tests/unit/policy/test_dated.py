"""What promises and laws say on the days that matter, with every pack that ships in force at once.

Each line of the table is one call on one day: the rule that decides it, or that the pack has no effect. More
than one rule may refuse a call; the one named must be among them, and where none is, none of its pack's.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import pytest

from countenance.declared import (
    Authorisation,
    AuthorisationKind,
    Basis,
    Consent,
    Declared,
    Listing,
    Origin,
    Requester,
    Venue,
)
from countenance.policy import Policy, cases
from countenance.policy import pack as packs_on_disk
from countenance.policy.facts import Asked, Audit, Collection, Org, question
from countenance.types import Action, Attribute, Caller, Decision, OrganisationKind

PACKS = tuple(name for name in packs_on_disk.shipped() if name != "base")
PLEDGES = ("base", "amazon-2020", "microsoft-2020", "ibm-2020")
NOTHING = None
"""No rule of the pack decides."""


@dataclass(frozen=True)
class Call:
    """One action of an organisation seated in `place`, in its own collection.

    said: what the call declares besides. audited: the day and the least rate of true positives of the bias
    audit in force, by somebody other than the operator.
    """

    kind: str
    place: str
    action: str
    purpose: str = "general"
    said: dict[str, Any] = field(default_factory=dict)
    tells: frozenset[Attribute] = frozenset()
    origin: Origin = Origin.UNSTATED
    consent: Consent = Consent.UNSTATED
    basis: Basis = Basis.UNSTATED
    audited: tuple[str, float] | None = None
    groups: frozenset[str] = frozenset()

    def on(self, day: str, policy: Policy) -> Decision:
        caller = Caller(
            account="000000000001",
            organisation="a test",
            kind=OrganisationKind(self.kind),
            place=self.place,
            purpose=self.purpose,
            key="a key",
            groups=self.groups,
        )
        collection = Collection(
            owner=Org(caller.account), origin=self.origin, consent=self.consent, basis=self.basis
        )
        asked = Asked(now=noon(day), operation="", threshold=99.0, attributes=self.tells, audit=self._audit())
        return policy.decide(question(Action(self.action), caller, Declared(**self.said), asked, collection))

    def _audit(self) -> Audit | None:
        if self.audited is None:
            return None
        day, least = self.audited
        return Audit(issued=noon(day), by_operator=False, least_true_positives=least, worst_ratio=1.2)


def noon(day: str) -> dt.datetime:
    return dt.datetime.fromisoformat(f"{day}T12:00:00+00:00")


def permission(kind: str, first: str, end: str) -> Authorisation:
    return Authorisation("A-1", AuthorisationKind(kind), "an authority", noon(first), noon(end))


TODAY = "2026-11-21"
LIVE = {"realtime": True, "public_space": True}
BY_POLICE = {"on_behalf_of": Requester(OrganisationKind.POLICE, "US-CA-SF")}

INVESTIGATION = Call("police", "US-CA", "identify", "criminal-investigation")
IN_SAN_FRANCISCO = Call("police", "US-CA-SF", "identify", "criminal-investigation")
IN_BOSTON = Call("police", "US-MA-BOS", "identify", "criminal-investigation")
IN_VIRGINIA = Call("police", "US-VA", "identify", "criminal-investigation")
IN_WASHINGTON = Call("police", "US-WA", "identify", "criminal-investigation", LIVE)
IN_COLORADO = Call("police", "US-CO", "identify", "criminal-investigation", LIVE)
IN_PUBLIC = Call("police", "DE", "identify", "criminal-investigation", LIVE)
IN_A_SHOP = {"venue": Venue.PUBLIC_ACCOMMODATION}
MOVING = {"realtime": True, "mobile_camera": True}
OF_THE_UNION = Call("public-agency", "DE", "identify", "criminal-investigation")
CARRIED = Call("police", "US-CA", "identify", "criminal-investigation", {"mobile_camera": True})
EMOTIONS = frozenset({Attribute.EMOTIONS})
TWO = frozenset({"A. Weber", "B. Lang"})

DATED: list[tuple[str, str, Call, str | None]] = [
    # A year without the police, then until further notice.
    ("amazon-2020", "2020-06-09", INVESTIGATION, NOTHING),
    ("amazon-2020", "2020-06-10", INVESTIGATION, "moratorium"),
    ("amazon-2020", "2021-06-09", INVESTIGATION, "moratorium"),
    ("amazon-2020", "2021-06-10", INVESTIGATION, "extension"),
    ("amazon-2020", TODAY, INVESTIGATION, "extension"),
    ("amazon-2020", TODAY, INVESTIGATION, "service-terms"),
    ("amazon-2020", TODAY, Call("police", "US-CA", "verify", "criminal-investigation"), "service-terms"),
    ("amazon-2020", "2020-07-01", Call("police", "US-CA", "identify", "missing-persons"), NOTHING),
    ("amazon-2020", "2020-07-01", Call("police", "US-CA", "identify", "trafficking-victims"), NOTHING),
    ("amazon-2020", TODAY, Call("police", "US-CA", "detect", "criminal-investigation"), NOTHING),
    # Until a national law; from 2024 also no live search from moving cameras, anywhere.
    ("microsoft-2020", "2020-06-10", INVESTIGATION, NOTHING),
    ("microsoft-2020", "2020-06-11", INVESTIGATION, "us-police"),
    ("microsoft-2020", TODAY, INVESTIGATION, "us-police"),
    ("microsoft-2020", "2024-05-02", INVESTIGATION, "2024-us-police"),
    ("microsoft-2020", "2024-04-30", Call("police", "FR", "identify", said=MOVING), NOTHING),
    ("microsoft-2020", "2024-05-02", Call("police", "FR", "identify", said=MOVING), "2024-mobile"),
    ("microsoft-2020", TODAY, Call("police", "FR", "identify", "criminal-investigation"), NOTHING),
    ("microsoft-2022-attributes", "2023-06-29", Call("business", "US", "infer", tells=EMOTIONS), NOTHING),
    ("microsoft-2022-attributes", "2023-06-30", Call("business", "US", "infer", tells=EMOTIONS), "retired"),
    ("microsoft-2022-attributes", "2023-07-01", Call("business", "US", "infer", tells=EMOTIONS), "retired"),
    # Never; and for law enforcement not without an audit.
    ("ibm-2020", "2020-06-07", Call("business", "US", "identify", "mass-surveillance"), NOTHING),
    ("ibm-2020", "2020-06-08", Call("business", "US", "identify", "mass-surveillance"), "never"),
    ("ibm-2020", "2020-06-08", Call("police", "US", "detect", "racial-profiling"), "never"),
    ("ibm-2020", TODAY, INVESTIGATION, "audit"),
    ("ibm-2020", "2020-06-07", Call("police", "US", "identify", "general"), NOTHING),
    ("ibm-2020", "2020-06-08", Call("police", "US", "identify", "general"), "audit"),
    (
        "ibm-2020",
        TODAY,
        Call("police", "US", "identify", "public-safety", audited=("2026-06-01", 0.9)),
        NOTHING,
    ),
    (
        "ibm-2020",
        TODAY,
        Call("police", "US", "identify", "public-safety", audited=("2025-11-20", 0.9)),
        "audit",
    ),
    # San Francisco, Portland, Boston.
    ("us-ca-sf", "2019-06-30", IN_SAN_FRANCISCO, NOTHING),
    ("us-ca-sf", "2019-07-01", IN_SAN_FRANCISCO, "19B.2"),
    ("us-ca-sf", TODAY, Call("business", "US-TX", "identify", said=BY_POLICE), "19B.2"),
    ("us-ca-sf", TODAY, Call("federal-law-enforcement", "US-CA-SF", "identify", "border-control"), NOTHING),
    ("us-or-pdx", "2020-12-31", Call("business", "US-OR-PDX", "identify", said=IN_A_SHOP), NOTHING),
    ("us-or-pdx", "2021-01-01", Call("business", "US-OR-PDX", "identify", said=IN_A_SHOP), "34.10"),
    ("us-or-pdx", "2021-01-01", Call("business", "US-OR-PDX", "verify", said=IN_A_SHOP), NOTHING),
    ("us-ma-bos", "2020-06-23", IN_BOSTON, NOTHING),
    ("us-ma-bos", "2020-07-01", IN_BOSTON, "16-62"),
    # States. The first has expired: it must stop where it stopped.
    ("us-ca-ab1215", "2019-12-31", CARRIED, NOTHING),
    ("us-ca-ab1215", "2020-01-01", CARRIED, "832.19"),
    ("us-ca-ab1215", "2022-12-31", CARRIED, "832.19"),
    ("us-ca-ab1215", "2023-01-01", CARRIED, NOTHING),
    ("us-wa", "2021-06-30", IN_WASHINGTON, NOTHING),
    ("us-wa", "2021-07-01", IN_WASHINGTON, "43.386.080"),
    (
        "us-wa",
        "2021-07-01",
        Call(
            "police",
            "US-WA",
            "identify",
            "criminal-investigation",
            {**LIVE, "authorisation": permission("warrant", "2021-06-01", "2021-08-01")},
        ),
        NOTHING,
    ),
    ("us-co", "2022-08-09", IN_COLORADO, NOTHING),
    ("us-co", "2022-08-10", IN_COLORADO, "24-18-307"),
    ("us-md", "2024-09-30", Call("police", "US-MD", "identify", "criminal-investigation"), NOTHING),
    (
        "us-md",
        "2024-10-01",
        Call("police", "US-MD", "identify", "criminal-investigation", {"offence": "us-md-theft"}),
        "2-503",
    ),
    (
        "us-md",
        "2024-10-01",
        Call("police", "US-MD", "identify", "criminal-investigation", {"offence": "us-md-kidnapping"}),
        NOTHING,
    ),
    (
        "us-va",
        "2026-06-30",
        Call("police", "US-VA", "identify", "criminal-investigation", audited=("2026-01-01", 0.98)),
        NOTHING,
    ),
    ("us-va", "2026-06-30", IN_VIRGINIA, "15.2-1723.2"),
    ("us-va", "2026-07-01", IN_VIRGINIA, "after-sunset"),
    (
        "us-va",
        "2026-07-01",
        Call("police", "US-VA", "identify", "criminal-investigation", audited=("2026-01-01", 0.98)),
        "after-sunset",
    ),
    ("us-il-bipa", "2008-10-02", Call("business", "US-IL", "enrol"), NOTHING),
    ("us-il-bipa", "2024-08-02", Call("business", "US-IL", "enrol"), "15-b"),
    ("us-il-bipa", "2024-08-02", Call("business", "US-IL", "enrol", consent=Consent.WRITTEN), NOTHING),
    (
        "us-tx-cubi",
        "2025-12-31",
        Call("business", "US-TX", "enrol", origin=Origin.WEB_SCRAPE, consent=Consent.INFORMED),
        NOTHING,
    ),
    (
        "us-tx-cubi",
        "2026-01-01",
        Call("business", "US-TX", "enrol", origin=Origin.WEB_SCRAPE, consent=Consent.INFORMED),
        "503.001-b-1",
    ),
    ("us-tx-cubi", "2026-01-01", Call("business", "US-TX", "enrol", consent=Consent.NONE), "503.001-b"),
    # The European Union.
    ("eu-ai-act", "2025-02-01", Call("business", "FR", "enrol", origin=Origin.WEB_SCRAPE), NOTHING),
    ("eu-ai-act", "2025-02-02", Call("business", "FR", "enrol", origin=Origin.WEB_SCRAPE), "5-1-e"),
    ("eu-ai-act", "2025-02-02", Call("business", "FR", "identify", origin=Origin.CCTV_BULK), "5-1-e"),
    ("eu-ai-act", "2025-02-02", Call("business", "FR", "infer", "workplace", tells=EMOTIONS), "5-1-f"),
    (
        "eu-ai-act",
        "2025-02-02",
        Call("business", "FR", "infer", "medical-or-safety", tells=EMOTIONS),
        NOTHING,
    ),
    ("eu-ai-act", "2025-02-01", IN_PUBLIC, NOTHING),
    ("eu-ai-act", "2025-02-02", IN_PUBLIC, "5-1-h"),
    (
        "eu-ai-act",
        "2025-02-02",
        Call(
            "police",
            "DE",
            "identify",
            "missing-persons",
            {**LIVE, "authorisation": permission("judicial", "2025-02-01", "2025-03-01")},
        ),
        NOTHING,
    ),
    ("eu-ai-act", "2027-12-01", OF_THE_UNION, NOTHING),
    ("eu-ai-act", "2027-12-02", OF_THE_UNION, "12-3"),
    ("eu-ai-act", "2027-12-02", OF_THE_UNION, "14-5"),
    ("eu-ai-act", "2027-12-02", OF_THE_UNION, "26-10-untargeted"),
    ("eu-ai-act", "2027-12-02", OF_THE_UNION, "26-10-authorisation"),
    (
        "eu-ai-act",
        "2027-12-02",
        Call(
            "media",
            "DE",
            "identify",
            "journalism",
            {"public_space": True, "reviewers": frozenset({"A. Weber"})},
        ),
        "14-5",
    ),
    (
        "eu-ai-act",
        "2027-12-02",
        Call("media", "DE", "identify", "journalism", {"public_space": True, "reviewers": TWO}),
        NOTHING,
    ),
    # The United Kingdom: "other persons where intelligence is required" is no category.
    ("uk-bridges", "2020-08-10", Call("police", "GB", "identify", said=LIVE), NOTHING),
    (
        "uk-bridges",
        "2020-08-11",
        Call("police", "GB", "identify", said={**LIVE, "listing": Listing.OTHER}),
        "who",
    ),
    ("uk-bridges", "2020-08-11", Call("police", "GB", "identify", said=LIVE), "where"),
    ("uk-bridges", "2020-08-11", Call("police", "GB", "identify", said=LIVE), "bias"),
]


@pytest.fixture(scope="module")
def everything() -> Policy:
    return Policy.load(["base", *PACKS])


@pytest.fixture(scope="module")
def pledges() -> Policy:
    return Policy.load(PLEDGES)


@pytest.mark.parametrize(
    ("pack", "day", "call", "rule"),
    DATED,
    ids=[f"{pack} {day} {n}" for n, (pack, day, *_) in enumerate(DATED)],
)
def test_what_decides_on_the_day(
    everything: Policy, pack: str, day: str, call: Call, rule: str | None
) -> None:
    decision = call.on(day, everything)
    assert decision.errors == ()
    deciding = {name for name in decision.rules if name.startswith(f"{pack}/")}
    if rule is NOTHING:
        assert deciding == set()
    else:
        assert f"{pack}/{rule}" in deciding
        assert not decision.allowed


def test_every_pack_has_its_days() -> None:
    """Days on which it has no effect yet, and days on which it has."""
    assert {pack for pack, _, _, rule in DATED if rule is NOTHING} == set(PACKS)
    assert {pack for pack, _, _, rule in DATED if rule} == set(PACKS)


@pytest.mark.parametrize("day", ["2020-07-01", TODAY])
@pytest.mark.parametrize("purpose", ["missing-persons", "trafficking-victims"])
def test_thorn_finds_a_missing_child_under_the_pledges(pledges: Policy, day: str, purpose: str) -> None:
    thorn = Call(
        "ngo",
        "US-CA",
        "identify",
        purpose,
        {"case": "T-2020-117"},
        origin=Origin.MISSING_PERSONS,
        groups=frozenset({"child-protection"}),
    )
    decision = thorn.on(day, pledges)
    assert (decision.allowed, decision.rules) == (True, ("base/permit-ordinary",))


@pytest.mark.parametrize("name", PACKS)
def test_a_pack_is_tested_on_each_of_its_days_and_the_day_before(name: str) -> None:
    pack = packs_on_disk.read(packs_on_disk.folder_of(name), packs_on_disk.read_schema())
    days = {asked.facts.now.date() for case in cases.read(pack) for asked in case.questions}
    for rule in pack.rules:
        for day in filter(None, (rule.effective, rule.until)):
            assert {day - dt.timedelta(1), day} <= days, rule.id


@pytest.mark.parametrize("name", PACKS)
def test_a_pack_is_tested_with_a_requester_and_an_ordinary_business(name: str) -> None:
    pack = packs_on_disk.read(packs_on_disk.folder_of(name), packs_on_disk.read_schema())
    written = cases.read(pack)
    assert any(asked.requester for case in written for asked in case.questions)
    assert any(
        case.expect is cases.Expect.NO_EFFECT
        and {asked.caller.kind for asked in case.questions} == {"business"}
        for case in written
    )


def test_no_advice_names_another_purpose_place_or_kind(everything: Policy) -> None:
    """It would coach lying. Words without a hyphen ("audit", "IN") are plain English too."""
    words = everything.vocabulary["Purpose"] | everything.vocabulary["Place"] | set(OrganisationKind)
    for rule in everything.rules.values():
        if not rule.permits:
            assert not {word for word in words if "-" in word and word in rule.advice}, rule.id


@pytest.mark.parametrize("place", ["US-CA", "US-MD", "FR", "GB", "IN"])
@pytest.mark.parametrize("action", ["detect", "describe", "verify", "identify", "manage"])
@pytest.mark.parametrize("day", [TODAY, "2027-12-02"])
def test_an_ordinary_business_works_under_all_of_them(
    everything: Policy, place: str, action: str, day: str
) -> None:
    decision = Call("business", place, action, "photo-library").on(day, everything)
    assert (decision.allowed, decision.rules) == (True, ("base/permit-ordinary",))


def test_american_police_are_refused_whoever_searches_for_them(everything: Policy) -> None:
    said = {"on_behalf_of": Requester(OrganisationKind.POLICE, "US-NY"), "case": "NY-1"}
    decision = Call("ngo", "US-NY", "identify", "missing-persons", said).on(TODAY, everything)
    assert not decision.allowed
    advice = {each.rule: each.advice for each in decision.refusals}
    assert set(advice) == {"microsoft-2020/us-police", "microsoft-2020/2024-us-police", "ibm-2020/audit"}
    assert "national law" in advice["microsoft-2020/us-police"]


def test_an_audit_by_somebody_else_will_do_for_ibm_and_for_bridges(everything: Policy) -> None:
    """IBM's letter wants another than the operator; the court lets a public body look by itself or have
    somebody independent look. A force can be right by both."""
    said = {**LIVE, "listing": Listing.MISSING, "venue": Venue.STREET, "evidence": "seen there twice"}
    asked = Call("public-agency", "GB", "identify", "public-safety", said, audited=("2026-06-01", 0.97))
    decision = asked.on(TODAY, everything)
    assert (decision.allowed, decision.rules) == (True, ("base/permit-ordinary",))


def test_an_offence_of_another_law_is_none_of_the_unions(everything: Policy) -> None:
    said = {
        "case": "Js 1",
        "offence": "us-md-theft",
        "reviewers": TWO,
        "authorisation": permission("judicial", "2027-12-01", "2028-01-01"),
    }
    asked = Call("police", "DE", "identify", "general", said)
    assert "eu-ai-act/26-10-untargeted" in asked.on("2027-12-02", everything).rules
