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
    assert said.startswith("Refused")
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


def test_explain_of_words_nobody_knows(shell: Shell) -> None:
    police = ("--operation", "identify", "--kind", "police")
    said = shell(
        "policy", "explain", *police, "--place", "US-ZZ", "--packs", "base", "--purpose", "generl"
    ).stdout
    assert "the place 'US-ZZ' is not in the vocabulary" in said
    assert "the purpose 'generl' is not in the vocabulary" in said
    assert (
        "no operation"
        in shell("policy", "explain", "--operation", "Serch", *police[2:], "--place", "US", code=1).stderr
    )
    assert "NAME=VALUE" in shell("policy", "explain", *police, "--place", "US", "--tag", "x", code=1).stderr


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
