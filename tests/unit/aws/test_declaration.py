"""What a call says of itself: headers to Declared and back, and what no header may say."""

from __future__ import annotations

import contextlib
import datetime as dt
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countenance.aws import declaration
from countenance.declared import (
    NOTHING,
    Authorisation,
    AuthorisationKind,
    Declared,
    Listing,
    Requester,
    Venue,
)
from countenance.errors import Validation
from countenance.types import OrganisationKind

KNOWN = {
    "Purpose": {"research", "missing-persons"},
    "Place": {"US", "US-CA"},
    "Offence": {"murder"},
    "Group": {"a", "b"},
}
MOMENT = dt.datetime(2026, 1, 1, 12, 30, tzinfo=dt.UTC)

texts = st.text(string.ascii_letters + string.digits + " ._-/", min_size=1, max_size=40).filter(
    lambda text: text == text.strip() and text != ""
)
moments = st.integers(0, 10**6).map(lambda minutes: MOMENT + dt.timedelta(minutes=minutes))
authorisations = st.builds(
    lambda name, kind, issuer, begin, minutes: Authorisation(
        name, kind, issuer, begin, begin + dt.timedelta(minutes=minutes)
    ),
    texts,
    st.sampled_from(AuthorisationKind),
    texts,
    moments,
    st.integers(1, 10**6),
)
requesters = st.builds(
    Requester,
    st.sampled_from(OrganisationKind),
    st.sampled_from(["US", "US-CA"]),
    st.frozensets(st.sampled_from(["a", "b"])),
)
declarations = st.builds(
    Declared,
    purpose=st.sampled_from([None, *KNOWN["Purpose"]]),
    place=st.sampled_from([None, *KNOWN["Place"]]),
    venue=st.sampled_from([None, *Venue]),
    realtime=st.sampled_from([None, True, False]),
    public_space=st.sampled_from([None, True, False]),
    mobile_camera=st.sampled_from([None, True, False]),
    case=st.none() | texts,
    offence=st.sampled_from([None, "murder"]),
    authorisation=st.none() | authorisations,
    evidence=st.none() | texts,
    listing=st.sampled_from([None, *Listing]),
    reviewers=st.frozensets(texts, max_size=3),
    on_behalf_of=st.none() | requesters,
    max_fpir=st.none() | st.floats(0, 1, exclude_min=True, exclude_max=True),
    prior=st.none() | st.floats(0, 1, exclude_min=True, exclude_max=True),
)


@given(declarations)
def test_what_is_written_is_read(declared: Declared) -> None:
    assert declaration.read(declaration.write(declared).items(), KNOWN) == declared


def test_other_headers_say_nothing() -> None:
    assert declaration.read([("host", "x"), ("x-amz-target", "y")], KNOWN) == NOTHING
    assert declaration.write(NOTHING) == {}


def test_a_day_is_its_first_moment() -> None:
    text = "id=7; kind=warrant; issued-by=a court; from=2026-01-01; until=2026-02-01"
    [stated] = [declaration.read([("x-countenance-authorisation", text)], KNOWN).authorisation]
    assert stated is not None
    assert stated.valid_until == dt.datetime(2026, 2, 1, tzinfo=dt.UTC)


WARRANT = "id=7; kind=warrant; issued-by=a court; from=2026-01-01; until=2026-02-01"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("pupose", "research", "is not one of x-countenance-purpose, x-countenance-place"),
        ("receipt", "x", "is not one of"),
        ("purpose", "reserch", "must be one of missing-persons, research"),
        ("purpose", "", "must not be empty"),
        ("purpose", "any", "must be one of"),
        ("place", "US-KA", "must be a code of a place such as"),
        ("venue", "moon", "must be one of border, event"),
        ("realtime", "True", "must be one of false, true"),
        ("realtime", "1", "must be one of false, true"),
        ("case", "c" * 257, "must be at most 256 characters"),
        ("case", "caf\u00e9", "must be printable ASCII"),
        ("case", "a\x00b", "must be printable ASCII"),
        ("case", "   ", "must not be empty"),
        ("offence", "theft", "must be one of murder"),
        ("listing", "rude", "must be one of missing, other"),
        ("reviewers", "a,,b", "names between commas"),
        ("on-behalf-of", "police", "must be kind=...; place=..., and it may have groups=..."),
        ("on-behalf-of", "kind=sheriff; place=US", "must say kind= one of business"),
        ("on-behalf-of", "kind=police; place=US-KA", "must say place= a code"),
        ("on-behalf-of", "kind=police; place=US; groups=c", "must say groups= some of a, b"),
        ("on-behalf-of", "kind=police; kind=ngo; place=US", "must be kind=..."),
        ("on-behalf-of", "kind=police; place=US; colour=red", "must be kind=..."),
        ("max-fpir", "0", "must be a number between 0 and 1"),
        ("max-fpir", "1", "must be a number between 0 and 1"),
        ("max-fpir", "nan", "must be a number between 0 and 1"),
        ("max-fpir", "a thousandth", "must be a number between 0 and 1"),
        ("prior", "1", "must be a number between 0 and 1"),
        ("authorisation", "warrant 7", "must be id=...; kind=...; issued-by=...; from=...; until=..."),
        ("authorisation", WARRANT.replace("kind=warrant", "kind=forged"), "kind= one of warrant"),
        ("authorisation", WARRANT.replace("2026-02-01", "soon"), "dates such as 2026-03-01"),
        ("authorisation", WARRANT.replace("2026-02-01", "2026-01-01"), "until= that is after"),
        ("authorisation", WARRANT.replace("2026-01-01", "0001-01-01T00:00+14:00"), "dates such as"),
        ("authorisation", WARRANT.replace("2026-02-01", "9999-12-31T23:59-14:00"), "dates such as"),
        ("authorisation", WARRANT.replace("2026-01-01", "0999-12-31"), "dates such as"),
        ("authorisation", WARRANT.replace("id=7", "id="), "must be id=..."),
    ],
)
def test_what_a_header_may_not_say_is_told(name: str, value: str, told: str) -> None:
    with pytest.raises(Validation) as fault:
        declaration.read([(f"x-countenance-{name}", value)], KNOWN)
    assert f"x-countenance-{name}" in fault.value.message
    assert told in fault.value.message


@given(st.sampled_from(sorted(declaration.FORMS)), st.text(max_size=300))
def test_no_text_is_anything_but_read_or_refused(field: str, text: str) -> None:
    with contextlib.suppress(Validation):
        said = declaration.read([(declaration.header(field), text)], KNOWN)
        assert getattr(said, field) is not None


def test_a_comma_makes_no_second_reviewer() -> None:
    with pytest.raises(ValueError, match="between commas holds none"):
        declaration.write(Declared(reviewers=frozenset({"Weber, A."})))


def test_a_semicolon_cannot_smuggle_a_part() -> None:
    stated = Authorisation("7; kind=judicial", AuthorisationKind.WARRANT, "a court", MOMENT, MOMENT)
    with pytest.raises(ValueError, match="semicolon"):
        declaration.write(Declared(authorisation=stated))
