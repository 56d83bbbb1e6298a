"""A pack that is wrong anywhere is not loaded, and the message says where."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from countenance.errors import PolicyError
from countenance.policy import Policy
from countenance.policy.pack import SCHEMA, folder_of

RULE = """
@id("mine/no-watching")
@source("our own charter")
@advice("Nobody watches.")
@effective("2026-01-01")
forbid (principal is Countenance::Agent, action == Countenance::Action::"watch", resource);
"""
CASE = """
[[case]]
name = "nobody watches"
now = 2026-11-21
kind = "business"
place = "US"
purpose = "general"
actions = ["watch"]
expect = "deny"
rules = ["mine/no-watching"]
"""

Write = Callable[..., Path]


@pytest.fixture
def pack(tmp_path: Path) -> Write:
    def write(name: str = "mine", **files: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for file, text in {"pack": "", "rules": RULE, "entities": "[]", "tests": CASE, **files}.items():
            ending = {"pack": "toml", "tests": "toml", "rules": "cedar", "entities": "json"}[file]
            (folder / f"{file}.{ending}").write_text(text, "utf-8")
        return folder

    return write


def refused(folder: Path, *told: str) -> None:
    with pytest.raises(PolicyError) as fault:
        Policy.load(["base", folder])
    for words in told:
        assert words in str(fault.value)


def test_a_pack_is_added_by_its_folder(pack: Write) -> None:
    policy = Policy.load(["base", pack()])
    assert policy.rules["mine/no-watching"].source == "our own charter"
    assert not policy.rules["mine/no-watching"].permits


def test_a_rule_that_does_not_parse_is_refused(pack: Write) -> None:
    refused(pack(rules=RULE + "forbid ("), "rules.cedar")


def test_a_rule_that_does_not_fit_the_schema_is_refused_by_name(pack: Write) -> None:
    refused(
        pack(rules=RULE.replace(";", " when { context.nonsense == 1 };")),
        "rules.cedar",
        "mine/no-watching",
        "nonsense",
    )


@pytest.mark.parametrize("note", ["id", "source", "advice", "effective"])
def test_a_rule_without_an_annotation_is_refused(note: str, pack: Write) -> None:
    bare = "\n".join(line for line in RULE.splitlines() if not line.startswith(f"@{note}("))
    refused(pack(rules=bare), "rules.cedar", f"@{note} is missing")


def test_an_effective_that_is_no_date_is_refused(pack: Write) -> None:
    refused(pack(rules=RULE.replace("2026-01-01", "last week")), "mine/no-watching", "@effective")


def test_an_id_used_twice_is_refused(pack: Write) -> None:
    refused(pack(rules=RULE + RULE), "rules.cedar", "mine/no-watching is used twice")


def test_an_id_of_another_pack_is_refused(pack: Write) -> None:
    refused(pack(rules=RULE.replace("mine/no-watching", "base/permit-infer")), "is already in pack base")


def test_a_permit_in_a_pack_that_does_not_grant_is_refused(pack: Write) -> None:
    permit = RULE.replace("forbid", "permit")
    refused(pack(rules=permit), "pack.toml", "grants = true")
    allowed = CASE.replace('"deny"', '"allow"')
    Policy.load(["base", pack("granting", rules=permit, pack="grants = true", tests=allowed)])


def test_a_template_is_refused(pack: Write) -> None:
    refused(
        pack(rules=RULE.replace("principal is Countenance::Agent", "principal == ?principal")), "template"
    )


def test_a_purpose_nobody_defines_is_refused(pack: Write) -> None:
    """Cedar's validator takes any id; this forbid would never match."""
    rule = RULE.replace(";", ' when { context.purpose in Countenance::Purpose::"mass-surveilance" };')
    refused(pack(rules=rule), "Purpose 'mass-surveilance' is not in the vocabulary")


def test_a_place_within_a_place_nobody_defines_is_refused(pack: Write) -> None:
    entities = """[{"uid": {"type": "Countenance::Place", "id": "US-CA-SF"}, "attrs": {},
                   "parents": [{"type": "Countenance::Place", "id": "US-KA"}]}]"""
    refused(pack(entities=entities), "Place 'US-KA' is not in the vocabulary")


