"""Users through the door: what AWS lacks, what the ledger is told, and that nothing of them is left."""

from __future__ import annotations

import random
import time
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from countenance import office, schema
from countenance.galleries import distinct, users
from countenance.ledger import subject_tag
from countenance.ledger.entry import LONGEST as LONGEST_ENTRY
from countenance.operations import erasure, searching
from tests.door.house import House, content
from tests.fakes import BLUE, GREEN, RED, picture

IMAGE = {"Bytes": picture(RED)}


def index(house: House, name: str, *colours: Any) -> list[str]:
    answer = house.call(
        "IndexFaces", CollectionId="people", Image={"Bytes": picture(*colours)}, ExternalImageId=name
    )
    return [record["Face"]["FaceId"] for record in answer.result()["FaceRecords"]]


def ask(house: House, operation: str, **request: Any) -> Any:
    return house.call(operation, CollectionId="people", **request).result()


def refused(house: House, operation: str, **request: Any) -> str:
    answer = house.call(operation, CollectionId="people", **request)
    assert answer.error is not None
    return answer.error.code


def listed(answer: Any) -> list[str]:
    return [match["User"]["UserId"] for match in answer["UserMatches"]]


@pytest.fixture
def people(house: House) -> dict[str, list[str]]:
    """Anna has two photos and a user, Bert one of each; Carl has a photo; one shows Anna and Bert."""
    house.call("CreateCollection", CollectionId="people").result()
    known = {
        "anna": index(house, "anna", RED) + index(house, "anna-2", RED, BLUE)[:1],
        "bert": index(house, "bert", GREEN),
        "carl": index(house, "carl", BLUE),
    }
    known["both"] = index(house, "both", RED, GREEN)
    for name in ("anna", "bert"):
        ask(house, "CreateUser", UserId=name)
        ask(house, "AssociateFaces", UserId=name, FaceIds=known[name])
    return known


def test_the_nearest_face_and_the_margin_stand_beside_a_candidate(
    house: House, people: dict[str, list[str]]
) -> None:
    answer = house.call(
        "SearchUsers", CollectionId="people", FaceId=people["both"][0], UserMatchThreshold=0, MaxUsers=1
    )
    [match] = answer.result()["UserMatches"]
    assert match["NearestFace"]["FaceId"] in people["anna"]
    margin = answer.result()["Margin"]
    assert not margin["AtLeast"]  # the next one is known, though only one was asked for
    assert answer.headers["x-countenance-margin"] == f"{margin['Points']:g}"
    every = ask(house, "SearchUsers", FaceId=people["both"][0], UserMatchThreshold=0)["UserMatches"]
    assert margin["Points"] == pytest.approx(every[0]["Similarity"] - every[1]["Similarity"], abs=1e-4)
    alone = ask(house, "SearchUsers", FaceId=people["both"][0], UserMatchThreshold=90)
    assert alone["Margin"] == {"Points": pytest.approx(10, abs=1e-3), "AtLeast": True}


def test_not_this_person_keeps_a_candidate_from_coming_back(
    house: House, people: dict[str, list[str]]
) -> None:
    again = people["both"][0]
    before = ask(house, "SearchFaces", FaceId=again)
    assert {match["Face"]["FaceId"] for match in before["FaceMatches"]} == set(people["anna"])
    ask(house, "CreateDistinction", One={"FaceId": again}, Other={"FaceId": people["anna"][1]})
    answer = house.call("SearchFaces", CollectionId="people", FaceId=again)
    assert answer.result()["FaceMatches"] == []  # of all of Anna's faces, not only of that one
    assert answer.headers["x-countenance-kept-out"] == "2"
    assert house.entries()[-1]["kept_out"] == 2
    assert listed(ask(house, "SearchUsers", FaceId=again)) == []
    back = ask(house, "SearchFaces", FaceId=people["anna"][0])
    assert [match["Face"]["FaceId"] for match in back["FaceMatches"]] == [people["anna"][1]]
    tried = ask(house, "AssociateFaces", UserId="anna", FaceIds=[again], UserMatchThreshold=0)
    assert tried["UnsuccessfulFaceAssociations"] == [{"FaceId": again, "Reasons": ["NOT_THIS_PERSON"]}]
    [said] = ask(house, "ListDistinctions")["Distinctions"]
    assert {said["One"]["FaceId"], said["Other"]["FaceId"]} == {again, people["anna"][1]}
    ask(house, "DeleteDistinction", One={"FaceId": people["anna"][1]}, Other={"FaceId": again})
    assert ask(house, "SearchFaces", FaceId=again)["FaceMatches"] == before["FaceMatches"]
    assert listed(ask(house, "SearchUsers", FaceId=again)) == ["anna"]


