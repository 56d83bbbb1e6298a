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

VALID = dt.timedelta(hours=24)
"""As long as Rekognition's of results of stored video; a token of any other list here lasts as long."""


def seal(keys: Keys, call: Call, after: int) -> str:
    """A token that continues this call past row `after`."""
    until = int((call.now + VALID).timestamp())
    told = f"{after}.{until}".encode()
    return base64.urlsafe_b64encode(keys.token(_question(call, after, until)) + told).decode()


def after(keys: Keys, call: Call) -> int:
    """Where the call's NextToken says to go on; 0 without one.

    Raises InvalidPaginationToken for a token that this home did not make for this very question, or too long
    ago.
    """
    token = call.request.get("NextToken")
    if token is None:
        return 0
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
        row, until = map(int, raw[_MAC:].split(b"."))
    except (binascii.Error, ValueError):
        raise InvalidPaginationToken from None
    mine = hmac.compare_digest(raw[:_MAC], keys.token(_question(call, row, until)))
    if not mine or call.now.timestamp() >= until:
        raise InvalidPaginationToken
    return row


def limit(call: Call, most: int = 1000) -> int:
    """MaxResults; 0 and none mean AWS's page of 1000."""
    return call.request.get("MaxResults") or most


def _question(call: Call, row: int, until: int) -> bytes:
    asked = {k: v for k, v in call.request.items() if k not in {"NextToken", "MaxResults"}}
    gallery = call.gallery.number if call.gallery else 0
    question = [call.operation, call.caller.account, gallery, asked, row, until]
    return json.dumps(question, sort_keys=True).encode()
