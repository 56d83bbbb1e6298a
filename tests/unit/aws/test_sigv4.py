"""Signatures made by botocore, verified by us: an independent oracle for every variant of what SDKs sign."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from countenance import errors
from countenance.aws import sigv4
from countenance.aws.sigv4 import Request, verify

KEY, SECRET = "AKIDCOUNTENANCE00001", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
BODY = b'{"CollectionId":"people"}'
TARGET = ("x-amz-target", "RekognitionService.DescribeCollection")
TYPE = ("content-type", "application/x-amz-json-1.1")
HOST = "localhost:8080"


def secret_of(key: str) -> str | None:
    return SECRET if key == KEY else None


class At(SigV4Auth):  # type: ignore[misc]
    """botocore's signer, over the headers named (all but a few where None)."""

    signed: Sequence[str] | None = None

    def headers_to_sign(self, request: AWSRequest) -> object:
        headers = super().headers_to_sign(request)
        for name in set(headers.keys()):
            if self.signed is not None and name.lower() not in self.signed:
                del headers[name]
        return headers


def sign(  # what may vary between SDKs, each with its plainest value
    headers: Sequence[tuple[str, str]] = (TYPE, TARGET),
    *,
    signed: Sequence[str] | None = None,
    key: str = KEY,
    secret: str = SECRET,
    service: str = "rekognition",
    region: str = "eu-west-1",
    url: str = f"http://{HOST}/",
    body: bytes = BODY,
    token: str | None = None,
) -> Request:
    """A request as it arrives, signed now. signed: the only headers to sign; all where None."""
    request = AWSRequest("POST", url, headers=dict(headers), data=body)
    signer = At(Credentials(key, secret, token), service, region)
    signer.signed = signed
    signer.add_auth(request)
    path, _, query = url.partition(HOST)[2].partition("?")
    arrived = [("host", HOST), *((name.lower(), value) for name, value in request.headers.items())]
    return Request("POST", path, query, tuple(arrived), body)


def stamp(request: Request) -> dt.datetime:
    value = request.header("x-amz-date")
    assert value is not None
    return dt.datetime.strptime(value, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)


def check(request: Request, ahead: dt.timedelta = dt.timedelta()) -> str:
    return verify(request, secret_of, stamp(request) + ahead)


def refused(request: Request, kind: type[errors.NotAuthenticated]) -> str:
    with pytest.raises(kind) as caught:
        check(request)
    assert type(caught.value) is kind
    return caught.value.message


def without(request: Request, name: str) -> Request:
    return replace(request, headers=tuple(pair for pair in request.headers if pair[0] != name))


def with_(request: Request, name: str, change: Callable[[str], str]) -> Request:
    headers = tuple((key, change(value) if key == name else value) for key, value in request.headers)
    assert headers != request.headers
    return replace(request, headers=headers)


def adding(request: Request, *headers: tuple[str, str]) -> Request:
    return replace(request, headers=(*request.headers, *headers))


LENGTH = ("content-length", str(len(BODY)))
HASH = ("x-amz-content-sha256", hashlib.sha256(BODY).hexdigest())
RETRIES = (("amz-sdk-invocation-id", "8a7e"), ("amz-sdk-request", "attempt=1; max=3"))


@pytest.mark.parametrize(
    ("headers", "signed"),
    [
        pytest.param((TYPE, TARGET), None, id="boto3"),
        pytest.param((TYPE, TARGET, LENGTH), None, id="Go v1"),
        pytest.param((TYPE, TARGET, LENGTH, *RETRIES), None, id="Go v2"),
        pytest.param((TYPE, TARGET, HASH, LENGTH, *RETRIES), None, id="JavaScript v3"),
        pytest.param(
            (TYPE, TARGET, HASH),
            ("host", "x-amz-content-sha256", "x-amz-date", "x-amz-target"),
            id="JavaScript v2",
        ),
        pytest.param((TYPE, TARGET), ("host", "x-amz-date", "x-amz-target"), id="aws4fetch"),
        pytest.param((TYPE, TARGET, ("x-countenance-purpose", "archive")), None, id="ours"),
        pytest.param((TYPE, TARGET, ("x-note", "  a   b \t c ")), None, id="spaces to collapse"),
    ],
)
def test_whatever_an_sdk_signs_is_verified(
    headers: Sequence[tuple[str, str]], signed: Sequence[str] | None
) -> None:
    assert check(sign(headers, signed=signed)) == KEY


