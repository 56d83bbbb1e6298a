"""Receipts, reviews and disclosures from the shell, checked by the stand-alone file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from PIL import Image as Pillow

from countenance import ledger
from countenance import open as opened
from countenance.client import decision
from tests.unit.cli.conftest import Shell

VERIFIER = Path(ledger.__file__).parent / "verifier" / "countenance_verify.py"


def verify(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", VERIFIER, *words]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)


@pytest.fixture
def searched(shell: Shell, home: Path, tmp_path: Path, hopper: Pillow.Image) -> tuple[int, str]:
    """A search that named a case: its decision, and the candidate's FaceId."""
    photo = tmp_path / "grace.jpg"
    hopper.save(photo, quality=92)
    with opened(home) as client:
        client.create_collection(CollectionId="pilots")
        client.index_faces(CollectionId="pilots", Image={"Bytes": photo.read_bytes()})
    told = shell("search", "pilots", photo, "--home", home, "--case", "2026-117").stdout
    found = re.search(r"This search is entry (\d+)", told)
    assert found
    face = re.search(r"[0-9a-f]{8}-[0-9a-f-]{27}", told)
    assert face
    return int(found[1]), face[0]


def test_a_receipt_is_written_and_proves_itself(
    shell: Shell, home: Path, tmp_path: Path, searched: tuple[int, str]
) -> None:
    out = tmp_path / "receipt.json"
    told = shell("receipt", searched[0], "--home", home, "--out", out).stdout
    assert f"receipt {out} --key ledger.pub" in told
    good = verify("receipt", out, "--key", home / "ledger.pub")
    assert good.returncode == 0, good.stdout + good.stderr
    assert "SearchFacesByImage" in good.stdout
    printed = json.loads(shell("receipt", searched[0], "--home", home).stdout)
    out.write_text(json.dumps(printed).replace("pilots", "nobody"))
    assert verify("receipt", out, "--key", home / "ledger.pub").returncode == 1
    assert "exist" in shell("receipt", searched[0], "--home", home, "--out", out, code=1).output
    told = shell("receipt", 10**6, "--home", home, code=1).output
    assert "does not exist" in told
    assert "countenance index" not in told


def test_a_case_that_is_disclosed_is_held_to_the_entry(
    shell: Shell, home: Path, tmp_path: Path, searched: tuple[int, str]
) -> None:
    out = tmp_path / "receipt.json"
    shell("receipt", searched[0], "--home", home, "--out", out)
    told = json.loads(shell("ledger", "disclose", searched[0], "--home", home, "--json").stdout)
    assert told["said"] == {"case": "2026-117"}
    assert "2026-117" in shell("ledger", "disclose", searched[0], "--home", home).stdout
    assert verify("open", out, "case=2026-117", "--record-key", told["record_key"]).returncode == 0
    assert verify("open", out, "case=2026-118", "--record-key", told["record_key"]).returncode == 1
    nothing = shell("ledger", "disclose", 0, "--home", home, code=1).output
    assert "nothing private was said" in nothing


def test_a_review_is_recorded_and_counted(
    shell: Shell, home: Path, tmp_path: Path, searched: tuple[int, str]
) -> None:
    number, face = searched
    who = ("--by", "Ada Lovelace", "--home", home)
    assert "is wrong" in shell("review", number, face, "wrong", *who).stdout
    shell("review", number, face, "confirmed", *who)
    assert "confirmed" in shell("review", number, face, "maybe", *who, code=2).output
    strange = shell("review", number, "0" * 8 + face[8:], "wrong", *who, code=1).output
    assert "not among the candidates" in strange


def test_a_client_that_knows_our_operations_finds_its_calls(home: Path) -> None:
    with opened(home) as client:
        answer = client.list_collections()
        receipt = client.get_receipt(Decision=decision(answer))
        body = json.loads(receipt["Entries"][0]["Body"])
        assert body["request"] == answer["ResponseMetadata"]["RequestId"]
        with pytest.raises(ClientError) as failed:
            client.describe_collection(CollectionId="nobody")
        assert decision(failed.value.response) > decision(answer)
    with pytest.raises(ValueError, match="no receipt"):
        decision({"ResponseMetadata": {"HTTPHeaders": {}}})
