"""What a call says of itself, from boto3: one line on any client, signed, also when it is tried again."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from countenance import office, settings
from countenance.client import connect, declare
from countenance.client import decision as number
from countenance.declared import Authorisation, AuthorisationKind, Requester
from countenance.testing import TestServer
from countenance.types import OrganisationKind
from tests.parity.conftest import House, refusal
from tests.parity.photos import grace
from tests.parity.wire import LIST, Key, Wire, assert_refused


@pytest.fixture(scope="module")
def holder(house: House) -> Key:
    """A newspaper in California with three purposes."""
    home = settings.load(house.settings.home)
    daily = office.register(home, "a newspaper", OrganisationKind.MEDIA, "US-CA")
    key, secret = office.issue(home, daily, ["journalism", "missing-persons", "research"])
    return Key(key.access_key_id, secret)


@pytest.fixture
def media(house: House, holder: Key) -> Any:
    return house.client(holder)


def decision(house: House) -> dict[str, Any]:
    """The newest decision in the ledger."""
    query = "SELECT body FROM entries ORDER BY seq DESC LIMIT 2"
    with closing(sqlite3.connect(house.settings.database_file)) as database:
        newest = [json.loads(body) for (body,) in database.execute(query)]
    return next(entry for entry in newest if entry["kind"] == "decision")


def test_an_unmodified_client_has_the_keys_first_purpose(house: House, media: Any) -> None:
    media.list_collections()
    assert decision(house)["purpose"] == "journalism"


def test_one_line_says_what_calls_are_for(house: House, media: Any) -> None:
    declare(media, purpose="missing-persons", place="US-CA", case="2026-117", reviewers={"a", "b"})
    media.list_collections()
    assert decision(house)["purpose"] == "missing-persons"
    declare(media, purpose="research")
    media.list_collections()
    assert decision(house)["purpose"] == "research"
    declare(media)
    media.list_collections()
    assert decision(house)["purpose"] == "journalism"


def test_a_purpose_the_key_is_not_for_is_refused_and_none_is_offered(house: House, media: Any) -> None:
    declare(media, purpose="identity-verification")
    with pytest.raises(ClientError) as caught:
        media.list_collections()
    code, message = refusal(caught)
    assert code == "AccessDeniedException"
    assert "This key was not issued for the purpose 'identity-verification'." in message
    assert "journalism" not in message
    assert "missing-persons" not in message
    assert decision(house)["allowed"] is False


def test_a_place_outside_the_organisations_own_is_refused(media: Any) -> None:
    declare(media, place="US-OR")
    with pytest.raises(ClientError, match="'US-OR' is not in 'US-CA'"):
        media.list_collections()


def test_a_search_for_the_police_is_the_polices_search(media: Any, new: Callable[[], str]) -> None:
    media.create_collection(CollectionId="morgue")
    declare(media, on_behalf_of=Requester(OrganisationKind.POLICE, "US-CA"))
    with pytest.raises(ClientError, match="On behalf of police in US-CA: No rule permits identify to police"):
        media.search_faces_by_image(CollectionId="morgue", Image={"Bytes": grace()})
    media.detect_faces(Image={"Bytes": grace()})


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"purpose": "misssing-persons"}, "Header 'x-countenance-purpose' must be one of access-control,"),
        ({"place": "US-KA"}, "Header 'x-countenance-place' must be a code of a place"),
        ({"offence": "theft"}, "Header 'x-countenance-offence' "),
    ],
)
def test_a_misspelt_word_is_told(media: Any, said: dict[str, Any], told: str) -> None:
    declare(media, **said)
    with pytest.raises(ClientError) as caught:
        media.list_collections()
    code, message = refusal(caught)
    assert code == "ValidationException"
    assert told in message


@pytest.mark.parametrize("case", ["c" * 257, "caf\u00e9", "two\nlines", " "])
def test_what_no_header_holds_is_told_before_anything_is_sent(media: Any, case: str) -> None:
    with pytest.raises(ValueError, match="must"):
        declare(media, case=case)


def test_an_authorisation_goes_along(house: House, media: Any) -> None:
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    warrant = Authorisation("7", AuthorisationKind.WARRANT, "a court", now, now + dt.timedelta(days=1))
    declare(media, authorisation=warrant)
    media.list_collections()


def test_it_is_signed_anew_when_a_call_is_tried_again(running: TestServer, house: House, holder: Key) -> None:
    """A header too many, or one under an old signature, would be refused."""
    client = running.client(
        aws_access_key_id=holder.access_key_id,
        aws_secret_access_key=holder.secret,
        config=Config(retries={"total_max_attempts": 3}),
    )
    declare(client, purpose="research")
    sent: list[list[str]] = []

    def fail_once(request: Any, **_: Any) -> AWSResponse | None:
        sent.append([value for name, value in request.headers.items() if name == "x-countenance-purpose"])
        failure = AWSResponse(request.url, 500, {}, None)
        failure._content = b"{}"
        return failure if len(sent) == 1 else None

    client.meta.events.register("before-send.rekognition.*", fail_once)
    client.list_collections()
    assert [len(values) for values in sent] == [1, 1]
    assert decision(house)["purpose"] == "research"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("x-countenance-pupose", "research", "Header 'x-countenance-pupose' is not one of"),
        ("x-countenance-case", "c" * 257, "at most 256 characters"),
        ("x-countenance-realtime", "yes", "must be one of false, true"),
    ],
)
def test_what_a_raw_client_may_not_say(wire: Wire, name: str, value: str, told: str) -> None:
    reply = wire.send(wire.signed(b"{}", LIST, also={name: value}), b"{}")
    assert reply.code == "ValidationException", reply.body
    assert reply.message is not None
    assert told in reply.message


def test_what_is_not_ascii_is_told(wire: Wire) -> None:
    signed = wire.signed(b"{}", LIST, also={"x-countenance-case": "caf\u00e9"})
    sent = [(name, value.encode().decode("latin-1")) for name, value in signed]  # its bytes are UTF-8
    reply = wire.send(sent, b"{}")
    assert reply.message == "Header 'x-countenance-case' must be printable ASCII"


def test_a_doubled_or_unsigned_declaration_is_nobodys(wire: Wire) -> None:
    signed = wire.signed(b"{}", LIST, also={"x-countenance-purpose": "general"})
    reply = wire.send([*signed, ("x-countenance-purpose", "research")], b"{}")
    told = "Header 'x-countenance-purpose' may be sent only once"
    assert_refused(reply, "IncompleteSignatureException", told)
    reply = wire.send([*wire.signed(b"{}", LIST), ("x-countenance-purpose", "general")], b"{}")
    assert reply.code == "InvalidSignatureException"


def test_a_client_of_ours_knows_our_operations(house: House) -> None:
    credentials = {"aws_access_key_id": house.key.access_key_id, "aws_secret_access_key": house.key.secret}
    ours = connect(endpoint_url=house.url, region_name="us-east-1", **credentials)
    answer = ours.list_collections()
    receipt = ours.get_receipt(Decision=number(answer))
    assert receipt["Entries"][0]["Number"] == number(answer)
    assert receipt["Checkpoint"].startswith(receipt["Origin"])


def test_our_client_shows_the_figures_and_an_unmodified_one_does_not(house: House, media: Any) -> None:
    """AWS's clients drop what their service model does not name; ours names it."""
    ours = connect(
        endpoint_url=house.url,
        region_name="us-east-1",
        aws_access_key_id=house.key.access_key_id,
        aws_secret_access_key=house.key.secret,
    )
    declare(ours, prior=0.25)
    pair = {"SourceImage": {"Bytes": grace()}, "TargetImage": {"Bytes": grace()}}
    answer = ours.compare_faces(**pair)
    figures, headers = answer["Countenance"], answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-countenance-posterior"].startswith(f"{figures['Posterior']:.4g}; prior=0.25; ")
    assert figures["FalseMatchRate"] == pytest.approx(1e-4)
    assert figures["Calibration"]["Population"] == "adults"
    assert [each["Code"] for each in figures["Warnings"]] == ["assumed", "extrapolated"]
    plain = media.compare_faces(**pair)
    assert "Countenance" not in plain
    assert "x-countenance-posterior" not in plain["ResponseMetadata"]["HTTPHeaders"]
