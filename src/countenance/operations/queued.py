"""Work that is put off: how it is queued, what is told of it meanwhile, ListJobs and CancelJob.

A Start... operation is `put_off`, with the work as the operation's `job`; `finished` ends that. A Get...
operation begins its answer with `page`.
"""

from __future__ import annotations

import datetime as dt
import hmac
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from countenance import jobs
from countenance.aws.objects import LARGEST_VIDEO, too_large
from countenance.errors import (
    Conflict,
    IdempotentParameterMismatch,
    InvalidParameter,
    LimitExceeded,
    ResourceNotFound,
)
from countenance.jobs import Job, State
from countenance.keys import Keys
from countenance.leases import Lease
from countenance.ledger import SILENCE, Told
from countenance.operations import Call, Commit, Done, Operation, Tools, always, pages, started
from countenance.results import Finding, Order
from countenance.types import Action

MOST_OPEN = 20
"""Jobs of one organisation that may wait or run (Rekognition's limit)."""

MOST_LINES = 1000
"""Findings or jobs of one page: Rekognition's; more that are asked for are not an error there."""

MOST_STORED = 20
"""So many times what one job may keep, all of an organisation's jobs may: one more is not started."""

PAGED = dt.timedelta(hours=24)
"""How long a NextToken of results stands (Rekognition's)."""

_STATUS = {
    State.WAITING: "IN_PROGRESS",
    State.RUNNING: "IN_PROGRESS",
    State.SUCCEEDED: "SUCCEEDED",
    State.FAILED: "FAILED",
    State.CANCELLED: "FAILED",
    State.TIMED_OUT: "FAILED",
}

_ORDERS = {
    ("TIMESTAMP", "TIMESTAMPS"): Order.TIME,
    ("INDEX", "TIMESTAMPS"): Order.PERSON,
    ("NAME", "TIMESTAMPS"): Order.NAME,
    ("TIMESTAMP", "SEGMENTS"): Order.SEGMENTS,
    ("NAME", "SEGMENTS"): Order.SEGMENTS_BY_NAME,
}
"""What SortBy and AggregateBy ask for; without them, by time."""


def put_off(call: Call, tools: Tools) -> Commit:
    """Queue the call's work. The same ClientRequestToken and request again is the same job."""
    request = call.request
    stored = request["Video"].get("S3Object")
    if stored is None:
        raise InvalidParameter(detail="Video needs an S3Object")
    topic = request.get("NotificationChannel", {}).get("SNSTopicArn", "")
    if topic:
        tools.topics.check(topic, call.caller.account)
    with tools.database.reading() as connection:
        known = before(connection, call, tools)
    if known is None and (size := tools.objects.stat(stored).size) > LARGEST_VIDEO:
        raise too_large(size)
    job_id = secrets.token_hex(32)
    asked = started.write(call, tools.keys, job_id)

    def write(connection: Connection) -> Done:
        tools.database.take_turn(connection)  # before it reads: of two servers one sees the other's job
        if (same := before(connection, call, tools)) is not None:
            return Done({"JobId": same.job_id})
        if (count := jobs.unfinished(connection, call.caller.account)) >= MOST_OPEN:
            user = f"arn:aws:iam::{call.caller.account}:user/{call.caller.key}"
            raise LimitExceeded(f"{count} open Jobs for User {user} Maximum limit: {MOST_OPEN}")
        if jobs.stored(connection, call.caller.account) >= MOST_STORED * tools.most:
            raise LimitExceeded(
                f"the results of the organisation's jobs fill the {MOST_STORED * tools.most / 1e6:g} MB that "
                "they may; the oldest are forgotten first"
            )
        jobs.add(
            connection,
            job_id=job_id,
            account=call.caller.account,
            key=call.caller.key,
            operation=call.operation,
            asked=asked,
            question=started.question(call, tools.keys),
            started=call.decision,
            created=call.now.timestamp(),
            token=request.get("ClientRequestToken"),
            topic=topic,
        )
        return Done({"JobId": job_id})

    return Commit(write)


def before(connection: Connection, call: Call, tools: Tools) -> Job | None:
    """The job that the call's token stands for. Raises IdempotentParameterMismatch."""
    if (token := call.request.get("ClientRequestToken")) is None:
        return None
    job = jobs.with_token(connection, call.caller.account, call.operation, token, call.now)
    if job is not None and not hmac.compare_digest(job.question, started.question(call, tools.keys)):
        raise IdempotentParameterMismatch(
            f"The ClientRequestToken: {token} you have supplied is already in use"
        )
    return job


def held(call: Call) -> Lease:
    """The hold on the job that a worker runs."""
    assert call.lease is not None, f"{call.operation} was not taken from the queue"
    return call.lease


