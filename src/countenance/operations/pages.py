"""Page tokens: keyset, signed, bound to the question they continue."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hmac
import json

from countenance.errors import InvalidPaginationToken
from countenance.keys import Keys
from countenance.operations import Call

_MAC = 16


def seal(keys: Keys, call: Call, after: int, lasting: dt.timedelta | None = None) -> str:
    """A token that continues this call past row `after`. lasting: for how long; else it has no end."""
    place = str(after) if lasting is None else f"{after}.{int((call.now + lasting).timestamp())}"
    return base64.urlsafe_b64encode(keys.token(_question(call, place)) + place.encode()).decode()


def after(keys: Keys, call: Call) -> int:
    """Where the call's NextToken says to go on; 0 without one.

    Raises InvalidPaginationToken for a token that this home did not make for this very question, or whose
    time is over.
    """
    token = call.request.get("NextToken")
    if token is None:
        return 0
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
        place = raw[_MAC:].decode("ascii")
        row, _, until = place.partition(".")
        number, end = int(row), int(until or 2**63)
    except (binascii.Error, ValueError):
        raise InvalidPaginationToken from None
    if not hmac.compare_digest(raw[:_MAC], keys.token(_question(call, place))):
        raise InvalidPaginationToken
    if call.now.timestamp() >= end:
        raise InvalidPaginationToken
    return number


def limit(call: Call, most: int = 1000) -> int:
    """MaxResults; 0 and none mean AWS's page of 1000."""
    return call.request.get("MaxResults") or most


def _question(call: Call, place: str) -> bytes:
    asked = {k: v for k, v in call.request.items() if k not in {"NextToken", "MaxResults"}}
    gallery = call.gallery.number if call.gallery else 0
    return json.dumps([call.operation, call.caller.account, gallery, asked, place], sort_keys=True).encode()
