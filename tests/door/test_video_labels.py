"""Start/GetLabelDetection through the door: what is read in each order, what policy is asked."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest

from countenance.operations import video_labels
from tests.clips import clip
from tests.door.house import House
from tests.fakes import BLUE, RED, Colour

VIDEO = {"S3Object": {"Bucket": "clips", "Name": "a.mkv"}}
PERSON: tuple[Colour, ...] = (RED,)
BEACH: tuple[Colour, ...] = ()


def never() -> bool:
    return False


def found(house: House, scenes: list[tuple[Colour, ...]], **request: Any) -> str:
    """A job that has looked at a clip; each scene lasts 400 ms, two frames."""
    folder = house.settings.buckets / "clips"
    folder.mkdir(exist_ok=True)
    (folder / "a.mkv").write_bytes(clip(scenes or [BEACH]))
    job = str(house.call("StartLabelDetection", Video=VIDEO, **request).result()["JobId"])
    assert house.service.work(never) == f"StartLabelDetection {job}: succeeded"
    return job


def read(house: House, job: str, **how: Any) -> list[tuple[int, str]]:
    labels = house.call("GetLabelDetection", JobId=job, **how).result()["Labels"]
    return [(each["Timestamp"], each["Label"]["Name"]) for each in labels]


SHORE = ["Beach", "Nature", "Outdoors"]


def test_what_each_frame_shows_by_time_and_by_name(house: House) -> None:
    job = found(house, [PERSON, BEACH, (RED, BLUE)])
    person = [(at, "Person") for at in (0, 200, 800, 1000)]
    shore = [(at, name) for at in (400, 600) for name in SHORE]
    assert read(house, job) == sorted(person + shore)
    assert read(house, job, SortBy="TIMESTAMP", AggregateBy="TIMESTAMPS") == sorted(person + shore)
    assert read(house, job, SortBy="NAME") == sorted(person + shore, key=lambda line: line[::-1])


def test_a_line_is_awss_and_both_orders_tell_the_same(house: House) -> None:
    job = found(house, [(RED, BLUE)])
    answer = house.call("GetLabelDetection", JobId=job).result()
    first = answer["Labels"][0]
    assert first["Label"]["Confidence"] == 99.0
    assert first["Label"]["Categories"] == [{"Name": "Person Description"}]
    one, two = first["Label"]["Instances"]
    assert one["Confidence"] == 99.0
    # The red square has 50 of 200 x 100 pixels from 10 on, the blue one 48.
    assert one["BoundingBox"] == {"Left": 0.05, "Top": 0.1, "Width": 0.25, "Height": 0.5}
    assert two["BoundingBox"] == {"Left": 0.55, "Top": 0.1, "Width": 0.24, "Height": 0.48}
    assert answer["LabelModelVersion"] == house.vision.label_model
    assert answer["GetRequestMetadata"] == {"SortBy": "TIMESTAMP", "AggregateBy": "TIMESTAMPS"}
    assert answer["VideoMetadata"]["FrameWidth"] == 200
    named = house.call("GetLabelDetection", JobId=job, SortBy="NAME").result()
    assert named["Labels"] == answer["Labels"]
    assert named["GetRequestMetadata"] == {"SortBy": "NAME", "AggregateBy": "TIMESTAMPS"}


def test_segments(house: House) -> None:
    job = found(house, [PERSON, BEACH, PERSON, BEACH, BEACH, PERSON])
    answer = house.call("GetLabelDetection", JobId=job, AggregateBy="SEGMENTS").result()
    spans = [
        (
            each["Label"]["Name"],
            each["StartTimestampMillis"],
            each["EndTimestampMillis"],
            each["DurationMillis"],
        )
        for each in answer["Labels"]
    ]
    # Each scene ends 200 ms before the next begins: 600 ms without a beach, 600 and 1,000 without a person.
    shore = [(name, start, end, end - start) for start, end in ((400, 600), (1200, 1800)) for name in SHORE]
    person = [("Person", start, start + 200, 200) for start in (0, 800, 2000)]
    assert spans == sorted(person + shore, key=lambda span: span[1])
    assert all("Instances" not in each["Label"] for each in answer["Labels"])
    assert all(each["Timestamp"] == each["StartTimestampMillis"] for each in answer["Labels"])
    assert answer["GetRequestMetadata"] == {"SortBy": "TIMESTAMP", "AggregateBy": "SEGMENTS"}
    by_name = house.call("GetLabelDetection", JobId=job, AggregateBy="SEGMENTS", SortBy="NAME").result()
    assert by_name["Labels"] == sorted(answer["Labels"], key=lambda each: str(each["Label"]["Name"]))


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"LabelInclusionFilters": ["Beach"]}, {"Beach"}),
        ({"LabelExclusionFilters": ["Beach", "Person"]}, {"Nature", "Outdoors"}),
        ({"LabelCategoryInclusionFilters": ["Person Description"]}, {"Person"}),
        ({"LabelCategoryExclusionFilters": ["Person Description"]}, set(SHORE)),
        ({"LabelInclusionFilters": ["Unicorn"]}, set()),
    ],
)
def test_filters(house: House, filters: dict[str, list[str]], names: set[str]) -> None:
    job = found(house, [PERSON, BEACH], Settings={"GeneralLabels": filters})
    for order, lines in itertools.product(("TIMESTAMP", "NAME"), ("TIMESTAMPS", "SEGMENTS")):
        assert {name for _, name in read(house, job, SortBy=order, AggregateBy=lines)} == names
    notes = house.call("GetLabelDetection", JobId=job).headers
    assert notes.get("x-countenance-unknown-filters") == (None if names else "Unicorn")


def test_confidence_is_asked_for_at_the_start(house: House) -> None:
    job = found(house, [PERSON, BEACH], MinConfidence=90)
    assert {name for _, name in read(house, job)} == {"Person"}


def test_pages_hold_every_line_once_in_every_order(house: House) -> None:
    job = found(house, [PERSON, BEACH, (RED, BLUE), BEACH])
    for order, lines in itertools.product(("TIMESTAMP", "NAME"), ("TIMESTAMPS", "SEGMENTS")):
        whole, seen = read(house, job, SortBy=order, AggregateBy=lines), []
        how: dict[str, Any] = {"SortBy": order, "AggregateBy": lines, "MaxResults": 3}
        while True:
            page = house.call("GetLabelDetection", JobId=job, **how).result()
            seen += [(each["Timestamp"], each["Label"]["Name"]) for each in page["Labels"]]
            if "NextToken" not in page:
                break
            how["NextToken"] = page["NextToken"]
            other = "NAME" if order == "TIMESTAMP" else "TIMESTAMP"
            strange = house.call("GetLabelDetection", JobId=job, **{**how, "SortBy": other})
            assert strange.error is not None
            assert strange.error.code == "InvalidPaginationTokenException"
        assert seen == whole


def test_until_it_has_ended_there_is_nothing(house: House) -> None:
    (house.settings.buckets / "clips").mkdir(exist_ok=True)
    (house.settings.buckets / "clips" / "a.mkv").write_bytes(clip([PERSON]))
    job = house.call("StartLabelDetection", Video=VIDEO, JobTag="t").result()["JobId"]
    answer = house.call("GetLabelDetection", JobId=job, SortBy="NAME").result()
    assert (answer["JobStatus"], answer["Labels"], answer["JobTag"]) == ("IN_PROGRESS", [], "t")
    assert answer["GetRequestMetadata"] == {"SortBy": "NAME", "AggregateBy": "TIMESTAMPS"}
    assert "LabelModelVersion" not in answer


def test_start_run_and_reading_ask_for_label_and_the_log_is_told_how_many(house: House) -> None:
    job = found(house, [PERSON, BEACH])
    house.call("GetLabelDetection", JobId=job).result()
    start, _, run, ended, reading, _ = house.entries()[-6:]
    assert [each["actions"] for each in (start, run, reading)] == [["label"]] * 3
    assert [each["stage"] for each in (start, run, reading)] == ["start", "run", "read"]
    assert ended["labels"] == 4
    assert "Beach" not in str(house.entries()[-6:])  # how many, never which


def test_nobody_who_may_not_label_has_a_clip_looked_at(police: House) -> None:
    (police.settings.buckets / "clips").mkdir(exist_ok=True)
    (police.settings.buckets / "clips" / "a.mkv").write_bytes(clip([PERSON]))
    answer = police.call("StartLabelDetection", Video=VIDEO)
    assert answer.error is not None
    assert answer.error.code == "AccessDeniedException"
    assert police.contents()["jobs"] == []


def test_a_job_that_finds_more_than_is_held_fails_and_says_so(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_labels, "MOST_SEEN", 3)
    (house.settings.buckets / "clips").mkdir(exist_ok=True)
    (house.settings.buckets / "clips" / "a.mkv").write_bytes(clip([PERSON, PERSON]))
    job = house.call("StartLabelDetection", Video=VIDEO).result()["JobId"]
    assert "more than 3 labels" in str(house.service.work(never))
    answer = house.call("GetLabelDetection", JobId=job).result()
    assert (answer["JobStatus"], answer["Labels"]) == ("FAILED", [])
    assert "MinConfidence" in answer["StatusMessage"]


def test_another_organisation_finds_nothing(house: House) -> None:
    job = found(house, [PERSON])
    other = dataclasses.replace(house.caller, account="999999999999")
    answer = house.call("GetLabelDetection", other, JobId=job)
    assert answer.error is not None
    assert answer.error.code == "ResourceNotFoundException"


def test_without_weights_nothing_is_queued_and_what_waits_fails(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker's machine may lack what the server's has."""
    (house.settings.buckets / "clips").mkdir(exist_ok=True)
    (house.settings.buckets / "clips" / "a.mkv").write_bytes(clip([PERSON]))
    job = house.call("StartLabelDetection", Video=VIDEO).result()["JobId"]
    monkeypatch.setattr(house.vision, "labeler", None)
    refused = house.call("StartLabelDetection", Video=VIDEO)
    assert refused.error is not None
    assert refused.error.code == "InvalidParameterException"
    assert "StartLabelDetection is not offered here" in str(refused.error)
    assert len(house.contents()["jobs"]) == 1
    assert "is not offered here" in str(house.service.work(never))
    answer = house.call("GetLabelDetection", JobId=job).result()
    assert answer["JobStatus"] == "FAILED"
