"""Tags that policy reads: closed words, narrowed by the owner, widened with the policy owner's key alone."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from countenance.declared import Declared, Requester
from countenance.types import OrganisationKind
from tests.door.house import House


def arn(house: House, collection: str = "people") -> str:
    return f"arn:aws:rekognition:us-east-1:{house.caller.account}:collection/{collection}"


def tag(house: House, **words: str) -> Any:
    named = {f"countenance:{name.replace('_', '-')}": word for name, word in words.items()}
    return house.call("TagResource", ResourceArn=arn(house), Tags=named)


def untag(house: House, name: str) -> Any:
    return house.call("UntagResource", ResourceArn=arn(house), TagKeys=[f"countenance:{name}"])


def newest(house: House) -> dict[str, Any]:
    return next(entry for entry in reversed(house.entries()) if entry["kind"] == "decision")


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        (
            {"countenance:orgin": "licensed"},
            "no tag countenance:orgin; known are countenance:origin",
        ),
        ({"countenance:origin": "opt-in"}, "must be one of cctv-bulk, custody-images"),
        ({"countenance:never-suspects": "yes"}, "must be one of false, true"),
        ({"countenance:consent": ""}, "must be one of informed"),
        ({"countenance:subjects": "giants"}, "must be one of adults"),
    ],
)
def test_a_name_or_word_nobody_knows_is_told(house: House, tags: dict[str, str], told: str) -> None:
    refused = house.call("CreateCollection", CollectionId="people", Tags=tags)
    assert refused.error is not None
    assert refused.error.code == "InvalidParameterException"
    assert told in refused.error.message
    house.call("CreateCollection", CollectionId="people")
    house.caller = dataclasses.replace(house.caller, policy_owner=True)
    again = house.call("TagResource", ResourceArn=arn(house), Tags=tags)
    assert again.error is not None
    assert told in again.error.message


def test_the_owner_narrows_and_only_the_policy_owner_widens(house: House) -> None:
    house.call("CreateCollection", CollectionId="people", Tags={"countenance:consent": "written"})
    assert newest(house)["tags"] == [["countenance:consent", "unstated", "written"]]
    assert tag(house, consent="informed").error is None
    entry = newest(house)
    assert entry["actions"] == ["govern"]
    assert entry["tags"] == [["countenance:consent", "written", "informed"]]
    widened = tag(house, consent="written")
    assert widened.error is not None
    assert widened.error.code == "AccessDeniedException"
    assert newest(house)["tags"] == [["countenance:consent", "informed", "written"]]
    assert tag(house, never_suspects="true").error is None
    assert untag(house, "never-suspects").error is not None
    house.caller = dataclasses.replace(house.caller, policy_owner=True)
    assert tag(house, consent="written").error is None
    assert untag(house, "never-suspects").error is None
    assert newest(house)["tags"] == [["countenance:never-suspects", "true", "false"]]
    assert newest(house)["rules"] == ["base/permit-widen-own-tags"]


def test_other_tags_are_nobodys_business(house: House) -> None:
    house.call("CreateCollection", CollectionId="people", Tags={"team": "Ada Lovelace"})
    assert house.call("TagResource", ResourceArn=arn(house), Tags={"team": "Grace Hopper"}).error is None
    assert "tags" not in newest(house)
    assert "Hopper" not in json.dumps(house.entries())


def test_what_a_call_declares_is_recorded_without_what_names_people(house: House) -> None:
    caller = dataclasses.replace(house.caller, purposes=frozenset({"general", "missing-persons"}))
    declared = Declared(
        purpose="missing-persons",
        case="2026-117",
        realtime=True,
        reviewers=frozenset({"Ada", "Grace"}),
        on_behalf_of=Requester(OrganisationKind.NGO, "DE"),
    )
    body = b"{}"
    answer = house.service.call("RekognitionService.ListCollections", body, caller, declared)
    assert answer.error is None
    entry = newest(house)
    assert (entry["purpose"], entry["realtime"]) == ("missing-persons", True)
    assert entry["requester"] == ["ngo", "DE"]
    with house.service._database.reading() as connection:
        record = house.service._gate.tools.vault.open(connection, entry["seq"])
    assert record is not None
    assert dict(record.said) == {"case": "2026-117", "reviewers": "Ada\nGrace"}
    assert record.commitments == {name: entry[name] for name in ("case", "reviewers")}
    assert "defaults" not in entry
    assert not any(word in json.dumps(entry) for word in ("2026-117", "Ada", "Grace"))


def test_a_default_that_a_rule_reads_is_recorded(house: House) -> None:
    house.call("ListCollections")
    assert newest(house)["defaults"] == ["purpose"]


def test_a_refusal_says_the_same_in_message_header_and_ledger(police: House) -> None:
    answer = police.call("SearchFaces", CollectionId="people", FaceId="0" * 8 + "-0000-4000-8000-" + "0" * 12)
    assert answer.error is not None
    assert "No purpose is declared, and this key has no default one." in answer.error.message
    assert answer.error.message.endswith("does not say: header x-countenance-purpose.")
    told = answer.headers["x-countenance-refusal"]
    assert told.isascii()
    assert newest(police)["refusal"] == told
    said = json.loads(told)
    assert said["missing"] == ["x-countenance-purpose"]
    assert said["advice"] in answer.error.message
    assert said["pack"] == newest(police)["pack"]


def test_the_end_of_a_purpose_is_a_day_and_moves_only_forward_for_its_owner(house: House) -> None:
    """An earlier end shuts more; a later one, or none, keeps faces longer, and takes the policy owner."""
    house.call("CreateCollection", CollectionId="people").result()
    arn = f"arn:aws:rekognition:us-east-1:{house.caller.account}:collection/people"

    def end(day: str) -> int:
        return house.call("TagResource", ResourceArn=arn, Tags={"countenance:ended": day}).status

    assert [end(day) for day in ("soon", "2026-11-31", "20261122", "")] == [400] * 4
    assert [end(day) for day in ("2026-11-22", "2026-11-01", "2026-11-02")] == [200, 200, 400]
    assert house.entries()[-2]["tags"] == [["countenance:ended", "2026-11-01", "2026-11-02"]]
    assert house.call("UntagResource", ResourceArn=arn, TagKeys=["countenance:ended"]).status == 400
    owner = dataclasses.replace(house.caller, policy_owner=True)
    assert house.call("UntagResource", owner, ResourceArn=arn, TagKeys=["countenance:ended"]).status == 200