def test_a_pack_may_add_places_and_purposes(pack: Write) -> None:
    folder = pack(
        entities="""[
          {"uid": {"type": "Countenance::Place", "id": "US-CA-SF"}, "attrs": {},
           "parents": [{"type": "Countenance::Place", "id": "US-CA"}]},
          {"uid": {"type": "Countenance::Purpose", "id": "mass-surveillance"}, "attrs": {},
           "parents": [{"type": "Countenance::Purpose", "id": "any"}]}
        ]""",
        rules=RULE.replace('action == Countenance::Action::"watch"', "action").replace(
            ";", ' when { context.purpose in Countenance::Purpose::"mass-surveillance" };'
        ),
        tests=CASE.replace("general", "mass-surveillance").replace('"US"', '"US-CA-SF"'),
    )
    policy = Policy.load(["base", folder])
    assert "US-CA-SF" in policy.places
    assert "mass-surveillance" in policy.purposes


def test_a_place_defined_twice_is_refused(pack: Write) -> None:
    refused(
        pack(entities='[{"uid": {"type": "Countenance::Place", "id": "US-CA"}, "attrs": {}, "parents": []}]'),
        "entities.json",
        "already in pack base",
    )


def test_places_in_a_circle_are_refused(pack: Write) -> None:
    ring = ", ".join(
        f'{{"uid": {{"type": "Countenance::Place", "id": "{a}"}}, "attrs": {{}},'
        f' "parents": [{{"type": "Countenance::Place", "id": "{b}"}}]}}'
        for a, b in (("A1", "B1"), ("B1", "A1"))
    )
    refused(pack(entities=f"[{ring}]"), "entities.json", "transitive closure")


@pytest.mark.parametrize("text", ["{", "[1]", '[{"uid": {"type": "Countenance::Plaice", "id": "x"}}]', "{}"])
def test_entities_that_are_wrong_are_refused(text: str, pack: Write) -> None:
    refused(pack(entities=text), "entities.json")


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (CASE.replace('"deny"', '"allow"'), "expected allow"),
        (CASE.replace('rules = ["mine/no-watching"]', "rules = []"), "expected deny by []"),
        (CASE.replace('"watch"', '"detect"'), "got allow by ['base/permit-ordinary']"),
        (CASE.replace('"business"', '"bussiness"'), "bussiness"),
        (CASE.replace('"deny"', '"perhaps"'), "perhaps"),
        (CASE + 'pupose = "x"', "pupose"),
        (CASE.replace('purpose = "general"', ""), "no purpose is declared"),
        (CASE.replace('expect = "deny"', ""), "expect"),
        ("", "write at least one"),
        ("[[case]", "tests.toml"),
    ],
)
def test_a_pack_whose_own_tests_fail_is_refused(broken: str, told: str, pack: Write) -> None:
    refused(pack(tests=broken), "tests.toml", told)


@pytest.mark.parametrize("file", ["pack.toml", "rules.cedar", "entities.json", "tests.toml"])
def test_a_missing_file_is_named(file: str, pack: Write) -> None:
    folder = pack()
    (folder / file).unlink()
    refused(folder, file)


def test_a_pack_that_is_not_there_is_named() -> None:
    with pytest.raises(PolicyError, match="no-such-pack"):
        Policy.load(["no-such-pack"])


def test_loading_order_changes_neither_digest_nor_answer(pack: Write) -> None:
    folder = pack()
    assert Policy.load(["base", folder]).digest == Policy.load([folder, "base"]).digest


def test_the_digest_covers_every_rule_entity_and_schema_byte(pack: Write) -> None:
    before = Policy.load(["base", pack()]).digest
    digests = {before, Policy.load(["base"]).digest}
    digests.add(Policy.load(["base", pack("other", rules=RULE + "// a comment")]).digest)
    spaced = pack("spaced", entities="[ ]")
    digests.add(Policy.load(["base", spaced]).digest)
    assert len(digests) == 4


def test_the_digest_can_be_made_with_sha256sum() -> None:
    base = folder_of("base")
    files = [
        (SCHEMA, SCHEMA.name),
        (base / "entities.json", "base/entities.json"),
        (base / "rules.cedar", "base/rules.cedar"),
    ]
    listing = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n" for path, name in files)
    assert Policy.load().digest == hashlib.sha256(listing.encode()).hexdigest()


def test_two_packs_of_one_name_are_refused(pack: Write, tmp_path: Path) -> None:
    first = pack()
    second = shutil.copytree(first, tmp_path / "elsewhere" / "mine")
    (second / "rules.cedar").write_text(RULE.replace("mine/", "other/"), "utf-8")
    (second / "tests.toml").write_text(CASE.replace("mine/", "other/"), "utf-8")
    with pytest.raises(PolicyError, match="two packs are called mine"):
        Policy.load(["base", first, second])
