"""A month in a house: organisations of several kinds, some thousands of calls, and who kept count of them.

Fake senses and a clock that is set, but the real door, policy, database and ledger. What the calls should add
up to is tallied here, call by call, from the answers; a report has to find the same in the ledger alone.
"""

from __future__ import annotations

import base64
import datetime as dt
import functools
import json
import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from countenance import office, service, settings
from countenance.answer import Answer
from countenance.declared import NOTHING, Authorisation, AuthorisationKind, Declared, Requester
from countenance.settings import Settings
from countenance.types import Caller, OrganisationKind
from tests.door.house import House
from tests.fakes import Colour, picture
from tests.unit.policy.packs import ABOUT

FIRST = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
DAYS = 30
PACKS = ("base", "us-md", "us-ca-sf", "us-wa", "eu-ai-act")

CHARTER = """@id("charter/police-with-a-case")
@source("a charter of this test") @quote("Police may search, with a case.") @advice("State the case.")
@effective("2020-01-01")
permit (
  principal is Countenance::Agent,
  action in [
    Countenance::Action::"enrol", Countenance::Action::"identify", Countenance::Action::"verify"
  ],
  resource
)
when {
  context.now >= datetime("2020-01-01") &&
  principal.org.kind == Countenance::OrgKind::"police" &&
  context.grounds has case
};
"""
CASE = """[[case]]
name = "a case is named"
now = 2026-01-01
kind = "police"
place = "US"
purpose = "criminal-investigation"
case = "7"
actions = ["identify"]
expect = "allow"
rules = ["charter/police-with-a-case"]
"""

OFFENCES = ("us-md-crime-of-violence", "us-md-kidnapping", "us-md-stalking", "us-md-theft")


@dataclass
class Clock:
    """The time of the house: as set, never of the machine."""

    now: dt.datetime = FIRST

    def __call__(self) -> dt.datetime:
        return self.now


@dataclass
class Body:
    """An organisation, what it calls for and with what it searches. weight: how often it calls."""

    name: str
    kind: OrganisationKind
    place: str
    purpose: str
    weight: int
    collections: Mapping[str, bool]
    caller: Caller = field(init=False)


def bodies() -> list[Body]:
    police, kinds = OrganisationKind.POLICE, OrganisationKind
    return [
        Body("a shop", kinds.BUSINESS, "US-CA", "photo-library", 30, {"album": False}),
        Body("Baltimore", police, "US-MD", "criminal-investigation", 34, {"custody": False, "drivers": True}),
        Body("San Francisco", police, "US-CA-SF", "criminal-investigation", 6, {"custody": False}),
        Body("Seattle", police, "US-WA", "criminal-investigation", 12, {"custody": False}),
        Body("lost children", kinds.NGO, "US-TX", "missing-persons", 15, {"children": True}),
        Body("a clerk", kinds.PUBLIC_AGENCY, "US-MD", "archive-research", 1, {"archive": False}),
    ]


@dataclass(frozen=True)
class Listed:
    """A search that listed somebody: whose, its decision, and the FaceIds in its answer."""

    body: Body
    decision: int
    faces: tuple[str, ...]


