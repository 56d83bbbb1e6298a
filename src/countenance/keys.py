"""Who may call: organisations and their API keys. What signs: the ledger's key and the page tokens' secret.

A SigV4 secret has to be known to check a signature, so it is stored, sealed (AES-256-GCM) under the
home's master key: a copy of the database alone opens nothing. The seal also holds who the key is for.
Whoever writes another kind, place, group, purpose or account into the database makes the key useless,
not somebody else's.
"""

from __future__ import annotations

import base64
import dataclasses
import hmac
import json
import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.engine import Connection

from countenance.database import Statement
from countenance.errors import HomeError
from countenance.schema import keys, organisations
from countenance.types import Caller, OrganisationKind

DAY = 86_400
"""Seconds. A quota's day begins at midnight, UTC."""

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@dataclass(frozen=True, slots=True)
class Organisation:
    """Who holds keys, as the operator registered them: the kind is the operator's word.

    account: 12 digits. place: a place code such as "US-CA". groups: what rules call it by name for.
    """

    account: str
    name: str
    kind: OrganisationKind
    place: str
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Key:
    """A credential as it may be shown: everything but the secret. Times are epoch seconds.

    purpose: what a call is for that does not say. purposes: what its calls may be for, that one included.
    policy_owner: whether it may open what a tag had shut. quota: calls a day (UTC) that it may make, None for
    any number. calls: what it has made. day, used: the day of the last one since 1970, and calls on it.
    """

    access_key_id: str
    organisation: Organisation
    purpose: str | None
    created: float
    revoked: float | None
    purposes: frozenset[str] = frozenset()
    policy_owner: bool = False
    quota: int | None = None
    calls: int = 0
    day: int = 0
    used: int = 0

    def used_on(self, now: float) -> int:
        """Calls on the day (UTC) of a moment."""
        return self.used if self.day == now // DAY else 0


class Count(NamedTuple):
    """A key's calls, the one at hand included: in all, and on its day. quota: how many that day may have."""

    calls: int
    used: int
    quota: int | None

    @property
    def spent(self) -> int | None:
        """The quota, where this call is beyond it."""
        return self.quota if self.quota is not None and self.used > self.quota else None


