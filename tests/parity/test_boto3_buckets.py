"""boto3, unchanged but for its endpoint: photos in buckets that are folders, and in a real S3 endpoint."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from countenance import office
from countenance.settings import Settings
from countenance.testing import TestServer
from countenance.types import OrganisationKind
from tests.parity.conftest import refusal
from tests.parity.photos import grace, grace_again, nobody


def stored(bucket: str, key: str, **more: str) -> dict[str, Any]:
    return {"S3Object": {"Bucket": bucket, "Name": key, **more}}


def test_a_bucket_is_a_folder(client: Any, buckets: Path) -> None:
    folder = buckets / "family-photos" / "1952 summer"
    folder.mkdir(parents=True)
    (folder / "grace é.jpg").write_bytes(grace())
    image = stored("family-photos", "1952 summer/grace é.jpg")
    assert len(client.detect_faces(Image=image)["FaceDetails"]) == 1
    compared = client.compare_faces(SourceImage=image, TargetImage={"Bytes": grace_again()})
    assert compared["FaceMatches"][0]["Similarity"] > 95


@pytest.mark.parametrize(
    "image",
    [
        stored("no-such-bucket", "grace.jpg"),
        stored("photos", "missing.jpg"),
        stored("photos", "folder"),
        stored("photos", "leads-out.jpg"),
    ],
    ids=["bucket", "key", "a folder", "a link that leads out"],
)
def test_an_object_that_is_not_there(client: Any, buckets: Path, image: dict[str, Any]) -> None:
    (buckets / "photos" / "folder").mkdir(parents=True, exist_ok=True)
    secret = buckets.parent / "secret.jpg"
    secret.write_bytes(grace())
    link = buckets / "photos" / "leads-out.jpg"
    if not link.is_symlink():
        link.symlink_to(secret)
    with pytest.raises(ClientError) as caught:
        client.detect_faces(Image=image)
    assert refusal(caught) == (
        "InvalidS3ObjectException",
        "Unable to get object metadata from S3. Check object key, region and/or access permissions.",
    )


@pytest.mark.parametrize("key", ["../secret.jpg", "a/../../secret.jpg", "/etc/hostname", "a//b", "nul\0.jpg"])
def test_an_object_key_that_is_no_key(client: Any, buckets: Path, key: str) -> None:
    (buckets / "photos").mkdir(exist_ok=True)
    with pytest.raises(ClientError) as caught:
        client.detect_faces(Image=stored("photos", key))
    assert refusal(caught) == ("InvalidS3ObjectException", "Request has invalid S3 object.")


def test_an_object_over_15_mib(client: Any, buckets: Path) -> None:
    (buckets / "photos").mkdir(exist_ok=True)
    with (buckets / "photos" / "large.jpg").open("wb") as file:
        file.truncate(15 * 1024 * 1024 + 1)
    with pytest.raises(ClientError) as caught:
        client.detect_faces(Image=stored("photos", "large.jpg"))
    assert refusal(caught) == ("ImageTooLargeException", "Image size is too large")


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_a_bucket_of_an_s3_endpoint(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    store = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
    store.create_bucket(Bucket="archive")
    store.put_bucket_versioning(Bucket="archive", VersioningConfiguration={"Status": "Enabled"})
    version = store.put_object(Bucket="archive", Key="a/b c.jpg", Body=grace())["VersionId"]
    store.put_object(Bucket="archive", Key="a/b c.jpg", Body=nobody())
    home = Settings(home=tmp_path / "home", s3_endpoint=s3)
    office.found(home, "an archive", OrganisationKind.ARCHIVE, "DE", "general")
    with contextlib.closing(TestServer(home)) as server:
        client = server.client()
        assert client.detect_faces(Image=stored("archive", "a/b c.jpg"))["FaceDetails"] == []
        older = stored("archive", "a/b c.jpg", Version=version)
        assert len(client.detect_faces(Image=older)["FaceDetails"]) == 1
        for image in (stored("archive", "missing"), stored("nowhere", "a/b c.jpg")):
            with pytest.raises(client.exceptions.InvalidS3ObjectException) as caught:
                client.detect_faces(Image=image)
            assert refusal(caught)[1] == (
                "Unable to get object metadata from S3. Check object key, region and/or access permissions."
            )
