"""A pack that is wrong anywhere is not loaded, and the message says where."""

from __future__ import annotations

import datetime as dt
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from countenance.errors import PolicyError
from countenance.policy import Policy
from countenance.policy.pack import SCHEMA, folder_of
from tests.unit.policy.packs import ABOUT

RULE = """
@id("mine/no-watching")
@source("our own charter")
@quote("Nobody watches.")
@advice("Nothing would turn it.")
@effective("2026-01-01")
forbid (principal is Countenance::Agent, action == Countenance::Action::"watch", resource)
when { context.now >= datetime("2026-01-01") };
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
        for file, text in {"pack": ABOUT, "rules": RULE, "entities": "[]", "tests": CASE, **files}.items():
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


@pytest.mark.parametrize("note", ["id", "source", "quote", "advice", "effective"])
def test_a_rule_without_an_annotation_is_refused(note: str, pack: Write) -> None:
    bare = "\n".join(line for line in RULE.splitlines() if not line.startswith(f"@{note}("))
    refused(pack(rules=bare), "rules.cedar", f"@{note} is missing")


def test_an_effective_that_is_no_date_is_refused(pack: Write) -> None:
    refused(
        pack(rules=RULE.replace('@effective("2026-01-01")', '@effective("last week")')),
        "mine/no-watching",
        "@effective",
    )


def test_an_id_used_twice_is_refused(pack: Write) -> None:
    refused(pack(rules=RULE + RULE), "rules.cedar", "mine/no-watching is used twice")


def test_an_id_of_another_pack_is_refused(pack: Write) -> None:
    refused(pack(rules=RULE.replace("mine/no-watching", "base/permit-infer")), "is already in pack base")


def test_a_permit_in_a_pack_that_does_not_grant_is_refused(pack: Write) -> None:
    permit = RULE.replace("forbid", "permit")
    refused(pack(rules=permit), "pack.toml", "grants = true")
    allowed = CASE.replace('"deny"', '"allow"')
    Policy.load(["base", pack("granting", rules=permit, pack=ABOUT + "grants = true", tests=allowed)])


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
          {"uid": {"type": "Countenance::Purpose", "id": "parades"}, "attrs": {},
           "parents": [{"type": "Countenance::Purpose", "id": "any"}]}
        ]""",
        rules=RULE.replace('action == Countenance::Action::"watch"', "action").replace(
            ";", ' when { context.purpose in Countenance::Purpose::"parades" };'
        ),
        tests=CASE.replace("general", "parades").replace('"US"', '"US-CA-SF"'),
    )
    policy = Policy.load(["base", folder])
    assert "US-CA-SF" in policy.places
    assert "parades" in policy.purposes


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


@pytest.mark.parametrize("kind", ["Place", "Purpose"])
def test_a_word_that_lies_in_nothing_is_refused(kind: str, pack: Write) -> None:
    """Rules about the world, or a country, or any purpose would not reach it."""
    lost = f'[{{"uid": {{"type": "Countenance::{kind}", "id": "lost"}}, "attrs": {{}}, "parents": []}}]'
    refused(pack(entities=lost), "entities.json", "'lost' lies in nothing")


@pytest.mark.parametrize("text", ["{", "[1]", '[{"uid": {"type": "Countenance::Plaice", "id": "x"}}]', "{}"])
def test_entities_that_are_wrong_are_refused(text: str, pack: Write) -> None:
    refused(pack(entities=text), "entities.json")


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (CASE.replace('"deny"', '"allow"'), "expected allow"),
        (CASE + CASE.replace('rules = ["mine/no-watching"]', "rules = []"), "expected deny by []"),
        (CASE.replace('rules = ["mine/no-watching"]', "rules = []"), "decided by mine/no-watching"),
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


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (("@until", '@until("2025-01-01")'), "@until is not after @effective"),
        (("@until", '@until("2027-01-01")'), "2026-01-01 and 2027-01-01, but"),
        (('datetime("2026-01-01")', 'datetime("2026-01-02")'), "compares context.now with 2026-01-02"),
        (('@effective("2026-01-01")', '@effective("always")'), "its notes say no date"),
        (('@quote("Nobody watches.")', f'@quote("{"x" * 401}")'), "longer than 400"),
        (('context.now >= datetime("2026-01-01")', "context.grounds.case"), "case"),
        (('context.now >= datetime("2026-01-01")', 'context.now == "2026"'), "mine/no-watching"),
        (('"2026-01-01"', '"2019-12-31"'), "applies since 2019-12-31, but the pack is in_force_from"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said_with_file_and_rule(
    changed: tuple[str, str], told: str, pack: Write
) -> None:
    rules = RULE.replace("@until", "").replace("@advice", "@until @advice") if "@until" in changed else RULE
    rules = rules.replace(*changed)
    refused(pack(rules=rules), "mine", "mine/no-watching", told)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("grants = 1", "grants must be true or false"),
        ("supersedes = 'base'", "supersedes must be a list of texts"),
        ("in_force_until = '2020-01-01'", "in_force_until must be a date"),
        ("colour = 'red'", "unknown line 'colour'"),
    ],
)
def test_a_line_of_the_card_of_another_type_is_refused(line: str, told: str, pack: Write) -> None:
    refused(pack(pack=f"{ABOUT}{line}\n"), "pack.toml", told)


