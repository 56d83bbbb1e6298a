"""Two organisations on one machine: a home with its ledger, and a witness in a process of its own."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from countenance import settings
from countenance.ledger import checkpoint
from tests.unit.cli.conftest import Shell

NAME = "council.example/witness"
PYTHON = (sys.executable, "-u", "-c")
MAIN = "from countenance.cli import main; main()"

DIES = """
import os
from countenance.witness import Witness
sign = Witness._cosign
def die(*given):
    sign(*given)
    os._exit(9)
Witness._cosign = die
"""
"""A witness whose machine stops after it kept what it signs and before it answers."""


@pytest.fixture
def folder(shell: Shell, home: Path, tmp_path: Path) -> Path:
    """A witness that knows the home's log."""
    folder = tmp_path / "witness"
    shell("witness", "init", "--folder", folder, "--name", NAME)
    told = shell("witness", "trust", "--folder", folder, home / "ledger.pub").output
    assert f"{settings.load(home).log_name} is witnessed, with 1 key" in told
    return folder


@contextmanager
def serving(folder: Path, before: str = "") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`countenance witness serve` and its URL."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-u",
            "-c",
            before + MAIN,
            "witness",
            "serve",
            "--folder",
            str(folder),
            "--port",
            "0",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        told = process.stdout.readline()
        yield process, re.findall(r"http://\S+", told)[0]
    finally:
        process.kill()
        process.communicate()


def name_witness(home: Path, folder: Path, url: str = "") -> None:
    """A line in settings.toml, for the one that was there before."""
    lines = [line for line in (home / "settings.toml").read_text().splitlines() if "witnesses" not in line]
    key = (folder / "witness.pub").read_text().strip()
    lines.append(f'witnesses = ["{url} {key}"]' if url else f'witnesses = ["{key}"]')
    (home / "settings.toml").write_text("\n".join(lines) + "\n")


def grow(shell: Shell, home: Path) -> None:
    shell("keys", "create", "--home", home)


def status(shell: Shell, folder: Path) -> dict[str, object]:
    [log] = json.loads(shell("witness", "status", "--folder", folder, "--json").stdout)["logs"]
    assert isinstance(log, dict)
    return log


def evidence(shell: Shell, folder: Path) -> list[Path]:
    places = status(shell, folder)["evidence"]
    assert isinstance(places, list)
    return [Path(place) for place in places]


def when_signed(note: str, folder: Path) -> int | None:
    return checkpoint.cosigned(note, *checkpoint.read_witness_key((folder / "witness.pub").read_text()))


def test_a_ledger_is_witnessed_and_published_with_the_signature(
    shell: Shell, home: Path, folder: Path, tmp_path: Path
) -> None:
    with serving(folder) as (process, url):
        name_witness(home, folder, url)
        assert f"{NAME} signed 2 entries" in shell("ledger", "witness", "--home", home).output
        grow(shell, home)
        assert f"{NAME} signed 3 entries" in shell("ledger", "witness", "--home", home).output
        grow(shell, home)
        shell("ledger", "export", "--home", home, tmp_path / "out")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    note = (tmp_path / "out/checkpoint").read_text()
    assert checkpoint.peek(note).size == 4
    signed = when_signed(note, folder)
    assert signed is not None
    assert abs(signed - time.time()) < 300
    assert (status(shell, folder)["size"], status(shell, folder)["evidence"]) == (4, [])
    assert NAME in shell("witness", "status", "--folder", folder).output


