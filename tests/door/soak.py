"""Kill -9 a server again and again while four clients index, and look for loss.

`make soak` kills a thousand times; the suite, thirty. What was acknowledged must be listed and
searchable afterwards, the ledger must verify, and nothing may be half-written.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from countenance import office
from countenance.settings import Settings
from countenance.types import OrganisationKind
from tests.fakes import picture
from tests.parity.wire import Key, Wire

CLIENTS = 4


@dataclass
class Soak:
    """One home, its server's process, and what clients were told.

    acknowledged: FaceId by ExternalImageId. condemned: FaceIds whose deletion was asked for; deleted: those
    whose deletion was acknowledged.
    """

    home: Path
    acknowledged: dict[str, str] = field(default_factory=dict)
    condemned: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    count: int = 0

    def __post_init__(self) -> None:
        self.settings = Settings(home=self.home)
        office.found(self.settings, "soak", OrganisationKind.RESEARCH, "world", "research")
        self._lock = threading.Lock()
        with (self.home / "server.log").open("ab") as log:
            self._nursery = subprocess.Popen(
                [sys.executable, "-m", "tests.door.serve_fakes", str(self.home)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def start(self) -> int:
        """A server in its own process, ready to answer. It sees coloured squares: the store is on trial."""
        self.settings.server.unlink(missing_ok=True)
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.write("one more\n")
        self._nursery.stdin.flush()
        process = int(self._nursery.stdout.readline())
        deadline = time.monotonic() + 60
        while not self.settings.server.exists():
            assert alive(process), (self.home / "server.log").read_text()[-2000:]
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.02)
        return process

    def open_collection(self) -> None:
        """Somewhere to enrol."""
        process = self.start()
        try:
            assert self.wire().call("CreateCollection", {"CollectionId": "people"}).status == 200
        finally:
            end(process, signal.SIGTERM)

    def close(self) -> None:
        """End the nursery; its servers are dead already."""
        self._nursery.communicate()

    def wire(self) -> Wire:
        """Calls by hand: a boto3 client for each life of the server would cost more than the life."""
        url = json.loads(self.settings.server.read_text())["url"]
        lines = dict(re.findall(r"(\w+) = (\S+)", self.settings.credentials.read_text()))
        key = Key(lines["aws_access_key_id"], lines["aws_secret_access_key"])
        return Wire(int(url.rpartition(":")[2]), key)

    def round(self, calls: int, pause: float) -> None:
        """Four clients at work on a server that is killed `pause` seconds after they had `calls` answers."""
        process, before = self.start(), len(self.acknowledged)
        threads = [threading.Thread(target=self._work, args=(self.wire(),)) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        while len(self.acknowledged) < before + calls and any(thread.is_alive() for thread in threads):
            time.sleep(0.002)
        time.sleep(pause)
        end(process, signal.SIGKILL)
        for thread in threads:
            thread.join()

    def _work(self, wire: Wire) -> None:
        """Enrol, and now and then delete, until the server is gone."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                with self._lock:
                    self.count += 1
                    number = self.count
                image = {"Bytes": picture((number % 251, number // 251 % 251, 7))}
                request = {"CollectionId": "people", "Image": image, "ExternalImageId": f"p{number}"}
                reply = wire.call("IndexFaces", request)
                assert reply.status == 200, reply.body
                face_id = reply.json["FaceRecords"][0]["Face"]["FaceId"]
                self.acknowledged[f"p{number}"] = face_id
                if number % 10 == 0:
                    self.condemned.add(face_id)
                    reply = wire.call("DeleteFaces", {"CollectionId": "people", "FaceIds": [face_id]})
                    assert reply.json["DeletedFaces"] == [face_id], reply.body
                    self.deleted.add(face_id)

    def examine(self) -> None:
        """Every acknowledged face is listed and found; no deleted one is; the ledger verifies."""
        process = self.start()
        wire = self.wire()
        try:
            listed = self._listed(wire)
            for name, face_id in self.acknowledged.items():
                if face_id in self.deleted:
                    assert listed.get(name) != face_id, f"{name} was deleted and is listed"
                elif name in listed:
                    assert listed[name] == face_id, f"{name} changed its FaceId"
                else:  # a deletion may have been carried out and its acknowledgement lost
                    assert face_id in self.condemned, f"{name} was acknowledged and is lost"
            size = wire.call("DescribeCollection", {"CollectionId": "people"}).json["FaceCount"]
            assert size == len(listed), f"FaceCount is {size}, and {len(listed)} faces are listed"
            for name in random.sample(sorted(listed), min(20, len(listed))):
                number = int(name[1:])
                image = {"Bytes": picture((number % 251, number // 251 % 251, 7))}
                found = wire.call("SearchFacesByImage", {"CollectionId": "people", "Image": image}).json
                assert listed[name] in {match["Face"]["FaceId"] for match in found["FaceMatches"]}
        finally:
            end(process, signal.SIGTERM)
        verified = office.verified(self.settings)
        assert verified.without_outcome == ()
        assert verified.decisions == verified.outcomes

    def _listed(self, wire: Wire) -> dict[str, str]:
        listed: dict[str, str] = {}
        token: dict[str, str] = {}
        while True:
            page = wire.call("ListFaces", {"CollectionId": "people", **token}).json
            listed |= {face["ExternalImageId"]: face["FaceId"] for face in page["Faces"]}
            if "NextToken" not in page:
                return listed
            token = {"NextToken": page["NextToken"]}


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def end(process: int, how: signal.Signals) -> None:
    os.kill(process, how)
    while alive(process):
        time.sleep(0.005)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    kills = parser.parse_args().kills
    with tempfile.TemporaryDirectory(prefix="countenance-soak-") as folder:
        soak = Soak(Path(folder) / "home")
        soak.open_collection()
        for done in range(kills):
            soak.round(calls=random.randrange(12), pause=random.uniform(0, 0.1))
            if done % 50 == 49:
                soak.examine()
            print(f"\r{done + 1} of {kills} kills, {len(soak.acknowledged)} faces acknowledged", end="")
        soak.examine()
        soak.close()
        print("\nnothing acknowledged was lost; the ledger verifies")


if __name__ == "__main__":
    main()
