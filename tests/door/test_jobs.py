"""Work that is put off comes through the one door twice, and is read through it."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from countenance import jobs, leases, results, upkeep
from countenance.answer import Answer
from countenance.aws.objects import Folders
from countenance.declared import Declared, Venue
from countenance.errors import StorageError
from countenance.service import Service
from countenance.types import OrganisationKind
from tests.clips import clip
from tests.door.house import House
from tests.fakes import BLUE, GREEN, RED, Colour, picture
from tests.postgres import Server

VIDEO = {"S3Object": {"Bucket": "clips", "Name": "a.mkv"}}


def never() -> bool:
    return False


def shown(house: House, scenes: Sequence[Sequence[Colour]] = ((RED,), (RED, BLUE))) -> None:
    """Put a clip where VIDEO is."""
    folder = house.settings.buckets / "clips"
    folder.mkdir(exist_ok=True)
    (folder / "a.mkv").write_bytes(clip(scenes))


def started(house: House, operation: str = "StartFaceDetection", **request: Any) -> str:
    return str(house.call(operation, Video=VIDEO, **request).result()["JobId"])


def done(house: House, operation: str = "FaceDetection", **request: Any) -> str:
    job = started(house, f"Start{operation}", **request)
    told = house.service.work(never)
    assert told == f"Start{operation} {job}: succeeded"
    return job


def furnished(house: House) -> list[str]:
    """A collection with one red and one green face; their FaceIds."""
    house.call("CreateCollection", CollectionId="people").result()
    return [
        house.call(
            "IndexFaces", CollectionId="people", Image={"Bytes": picture(colour)}, ExternalImageId=name
        ).result()["FaceRecords"][0]["Face"]["FaceId"]
        for colour, name in ((RED, "red"), (GREEN, "green"))
    ]


def test_a_job_waits_runs_and_is_read(house: House) -> None:
    shown(house)
    job = started(house, JobTag="mine")
    before = house.call("GetFaceDetection", JobId=job).result()
    assert (before["JobStatus"], before["Faces"], before["JobTag"]) == ("IN_PROGRESS", [], "mine")
    assert house.service.work(never) == f"StartFaceDetection {job}: succeeded"
    assert house.service.work(never) is None
    answer = house.call("GetFaceDetection", JobId=job).result()
    assert answer["JobStatus"] == "SUCCEEDED"
    assert answer["Video"] == VIDEO
    assert [each["Timestamp"] for each in answer["Faces"]] == [0, 200, 400, 400, 600, 600]
    assert answer["VideoMetadata"] == {
        "Codec": "ffv1",
        "DurationMillis": 800,
        "Format": "Matroska / WebM",
        "FrameRate": 10.0,
        "FrameHeight": 100,
        "FrameWidth": 200,
    }


def test_its_entries_tell_start_run_and_reading_apart_and_lead_to_one_another(house: House) -> None:
    shown(house)
    job = done(house)
    house.call("GetFaceDetection", JobId=job).result()
    start, _, run, ended, read, _ = house.entries()[-6:]
    assert [each["stage"] for each in (start, run, read)] == ["start", "run", "read"]
    assert [each.get("started") for each in (start, run, read)] == [None, start["seq"], start["seq"]]
    assert [each["operation"] for each in (start, run, read)] == [
        "StartFaceDetection",
        "StartFaceDetection",
        "GetFaceDetection",
    ]
    assert (ended["decision"], ended["result"]) == (run["seq"], "answered")
    assert [each["counter"] for each in (start, run, read)] == [1, 2, 3]


def test_pages_hold_every_line_once(house: House) -> None:
    shown(house)
    job = done(house)
    seen: list[Any] = []
    token: dict[str, Any] = {}
    while True:
        page = house.call("GetFaceDetection", JobId=job, MaxResults=4, **token).result()
        seen += page["Faces"]
        assert page["VideoMetadata"]["FrameWidth"] == 200
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert seen == house.call("GetFaceDetection", JobId=job).result()["Faces"]
    other = done(house)
    refused = house.call("GetFaceDetection", JobId=other, **token)
    assert refused.error is not None
    assert refused.error.code == "InvalidPaginationTokenException"


def refusal(answer: Answer) -> str:
    assert answer.error is not None
    return answer.error.code


def test_a_job_is_read_by_the_operation_that_belongs_to_it(house: House) -> None:
    shown(house)
    job = done(house)
    assert refusal(house.call("GetPersonTracking", JobId=job)) == "ResourceNotFoundException"
    assert refusal(house.call("GetFaceDetection", JobId="nobodys")) == "ResourceNotFoundException"


def test_another_organisation_reads_and_ends_nothing(house: House) -> None:
    shown(house)
    job = started(house)
    stranger = dataclasses.replace(house.caller, account="999999999999")
    assert refusal(house.call("GetFaceDetection", stranger, JobId=job)) == "ResourceNotFoundException"
    assert refusal(house.call("CancelJob", stranger, JobId=job)) == "ResourceNotFoundException"
    assert house.call("ListJobs", stranger).result()["Jobs"] == []


def test_a_search_finds_who_is_enrolled_and_knows_a_person_after_a_cut(house: House) -> None:
    red, _ = furnished(house)
    shown(house, [(RED, BLUE), (BLUE,), (RED,)])
    job = done(house, "FaceSearch", CollectionId="people")
    answer = house.call("GetFaceSearch", JobId=job, SortBy="INDEX").result()
    people = answer["Persons"]
    assert [(each["Person"]["Index"], each["Timestamp"]) for each in people] == [
        *((0, at) for at in (0, 200, 800, 1000)),
        *((1, at) for at in (0, 200, 400, 600)),
    ]
    for each in people:
        faces = [match["Face"]["FaceId"] for match in each["FaceMatches"]]
        assert faces == ([red] if each["Person"]["Index"] == 0 else [])
    assert answer["Countenance"]["Faces"] == 2
    by_time = house.call("GetFaceSearch", JobId=job).result()["Persons"]
    assert sorted(each["Timestamp"] for each in people) == [each["Timestamp"] for each in by_time]
    run = house.entries()[-5]
    assert (run["candidates"], run["top"], run["searches"]) == (1, "99-100", 2)
    assert len(run["subjects"]) == 1
    read = house.call("GetFaceSearch", JobId=job)
    assert read.headers["x-countenance-job"] == (
        f"succeeded; progress=1.00; attempts=1; decision={run['decision']}"
    )
    review: dict[str, Any] = {"FaceId": red, "Verdict": "CONFIRMED", "Reviewer": "ada"}
    house.call("RecordReview", Decision=run["decision"], **review).result()
    read_by = house.entries()[-4]["seq"]
    assert refusal(house.call("RecordReview", Decision=read_by, **review)) == "InvalidParameterException"


def test_who_left_the_collection_since_is_in_no_results(house: House) -> None:
    red, _ = furnished(house)
    shown(house, [(RED,)])
    job = done(house, "FaceSearch", CollectionId="people")
    house.call("DeleteFaces", CollectionId="people", FaceIds=[red]).result()
    assert [each["FaceMatches"] for each in house.call("GetFaceSearch", JobId=job).result()["Persons"]] == [
        [],
        [],
    ]
    house.call("DeleteCollection", CollectionId="people").result()
    furnished(house)
    assert [each["FaceMatches"] for each in house.call("GetFaceSearch", JobId=job).result()["Persons"]] == [
        [],
        [],
    ]


def test_no_face_id_and_no_name_stands_in_a_jobs_rows(house: House) -> None:
    red, _ = furnished(house)
    shown(house, [(RED,)])
    done(house, "FaceSearch", CollectionId="people")
    rows = json.dumps([house.contents()["jobs"], house.contents()["findings"]], default=repr)
    assert red not in rows
    assert '"red"' not in rows
    assert "a.mkv" not in rows


def test_tracking_numbers_people(house: House) -> None:
    shown(house, [(RED, BLUE), (BLUE,)])
    job = done(house, "PersonTracking")
    people = house.call("GetPersonTracking", JobId=job).result()["Persons"]
    assert [(each["Timestamp"], each["Person"]["Index"]) for each in people] == [
        (0, 0),
        (0, 1),
        (200, 0),
        (200, 1),
        (400, 1),
        (600, 1),
    ]
    assert set(people[0]["Person"]["Face"]) == {"BoundingBox", "Landmarks", "Pose", "Quality", "Confidence"}


def test_a_timeline_tells_presence_samples_and_with_a_collection_candidates(house: House) -> None:
    red, _ = furnished(house)
    shown(house, [(RED,), (BLUE,), (RED,)])
    job = done(house, "FaceTimeline", CollectionId="people", Attributes=["SMILE"])
    answer = house.call("GetFaceTimeline", JobId=job, MaxResults=4).result()
    first, second = answer["People"]
    assert first["Presence"] == [
        {"StartTimestampMillis": 0, "EndTimestampMillis": 400},
        {"StartTimestampMillis": 800, "EndTimestampMillis": 1200},
    ]
    assert [match["Face"]["FaceId"] for match in first["FaceMatches"]] == [red]
    assert second["FaceMatches"] == []
    assert answer["StepMillis"] == 200
    assert [round(each["Smile"]) for each in answer["Samples"]] == [90] * 4
    rest = house.call("GetFaceTimeline", JobId=job, MaxResults=4, NextToken=answer["NextToken"]).result()
    assert [each["Timestamp"] for each in answer["Samples"] + rest["Samples"]] == [
        0,
        200,
        400,
        600,
        800,
        1000,
    ]
    assert "People" not in rest


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"no video at all",
            "Unsupported codec/format: not a video that can be read, or cut off before its end",
        ),
        (b"", "Unsupported codec/format: not a video that can be read, or cut off before its end"),
        (None, "Unable to get object metadata from S3."),
    ],
)
def test_a_clip_that_cannot_be_read_fails_the_job(house: House, content: bytes | None, message: str) -> None:
    shown(house)
    job = started(house)
    path = house.settings.buckets / "clips" / "a.mkv"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    house.service.work(never)
    answer = house.call("GetFaceDetection", JobId=job).result()
    assert answer["JobStatus"] == "FAILED"
    assert answer["StatusMessage"].startswith(message)
    assert "VideoMetadata" not in answer
    [run] = [entry for entry in house.entries() if entry.get("result") == "failed"]
    assert run["error"] in {"InvalidParameterException", "InvalidS3ObjectException"}


def test_what_is_not_there_is_refused_at_once(house: House) -> None:
    assert refusal(house.call("StartFaceDetection", Video=VIDEO)) == "InvalidS3ObjectException"
    assert refusal(house.call("StartFaceDetection", Video={})) == "InvalidParameterException"
    shown(house)
    answer = house.call("StartFaceSearch", Video=VIDEO, CollectionId="nobody")
    assert refusal(answer) == "ResourceNotFoundException"
    with (house.settings.buckets / "clips" / "a.mkv").open("ab") as file:
        file.truncate(10 * 2**30 + 1)
    answer = house.call("StartFaceDetection", Video=VIDEO)
    assert refusal(answer) == "VideoTooLargeException"
    assert "10737418241 is more than the maximum limit of: 10737418240" in str(answer.error)


def test_a_token_is_one_job_and_another_question_is_an_error(house: House) -> None:
    shown(house)
    job = started(house, ClientRequestToken="once", JobTag="a")
    assert started(house, ClientRequestToken="once", JobTag="a") == job
    (house.settings.buckets / "clips" / "a.mkv").rename(house.settings.buckets / "clips" / "b.mkv")
    assert started(house, ClientRequestToken="once", JobTag="a") == job
    answer = house.call("StartFaceDetection", Video=VIDEO, ClientRequestToken="once", JobTag="b")
    assert refusal(answer) == "IdempotentParameterMismatchException"
    assert str(answer.error) == "The ClientRequestToken: once you have supplied is already in use"
    assert len(house.call("ListJobs").result()["Jobs"]) == 1
    body = json.dumps({"Video": VIDEO, "ClientRequestToken": "once", "JobTag": "a"}).encode()
    other = house.service.call(
        "RekognitionService.StartFaceDetection", body, house.caller, Declared(case="A 17")
    )
    assert refusal(other) == "IdempotentParameterMismatchException"


def test_a_threshold_that_keeps_a_rate_is_settled_at_the_start(house: House) -> None:
    furnished(house)
    shown(house, [(RED,)])
    body = json.dumps({"Video": VIDEO, "CollectionId": "people"}).encode()
    answer = house.service.call(
        "RekognitionService.StartFaceSearch", body, house.caller, Declared(max_fpir=0.001)
    )
    house.service.work(never)
    house.call("GetFaceSearch", JobId=answer.result()["JobId"]).result()
    asked = [entry["threshold"] for entry in house.entries() if "stage" in entry]
    assert len(asked) == 3
    assert len(set(asked)) == 1
    assert asked[0] not in {"80.0000", "100.0000"}


def test_attributes_that_no_model_backs_are_named(house: House) -> None:
    shown(house)
    job = done(house, FaceAttributes="ALL")
    told = house.call("GetFaceDetection", JobId=job).headers["x-countenance-not-offered"]
    assert told.split(", ")[:2] == ["AGE_RANGE", "BEARD"]
    assert "SMILE" not in told


def test_twenty_jobs_may_be_open(house: House) -> None:
    shown(house)
    for _ in range(20):
        started(house)
    answer = house.call("StartFaceDetection", Video=VIDEO)
    assert refusal(answer) == "LimitExceededException"
    assert str(answer.error).startswith("20 open Jobs for User arn:aws:iam::")
    assert str(answer.error).endswith("Maximum limit: 20")
    house.service.work(never)
    started(house)


def test_policy_is_asked_again_when_the_job_begins(house: House) -> None:
    """The operator turns the organisation into one that may not do this while the job waits."""
    furnished(house)
    shown(house)
    job = started(house, "StartFaceDetection", FaceAttributes="ALL")
    house.close()
    house.settings = dataclasses.replace(house.settings, packs=("base", "microsoft-2022-attributes"))
    house.open()
    asked = house.vision.asked
    assert "failed" in str(house.service.work(never))
    assert house.vision.asked == asked
    decision, outcome = house.entries()[-2:]
    assert (decision["stage"], decision["allowed"], outcome["result"]) == ("run", False, "refused")
    [listed] = house.call("ListJobs").result()["Jobs"]
    assert listed["JobState"] == "failed"
    assert "microsoft-2022-attributes" in listed["StatusMessage"]
    assert refusal(house.call("GetFaceDetection", JobId=job)) == "AccessDeniedException"


def test_a_revoked_key_starts_nothing_later(house: House) -> None:
    shown(house)
    job = started(house)
    database = house.service._database
    database.write(lambda connection: house.service._keys.revoke(connection, house.caller.key))
    asked = house.vision.asked
    assert "no longer in force" in str(house.service.work(never))
    assert house.vision.asked == asked
    assert house.call("GetFaceDetection", JobId=job).result()["JobStatus"] == "FAILED"


def test_results_are_for_what_they_were_asked_for(house: House) -> None:
    """The declaration of the start holds when the results are read, whoever of the organisation reads."""
    shown(house)
    both = dataclasses.replace(house.caller, purposes=frozenset({"general", "research"}))
    body = json.dumps({"Video": VIDEO}).encode()
    answer = house.service.call(
        "RekognitionService.StartFaceDetection", body, both, Declared(purpose="research", case="A 17")
    )
    job = answer.result()["JobId"]
    read = json.dumps({"JobId": job}).encode()
    get = "RekognitionService.GetFaceDetection"
    assert house.service.call(get, read, both, Declared()).result()["JobStatus"] == "IN_PROGRESS"
    entry = house.entries()[-2]
    assert (entry["purpose"], "case" in entry) == ("research", False)  # the start's; he said nothing himself
    assert house.service.call(get, read, both, Declared(case="A 17")).error is None
    entry = house.entries()[-2]
    assert "case" in entry
    assert house.sql(f"SELECT count(*) FROM vault WHERE decision = {entry['seq']}") == [1]
    for said in (Declared(purpose="general"), Declared(case="B 99"), Declared(venue=Venue.SCHOOL)):
        other = house.service.call(get, read, both, said)
        assert refusal(other) == "InvalidParameterException"
        assert "the job was started with another" in str(other.error)
    only = dataclasses.replace(both, purposes=frozenset({"general"}))
    assert refusal(house.service.call(get, read, only, Declared())) == "AccessDeniedException"


def test_a_purpose_that_nobody_declared_is_a_default_at_start_run_and_reading(house: House) -> None:
    shown(house)
    job = done(house)
    house.call("GetFaceDetection", JobId=job).result()
    first, *others = [entry for entry in house.entries() if "stage" in entry]
    assert "purpose" in first["defaults"]
    assert [entry["defaults"] for entry in others] == [first["defaults"]] * 2
    assert {entry["purpose"] for entry in (first, *others)} == {"general"}
    body = json.dumps({"Video": VIDEO}).encode()
    declared = house.service.call(
        "RekognitionService.StartFaceDetection", body, house.caller, Declared(purpose="general")
    )
    house.service.work(never)
    house.call("GetFaceDetection", JobId=declared.result()["JobId"]).result()
    said = [entry for entry in house.entries() if "stage" in entry][-3:]
    assert ["purpose" in entry.get("defaults", ()) for entry in said] == [False] * 3


def test_police_start_nothing_and_leave_no_job(police: House) -> None:
    shown(police)
    assert refusal(police.call("StartFaceDetection", Video=VIDEO)) == "AccessDeniedException"
    assert police.contents()["jobs"] == []


def test_a_page_may_be_turned_for_a_day(house: House) -> None:
    shown(house)
    job = done(house)
    token = house.call("GetFaceDetection", JobId=job, MaxResults=4).result()["NextToken"]
    gate, hours = house.service._gate, dt.timedelta(hours=23, minutes=59)
    house.service._gate = dataclasses.replace(gate, clock=lambda: dt.datetime.now(dt.UTC) + hours)
    assert len(house.call("GetFaceDetection", JobId=job, NextToken=token).result()["Faces"]) == 2
    hours = dt.timedelta(hours=24)
    assert refusal(house.call("GetFaceDetection", JobId=job, NextToken=token)) == (
        "InvalidPaginationTokenException"
    )


def test_a_cancelled_job_says_so(house: House) -> None:
    shown(house)
    job = started(house)
    [start] = [entry["seq"] for entry in house.entries() if entry.get("stage") == "start"]
    assert house.call("CancelJob", JobId=job).result() == {"JobId": job, "JobState": "cancelled"}
    entry = house.entries()[-2]
    assert (entry["operation"], entry["started"], "stage" in entry) == ("CancelJob", start, False)
    assert refusal(house.call("CancelJob", JobId=job)) == "ConflictException"
    assert house.service.work(never) is None
    answer = house.call("GetFaceDetection", JobId=job).result()
    assert (answer["JobStatus"], answer["StatusMessage"]) == ("FAILED", "cancelled")


def test_a_job_that_is_cancelled_while_it_runs_stops_and_is_recorded(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown(house)
    monkeypatch.setattr(results, "LINES", 1)
    job = started(house)
    cancelled: list[Any] = []

    def stopping() -> bool:
        if not cancelled:
            cancelled.append(house.call("CancelJob", JobId=job).result())
        return False

    assert house.service.work(stopping) == f"StartFaceDetection {job}: cancelled, cancelled"
    outcome = house.entries()[-1]
    assert (outcome["result"], outcome["error"]) == ("failed", "Cancelled")
    assert list(house.service.sweep()) in ([], ["discarded results destroyed"])
    assert house.contents()["findings"] == []


def test_a_worker_that_stops_leaves_the_job_waiting(house: House) -> None:
    shown(house)
    job = started(house)
    assert house.service.work(lambda: True) == f"StartFaceDetection {job}: waiting"
    assert house.entries()[-1]["result"] == "interrupted"
    assert house.service.work(never) == f"StartFaceDetection {job}: succeeded"


def test_a_job_that_takes_too_long_says_so(house: House) -> None:
    shown(house)
    job = started(house)
    gate = house.service._gate
    house.service._gate = dataclasses.replace(gate, longest=dt.timedelta(0))
    assert house.service.work(never) == f"StartFaceDetection {job}: timed-out, it took longer than a job may"
    outcome = house.entries()[-1]
    assert (outcome["result"], outcome["error"]) == ("failed", "TimedOut")
    answer = house.call("GetFaceDetection", JobId=job).result()
    assert (answer["JobStatus"], answer["StatusMessage"]) == ("FAILED", "it took longer than a job may")


def test_a_dead_workers_job_runs_again_and_its_decision_is_over(house: House) -> None:
    shown(house)
    job = started(house)
    first = house.service._gate._lease(never)
    assert first is not None
    call = house.service._gate._resumed(first)
    gate = house.service._gate
    recorded = gate._record(call, gate._matter(call), gate._decide(call, gate._matter(call)), "0" * 8)
    house.sql("UPDATE jobs SET until = 0")
    assert house.service.work(never) == f"StartFaceDetection {job}: succeeded"
    ends = {entry["decision"]: entry["result"] for entry in house.entries() if entry["kind"] == "outcome"}
    assert ends[recorded.decision.seq] == "interrupted"
    assert len(house.call("GetFaceDetection", JobId=job).result()["Faces"]) == 6
    with pytest.raises(leases.Lost):
        house.service._database.write(lambda connection: first.ended(connection, jobs.State.SUCCEEDED))


def test_a_job_that_is_given_up_leaves_no_decision_without_outcome(house: House) -> None:
    shown(house)
    started(house)
    gate = house.service._gate
    for _ in range(jobs.ATTEMPTS):
        lease = gate._lease(never)
        assert lease is not None
        call = gate._resumed(lease)
        gate._record(call, gate._matter(call), gate._decide(call, gate._matter(call)), "0" * 8)
        house.sql("UPDATE jobs SET until = 0")
    assert house.service.work(never) is None
    [listed] = house.call("ListJobs").result()["Jobs"]
    assert listed["JobState"] == "failed"
    assert listed["StatusMessage"].startswith("given up after 3 attempts: each time its worker ended")
    assert house.sql("SELECT count(*) FROM calls WHERE outcome IS NULL") == [0]
    ends = [entry["result"] for entry in house.entries() if entry["kind"] == "outcome"]
    assert ends.count("interrupted") == jobs.ATTEMPTS


def test_a_full_disk_is_named_and_the_job_waits_for_room(house: House) -> None:
    shown(house)
    job = started(house)
    house.sql(
        "CREATE TRIGGER full BEFORE INSERT ON findings "
        "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
    )
    assert house.service.work(never) == (
        f"StartFaceDetection {job}: waiting, the database refused a write: database or disk is full"
    )
    assert house.entries()[-1]["result"] == "interrupted"
    assert house.service.work(never) is None  # not at once
    house.sql("DROP TRIGGER full")
    house.sql("UPDATE jobs SET until = 0")
    assert house.service.work(never) == f"StartFaceDetection {job}: succeeded"
    assert len(house.call("GetFaceDetection", JobId=job).result()["Faces"]) == 6


def test_an_outcome_that_cannot_be_written_leaves_the_job_to_be_run_again(house: House) -> None:
    shown(house)
    job = started(house)
    house.sql(
        "CREATE TRIGGER full BEFORE INSERT ON entries WHEN instr(new.body, 'outcome') "
        "BEGIN SELECT RAISE(ABORT, 'no space'); END"
    )
    with pytest.raises(StorageError, match="no space"):
        house.service.work(never)
    house.sql("DROP TRIGGER full")
    assert house.contents()["findings"] == []
    house.sql("UPDATE jobs SET until = 0")
    assert house.service.work(never) == f"StartFaceDetection {job}: succeeded"


def test_a_job_whose_row_was_changed_is_not_run(house: House) -> None:
    shown(house)
    started(house)
    house.sql("UPDATE jobs SET asked = x'00'")
    asked = house.vision.asked
    assert "changed in the database" in str(house.service.work(never))
    assert house.vision.asked == asked


def test_no_topic_is_promised_news_that_nobody_sends(house: House) -> None:
    shown(house)
    channel = {
        "SNSTopicArn": "arn:aws:sns:us-east-1:111122223333:ends",
        "RoleArn": "arn:aws:iam::111122223333:role/r",
    }
    answer = house.call("StartFaceDetection", Video=VIDEO, NotificationChannel=channel)
    assert refusal(answer) == "InvalidParameterException"
    assert "sns_endpoint" in str(answer.error)


CHANNEL = {
    "SNSTopicArn": "arn:aws:sns:us-east-1:111122223333:ends",
    "RoleArn": "arn:aws:iam::111122223333:role/r",
}


@pytest.mark.parametrize(
    ("allowed", "refused"),
    [
        ((), True),
        (("",), True),
        (("arn:aws:sns:us-east-1:111122223333:ends",), False),
        (("arn:aws:sns:us-east-1:111122223333:end",), True),
        (("arn:aws:sns:us-east-1:111122223333:e*",), False),
        (("arn:aws:sns:us-east-1:999999999999:*", "arn:aws:sns:eu-west-1:*"), True),
        (("arn:aws:sns:us-east-1:111122223333:* {account}",), False),
        (("arn:aws:sns:us-east-1:111122223333:* 999999999999",), True),
        (("arn:aws:sns:us-east-1:111122223333:{{account}}-*",), True),
        (("arn:aws:sns:us-east-1:111122223333:ends {{account}}",), False),
    ],
)
def test_only_topics_that_the_operator_named_are_told(
    house: House, allowed: tuple[str, ...], refused: bool
) -> None:
    shown(house)
    house.close()
    named = tuple(line.format(account=house.caller.account) for line in allowed)
    house.settings = dataclasses.replace(house.settings, sns_endpoint="http://127.0.0.1:1", sns_topics=named)
    house.open()
    answer = house.call("StartFaceDetection", Video=VIDEO, NotificationChannel=CHANNEL)
    if refused:
        assert refusal(answer) == "InvalidParameterException"
        assert "sns_topics" in str(answer.error)
        assert house.contents()["jobs"] == []
    else:
        assert answer.error is None


@pytest.mark.parametrize("region", ["../x", "", "a:b", "us-east-1\n"])
def test_what_is_no_topic_is_refused_at_the_start(house: House, region: str) -> None:
    shown(house)
    house.close()
    house.settings = dataclasses.replace(
        house.settings, sns_endpoint="http://127.0.0.1:1", sns_topics=("arn:aws:sns:*",)
    )
    house.open()
    channel = CHANNEL | {"SNSTopicArn": f"arn:aws:sns:{region}:111122223333:ends"}
    answer = house.call("StartFaceDetection", Video=VIDEO, NotificationChannel=channel)
    assert refusal(answer) in {"InvalidParameterException", "ValidationException"}


def test_a_topic_that_is_not_told_does_not_give_the_endpoint_away(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    shown(house)
    house.close()
    house.settings = dataclasses.replace(
        house.settings, sns_endpoint="http://127.0.0.1:1", sns_topics=("arn:aws:sns:*",)
    )
    house.open()
    started(house, NotificationChannel=CHANNEL)
    house.service.work(never)
    assert list(house.service.announce()) == []
    [listed] = house.call("ListJobs").result()["Jobs"]
    assert "EndpointConnectionError" in listed["NotificationError"]
    assert "127.0.0.1" not in listed["NotificationError"]


def test_what_a_job_finds_beyond_what_it_may_keep_fails_it(house: House) -> None:
    shown(house)
    tools = house.service._gate.tools
    house.service._gate = dataclasses.replace(house.service._gate, tools=dataclasses.replace(tools, most=100))
    job = started(house)
    assert f"StartFaceDetection {job}: failed, it found more than the 0.0001 MB" in str(
        house.service.work(never)
    )
    outcome = house.entries()[-1]
    assert (outcome["result"], outcome["error"]) == ("failed", "LimitExceededException")


def test_an_organisation_keeps_so_much_and_starts_no_more(house: House) -> None:
    shown(house)
    done(house)
    [size] = house.sql("SELECT size FROM jobs")
    tools = house.service._gate.tools
    for most, refused in ((size // 20 + 1, False), (size // 20, True)):
        house.service._gate = dataclasses.replace(
            house.service._gate, tools=dataclasses.replace(tools, most=most)
        )
        answer = house.call("StartFaceDetection", Video=VIDEO)
        assert (answer.error is not None) == refused
    assert refusal(answer) == "LimitExceededException"


def test_the_list_says_how_far_each_is(house: House) -> None:
    shown(house)
    first = done(house)
    second = started(house, JobTag="later")
    later, sooner = house.call("ListJobs").result()["Jobs"]
    assert (later["JobId"], later["JobState"], later["Progress"], later["JobTag"]) == (
        second,
        "waiting",
        0.0,
        "later",
    )
    assert (sooner["JobId"], sooner["JobState"], sooner["Progress"]) == (first, "succeeded", 100.0)
    page = house.call("ListJobs", MaxResults=1).result()
    rest = house.call("ListJobs", MaxResults=1, NextToken=page["NextToken"]).result()
    assert [each["JobId"] for each in page["Jobs"] + rest["Jobs"]] == [second, first]
    assert "NextToken" not in rest


def test_other_kinds_of_organisation_are_decided_as_everywhere(house: House) -> None:
    """The very facts of a photo's call: a search of a clip is an identification."""
    furnished(house)
    shown(house)
    stranger = dataclasses.replace(house.caller, kind=OrganisationKind.POLICE)
    assert refusal(house.call("StartFaceSearch", stranger, Video=VIDEO, CollectionId="people")) == (
        "AccessDeniedException"
    )
    decision = house.entries()[-2]
    assert (decision["actions"], decision["collection"], decision["threshold"]) == (
        ["identify"],
        "people",
        "80.0000",
    )


