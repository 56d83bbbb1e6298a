"""S3Objects from folders, and over a real S3 wire: moto's server on loopback."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from countenance import errors
from countenance.aws import objects
from countenance.aws.objects import LARGEST, Endpoint, Folders, Objects

NOT_THERE = "Unable to get object metadata from S3. Check object key, region and/or access permissions."


def at(bucket: str, name: str, version: str | None = None) -> dict[str, Any]:
    return {"Bucket": bucket, "Name": name} | ({} if version is None else {"Version": version})


def refused(store: Objects, reference: dict[str, Any]) -> str:
    with pytest.raises(errors.InvalidS3Object) as caught:
        store.read(reference)
    return caught.value.message


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two buckets, and a secret beside them."""
    root = tmp_path / "buckets"
    (root / "photos" / "2024").mkdir(parents=True)
    (root / "other").mkdir()
    (root / "photos" / "2024" / "one.jpg").write_bytes(b"one")
    (root / "photos" / "with space é.jpg").write_bytes(b"two")
    (root / "other" / "private.jpg").write_bytes(b"private")
    (tmp_path / "secret.key").write_bytes(b"secret")
    (root / "stray.jpg").write_bytes(b"stray")
    return root


def test_a_key_is_a_path_in_the_buckets_folder(root: Path) -> None:
    folders = Folders(root)
    assert folders.read(at("photos", "2024/one.jpg")) == b"one"
    assert folders.read(at("photos", "with space é.jpg")) == b"two"


@pytest.mark.parametrize(
    "reference",
    [
        at("photos", "missing.jpg"),
        at("nowhere", "one.jpg"),
        at("photos", "2024"),
        at("photos", "2024/one.jpg/more"),
        at("stray.jpg", "x"),
        at("photos", "x" * 1024),
        at("photos", "/".join("x" * 500)),
        at("photos", "é" * 200),
    ],
)
def test_what_is_not_there_is_told_in_awss_words(root: Path, reference: dict[str, Any]) -> None:
    assert refused(Folders(root), reference) == NOT_THERE


@pytest.mark.parametrize(
    "reference",
    [
        at("photos", "../other/private.jpg"),
        at("photos", "2024/../../../secret.key"),
        at("photos", "/etc/passwd"),
        at("photos", "./2024/one.jpg"),
        at("photos", "2024//one.jpg"),
        at("photos", "2024/one.jpg/"),
        at("photos", "2024/one.jpg\0.png"),
        at("photos", ""),
        at("...", "secret.key"),
        at("..", "secret.key"),
        at("", "stray.jpg"),
        at("photos/2024", "one.jpg"),
        at("photos\n", "2024/one.jpg"),
        {"Bucket": "photos"},
        {"Name": "2024/one.jpg"},
        {},
    ],
)
def test_a_malformed_reference_reaches_no_file(root: Path, reference: dict[str, Any]) -> None:
    assert refused(Folders(root), reference) == "Request has invalid S3 object."


def test_links_stay_inside_their_bucket(root: Path) -> None:
    bucket = root / "photos"
    (bucket / "again.jpg").symlink_to("2024/one.jpg")
    (bucket / "out.jpg").symlink_to("../../secret.key")
    (bucket / "beside.jpg").symlink_to(root / "other" / "private.jpg")
    (bucket / "folder").symlink_to("../other")
    (bucket / "loop.jpg").symlink_to("loop.jpg")
    (bucket / "dangling.jpg").symlink_to("nothing")
    (root / "alias").symlink_to("photos")
    (root / "escape").symlink_to(root.parent)
    folders = Folders(root)
    assert folders.read(at("photos", "again.jpg")) == b"one"
    assert folders.read(at("alias", "again.jpg")) == b"one"
    for name in ("out.jpg", "beside.jpg", "folder/private.jpg", "loop.jpg", "dangling.jpg"):
        assert refused(folders, at("photos", name)) == NOT_THERE
    assert refused(folders, at("escape", "secret.key")) == NOT_THERE


def test_a_pipe_is_refused_without_waiting(root: Path) -> None:
    os.mkfifo(root / "photos" / "pipe.jpg")
    assert refused(Folders(root), at("photos", "pipe.jpg")) == NOT_THERE


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_not_there(root: Path) -> None:
    (root / "photos" / "2024" / "one.jpg").chmod(0)
    assert refused(Folders(root), at("photos", "2024/one.jpg")) == NOT_THERE


