"""DetectLabels through the door: what policy is asked, what the log is told."""

from __future__ import annotations

from tests.door.house import House
from tests.fakes import RED, picture

IMAGE = {"Bytes": picture(RED)}


def test_it_asks_for_label_and_the_log_is_told_how_many(house: House) -> None:
    answer = house.call("DetectLabels", Image=IMAGE, Features=["GENERAL_LABELS"]).result()
    assert [label["Name"] for label in answer["Labels"]] == ["Person"]
    decision, outcome = house.entries()[-2:]
    assert decision["actions"] == ["label"]
    assert outcome["labels"] == 1
    assert "Person" not in str(house.entries()[-2:])  # how many, never which


def test_nobody_who_may_not_label_has_a_picture_looked_at(police: House) -> None:
    before = police.vision.asked
    refused = police.call("DetectLabels", Image=IMAGE)
    assert refused.error is not None
    assert police.entries()[-2]["actions"] == ["label"]
    assert police.vision.asked == before
