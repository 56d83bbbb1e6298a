"""Milvus, and nothing but Milvus: the one place that knows pymilvus.

A home's indexes are collections of one name each, behind an alias that says which is in force. A row of
one is a face's row number and its vector; two rows below zero are ours (`remote` says what they are for).
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

from countenance.errors import HomeError, IndexFault
from countenance.galleries.index import Doubles, Numbers
from countenance.types import Vector

LOG = logging.getLogger(__name__)

MOST = 16_384
"""Rows that Milvus gives to one search (its `topk` limit, also of 2.3)."""

EXACT = frozenset({"FLAT"})
"""Index types by which Milvus compares a probe with every row, in float32."""

MOMENT, WHILE = 5.0, 60.0
"""Seconds that Milvus is waited for: to search or to write; to make a collection, to flush one."""

PORT = 19530
_SCHEMES = {"milvus": "http", "milvus+tls": "https"}
_GONE, _ASLEEP = 100, 101  # Milvus's codes: no such collection; one that is not loaded
_NOTE = 512  # characters


class Dropped(LookupError):
    """The collection is not there: somebody dropped it, or put another in its place."""


@dataclass(frozen=True, slots=True)
class Made:
    """A collection that is there. made: when, as a Unix time."""

    name: str
    dimension: int
    made: float


class Milvus:
    """A Milvus server, and the names under which one home keeps its indexes there.

    url: `milvus://[user:password@]host[:port][/database]`, with `milvus+tls` by TLS; a token may stand for
    user and password. home: what no other home on that server has. Connects when it is first asked. Raises
    HomeError where the URL is none or pymilvus is not installed.
    """

    def __init__(self, url: str, home: str) -> None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or PORT
        except ValueError:  # a port that is no number
            host = None
        if not host or parts.scheme not in _SCHEMES:
            shape = "milvus://[user:password@]host[:19530][/database], or milvus+tls://"
            raise HomeError(f"index_url must be written like {shape}")
        if find_spec("pymilvus") is None:
            raise HomeError(
                "index_url is set, but pymilvus is not installed: pip install 'countenance[milvus]'"
            )
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._uri = f"{_SCHEMES[parts.scheme]}://{self.address}"
        self._token = ":".join(unquote(each) for each in (parts.username, parts.password) if each)
        self._database = parts.path.strip("/")
        self._prefix = "countenance_" + hashlib.sha256(home.encode()).hexdigest()[:16]
        self._lock = threading.Lock()
        self._client: Any = None

    def alias(self, number: int, model: str, of: str) -> str:
        """What leads to a gallery's index of its faces, or users, as long as it is of this model."""
        return f"{self._prefix}_{number}_{of}_{hashlib.sha256(model.encode()).hexdigest()[:8]}"

    def resolve(self, alias: str) -> str | None:
        """The collection an alias leads to. Raises IndexFault."""
        try:
            with self._asked() as client:
                return str(client.describe_collection(alias, timeout=MOMENT)["collection_name"])
        except Dropped:
            return None

    def look(self, collection: str) -> Made:
        """Raises Dropped, and IndexFault where its index is not one that compares with every row."""
        with self._asked() as client:
            told = client.describe_collection(collection, timeout=MOMENT)
            kind = client.describe_index(collection, "vector", timeout=MOMENT)["index_type"]
        if kind not in EXACT:
            raise IndexFault(
                f"the index of {collection} in Milvus was made {kind}, which loses people: drop the"
                " collection, it is made anew"
            )
        return _made(told)

    def begin(self, alias: str, dimension: int, instead: str | None) -> str:
        """Make an empty collection and let the alias lead to it, `instead` of the one it led to.

        Where others were faster it is theirs that counts. Raises IndexFault.
        """
        name = f"{alias}_{secrets.token_hex(4)}"
        with self._asked() as client:
            client.create_collection(name, **self._shape(client, dimension), timeout=WHILE)
        now = self.resolve(alias)
        if now == instead:
            self._lead(alias, name, instead)
            now = self.resolve(alias)
        for other in {name, instead} - {now, None}:
            self.drop(str(other))
        if now is None:
            raise IndexFault(f"Milvus at {self.address} took the alias of a collection and forgot it")
        return now

    def _lead(self, alias: str, name: str, instead: str | None) -> None:
        """Unless others were faster."""
        with self._asked() as client:
            if instead is None:
                try:
                    client.create_alias(name, alias, timeout=MOMENT)
                except self._fault() as fault:
                    LOG.info("the alias %s was not made: %s", alias, fault)
                else:
                    return
            if self.resolve(alias) == instead:  # of a collection that somebody dropped an alias may be left
                client.alter_alias(name, alias, timeout=MOMENT)

    def unlead(self, alias: str) -> None:
        """Drop an alias with what it leads to. Raises IndexFault."""
        if (name := self.resolve(alias)) is not None:
            with self._asked() as client:
                client.drop_alias(alias, timeout=MOMENT)
            self.drop(name)

    def drop(self, collection: str) -> None:
        """Drop a collection, if it is there. Raises IndexFault."""
        with self._asked() as client:
            client.drop_collection(collection, timeout=WHILE)

    def collections(self) -> list[tuple[str, Made]]:
        """(alias, collection) of all that are this home's, whether the alias leads to it or not."""
        with self._asked() as client:
            names = [name for name in client.list_collections() if name.startswith(self._prefix)]
        found = []
        for name in names:
            try:
                with self._asked() as client:
                    told = client.describe_collection(name, timeout=MOMENT)
            except Dropped:
                continue
            found.append((name.rpartition("_")[0], _made(told)))
        return found

    def put(self, collection: str, rows: Sequence[int], vectors: Vector, note: str = "") -> int:
        """Put rows, or replace them; the time Milvus gave the write. Raises Dropped, IndexFault."""
        data = [{"row": row, "vector": each, "note": note} for row, each in zip(rows, vectors, strict=True)]
        with self._asked() as client:
            written = client._get_connection().upsert_rows(collection, data, timeout=MOMENT)  # noqa: SLF001
            return int(written.timestamp)  # which MilvusClient.upsert keeps to itself

    def remove(self, collection: str, rows: Sequence[int]) -> None:
        """Raises Dropped, IndexFault."""
        with self._asked() as client:
            client.delete(collection, filter=f"row in {list(rows)}", timeout=MOMENT)

    def note(self, collection: str, row: int, *, newest: bool) -> str | None:
        """What was written with a row. newest: whether Milvus must have taken in every write; it waits for
        that up to 200 ms. Raises Dropped, IndexFault."""
        level = "Strong" if newest else "Eventually"
        found = self._query(collection, f"row in [{row}]", "note", level)
        return str(found[0]["note"]) if found else None

    def count(self, collection: str) -> int:
        """How many rows from zero up there are. Raises Dropped, IndexFault."""
        return int(self._query(collection, "row >= 0", "count(*)", "Strong")[0]["count(*)"])

    def near(self, collection: str, probe: Vector, limit: int, sees: int) -> tuple[Numbers, Doubles]:
        """(rows, inner products), best first, at most `limit`, once it sees all writes until a time.

        Raises Dropped, IndexFault.
        """
        with self._asked(collection) as client:
            [found] = client.search(
                collection,
                data=[probe],
                anns_field="vector",
                limit=limit,
                search_params={"metric_type": "IP"},
                consistency_level="Customized",
                guarantee_timestamp=sees,
                timeout=MOMENT,
            )
        return np.array(found.ids, np.int64), np.array(found.distances, np.float64)

    def settle(self, collection: str) -> None:
        """Have Milvus write what it holds and write anew what lost rows: without them. It does the second in
        its own time. Raises Dropped, IndexFault."""
        with self._asked() as client:
            client.flush(collection, timeout=WHILE)
            client.compact(collection, timeout=WHILE)

    def _query(self, collection: str, which: str, what: str, level: str) -> Any:
        with self._asked(collection) as client:
            return client.query(
                collection, filter=which, output_fields=[what], consistency_level=level, timeout=MOMENT
            )

    @staticmethod
    def _shape(client: Any, dimension: int) -> dict[str, Any]:
        kinds = import_module("pymilvus").DataType
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("row", kinds.INT64, is_primary=True)
        schema.add_field("vector", kinds.FLOAT_VECTOR, dim=dimension)
        schema.add_field("note", kinds.VARCHAR, max_length=_NOTE)
        index = client.prepare_index_params()
        index.add_index(field_name="vector", index_type="FLAT", metric_type="IP")
        return {"schema": schema, "index_params": index, "num_shards": 1, "consistency_level": "Bounded"}

    @contextmanager
    def _asked(self, collection: str | None = None) -> Iterator[Any]:
        """The client, for one question. Raises Dropped, IndexFault.

        collection: one that is loaded should it not be, and asked again by whoever asks again after Dropped.
        """
        try:
            yield self._connected()
        except (self._fault(), import_module("grpc").RpcError) as fault:
            code = getattr(fault, "code", None)
            if code == _GONE:
                raise Dropped(str(fault)) from None
            if code == _ASLEEP and collection is not None:
                with self._asked() as client:
                    client.load_collection(collection, timeout=WHILE)
                raise Dropped(str(fault)) from None
            LOG.warning("Milvus at %s: %s", self.address, fault)
            raise IndexFault(
                "the index in Milvus does not answer; nothing is lost, try again in a moment"
            ) from fault

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                library = import_module("pymilvus")
                logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it writes a traceback for each
                self._client = library.MilvusClient(
                    self._uri, token=self._token, db_name=self._database, timeout=MOMENT
                )
            return self._client

    @staticmethod
    def _fault() -> type[Exception]:
        fault: type[Exception] = import_module("pymilvus").MilvusException
        return fault


def _made(told: Any) -> Made:
    [vector] = [field for field in told["fields"] if field["name"] == "vector"]
    milliseconds = int(told["created_timestamp"]) >> 18  # a hybrid time: the rest is a counter
    return Made(str(told["collection_name"]), int(vector["params"]["dim"]), milliseconds / 1000)
