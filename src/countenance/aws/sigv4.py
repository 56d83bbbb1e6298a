"""AWS Signature Version 4, verified: who signed this request, and is it what they signed?

The method is AWS's ("Create a signed AWS API request", IAM user guide). SDKs differ in what they sign, so the
set of headers is read from the request; but `host` and every `x-amz-*` and `x-countenance-*` header present
must be in it, or someone in between could add or change one. The body's hash is always computed here.

There is no anonymous mode, no presigned URL and no session token: this service issues only long-lived keys.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from countenance import errors

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "rekognition"
TERMINATOR = "aws4_request"
STAMP = "%Y%m%dT%H%M%SZ"

# How far a signer's clock may be from ours, either way (AWS's own figure, as its messages state it).
SKEW = dt.timedelta(minutes=5)

# Headers that mean something to this service: a copy that nobody signed must not be believed.
OURS = ("x-amz-", "x-countenance-")

# Signs for a key nobody holds, so that a stranger's request costs as much work as a known caller's.
NOBODY = "unknown"


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request as it came over the wire.

    path: as sent, still percent-encoded. query: what follows "?", as sent. headers: lower-case names, values
    decoded as Latin-1, in order, doubles kept.
    """

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True, slots=True)
class Authorization:
    """The Authorization header's parts. signed: the names in SignedHeaders, sorted."""

    key: str
    date: str
    region: str
    service: str
    terminator: str
    signed: tuple[str, ...]
    signature: str


def verify(request: Request, secret_of: Callable[[str], str | None], now: dt.datetime) -> str:
    """The access key id that signed the request.

    secret_of: the secret of an access key id, None for one that is unknown or revoked. now: with its zone.
    Raises the subclasses of errors.NotAuthenticated, with AWS's texts.
    """
    header = request.header("authorization")
    if not header:
        raise errors.MissingAuthenticationToken
    _check_doubles(request)
    stamp = request.header("x-amz-date")
    claim = _authorization(header, stamp)
    _check_scope(claim, stamp or "")
    _check_signed(request, claim)
    _check_clock(stamp or "", now)
    if request.header("x-amz-security-token") is not None:
        raise errors.UnrecognizedClient
    secret = secret_of(claim.key)
    digest = hashlib.sha256(request.body).hexdigest()
    expected = _signature(request, claim, stamp or "", digest, NOBODY if secret is None else secret)
    genuine = hmac.compare_digest(expected, claim.signature)
    if secret is None:
        raise errors.UnrecognizedClient
    if not genuine:
        raise errors.InvalidSignature
    if request.header("x-amz-content-sha256") not in (None, digest):
        raise errors.InvalidSignature(detail="x-amz-content-sha256 is not the SHA-256 of the body")
    return claim.key


def claimed_key(request: Request) -> str:
    """The access key id a request names, before its body is there to be checked. Raises as `verify` does."""
    header = request.header("authorization")
    if not header:
        raise errors.MissingAuthenticationToken
    _check_doubles(request)
    return _authorization(header, request.header("x-amz-date")).key


def _check_doubles(request: Request) -> None:
    """Two of a header that matters: one reader would take the first, another the last."""
    seen = set()
    for name, _ in request.headers:
        if name in seen and (name in {"authorization", "host"} or name.startswith(OURS)):
            raise errors.IncompleteSignature(f"Header '{name}' may be sent only once")
        seen.add(name)


def _authorization(header: str, stamp: str | None) -> Authorization:
    algorithm, _, rest = header.strip().partition(" ")
    if algorithm != ALGORITHM:
        raise errors.IncompleteSignature(f"Unsupported AWS 'algorithm'; use {ALGORITHM}")
    pairs = dict(_pair(part) for part in rest.split(",") if part.strip())
    missing = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if not pairs.get(name)
    ]
    if stamp is None:
        missing.append("Authorization header requires existence of a 'X-Amz-Date' header.")
    if missing:
        raise errors.IncompleteSignature(" ".join(missing))
    credential = pairs["Credential"].split("/")
    if len(credential) != 5 or not all(re.fullmatch(r"[A-Za-z0-9_-]{1,128}", part) for part in credential):
        raise errors.IncompleteSignature(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term"
        )
    signed = tuple(sorted({name.strip().lower() for name in pairs["SignedHeaders"].split(";")}))
    key, date, region, service, terminator = credential
    if not re.fullmatch(r"[0-9a-f]{64}", pairs["Signature"]):
        raise errors.InvalidSignature
    return Authorization(key, date, region, service, terminator, signed, pairs["Signature"])