def test_not_this_person_holds_for_a_photo_that_was_never_enrolled(
    house: House, people: dict[str, list[str]]
) -> None:
    """Of the photo nothing is kept but the ImageId, which its bytes give."""
    photo, other = picture(RED, (0, 0, 90)), picture(RED, (90, 0, 0))
    house.call("CreateCollection", CollectionId="elsewhere").result()
    shown = house.call("IndexFaces", CollectionId="elsewhere", Image={"Bytes": photo}).result()
    image_id = shown["FaceRecords"][0]["Face"]["ImageId"]
    house.call("DeleteCollection", CollectionId="elsewhere").result()
    ask(house, "CreateDistinction", One={"ImageId": image_id}, Other={"UserId": "anna"})
    assert listed(ask(house, "SearchUsersByImage", Image={"Bytes": photo})) == []
    found = ask(house, "SearchFacesByImage", Image={"Bytes": photo})["FaceMatches"]
    assert [match["Face"]["FaceId"] for match in found] == people["both"][
        :1
    ]  # is nobody's, as far as is known
    assert listed(ask(house, "SearchUsersByImage", Image={"Bytes": other})) == ["anna"]


def test_a_list_is_as_long_as_asked_though_some_are_kept_out(
    house: House, people: dict[str, list[str]]
) -> None:
    for face_id in people["anna"]:
        ask(house, "CreateDistinction", One={"FaceId": people["both"][0]}, Other={"FaceId": face_id})
    new = index(house, "anna-3", RED, (1, 1, 1))[0]
    found = ask(house, "SearchFaces", FaceId=people["both"][0], MaxFaces=1)["FaceMatches"]
    assert [match["Face"]["FaceId"] for match in found] == [new]


def test_what_cannot_be_said(house: House, people: dict[str, list[str]]) -> None:
    anna, photo = people["anna"], {"ImageId": "11111111-2222-3333-4444-555555555555"}
    conflict = {"One": {"FaceId": anna[0]}, "Other": {"FaceId": anna[1]}}
    assert refused(house, "CreateDistinction", **conflict) == "ConflictException"
    for one, other in (
        ({}, photo),
        (photo, photo),
        ({"FaceId": anna[0], "UserId": "bert"}, photo),
        ({"FaceId": photo["ImageId"]}, {"UserId": "bert"}),
        ({"UserId": "bert"}, {"UserId": "bert"}),
        (photo, {"ImageId": "21111111-2222-3333-4444-555555555555"}),
    ):
        assert refused(house, "CreateDistinction", One=one, Other=other) == "InvalidParameterException"
    unknown = {"One": {"UserId": "nobody"}, "Other": {"UserId": "bert"}}
    assert refused(house, "CreateDistinction", **unknown) == "ResourceNotFoundException"
    unsaid = {"One": {"UserId": "anna"}, "Other": {"UserId": "bert"}}
    assert refused(house, "DeleteDistinction", **unsaid) == "ResourceNotFoundException"


