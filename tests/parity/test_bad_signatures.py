"""Who asks: signatures that are missing, stale, wrong or not for this, and keys that may not.

The sentences are AWS's; what policy adds to a refusal follows AWS's own sentence.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid

import pytest

from countenance.types import OrganisationKind
from tests.parity.conftest import House
from tests.parity.photos import grace
from tests.parity.wire import (
    DESCRIBE,
    JSON,
    LIST,
    MISSING,
    Key,
    Request,
    Wire,
    assert_refused,
    written,
)

SIGNATURE = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)
UNKNOWN_KEY = "The security token included in the request is invalid."


def test_no_signature(wire: Wire) -> None:
    headers = [("Host", wire.host), ("X-Amz-Target", LIST), ("Content-Type", JSON)]
    reply = wire.send(headers, b"{}")
    assert_refused(reply, "MissingAuthenticationTokenException", "Missing Authentication Token")


def test_no_signature_and_no_such_operation(wire: Wire) -> None:
    reply = wire.send([("Host", wire.host), ("X-Amz-Target", "Nothing.Here")], b"{}")
    assert_refused(reply, "MissingAuthenticationTokenException", "Missing Authentication Token")


AUTHORIZATION = "AWS4-HMAC-SHA256 Credential={key}/20260102/us-east-1/rekognition/aws4_request, "
REQUIRES = "Authorization header requires '{}' parameter."


@pytest.mark.parametrize(
    ("authorization", "sentence"),
    [
        (
            "AWS4-HMAC-SHA256 ",
            " ".join(REQUIRES.format(n) for n in ("Credential", "Signature", "SignedHeaders")),
        ),
        (f"AWS4-HMAC-SHA256 SignedHeaders=host, Signature={'0' * 64}", REQUIRES.format("Credential")),
        (f"{AUTHORIZATION}SignedHeaders=host", REQUIRES.format("Signature")),
        (f"{AUTHORIZATION}Signature={'0' * 64}", REQUIRES.format("SignedHeaders")),
        ("Bearer abc", "Unsupported AWS 'algorithm'; use AWS4-HMAC-SHA256"),
        ("Basic dXNlcjpwYXNz", "Unsupported AWS 'algorithm'; use AWS4-HMAC-SHA256"),
        (
            f"AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature={'0' * 64}",
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term",
        ),
        (
            "AWS4-HMAC-SHA256 nonsense",
            "Authorization header holds a part that is not a valid key=value pair (missing equal-sign)",
        ),
    ],
)
def test_a_malformed_authorization(wire: Wire, authorization: str, sentence: str) -> None:
    headers = dict(wire.signed(b"{}"))
    headers["Authorization"] = authorization.format(key=wire.key.access_key_id)
    assert_refused(wire.send(headers.items(), b"{}"), "IncompleteSignatureException", sentence)


def test_no_date(wire: Wire) -> None:
    headers = dict(wire.signed(b"{}"))
    del headers["X-Amz-Date"]
    sentence = "Authorization header requires existence of a 'X-Amz-Date' header."
    assert_refused(wire.send(headers.items(), b"{}"), "IncompleteSignatureException", sentence)


def test_a_key_nobody_holds(wire: Wire) -> None:
    for key in (Key("AKIAIOSFODNN7EXAMPLE", "any"), Key(wire.key.access_key_id.lower(), wire.key.secret)):
        reply = wire.call("ListCollections", {}, key=key)
        assert_refused(reply, "UnrecognizedClientException", UNKNOWN_KEY)


def test_a_session_token_nobody_gave(wire: Wire) -> None:
    headers = wire.signed(b"{}", also={"X-Amz-Security-Token": "made up"})
    assert_refused(wire.send(headers, b"{}"), "UnrecognizedClientException", UNKNOWN_KEY)


def test_a_wrong_secret(wire: Wire) -> None:
    for secret in ("wrong", wire.key.secret[:-1], wire.key.secret + " ", ""):
        reply = wire.call("ListCollections", {}, key=Key(wire.key.access_key_id, secret))
        assert_refused(reply, "InvalidSignatureException", SIGNATURE)


def test_a_key_of_the_house_with_the_secret_of_another(house: House, wire: Wire) -> None:
    other = house.issue(OrganisationKind.NGO)
    reply = wire.call("ListCollections", {}, key=Key(wire.key.access_key_id, other.secret))
    assert_refused(reply, "InvalidSignatureException", SIGNATURE)


def test_a_body_that_was_changed(wire: Wire, people: str) -> None:
    headers = wire.signed(written({"CollectionId": "a" * len(people)}), DESCRIBE)
    reply = wire.send(headers, written({"CollectionId": people}))
    assert_refused(reply, "InvalidSignatureException", SIGNATURE)


def test_a_replay_with_another_target(wire: Wire, people: str) -> None:
    body = written({"CollectionId": people})
    headers = dict(wire.signed(body, DESCRIBE))
    assert wire.send(headers.items(), body).status == 200
    headers["X-Amz-Target"] = "RekognitionService.DeleteCollection"
    assert_refused(wire.send(headers.items(), body), "InvalidSignatureException", SIGNATURE)
    assert wire.call("DescribeCollection", body).status == 200


@pytest.mark.parametrize("name", ["X-Amz-Content-SHA256", "x-countenance-purpose", "X-Amz-Anything"])
def test_a_header_of_ours_that_nobody_signed(wire: Wire, name: str) -> None:
    reply = wire.send([*wire.signed(b"{}"), (name, "UNSIGNED-PAYLOAD")], b"{}")
    sentence = f"'{name.title()}' must be a 'SignedHeader' in the AWS Authorization."
    assert_refused(reply, "InvalidSignatureException", sentence)


def test_the_target_left_out_of_the_signature(wire: Wire) -> None:
    headers = [*wire.signed(b"{}", None), ("X-Amz-Target", LIST)]
    sentence = "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization."
    assert_refused(wire.send(headers, b"{}"), "InvalidSignatureException", sentence)


@pytest.mark.parametrize("name", ["X-Amz-Target", "X-Amz-Date", "Host", "Authorization", "Content-Type"])
def test_a_header_sent_twice(wire: Wire, name: str) -> None:
    headers = wire.signed(b"{}")
    value = dict(headers)[name]
    for again in (value, "RekognitionService.DeleteCollection"):
        for doubled in ([*headers, (name, again)], [(name, again), *headers]):
            reply = wire.send(doubled, b"{}")
            sentence = f"Header '{name.lower()}' may be sent only once"
            assert_refused(reply, "IncompleteSignatureException", sentence)


def test_an_unsigned_payload(wire: Wire) -> None:
    headers = wire.signed(b"{}", also={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    assert_refused(wire.send(headers, b"{}"), "InvalidSignatureException", SIGNATURE)


STAMP = r"\d{8}T\d{6}Z"


@pytest.mark.parametrize(
    ("minutes", "sentence"),
    [
        (-6, rf"Signature expired: {STAMP} is now earlier than {STAMP} \({STAMP} - 5 min\.\)"),
        (-60 * 24 * 400, rf"Signature expired: {STAMP} is now earlier than {STAMP} \({STAMP} - 5 min\.\)"),
        (6, rf"Signature not yet current: {STAMP} is still later than {STAMP} \({STAMP} \+ 5 min\.\)"),
    ],
)
def test_a_clock_that_is_wrong(wire: Wire, minutes: int, sentence: str) -> None:
    at = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes)
    reply = wire.call("ListCollections", {}, at=at)
    assert_refused(reply, "InvalidSignatureException", reply.message)
    assert re.fullmatch(sentence, reply.message or ""), reply.message
    assert at.strftime("%Y%m%dT%H%M%SZ") in (reply.message or "")


def test_a_clock_that_is_a_little_off(wire: Wire) -> None:
    for minutes in (-4, 4):
        at = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes)
        assert wire.call("ListCollections", {}, at=at).status == 200


def test_signed_for_another_service(wire: Wire) -> None:
    reply = wire.call("ListCollections", {}, service="s3")
    sentence = "Credential should be scoped to correct service: 'rekognition'."
    assert_refused(reply, "InvalidSignatureException", sentence)


def test_signed_for_another_day(wire: Wire) -> None:
    headers = dict(wire.signed(b"{}"))
    day = headers["X-Amz-Date"][:8]
    headers["Authorization"] = headers["Authorization"].replace(f"/{day}/", "/20200101/")
    reply = wire.send(headers.items(), b"{}")
    sentence = (
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
        f"'20200101' != '{day}', from '{headers['X-Amz-Date']}'."
    )
    assert_refused(reply, "InvalidSignatureException", sentence)


def test_a_key_of_the_police_cannot_learn_what_exists(house: House, wire: Wire, police: Key) -> None:
    """Denied before looked up: the answer for a collection of its own that exists is that for one that
    does not, to the letter."""
    existing, missing = f"cases-{uuid.uuid4()}", f"cases-{uuid.uuid4()}"
    assert wire.call("CreateCollection", {"CollectionId": existing}, key=police).status == 200
    photo = {"Image": {"Bytes": grace()}}
    asked: tuple[tuple[str, Request], ...] = (
        ("SearchFacesByImage", photo),
        ("SearchFaces", {"FaceId": MISSING}),
        ("IndexFaces", photo),
    )
    for operation, request in asked:
        said = []
        for collection in (existing, missing):
            named = {"CollectionId": collection}
            reply = wire.call(operation, {**request, **named}, key=police)
            sentence = (
                rf"User: arn:aws:iam::\d{{12}}:user/{police.access_key_id} is not authorized to perform: "
                rf"rekognition:{operation} on resource: \S*collection/{collection}: \S.*"
            )
            assert re.fullmatch(sentence, reply.message or "", re.DOTALL), reply.message
            assert_refused(reply, "AccessDeniedException", reply.message)
            assert "x-countenance-receipt" in reply.headers
            said.append((reply.message or "").replace(collection, "it"))
        assert said[0] == said[1]


def test_a_refusal_says_why_and_what_would_change_it(wire: Wire, police: Key) -> None:
    reply = wire.call("SearchFaces", {"CollectionId": "people", "FaceId": MISSING}, key=police)
    _, _, why = (reply.message or "").partition("collection/people: ")
    assert why.startswith(("no rule permits it. ", "refused by "))
    assert len(why) > len("no rule permits it. ")


def test_another_organisations_collection_is_not_there(house: House, wire: Wire, people: str) -> None:
    stranger = house.issue(OrganisationKind.RESEARCH)
    for collection in (people, "never-made"):
        reply = wire.call("ListFaces", {"CollectionId": collection}, key=stranger)
        sentence = f"The collection id: {collection} does not exist"
        assert_refused(reply, "ResourceNotFoundException", sentence)