def test_results_are_forgotten_after_their_time_and_the_ledger_says_so(house: House) -> None:
    shown(house)
    job = done(house)
    started(house)
    now = dt.datetime.now(dt.UTC)
    gate = house.service._gate
    late = dataclasses.replace(gate, clock=lambda: now + dt.timedelta(days=7, hours=1))
    house.service._gate = late  # nobody has kept the home's times: it is gone all the same
    assert refusal(house.call("GetFaceDetection", JobId=job)) == "ResourceNotFoundException"
    assert [each["JobState"] for each in house.call("ListJobs").result()["Jobs"]] == ["waiting"]
    house.service._gate = gate
    assert house.call("GetFaceDetection", JobId=job).error is None
    assert list(house.service.forget(now + dt.timedelta(days=6, hours=23))) == []
    with upkeep.opened(house.settings) as home:
        [gone] = home.expire_results(now + dt.timedelta(days=7, hours=1))
    assert (gone.rule, gone.what) == (
        "countenance/results",
        f"1 jobs of account {house.caller.account} forgotten",
    )
    entry = house.entries()[-1]
    assert (entry["act"], entry["rule"], entry["jobs"]) == ("expire", "countenance/results", 1)
    assert refusal(house.call("GetFaceDetection", JobId=job)) == "ResourceNotFoundException"
    assert house.contents()["findings"] == []
    listed = house.call("ListJobs").result()["Jobs"]
    assert [each["JobState"] for each in listed] == ["timed-out"]  # nobody took it all the while