class Month:
    """Call by call. tally: what was counted of the answers, by the names that a report uses."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, seed: int = 7) -> None:
        self.random = random.Random(seed)
        self.clock = Clock()
        self.tally: Counter[str] = Counter()
        self.verdicts: dict[tuple[int, str], str] = {}
        self._listed: list[Listed] = []
        monkeypatch.setattr(service, "now", self.clock)
        self.house = _house(folder)
        self.bodies = bodies()
        self._register()

    def run(self, calls: int) -> None:
        """The month, from its first day to its last. Twice the machine dies in the middle of a call."""
        crashes = {calls // 3, calls // 2}
        for number in range(calls):
            self.clock.now = FIRST + number * dt.timedelta(days=DAYS) / (calls + 1)
            if number == 0:
                self._open_collections()
            if number in crashes:
                self._crash()
            else:
                self._one(self.random.choices(self.bodies, [body.weight for body in self.bodies])[0])

    def _register(self) -> None:
        """Give every organisation a key, then find out who its callers are."""
        keys = []
        for body in self.bodies:
            organisation = office.register(self.house.settings, body.name, body.kind, body.place)
            keys.append(office.issue(self.house.settings, organisation, [body.purpose])[0])
        self.house.open()
        for body, key in zip(self.bodies, keys, strict=True):
            signer = self.house.service._signer(key.access_key_id)
            assert signer is not None
            body.caller = signer[0]

    def _open_collections(self) -> None:
        for body in self.bodies:
            said = self._said(body, case="1")
            for name, innocent in body.collections.items():
                tags = {"countenance:never-suspects": "true"} if innocent else {}
                self._call(body, "CreateCollection", said, CollectionId=name, Tags=tags).result()
                for number in range(self.random.randrange(4, 9)):
                    self._enrol(body, name, said, f"person-{number // 2}")

    def _one(self, body: Body) -> None:
        """One thing that an organisation does on a day."""
        said = self._declared(body)
        collection = self.random.choice(list(body.collections))
        match self.random.choices(["search", "review", "enrol", "other", "broken"], [60, 25, 6, 6, 3])[0]:
            case "search":
                self._search(body, collection, said)
            case "review":
                self._review(body)
            case "enrol":
                self._enrol(body, collection, said, f"person-{self.random.randrange(9)}")
            case "other":
                self._tidy(body, collection, said)
            case "broken":
                self._call(body, "DetectFaces", said, Image={"Bytes": b"no picture"})

    def _search(self, body: Body, collection: str, said: Declared) -> None:
        photo = {"Bytes": _photo(self._colour())}
        answer = self._call(body, "SearchFacesByImage", said, CollectionId=collection, Image=photo)
        self.tally["searches"] += 1
        self.tally[f"searches by offence {said.offence or 'unstated'}"] += 1
        self.tally[f"searches by organisation {body.caller.account}"] += 1
        if answer.status == 200:
            lines = answer.result()["FaceMatches"]
            people = {line["Face"].get("ExternalImageId", line["Face"]["FaceId"]): line for line in lines}
            self.tally["candidates"] += len(lines)
            self.tally["listed"] += len(people)
            self.tally["searches_empty"] += not lines
            if people:
                faces = tuple(line["Face"]["FaceId"] for line in people.values())
                self._listed.append(Listed(body, _decision(answer), faces))
        elif answer.error and answer.error.code == "AccessDeniedException":
            self.tally["searches_refused"] += 1

    def _review(self, body: Body) -> None:
        """Somebody looks at a candidate of one of the last searches, some a second time."""
        own = [listed for listed in self._listed[-40:] if listed.body is body]
        if not own:
            return
        listed = self.random.choice(own)
        face = self.random.choice(listed.faces)
        verdict = self.random.choices(["WRONG", "CONFIRMED", "UNDECIDED"], [11, 6, 2])[0]
        asked = {"Decision": listed.decision, "FaceId": face, "Verdict": verdict, "Reviewer": "Ada"}
        self._call(body, "RecordReview", self._said(body, case="1"), **asked).result()
        self.verdicts[listed.decision, face] = verdict.lower()

    def _enrol(self, body: Body, collection: str, said: Declared, person: str) -> None:
        photo = {"Bytes": _photo(self._colour())}
        answer = self._call(
            body, "IndexFaces", said, CollectionId=collection, Image=photo, ExternalImageId=person
        )
        if answer.status == 200:
            self.tally["enrolled calls"] += 1

    def _tidy(self, body: Body, collection: str, said: Declared) -> None:
        """Look at the faces of a collection, delete one, or erase a person from all of them."""
        listed = self._call(body, "ListFaces", said, CollectionId=collection).value or {}
        faces = listed.get("Faces", [])
        match self.random.randrange(3) if len(faces) > 3 else 0:
            case 1:
                self._call(body, "DeleteFaces", said, CollectionId=collection, FaceIds=[faces[0]["FaceId"]])
            case 2:
                self._call(body, "EraseSubject", said, ExternalImageId=faces[-1]["ExternalImageId"])
        self._forget()

    def _forget(self) -> None:
        """Who is no longer enrolled cannot be reviewed."""
        kept = set(self.house.sql("SELECT face_id FROM faces"))
        self._listed = [
            Listed(each.body, each.decision, faces)
            for each in self._listed
            if (faces := tuple(face for face in each.faces if face in kept))
        ]

    def _crash(self) -> None:
        """A call is decided, and then the process is gone."""
        self.house.sql(
            "CREATE TRIGGER crash BEFORE INSERT ON entries WHEN instr(new.body, 'outcome') "
            "BEGIN SELECT RAISE(ABORT, 'gone'); END"
        )
        self.house.call("ListCollections", self.bodies[0].caller)
        self.house.sql("DROP TRIGGER crash")
        self.house.close()
        self.house.open()
        self.tally["calls"] += 1
        self.tally["interrupted"] += 1

    def _call(self, body: Body, operation: str, said: Declared, **request: Any) -> Answer:
        wire = json.dumps(request, default=lambda blob: base64.b64encode(blob).decode()).encode()
        answer = self.house.service.call(f"RekognitionService.{operation}", wire, body.caller, said)
        self.tally["calls"] += 1
        code = answer.error.code if answer.error else ""
        self.tally[
            "answered" if not code else "refused" if code == "AccessDeniedException" else "failed"
        ] += 1
        return answer

    def _declared(self, body: Body) -> Declared:
        """What a call says: the police mostly name a case, an offence, and now and then an authority."""
        if body.kind is not OrganisationKind.POLICE:
            return self._said(body)
        [offence] = self.random.choices(OFFENCES, [60, 20, 1, 19])
        return self._said(
            body,
            case=None if self.random.random() < 0.1 else f"2026-{self.random.randrange(900)}",
            offence=offence if body.place == "US-MD" else None,
            authorisation=self._warrant() if self.random.random() < 0.2 else None,
            realtime=True if self.random.random() < 0.1 else None,
            on_behalf_of=Requester(OrganisationKind.POLICE, "US-CA-SF")
            if self.random.random() < 0.05
            else None,
        )

    def _said(self, body: Body, **said: Any) -> Declared:
        named = {name: value for name, value in said.items() if value is not None}
        if body.kind is OrganisationKind.POLICE:
            return Declared(purpose=body.purpose, **named)
        return (
            Declared(**{name: value for name, value in named.items() if name != "case"}) if named else NOTHING
        )

    def _warrant(self) -> Authorisation:
        end = self.clock.now + dt.timedelta(days=2)
        return Authorisation("W-17", AuthorisationKind.WARRANT, "a court", self.clock.now, end)

    def _colour(self) -> Colour:
        """One of so many that some searches find nobody."""
        return self.random.randrange(8) * 25, self.random.randrange(2) * 90, 40


def _house(folder: Path) -> House:
    charter = folder / "charter"
    charter.mkdir(parents=True)
    grants = ABOUT if "grants" in ABOUT else f"{ABOUT}\ngrants = true\n"
    for name, text in (
        ("pack.toml", grants),
        ("rules.cedar", CHARTER),
        ("entities.json", "[]"),
        ("tests.toml", CASE),
    ):
        (charter / name).write_text(text, "utf-8")
    house = House.__new__(House)
    home = Settings(home=folder / "home", packs=(*PACKS, str(charter)))
    house.key = office.found(home, "the house", OrganisationKind.BUSINESS, "US-CA", "general")
    house.settings = settings.load(folder / "home")
    return house


@functools.cache
def _photo(colour: Colour) -> bytes:
    return picture(colour, side=80)


def _decision(answer: Answer) -> int:
    found = re.match(r"decision=(\d+);", answer.headers["x-countenance-receipt"])
    assert found
    return int(found[1])