class Keys:
    """The organisations and keys of a home, and what is derived from its master key (32 bytes)."""

    def __init__(self, master: bytes) -> None:
        if len(master) != 32:
            raise HomeError("master.key must hold 32 bytes; restore it from a backup of this home")
        self._seal = AESGCM(self._derive(master, "api-key-secrets"))
        self._records = AESGCM(self._derive(master, "record-keys"))
        self._tokens = self._derive(master, "page-tokens")
        self._pseudonyms = self._derive(master, "caller-pseudonyms")

    @staticmethod
    def _derive(master: bytes, use: str) -> bytes:
        return hmac.digest(master, f"countenance/{use}".encode(), "sha256")

    def token(self, content: bytes) -> bytes:
        """A MAC (16 bytes) that only this home can make: it signs page tokens."""
        return hmac.digest(self._tokens, content, "sha256")[:16]

    def seal(self, content: bytes, bound: bytes) -> bytes:
        """Content that only this home can read, and only together with what it is bound to."""
        nonce = secrets.token_bytes(12)
        return nonce + self._records.encrypt(nonce, content, bound)

    def unseal(self, sealed: bytes, bound: bytes) -> bytes:
        """Raises InvalidTag or ValueError for what this home did not seal."""
        return self._records.decrypt(sealed[:12], sealed[12:], bound)

    def pseudonym(self, access_key_id: str) -> str:
        """What the ledger calls a key: the same each time, and not the key's id (24 hex digits)."""
        return hmac.digest(self._pseudonyms, access_key_id.encode(), "sha256").hex()[:24]

    def register(
        self,
        connection: Connection,
        name: str,
        kind: OrganisationKind,
        place: str,
        groups: Collection[str] = (),
    ) -> Organisation:
        account = f"{secrets.randbelow(9 * 10**11) + 10**11}"
        organisation = Organisation(account, name, kind, place, frozenset(groups))
        row = {"account": account, "name": name, "kind": kind.value, "place": place}
        connection.execute(organisations.insert().values(created=time.time(), groups=_written(groups), **row))
        return organisation

    def organisations(self, connection: Connection) -> list[Organisation]:
        rows = connection.execute(sa.select(organisations).order_by(organisations.c.created))
        return [_organisation(row) for row in rows]

    def issue(
        self,
        connection: Connection,
        organisation: Organisation,
        purpose: str | None,
        others: Collection[str] = (),
        *,
        policy_owner: bool = False,
        quota: int | None = None,
    ) -> tuple[Key, str]:
        """A new key and its secret, shown once. others: what its calls may be for beside `purpose`."""
        key_id = "CNT" + "".join(secrets.choice(_ALPHABET) for _ in range(17))
        secret = base64.b64encode(secrets.token_bytes(30)).decode()
        allowed = _allowed(purpose, others)
        key = Key(key_id, organisation, purpose, time.time(), None, allowed, policy_owner, quota)
        row = {
            "access_key_id": key_id,
            "account": organisation.account,
            "purpose": purpose,
            "purposes": _written(others),
            "policy_owner": int(policy_owner),
            "quota": quota,
        }
        of = {
            "kind": organisation.kind.value,
            "place": organisation.place,
            "groups": _written(organisation.groups),
        }
        sealed = self._sealed(secret, _bound(row | of))
        connection.execute(keys.insert().values(secret=sealed, created=key.created, **row))
        return key, secret

    def limit(self, connection: Connection, access_key_id: str, quota: int | None) -> Key | None:
        """Give a key another quota; the key, or None where none that opens is in force. It is sealed anew:
        whoever changes the number in the database makes the key useless."""
        row = connection.execute(_in_force(access_key_id)).first()
        secret = None if row is None else self._opened(row)
        if row is None or secret is None:
            return None
        bound = _bound({name: getattr(row, name) for name in (*_HOLDER, *_FURTHER)} | {"quota": quota})
        update = keys.update().where(keys.c.access_key_id == access_key_id)
        connection.execute(update.values(quota=quota, secret=self._sealed(secret, bound)))
        return dataclasses.replace(_key(row), quota=quota)

    def _sealed(self, secret: str, bound: bytes) -> bytes:
        nonce = secrets.token_bytes(12)
        return nonce + self._seal.encrypt(nonce, secret.encode(), bound)

    def revoke(self, connection: Connection, access_key_id: str) -> Key | None:
        """The key that was in force until now; None where there was none. Its secret is erased, so that
        clearing the mark of revocation does not bring it back."""
        row = connection.execute(_in_force(access_key_id)).first()
        if row is None:
            return None
        now = time.time()
        update = keys.update().where(keys.c.access_key_id == access_key_id)
        connection.execute(update.values(revoked=now, secret=b""))
        return dataclasses.replace(_key(row), revoked=now)

    def count(self, connection: Connection, access_key_id: str, now: float) -> Count:
        """One more call of this key, at an epoch second. A gap in the ledger's counters shows a loss."""
        [row] = _COUNT.run(connection, key=access_key_id, today=int(now // DAY))
        return Count(*row)

    def list(self, connection: Connection) -> list[Key]:
        return [_key(row) for row in connection.execute(_KEYS.order_by(keys.c.created))]

    def find(self, connection: Connection, access_key_id: str) -> tuple[Caller, str] | None:
        """The caller and the secret of a key in force.

        None for one that is unknown or revoked, or whose seal does not say what the database says of it.
        """
        row = connection.execute(_in_force(access_key_id)).first()
        secret = None if row is None else self._opened(row)
        if row is None or secret is None:
            return None
        return caller(_key(row)), secret

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
        try:
            bound = _bound({name: getattr(row, name) for name in (*_HOLDER, *_FURTHER, "quota")})
            return self._seal.decrypt(row.sealed[:12], row.sealed[12:], bound).decode()
        except (InvalidTag, TypeError, ValueError):  # a changed row may hold anything
            return None


_COUNT = Statement(
    keys.update()
    .where(keys.c.access_key_id == sa.bindparam("key"))
    .values(
        calls=keys.c.calls + 1,
        used=sa.case((keys.c.day == sa.bindparam("today"), keys.c.used + 1), else_=1),
        day=sa.bindparam("today"),
    )
    .returning(keys.c.calls, keys.c.used, keys.c.quota)
)

_KEYS: sa.Select[Any] = sa.select(
    *(column for column in keys.c if column.name != "secret"),
    sa.type_coerce(keys.c.secret, sa.types.NullType()).label("sealed"),
    organisations,
).join(organisations)


def _in_force(access_key_id: str) -> sa.Select[Any]:
    return _KEYS.where(keys.c.access_key_id == access_key_id, keys.c.revoked.is_(None))


_HOLDER = ("access_key_id", "account", "kind", "place", "purpose")
_FURTHER = ("groups", "purposes", "policy_owner")


def _bound(row: Mapping[str, Any]) -> bytes:
    """What a seal holds beside the secret: key, account, kind, place and purpose; groups, further purposes
    and ownership of policy where there are any; a quota where there is one. Older keys have less."""
    holder, further = ([row[name] for name in names] for names in (_HOLDER, _FURTHER))
    if row["quota"] is not None:
        further.append(row["quota"])
    return json.dumps(holder + further if any(further) else holder, default=repr).encode()


def _written(words: Collection[str]) -> str:
    """Words as a row holds them: none is an empty text."""
    return json.dumps(sorted(words)) if words else ""


def _words(text: str) -> frozenset[str]:
    """Raises ValueError for what `_written` did not write."""
    words = json.loads(text) if text else []
    if not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
        raise ValueError(f"{text!r} is not a list of words")
    return frozenset(words)


def _allowed(purpose: str | None, others: Collection[str]) -> frozenset[str]:
    return frozenset(others) | ({purpose} if purpose is not None else set())


def _key(row: sa.Row[Any]) -> Key:
    """Raises HomeError for a row that something else wrote."""
    organisation = _organisation(row)
    try:
        allowed = _allowed(row.purpose, _words(row.purposes))
    except (TypeError, ValueError) as fault:
        raise HomeError(f"key {row.access_key_id} was changed by something else: {fault}") from fault
    return Key(
        row.access_key_id,
        organisation,
        row.purpose,
        row.created,
        row.revoked,
        allowed,
        bool(row.policy_owner),
        row.quota,
        row.calls,
        row.day,
        row.used,
    )


def caller(key: Key) -> Caller:
    organisation = key.organisation
    return Caller(
        account=organisation.account,
        organisation=organisation.name,
        kind=organisation.kind,
        place=organisation.place,
        purpose=key.purpose,
        key=key.access_key_id,
        purposes=key.purposes,
        groups=organisation.groups,
        policy_owner=key.policy_owner,
    )


def _organisation(row: sa.Row[Any]) -> Organisation:
    """Raises HomeError for a kind or groups that are none."""
    try:
        groups = _words(row.groups)
        return Organisation(row.account, row.name, OrganisationKind(row.kind), row.place, groups)
    except (TypeError, ValueError) as fault:
        raise HomeError(f"organisation {row.account} was changed by something else: {fault}") from fault
