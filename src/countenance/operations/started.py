"""What a Start... call asked for and declared, kept sealed with its job until the job is forgotten."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag

from countenance.aws import declaration
from countenance.declared import Declared
from countenance.errors import InternalServer, InvalidParameter
from countenance.jobs import Job
from countenance.keys import Keys
from countenance.operations import Call


@dataclass(frozen=True, slots=True)
class Started:
    """request: as it was decided, defaults filled in. declared: with the purpose that held. defaulted:
    whether that was the key's, which nobody declared."""

    request: dict[str, Any]
    declared: Declared
    defaulted: bool

    def again(self, declared: Declared) -> Declared:
        """What holds when the results are read. Raises InvalidParameter where a reader declares something
        else: results are for what they were asked for."""
        held = _written(self.declared)
        for name, value in _written(declared).items():
            if held.get(name) != value:
                raise InvalidParameter(
                    detail=f"the job was started with another {name}, or with none, and cannot be read with "
                    "this one; start a job for that"
                )
        return self.declared


def write(call: Call, keys: Keys, job_id: str) -> bytes:
    """The call, for `read`. Raises InvalidParameter for a declared text that no header holds."""
    asked = [dict(call.request), _said(call), call.declared.purpose is None]
    return keys.seal(json.dumps(asked).encode(), _bound(job_id))


def question(call: Call, keys: Keys) -> bytes:
    """A MAC (16 bytes) by which the same call is known again. Raises InvalidParameter as `write` does."""
    gallery = call.gallery.number if call.gallery else 0
    asked = [call.operation, gallery, dict(call.request), _said(call)]
    return keys.token(json.dumps(asked, sort_keys=True).encode())


def _said(call: Call) -> dict[str, str]:
    return _written(dataclasses.replace(call.declared, purpose=call.declared.purpose or call.caller.purpose))


def _written(declared: Declared) -> dict[str, str]:
    try:
        return declaration.write(declared)
    except ValueError as fault:
        raise InvalidParameter(detail=f"what is declared {fault}") from None


def read(job: Job, keys: Keys, known: Mapping[str, Collection[str]]) -> Started:
    """What a job's start asked for. known: the words of the packs in force.

    Raises InternalServer for a row that something else wrote, Validation for a word that no pack knows now.
    """
    request, said, defaulted = _opened(job, keys)
    return Started(request, declaration.read(said.items(), known), defaulted)


def request_of(job: Job, keys: Keys) -> dict[str, Any]:
    """The request alone. Raises InternalServer as `read` does."""
    return _opened(job, keys)[0]


def _opened(job: Job, keys: Keys) -> tuple[dict[str, Any], dict[str, str], bool]:
    try:
        request, said, defaulted = json.loads(keys.unseal(job.asked, _bound(job.job_id)))
    except (InvalidTag, ValueError, TypeError) as fault:
        raise InternalServer(detail="what the job was started with was changed in the database") from fault
    return request, said, defaulted


def _bound(job_id: str) -> bytes:
    return f"countenance/job/{job_id}".encode()