@pytest.mark.parametrize("name", ["title", "place", "confidence", "in_force_from", "read_on", "sources"])
def test_a_card_without_a_line_is_refused(name: str, pack: Write) -> None:
    card = "\n".join(line for line in ABOUT.splitlines() if not line.startswith(name))
    refused(pack(pack=card), "pack.toml", f"{name} is missing")


def test_a_confidence_or_place_nobody_knows_is_refused(pack: Write) -> None:
    refused(pack("sure", pack=ABOUT.replace("project-rule", "certain")), "confidence must be one of high")
    refused(pack("where", pack=ABOUT.replace("world", "US-KA")), "pack.toml", "Place 'US-KA'")


def test_what_is_known_with_low_confidence_may_only_forbid(pack: Write) -> None:
    low = ABOUT.replace("project-rule", "low")
    Policy.load(["base", pack("forbids", pack=low)])
    refused(pack(pack=f"{low}grants = true\n", rules=RULE.replace("forbid", "permit")), "may only forbid")


def test_a_rule_that_no_case_is_about_is_refused(pack: Write) -> None:
    """The canary: a forbid that never matches would look like one that is kept."""
    second = RULE.replace("mine/no-watching", "mine/no-labels").replace('"watch"', '"label"')
    refused(pack(rules=RULE + second), "tests.toml", "no case is decided by mine/no-labels")


NO_EFFECT = CASE.replace('"deny"', '"no-effect"').replace('rules = ["mine/no-watching"]', "")


def test_no_effect_is_what_base_alone_decides(pack: Write) -> None:
    before = NO_EFFECT.replace("2026-11-21", "2025-12-31")
    Policy.load(["base", pack(tests=CASE + before)])
    refused(pack("late", tests=CASE + NO_EFFECT), "expected deny by [], got deny by ['mine/no-watching']")
    refused(pack("both", tests=CASE + before + "rules = []"), "a case has no rules")


def test_a_rules_facts_and_dates_are_read_from_its_text(pack: Write) -> None:
    rules = RULE.replace(
        "};",
        """ && context.grounds has authorisation && context.grounds.authorisation.kind == "warrant" &&
        resource is Countenance::Collection && resource.origin == Countenance::Origin::"web-scrape" &&
        principal.org.groups.contains(Countenance::Group::"child-protection") };""",
    )
    tests = (
        CASE
        + """groups = ["child-protection"]
origin = "web-scrape"
authorisation = { id = "7", kind = "warrant", issued-by = "a court", from = 2026-01-01, until = 2027-01-01 }
"""
    )
    rule = Policy.load(["base", pack(rules=rules, tests=tests)]).rules["mine/no-watching"]
    assert rule.reads == {
        "context.now",
        "context.grounds.authorisation",
        "context.grounds.authorisation.kind",
        "resource",
        "resource.origin",
        "principal.org.groups",
    }
    assert rule.dates == {dt.date(2026, 1, 1)}
    assert rule.words == {("Group", "child-protection")}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('on-behalf-of = { kind = "police" }', "place is missing"),
        ('on-behalf-of = { kind = "polize", place = "US" }', "polize"),
        ('authorisation = { id = "7" }', "kind is missing"),
        ("audit = { issued = 2026-01-01 }", "by-operator is missing"),
        ('venue = "on the moon"', "on the moon"),
        ('collection = "none"\norigin = "licensed"', "has no tags"),
    ],
)
def test_a_case_that_is_not_understood_is_named(line: str, told: str, pack: Write) -> None:
    refused(pack(tests=CASE + line), "tests.toml", "nobody watches", told)


def test_an_entity_of_another_kind_is_refused(pack: Write) -> None:
    entities = """[{"uid": {"type": "Countenance::Service", "id": "x"}, "attrs": {}, "parents": []}]"""
    refused(pack(entities=entities), "entities.json", "a pack may add Group, Offence, Place, Purpose")


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
