"""AWS's own flow for stored video with an unchanged boto3: S3, Start..., SNS to SQS, Get... page by page."""

from __future__ import annotations

import configparser
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import boto3
import numpy as np
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer
from PIL import Image
from skimage import data

from countenance import office
from countenance.client import connect
from countenance.settings import Settings
from countenance.testing import TestServer
from countenance.types import OrganisationKind
from tests.parity.conftest import refusal
from tests.parity.photos import eileen, encoded, grace, opened

ROLE = "arn:aws:iam::123456789012:role/rekognition"


def coffee() -> bytes:
    """A cup of coffee on a table (Rachel Michetti, given to the public domain), PNG."""
    return encoded(Image.fromarray(data.coffee()))


def clip(*photos: bytes, frames: int = 10, rate: int = 10) -> bytes:
    """An MP4 of photos, each for so many frames."""
    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=rate, options={"crf": "18", "preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 480, 480, "yuv420p"
        for photo in photos:
            pixels = np.asarray(opened(photo).resize((480, 480)))
            for _ in range(frames):
                container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode(None))
    return stream.getvalue()


@dataclass
class Cloud:
    """S3, SNS and SQS as moto has them, and a server that uses them. sent: URL of the queue on the topic."""

    server: TestServer
    s3: Any
    sns: Any
    sqs: Any
    topic: str
    queue: str

    @property
    def own(self) -> Any:
        """A client that knows our own operations too."""
        key = configparser.ConfigParser()
        key.read_string(self.server.settings.credentials.read_text())
        names = ("aws_access_key_id", "aws_secret_access_key")
        said = {name: key["default"][name] for name in names}
        return connect(endpoint_url=self.server.url, region_name="us-east-1", **said)

    def news(self, seconds: float = 120) -> list[dict[str, Any]]:
        """What the topic said, as a queue's consumer reads it."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = self.sqs.receive_message(QueueUrl=self.queue).get("Messages", [])
            for each in found:
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=each["ReceiptHandle"])
            if found:
                return [json.loads(json.loads(each["Body"])["Message"]) for each in found]
            time.sleep(0.2)
        return []


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as undo:
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        moto.start()
        undo.callback(moto.stop)
        url = "http://{}:{}".format(*moto.get_host_and_port())
        s3, sns, sqs = (
            boto3.client(name, endpoint_url=url, region_name="us-east-1") for name in ("s3", "sns", "sqs")
        )
        s3.create_bucket(Bucket="clips")
        s3.put_object(Bucket="clips", Key="two people.mp4", Body=clip(grace(), eileen(), grace()))
        topic = sns.create_topic(Name="ends")["TopicArn"]
        queue = sqs.create_queue(QueueName="ends")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        home = Settings(
            home=tmp_path_factory.mktemp("cloud") / "home",
            s3_endpoint=url,
            sns_endpoint=url,
            sns_topics=(topic.removesuffix("ends") + "*",),
        )
        office.found(home, "an archive", OrganisationKind.ARCHIVE, "world", "general")
        server = undo.enter_context(contextlib.closing(TestServer(home)))
        yield Cloud(server, s3, sns, sqs, topic, queue)


VIDEO = {"S3Object": {"Bucket": "clips", "Name": "two people.mp4"}}


def pages(get: Any, job: str, member: str, **how: Any) -> list[dict[str, Any]]:
    """Poll as AWS's examples do, then read to the last page."""
    while (answer := get(JobId=job, MaxResults=7, **how))["JobStatus"] == "IN_PROGRESS":
        time.sleep(0.2)
    assert answer["JobStatus"] == "SUCCEEDED", answer.get("StatusMessage")
    lines = answer[member]
    while "NextToken" in answer:
        answer = get(JobId=job, MaxResults=7, NextToken=answer["NextToken"], **how)
        lines += answer[member]
    return list(lines)