def test_a_home_that_was_put_back_is_found_out_by_its_witness(
    shell: Shell, home: Path, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "backup").mkdir()
    for file in home.glob("countenance.db*"):
        shutil.copy(file, tmp_path / "backup")
    with serving(folder) as (_, url):
        name_witness(home, folder, url)
        grow(shell, home)
        shell("ledger", "witness", "--home", home)
        for file in home.glob("countenance.db*"):
            file.unlink()
        for file in (tmp_path / "backup").iterdir():
            shutil.copy(file, home)
        shell("ledger", "verify", "--home", home)  # all by itself it looks well
        told = shell("ledger", "witness", "--home", home, code=1).output
        assert f"the witness {NAME} signed 3 entries of this log before, and now there are 2" in told
        grow(shell, home)  # and goes on as if nothing had been
        told = shell("ledger", "witness", "--home", home, code=1).output
        assert "does not sign: 409" in told or "does not sign: 422" in told
    assert [place.name[:8] for place in evidence(shell, folder)] == ["smaller-", "split-3-"]


def test_one_of_two_records_under_one_key_is_not_signed(
    shell: Shell, home: Path, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(home, tmp_path / "other")
    for _ in range(2):
        grow(shell, tmp_path / "other")
    grow(shell, home)
    with serving(folder) as (_, url):
        for place in (home, tmp_path / "other"):
            name_witness(place, folder, url)
        shell("ledger", "witness", "--home", home)
        told = shell("ledger", "witness", "--home", tmp_path / "other", code=1).output
        assert "does not sign: 422" in told
        shell("ledger", "witness", "--home", home)
    assert status(shell, folder)["size"] == 3


def test_a_witness_that_died_with_the_answer_in_its_hand_goes_on(
    shell: Shell, home: Path, folder: Path
) -> None:
    """Its folder says that it signed; the log never learnt of it, and grew meanwhile."""
    with serving(folder, DIES) as (process, url):
        name_witness(home, folder, url)
        assert "does not answer" in shell("ledger", "witness", "--home", home, code=1).output
        assert process.wait(timeout=30) == 9
    assert status(shell, folder)["size"] == 2
    grow(shell, home)
    with serving(folder) as (_, url):
        name_witness(home, folder, url)
        assert f"{NAME} signed 3 entries" in shell("ledger", "witness", "--home", home).output


def test_a_witness_killed_at_any_time_never_goes_back(shell: Shell, home: Path, folder: Path) -> None:
    sizes = []
    for _ in range(3):
        with serving(folder) as (process, url):
            name_witness(home, folder, url)
            grow(shell, home)
            shell("ledger", "witness", "--home", home)
            process.kill()
        sizes.append(status(shell, folder)["size"])
    assert sizes == [3, 4, 5]


def test_an_absent_witness_does_not_keep_a_ledger_from_being_published(
    shell: Shell, home: Path, folder: Path, tmp_path: Path
) -> None:
    name_witness(home, folder, "http://127.0.0.1:9")
    told = shell("ledger", "export", "--home", home, tmp_path / "out").output
    assert f"Not witnessed: the witness {NAME} does not answer" in told
    assert when_signed((tmp_path / "out/checkpoint").read_text(), folder) is None


def test_a_witness_reads_what_is_published_and_the_log_takes_its_signature(
    shell: Shell, home: Path, folder: Path, tmp_path: Path
) -> None:
    out, answer = tmp_path / "out", tmp_path / "answer"
    shell("ledger", "export", "--home", home, "--without-entries", out)
    answer.write_text(shell("witness", "follow", "--folder", folder, out).stdout)
    told = shell("ledger", "cosign", "--home", home, answer, code=1).output
    assert "no witness that settings.toml names has signed that head" in told
    name_witness(home, folder)
    assert "comes by itself" in shell("ledger", "witness", "--home", home).output
    assert f"{NAME} signed 2 entries" in shell("ledger", "cosign", "--home", home, answer).output
    shell("ledger", "export", "--home", home, "--without-entries", out)
    assert when_signed((out / "checkpoint").read_text(), folder) is not None
    grow(shell, home)
    shell("ledger", "export", "--home", home, "--without-entries", out)
    assert checkpoint.peek((out / "checkpoint").read_text()).size == 3
    assert "signed 2 entries" in shell("ledger", "cosign", "--home", home, answer).output
    [head] = (tmp_path / "witness").glob("logs/*/checkpoint")
    forged = answer.read_text().replace("\n2\n", "\n3\n")
    answer.write_text(forged)
    shell("ledger", "cosign", "--home", home, answer, code=1)
    assert head.exists()


def test_a_rewritten_ledger_is_not_signed_by_who_follows_it(
    shell: Shell, home: Path, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(home, tmp_path / "other")
    grow(shell, home)
    for _ in range(2):
        grow(shell, tmp_path / "other")
    shell("ledger", "export", "--home", home, tmp_path / "out")
    shell("ledger", "export", "--home", tmp_path / "other", tmp_path / "rewritten")
    shell("witness", "follow", "--folder", folder, tmp_path / "out")
    told = shell("witness", "follow", "--folder", folder, tmp_path / "rewritten", code=1)
    assert "the head of size 4 contradicts the one of size 3" in told.output
    assert not told.stdout.startswith("countenance.local")
    [place] = evidence(shell, folder)
    told_why = (place / "README.txt").read_text()
    assert "what was recorded before was changed afterwards" in told_why
    told = shell("ledger", "export", "--home", tmp_path / "other", tmp_path / "out", code=1)
    assert "entry 2 is not the one that was published before" in told.output


def test_a_follower_goes_on_until_it_is_stopped(
    shell: Shell, home: Path, folder: Path, tmp_path: Path
) -> None:
    shell("ledger", "export", "--home", home, tmp_path / "out")
    command = [*PYTHON, MAIN, "witness", "follow", "--folder", str(folder)]
    process = subprocess.Popen(
        [*command, str(tmp_path / "out"), "--every", "1"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert "signed 2 entries" in process.stdout.readline()
        grow(shell, home)
        shell("ledger", "export", "--home", home, tmp_path / "out")
        deadline = time.monotonic() + 60
        while "signed 3 entries" not in process.stdout.readline():
            assert time.monotonic() < deadline
    finally:
        process.terminate()
        process.communicate()


def test_a_ledger_with_a_new_key_is_witnessed_once_that_is_trusted(
    shell: Shell, home: Path, folder: Path, tmp_path: Path
) -> None:
    with serving(folder) as (_, url):
        name_witness(home, folder, url)
        shell("ledger", "witness", "--home", home)
        shell("ledger", "rotate", "--home", home)
        assert f"{NAME} signed 3 entries" in shell("ledger", "witness", "--home", home).output  # by both keys
        grow(shell, home)
        assert "does not sign: 403" in shell("ledger", "witness", "--home", home, code=1).output
        told = shell("witness", "trust", "--folder", folder, home / "ledger.pub").output
        assert "is witnessed, with 2 keys" in told
        assert f"{NAME} signed 4 entries" in shell("ledger", "witness", "--home", home).output
        shell("ledger", "export", "--home", home, tmp_path / "out")
    assert len((tmp_path / "out/log.pub").read_text().splitlines()) == 2
    handover = (tmp_path / "out/checkpoints/3").read_text()
    assert handover.count(f"\N{EM DASH} {settings.load(home).log_name} ") == 2


def test_a_file_that_is_no_key_is_not_trusted(shell: Shell, home: Path, folder: Path) -> None:
    photo = home / "photo.jpg"
    photo.write_bytes(b"\xff\xd8\xff")
    assert "it is no text" in shell("witness", "trust", "--folder", folder, photo, code=1).output
    key = home / "settings.toml"
    assert "written name+id+key" in shell("witness", "trust", "--folder", folder, key, code=1).output


def test_a_home_that_names_no_witness_is_told_how(shell: Shell, home: Path, tmp_path: Path) -> None:
    assert "names no witness" in shell("ledger", "witness", "--home", home, code=1).output
    told = shell("witness", "serve", "--folder", tmp_path / "none", code=1).output
    assert "`countenance witness init` makes one" in told
    (home / "settings.toml").write_text((home / "settings.toml").read_text() + 'witnesses = ["nobody"]\n')
    assert "a witness's verifier key" in shell("ledger", "witness", "--home", home, code=1).output
