"""Servers over coloured squares, each a process to be killed: `python -m tests.door.serve_fakes HOME`.

A line on standard input forks one and its process id comes back on standard output. A fork starts in
milliseconds where Python's imports would take seconds.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from countenance import settings
from countenance.server import Running
from countenance.service import Service
from tests.fakes import FakeVision


def main(home: Path) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the killed
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            serve(home)
            os._exit(0)
        print(child, flush=True)


def serve(home: Path) -> None:
    service = Service(settings.load(home), FakeVision())
    try:
        Running(service).serve_here()
    finally:
        service.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
