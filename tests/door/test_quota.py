"""A key's quota: refused beyond it and recorded so, whichever process is asked, on whichever day it is."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from countenance import office
from countenance.answer import Answer
from countenance.keys import DAY
from countenance.service import Service
from tests.door.house import House
from tests.fakes import GREEN, picture


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "home")
    yield house
    house.close()


def limited(house: House, quota: int | None) -> None:
    assert office.limit(house.settings, house.key.access_key_id, quota)


def listed(house: House) -> Answer:
    return house.call("ListCollections")


def test_beyond_the_quota_calls_are_refused_and_recorded(house: House) -> None:
    limited(house, 2)
    assert [listed(house).status for _ in range(2)] == [200, 200]
    before, asked = house.contents(), house.vision.asked
    refused = house.call("DetectFaces", Image={"Bytes": picture(GREEN)})
    assert refused.error is not None
    assert (refused.status, refused.error.code) == (400, "ProvisionedThroughputExceededException")
    assert refused.error.message.startswith(
        "Provisioned Rate exceeded: this key may make 2 calls a day (UTC)"
    )
    assert house.contents() == before
    assert house.vision.asked == asked, "no model ran"
    decision, outcome = house.entries()[-2:]
    assert (decision["allowed"], decision["rules"], decision["counter"]) == (False, ["quota"], 3)
    assert json.loads(decision["refusal"])["rules"][0]["rule"] == "quota"
    assert json.loads(refused.headers["x-countenance-refusal"]) == json.loads(decision["refusal"])
    assert (outcome["result"], outcome["error"]) == ("refused", refused.error.code)
    assert refused.receipt is not None
    assert refused.receipt.decision == decision["seq"]
    assert house.sql("SELECT count(*) FROM calls WHERE outcome IS NULL") == [0]
    assert office.verified(house.settings).size == len(house.entries())


def test_policy_refuses_before_the_quota_does(house: House) -> None:
    limited(house, 1)
    listed(house)
    strange = house.call("ListCollections", caller=_without_purpose(house))
    assert strange.error is not None
    assert strange.error.code == "AccessDeniedException"


def _without_purpose(house: House) -> Any:
    return dataclasses.replace(house.caller, purpose=None, purposes=frozenset())


def test_a_new_day_begins_anew_and_a_restart_does_not(house: House) -> None:
    limited(house, 1)
    assert listed(house).status == 200
    house.close()
    house.open()
    assert listed(house).status == 400
    house.sql(f"UPDATE keys SET day = {int(dt.datetime.now(dt.UTC).timestamp() // DAY) - 1}")
    assert listed(house).status == 200
    assert listed(house).status == 400
    limited(house, 3)
    assert listed(house).status == 200, "three were counted today: one, one refused, this"
    limited(house, None)
    assert [listed(house).status for _ in range(3)] == [200, 200, 200]
    acts = [(entry["act"], entry.get("quota")) for entry in house.entries() if entry.get("act") == "limit"]
    assert acts == [("limit", 1), ("limit", 3), ("limit", None)]


def test_processes_count_together(house: House) -> None:
    limited(house, 20)
    other = Service(house.settings, house.vision)
    try:

        def ask(number: int) -> int:
            service = other if number % 2 else house.service
            return service.call("RekognitionService.ListCollections", b"{}", house.caller).status

        with ThreadPoolExecutor(8) as threads:
            answered = list(threads.map(ask, range(60)))
    finally:
        other.close()
    assert answered.count(200) == 20
    decisions = [entry for entry in house.entries() if entry["kind"] == "decision"]
    assert [entry["counter"] for entry in decisions] == list(range(1, 61))
    assert [entry["allowed"] for entry in decisions] == [True] * 20 + [False] * 40


def test_a_quota_changed_in_the_database_makes_the_key_useless(house: House) -> None:
    limited(house, 5)
    house.sql("UPDATE keys SET quota = 500")
    assert house.service._signer(house.key.access_key_id) is None
    house.sql("UPDATE keys SET quota = NULL")
    assert house.service._signer(house.key.access_key_id) is None
    assert not office.limit(house.settings, house.key.access_key_id, 7), "nor is it sealed anew like that"
    house.sql("UPDATE keys SET quota = 5")
    assert house.service._signer(house.key.access_key_id) is not None


def test_clocks_that_disagree_about_midnight_do_not_count_anew(house: House) -> None:
    """Of two servers on one database, say: each call on the other one would be the first of its day."""
    limited(house, 2)
    today = dt.datetime.now(dt.UTC)

    def status(days: int) -> int:
        gate = dataclasses.replace(house.service._gate, clock=lambda: today + dt.timedelta(days=days))
        return gate.call("RekognitionService.ListCollections", b"{}", house.caller).status

    assert [status(turn % 2) for turn in range(8)] == [200] * 3 + [400] * 5, "one of today, two of tomorrow"
    assert status(-3) == 200, "a clock that was far ahead shuts nobody out"
