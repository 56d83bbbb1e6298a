"""`countenance policy`: what it prints is what policy decides, in words and in JSON."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from countenance.policy import pack
from tests.unit.cli.conftest import Shell

POLICE = ("--operation", "SearchFacesByImage", "--kind", "police", "--purpose", "criminal-investigation")


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """A folder that is no home."""
    return tmp_path / "nowhere"


def test_list_says_what_is_in_force_here(shell: Shell, home: Path, nowhere: Path) -> None:
    found = {
        each["pack"]: each for each in json.loads(shell("policy", "list", "--home", home, "--json").stdout)
    }
    assert set(found) == set(pack.shipped())
    assert (found["base"]["in_force_here"], found["us-ca-sf"]["in_force_here"]) == (True, False)
    assert "us-ca-sf" in shell("policy", "list", "--home", nowhere).stdout


def test_show_gives_words_source_and_dates(shell: Shell) -> None:
    said = shell("policy", "show", "us-va").stdout
    assert "us-va/after-sunset  forbids" in said
    assert "since 2022-07-01 until 2026-07-01" in said
    assert "Nobody has read" in said
    rules = json.loads(shell("policy", "show", "us-va", "--json").stdout)["rules"]
    assert {rule["rule"]: rule["until"] for rule in rules}["us-va/15.2-1723.2"] == "2026-07-01"


def test_check_counts_rules_and_cases(shell: Shell) -> None:
    found = json.loads(shell("policy", "check", "us-ca-sf", "--json").stdout)
    assert found["ok"]
    assert [(each["pack"], each["rules"]) for each in found["packs"]] == [("us-ca-sf", 1)]
    assert found["packs"][0]["cases"] > 5


def test_check_fails_with_file_and_rule(shell: Shell, tmp_path: Path) -> None:
    """A rule whose condition is gone no longer decides what its tests say."""
    folder = tmp_path / "city"
    shutil.copytree(pack.folder_of("us-ca-sf"), folder)
    rules = folder / "rules.cedar"
    rules.write_text(rules.read_text().replace('Place::"US-CA-SF"', 'Place::"US-CA"'))
    said = shell("policy", "check", folder, code=1).stderr
    assert "tests.toml" in said
    rules.write_text(rules.read_text().replace("principal.org.kind", "principal.org.kin"))
    said = shell("policy", "check", folder, code=1).stderr
    assert ("rules.cedar" in said, "us-ca-sf/19B.2" in said) == (True, True)


def test_explain_names_the_ordinance(shell: Shell, nowhere: Path) -> None:
    said = shell("policy", "explain", *POLICE, "--place", "US-CA-SF", "--home", nowhere).stdout
    assert said.startswith("Refused: identify by police in US-CA-SF for criminal-investigation on ")
    assert "Even then no rule permits identify to police" in said
    assert "us-ca-sf/19B.2, since 2019-07-01" in said
    before = ("--date", "2019-06-30", "--packs", "base,us-ca-sf", "--json")
    found = json.loads(shell("policy", "explain", *POLICE, "--place", "US-CA-SF", *before).stdout)
    assert (found["allowed"], found["rules"]) == (False, [])


def test_explain_tells_what_turns_it(shell: Shell) -> None:
    live = (
        "--operation",
        "identify",
        "--kind",
        "public-agency",
        "--place",
        "US-WA",
        "--purpose",
        "public-safety",
    )
    packs = ("--packs", "base,us-wa", "--realtime", "--date", "2026-11-22", "--json")
    refused = json.loads(shell("policy", "explain", *live, *packs).stdout)
    assert [rule["rule"] for rule in refused["rules"]] == ["us-wa/43.386.080"]
    allowed = json.loads(shell("policy", "explain", *live, *packs, "--authorisation", "warrant").stdout)
    assert allowed["allowed"]


def test_explain_decides_for_whom_it_is(shell: Shell) -> None:
    business = ("--operation", "identify", "--kind", "business", "--place", "US-CA", "--purpose", "general")
    packs = ("--packs", "base,us-ca-sf")
    assert shell("policy", "explain", *business, *packs).stdout.startswith("Allowed")
    said = shell("policy", "explain", *business, *packs, "--on-behalf-of", "police:US-CA-SF").stdout
    assert said.startswith(
        "Refused: identify by business in US-CA on behalf of police in US-CA-SF for general"
    )
    assert "us-ca-sf/19B.2" in said


@pytest.mark.parametrize(
    ("attributes", "actions", "allowed"),
    [
        ((), ["detect"], True),
        (("SMILE",), ["detect", "describe"], True),
        (("SMILE", "EMOTIONS"), ["detect", "describe", "infer"], False),
    ],
)
def test_explain_asks_for_the_attributes_that_are_named(
    shell: Shell, attributes: tuple[str, ...], actions: list[str], allowed: bool
) -> None:
    police = ("--operation", "DetectFaces", "--kind", "police", "--place", "DE", "--purpose", "general")
    named = [word for name in attributes for word in ("--attribute", name)]
    said = json.loads(shell("policy", "explain", *police, *named, "--packs", "base", "--json").stdout)
    assert (said["call"]["actions"], said["allowed"]) == (actions, allowed)


CALL = {"--operation": "identify", "--kind": "business", "--place": "US", "--purpose": "general"}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"--operation": "SearchFace"}, "no operation and no action; did you mean SearchFaces?"),
        ({"--operation": "RecognizeCelebrities"}, "an operation of AWS's that is not offered here yet"),
        ({"--place": "US-CAA"}, "no place 'US-CAA' in these packs; did you mean US-CA?"),
        ({"--seat": "US-MA-BOS"}, "the pack us-ma-bos defines it, and is not among them"),
        ({"--purpose": "generl"}, "no purpose 'generl' in these packs; did you mean general?\nKnown: access"),
        ({"--group": "child-protecton"}, "did you mean child-protection?"),
        ({"--offence": "us-md-stalking"}, "the pack us-md defines it, and is not among them"),
        ({"--offence": "theft"}, "there is no offence 'theft' in these packs\nKnown: none."),
        ({"--on-behalf-of": "pol:US"}, "'pol' is no kind; did you mean police?"),
        ({"--on-behalf-of": "police:US-XX"}, "there is no place 'US-XX' in these packs"),
        ({"--tag": "x"}, "write a tag as NAME=VALUE"),
        (
            {"--tag": "orign=web-scrape"},
            "there is no tag 'orign'; did you mean origin?\nKnown: countenance:orig",
        ),
        (
            {"--tag": "countenance:colour=red"},
            "there is no tag 'countenance:colour'\nKnown: countenance:orig",
        ),
        ({"--tag": "origin=webscrape"}, "countenance:origin is never 'webscrape'; did you mean web-scrape?"),
        (
            {"--tag": "countenance:never-suspects=TRUE"},
            "is never 'TRUE'; did you mean true?\nKnown: false, true",
        ),
        ({"--tag": "consent=written", "--collection": "none"}, "--collection none has no tags"),
        ({"--packs": "bsae"}, "no pack that ships; did you mean base?\nThose are amazon-2020"),
    ],
)
def test_explain_of_words_nobody_knows(shell: Shell, wrong: dict[str, str], told: str) -> None:
    said = CALL | {"--packs": "base"} | wrong
    result = shell("policy", "explain", *(word for pair in said.items() for word in pair), code=1)
    assert told in result.stderr
    assert not result.stdout


@pytest.mark.parametrize("day", ["0099-01-01", "9999-12-31"])
def test_numbers_days_and_bodies_that_are_none(shell: Shell, day: str) -> None:
    call = [word for pair in CALL.items() for word in pair]
    told = shell("policy", "explain", *call, "--threshold", "nan", code=2).stderr
    assert "'nan' is no number from 0 to 100" in told
    told = shell("policy", "explain", *call, "--on-behalf-of", "police", code=2).stderr
    assert "'police' is not written as KIND:PLACE" in told
    for command in (("explain", *call), ("who-can", "identify"), ("diff", "base", "base,us-ca-sf")):
        told = shell("policy", *command, "--date", day, code=2).stderr
        assert "is not between 1000-01-01 and 9999-12-30" in told
    shell("policy", "explain", *call, "--date", "9999-12-30", "--authorisation", "warrant")


def test_explain_says_what_was_not_said(shell: Shell) -> None:
    told = shell("policy", "explain", "--operation", "identify", "--place", "US", code=1).stderr
    assert "missing is\n  --kind, one of individual, business," in told
    assert "--place" not in told
    told = shell("policy", "explain", code=1).stderr
    assert [word in told for word in ("--operation", "--kind", "--place")] == [True] * 3


def test_explain_before_any_law_says_so(shell: Shell) -> None:
    call = (
        "policy",
        "explain",
        *(word for pair in CALL.items() for word in pair),
        "--packs",
        "base,us-ca-sf",
    )
    early = shell(*call, "--date", "2019-06-30")
    assert (
        "no dated rule of these packs had begun: the first is us-ca-sf/19B.2, since 2019-07-01"
        in early.stderr
    )
    assert early.stdout.startswith("Allowed")
    assert not shell(*call, "--date", "2019-07-01").stderr


def test_other_tags_than_ours_are_anybody_s(shell: Shell) -> None:
    call = (
        "policy",
        "explain",
        *(word for pair in CALL.items() for word in pair),
        "--packs",
        "base",
        "--json",
    )
    said = json.loads(shell(*call, "--tag", "team=red", "--tag", "countenance:subjects=children").stdout)
    assert said["call"]["tags"] == {"team": "red", "countenance:subjects": "children"}


def test_who_can_and_diff_know_words_too(shell: Shell) -> None:
    who = ("policy", "who-can", "identify", "--packs", "base")
    assert "did you mean general?" in shell(*who, "--purpose", "generl", code=1).stderr
    assert "no place 'XX' in these packs" in shell(*who, "--place", "XX", code=1).stderr
    told = shell("policy", "diff", "base", "base,us-md", "--place", "US-MDD", code=1).stderr
    assert "did you mean US-MD?" in told


def test_explain_a_recorded_call(shell: Shell, home: Path) -> None:
    """Entries of a new home: its packs, its organisation, its key; then the first call."""
    shell("search", "nobody", Path(__file__).with_name("hopper.heic"), "--home", home, code=1)
    said = [shell("policy", "explain", "--entry", n, "--home", home, code=None) for n in range(8)]
    told = [each.stdout for each in said if each.stdout.startswith("Recorded at")]
    assert told
    assert any("SearchFacesByImage was allowed by base/permit-ordinary" in each for each in told)
    assert any("Allowed: identify by individual in world for general" in each for each in told)
    assert "no entry 999" in shell("policy", "explain", "--entry", 999, "--home", home, code=1).stderr


def test_who_can_is_exact_and_says_what_it_counted(shell: Shell) -> None:
    words = (
        "who-can",
        "SearchFacesByImage",
        "--place",
        "US-CA-SF",
        "--date",
        "2026-11-22",
        "--packs",
        "base,us-ca-sf",
    )
    found = json.loads(shell("policy", *words, "--json").stdout)
    may = {kind: answer["may"] for answer in found["answers"] for kind in answer["kinds"]}
    assert (may["business"], may["public-agency"], may["police"]) == ("yes", "no", "no")
    assert found["errors"] == 0
    assert found["dimensions"]["US-CA-SF"]["kind"] == 10
    said = shell("policy", *words).stdout
    assert "us-ca-sf/19B.2 (since 2019-07-01)" in said
    assert "left out, for no rule here reads them" in said


def test_diff_in_sentences(shell: Shell) -> None:
    said = shell("policy", "diff", "base", "base,us-ca-sf", "--date", "2026-11-22").stdout
    assert "identify becomes forbidden to public-agency in US-CA-SF (us-ca-sf/19B.2)" in said
    back = shell("policy", "diff", "base,us-ca-sf", "base", "--date", "2026-11-22").stdout
    assert "identify becomes allowed to public-agency in US-CA-SF (us-ca-sf/19B.2)" in back
    nothing = shell("policy", "diff", "base", "base,us-md", "--date", "2026-11-22").stdout
    assert "Nothing becomes allowed or forbidden" in nothing
