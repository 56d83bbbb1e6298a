"""ClientRequestToken: a call that was done is not done again, and answers as it did.

What is kept for that names nobody: a MAC of the request, and what came of it in the request's own order.
"""

from __future__ import annotations

import datetime as dt
import hmac
import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from countenance.errors import IdempotentParameterMismatch
from countenance.keys import Keys
from countenance.operations import Call
from countenance.operations.galleries import present
from countenance.schema import tokens

LIFE = dt.timedelta(days=7)
"""How long a token stands for its call (Rekognition documents seven days for its jobs)."""


def before(connection: Connection, call: Call, keys: Keys) -> Any:
    """What came of a call with this token; None where there was none. Raises IdempotentParameterMismatch."""
    query = sa.select(tokens.c.asked, tokens.c.answer).where(_same(call), tokens.c.made > _oldest(call))
    row = connection.execute(query).first()
    if row is None:
        return None
    if not hmac.compare_digest(row.asked, _mac(call, keys)):
        raise IdempotentParameterMismatch
    return json.loads(row.answer)


def keep(connection: Connection, call: Call, keys: Keys, answer: object) -> None:
    """Have `before` find what came of this call. Forgets tokens whose time is over."""
    if (token := call.request.get("ClientRequestToken")) is None:
        return
    connection.execute(tokens.delete().where(tokens.c.made <= _oldest(call)))
    connection.execute(
        tokens.insert().values(
            account=call.caller.account,
            operation=call.operation,
            token=token,
            collection=present(call).number,
            asked=_mac(call, keys),
            answer=json.dumps(answer),
            made=call.now.timestamp(),
        )
    )


def _same(call: Call) -> sa.ColumnElement[bool]:
    return sa.and_(
        tokens.c.account == call.caller.account,
        tokens.c.operation == call.operation,
        tokens.c.token == call.request.get("ClientRequestToken"),
    )


def _oldest(call: Call) -> float:
    return (call.now - LIFE).timestamp()


def _mac(call: Call, keys: Keys) -> bytes:
    return keys.token(json.dumps([present(call).number, dict(call.request)], sort_keys=True).encode())
