"""DetectProtectiveEquipment at the door."""

from __future__ import annotations

from tests.door.house import House
from tests.fakes import RED, picture


def test_where_no_model_tells_masks_it_is_not_offered_and_nothing_is_looked_at(house: House) -> None:
    asked = house.vision.asked
    answer = house.call("DetectProtectiveEquipment", Image={"Bytes": picture(RED)})
    assert answer.error is not None
    assert answer.error.code == "InvalidParameterException"
    assert "DetectProtectiveEquipment is not offered here" in answer.error.message
    assert house.vision.asked == asked
    decision, outcome = house.entries()[-2:]
    assert decision["actions"] == ["detect", "describe", "label"]
    assert decision["attributes"] == ["FACE_OCCLUDED"]
    assert outcome["result"] == "failed"
