"""A caller's own part of the record: GetReceipt, RecordReview. Our operations, declared in aws/data."""

from __future__ import annotations

import base64
from typing import Any

from sqlalchemy.engine import Connection

from countenance.errors import InvalidParameter, ResourceNotFound
from countenance.galleries import concerned, store
from countenance.ledger import Told, subject_tag
from countenance.operations import Call, Done, Operation, Tools, always
from countenance.types import Action


def get_receipt(call: Call, tools: Tools) -> Done:
    """Both entries of one of the account's calls, as they are written, with what proves that they are in the
    log: countenance_verify.py checks it without us."""
    number = call.request["Decision"]
    with tools.database.reading() as connection:
        _decision(connection, call, tools, number)
        outcome = tools.ledger.outcome(connection, number)
        proven = tools.ledger.prove(connection, [number] if outcome is None else [number, outcome])
    written = [
        {
            "Number": proof.number,
            "Body": proof.body.decode(),
            "Proof": [base64.b64encode(value).decode() for value in proof.path],
        }
        for proof in proven.proofs
    ]
    return Done(
        {
            "Origin": tools.ledger.origin,
            "Key": tools.ledger.verifier_key,
            "Checkpoint": proven.note,
            "Entries": written,
        }
    )


def record_review(call: Call, tools: Tools) -> Done:
    """What somebody found who looked at a candidate. It is recorded beside the search and changes nothing in
    it; a later review of the same candidate counts instead of this one."""
    request = call.request
    number = request["Decision"]
    with tools.database.reading() as connection:
        searched = _decision(connection, call, tools, number)
        outcome = tools.ledger.outcome(connection, number)
        listed = [] if outcome is None else tools.ledger.entry(connection, outcome).get("subjects", [])
        gallery = store.find(connection, call.caller.account, searched.get("collection", ""))
        keys = [] if gallery is None else concerned.subjects(connection, gallery, [request["FaceId"]])
    if "started" in searched and searched["stage"] == "read":
        raise InvalidParameter(
            detail=f"entry {number} reads what a job found; the search is the decision that the header "
            "x-countenance-job of its answer names"
        )
    if "identify" not in searched["actions"]:
        raise InvalidParameter(detail=f"entry {number} is no search, so it has no candidates to review")
    candidates = [(key, tag) for key in keys if (tag := subject_tag(key, number)) in listed]
    if not candidates:
        raise InvalidParameter(
            detail=f"the face is not among the candidates of entry {number}, or was deleted since"
        )
    [(key, tag)] = candidates
    verdict = request["Verdict"].lower()
    told = Told(subjects=[key], further={"review": number, "verdict": verdict, "candidate": tag})
    return Done({}, told)


def _decision(connection: Connection, call: Call, tools: Tools, number: int) -> dict[str, Any]:
    """One of the account's own calls: whether others' exist is nobody's business."""
    if 0 <= number < tools.ledger.size(connection):
        entry = tools.ledger.entry(connection, number)
        if entry.get("kind") == "decision" and entry.get("account") == call.caller.account:
            return entry
    raise ResourceNotFound(f"The decision: {number} does not exist")


OPERATIONS = {
    "GetReceipt": Operation(get_receipt, always(Action.MANAGE)),
    "RecordReview": Operation(
        record_review,
        always(Action.MANAGE),
        private=lambda request: {"reviewer": request["Reviewer"]},
    ),
}