def _pair(part: str) -> tuple[str, str]:
    name, equals, value = part.strip().partition("=")
    if not equals:
        raise errors.IncompleteSignature(
            "Authorization header holds a part that is not a valid key=value pair (missing equal-sign)"
        )
    return name, value


def _check_scope(claim: Authorization, stamp: str) -> None:
    if not re.fullmatch(r"\d{8}T\d{6}Z", stamp, re.ASCII):
        raise errors.IncompleteSignature("Date must be in ISO-8601 'basic format', e.g. 20260102T030405Z")
    faults = []
    if claim.service != SERVICE:
        faults.append(f"Credential should be scoped to correct service: '{SERVICE}'.")
    if claim.terminator != TERMINATOR:
        faults.append(f"Credential should be scoped with a valid terminator: '{TERMINATOR}'.")
    if claim.date != stamp[:8]:
        faults.append(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{claim.date}' != '{stamp[:8]}', from '{stamp}'."
        )
    if faults:
        raise errors.InvalidSignature(" ".join(faults))


def _check_signed(request: Request, claim: Authorization) -> None:
    """What must be signed is signed, what is said to be signed is there, and once."""
    names = [name for name, _ in request.headers]
    due = {"host"} | {name for name in names if name.startswith(OURS)}
    if unsigned := sorted(due - set(claim.signed)):
        shown = "'Host' or ':authority'" if unsigned[0] == "host" else f"'{unsigned[0].title()}'"
        raise errors.InvalidSignature(f"{shown} must be a 'SignedHeader' in the AWS Authorization.")
    for name in claim.signed:
        if names.count(name) > 1:
            raise errors.IncompleteSignature(f"Header '{name}' may be sent only once")
        if name not in names:
            raise errors.InvalidSignature(detail=f"the signed header '{name[:64]}' did not arrive")


def _check_clock(stamp: str, now: dt.datetime) -> None:
    try:
        signed = dt.datetime.strptime(stamp, STAMP).replace(tzinfo=dt.UTC)
    except ValueError:
        raise errors.IncompleteSignature(
            "Date must be in ISO-8601 'basic format', e.g. 20260102T030405Z"
        ) from None
    now = now.astimezone(dt.UTC)
    if signed < now - SKEW:
        edge = (now - SKEW).strftime(STAMP)
        raise errors.InvalidSignature(
            f"Signature expired: {stamp} is now earlier than {edge} ({now.strftime(STAMP)} - 5 min.)"
        )
    if signed > now + SKEW:
        edge = (now + SKEW).strftime(STAMP)
        raise errors.InvalidSignature(
            f"Signature not yet current: {stamp} is still later than {edge} ({now.strftime(STAMP)} + 5 min.)"
        )


def _signature(request: Request, claim: Authorization, stamp: str, digest: str, secret: str) -> str:
    """The signature that the holder of the secret would have made. digest: SHA-256 (hex) of the body."""
    headers = dict(request.headers)
    canonical = "\n".join(
        (
            request.method,
            _canonical_path(request.path),
            _canonical_query(request.query),
            *(f"{name}:{_canonical_value(headers[name])}" for name in claim.signed),
            "",
            ";".join(claim.signed),
            digest,
        )
    )
    scope = "/".join((claim.date, claim.region, claim.service, claim.terminator))
    try:
        hashed = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
    except UnicodeEncodeError:
        raise errors.InvalidSignature(detail="a signed header is not Latin-1") from None
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode("ascii"), "sha256")
    return hmac.digest(key, f"{ALGORITHM}\n{stamp}\n{scope}\n{hashed}".encode("ascii"), "sha256").hex()


def _canonical_value(value: str) -> str:
    return re.sub(r"[ \t]+", " ", value).strip(" ")


def _canonical_path(path: str) -> str:
    """Dot segments and doubled slashes removed, then encoded once more: AWS's rule for all but S3."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    trailing = "/" if parts and path.endswith("/") else ""
    return quote(f"/{'/'.join(parts)}{trailing}", safe="/-_.~")


def _canonical_query(query: str) -> str:
    pairs = [part.partition("=") for part in query.split("&") if part]
    return "&".join(
        f"{name}={value}" for name, value in sorted((_encoded(k), _encoded(v)) for k, _, v in pairs)
    )


def _encoded(text: str) -> str:
    return quote(unquote_to_bytes(text), safe="-_.~")
