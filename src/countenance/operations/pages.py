"""Page tokens: keyset, signed, bound to the question they continue."""

from __future__ import annotations

import base64
import binascii
import hmac
import json

from countenance.errors import InvalidPaginationToken
from countenance.keys import Keys
from countenance.operations import Call

_MAC = 16


def seal(keys: Keys, call: Call, after: int) -> str:
    """A token that continues this call past row `after`."""
    return base64.urlsafe_b64encode(keys.token(_question(call, after)) + str(after).encode()).decode()


def after(keys: Keys, call: Call) -> int:
    """Where the call's NextToken says to go on; 0 without one.

    Raises InvalidPaginationToken for a token that this home did not make for this very question.
    """
    token = call.request.get("NextToken")
    if token is None:
        return 0
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
        row = int(raw[_MAC:])
    except (binascii.Error, ValueError):
        raise InvalidPaginationToken from None
    if not hmac.compare_digest(raw[:_MAC], keys.token(_question(call, row))):
        raise InvalidPaginationToken
    return row


def limit(call: Call, most: int = 1000) -> int:
    """MaxResults; 0 and none mean AWS's page of 1000."""
    return call.request.get("MaxResults") or most


def _question(call: Call, row: int) -> bytes:
    asked = {k: v for k, v in call.request.items() if k not in {"NextToken", "MaxResults"}}
    gallery = call.gallery.number if call.gallery else 0
    return json.dumps([call.operation, call.caller.account, gallery, asked, row], sort_keys=True).encode()
