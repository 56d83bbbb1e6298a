"""Whose private records go with whom: found by the subject's tag in the outcome of a call, then shredded, or
kept a while yet where a rule says so.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from countenance.errors import LedgerError
from countenance.ledger import verification
from countenance.ledger.merkle import leaf_hash
from countenance.ledger.vault import subject_tag
from countenance.schema import calls, condemned, entries, vault, vault_keys

_SOME = 500
"""Values in one IN list."""


@dataclass(frozen=True, slots=True)
class Private:
    """A private record: the decision it belongs to, when it was written, and whose call that was."""

    decision: int
    written: dt.datetime
    account: str
    kind: str
    place: str


def concerning(
    connection: Connection, subjects: Collection[bytes], account: str, since: int = 0
) -> list[Private]:
    """The private records of an account's calls that concerned one of these people; of a job that did, also
    that of the call that started it.

    subjects: their keys (32 bytes). since: only calls whose outcome is this entry or a later one. Raises
    LedgerError where an entry that says so does not hash to its leaf.
    """
    query = (
        sa.select(vault.c.decision, verification.raw(entries.c.body), verification.raw(entries.c.leaf))
        .join(calls, calls.c.decision == vault.c.decision)
        .join(entries, entries.c.seq == calls.c.outcome)
        .where(calls.c.outcome >= since)
    )
    found = []
    for decision, body, leaf in connection.execute(query) if subjects else ():
        if leaf_hash(bytes(body)) != bytes(leaf):
            raise LedgerError(f"the outcome of entry {decision} was changed", decision)
        tags = set(json.loads(bytes(body)).get("subjects", ()))
        if tags and any(subject_tag(subject, decision) in tags for subject in subjects):
            found.append(decision)
    entered = [verification.read(connection, decision) for decision in found]
    found += [entry["started"] for entry in entered if "started" in entry]
    return [private for private in records(connection, sorted(set(found))) if private.account == account]


def records(connection: Connection, decisions: Sequence[int]) -> list[Private]:
    """The private records of these decisions, of those that are there."""
    found = []
    for start in range(0, len(decisions), _SOME):
        some = decisions[start : start + _SOME]
        rows = connection.execute(
            sa.select(vault.c.decision, vault.c.written).where(vault.c.decision.in_(some))
        )
        for decision, written in rows.all():
            entry = verification.read(connection, decision)
            found.append(
                Private(
                    decision,
                    dt.datetime.fromtimestamp(written, dt.UTC),
                    entry["account"],
                    entry["organisation_kind"],
                    entry.get("called_from", entry["place"]),
                )
            )
    return sorted(found, key=lambda private: private.decision)


def waiting(connection: Connection, after: int, limit: int) -> list[Private]:
    """The private records past one in order, but those that are condemned already."""
    query = sa.select(vault.c.decision).where(
        vault.c.decision > after, vault.c.decision.not_in(sa.select(condemned.c.decision))
    )
    decisions = connection.execute(query.order_by(vault.c.decision).limit(limit)).scalars().all()
    return records(connection, decisions)


def traces(connection: Connection, decisions: Sequence[int]) -> list[bytes]:
    """What must be left nowhere once the records of these decisions are shredded."""
    found: list[bytes] = []
    query = sa.select(vault.c.body, vault_keys.c.key).join(
        vault_keys, vault_keys.c.decision == vault.c.decision
    )
    for start in range(0, len(decisions), _SOME):
        some = vault.c.decision.in_(decisions[start : start + _SOME])
        found += [part for row in connection.execute(query.where(some)) for part in row]
    return found


def condemn(connection: Connection, decision: int, until: dt.datetime, rule: str) -> None:
    """Have a record shredded once its time is over. rule: which keeps it till then."""
    connection.execute(condemned.delete().where(condemned.c.decision == decision))
    connection.execute(condemned.insert().values(decision=decision, until=until.timestamp(), rule=rule))


def condemned_until(connection: Connection, now: dt.datetime, limit: int) -> list[tuple[int, str]]:
    """Records whose time is over, the first first, each with the rule that kept it."""
    query = sa.select(condemned.c.decision, condemned.c.rule).where(condemned.c.until <= now.timestamp())
    rows = connection.execute(query.order_by(condemned.c.until).limit(limit))
    return [(row.decision, row.rule) for row in rows]


def acquit(connection: Connection, decisions: Sequence[int]) -> None:
    """Take records that were shredded off the list."""
    for start in range(0, len(decisions), _SOME):
        some = condemned.c.decision.in_(decisions[start : start + _SOME])
        connection.execute(condemned.delete().where(some))
