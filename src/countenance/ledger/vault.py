"""What a call said that is nobody else's business: a case, a warrant, who judged. Encrypted, each record
under a key of its own, beside the log and not in it.

The log holds a commitment to each text: with the record's key it can be shown which text it was, without it
no guess can be tried. Deleting the key leaves the log as it is and the texts gone (docs/ledger.md, Erasure).
"""

from __future__ import annotations

import base64
import datetime as dt
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.engine import Connection

from countenance.database import Statement
from countenance.declared import Authorisation, Declared
from countenance.errors import LedgerError
from countenance.keys import Keys
from countenance.schema import vault, vault_keys

_TAG_BYTES = 8


@dataclass(frozen=True, slots=True)
class Record:
    """Texts by name, and the key (32 bytes) that they are encrypted and committed to with."""

    said: Mapping[str, str]
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    @property
    def commitments(self) -> dict[str, str]:
        """What the log holds of each text: 64 hex digits."""
        return {name: commitment(self.key, name, value) for name, value in self.said.items()}


def commitment(key: bytes, name: str, value: str) -> str:
    """HMAC-SHA256 of a named text under a record's key, in hex."""
    return hmac.digest(key, f"{name}\0{value}".encode(), "sha256").hex()


def private(declared: Declared) -> dict[str, str]:
    """What of a declaration stays out of the log."""
    said = {
        "case": declared.case or "",
        "authorisation": _written(declared.authorisation) if declared.authorisation else "",
        "evidence": declared.evidence or "",
        "reviewers": "\n".join(sorted(declared.reviewers)),
    }
    return {name: value for name, value in said.items() if value}


def subject_tag(subject: bytes, decision: int) -> str:
    """What entries call a person in the call that `decision` decided: 11 characters that only the subject's
    key (32 bytes) leads to, and that no two calls share."""
    digest = hmac.digest(subject, f"countenance/subject/{decision}".encode(), "sha256")
    return _base64url(digest[:_TAG_BYTES])


class Vault:
    """The records of one home. keys: seals the records' keys, so that the database alone opens none."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def put(self, connection: Connection, decision: int, record: Record, now: dt.datetime) -> None:
        nonce = secrets.token_bytes(12)
        body = json.dumps(dict(record.said), ensure_ascii=False, sort_keys=True).encode()
        sealed = nonce + AESGCM(_cipher(record.key)).encrypt(nonce, body, _bound(decision))
        _PUT.run(connection, decision=decision, body=sealed, written=now.timestamp())
        _PUT_KEY.run(connection, decision=decision, key=self._keys.seal(record.key, _bound(decision)))

    def open(self, connection: Connection, decision: int) -> Record | None:
        """What a call said; None where it said nothing or its key was destroyed. Raises LedgerError for a
        record or a key that something else wrote."""
        query = sa.select(vault.c.body, vault_keys.c.key).where(vault.c.decision == decision)
        row = connection.execute(query.join(vault_keys, vault_keys.c.decision == vault.c.decision)).first()
        if row is None:
            return None
        try:
            key = self._keys.unseal(row.key, _bound(decision))
            body = AESGCM(_cipher(key)).decrypt(row.body[:12], row.body[12:], _bound(decision))
        except (InvalidTag, TypeError, ValueError) as fault:
            raise LedgerError(f"the private record of entry {decision} was changed", decision) from fault
        return Record(json.loads(body), key)

    def shred(self, connection: Connection, decisions: Iterable[int]) -> int:
        """Destroy records and their keys for good; how many there were."""
        gone = 0
        for decision in decisions:
            gone += _SHRED_KEY.count(connection, gone=decision)
            _SHRED.run(connection, gone=decision)
        return gone


_PUT = Statement(vault.insert())
_PUT_KEY = Statement(vault_keys.insert())
_SHRED = Statement(vault.delete().where(vault.c.decision == sa.bindparam("gone")))
_SHRED_KEY = Statement(vault_keys.delete().where(vault_keys.c.decision == sa.bindparam("gone")))


def _cipher(key: bytes) -> bytes:
    """The AES-256 key of a record: not the one that commits, so that showing a text shows no other."""
    return hmac.digest(key, b"countenance/vault", "sha256")


def _bound(decision: int) -> bytes:
    return f"countenance/vault/{decision}".encode()


def _written(authorisation: Authorisation) -> str:
    return json.dumps(
        {
            "id": authorisation.id,
            "issued_by": authorisation.issued_by,
            "kind": authorisation.kind.value,
            "valid_from": authorisation.valid_from.isoformat(),
            "valid_until": authorisation.valid_until.isoformat(),
        },
        ensure_ascii=False,
        separators=(",", ":"),
        sort_keys=True,
    )


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