def test_folders_keep_no_versions(root: Path) -> None:
    message = refused(Folders(root), at("photos", "2024/one.jpg", "1"))
    assert message == f"{NOT_THERE}: a bucket that is a folder keeps no versions"


def test_fifteen_megabytes_and_not_a_byte_more(root: Path) -> None:
    path = root / "photos" / "large.jpg"
    path.write_bytes(b"")
    os.truncate(path, LARGEST)
    assert len(Folders(root).read(at("photos", "large.jpg"))) == LARGEST
    os.truncate(path, LARGEST + 1)
    with pytest.raises(errors.ImageTooLarge) as caught:
        Folders(root).read(at("photos", "large.jpg"))
    assert caught.value.message == "Image size is too large"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bucket=st.text(max_size=8),
    parts=st.lists(st.sampled_from(["..", ".", "", "2024", "secret.key", "\0", "é"])),
)
def test_no_reference_reaches_beyond_the_buckets(root: Path, bucket: str, parts: list[str]) -> None:
    for name in (bucket, "photos"):
        with pytest.raises(errors.InvalidS3Object):
            Folders(root).read(at(name, "/".join(parts)))


@pytest.fixture(scope="module")
def s3() -> Iterator[tuple[str, Any]]:
    """A server that speaks S3, and a client of its own to fill it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="s"
    )
    client.create_bucket(Bucket="photos")
    client.put_bucket_versioning(Bucket="photos", VersioningConfiguration={"Status": "Enabled"})
    yield url, client
    server.stop()


def endpoint(url: str) -> Endpoint:
    return Endpoint(url, region="us-east-1", access_key="a", secret_key="s")


def test_an_endpoint_gives_the_object_and_its_older_versions(s3: tuple[str, Any]) -> None:
    url, client = s3
    first = client.put_object(Bucket="photos", Key="2024/one é.jpg", Body=b"first")["VersionId"]
    client.put_object(Bucket="photos", Key="2024/one é.jpg", Body=b"second")
    assert endpoint(url).read(at("photos", "2024/one é.jpg")) == b"second"
    assert endpoint(url).read(at("photos", "2024/one é.jpg", first)) == b"first"


def test_an_endpoint_uses_the_services_own_credentials(
    s3: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, client = s3
    client.put_object(Bucket="photos", Key="one.jpg", Body=b"one")
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(errors.InternalServer, match="NoCredentialsError"):
        Endpoint(url).read(at("photos", "one.jpg"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    assert Endpoint(url).read(at("photos", "one.jpg")) == b"one"


@pytest.mark.parametrize(
    "reference",
    [at("photos", "missing.jpg"), at("nowhere", "one.jpg"), at("photos", "one.jpg", "no-such-version")],
)
def test_an_endpoints_refusal_is_awss(s3: tuple[str, Any], reference: dict[str, Any]) -> None:
    url, client = s3
    client.put_object(Bucket="photos", Key="one.jpg", Body=b"one")
    assert refused(endpoint(url), reference) == NOT_THERE


def test_a_malformed_reference_is_not_sent() -> None:
    assert refused(endpoint("http://127.0.0.1:9"), at("a/b", "c")) == "Request has invalid S3 object."


def test_an_endpoints_object_may_have_fifteen_megabytes(s3: tuple[str, Any]) -> None:
    url, client = s3
    client.put_object(Bucket="photos", Key="large.jpg", Body=b"\0" * LARGEST)
    assert len(endpoint(url).read(at("photos", "large.jpg"))) == LARGEST
    client.put_object(Bucket="photos", Key="large.jpg", Body=b"\0" * (LARGEST + 1))
    with pytest.raises(errors.ImageTooLarge):
        endpoint(url).read(at("photos", "large.jpg"))


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server on loopback that gives one raw answer to every request, then hangs up."""

    class Raw(BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(answer)
            self.close_connection = True

    with ThreadingHTTPServer(("127.0.0.1", 0), Raw) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_an_endpoint_that_is_down_or_breaks_off_is_a_fault_of_ours() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(errors.InternalServer, match="did not answer"):
        endpoint(f"http://127.0.0.1:{port}").read(at("photos", "one.jpg"))
    short = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nabc"
    with answering(short) as url, pytest.raises(errors.InternalServer, match="did not answer"):
        endpoint(url).read(at("photos", "one.jpg"))


def test_an_endpoint_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "READ", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = endpoint(f"http://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(errors.InternalServer, match="did not answer"):
            silent.read(at("photos", "one.jpg"))


def test_an_endpoint_without_a_length_is_bounded_too() -> None:
    chunk = b"%x\r\n" % (LARGEST + 1) + b"\0" * (LARGEST + 1) + b"\r\n0\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    with answering(head + chunk) as url, pytest.raises(errors.ImageTooLarge):
        endpoint(url).read(at("photos", "one.jpg"))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (503, "SlowDown", errors.Throttling),
        (500, "InternalError", errors.InternalServer),
        (403, "AccessDenied", errors.InvalidS3Object),
        (301, "PermanentRedirect", errors.InvalidS3Object),
    ],
)
def test_an_endpoints_own_errors(status: int, code: str, kind: type[errors.AwsError]) -> None:
    body = f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
    with answering(head + body) as url, pytest.raises(kind):
        endpoint(url).read(at("photos", "one.jpg"))


