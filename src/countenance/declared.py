"""What a call says of itself and what a collection's tags say of it: closed words, and the nouns they make.

Policy believes them as far as it believes whoever signed, and the ledger records that they were said.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from countenance.types import OrganisationKind

TAG = "countenance:"
"""What the names of the tags begin with that policy reads."""


class Origin(StrEnum):
    """Where a collection's photos come from."""

    UNSTATED = "unstated"
    ENROLMENT = "enrolment"
    LICENSED = "licensed"
    MISSING_PERSONS = "missing-persons"
    PUBLIC_RECORDS = "public-records"
    IDENTITY_DOCUMENTS = "identity-documents"
    CUSTODY_IMAGES = "custody-images"
    WEB_SCRAPE = "web-scrape"
    CCTV_BULK = "cctv-bulk"


class Basis(StrEnum):
    """On what ground a collection is kept."""

    UNSTATED = "unstated"
    EXPLICIT_CONSENT = "explicit-consent"
    VITAL_INTERESTS = "vital-interests"
    LEGAL_CLAIMS = "legal-claims"
    PUBLIC_INTEREST = "public-interest"
    RESEARCH = "research"
    LAW = "law"


class Consent(StrEnum):
    """What the people in a collection agreed to."""

    UNSTATED = "unstated"
    NONE = "none"
    INFORMED = "informed"
    WRITTEN = "written"


class Venue(StrEnum):
    """Where a camera stands or a photo was taken."""

    UNSTATED = "unstated"
    PRIVATE = "private"
    WORKPLACE = "workplace"
    SCHOOL = "school"
    PUBLIC_ACCOMMODATION = "public-accommodation"
    STREET = "street"
    EVENT = "event"
    BORDER = "border"
    ONLINE = "online"


class Listing(StrEnum):
    """Why somebody is on a watchlist."""

    WANTED_ON_WARRANT = "wanted-on-warrant"
    SUSPECT_OF_LISTED_OFFENCE = "suspect-of-listed-offence"
    MISSING = "missing"
    VULNERABLE = "vulnerable"
    VICTIM = "victim"
    OTHER = "other"


class AuthorisationKind(StrEnum):
    """Whose permission it is."""

    WARRANT = "warrant"
    COURT_ORDER = "court-order"
    JUDICIAL = "judicial"
    INDEPENDENT_ADMINISTRATIVE = "independent-administrative"
    EXIGENT = "exigent"


@dataclass(frozen=True, slots=True)
class Authorisation:
    """An authority's permission, as the caller states it. Both times have a zone."""

    id: str
    kind: AuthorisationKind
    issued_by: str
    valid_from: dt.datetime
    valid_until: dt.datetime


@dataclass(frozen=True, slots=True)
class Requester:
    """On whose behalf a call is made: what policy would know of that body if it called itself."""

    kind: OrganisationKind
    place: str
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What a call says of itself. None, or empty, where it says nothing.

    purpose: one of those the key is for. place: within the organisation's own. evidence: what, apart from
    this system, points at the person. reviewers: who will judge the candidates. max_fpir: of searches for
    people who are not enrolled, the share (0, 1) that may list anybody; it sets a search's threshold. prior:
    the caller's own estimate (0, 1) that the person searched for is enrolled, or that two photos show the
    same person.
    """

    purpose: str | None = None
    place: str | None = None
    venue: Venue | None = None
    realtime: bool | None = None
    public_space: bool | None = None
    mobile_camera: bool | None = None
    case: str | None = None
    offence: str | None = None
    authorisation: Authorisation | None = None
    evidence: str | None = None
    listing: Listing | None = None
    reviewers: frozenset[str] = frozenset()
    on_behalf_of: Requester | None = None
    max_fpir: float | None = None
    prior: float | None = None

    @property
    def two_reviewers(self) -> bool:
        """Whether two different people will judge them, which no rule can count for itself.

        A name in other letters or with other spaces is the same person's.
        """
        return len({" ".join(name.casefold().split()) for name in self.reviewers}) > 1


NOTHING = Declared()


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag that policy reads.

    tiers: its words, from those that shut most to those that open most. unset: the word that holds while the
    tag is not set.
    """

    tiers: tuple[frozenset[str], ...]
    unset: str

    @property
    def words(self) -> frozenset[str]:
        return frozenset().union(*self.tiers)

    def holds(self, tags: Mapping[str, str], name: str) -> str:
        """The word that holds. One that is none, from a time when any was taken, holds as it was written:
        where a rule reads it, policy refuses."""
        return tags.get(name, self.unset)

    def opens(self, before: str, after: str) -> bool:
        """Whether a change could open what was shut: another word that is not of a narrower tier.

        What a word that is none stood for, nobody knows: it may have been any.
        """
        if after not in self.words:
            return False
        meant = {before} & self.words or self.words
        return before != after and any(
            word != after and self._tier(after) >= self._tier(word) for word in meant
        )

    def _tier(self, word: str) -> int:
        return next(number for number, tier in enumerate(self.tiers) if word in tier)


