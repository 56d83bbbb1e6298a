"""What a call says of itself and what a collection's tags say of it: closed words, and the nouns they make.

Policy believes them as far as it believes whoever signed, and the ledger records that they were said.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeVar

from countenance.types import OrganisationKind

Word = TypeVar("Word", bound=StrEnum)

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
    this system, points at the person. reviewers: who will judge the candidates.
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

    @property
    def two_reviewers(self) -> bool:
        """Whether two different people will judge them, which no rule can count for itself."""
        return len(self.reviewers) > 1


NOTHING = Declared()


class Stated(NamedTuple):
    """What a collection's tags say of it."""

    origin: Origin
    basis: Basis
    consent: Consent
    never_suspects: bool


def stated(tags: Mapping[str, str]) -> Stated:
    """Reads a collection's tags. A word that is not one, from a time when any was taken, says nothing."""

    def word(name: str, words: type[Word]) -> Word:
        said = tags.get(TAG + name)
        return words(said) if said in set(words) else words("unstated")

    return Stated(
        origin=word("origin", Origin),
        basis=word("basis", Basis),
        consent=word("consent", Consent),
        never_suspects=tags.get(TAG + "never-suspects") == "true",
    )