@pytest.mark.parametrize(
    "url",
    ["/", "//", "/./a/../b/", "/a%20b/~c", "/?b=2&a=1&a=0", "/?x=%2F&y", "/prefix/?q=a%20b"],
)
def test_paths_and_queries_are_canonical(url: str) -> None:
    assert check(sign(url=f"http://{HOST}{url}")) == KEY


def test_any_region_is_good() -> None:
    assert check(sign(region="mars-north-7")) == KEY


def test_header_bytes_beyond_ascii_are_those_that_were_signed() -> None:
    """botocore signs UTF-8; a server hands the same bytes over as Latin-1."""
    request = sign((TYPE, TARGET, ("x-countenance-purpose", "Zürich")))
    assert check(with_(request, "x-countenance-purpose", lambda v: v.encode().decode("latin-1"))) == KEY
    assert "not Latin-1" in refused(
        with_(request, "x-countenance-purpose", lambda _: "日"), errors.InvalidSignature
    )


@given(
    body=st.binary(max_size=200),
    value=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
)
def test_botocore_and_we_agree_on_any_body_and_header(body: bytes, value: str) -> None:
    assert check(sign((TARGET, ("x-countenance-note", value)), body=body)) == KEY


def test_no_authorization_is_a_missing_token() -> None:
    request = without(sign(), "authorization")
    assert refused(request, errors.MissingAuthenticationToken) == "Missing Authentication Token"
    presigned = replace(request, query=f"X-Amz-Credential={KEY}&X-Amz-Signature={'0' * 64}")
    assert refused(presigned, errors.MissingAuthenticationToken) == "Missing Authentication Token"
    assert refused(adding(request, ("authorization", "")), errors.MissingAuthenticationToken)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("Credential=", "Credentials=", "requires 'Credential' parameter."),
        ("Signature=", "Signed=", "requires 'Signature' parameter."),
        ("SignedHeaders=", "Headers=", "requires 'SignedHeaders' parameter."),
        ("SignedHeaders=", "SignedHeaders:", "missing equal-sign"),
        ("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA1 ", "Unsupported AWS 'algorithm'"),
        ("AWS4-HMAC-SHA256 ", "Bearer ", "Unsupported AWS 'algorithm'"),
        ("/aws4_request", "", "exactly 5 slash-delimited elements"),
        ("/eu-west-1/", "//", "exactly 5 slash-delimited elements"),
        ("/eu-west-1/", "/eu\u00fcwest/", "exactly 5 slash-delimited elements"),
        (KEY, "a" * 129, "exactly 5 slash-delimited elements"),
    ],
)
def test_a_malformed_authorization_is_told_what_is_missing(old: str, new: str, text: str) -> None:
    request = with_(sign(), "authorization", lambda value: value.replace(old, new))
    assert text in refused(request, errors.IncompleteSignature)


def test_a_bare_algorithm_lacks_everything() -> None:
    request = without(with_(sign(), "authorization", lambda _: "AWS4-HMAC-SHA256"), "x-amz-date")
    with pytest.raises(errors.IncompleteSignature) as caught:
        verify(request, secret_of, dt.datetime.now(dt.UTC))
    assert caught.value.message.count("Authorization header requires") == 4


@pytest.mark.parametrize("date", ["today", "20260230T000000Z", "2026-01-02T03:04:05Z", "٢٠٢٦٠١٠٢T030405Z"])
def test_a_date_must_be_a_date(date: str) -> None:
    request = with_(sign(), "x-amz-date", lambda _: date)
    request = with_(request, "authorization", lambda v: v.replace(v.split("/")[1], date[:8]))
    with pytest.raises(errors.IncompleteSignature):
        verify(request, secret_of, dt.datetime.now(dt.UTC))