def test_who_is_erased_takes_along_what_jobs_about_him_said_in_private(house: House) -> None:
    furnished(house)
    shown(house, [(RED,)])
    body = json.dumps({"Video": VIDEO, "CollectionId": "people"}).encode()
    ids = []
    for case in ("A 17", None):
        answer = house.service.call(
            "RekognitionService.StartFaceSearch", body, house.caller, Declared(case=case)
        )
        ids.append(answer.result()["JobId"])
        house.service.work(never)
    assert house.sql("SELECT count(*) FROM vault_keys") == [2]  # of start and run
    erased = house.call("EraseSubject", ExternalImageId="red").result()
    assert erased["ShreddedRecords"] == 2
    assert house.sql("SELECT count(*) FROM vault_keys") == [0]
    assert refusal(house.call("GetFaceSearch", JobId=ids[0])) == "ResourceNotFoundException"
    assert house.sql("SELECT count(DISTINCT decision) FROM findings") == [1]  # the other job's
    for line in house.call("GetFaceSearch", JobId=ids[1]).result()["Persons"]:
        assert line["FaceMatches"] == []


def test_two_workers_on_one_home_do_each_job_once(house: House) -> None:
    _two_workers(house)


def test_two_workers_on_one_postgresql_do_each_job_once(postgres: Server, tmp_path: Path) -> None:
    with (
        postgres.fresh() as url,
        contextlib.closing(House(tmp_path / "home", database=url)) as house,
    ):
        _two_workers(house)


