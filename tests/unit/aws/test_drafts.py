"""Objects that are written: whole under their name, or nowhere; in folders and over a real S3 wire."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from countenance import errors
from countenance.aws import objects
from countenance.aws.objects import Endpoint, Folders

AT = {"Bucket": "photos", "Name": "new/one.webm"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "buckets" / "photos").mkdir(parents=True)
    return tmp_path / "buckets"


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@pytest.mark.parametrize("unnamed", [True, False])
def test_nothing_is_there_before_it_is_whole(
    root: Path, monkeypatch: pytest.MonkeyPatch, *, unnamed: bool
) -> None:
    if not unnamed:
        monkeypatch.delattr("os.O_TMPFILE")
    folders = Folders(root)
    with folders.draft(AT) as draft:
        draft.file.write(b"half")
        draft.file.flush()
        assert files(root) == [] or not unnamed
        assert "photos/new/one.webm" not in files(root)
        draft.file.write(b" and whole")
        draft.publish()
    assert files(root) == ["photos/new/one.webm"]
    assert folders.read(AT) == b"half and whole"
    with pytest.raises(ZeroDivisionError), folders.draft({**AT, "Name": "two.webm"}) as draft:
        draft.file.write(bytes(1 // 0))
    assert files(root) == ["photos/new/one.webm"]


def test_nothing_is_written_over(root: Path) -> None:
    folders = Folders(root)
    with folders.draft(AT) as late:
        with folders.draft(AT) as first:
            first.file.write(b"first")
            first.publish()
        with pytest.raises(errors.InvalidParameter, match="already"):
            late.publish()
    with pytest.raises(errors.InvalidParameter, match="already"), folders.draft(AT):
        pass
    assert folders.read(AT) == b"first"


@pytest.mark.parametrize("name", ["../one.webm", "a//b", "", "./one", "link/one.webm"])
def test_nothing_is_written_outside_its_bucket(root: Path, name: str) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (root / "photos" / "link").symlink_to(outside)
    with pytest.raises(errors.InvalidS3Object), Folders(root).draft({"Bucket": "photos", "Name": name}):
        pass
    with pytest.raises(errors.InvalidS3Object), Folders(root).draft({"Bucket": "nobodys", "Name": "a"}):
        pass
    assert list(outside.iterdir()) == []


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    with contextlib.ExitStack() as undo:
        undo.callback(server.stop)
        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=url, **keys).create_bucket(Bucket="photos")
        yield Endpoint(url, "us-east-1", "a", "b")


def test_over_the_wire(endpoint: Endpoint) -> None:
    with endpoint.draft(AT) as draft:
        draft.file.write(b"whole")
        with pytest.raises(errors.InvalidS3Object):
            endpoint.read(AT)
        draft.publish()
    assert endpoint.read(AT) == b"whole"
    with pytest.raises(errors.InvalidParameter, match="already"), endpoint.draft(AT):
        pass
    other = {**AT, "Name": "new/two.webm"}
    with endpoint.draft(other) as late:
        late.file.write(b"late")
        with endpoint.draft(other) as first:
            first.file.write(b"first")
            first.publish()
        late_says = pytest.raises(errors.InvalidParameter, match="already")
        with late_says, pytest.MonkeyPatch.context() as patch:
            patch.setattr(endpoint, "has", lambda *_: False)  # somebody was quicker after it was asked
            late.publish()
    assert endpoint.read(other) == b"first"
    with endpoint.draft({**AT, "Name": "large.webm"}) as large, pytest.MonkeyPatch.context() as patch:
        patch.setattr(objects, "LARGEST_PUT", 3)
        large.file.write(b"four")
        with pytest.raises(errors.InvalidParameter, match="at most 3"):
            large.publish()
    with pytest.raises(errors.InvalidS3Object), endpoint.draft({"Bucket": "nobodys", "Name": "a.webm"}):
        pass
