"""Calls a second that only read and record: DescribeCollection over HTTP against `countenance serve`.

    python bench/calls.py [--clients 8 30] [--seconds 10]

Each call is signed, decided and written to the ledger twice, durably, before it is answered. The server is a
process of its own on a new home; so is every client, with one kept connection and no SDK: it signs with
botocore's SigV4Auth and writes the request itself. The clients share the machine with the server, so the
table says what processor time either took. The ledger is verified at the end.
"""

from __future__ import annotations

import argparse
import configparser
import http.client
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

COUNTENANCE = [str(Path(sys.executable).with_name("countenance"))]
COLLECTION = json.dumps({"CollectionId": "people"}).encode()
STARTING = 120.0  # seconds the server may take to answer


@dataclass(frozen=True)
class Run:
    """What one client saw. latencies: seconds, one a call. processor: seconds the client itself used."""

    latencies: list[float]
    began: float
    ended: float
    processor: float


class Client:
    """One kept connection of one key."""

    def __init__(self, url: str, credentials: Path) -> None:
        key = configparser.ConfigParser()
        key.read(credentials)
        first = key["default"]
        self._signer = SigV4Auth(
            Credentials(first["aws_access_key_id"], first["aws_secret_access_key"]),
            "rekognition",
            first["region"],
        )
        self._url = url + "/"
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc)

    def call(self, operation: str, body: bytes) -> None:
        """One call, its whole answer read. Ends the program where the answer is an error."""
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"RekognitionService.{operation}",
        }
        request = AWSRequest("POST", self._url, headers=headers, data=body)
        self._signer.add_auth(request)
        self._connection.request("POST", "/", body, dict(request.headers.items()))
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{operation}: {answer.status} {content.decode()}")


def keep_calling(url: str, credentials: Path, seconds: float, together: Barrier) -> Run:
    client = Client(url, credentials)
    for _ in range(20):
        client.call("DescribeCollection", COLLECTION)
    together.wait()
    latencies = []
    began, used = time.monotonic(), time.process_time()
    before = began
    while before < began + seconds:
        client.call("DescribeCollection", COLLECTION)
        after = time.monotonic()
        latencies.append(after - before)
        before = after
    return Run(latencies, began, before, time.process_time() - used)


def _client(url: str, credentials: Path, seconds: float, together: Barrier, results: object) -> None:
    results.put(keep_calling(url, credentials, seconds, together))  # type: ignore[attr-defined]


def clients(number: int, url: str, credentials: Path, seconds: float, server: psutil.Process) -> str:
    """One line of the table: `number` clients for so many seconds."""
    spawn = multiprocessing.get_context("spawn")  # each client a fresh program, as clients are
    together, results = spawn.Barrier(number + 1), spawn.Queue()
    processes = [
        spawn.Process(target=_client, args=(url, credentials, seconds, together, results), daemon=True)
        for _ in range(number)
    ]
    for process in processes:
        process.start()
    together.wait(STARTING)
    used = sum(server.cpu_times()[:2])
    runs = [results.get(timeout=seconds + 60) for _ in processes]
    used = sum(server.cpu_times()[:2]) - used
    for process in processes:
        process.join()
    return row(runs, used)


def row(runs: Sequence[Run], server_used: float) -> str:
    latencies = sorted(latency * 1000 for run in runs for latency in run.latencies)
    count = len(latencies)
    elapsed = max(run.ended for run in runs) - min(run.began for run in runs)
    middle, high = statistics.median(latencies), latencies[min(count - 1, int(count * 0.99))]
    client_used = sum(run.processor for run in runs)
    return (
        f"| {len(runs)} | {count / elapsed:.0f} | {middle:.1f} | {high:.1f} | {latencies[-1]:.1f} |"
        f" {server_used / count * 1000:.2f} | {client_used / count * 1000:.2f} |"
    )


@contextmanager
def serving(home: Path) -> Iterator[tuple[str, psutil.Process]]:
    """A new home and `countenance serve` on it: its URL and its process."""
    arguments = ["--home", str(home), "--kind", "business", "--place", "US-CA", "--purpose", "development"]
    subprocess.run([*COUNTENANCE, "init", *arguments], check=True, stdout=subprocess.DEVNULL)
    with (home / "serve.log").open("w") as log:
        process = subprocess.Popen(
            [*COUNTENANCE, "serve", "--home", str(home), "--port", "0"], stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + STARTING
        while not (home / "server.json").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit((home / "serve.log").read_text())
            time.sleep(0.1)
        yield json.loads((home / "server.json").read_text())["url"], psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, nargs="+", default=[8, 30])
    parser.add_argument("--seconds", type=float, default=10.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="countenance-bench-") as folder:
        home = Path(folder) / "home"
        with serving(home) as (url, server):
            Client(url, home / "credentials").call("CreateCollection", COLLECTION)
            print(
                f"DescribeCollection, {asked.seconds:g} seconds each, {len(os.sched_getaffinity(0))} cores\n"
            )
            print("| clients | calls a second | median ms | p99 ms | longest ms |", end="")
            print(" server's processor ms a call | client's |\n|---|---|---|---|---|---|---|")
            for number in asked.clients:
                print(clients(number, url, home / "credentials", asked.seconds, server), flush=True)
        print(flush=True)
        subprocess.run([*COUNTENANCE, "ledger", "verify", "--home", str(home)], check=True)


if __name__ == "__main__":
    main()