def test_the_flow_of_awss_guide(cloud: Cloud) -> None:
    client = cloud.server.client()
    started = client.start_face_detection(
        Video=VIDEO,
        FaceAttributes="ALL",
        JobTag="guide",
        ClientRequestToken="guide-1",
        NotificationChannel={"SNSTopicArn": cloud.topic, "RoleArn": ROLE},
    )
    [told] = cloud.news()
    assert told.pop("Timestamp") == pytest.approx(time.time() * 1000, abs=60_000)
    assert told == {
        "JobId": started["JobId"],
        "Status": "SUCCEEDED",
        "API": "StartFaceDetection",
        "JobTag": "guide",
        "Video": {"S3ObjectName": "two people.mp4", "S3Bucket": "clips"},
    }
    faces = pages(client.get_face_detection, started["JobId"], "Faces")
    assert [each["Timestamp"] for each in faces] == list(range(0, 3000, 200))
    assert {"Smile", "Emotions", "AgeRange", "Gender", "Landmarks", "Pose"} <= set(faces[0]["Face"])
    assert len(faces[0]["Face"]["Landmarks"]) == 30
    metadata = client.get_face_detection(JobId=started["JobId"])["VideoMetadata"]
    assert metadata == {
        "Codec": "h264",
        "DurationMillis": 3000,
        "Format": "QuickTime / MOV",
        "FrameRate": 10.0,
        "FrameHeight": 480,
        "FrameWidth": 480,
        **({"ColorRange": metadata["ColorRange"]} if "ColorRange" in metadata else {}),
    }
    again = client.start_face_detection(
        Video=VIDEO,
        FaceAttributes="ALL",
        JobTag="guide",
        ClientRequestToken="guide-1",
        NotificationChannel={"SNSTopicArn": cloud.topic, "RoleArn": ROLE},
    )
    assert again["JobId"] == started["JobId"]
    assert cloud.news(2) == []


def test_a_search_and_a_timeline_of_people_across_cuts(cloud: Cloud) -> None:
    client = cloud.server.client()
    client.create_collection(CollectionId="crew")
    client.index_faces(CollectionId="crew", Image={"Bytes": eileen()}, ExternalImageId="eileen")
    job = client.start_face_search(Video=VIDEO, CollectionId="crew", FaceMatchThreshold=90)["JobId"]
    persons = pages(client.get_face_search, job, "Persons", SortBy="INDEX")
    found = {
        (each["Person"]["Index"], match["Face"]["ExternalImageId"])
        for each in persons
        for match in each["FaceMatches"]
    }
    assert found == {(1, "eileen")}
    assert [each["Timestamp"] for each in persons if each["Person"]["Index"] == 1] == [
        *range(1000, 2000, 200)
    ]
    assert len(persons) == 15
    job = client.start_person_tracking(Video=VIDEO)["JobId"]
    tracked = pages(client.get_person_tracking, job, "Persons")
    assert {each["Person"]["Index"] for each in tracked} == {0, 1}