def finished(call: Call, facts: Mapping[str, object], told: Told = SILENCE) -> Commit:
    """The job has succeeded. facts: what belongs to every page of its results."""
    lease = held(call)
    written = json.dumps(facts)

    def write(connection: Connection) -> Done:
        lease.ended(connection, State.SUCCEEDED, facts=written)
        return Done({"JobId": lease.job.job_id}, told)

    return Commit(write)


def the_job(call: Call) -> Job:
    """The job that a call reads. Another organisation's is missing too. Raises ResourceNotFound."""
    if call.job is None:
        raise ResourceNotFound("Could not find JobId")
    return call.job


def page(
    call: Call, tools: Tools, member: str, line: Callable[[Finding], Mapping[str, Any]]
) -> tuple[dict[str, Any], Sequence[Finding], Mapping[str, Any]]:
    """The answer to a call that reads a job's results, with its findings, and the job's facts."""
    job = the_job(call)
    start, limit = pages.after(tools.keys, call), min(pages.limit(call), MOST_LINES)
    answer: dict[str, Any] = {
        "JobStatus": _STATUS[job.state],
        "JobId": job.job_id,
        "Video": call.request["Video"],
        member: [],
    }
    if job.message:
        answer["StatusMessage"] = job.message
    if "JobTag" in call.request:
        answer["JobTag"] = call.request["JobTag"]
    if job.state is not State.SUCCEEDED:
        return answer, (), {}
    order = _ORDERS[call.request.get("SortBy", "TIMESTAMP"), call.request.get("AggregateBy", "TIMESTAMPS")]
    with tools.database.reading() as connection:
        written = jobs.facts(connection, job)
        found = jobs.found(connection, job, start, limit + 1, order)
    if written is None:  # forgotten since it was looked up
        raise ResourceNotFound("Could not find JobId")
    facts = json.loads(written)
    shown = found[:limit]
    answer |= {"VideoMetadata": facts["video"], member: [line(each) for each in shown]}
    if len(found) > limit:
        answer["NextToken"] = pages.seal(tools.keys, call, start + limit, PAGED)
    return answer, shown, facts


def notice(job: Job, keys: Keys) -> str:
    """What a topic is told of a job's end, in Rekognition's words."""
    asked = started.request_of(job, keys)
    stored = asked["Video"]["S3Object"]
    told = {
        "JobId": job.job_id,
        "Status": _STATUS[job.state],
        "API": job.operation,
        "Timestamp": round((job.ended or job.created) * 1000),
        "Video": {"S3ObjectName": stored["Name"], "S3Bucket": stored["Bucket"]},
    }
    return json.dumps(told | ({"JobTag": asked["JobTag"]} if "JobTag" in asked else {}))


def list_jobs(call: Call, tools: Tools) -> Done:
    """The organisation's jobs, the newest first. Ours, declared beside AWS's in aws/data."""
    before, limit = pages.after(tools.keys, call), min(pages.limit(call), MOST_LINES)
    due = tools.retention.results(call.caller.kind, call.caller.place, call.now, jobs.KEPT)
    with tools.database.reading() as connection:
        found = jobs.page(connection, call.caller.account, before, limit + 1, since=due.before)
    answer: dict[str, Any] = {"Jobs": [_job(job, tools) for job in found[:limit]]}
    if len(found) > limit:
        answer["NextToken"] = pages.seal(tools.keys, call, found[limit - 1].number)
    return Done(answer)


def _job(job: Job, tools: Tools) -> dict[str, Any]:
    asked = started.request_of(job, tools.keys)
    shape: dict[str, Any] = {
        "JobId": job.job_id,
        "Operation": job.operation,
        "JobState": job.state.value,
        "Progress": round(100 * job.done, 1),
        "Attempts": job.attempts,
        "CreationTimestamp": _time(job.created),
        "Video": asked["Video"],
    }
    told = {
        "StatusMessage": job.message or None,
        "StartTimestamp": None if job.begun is None else _time(job.begun),
        "CompletionTimestamp": None if job.ended is None else _time(job.ended),
        "JobTag": asked.get("JobTag"),
        "NotificationError": job.notice_error or None,
    }
    return shape | {name: value for name, value in told.items() if value is not None}


def _time(moment: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(moment, dt.UTC)


def cancel_job(call: Call, tools: Tools) -> Commit:
    """End a job that waits or runs. What it found so far is discarded. Ours, declared beside AWS's."""
    the_job(call)

    def write(connection: Connection) -> Done:
        tools.database.take_turn(connection)  # before the job's row, as whoever renews or takes it
        job = jobs.find(connection, call.caller.account, call.request["JobId"])
        if job is None:
            raise ResourceNotFound("Could not find JobId")
        if not jobs.cancel(connection, job, call.now):
            raise Conflict(f"the job has ended: {job.state}")
        return Done({"JobId": job.job_id, "JobState": State.CANCELLED.value})

    return Commit(write)


OPERATIONS = {
    "ListJobs": Operation(list_jobs, always(Action.MANAGE)),
    "CancelJob": Operation(cancel_job, always(Action.MANAGE), names_job=True),
}
