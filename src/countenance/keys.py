"""Who may call: organisations and their API keys. What signs: the ledger's key and the page tokens' secret.

A SigV4 secret has to be known to check a signature, so it is stored, sealed (AES-256-GCM) under the
home's master key: a copy of the database alone opens nothing. The seal also holds who the key is for.
Whoever writes another kind, place, purpose or account into the database makes the key useless, not
somebody else's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.engine import Connection

from countenance.database import keys, organisations
from countenance.errors import HomeError
from countenance.types import Caller, OrganisationKind

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@dataclass(frozen=True, slots=True)
class Organisation:
    """Who holds keys, as the operator registered them: the kind is the operator's word.

    account: 12 digits. place: a place code such as "US-CA".
    """

    account: str
    name: str
    kind: OrganisationKind
    place: str


@dataclass(frozen=True, slots=True)
class Key:
    """A credential as it may be shown: everything but the secret. Times are epoch seconds."""

    access_key_id: str
    organisation: Organisation
    purpose: str | None
    created: float
    revoked: float | None


class Keys:
    """The organisations and keys of a home, and what is derived from its master key (32 bytes)."""

    def __init__(self, master: bytes) -> None:
        if len(master) != 32:
            raise HomeError("master.key must hold 32 bytes; restore it from a backup of this home")
        self._seal = AESGCM(self._derive(master, "api-key-secrets"))
        self._tokens = self._derive(master, "page-tokens")
        self._pseudonyms = self._derive(master, "caller-pseudonyms")

    @staticmethod
    def _derive(master: bytes, use: str) -> bytes:
        return hmac.digest(master, f"countenance/{use}".encode(), "sha256")

    def token(self, content: bytes) -> bytes:
        """A MAC (16 bytes) that only this home can make: it signs page tokens."""
        return hmac.digest(self._tokens, content, "sha256")[:16]

    def pseudonym(self, access_key_id: str) -> str:
        """What the ledger calls a key: the same each time, and not the key's id (24 hex digits)."""
        return hmac.new(self._pseudonyms, access_key_id.encode(), hashlib.sha256).hexdigest()[:24]

    def register(self, connection: Connection, name: str, kind: OrganisationKind, place: str) -> Organisation:
        organisation = Organisation(f"{secrets.randbelow(9 * 10**11) + 10**11}", name, kind, place)
        row = {"account": organisation.account, "name": name, "kind": kind.value, "place": place}
        connection.execute(organisations.insert().values(created=time.time(), **row))
        return organisation

    def organisations(self, connection: Connection) -> list[Organisation]:
        rows = connection.execute(sa.select(organisations).order_by(organisations.c.created))
        return [_organisation(row) for row in rows]

    def issue(
        self, connection: Connection, organisation: Organisation, purpose: str | None
    ) -> tuple[Key, str]:
        """A new key and its secret, which is shown once."""
        key_id = "CNT" + "".join(secrets.choice(_ALPHABET) for _ in range(17))
        secret = base64.b64encode(secrets.token_bytes(30)).decode()
        nonce = secrets.token_bytes(12)
        bound = _bound(key_id, organisation.account, organisation.kind, organisation.place, purpose)
        sealed = nonce + self._seal.encrypt(nonce, secret.encode(), bound)
        key = Key(key_id, organisation, purpose, time.time(), None)
        row = {"access_key_id": key_id, "account": organisation.account, "secret": sealed}
        connection.execute(keys.insert().values(purpose=purpose, created=key.created, **row))
        return key, secret

    def revoke(self, connection: Connection, access_key_id: str) -> Key | None:
        """The key that was in force until now; None where there was none. Its secret is erased, so that
        clearing the mark of revocation does not bring it back."""
        row = connection.execute(_in_force(access_key_id)).first()
        if row is None:
            return None
        now = time.time()
        update = keys.update().where(keys.c.access_key_id == access_key_id)
        connection.execute(update.values(revoked=now, secret=b""))
        return Key(access_key_id, _organisation(row), row.purpose, row.created, now)

    def count(self, connection: Connection, access_key_id: str) -> int:
        """One more call of this key: how many it has made. A gap in the ledger's counters shows a loss."""
        key = keys.c.access_key_id == access_key_id
        connection.execute(keys.update().where(key).values(calls=keys.c.calls + 1))
        return int(connection.execute(sa.select(keys.c.calls).where(key)).scalar_one())

    def list(self, connection: Connection) -> list[Key]:
        return [
            Key(row.access_key_id, _organisation(row), row.purpose, row.created, row.revoked)
            for row in connection.execute(_KEYS.order_by(keys.c.created))
        ]

    def find(self, connection: Connection, access_key_id: str) -> tuple[Caller, str] | None:
        """The caller and the secret of a key in force.

        None for one that is unknown or revoked, or whose seal does not say what the database says of it.
        """
        row = connection.execute(_in_force(access_key_id)).first()
        secret = None if row is None else self._opened(row)
        if row is None or secret is None:
            return None
        return caller(Key(access_key_id, _organisation(row), row.purpose, row.created, None)), secret

    def unusable(self, connection: Connection) -> Sequence[str]:
        """The keys in force whose seals do not open.

        Raises HomeError where that is all of them: then the master key is another home's.
        """
        rows = connection.execute(_KEYS.where(keys.c.revoked.is_(None))).all()
        closed = [row.access_key_id for row in rows if self._opened(row) is None]
        if rows and len(closed) == len(rows):
            raise HomeError(
                "master.key does not belong to this database, or something other than Countenance changed "
                "the keys in it: none of them can be used. Put the right file back from a backup. Without "
                "one, or in a home made before keys were bound to their holders, `countenance keys create` "
                "makes a new key"
            )
        return closed

    def _opened(self, row: sa.Row[Any]) -> str | None:
        """The secret of a key; None where it was sealed under another master key or for another holder."""
        bound = _bound(row.access_key_id, row.account, row.kind, row.place, row.purpose)
        try:
            return self._seal.decrypt(row.sealed[:12], row.sealed[12:], bound).decode()
        except (InvalidTag, TypeError, ValueError):  # a changed row may hold anything
            return None


_KEYS: sa.Select[Any] = sa.select(
    *(column for column in keys.c if column.name != "secret"),
    sa.type_coerce(keys.c.secret, sa.types.NullType()).label("sealed"),
    organisations,
).join(organisations)


def _in_force(access_key_id: str) -> sa.Select[Any]:
    return _KEYS.where(keys.c.access_key_id == access_key_id, keys.c.revoked.is_(None))


def _bound(*holder: object) -> bytes:
    """What a seal holds beside the secret: key, account, kind, place and purpose."""
    return json.dumps(holder, default=repr).encode()


def caller(key: Key) -> Caller:
    organisation = key.organisation
    return Caller(
        account=organisation.account,
        organisation=organisation.name,
        kind=organisation.kind,
        place=organisation.place,
        purpose=key.purpose,
        key=key.access_key_id,
    )


def _organisation(row: sa.Row[Any]) -> Organisation:
    """Raises HomeError for a kind that is not one."""
    try:
        return Organisation(row.account, row.name, OrganisationKind(row.kind), row.place)
    except ValueError as fault:
        raise HomeError(f"organisation {row.account} was changed by something else: {fault}") from fault