def test_a_merge_and_a_split_are_recorded_and_undone(house: House, people: dict[str, list[str]]) -> None:
    before = house.contents()
    merged = ask(house, "MergeUsers", UserId="anna", MergedUserId="bert", ClientRequestToken="m")
    assert house.entries()[-1]["regrouping"] == merged["Regrouping"]
    assert house.entries()[-1]["moved"] == 1
    assert ask(house, "MergeUsers", UserId="anna", MergedUserId="bert", ClientRequestToken="m") == merged
    assert ask(house, "ListUsers")["Users"] == [{"UserId": "anna", "UserStatus": "ACTIVE"}]
    assert listed(ask(house, "SearchUsers", FaceId=people["both"][1], UserMatchThreshold=0)) == ["anna"]
    assert refused(house, "CreateUser", UserId="bert") == "ConflictException"
    [done] = ask(house, "ListRegroupings")["Regroupings"]
    assert (done["Kind"], done["FromUserId"], done["ToUserId"]) == ("MERGE", "bert", "anna")
    ask(house, "SplitUser", UserId="anna", NewUserId="twin", FaceIds=people["bert"])
    undone = {"Regrouping": merged["Regrouping"]}
    assert refused(house, "UndoRegrouping", **undone) == "ConflictException"
    ask(house, "UndoRegrouping", Regrouping=merged["Regrouping"] + 1)
    ask(house, "UndoRegrouping", **undone)
    assert house.entries()[-1]["undone"] == merged["Regrouping"]
    assert refused(house, "UndoRegrouping", **undone) == "ResourceNotFoundException"
    after = house.contents()
    assert [row[:2] + row[3:] for row in after["users"]] == [row[:2] + row[3:] for row in before["users"]]
    assert after["faces"] == before["faces"]
    assert listed(ask(house, "SearchUsers", FaceId=people["both"][1])) == ["bert"]


def test_who_was_said_to_be_two_is_not_merged(house: House, people: dict[str, list[str]]) -> None:
    ask(house, "CreateDistinction", One={"FaceId": people["anna"][0]}, Other={"UserId": "bert"})
    both = {"UserId": "anna", "MergedUserId": "bert"}
    assert refused(house, "MergeUsers", **both) == "ConflictException"
    ask(house, "DeleteDistinction", One={"FaceId": people["anna"][0]}, Other={"UserId": "bert"})
    ask(house, "MergeUsers", **both)


@pytest.mark.parametrize(
    ("operation", "request_", "code"),
    [
        ("MergeUsers", {"UserId": "anna", "MergedUserId": "anna"}, "InvalidParameterException"),
        ("MergeUsers", {"UserId": "anna", "MergedUserId": "nobody"}, "ResourceNotFoundException"),
        ("SplitUser", {"UserId": "anna", "NewUserId": "bert"}, "ConflictException"),
        ("SplitUser", {"UserId": "bert", "NewUserId": "twin"}, "InvalidParameterException"),
    ],
)
def test_what_cannot_be_regrouped(
    house: House, people: dict[str, list[str]], operation: str, request_: dict[str, str], code: str
) -> None:
    faces = {"FaceIds": people["anna"][:1]} if operation == "SplitUser" else {}
    before = house.contents()
    assert refused(house, operation, **request_, **faces) == code
    assert house.contents() == before


def test_one_person_appears_once_in_a_photo(house: House, people: dict[str, list[str]]) -> None:
    arn = ask(house, "DescribeCollection")["CollectionARN"]
    house.call("TagResource", ResourceArn=arn, Tags={"countenance:once-per-photo": "true"}).result()
    red, green = people["both"]
    ask(house, "AssociateFaces", UserId="anna", FaceIds=[red])
    answer = ask(house, "AssociateFaces", UserId="anna", FaceIds=[green], UserMatchThreshold=0)
    assert answer["UnsuccessfulFaceAssociations"] == [
        {"FaceId": green, "Reasons": ["ANOTHER_FACE_OF_THIS_PHOTO"]}
    ]
    ask(house, "AssociateFaces", UserId="bert", FaceIds=[green], UserMatchThreshold=0)
    assert refused(house, "MergeUsers", UserId="anna", MergedUserId="bert") == "ConflictException"
    wrong = house.call("TagResource", ResourceArn=arn, Tags={"countenance:once-per-photo": "yes"})
    assert wrong.status == 400


