"""ONE FUNCTION PER OPERATION: it computes, and returns what to commit. Only the gate calls one.

An operation is handed a `Call` whose request is checked and whose defaults are filled in, and the
`Tools`. It may read, look and compare; it writes nothing. What is to be written it returns as a
`Commit`, which the gate runs in one short transaction together with the outcome's ledger entry.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NoReturn

from sqlalchemy.engine import Connection

from countenance.aws.notify import Topics
from countenance.aws.objects import Objects
from countenance.database import NO_TRACES, Database, Traces
from countenance.declared import NOTHING, Declared
from countenance.galleries import Galleries
from countenance.jobs import Job
from countenance.keys import Keys
from countenance.leases import Lease
from countenance.ledger import SILENCE, Ledger, Told, Vault
from countenance.policy import Retention
from countenance.types import EMPTY, Action, Attribute, Caller, Gallery
from countenance.vision import Vision

Request = Mapping[str, Any]

SIMILARITY = 80.0
"""The threshold of a search or a comparison that names none (Rekognition's, percent)."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The senses, the memory and what else an operation may use. topics: who may be told of the ends of jobs.
    most: bytes that the results of a job may take."""

    vision: Vision
    galleries: Galleries
    database: Database
    objects: Objects
    keys: Keys
    ledger: Ledger
    vault: Vault
    retention: Retention
    topics: Topics
    most: int


@dataclass(frozen=True, slots=True)
class Call:
    """One call as an operation sees it.

    request: decoded by the service model, defaults filled in. gallery: the caller's collection the
    call names, as it stood when policy was asked; None where the call names none or it is missing.
    declared: what is declared for it. said: what it says itself, where what its job's start declared holds.
    defaulted: whether the purpose that holds was the key's at that start. job: the one it is about; lease:
    the hold on it while it runs. decision: the entry that let the call in.
    """

    operation: str
    request: Request
    caller: Caller
    region: str
    now: dt.datetime
    gallery: Gallery | None
    declared: Declared = NOTHING
    said: Declared | None = None
    defaulted: bool = False
    job: Job | None = None
    lease: Lease | None = None
    decision: int = -1


@dataclass(frozen=True, slots=True)
class Done:
    """An answer in AWS's shape.

    told: what the ledger is told of it. notes: what AWS's shape has no room for, sent as `x-countenance-*`
    headers. traces: what must be in no file once it is written, None for more than can be looked for.
    """

    answer: Mapping[str, Any]
    told: Told = SILENCE
    notes: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    traces: Traces | None = NO_TRACES


@dataclass(frozen=True, slots=True)
class Commit:
    """What to write.

    erases: templates are deleted, so their bytes must leave every file. after: what to do in memory once
    the write is durable.
    """

    write: Callable[[Connection], Done]
    erases: bool = False
    after: Callable[[], None] = lambda: None


def _none(call: Call, tools: Tools) -> NoReturn:
    raise ValueError(f"{call.operation} puts nothing off")


@dataclass(frozen=True, slots=True)
class Operation:
    """How the gate treats one operation.

    actions: what the request does to people; policy must permit every one of them.
    collection: the caller's CollectionId that the request names, if any.
    threshold: the Similarity the request asks for, after defaults, if any.
    settled: defaults that follow from the collection and from what the call declares, instead of those above;
    given what was asked. Raises AwsError where the two contradict each other.
    attributes: what the request asks to be told of each face. private: texts of the request that the ledger
    commits to and the vault keeps, by name. job: does the work that `run` puts off. reads: the operation
    whose jobs it reads; its request and declaration are then those of the job's start beneath its own.
    names_job: whether it is about the job of its JobId, whichever operation started that.
    """

    run: Callable[[Call, Tools], Done | Commit]
    actions: Callable[[Request], tuple[Action, ...]]
    defaults: Request = field(default_factory=lambda: MappingProxyType({}))
    collection: Callable[[Request, Caller], str | None] = lambda request, _caller: request.get("CollectionId")
    threshold: Callable[[Request], float | None] = lambda request: request.get("FaceMatchThreshold")
    settled: Callable[[Request, Gallery | None, Declared], Request] = lambda _asked, _gallery, _said: EMPTY
    attributes: Callable[[Request], frozenset[Attribute]] = lambda _request: frozenset()
    private: Callable[[Request], Mapping[str, str]] = lambda _request: EMPTY
    job: Callable[[Call, Tools], Commit] = _none
    reads: str = ""
    names_job: bool = False

    @property
    def puts_off(self) -> bool:
        """Whether its work is done by a worker."""
        return self.job is not _none


def always(*actions: Action) -> Callable[[Request], tuple[Action, ...]]:
    return lambda _request: actions
