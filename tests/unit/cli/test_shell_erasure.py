"""A person is erased from the shell, and finds his entries before."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image as Pillow

from countenance import office, settings
from countenance import open as opened
from tests.unit.cli.conftest import Shell


def test_a_person_finds_his_entries_and_is_erased(
    shell: Shell, home: Path, tmp_path: Path, hopper: Pillow.Image, collins: Pillow.Image
) -> None:
    for name, portrait in (("grace", hopper), ("eileen", collins)):
        portrait.save(tmp_path / f"{name}.jpg", quality=92)
    with opened(home) as client:
        client.create_collection(CollectionId="pilots")
        for name in ("grace", "eileen"):
            image = {"Bytes": (tmp_path / f"{name}.jpg").read_bytes()}
            client.index_faces(CollectionId="pilots", Image=image, ExternalImageId=name)
    photo = tmp_path / "grace.jpg"
    shell("search", "pilots", photo, "--home", home, "--case", "K-17")

    who = ("--collection", "pilots", "--external-image-id", "grace")
    told = shell("subject", "key", "--home", home, *who)
    key = told.stdout.strip()
    assert len(bytes.fromhex(key)) == 32
    found = json.loads(shell("subject", "entries", "--home", home, "--subject", key, "--json").stdout)
    assert [one["decision"]["operation"] for one in found] == ["IndexFaces", "SearchFacesByImage"]
    assert all(one["outcome"]["decision"] == one["decision"]["seq"] for one in found)
    assert "SearchFacesByImage" in shell("subject", "entries", "--home", home, "--subject", key).output
    strange = shell("subject", "entries", "--home", home, "--subject", "0" * 64).output
    assert "Nothing in this ledger concerned" in strange

    told = shell("erase", "--home", home, "--subject", "grace", "--reason", "asked by letter")
    assert "Erased: 1 face in pilots" in told.stdout
    assert "unreadable now: 1" in told.stdout
    assert "Backups made before" in told.stderr
    assert "nobody of that name" in shell("subject", "key", "--home", home, *who, code=1).output
    # His entries stay, and who kept his key still finds them: the last is that he was erased.
    found = json.loads(shell("subject", "entries", "--home", home, "--subject", key, "--json").stdout)
    assert [one["decision"]["operation"] for one in found][-1] == "EraseSubject"
    assert found[-1]["outcome"]["removed"] == 1
    assert found[-1]["outcome"]["shredded"] == 1
    office.verified(settings.load(home))
    again = json.loads(shell("erase", "--home", home, "--subject", "grace", "--json").stdout)
    assert again == {"ErasedFaces": [], "ShreddedRecords": 0, "KeptRecords": 0}
    said = shell("erase", "--home", home, "--subject", "grace").output
    assert "nothing was there to erase" in said
    assert "Backups" not in said


def test_a_person_is_named_once(shell: Shell, home: Path) -> None:
    both = ("--subject", "grace", "--face-id", "11111111-2222-3333-4444-555555555555")
    assert "one of them" in shell("erase", "--home", home, *both, code=2).output
    assert "one of them" in shell("subject", "key", "--home", home, "--collection", "c", code=2).output
    assert (
        "64 hexadecimal digits"
        in shell("subject", "entries", "--home", home, "--subject", "x", code=1).output
    )


def test_the_worker_does_its_duties_once_and_sweeps(shell: Shell, home: Path) -> None:
    assert "Nothing was due." in shell("worker", "--home", home, "--once").output
    lines = (home / "settings.toml").read_text()
    (home / "settings.toml").write_text(f'{lines}publish = "{home.parent}/out"\n')
    assert "2 entries published" in shell("worker", "--home", home, "--once").output
    (home.parent / "out" / "checkpoint").write_text("another's")
    assert "failed: publication" in shell("worker", "--home", home, "--once", code=1).output
    assert "was written anew" in shell("worker", "--home", home, "--sweep").output
