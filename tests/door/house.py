"""A house with fake senses, for tests of the door: what it lets in, writes down and keeps apart."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from countenance import office, settings
from countenance.answer import Answer
from countenance.aws.model import OURS, api
from countenance.database import Database, transaction_open
from countenance.postgresql import address
from countenance.schema import metadata
from countenance.service import Service
from countenance.settings import Settings
from countenance.types import (
    Attribute,
    Caller,
    Description,
    Embedding,
    Face,
    Image,
    Label,
    OrganisationKind,
    Text,
)
from tests.fakes import FakeVision

LEDGER = {"entries", "nodes", "checkpoints", "keys", "calls", "vault", "vault_keys"}
"""Tables a refused call may touch: the record, and the key's own counter in it."""


def content(path: Path) -> bytes:
    """A file's bytes, read by another process: closing a database's file here would drop SQLite's locks."""
    return subprocess.run(["cat", "--", path], stdout=subprocess.PIPE, check=True).stdout


class WatchedVision(FakeVision):
    """Counts what the senses are asked, and fails the test if they are asked inside a transaction."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def _watch(self) -> None:
        assert not transaction_open(), "a model ran while a transaction was open"
        self.asked += 1

    def detect(self, image: Image) -> tuple[Face, ...]:
        self._watch()
        return super().detect(image)

    def sweep(self, image: Image, least: float, largest: int = 0) -> tuple[Face, ...]:
        self._watch()
        return super().sweep(image, least)

    def glance(self, image: Image, *, crowded: bool = False) -> tuple[Face, ...]:
        self._watch()
        return super().glance(image)

    def describe(
        self, image: Image, faces: Sequence[Face], asked: Collection[Attribute] = ()
    ) -> tuple[Description, ...]:
        self._watch()
        return super().describe(image, faces, asked)

    def label(self, image: Image) -> tuple[Label, ...]:
        self._watch()
        return super().label(image)

    def embed(
        self, image: Image, faces: Sequence[Face], described: Sequence[Description] | None = None
    ) -> tuple[Embedding, ...]:
        self._watch()
        return super().embed(image, faces, described)

    def read(self, image: Image) -> Text:
        self._watch()
        return super().read(image)

    def moderate(self, image: Image) -> Mapping[str, float]:
        self._watch()
        return super().moderate(image)


class House:
    """A home in a folder, its service and one caller."""

    def __init__(
        self,
        folder: Path,
        kind: OrganisationKind = OrganisationKind.BUSINESS,
        purpose: str | None = None,
        place: str = "US-CA",
        packs: tuple[str, ...] = ("base",),
        database: str = "",
    ) -> None:
        if purpose is None and kind is not OrganisationKind.POLICE:
            purpose = "general"
        made = Settings(home=folder, packs=packs, database=database)
        self.key = office.found(made, "a house", kind, place, purpose)
        self.settings = settings.load(folder)
        self.open()

    def open(self) -> None:
        self.vision = WatchedVision()
        self.service = Service(self.settings, self.vision)
        signer = self.service._signer(self.key.access_key_id)
        assert signer is not None
        self.caller: Caller = signer[0]

    def call(self, operation: str, caller: Caller | None = None, **request: Any) -> Answer:
        body = json.dumps(request, default=lambda blob: base64.b64encode(blob).decode()).encode()
        return self.service.call(f"RekognitionService.{operation}", body, caller or self.caller)

    def contents(self) -> dict[str, list[Any]]:
        """Every row but the ledger's."""
        database = Database(self.settings.database_url)
        try:
            with database.reading() as connection:
                return {
                    table.name: [tuple(row) for row in connection.execute(sa.select(table))]
                    for table in metadata.sorted_tables
                    if table.name not in LEDGER
                }
        finally:
            database.close()

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.sql("SELECT body FROM entries ORDER BY seq")]

    def sql(self, statement: str) -> list[Any]:
        """Run one statement on the database, past the door, as an intruder or a tired disk would."""
        engine = sa.create_engine(address(self.settings.database_url))
        try:
            with engine.begin() as connection:
                result = connection.exec_driver_sql(statement)
                return list(result.scalars()) if result.returns_rows else []
        finally:
            engine.dispose()

    def close(self) -> None:
        self.service.close()


def least_request(operation: str) -> dict[str, Any]:
    """The smallest request the service model accepts for an operation."""
    from botocore.loaders import Loader  # noqa: PLC0415 - the declaration itself, not our reading of it

    model = Loader(extra_search_paths=[str(OURS)]).load_service_model("rekognition", "service-2")
    shapes = model["shapes"]

    def value(name: str) -> Any:
        shape = shapes[name]
        match shape["type"]:
            case "structure":
                return {
                    member: value(shape["members"][member]["shape"]) for member in shape.get("required", ())
                }
            case "list":
                return [value(shape["member"]["shape"])] * shape.get("min", 1)
            case "map":
                return {"key": "value"}
            case "string":
                return shape["enum"][0] if "enum" in shape else _text(shape)
            case "boolean":
                return True
            case "blob":
                return b"0"
            case _:
                return max(shape.get("min", 1), 1)

    assert operation in api().operations
    request = value(model["operations"][operation]["input"]["shape"])
    assert isinstance(request, dict)
    return request


def _text(shape: Mapping[str, Any]) -> str:
    """A string that fits a shape's pattern, from the few forms the model uses."""
    import re  # noqa: PLC0415

    forms = (
        "a",
        "people",
        "11111111-2222-3333-4444-555555555555",
        "arn:aws:rekognition:us-east-1:111122223333:collection/people",
        "arn:aws:rekognition:us-east-1:111122223333:project/p/1700000000000",
        "arn:aws:rekognition:us-east-1:111122223333:project/p/version/v/1700000000000",
        "arn:aws:rekognition:us-east-1:111122223333:project/p/dataset/train/1700000000000",
        "arn:aws:iam::111122223333:role/r",
        "bucket",
        "0123456789",
        "{}",
    )
    pattern = shape.get("pattern", ".*").replace(r"\p{L}\p{Z}\p{N}", r"\w ")
    return next(
        form
        for form in forms
        if re.fullmatch(pattern, form) and shape.get("min", 0) <= len(form) <= shape.get("max", 10**6)
    )