def test_a_user_has_a_hundred_faces(house: House, people: dict[str, list[str]]) -> None:
    faces = [index(house, f"n{number}", BLUE)[0] for number in range(102)]
    ask(house, "CreateUser", UserId="carl")
    ask(house, "AssociateFaces", UserId="carl", FaceIds=faces[:99])
    answer = ask(house, "AssociateFaces", UserId="carl", FaceIds=faces[99:101])
    assert answer["AssociatedFaces"] == [{"FaceId": faces[99]}]
    assert answer["UnsuccessfulFaceAssociations"] == [
        {"FaceId": faces[100], "Reasons": ["EXCEEDS_MAX_FACES"]}
    ]
    more = {"UserId": "carl", "FaceIds": faces[101:]}
    assert refused(house, "AssociateFaces", **more) == "ServiceQuotaExceededException"
    assert refused(house, "MergeUsers", UserId="carl", MergedUserId="bert") == "ServiceQuotaExceededException"


def test_a_collection_has_so_many_users_and_distinctions_and_no_more(
    house: House, people: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"One": {"UserId": "anna"}, "Other": {"UserId": "bert"}}
    ask(house, "CreateDistinction", **said)
    monkeypatch.setattr(distinct, "MOST", 1)
    monkeypatch.setattr(users, "MOST", 2)
    more = {"One": {"UserId": "anna"}, "Other": {"FaceId": people["carl"][0]}}
    assert refused(house, "CreateDistinction", **more) == "ServiceQuotaExceededException"
    ask(house, "CreateDistinction", **said)  # again: nothing is added
    assert refused(house, "CreateUser", UserId="carl") == "ServiceQuotaExceededException"
    of = {"UserId": "anna", "NewUserId": "anne", "FaceIds": people["anna"][:1]}
    assert refused(house, "SplitUser", **of) == "ServiceQuotaExceededException"
    ask(house, "DeleteUser", UserId="bert")  # what was said of Bert goes too
    ask(house, "CreateDistinction", **more)
    ask(house, "CreateUser", UserId="carl")


def test_policy_decides_what_a_call_about_users_does(house: House, people: dict[str, list[str]]) -> None:
    ask(house, "AssociateFaces", UserId="anna", FaceIds=people["both"][:1])
    assert house.entries()[-2]["actions"] == ["enrol", "verify"]
    assert house.entries()[-2]["threshold"] == "75.0000"
    ask(house, "SearchUsersByImage", Image=IMAGE)
    decision, outcome = house.entries()[-2:]
    assert (decision["actions"], decision["threshold"]) == (["identify"], "80.0000")
    assert (outcome["candidates"], outcome["top"]) == (1, "99-100")
    keys = house.sql("SELECT DISTINCT subject FROM faces WHERE member = 1")
    assert {subject_tag(key, decision["seq"]) for key in keys} == set(outcome["subjects"])


def test_a_candidate_is_reviewed_by_the_nearest_face(house: House, people: dict[str, list[str]]) -> None:
    answer = house.call("SearchUsers", CollectionId="people", FaceId=people["both"][0])
    [match] = answer.result()["UserMatches"]
    assert answer.receipt is not None
    review = {"FaceId": match["NearestFace"]["FaceId"], "Verdict": "WRONG", "Reviewer": "A. Weber"}
    house.call("RecordReview", Decision=answer.receipt.decision, **review).result()
    assert house.entries()[-1]["verdict"] == "wrong"


# Erasure


def everything(house: House) -> bytes:
    files = [path for path in house.settings.home.parent.rglob("*") if path.is_file()]
    return b"\n".join(map(content, files))


@pytest.fixture
def karenina(house: House, people: dict[str, list[str]]) -> tuple[list[str], list[bytes]]:
    """A user of four faces: the FaceIds, and what must be left nowhere once they are erased."""
    ask(house, "CreateUser", UserId="anna-karenina")
    faces: list[str] = []
    for colour in range(10, 14):
        faces += index(house, f"karenina-{colour}", (200, 0, colour))
        ask(house, "AssociateFaces", UserId="anna-karenina", FaceIds=faces[-1:], UserMatchThreshold=0)
    return faces, house.sql("SELECT vector FROM faces WHERE external_image_id LIKE 'karenina%'")


