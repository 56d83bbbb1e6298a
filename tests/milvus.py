"""A real Milvus for tests, on this machine, that nobody outside can reach.

    python -m tests.milvus COMMAND...      the command beside a place where a Milvus can be started

The server is the wheel `milvus` (2.3.5, Apache-2.0, 56 MB), in a virtual environment of its own under the
cache folder, taken only if it is the file named here. It binds every interface and has no password, so all
of it runs in a network namespace: a machine of its own as far as the network goes, with a loopback and
nothing else. `make test-milvus` is this with pytest.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

WHEEL = """\
milvus==2.3.5 \\
    --hash=sha256:69515a0630ce29fd10e101fa442afea8ca1387b93a456cd9bd41fdf3deb93d04
"""
PYTHON = "COUNTENANCE_MILVUS_PYTHON"
"""Set where a Milvus can be started: the Python of its virtual environment."""

PORT = 19530
URL = f"milvus://127.0.0.1:{PORT}"
PATIENCE = 180
"""Seconds within which a Milvus starts: 13 on two free processors."""

_START = """
import milvus, os, socket, sys

def free(config, port):  # its own says no for a minute after a Milvus was killed
    asking = socket.socket()
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    asking.bind(("127.0.0.1", port))
    return asking

milvus.MilvusServerConfig.try_bind_port = free
server = milvus.MilvusServer(wait_for_started=False)
server.set_base_dir(sys.argv[1])
server.start()
os.write(1, b"%d\\n" % server.server_proc.pid)
os._exit(0)  # and leave it running
"""


class Server:
    """A Milvus in a folder, which can be stopped hard, held and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pid = 0

    def start(self) -> None:
        """Returns once it answers."""
        command = [os.environ[PYTHON], "-c", _START, str(self.folder)]
        told = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=self.folder, text=True)
        self._pid = int(told.stdout)
        deadline = time.monotonic() + PATIENCE
        while not _answers():
            if time.monotonic() > deadline:
                log = self.folder / "logs" / "milvus-stdout.log"
                raise TimeoutError(f"Milvus did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.2)

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        while _answers():
            time.sleep(0.1)
        _reap(self._pid)

    def hold(self) -> None:
        """It keeps its connections and answers nobody."""
        os.kill(self._pid, signal.SIGSTOP)

    def let_go(self) -> None:
        os.kill(self._pid, signal.SIGCONT)


@contextmanager
def running() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="countenance-milvus-"))
    server = Server(folder)
    try:
        server.start()
        yield server
        server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def possible() -> bool:
    """Whether this process is where a Milvus can be started."""
    return PYTHON in os.environ


def _answers() -> bool:
    """Whether it is ready to work, by its own word."""
    try:
        with socket.create_connection(("127.0.0.1", 9091), timeout=1) as asking:
            asking.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: asking.recv(4096), b""))
    except OSError:
        return False
    return b"200 OK" in answer and b"OK" in answer.partition(b"\r\n\r\n")[2]


def _reap(pid: int) -> None:
    """Wait until a process that is no child of ours is gone."""
    while (Path("/proc") / str(pid)).exists():
        state = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
        if state == "Z":
            return
        time.sleep(0.05)


def _installed() -> Path:
    """The Python of the server's virtual environment, made if it is not there."""
    folder = platformdirs.user_cache_path("countenance") / "milvus-2.3.5"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print(f"installing the Milvus server into {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        wanted = folder / "wanted.txt"
        wanted.write_text(WHEEL)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--require-hashes", "-r", str(wanted)], check=True)
        (folder / "ready").touch()
    return python


def _raise_loopback() -> None:
    """A new network namespace has a loopback that is down."""
    with socket.socket() as asking:
        set_flags, up_and_running = 0x8914, 0x41
        fcntl.ioctl(asking, set_flags, struct.pack("16sh", b"lo", up_and_running))


def main() -> None:
    if os.environ.get(PYTHON) == "inside":
        _raise_loopback()
        os.environ[PYTHON] = str(_installed())
        os.execvp(sys.argv[1], sys.argv[1:])
    _installed()  # out here, where there is a network
    os.environ[PYTHON] = "inside"
    apart = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    os.execvp(apart[0], [*apart, sys.executable, "-m", "tests.milvus", *sys.argv[1:]])


if __name__ == "__main__":
    main()
