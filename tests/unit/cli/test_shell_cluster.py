"""index --cluster: a real scheduler with real workers, over TCP on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster
from PIL import Image as Pillow
from PIL import ImageEnhance

from countenance.cli import batch, sources
from countenance.cli import cluster as dask
from countenance.cli.enrolling import Order, Work
from countenance.cli.pictures import Photo
from countenance.errors import HomeError
from countenance.testing import TestServer
from tests.unit.cli.conftest import Shell


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    folder = tmp_path_factory.mktemp("dask")
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        local_directory=str(folder),
    ) as running:
        yield running


@pytest.fixture
def collection() -> str:
    return f"cluster-{uuid.uuid4()}"


@pytest.fixture
def many(tmp_path: Path, hopper: Pillow.Image) -> Path:
    """Sixty photos of their own content."""
    folder = tmp_path / "many"
    folder.mkdir()
    small = hopper.resize((180, 211))
    for number in range(60):
        ImageEnhance.Brightness(small).enhance(0.7 + number / 120).save(folder / f"{number:02}.jpg")
    return folder


def names(running: TestServer, collection: str) -> list[str]:
    client = running.client()
    try:
        pages = client.get_paginator("list_faces").paginate(CollectionId=collection)
        return [face["ExternalImageId"] for page in pages for face in page["Faces"]]
    except client.exceptions.ResourceNotFoundException:
        return []


def command(running: TestServer, cluster: LocalCluster, collection: str, folder: Path) -> list[str]:
    at = ["--home", str(running.home), "--cluster", cluster.scheduler_address]
    return ["index", collection, str(folder), *at, "--json"]


def told(result: Any) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(result.stdout)
    return facts


def test_workers_enrol_what_the_shell_would_and_both_know_each_others(
    shell: Shell, running: TestServer, cluster: LocalCluster, collection: str, album: Path, tmp_path: Path
) -> None:
    words = command(running, cluster, collection, album)
    facts = told(shell(*words, "--report", tmp_path / "report.csv", code=3))
    found = {name: facts[name] for name in ("files", "enrolled", "faceless", "copy", "unreadable", "other")}
    assert found == {"files": 6, "enrolled": 2, "faceless": 1, "copy": 1, "unreadable": 1, "other": 1}
    assert "truncated or damaged" in (tmp_path / "report.csv").read_text()
    by_cluster = names(running, collection)
    assert any(name.startswith("autumn:IMG_1.jpg:") for name in by_cluster)
    (album / "winter").mkdir()
    (album / "autumn" / "IMG_1.jpg").rename(album / "winter" / "moved.jpg")
    again = told(shell(*words, code=3))
    assert (again["known"], again["enrolled"]) == (3, 0)
    here = told(shell("index", collection, album, "--home", running.home, "--json", code=3))
    assert (here["known"], here["enrolled"]) == (3, 0)
    assert names(running, collection) == by_cluster


def test_no_key_is_left_with_the_scheduler_and_no_photo_with_the_workers(
    shell: Shell, running: TestServer, cluster: LocalCluster, collection: str, many: Path
) -> None:
    key = running.settings.credentials.read_text()
    secret = next(line.partition("=")[2].strip() for line in key.splitlines() if "secret" in line)
    seen: list[str] = []
    done = threading.Event()

    def look() -> None:
        with Client(cluster.scheduler_address, set_as_default=False) as client:
            while not done.is_set():
                seen.append(client.run_on_scheduler(_everything))
                time.sleep(0.2)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        assert told(shell(*command(running, cluster, collection, many)))["enrolled"] == 60
    finally:
        done.set()
        watcher.join()
    everything = "".join(seen)
    assert "countenance-sent-" in everything, "the tasks were looked at while they were there"
    assert str(running.settings.credentials).encode().hex() in everything, "and what they were given"
    assert secret not in everything
    assert secret.encode().hex() not in everything
    with Client(cluster.scheduler_address, set_as_default=False) as client:
        assert set(client.run(_held).values()) == {0}


def _everything(dask_scheduler: Any) -> str:
    """Every task that the scheduler holds, with what it was given, as text and as the bytes it is kept in."""
    return "".join(
        f"{key} {task.run_spec!r} {pickle.dumps(task.run_spec).hex()}"
        for key, task in dask_scheduler.tasks.items()
    )


def _held() -> int:
    return len(batch._held._photos)


@pytest.mark.parametrize("killed", ["worker", "shell"])
def test_a_kill_neither_loses_nor_doubles(
    shell: Shell, running: TestServer, cluster: LocalCluster, collection: str, many: Path, killed: str
) -> None:
    words = command(running, cluster, collection, many)
    program = [sys.executable, "-c", "from countenance.cli import main; main()", *words]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while len(names(running, collection)) < 5:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        if killed == "shell":
            process.kill()
        else:
            with Client(cluster.scheduler_address, set_as_default=False) as client:
                os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
        out, err = process.communicate(timeout=240)
    if killed == "worker":
        assert process.returncode == 0, err
        assert json.loads(out)["enrolled"] == 60
    rest = told(shell(*words))
    assert rest["known"] + rest["enrolled"] == 60
    enrolled = names(running, collection)
    assert len(enrolled) == len(set(enrolled)) == 60


def test_a_refusal_that_all_would_meet_ends_a_batch_and_is_told(running: TestServer, many: Path) -> None:
    work = Work(f"none-{uuid.uuid4()}", {}, {}, 1)
    terms = batch.Terms(
        work, (running.url,), str(running.settings.credentials), "us-east-1", None, "", str(many)
    )
    seen = batch.read(terms, list(sources.Folder(many))[:3])
    orders = [Order(each.item, each.digest, f"x:{each.digest}") for each in seen]
    end = batch.sent(terms, orders, 5)
    assert end.error is not None
    assert end.error["Code"] == "ResourceNotFoundException"
    assert not end.replies


def test_a_server_that_is_gone_is_passed_over(running: TestServer, many: Path) -> None:
    collection = f"two-{uuid.uuid4()}"
    running.client().create_collection(CollectionId=collection)
    terms = batch.Terms(
        work=Work(collection, {}, {}, 1),
        servers=("http://127.0.0.1:9", running.url),
        credentials=str(running.settings.credentials),
        region="us-east-1",
        verify=None,
        endpoint="",
        buckets="",
    )
    orders = [
        Order(each.item, each.digest, f"x:{each.digest}")
        for each in batch.read(terms, list(sources.Folder(many))[:2])
    ]
    batch.forget()  # so that they are read once more
    end = batch.sent(terms, orders, 0)
    assert end.error is None
    assert [reply.faces for reply in end.replies] == [1, 1]
    assert len(names(running, collection)) == 2


def test_what_is_missing_is_named(
    shell: Shell, running: TestServer, home: Path, cluster: LocalCluster, collection: str, album: Path
) -> None:
    words = command(running, cluster, collection, album)
    away = shell(*words, "--server", "http://127.0.0.1:9", code=1).output
    assert "9" in away
    unserved = ["index", "people", album, "--home", home, "--cluster", cluster.scheduler_address]
    assert "none runs on this home" in shell(*unserved, code=1).output
    assert "--server is for the workers" in shell(*words[:5], "--server", "http://x", code=2).output


def test_a_worker_says_why_it_cannot(
    running: TestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work("people", {}, {}, 2)
    terms = batch.Terms(work, (running.url,), str(tmp_path / "none"), "us-east-1", None, "", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "it finds no key" in batch.fit(terms)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(running.settings.credentials))
    assert batch.fit(terms) == ""
    away = batch.Terms(work, ("http://127.0.0.1:9",), "", "us-east-1", None, "", "")
    assert "it cannot reach http://127.0.0.1:9" in batch.fit(away)


def test_a_worker_holds_so_much_and_no_more(tmp_path: Path) -> None:
    held = batch._Held(10)
    photos = [Photo(tmp_path / str(number), bytes([number]) * 4) for number in range(4)]
    for photo in photos:
        held.put(photo.digest, photo)
    assert held.take(photos[0].digest) is held.take(photos[1].digest) is None
    assert held.take(photos[3].digest) is photos[3]
    held.clear()
    assert held.take(photos[2].digest) is None


def test_without_dask_the_message_says_how_to_get_it(
    shell: Shell, running: TestServer, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    words = ["index", "people", album, "--home", running.home, "--cluster", "tcp://127.0.0.1:1"]
    assert "pip install 'countenance[cluster]'" in shell(*words, code=1).output


def test_a_scheduler_that_is_not_there_is_an_error_in_words(
    running: TestServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dask, "PATIENCE", 1)
    with pytest.raises(HomeError, match="no Dask scheduler answers"):
        dask.opened("tcp://127.0.0.1:9", running.settings, ())
    assert "Waiting for the scheduler at tcp://127.0.0.1:9, 1 s at most." in capsys.readouterr().err


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\nServer: somebody else's\r\n\r\n"])
def test_a_port_where_something_else_listens_is_given_up_in_time(
    running: TestServer, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(dask, "PATIENCE", 1)
    with contextlib.ExitStack() as undo, socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            with contextlib.suppress(OSError):  # closed by the test
                while True:
                    undo.enter_context(other.accept()[0]).sendall(said)

        threading.Thread(target=answer, daemon=True).start()
        address = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(HomeError, match="no Dask scheduler answers"):
            dask.opened(address, running.settings, ())
