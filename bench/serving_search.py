"""SearchFaces over HTTP beside the library's own search, both with eight at once, in one collection.

    python bench/serving_search.py [--faces 1000000] [--clients 8] [--searches 160] [--rounds 5]

Requests are signed before the clock runs, so that a client only sends and reads. Server and library are two
processes on one home, each with its own index of the same rows; they take turns, so whatever else the machine
does meets both. The library's turn reads the face's vector and searches with it, as the operation does; the
server's also verifies a signature, asks policy, writes two ledger entries durably, and answers in JSON.
"""

from __future__ import annotations

import argparse
import configparser
import http.client
import json
import multiprocessing
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import calls
import gallery as galleries_bench
import numpy as np
import psutil
import sqlalchemy as sa
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from countenance.audit import search
from countenance.database import Database
from countenance.galleries import Galleries, store
from countenance.schema import collections, faces
from countenance.settings import load
from countenance.types import Embedding, Gallery, Probe
from countenance.vision import zoo

NAME = "many"
MOST, SIMILARITY = 5, 80.0

Took = tuple[float, float]
"""Seconds by the clock, and of the processor, of one turn."""


def at_once(threads: int, jobs: Sequence[Any], work: Callable[[Sequence[Any]], None]) -> float:
    """Seconds that so many threads take for their shares of the jobs."""
    faults: list[BaseException] = []

    def share(number: int) -> None:
        try:
            work(jobs[number::threads])
        except BaseException as fault:  # noqa: BLE001 - it is raised below
            faults.append(fault)

    started = [threading.Thread(target=share, args=(number,)) for number in range(threads)]
    began = time.perf_counter()
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    if faults:
        raise faults[0]
    return time.perf_counter() - began


def library(home: Path, clients: int, ours: Connection) -> None:
    """A process that searches with lists of FaceIds as they come, and says how long each list took."""
    database = Database(load(home).database_url)
    galleries, found = Galleries(database), _gallery(database)
    floor = zoo.card(found.model).calibrations["adults"].cosine(SIMILARITY)

    def work(face_ids: Sequence[str]) -> None:
        for face_id in face_ids:
            with database.reading() as connection:
                vector = store.vector(connection, found, face_id)
            assert vector is not None
            galleries.identify(found, Probe(Embedding(vector, found.model)), MOST + 1, floor)

    while face_ids := ours.recv():
        used = time.process_time()
        took = at_once(clients, face_ids, work)
        ours.send((took, time.process_time() - used))


def _gallery(database: Database) -> Gallery:
    with database.reading() as connection:
        account = connection.execute(sa.select(collections.c.account)).scalar_one()
        found = store.find(connection, account, NAME)
    assert found is not None
    return found


class Clients:
    """So many kept connections, and requests that are signed beforehand."""

    def __init__(self, url: str, credentials: Path, count: int) -> None:
        keys = configparser.ConfigParser()
        keys.read(credentials)
        first = keys["default"]
        secret = Credentials(first["aws_access_key_id"], first["aws_secret_access_key"])
        self._signer = SigV4Auth(secret, "rekognition", first["region"])
        self._url, self._count = url + "/", count
        self._kept = [http.client.HTTPConnection(urlsplit(url).netloc) for _ in range(count)]

    def signed(self, face_id: str) -> tuple[bytes, dict[str, str]]:
        asked = {"CollectionId": NAME, "FaceId": face_id, "MaxFaces": MOST, "FaceMatchThreshold": SIMILARITY}
        body = json.dumps(asked).encode()
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "RekognitionService.SearchFaces",
        }
        request = AWSRequest("POST", self._url, headers=headers, data=body)
        self._signer.add_auth(request)
        return body, dict(request.headers.items())

    def turn(self, face_ids: Sequence[str]) -> Took:
        requests, free = [self.signed(face_id) for face_id in face_ids], list(self._kept)

        def work(mine: Sequence[tuple[bytes, dict[str, str]]]) -> None:
            connection = free.pop()
            for body, headers in mine:
                connection.request("POST", "/", body, headers)
                answer = connection.getresponse()
                content = answer.read()
                if answer.status != 200:
                    raise SystemExit(f"{answer.status} {content.decode()}")

        used = time.process_time()
        took = at_once(self._count, requests, work)
        return took, time.process_time() - used


def filled(home: Path, count: int) -> list[str]:
    """Rows straight into the home's collection; some of their FaceIds."""
    rows = np.zeros((count, 128), np.float32)
    for _ in search.made(count, 128, rows):
        pass
    database = Database(load(home).database_url)
    try:
        galleries_bench.fill(database, _gallery(database), rows)
        with database.reading() as connection:
            some = sa.select(faces.c.face_id).where(faces.c.number % max(count // 2000, 1) == 0)
            return list(connection.execute(some).scalars())
    finally:
        database.close()


def measured(asked: argparse.Namespace, home: Path, url: str, server: psutil.Process) -> None:
    credentials = home / "credentials"
    calls.Client(url, credentials).call("CreateCollection", json.dumps({"CollectionId": NAME}).encode())
    ids = filled(home, asked.faces)
    ours, theirs = multiprocessing.Pipe()
    spawn = multiprocessing.get_context("spawn")
    beside = spawn.Process(target=library, args=(home, asked.clients, theirs), daemon=True)
    beside.start()
    clients, rates = Clients(url, credentials, asked.clients), list[tuple[float, ...]]()
    for number in range(asked.rounds + 1):  # the first loads both indexes
        some = [ids[(number * asked.searches + each) % len(ids)] for each in range(asked.searches)]
        ours.send(some)
        took, used = ours.recv()
        before = sum(server.cpu_times()[:2])
        over, client = clients.turn(some)
        served = sum(server.cpu_times()[:2]) - before
        if number:
            milli = 1000 / asked.searches
            rates.append((1 / took, 1 / over, took / over, used * milli, served * milli, client * milli))
    ours.send([])
    beside.join()
    show(rates, asked.searches)


def show(rates: Sequence[tuple[float, ...]], searches: int) -> None:
    """Medians over the rounds, with the least and the most."""
    columns = [sorted(column) for column in zip(*rates, strict=True)]
    names = ("the library's searches a second", "over HTTP", "HTTP / library")
    names += ("processor ms a search: library", "server", "client")
    print("| | median (least to most) |\n|---|---|")
    for number, (name, values) in enumerate(zip(names, columns, strict=True)):
        times = searches if number < 2 else 1
        low, middle, high = (each * times for each in (values[0], statistics.median(values), values[-1]))
        print(f"| {name} | {middle:.3g} ({low:.3g} to {high:.3g}) |")


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--faces", type=int, default=1_000_000)
    ask.add_argument("--clients", type=int, default=8)
    ask.add_argument("--searches", type=int, default=160, help="of each contestant in a round")
    ask.add_argument("--rounds", type=int, default=5)
    asked = ask.parse_args()
    with tempfile.TemporaryDirectory(prefix="countenance-bench-") as folder:
        home = Path(folder) / "home"
        with calls.serving(home) as (url, server):
            print(f"{asked.faces:,} faces, {asked.clients} at once, {asked.searches} searches a turn\n")
            measured(asked, home, url, server)


if __name__ == "__main__":
    main()
