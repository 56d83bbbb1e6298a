"""What a call came to, on the wire and as Python values, with the receipt that proves it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from countenance.aws import model
from countenance.errors import AwsError
from countenance.types import EMPTY, Receipt

RECEIPT = "x-countenance-receipt"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call came to.

    body: what goes on the wire. value: the same as Python values, None where `error` says why not.
    receipt: None only where the call was not understood, so that there was nothing to decide.
    """

    status: int
    body: bytes
    request_id: str
    value: Mapping[str, Any] | None = None
    error: AwsError | None = None
    receipt: Receipt | None = None
    notes: Mapping[str, str] = field(default_factory=lambda: EMPTY)

    @property
    def headers(self) -> dict[str, str]:
        """`x-countenance-*` headers: what AWS's shapes have no room for."""
        return {**self.notes, **({RECEIPT: receipt_header(self.receipt)} if self.receipt else {})}

    def result(self) -> Mapping[str, Any]:
        """The answer's members. Raises the call's AwsError."""
        if self.error is not None:
            raise self.error
        assert self.value is not None
        return self.value


def receipt_header(receipt: Receipt) -> str:
    """Both entries of a call, as an RFC 8941 dictionary: sequence numbers with their leaf hashes."""
    decision, outcome = (
        base64.b64encode(leaf).decode() for leaf in (receipt.decision_leaf, receipt.outcome_leaf)
    )
    return f"decision={receipt.decision};leaf=:{decision}:, outcome={receipt.outcome};leaf=:{outcome}:"


def failure(
    error: AwsError, request_id: str, receipt: Receipt | None, notes: Mapping[str, str] = EMPTY
) -> Answer:
    """An answer that keeps the error and lets go of its traceback, whose frames hold the photo."""
    error.__context__ = error.__cause__ = error.__traceback__ = None
    status, body = model.encode_error(error, request_id)
    return Answer(status, body, request_id, error=error, receipt=receipt, notes=notes)