def test_labels_of_frames_and_segments(cloud: Cloud) -> None:
    """A portrait for a second, a cup of coffee for two, the portrait again, by the real networks."""
    client = cloud.server.client()
    cloud.s3.put_object(Bucket="clips", Key="a day.mp4", Body=clip(grace(), coffee(), coffee(), grace()))
    video = {"S3Object": {"Bucket": "clips", "Name": "a day.mp4"}}
    asked = {
        "Video": video,
        "MinConfidence": 60,
        "Features": ["GENERAL_LABELS"],
        "Settings": {"GeneralLabels": {"LabelExclusionFilters": ["Espresso"]}},
        "JobTag": "labels",
        "ClientRequestToken": "labels-1",
        "NotificationChannel": {"SNSTopicArn": cloud.topic, "RoleArn": ROLE},
    }
    job = client.start_label_detection(**asked)["JobId"]
    [told] = cloud.news()
    assert (told["API"], told["Status"], told["JobTag"]) == ("StartLabelDetection", "SUCCEEDED", "labels")
    assert client.start_label_detection(**asked)["JobId"] == job
    frames = pages(client.get_label_detection, job, "Labels")
    shown = {
        name: [each["Timestamp"] for each in frames if each["Label"]["Name"] == name]
        for name in ("Person", "Cup", "Espresso")
    }
    assert {at // 1000 for at in shown["Person"]} >= {0, 3}
    assert shown["Cup"] == list(range(1000, 3000, 200))
    assert shown["Espresso"] == []
    assert min(each["Label"]["Confidence"] for each in frames) >= 60
    [cup, *_] = [each["Label"] for each in frames if each["Label"]["Name"] == "Cup"]
    assert cup["Instances"][0]["BoundingBox"]["Width"] > 0.2
    by_name = pages(client.get_label_detection, job, "Labels", SortBy="NAME", AggregateBy="TIMESTAMPS")
    assert by_name == sorted(
        frames, key=lambda each: (each["Label"]["Name"], -each["Label"]["Confidence"], each["Timestamp"])
    )
    segments = pages(client.get_label_detection, job, "Labels", AggregateBy="SEGMENTS")
    [cup] = [each for each in segments if each["Label"]["Name"] == "Cup"]
    assert {name: cup[name] for name in cup if name != "Label"} == {
        "Timestamp": 1000,
        "StartTimestampMillis": 1000,
        "EndTimestampMillis": 2800,
        "DurationMillis": 1800,
    }
    assert {"Name": "Kitchen and Dining"} in cup["Label"]["Categories"]
    answer = client.get_label_detection(JobId=job, SortBy="NAME", AggregateBy="SEGMENTS", MaxResults=1)
    assert answer["LabelModelVersion"] == "centernet-mobilenetv3+efficientnet-lite2"
    assert answer["GetRequestMetadata"] == {"SortBy": "NAME", "AggregateBy": "SEGMENTS"}
    assert (answer["Video"], answer["JobTag"]) == (video, "labels")
    assert answer["VideoMetadata"]["DurationMillis"] == 4000
    with pytest.raises(ClientError) as caught:
        client.start_label_detection(**{**asked, "MinConfidence": 61})
    assert refusal(caught)[0] == "IdempotentParameterMismatchException"


def test_a_clip_that_is_none_fails_and_says_so_to_the_topic(cloud: Cloud) -> None:
    client = cloud.server.client()
    cloud.s3.put_object(Bucket="clips", Key="text.mp4", Body=b"once upon a time" * 1000)
    job = client.start_person_tracking(
        Video={"S3Object": {"Bucket": "clips", "Name": "text.mp4"}},
        NotificationChannel={"SNSTopicArn": cloud.topic, "RoleArn": ROLE},
    )["JobId"]
    [told] = cloud.news()
    assert (told["JobId"], told["Status"], "JobTag" in told) == (job, "FAILED", False)
    answer = client.get_person_tracking(JobId=job)
    assert answer["StatusMessage"].startswith("Unsupported codec/format")
    assert answer["Persons"] == []


def test_a_topic_that_cannot_be_told_does_not_keep_the_job_from_ending(cloud: Cloud) -> None:
    client = cloud.server.client()
    arn = cloud.topic.replace(":ends", ":nobodys")
    job = client.start_face_detection(Video=VIDEO, NotificationChannel={"SNSTopicArn": arn, "RoleArn": ROLE})[
        "JobId"
    ]
    assert pages(client.get_face_detection, job, "Faces")
    deadline = time.monotonic() + 120
    own = cloud.own
    while time.monotonic() < deadline:
        [listed] = [each for each in own.list_jobs()["Jobs"] if each["JobId"] == job]
        if listed.get("NotificationError"):
            break
        time.sleep(0.2)
    assert "NotFound" in listed["NotificationError"]
    assert listed["JobState"] == "succeeded"


def test_the_page_on_jobs_runs_as_it_is_written(cloud: Cloud, tmp_path: Path) -> None:
    """With S3, SNS and SQS where AWS's own settings say that they are."""
    page = (Path(__file__).parents[2] / "docs" / "jobs.md").read_text()
    [text] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "page.py").write_text(text.replace("http://127.0.0.1:8080", cloud.server.url))
    (tmp_path / "stage.mp4").write_bytes(clip(grace()))
    where = {f"AWS_ENDPOINT_URL_{name}": cloud.s3.meta.endpoint_url for name in ("S3", "SNS", "SQS")}
    keys = {
        "AWS_SHARED_CREDENTIALS_FILE": str(cloud.server.settings.credentials),
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    others = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        [sys.executable, "page.py"],
        cwd=tmp_path,
        env={**others, **where, **keys},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("SUCCEEDED 5 faces\n", "")


@pytest.mark.parametrize(
    ("call", "code", "message"),
    [
        (
            {"Video": {"S3Object": {"Bucket": "clips", "Name": "missing.mp4"}}},
            "InvalidS3ObjectException",
            "Unable to get object metadata from S3. Check object key, region and/or access permissions.",
        ),
        (
            {"Video": {"S3Object": {"Bucket": "nowhere", "Name": "a.mp4"}}},
            "InvalidS3ObjectException",
            "Unable to get object metadata from S3. Check object key, region and/or access permissions.",
        ),
        (
            {"Video": {}},
            "InvalidParameterException",
            "Request has invalid parameters: Video needs an S3Object",
        ),
    ],
)
def test_what_is_refused_at_once(cloud: Cloud, call: dict[str, Any], code: str, message: str) -> None:
    with pytest.raises(ClientError) as caught:
        cloud.server.client().start_face_detection(**call)
    assert refusal(caught) == (code, message)
