"""init, serve, ledger verify, ledger checkpoint."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from PIL import Image as Pillow

from countenance import settings
from countenance.cli import door
from countenance.testing import TestServer
from tests.unit.cli.conftest import Shell

HEIC = Path(__file__).with_name("hopper.heic")
"""Grace Hopper from matplotlib's sample, small: nothing installed here writes HEIC."""


def test_without_a_terminal_init_takes_defaults_and_says_what_comes_next(
    shell: Shell, tmp_path: Path
) -> None:
    home = tmp_path / "a home"
    told = shell("init", "--home", home).output
    assert "me: individual, world, general" in told
    assert f"countenance serve --home '{home}'" in told
    assert f"AWS_SHARED_CREDENTIALS_FILE='{home}/credentials'" in told
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    for file in (path for path in home.iterdir() if path.is_file()):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    tomllib.loads((home / "settings.toml").read_text())


def test_a_new_home_has_the_laws_of_its_place(shell: Shell, tmp_path: Path) -> None:
    told = shell("init", "--home", tmp_path / "sf", "--place", "US-CA-SF").output
    packs = settings.load(tmp_path / "sf").packs
    assert packs[:4] == ("base", "amazon-2020", "microsoft-2020", "ibm-2020")
    assert {"us-ca-sf", "us-ca-ab1215"} <= set(packs)
    assert not {"us-md", "eu-ai-act", "microsoft-2022-attributes"} & set(packs)
    assert "No law is in force here" not in told
    more = ("--pack", "microsoft-2022-attributes", "--pack", "base")
    told = shell("init", "--home", tmp_path / "world", *more).output
    packs = settings.load(tmp_path / "world").packs
    assert packs == ("base", "amazon-2020", "microsoft-2020", "ibm-2020", "microsoft-2022-attributes")
    assert "No law is in force here, because the place is world" in told
    assert "eu-ai-act" in shell("init", "--home", tmp_path / "de", "--place", "DE").output
    assert (
        "there is no pack 'nine'" in shell("init", "--home", tmp_path / "x", "--pack", "nine", code=1).output
    )


def test_init_makes_no_home_twice_nor_among_other_things(shell: Shell, home: Path, tmp_path: Path) -> None:
    assert "is a Countenance home already" in shell("init", "--home", home, code=1).output
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "letter.txt").write_text("dear")
    assert "is not empty" in shell("init", "--home", tmp_path / "documents", code=1).output
    assert not (tmp_path / "documents" / "settings.toml").exists()


@pytest.mark.parametrize(
    ("flag", "word", "told"),
    [
        ("--place", "Atlantis", "'Atlantis' is not in the vocabulary"),
        ("--purpose", "mischief", "'mischief' is not one of access-control,"),
    ],
)
def test_init_refuses_words_that_policy_does_not_know(
    shell: Shell, tmp_path: Path, flag: str, word: str, told: str
) -> None:
    assert told in shell("init", "--home", tmp_path / "new", flag, word, code=1).output
    assert not (tmp_path / "new").exists()


def test_law_enforcement_has_no_default_purpose(shell: Shell, tmp_path: Path) -> None:
    told = shell("init", "--home", tmp_path / "new", "--kind", "police", "--place", "US-CA").output
    assert "police, US-CA, no purpose" in told
    assert "policy refuses its calls" in told


def test_commands_say_how_to_make_a_missing_home(shell: Shell, tmp_path: Path) -> None:
    for words in (("serve",), ("keys", "list"), ("ledger", "verify")):
        told = shell(*words, "--home", tmp_path / "none", code=1).output
        assert f"run `countenance init --home {tmp_path / 'none'}`" in told


def test_the_ledger_verifies_while_a_server_appends(shell: Shell, running: TestServer) -> None:
    client = running.client()
    over = threading.Event()

    def keep_calling() -> None:
        while not over.is_set():
            client.list_collections()

    busy = threading.Thread(target=keep_calling)
    busy.start()
    try:
        sizes = [
            json.loads(shell("ledger", "verify", "--home", running.home, "--json").output)["size"]
            for _ in range(3)
        ]
    finally:
        over.set()
        busy.join()
    assert sizes == sorted(sizes)
    assert sizes[-1] > 0


def tampered(home: Path, statement: str) -> None:
    with closing(sqlite3.connect(home / "countenance.db")) as database, database:
        database.execute(statement)


def test_a_changed_ledger_fails_and_the_first_bad_entry_is_named(shell: Shell, home: Path) -> None:
    for _ in range(3):
        shell("search", "nowhere", HEIC, "--home", home, code=1)
    assert "The ledger verifies" in shell("ledger", "verify", "--home", home).output
    tampered(home, "UPDATE entries SET body = body || ' ' WHERE seq = 3")
    told = shell("ledger", "verify", "--home", home, code=1)
    assert "entry 3 is bad" in told.output
    found = json.loads(shell("ledger", "verify", "--home", home, "--json", code=1).stdout)
    assert (found["ok"], found["entry"]) == (False, 3)


