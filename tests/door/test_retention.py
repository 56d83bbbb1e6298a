"""Years go by: what the packs in force give no more time is destroyed, each time with its entry."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from countenance import office, subjects, upkeep
from countenance.declared import Declared
from countenance.ledger import subject_tag
from countenance.policy import Retention, retention
from countenance.types import OrganisationKind
from countenance.upkeep import Expired
from tests.door.house import House, content
from tests.fakes import BLUE, GREEN, RED, Colour, picture

NOW = dt.datetime.now(dt.UTC)
PEOPLE = {"anna": RED, "bert": GREEN, "carl": BLUE}

Home = Callable[..., House]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made: list[House] = []

    def make(place: str, *packs: str, kind: OrganisationKind = OrganisationKind.BUSINESS) -> House:
        house = House(tmp_path / place, kind, place=place, packs=("base", *packs))
        made.append(house)
        return house

    yield make
    for house in made:
        house.close()


def enrol(house: House, collection: str, *names: str, **tags: str) -> None:
    consent = {"countenance:consent": "written"}
    house.call("CreateCollection", CollectionId=collection, Tags={**consent, **tags}).result()
    for name in names:
        image = {"Bytes": picture(PEOPLE[name])}
        house.call("IndexFaces", CollectionId=collection, Image=image, ExternalImageId=name).result()


def search(house: House, collection: str, colour: Colour, case: str) -> int:
    """A search that says a case in private; its decision."""
    photo = base64.b64encode(picture(colour)).decode()
    body = json.dumps({"CollectionId": collection, "Image": {"Bytes": photo}}).encode()
    target = "RekognitionService.SearchFacesByImage"
    answer = house.service.call(target, body, house.caller, Declared(case=case))
    assert answer.result()["FaceMatches"]
    assert answer.receipt is not None
    return answer.receipt.decision


def years(number: float) -> dt.datetime:
    return NOW + dt.timedelta(365.25 * number)


def work(house: House, now: dt.datetime, limits: list[dict[str, Any]] | None = None) -> list[Expired]:
    with upkeep.opened(house.settings) as opened:
        if limits is not None:
            read = retention.read({"retention": limits}, "world", dt.date(2020, 1, 1))
            object.__setattr__(opened, "retention", Retention(read, lambda _place, _other: True))
        return [*opened.expire_templates(now), *opened.shred_private(now)]


def everything(house: House) -> bytes:
    return b"".join(content(path) for path in house.settings.home.rglob("*") if path.is_file())


def enrolled(house: House) -> list[str]:
    found: list[str] = house.sql("SELECT external_image_id FROM faces ORDER BY number")
    return found


def test_illinois_forgets_after_three_years(home: Home) -> None:
    house = home("US-IL", "us-il-bipa")
    enrol(house, "staff", "anna", "bert")
    keys = house.sql("SELECT subject FROM faces ORDER BY number")
    vectors = house.sql("SELECT vector FROM faces")
    house.sql("UPDATE faces SET enrolled = enrolled + 365 * 86400 WHERE external_image_id = 'bert'")
    assert work(house, years(2.99)) == []
    before = len(house.entries())
    rule = "us-il-bipa/15-a-three-years"
    assert work(house, years(3)) == [Expired(rule, "1 faces of staff destroyed")]
    [entry] = house.entries()[before:]
    assert {name: entry[name] for name in ("act", "rule", "collection", "removed", "account")} == {
        "act": "expire",
        "rule": rule,
        "collection": "staff",
        "removed": 1,
        "account": house.caller.account,
    }
    assert entry["subjects"] == [subject_tag(keys[0], entry["seq"])]
    assert enrolled(house) == ["bert"]
    left = everything(house)
    assert [part[:16] in left for part in (keys[0], vectors[0], keys[1], vectors[1])] == [False] * 2 + [
        True
    ] * 2
    found = list(subjects.own(house.settings, keys[0]))
    assert [one.entry["kind"] for one in found] == ["outcome", "govern"]
    assert work(house, years(3)) == []
    assert len(work(house, years(4))) == 1
    assert house.call("DescribeCollection", CollectionId="staff").result()["FaceCount"] == 0
    photo = {"Bytes": picture(RED)}
    matches = house.call("SearchFacesByImage", CollectionId="staff", Image=photo).result()["FaceMatches"]
    assert matches == []
    office.verified(house.settings)


def test_illinois_forgets_at_once_when_the_purpose_ended(home: Home) -> None:
    house = home("US-IL", "us-il-bipa")
    enrol(house, "staff", "anna", **{"countenance:ended": str(NOW.date() + dt.timedelta(7))})
    enrol(house, "guests", "bert")
    assert work(house, NOW + dt.timedelta(5)) == []
    [done] = work(house, NOW + dt.timedelta(8))
    assert done == Expired("us-il-bipa/15-a-purpose", "1 faces of staff destroyed")
    assert enrolled(house) == ["bert"]


def test_texas_forgets_a_year_after_the_purpose_ended(home: Home) -> None:
    house = home("US-TX", "us-tx-cubi")
    enrol(house, "staff", "anna", **{"countenance:ended": str(NOW.date())})
    enrol(house, "guests", "bert")
    assert work(house, NOW + dt.timedelta(364)) == []
    assert [done.rule for done in work(house, NOW + dt.timedelta(365))] == ["us-tx-cubi/c-3"]
    assert work(house, years(30)) == []  # guests: nobody said that their purpose ended
    assert enrolled(house) == ["bert"]


def test_a_pack_that_is_not_in_force_destroys_nothing(home: Home) -> None:
    house = home("US-IL")
    enrol(house, "staff", "anna", **{"countenance:ended": str(NOW.date())})
    assert work(house, years(30)) == []


def test_many_faces_go_in_batches_each_with_its_entry(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "BATCH", 2)
    house = home("US-IL", "us-il-bipa")
    enrol(house, "staff", *PEOPLE)
    before = len(house.entries())
    assert len(work(house, years(3.1))) == 2
    assert [entry["removed"] for entry in house.entries()[before:]] == [2, 1]
    assert enrolled(house) == []


def test_nothing_is_destroyed_that_cannot_be_recorded(home: Home) -> None:
    house = home("US-IL", "us-il-bipa")
    enrol(house, "staff", "anna")
    house.sql("CREATE TRIGGER full BEFORE INSERT ON entries BEGIN SELECT RAISE(ABORT, 'no space'); END")
    with pytest.raises(Exception, match="no space"):
        work(house, years(4))
    assert enrolled(house) == ["anna"]


SEASON = {
    "id": "house/season",
    "what": "private",
    "at_most": 90,
    "counted_from": "written",
    "effective": dt.date(2020, 1, 1),
    "source": "the house",
    "quote": "no longer than a season",
}
HALF = {**SEASON, "id": "house/half", "at_least": 184, "quote": "half a year", "prevails": ["erasure"]}
del HALF["at_most"]


def private(house: House, decision: int) -> dict[str, str] | None:
    gate = house.service._gate
    with house.service._database.reading() as connection:
        record = gate.tools.vault.open(connection, decision)
    return None if record is None else dict(record.said)


def test_what_was_said_in_private_is_shredded_when_its_time_is_over(home: Home) -> None:
    house = home("DE")
    enrol(house, "staff", "anna")
    decision = search(house, "staff", RED, "K-17")
    [key] = house.sql("SELECT key FROM vault_keys")
    assert work(house, NOW + dt.timedelta(89), [SEASON]) == []
    assert private(house, decision) == {"case": "K-17"}
    [done] = work(house, NOW + dt.timedelta(91), [SEASON])
    assert done.what == f"1 private records of account {house.caller.account} destroyed"
    assert private(house, decision) is None
    assert key not in everything(house)
    entry = house.entries()[-1]
    assert (entry["act"], entry["rule"], entry["shredded"]) == ("expire", "house/season", 1)
    office.verified(house.settings)


def test_of_two_rules_in_conflict_the_one_that_prevails_is_recorded(home: Home) -> None:
    house = home("DE")
    enrol(house, "staff", "anna")
    decision = search(house, "staff", RED, "K-17")
    both = [SEASON, {**HALF, "prevails": ["house/season"]}]
    assert len(work(house, NOW + dt.timedelta(91), both)) == 1
    entry = house.entries()[-1]
    assert (entry["rule"], entry["kept"], entry["kept_by"]) == ("house/season", 1, "house/half")
    day = dt.date.fromisoformat(entry["kept_until"])
    assert 184 <= (day - NOW.date()).days <= 185
    assert work(house, NOW + dt.timedelta(92), both) == []  # said once
    assert private(house, decision) == {"case": "K-17"}
    [done] = work(house, dt.datetime.combine(day, dt.time(), dt.UTC), both)
    assert (done.rule, private(house, decision)) == ("house/half", None)
    assert house.sql("SELECT count(*) FROM condemned") == [0]
    assert work(house, years(9), both) == []


def test_without_a_word_on_it_what_destroys_wins(home: Home) -> None:
    house = home("DE")
    enrol(house, "staff", "anna")
    decision = search(house, "staff", RED, "K-17")
    assert len(work(house, NOW + dt.timedelta(91), [SEASON, HALF])) == 1
    assert private(house, decision) is None


def test_europe_keeps_what_an_erased_person_was_searched_for_six_months(home: Home) -> None:
    """From 2027-12-02: erased at once are face and key; what the search said in private half a year later."""
    house = home("DE", "eu-ai-act")
    enrol(house, "staff", "anna")
    decision = search(house, "staff", RED, "K-17")
    then = dt.datetime(2027, 12, 2, 9, tzinfo=dt.UTC)
    house.sql(f"UPDATE vault SET written = {then.timestamp()}")
    object.__setattr__(house.service._gate, "clock", lambda: then)
    answer = house.call("EraseSubject", ExternalImageId="anna").result()
    assert (answer["KeptBy"], answer["KeptUntil"]) == ("eu-ai-act/26-6", "2028-06-04")
    assert enrolled(house) == []
    assert work(house, then + dt.timedelta(183.9)) == []
    assert private(house, decision) == {"case": "K-17"}
    [done] = work(house, then + dt.timedelta(184))
    assert (done.rule, private(house, decision)) == ("eu-ai-act/26-6", None)
    assert house.entries()[-1]["shredded"] == 1