def user_vector(vectors: list[bytes]) -> bytes:
    return users.template(np.stack([np.frombuffer(vector, "<f4") for vector in vectors])).tobytes()


def test_a_users_vector_is_searched_and_never_written(
    house: House, karenina: tuple[list[str], list[bytes]]
) -> None:
    faces, vectors = karenina
    assert "anna-karenina" in listed(ask(house, "SearchUsers", FaceId=faces[0], UserMatchThreshold=0))
    left = everything(house)
    assert all(vector in left for vector in vectors)
    for some in range(2, 5):  # it was another after each face
        made = user_vector(vectors[:some])
        assert made[:16] not in left
        assert made[-16:] not in left


@pytest.mark.parametrize("how", ["UserId", "FaceId", "DeleteCollection", "DeleteUser"])
def test_whichever_way_a_user_goes_nothing_is_left(
    house: House, karenina: tuple[list[str], list[bytes]], how: str
) -> None:
    faces, vectors = karenina
    assert b"anna-karenina" in everything(house)
    match how:
        case "UserId":
            answer = house.call("EraseSubject", UserId="anna-karenina").result()
            assert len(answer["ErasedFaces"]) == 4
        case "FaceId":
            answer = house.call("EraseSubject", FaceId=faces[0]).result()
            assert len(answer["ErasedFaces"]) == 4  # all faces of the user, whatever they are called
        case "DeleteCollection":
            ask(house, how)
        case _:
            ask(house, how, UserId="anna-karenina")
            ask(house, "DeleteFaces", FaceIds=faces)
    left = everything(house)
    assert not [vector for vector in vectors if vector[:16] in left or vector[-16:] in left]
    assert b"karenina" not in left
    office.verified(house.settings)


def test_a_user_without_a_face_is_erased_by_name(house: House, people: dict[str, list[str]]) -> None:
    ask(house, "CreateUser", UserId="anna-karenina")
    assert house.call("EraseSubject", UserId="anna-karenina").result()["ErasedFaces"] == []
    assert b"anna-karenina" not in everything(house)


def test_erasing_one_name_of_a_user_leaves_the_others_faces(
    house: House, people: dict[str, list[str]]
) -> None:
    """An ExternalImageId may be a photo's: who else is in it loses that face, and no other."""
    [new, *_] = index(house, "outing", (200, 0, 90), GREEN)
    ask(house, "AssociateFaces", UserId="anna", FaceIds=[new], UserMatchThreshold=0)
    answer = house.call("EraseSubject", ExternalImageId="outing").result()
    assert len(answer["ErasedFaces"]) == 2
    assert [face["FaceId"] for face in ask(house, "ListFaces", UserId="anna")["Faces"]] == people["anna"]
    [match] = ask(house, "SearchUsers", FaceId=people["both"][0])["UserMatches"]
    assert match["Similarity"] == 100  # of the faces that are left alone


def test_the_tokens_name_nobody(house: House, people: dict[str, list[str]]) -> None:
    tokens = [f"{random.getrandbits(64):x}" for _ in range(2)]
    faces = [*people["carl"], *people["both"]]
    ask(house, "AssociateFaces", UserId="anna", FaceIds=faces, ClientRequestToken=tokens[0])
    ask(house, "DisassociateFaces", UserId="anna", FaceIds=faces[1:], ClientRequestToken=tokens[1])
    kept = " ".join(map(str, house.contents()["tokens"]))
    assert len(house.contents()["tokens"]) == 2
    assert not any(token in kept for token in tokens)
    assert not [name for name in ("anna", *faces) if name in kept]


def test_erasure_by_the_name_of_one_who_was_merged_erases_the_person(
    house: House, people: dict[str, list[str]]
) -> None:
    ask(house, "MergeUsers", UserId="bert", MergedUserId="anna")
    erased = house.call("EraseSubject", CollectionId="people", UserId="anna").result()["ErasedFaces"]
    assert {each["FaceId"] for each in erased} == {*people["anna"], *people["bert"]}
    assert house.sql("SELECT user_id FROM users") == []