@pytest.mark.parametrize("key", ["AKIDSOMEBODYELSE0001", KEY.lower()])
def test_an_unknown_key_is_an_unrecognized_client(key: str) -> None:
    expected = "The security token included in the request is invalid."
    assert refused(sign(key=key), errors.UnrecognizedClient) == expected


def test_nobodys_secret_opens_nothing() -> None:
    assert refused(sign(key="AKIDSOMEBODYELSE0001", secret=sigv4.NOBODY), errors.UnrecognizedClient)


def test_an_empty_secret_is_a_secret() -> None:
    request = sign(secret="")
    assert verify(request, lambda _: "", stamp(request)) == KEY
    refused(request, errors.InvalidSignature)


def test_session_tokens_are_not_ours() -> None:
    assert refused(sign(token="session"), errors.UnrecognizedClient)


MISMATCH = errors.InvalidSignature.sentence


@pytest.mark.parametrize(
    "tampered",
    [
        pytest.param(lambda: sign(secret="another"), id="wrong secret"),
        pytest.param(lambda: replace(sign(), body=BODY + b" "), id="body"),
        pytest.param(lambda: replace(sign(), method="PUT"), id="method"),
        pytest.param(lambda: replace(sign(), path="/other"), id="path"),
        pytest.param(lambda: replace(sign(), query="a=1"), id="query"),
        pytest.param(
            lambda: with_(sign(), TARGET[0], lambda _: "RekognitionService.DeleteCollection"), id="target"
        ),
        pytest.param(lambda: with_(sign(), "host", lambda _: "evil.example"), id="host"),
        pytest.param(
            lambda: with_(sign(), "authorization", lambda v: v.replace("eu-west-1", "us-east-1")), id="region"
        ),
        pytest.param(
            lambda: with_(sign(), "authorization", lambda v: f"{v[:-64]}{'0' * 64}"), id="signature"
        ),
        pytest.param(lambda: with_(sign(), "authorization", lambda v: f"{v[:-64]}{'é' * 64}"), id="not hex"),
        pytest.param(lambda: with_(sign(), "authorization", lambda v: v[:-1]), id="too short"),
    ],
)
def test_whatever_was_changed_on_the_way_is_noticed(tampered: Callable[[], Request]) -> None:
    assert refused(tampered(), errors.InvalidSignature) == MISMATCH


@pytest.mark.parametrize("value", ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "0" * 64])
def test_the_bodys_hash_is_ours(value: str) -> None:
    """Whether a client signed with the header's value, as botocore does, or with the true hash."""
    assert refused(sign((TYPE, TARGET, ("x-amz-content-sha256", value))), errors.InvalidSignature)
    honest = sign((TYPE, TARGET, HASH))
    assert refused(with_(honest, HASH[0], lambda _: value), errors.InvalidSignature)


