"""The record published from the shell, and read by others."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

from countenance import office, settings
from countenance.ledger.checkpoint import read_key, verify
from countenance.ledger.export import fetcher, published_entries
from countenance.ledger.merkle import leaf_hash
from countenance.ledger.tiles import tree
from countenance.testing import TestServer
from tests.unit.cli.conftest import Shell


def published(folder: Path) -> list[dict[str, object]]:
    """Everything in an exported folder, once its tiles, entries and head fit each other and its key."""
    name, key = read_key((folder / "log.pub").read_text())
    head = verify((folder / "checkpoint").read_text(), name, key)
    read = tree(fetcher(folder), head.size)
    assert read.root() == head.root
    bodies = list(published_entries(folder, head.size))
    assert [leaf_hash(body) for body in bodies] == [read.nodes.get(0, n) for n in range(head.size)]
    return [json.loads(body) for body in bodies]


def test_a_ledger_is_published_and_brought_up_to_date(shell: Shell, home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = shell("ledger", "export", "--home", home, out).output
    assert f"{out} holds 2 entries, 2 of them new" in told
    assert [entry["seq"] for entry in published(out)] == [0, 1]
    shell("keys", "create", "--home", home)
    assert "holds 3 entries, 1 of them new" in shell("ledger", "export", "--home", home, out).output
    assert published(out)[2] == office.entry(settings.load(home), 2)
    assert "0 of them new" in shell("ledger", "export", "--home", home, out).output


def test_a_ledger_is_published_while_a_server_appends(
    shell: Shell, running: TestServer, tmp_path: Path
) -> None:
    client = running.client()
    over = threading.Event()

    def keep_calling() -> None:
        while not over.is_set():
            client.list_collections()

    busy = threading.Thread(target=keep_calling)
    busy.start()
    try:
        for _ in range(4):
            shell("ledger", "export", "--home", running.home, tmp_path / "out")
    finally:
        over.set()
        busy.join()
    seqs = [entry["seq"] for entry in published(tmp_path / "out")]
    assert seqs == list(range(len(seqs)))


def test_the_folder_of_another_home_is_not_overwritten(shell: Shell, home: Path, tmp_path: Path) -> None:
    shell("init", "--home", tmp_path / "other")
    shell("ledger", "export", "--home", tmp_path / "other", tmp_path / "out")
    told = shell("ledger", "export", "--home", home, tmp_path / "out", code=1).output
    assert "is not this log as it was published" in told


def test_publishing_goes_on_until_it_is_stopped(shell: Shell, home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", "from countenance.cli import main; main()", "ledger", "export"]
    process = subprocess.Popen([*command, "--home", str(home), str(out), "--every", "1"])
    try:
        wait_for(lambda: len(published(out)) == 2, out / "checkpoint")
        shell("keys", "create", "--home", home)
        wait_for(lambda: len(published(out)) == 3, out / "checkpoint")
    finally:
        process.terminate()
        process.wait()


def wait_for(condition: object, file: Path) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 60
    while not file.exists() or not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