def test_a_token_made_of_a_name_is_not_kept(house: House, people: dict[str, list[str]]) -> None:
    asked = {"UserId": "zelda-doe", "ClientRequestToken": "create-zelda-doe"}
    ask(house, "CreateUser", **asked)
    ask(house, "CreateUser", **asked)
    assert refused(house, "CreateUser", **{**asked, "UserId": "z"}) == "IdempotentParameterMismatchException"
    house.call("EraseSubject", UserId="zelda-doe").result()
    house.close()
    try:
        files = [content(path) for path in house.settings.home.glob("countenance.db*")]
        assert not any(b"zelda-doe" in file for file in files)
    finally:
        house.open()


def test_a_search_says_how_many_people_its_entry_does_not_name(
    house: House, people: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "NAMED", 2)
    ask(house, "SearchUsers", FaceId=people["both"][0], UserMatchThreshold=0)
    outcome = house.entries()[-1]
    assert (len(outcome["subjects"]), outcome["people_not_named"]) == (2, 1)


def test_of_the_name_that_a_split_gave_nothing_is_left_once_it_is_undone(
    house: House, people: dict[str, list[str]]
) -> None:
    split = ask(house, "SplitUser", UserId="anna", NewUserId="zelda-doe", FaceIds=people["anna"][:1])
    ask(house, "UndoRegrouping", Regrouping=split["Regrouping"])
    files = [content(path) for path in house.settings.home.glob("countenance.db*")]
    assert not any(b"zelda-doe" in file for file in files)


def test_whoever_takes_more_than_an_entry_to_erase_goes_piece_by_piece(
    house: House, people: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 2 * erasure.LONGEST > LONGEST_ENTRY > erasure.LONGEST + 4096
    monkeypatch.setattr(erasure, "LONGEST", 30)
    before = house.contents()
    assert refused(house, "EraseSubject", UserId="anna") == "InvalidParameterException"
    assert house.contents() == before
    monkeypatch.undo()
    assert len(ask(house, "EraseSubject", UserId="anna")["ErasedFaces"]) == 2


def test_many_distinctions_and_long_chains_of_merges_hold_nobody_up(
    house: House, people: dict[str, list[str]]
) -> None:
    """Asked one by one they took 13 s and 9 s, the latter with everybody's writes waiting."""
    many, [carl] = 4000, people["carl"]
    rows = [
        {"collection": 1, "change": 0, "user_id": f"u{n}", "created": 0.0, "merged_into": None}
        for n in range(many)
    ]

    def fill(connection: Connection) -> list[int]:
        connection.execute(schema.users.insert(), rows)
        first = sa.select(schema.users.c.number).where(schema.users.c.user_id.startswith("u"))
        numbers = list(connection.execute(first.order_by(schema.users.c.number)).scalars())
        said = [{"collection": 1, "one": f"face/{carl}", "other": f"user/{n}", "made": 0.0} for n in numbers]
        connection.execute(schema.distinctions.insert(), said)
        return numbers

    numbers = house.service._database.write(fill)
    began = time.monotonic()
    ask(house, "SearchFaces", FaceId=carl)
    ask(house, "AssociateFaces", UserId="anna", FaceIds=[carl])
    ask(house, "GroupFaces")
    chained = schema.users.c.number.between(numbers[0], numbers[-2])
    update = schema.users.update().where(chained).values(merged_into=schema.users.c.number + 1)
    house.service._database.write(lambda connection: connection.execute(update).rowcount)
    ask(house, "SearchFaces", FaceId=carl)
    ask(house, "DeleteUser", UserId=f"u{many - 1}")
    assert time.monotonic() - began < 10
    assert house.sql("SELECT count(*) FROM users WHERE substr(user_id, 1, 1) = 'u'") == [0]
    assert house.sql("SELECT count(*) FROM distinctions") == [0]