def test_two_servers_on_one_postgresql_make_one_job_of_a_token_and_twenty_at_most(
    postgres: Server, tmp_path: Path
) -> None:
    with (
        postgres.fresh() as url,
        contextlib.closing(House(tmp_path / "home", database=url)) as house,
        contextlib.closing(Service(house.settings, house.vision)) as other,
    ):
        shown(house)
        for number in range(6):
            answers = _at_once(house, other, ClientRequestToken=f"token-{number}")
            assert len({answer.result()["JobId"] for answer in answers}) == 1
        for _ in range(13):
            started(house)
        answers = _at_once(house, other)
        assert sorted(answer.error is None for answer in answers) == [False, True]
        assert len(house.call("ListJobs").result()["Jobs"]) == 20


def _at_once(house: House, other: Service, **request: Any) -> list[Answer]:
    body = json.dumps({"Video": VIDEO, **request}).encode()
    target, go, answers = "RekognitionService.StartFaceDetection", threading.Barrier(2), []

    def call(service: Service) -> None:
        go.wait()
        answers.append(service.call(target, body, house.caller, Declared()))

    hands = [threading.Thread(target=call, args=(service,)) for service in (house.service, other)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    return answers


def _two_workers(house: House) -> None:
    shown(house)
    ids = {started(house) for _ in range(6)}
    other = Service(house.settings, house.vision)
    done: list[str] = []

    def work(service: Service) -> None:
        while (told := service.work(never)) is not None:
            done.append(told)

    hands = [threading.Thread(target=work, args=(service,)) for service in (house.service, other)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    other.close()
    assert sorted(done) == sorted(f"StartFaceDetection {job}: succeeded" for job in ids)
    runs = [entry for entry in house.entries() if entry.get("stage") == "run"]
    assert len(runs) == 6
    for job in ids:
        assert len(house.call("GetFaceDetection", JobId=job).result()["Faces"]) == 6


def test_cancelling_and_renewing_wait_for_each_other_in_one_order(
    postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RENEWED", dt.timedelta(milliseconds=1))
    monkeypatch.setattr(results, "LINES", 1)
    with (
        postgres.fresh() as url,
        contextlib.closing(House(tmp_path / "home", database=url)) as house,
        contextlib.closing(Service(house.settings, house.vision)) as other,
    ):
        shown(house, [[RED]] * 60)
        for _ in range(4):
            job = started(house)
            hand = threading.Thread(target=other.work, args=(never,))
            hand.start()
            while house.sql("SELECT count(*) FROM jobs WHERE state = 'running'") == [0]:
                assert hand.is_alive()
            answer = house.call("CancelJob", JobId=job)
            hand.join()
            assert answer.error is None or answer.error.code == "ConflictException"
        deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert house.sql(deadlocks) == [0]


def test_a_clip_for_which_there_is_no_room_fails_the_job(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown(house)
    job = started(house)

    def full(*_: object) -> None:
        with Path("/dev/full").open("wb", buffering=0) as disk:
            disk.write(b"frames")

    monkeypatch.setattr(Folders, "open", full)
    assert "No space left on device" in str(house.service.work(never))
    assert house.call("GetFaceDetection", JobId=job).result()["JobStatus"] == "FAILED"
    assert house.entries()[-3]["error"] == "InternalServerError"