_NOTHING_SAID = frozenset({"unstated"})

TAGS: Mapping[str, Tag] = MappingProxyType(
    {
        f"{TAG}origin": Tag(
            (
                frozenset({Origin.WEB_SCRAPE, Origin.CCTV_BULK}),  # what laws forbid by name
                _NOTHING_SAID,
                frozenset(Origin) - {Origin.WEB_SCRAPE, Origin.CCTV_BULK} - _NOTHING_SAID,
            ),
            "unstated",
        ),
        f"{TAG}basis": Tag((_NOTHING_SAID, frozenset(Basis) - _NOTHING_SAID), "unstated"),
        f"{TAG}consent": Tag(
            (
                frozenset({Consent.NONE}),
                _NOTHING_SAID,
                frozenset({Consent.INFORMED}),
                frozenset({Consent.WRITTEN}),
            ),
            "unstated",
        ),
        f"{TAG}never-suspects": Tag((frozenset({"true"}), frozenset({"false"})), "false"),
    }
)
"""Which change of a tag opens something. Whoever owns a collection may always shut more."""


ENDED = f"{TAG}ended"
"""The tag that says since which day (YYYY-MM-DD) a collection's purpose is at an end: retention counts from
there. To set it, or an earlier day, shuts more; a later day, or none, opens."""


def ended(tags: Mapping[str, str]) -> dt.date | None:
    """The day on which a collection's purpose ended; None where its tags do not say."""
    return day(tags.get(ENDED, ""))


def day(text: str) -> dt.date | None:
    """A day written as YYYY-MM-DD; None for anything else."""
    try:
        found = dt.date.fromisoformat(text)
    except ValueError:
        return None
    return found if found.isoformat() == text else None


LONGEST_SHOWN = 64
"""Characters of a word that is none. The longest that is one has 17."""


class Change(NamedTuple):
    """A tag that policy reads, and the words that held before and hold after a call."""

    tag: str
    before: str
    after: str


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Change, ...]:
    words = [Change(name, tag.holds(before, name), tag.holds(after, name)) for name, tag in TAGS.items()]
    words.append(Change(ENDED, before.get(ENDED, ""), after.get(ENDED, "")))
    return tuple(change for change in words if change.before != change.after)


def widens(changed: Iterable[Change]) -> bool:
    return any(_opens(change) for change in changed)


def _opens(change: Change) -> bool:
    if change.tag != ENDED:
        return TAGS[change.tag].opens(change.before, change.after)
    before, after = day(change.before), day(change.after)
    return change.before != "" and (before is None or after is None or after > before)


class Stated(NamedTuple):
    """What a collection's tags say of it."""

    origin: Origin
    basis: Basis
    consent: Consent
    never_suspects: bool


def stated(tags: Mapping[str, str]) -> Stated:
    """Reads a collection's tags. A word that is none is no fact, and says what an unset tag says: policy asks
    `strange` first."""
    origin, basis, consent, never_suspects = (
        word if (word := tag.holds(tags, name)) in tag.words else tag.unset for name, tag in TAGS.items()
    )
    return Stated(Origin(origin), Basis(basis), Consent(consent), never_suspects == "true")


def strange(tags: Mapping[str, str], read: Container[str]) -> tuple[str, ...]:
    """What is wrong with the words of those tags that are read, in words; nothing where they are known."""
    return tuple(
        f"the collection's tag {name} says {word[:LONGEST_SHOWN]!r}, which is none of "
        f"{', '.join(sorted(tag.words))}: it has to be set anew"
        for name, tag in TAGS.items()
        if name in read and (word := tag.holds(tags, name)) not in tag.words
    )