def test_a_clip_in_a_folder_is_read_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").write_bytes(b"frames")
    with Folders(tmp_path).open({"Bucket": "clips", "Name": "a.mp4"}, lambda _size: None) as file:
        assert Path(f"/dev/fd/{file.fileno()}").read_bytes() == b"frames"
    for name in ("missing.mp4", "..", "a.mp4/b"):
        with pytest.raises(errors.InvalidS3Object):
            Folders(tmp_path).open({"Bucket": "clips", "Name": name}, lambda _size: None)
    (tmp_path / "clips" / "folder").mkdir()
    for ask in (Folders(tmp_path).stat, lambda named: Folders(tmp_path).open(named, lambda _size: None)):
        with pytest.raises(errors.InvalidS3Object):
            ask({"Bucket": "clips", "Name": "folder"})
    with (tmp_path / "clips" / "large.mp4").open("wb") as sparse:
        sparse.truncate(objects.LARGEST_VIDEO + 1)
    with pytest.raises(
        errors.VideoTooLarge, match="10737418241 is more than the maximum limit of: 10737418240"
    ):
        Folders(tmp_path).open({"Bucket": "clips", "Name": "large.mp4"}, lambda _size: None)


def test_a_clip_of_an_endpoint_comes_into_a_file_that_nobody_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(objects, "CHUNK", 1000)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        url = "http://{}:{}".format(*server.get_host_and_port())
        endpoint = Endpoint(url, "us-east-1", "testing", "testing")
        store = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
        )
        store.create_bucket(Bucket="clips")
        clip = bytes(range(256)) * 10
        store.put_object(Bucket="clips", Key="a.mp4", Body=clip)
        arrived: list[int] = []
        with endpoint.open({"Bucket": "clips", "Name": "a.mp4"}, arrived.append) as file:
            assert list(tmp_path.iterdir()) == []
            assert Path(f"/dev/fd/{file.fileno()}").read_bytes() == clip
        assert arrived == [1000, 2000, 2560]
        with pytest.raises(errors.InvalidS3Object):
            endpoint.open({"Bucket": "clips", "Name": "missing.mp4"}, arrived.append)
        monkeypatch.setattr(objects, "LARGEST_VIDEO", 2000)
        with pytest.raises(errors.VideoTooLarge):
            endpoint.open({"Bucket": "clips", "Name": "a.mp4"}, arrived.append)
    finally:
        server.stop()


def test_a_disk_without_room_for_a_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        url = "http://{}:{}".format(*server.get_host_and_port())
        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
        store = boto3.client("s3", endpoint_url=url, **keys)
        store.create_bucket(Bucket="clips")
        store.put_object(Bucket="clips", Key="a.mp4", Body=bytes(100_000))
        clip = {"Bucket": "clips", "Name": "a.mp4"}
        with (
            monkeypatch.context() as patch
        ):  # as much is free as the clip has bytes: no more than half is taken
            patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=150_000))
            with pytest.raises(OSError, match="too little room for 100000 bytes"):
                Endpoint(url, "us-east-1", "a", "b").open(clip, lambda _: None)
        monkeypatch.setattr(tempfile, "TemporaryFile", partial(Path("/dev/full").open, "r+b", buffering=0))
        with pytest.raises(OSError, match="No space left"):
            Endpoint(url, "us-east-1", "a", "b").open(clip, lambda _: None)
    finally:
        server.stop()