def test_a_true_signature_over_a_false_hash_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The header is signed as sent, but the canonical request ends in the true hash."""
    monkeypatch.setattr(
        At,
        "canonical_request",
        lambda self, request: _with_true_hash(SigV4Auth.canonical_request(self, request)),
    )
    request = sign((TYPE, TARGET, ("x-amz-content-sha256", "UNSIGNED-PAYLOAD")))
    assert "is not the SHA-256 of the body" in refused(request, errors.InvalidSignature)


def _with_true_hash(canonical: str) -> str:
    return f"{canonical.rpartition(chr(10))[0]}\n{HASH[1]}"


@pytest.mark.parametrize(
    ("unsigned", "text"),
    [
        (
            ("x-amz-date", "x-amz-target"),
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
        ),
        (("host", "x-amz-date"), "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization."),
        (("host", "x-amz-target"), "'X-Amz-Date' must be a 'SignedHeader' in the AWS Authorization."),
    ],
)
def test_what_matters_must_be_signed(unsigned: Sequence[str], text: str) -> None:
    assert refused(sign(signed=unsigned), errors.InvalidSignature) == text


@pytest.mark.parametrize("name", ["x-countenance-purpose", "x-amz-anything"])
def test_nobody_in_between_can_add_a_header_that_matters(name: str) -> None:
    assert f"'{name.title()}' must be" in refused(adding(sign(), (name, "police")), errors.InvalidSignature)


@pytest.mark.parametrize(
    "name", ["x-amz-target", "x-countenance-purpose", "host", "content-type", "authorization"]
)
def test_a_doubled_header_is_refused(name: str) -> None:
    request = sign((TYPE, TARGET, ("x-countenance-purpose", "archive")))
    for extra in ("evil", dict(request.headers)[name]):
        assert "only once" in refused(adding(request, (name, extra)), errors.IncompleteSignature)


def test_other_headers_may_come_and_go_unsigned() -> None:
    assert check(adding(sign(), ("user-agent", "a"), ("via", "1.1 a"), ("via", "1.1 b"))) == KEY


def test_a_signed_header_that_did_not_arrive_is_named() -> None:
    request = without(sign((TYPE, TARGET, LENGTH)), "content-length")
    assert (
        refused(request, errors.InvalidSignature)
        == f"{MISMATCH}: the signed header 'content-length' did not arrive"
    )


def test_a_scope_names_this_service_and_this_day() -> None:
    text = "Credential should be scoped to correct service: 'rekognition'."
    assert refused(sign(service="s3"), errors.InvalidSignature) == text
    request = with_(sign(), "authorization", lambda v: v.replace("aws4_request", "aws3_request"))
    text = "Credential should be scoped with a valid terminator: 'aws4_request'."
    assert refused(request, errors.InvalidSignature) == text
    request = sign()
    day = stamp(request).strftime("%Y%m%d")
    request = with_(request, "authorization", lambda v: v.replace(f"/{day}/", "/20200101/"))
    assert refused(request, errors.InvalidSignature) == (
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
        f"'20200101' != '{day}', from '{request.header('x-amz-date')}'."
    )


@pytest.mark.parametrize("minutes", [-5, 5])
def test_five_minutes_either_way_are_forgiven(minutes: int) -> None:
    request = sign()
    assert check(request, dt.timedelta(minutes=minutes)) == KEY
    with pytest.raises(errors.InvalidSignature):
        check(request, dt.timedelta(minutes=minutes, seconds=1 if minutes > 0 else -1))


def test_the_clock_is_told_in_awss_words() -> None:
    request = sign()
    date = request.header("x-amz-date")
    now = stamp(request) + dt.timedelta(minutes=6)
    with pytest.raises(errors.InvalidSignature) as caught:
        verify(request, secret_of, now.astimezone(dt.timezone(dt.timedelta(hours=9))))
    edge = (now - dt.timedelta(minutes=5)).strftime(sigv4.STAMP)
    shown = now.strftime(sigv4.STAMP)
    assert caught.value.message == f"Signature expired: {date} is now earlier than {edge} ({shown} - 5 min.)"
    now = stamp(request) - dt.timedelta(minutes=6)
    with pytest.raises(errors.InvalidSignature) as caught:
        verify(request, secret_of, now)
    edge = (now + dt.timedelta(minutes=5)).strftime(sigv4.STAMP)
    shown = now.strftime(sigv4.STAMP)
    assert (
        caught.value.message
        == f"Signature not yet current: {date} is still later than {edge} ({shown} + 5 min.)"
    )


@given(st.text(), st.text())
def test_no_header_raises_anything_but_not_authenticated(authorization: str, date: str) -> None:
    request = Request(
        "POST", "/", "", (("host", HOST), ("authorization", authorization), ("x-amz-date", date)), BODY
    )
    with pytest.raises(errors.NotAuthenticated):
        verify(request, secret_of, dt.datetime(2026, 1, 2, tzinfo=dt.UTC))


@given(
    name=st.sampled_from(("x-amz-date", "x-amz-target", "host", "content-type")),
    place=st.integers(0, 40),
    piece=st.text(st.characters(min_codepoint=33, max_codepoint=255), min_size=1, max_size=8),
)
def test_no_part_of_a_signed_header_may_be_replaced(name: str, place: int, piece: str) -> None:
    request = sign()
    original = dict(request.headers)[name]
    forged = original[:place] + piece + original[place + len(piece) :]
    if forged != original:
        with pytest.raises(errors.NotAuthenticated):
            verify(with_(request, name, lambda _: forged), secret_of, stamp(request))
