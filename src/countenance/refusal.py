"""What a refused caller is told: AWS's sentence first, then rule by rule which refuses, since when, on what
source, in whose words, and what evidence, law, audit or date would turn it; last what concerns the call.

Never a different purpose, place, kind, case or requester: that would coach lying. The same goes into a header
and into the ledger as JSON, since SDKs drop what AWS's shapes have no member for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from countenance.aws import declaration
from countenance.declared import TAG
from countenance.errors import AccessDenied, ProvisionedThroughputExceeded
from countenance.operations import Call
from countenance.types import Decision, Refusal

HEADER = "x-countenance-refusal"

QUOTA = "quota"
"""Stands for a rule in entries of calls that policy permits and a key's quota does not."""

_UNTIL = "The next day begins at 00:00 UTC; the operator may raise it: `countenance keys quota`."

LONGEST = 6000
"""Characters of the header's JSON. Proxies commonly take 8 KiB of headers; rules past it are counted only."""


def denied(call: Call, decision: Decision) -> AccessDenied:
    """The refusal as an error that clients know."""
    told = " Also ".join(map(_rule, decision.refusals))
    if not told:
        told = f"refused by {', '.join(decision.rules)}." if decision.rules else "no rule permits it."
    told += f" {decision.advice}" if decision.advice else ""
    if decision.source and not decision.refusals:
        told += f" Source: {decision.source}."
    if decision.missing:
        told += f" What it reads and this call does not say: {', '.join(map(_where, decision.missing))}."
    return AccessDenied(_sentence(call), told)


def spent(quota: int) -> ProvisionedThroughputExceeded:
    """What a key is told that has made its day's calls."""
    return ProvisionedThroughputExceeded(detail=f"{_quota(quota)}. {_UNTIL}")


def spent_note(quota: int, pack: str) -> str:
    """The same as ASCII JSON, with the pack that would have permitted the call."""
    rule = {"rule": QUOTA, "quote": _quota(quota), "source": "the operator", "since": "", "advice": _UNTIL}
    return json.dumps({"rules": [rule], "advice": "", "pack": pack}, separators=(",", ":"))


def _quota(quota: int) -> str:
    return f"this key may make {quota} calls a day (UTC), and has made them"


def note(decision: Decision) -> str:
    """The refusal as ASCII JSON."""
    rules = [_members(each) for each in decision.refusals]
    while len(text := _json(decision, rules, len(decision.refusals))) > LONGEST and rules:
        rules.pop()
    return text


def _json(decision: Decision, rules: Sequence[dict[str, str]], count: int) -> str:
    members: dict[str, object] = {"rules": rules, "advice": decision.advice, "pack": decision.pack}
    if left := count - len(rules):
        members["more"] = left
    if decision.errors:
        members["errors"] = list(decision.errors)
    if decision.missing:
        members["missing"] = [_name(each) for each in decision.missing]
    return json.dumps(members, separators=(",", ":"))


def _members(refusal: Refusal) -> dict[str, str]:
    since = "" if refusal.since is None else refusal.since.isoformat()
    return {
        "rule": refusal.rule,
        "quote": refusal.quote,
        "source": refusal.source,
        "since": since,
        "advice": refusal.advice,
    }


def _rule(refusal: Refusal) -> str:
    since = "" if refusal.since is None else f", in force since {refusal.since}"
    plain = '"' not in refusal.quote and not refusal.quote.startswith("(")  # else it says what is quoted
    quote = f'"{refusal.quote}"' if plain else refusal.quote
    return f"refused by {refusal.rule}{since} ({refusal.source}): {quote}. {refusal.advice}"


def _sentence(call: Call) -> str:
    """AWS's, word for word."""
    user = f"arn:aws:iam::{call.caller.account}:user/{call.caller.key}"
    named = call.request.get("CollectionId")
    owned = f"arn:aws:rekognition:{call.region}:{call.caller.account}:collection/{named}" if named else "*"
    resource = call.request.get("ResourceArn", owned)
    return f"User: {user} is not authorized to perform: rekognition:{call.operation} on resource: {resource}"


def _name(said_by: str) -> str:
    return said_by if said_by.startswith(TAG) else declaration.header(said_by)


def _where(said_by: str) -> str:
    return f"{'tag' if said_by.startswith(TAG) else 'header'} {_name(said_by)}"