def test_verifying_changes_nothing_of_the_evidence(shell: Shell, home: Path) -> None:
    """Not even its schema: a home of an older version is verified as it lies."""
    tampered(home, "UPDATE home SET version = 1")
    tampered(home, "DROP TABLE renewals")
    before = (home / "countenance.db").read_bytes()
    for _ in range(2):
        assert "The ledger verifies" in shell("ledger", "verify", "--home", home).output
    shell("ledger", "checkpoint", "--home", home)
    assert (home / "countenance.db").read_bytes() == before


def test_a_home_of_an_older_version_says_how_it_is_brought_up_to_date(shell: Shell, home: Path) -> None:
    tampered(home, "UPDATE home SET version = 4")
    for table in ("vault", "vault_keys", "condemned", "calls", "renewals", "handovers", "witnessed"):
        tampered(home, f"DROP TABLE {table}")
    told = " ".join(shell("ledger", "disclose", 0, "--home", home, code=1).output.split())
    assert "no such table: vault; `countenance worker --once` brings an older home up to date" in told


def test_a_home_on_read_only_storage_is_verified(
    shell: Shell, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests may run as root, who may write everywhere: so only what we do about it is looked at."""
    monkeypatch.setattr(os, "access", lambda _path, mode, **_: mode != os.W_OK)
    files = sorted(home.iterdir())
    assert "The ledger verifies" in shell("ledger", "verify", "--home", home).output
    assert sorted(home.iterdir()) == files


def test_a_database_that_is_none_is_said(shell: Shell, home: Path) -> None:
    (home / "countenance.db").write_bytes(b"not a database, but as long as the head of one is" * 20)
    assert "the database cannot be read" in shell("ledger", "verify", "--home", home, code=1).output


def test_a_record_written_anew_with_other_keys_is_seen_by_who_kept_two_files(
    shell: Shell, home: Path, tmp_path: Path
) -> None:
    note, key = tmp_path / "note", tmp_path / "key"
    note.write_text(shell("ledger", "checkpoint", "--home", home).stdout, "utf-8")
    key.write_bytes((home / "ledger.pub").read_bytes())
    kept = ("--checkpoint", note, "--key", key)
    shell("search", "nowhere", HEIC, "--home", home, code=1)
    told = shell("ledger", "verify", "--home", home, *kept).output
    assert f"It begins with what {note} was signed over." in told
    shell("init", "--home", tmp_path / "forged")
    for name in ("countenance.db", "ledger.key", "ledger.pub", "settings.toml"):
        (tmp_path / "forged" / name).replace(home / name)
    assert "The ledger verifies" in shell("ledger", "verify", "--home", home).output
    for given in (kept, kept[:2], kept[2:]):
        told = " ".join(shell("ledger", "verify", "--home", home, *given, code=1).output.split())
        assert "another ledger was put in the place of the one you knew" in told
    told = shell("ledger", "verify", "--home", home, "--key", note, code=1).output
    assert f"{note} is not a verifier key" in told


def test_a_record_cut_back_is_seen_by_who_kept_a_checkpoint(shell: Shell, home: Path, tmp_path: Path) -> None:
    before = (home / "countenance.db").read_bytes()
    shell("search", "nowhere", HEIC, "--home", home, code=1)
    (tmp_path / "note").write_text(shell("ledger", "checkpoint", "--home", home).stdout, "utf-8")
    (home / "countenance.db").write_bytes(before)
    shell("ledger", "verify", "--home", home)
    told = shell("ledger", "verify", "--home", home, "--checkpoint", tmp_path / "note", code=1).output
    assert "entry 2 is bad: entries 2 to 5 are gone" in told


def test_each_home_s_ledger_has_a_name_of_its_own(shell: Shell, home: Path, tmp_path: Path) -> None:
    shell("init", "--home", tmp_path / "other")
    names = set()
    for place in (home, tmp_path / "other"):
        name = settings.load(place).log_name
        assert re.fullmatch(r"countenance\.local/[0-9a-f]{12}", name)
        assert (place / "ledger.pub").read_text().startswith(f"{name}+")
        assert shell("ledger", "checkpoint", "--home", place).stdout.startswith(f"{name}\n2\n")
        names.add(name)
    assert len(names) == 2


def test_a_master_key_of_another_home_is_said_at_the_start(shell: Shell, home: Path) -> None:
    kept = (home / "master.key").read_bytes()
    (home / "master.key").write_bytes(bytes(32))
    for words in (("serve", "--port", "0"), ("detect", HEIC)):
        told = shell(*words, "--home", home, code=1).output
        assert "master.key does not belong to this database" in told
    (home / "master.key").write_bytes(kept)
    shell("detect", HEIC, "--home", home)


def test_an_organisation_that_was_changed_in_the_database_cannot_call(shell: Shell, home: Path) -> None:
    """A police organisation becomes a business by one UPDATE, and its key becomes useless."""
    shell(
        "keys", "create", "--home", home, "--organisation", "county", "--kind", "police", "--place", "US-CA"
    )
    tampered(home, "UPDATE organisations SET kind = 'police' WHERE name = 'me'")
    assert "UnrecognizedClientException" in shell("detect", HEIC, "--home", home, code=1).output
    tampered(home, "UPDATE organisations SET kind = 'business'")
    told = shell("detect", HEIC, "--home", home, code=1).output
    assert "something other than Countenance changed the keys" in told


def test_a_lost_database_is_no_empty_ledger(shell: Shell, home: Path) -> None:
    (home / "countenance.db").unlink()
    assert "is missing: restore this home" in shell("ledger", "verify", "--home", home, code=1).output
    assert not (home / "countenance.db").exists()


@contextmanager
def served(home: Path, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """`countenance serve` as a process of its own, up and announced."""
    command = [sys.executable, "-c", "from countenance.cli import main; main()", "serve", "--home", str(home)]
    process = subprocess.Popen(
        [*command, "--port", "0", *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 60
        while not (home / "server.json").exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_serve_announces_itself_and_finishes_what_it_began(
    shell: Shell, home: Path, hopper: Pillow.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "credentials"))
    photo = io.BytesIO()
    hopper.save(photo, "PNG")
    with served(home) as process:
        notice = json.loads((home / "server.json").read_text())
        assert notice["pid"] == process.pid
        assert stat.S_IMODE((home / "server.json").stat().st_mode) == 0o600
        told = shell("serve", "--home", home, "--port", "0", code=1).output
        assert f"(process {process.pid}) answers for this home at {notice['url']}" in told
        client = boto3.session.Session().client("rekognition", endpoint_url=notice["url"])
        with ThreadPoolExecutor() as threads:
            # The first call of a server loads its models, so there is time to interrupt it.
            call = threads.submit(client.detect_faces, Image={"Bytes": photo.getvalue()})
            while "countenance_calls_inside 0" in read(f"{notice['url']}/metrics"):
                assert not call.done(), "the call was over before anyone could see it"
            process.send_signal(signal.SIGTERM)
            assert len(call.result()["FaceDetails"]) == 1
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"Countenance answers at {notice['url']}" in out
    assert "stopped; every call that was begun is finished" in err
    assert not (home / "server.json").exists()


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


def test_a_killed_server_leaves_a_notice_nobody_believes(shell: Shell, home: Path) -> None:
    with served(home) as process:
        process.kill()
        process.communicate()
    assert (home / "server.json").exists()
    told = shell("search", "nowhere", HEIC, "--home", home, code=1).output
    assert "The collection id: nowhere does not exist" in told
    assert "`countenance index COLLECTION FOLDER` makes a collection" in told


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.org"])
def test_beyond_this_machine_takes_tls_or_a_word(shell: Shell, home: Path, host: str) -> None:
    told = shell("serve", "--home", home, "--host", host, code=1).output
    assert "--tls-cert and --tls-key, or --insecure-network" in told


def test_a_taken_port_is_said(shell: Shell, home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        told = shell("serve", "--home", home, "--port", other.getsockname()[1], code=1).output
    assert "Choose another with --port" in told


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that nobody but itself vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    plain = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return folder / "cert.pem", folder / "key.pem"


def test_over_tls_the_shell_trusts_the_server_s_own_certificate(
    shell: Shell, home: Path, tmp_path: Path
) -> None:
    cert, key = certificate(tmp_path)
    told = shell("serve", "--home", home, "--tls-cert", cert, code=1).output
    assert "TLS needs both files" in told
    with served(home, "--host", "localhost", "--tls-cert", str(cert), "--tls-key", str(key)):
        assert (notice := door.find(settings.load(home)))
        assert notice.url.startswith("https://localhost:")
        found = json.loads(shell("detect", HEIC, "--home", home, "--json").stdout)
    assert len(found[0]["FaceDetails"]) == 1


def test_a_wrong_file_is_not_taken_for_a_changed_record(shell: Shell, home: Path, tmp_path: Path) -> None:
    photo, note = tmp_path / "photo.jpg", tmp_path / "note"
    photo.write_bytes(b"\xff\xd8\xff")
    note.write_text(shell("ledger", "checkpoint", "--home", home).stdout, "utf-8")
    for option, file, sentence in (
        ("--checkpoint", home / "ledger.pub", "holds no checkpoint"),
        ("--checkpoint", photo, "it is no text"),
        ("--key", photo, "it is no text"),
        ("--key", note, "is not a verifier key"),
    ):
        told = " ".join(shell("ledger", "verify", "--home", home, option, file, code=1).output.split())
        assert sentence in told
        assert "changed this home" not in told
    assert "the ledger has no entry 99" in shell("ledger", "disclose", 99, "--home", home, code=1).output
