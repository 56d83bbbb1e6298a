"""keys create, list, revoke."""

from __future__ import annotations

import json
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from countenance.client import declare
from countenance.testing import TestServer
from tests.unit.cli.conftest import Shell


def test_a_new_key_works_at_once_and_a_revoked_one_no_more(
    shell: Shell, running: TestServer, tmp_path: Path
) -> None:
    shell("keys", "create", "--home", running.home, "--organisation", "tests", "--save", tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    client = running.client(credentials=tmp_path / "key")
    client.list_collections()
    listed = json.loads(shell("keys", "list", "--home", running.home, "--json").stdout)
    newest = listed[-1]
    assert newest["access_key_id"] in (tmp_path / "key").read_text()
    assert (newest["organisation"], newest["purpose"], newest["revoked"]) == ("tests", "general", None)
    shell("keys", "revoke", newest["access_key_id"], "--home", running.home)
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        client.list_collections()
    told = shell("keys", "revoke", newest["access_key_id"], "--home", running.home, code=1).output
    assert "is in force" in told
    assert newest["access_key_id"] in shell("keys", "list", "--home", running.home).output


def test_a_secret_is_shown_once(shell: Shell, home: Path) -> None:
    result = shell("keys", "create", "--home", home)
    lines = dict(line.split(" = ") for line in result.stdout.splitlines()[1:])
    assert result.stdout.startswith("[default]\n")
    for listing in (("keys", "list"), ("keys", "list", "--json")):
        told = shell(*listing, "--home", home).output
        assert lines["aws_access_key_id"] in told
        assert lines["aws_secret_access_key"] not in told


def test_a_new_organisation_says_what_it_is(shell: Shell, home: Path) -> None:
    told = shell("keys", "create", "--home", home, "--organisation", "Daily", code=1).output
    assert "say what it is with --kind" in told
    shell("keys", "create", "--home", home, "--organisation", "Daily", "--kind", "media", "--place", "DE")
    shell("keys", "create", "--home", home, "--organisation", "Daily", "--purpose", "journalism")
    told = shell("keys", "create", "--home", home, "--organisation", "Daily", "--kind", "ngo", code=1).output
    assert "registered here as media in DE" in told
    assert (
        "say which with --organisation: me, Daily" in shell("keys", "create", "--home", home, code=1).output
    )
    found = json.loads(shell("keys", "list", "--home", home, "--json").stdout)
    accounts = {key["account"] for key in found if key["organisation"] == "Daily"}
    assert len(accounts) == 1
    assert [key["purpose"] for key in found] == ["general", "general", "journalism"]


def test_a_misspelt_purpose_leaves_no_organisation_behind(shell: Shell, home: Path) -> None:
    create = ("keys", "create", "--home", home, "--organisation", "Daily")
    wrong = ("--kind", "police", "--place", "US-IL", "--purpose", "jurnalism")
    assert "the purpose 'jurnalism' is not one of" in shell(*create, *wrong, code=1).output
    shell(*create, "--kind", "media", "--place", "DE", "--purpose", "journalism")


def test_a_police_key_detects_but_does_not_search(shell: Shell, running: TestServer, tmp_path: Path) -> None:
    told = shell(
        *("keys", "create", "--home", running.home, "--organisation", "county", "--kind", "police"),
        *("--place", "US-CA", "--purpose", "law-enforcement", "--save", tmp_path / "key"),
    ).output
    assert "Every call of this key has to say what it is for, law-enforcement" in told
    client = running.client(credentials=tmp_path / "key")
    with pytest.raises(ClientError, match="No purpose is declared"):
        client.create_collection(CollectionId="suspects")
    declare(client, purpose="law-enforcement")
    client.create_collection(CollectionId="suspects")
    with pytest.raises(ClientError, match="AccessDeniedException"):
        client.search_faces(CollectionId="suspects", FaceId="00000000-0000-4000-8000-000000000000")


def test_a_key_says_what_it_may_be_for(shell: Shell, home: Path) -> None:
    made = ("keys", "create", "--home", home, "--organisation", "Thorn")
    words = ("--purpose", "missing-persons", "--purpose", "trafficking-victims", "--policy-owner")
    shell(*made, "--kind", "ngo", "--place", "US", "--group", "child-protection", *words)
    newest = json.loads(shell("keys", "list", "--home", home, "--json").stdout)[-1]
    assert newest["purpose"] == "missing-persons"
    assert newest["purposes"] == ["missing-persons", "trafficking-victims"]
    assert newest["groups"] == ["child-protection"]
    assert newest["policy_owner"] is True
    with closing(sqlite3.connect(home / "countenance.db")) as database:
        bodies = [json.loads(body) for (body,) in database.execute("SELECT body FROM entries ORDER BY seq")]
    registered, issued = bodies[-2:]
    assert registered["groups"] == issued["groups"] == ["child-protection"]
    assert (issued["purpose"], issued["purposes"]) == ("missing-persons", ["trafficking-victims"])
    assert issued["policy_owner"] is True
    assert "policy_owner" not in bodies[1]
    assert "is registered here as ngo" in shell(*made, "--group", "any", code=1).output
    told = shell(*made[:-1], "Other", "--kind", "ngo", "--group", "nobody", code=1).output
    assert "the group 'nobody' is not one of child-protection" in told
    assert "the purpose 'mischief' is not one of" in shell(*made, "--purpose", "mischief", code=1).output


def test_the_list_shows_every_purpose_and_who_owns_the_policy(shell: Shell, home: Path) -> None:
    made = ("keys", "create", "--home", home, "--organisation", "Force", "--policy-owner")
    words = ("--purpose", "public-safety", "--purpose", "missing-persons")
    shell(*made, "--kind", "police", "--place", "US-CA", *words)
    first, force = (
        line for line in shell("keys", "list", "--home", home).stdout.splitlines() if "CNT" in line
    )
    assert first.split()[3:7] == ["world", "general", "general", "-"]
    assert force.split()[3:8] == ["US-CA", "missing-persons,", "public-safety", "-", "yes"]


def test_laws_of_another_place_are_named_with_the_line_that_adds_them(shell: Shell, tmp_path: Path) -> None:
    """Those that are in force already, or whose last day is over, are not."""
    home = tmp_path / "home"
    shell("init", "--home", home, "--place", "US-CA")
    made = ("keys", "create", "--home", home, "--kind", "business", "--organisation")
    told = shell(*made, "Prairie", "--place", "US-IL").stderr
    assert "Not in force in this home, though Prairie is in US-IL: us-il-bipa." in told
    assert "us-ca-ab1215" not in told.partition("packs = ")[0]
    settings = home / "settings.toml"
    lines = [line for line in settings.read_text().splitlines() if not line.startswith("packs")]
    lines.append(next(line for line in told.splitlines() if line.startswith("packs = ")))
    settings.write_text("\n".join(lines))
    here = json.loads(shell("policy", "list", "--home", home, "--json").stdout)
    assert {each["pack"] for each in here if each["in_force_here"]} >= {"base", "us-ca-ab1215", "us-il-bipa"}
    again = shell("keys", "create", "--home", home, "--organisation", "Prairie").stderr
    assert "Not in force" not in again
    bare = tmp_path / "bare"
    shell("init", "--home", bare)
    charity = ("--organisation", "C", "--kind", "ngo", "--place", "US-CA")
    third = shell("keys", "create", "--home", bare, *charity)
    assert "Not in force" not in third.stderr


def test_a_place_that_a_pack_would_bring_is_said_to_be_one(shell: Shell, home: Path) -> None:
    made = ("keys", "create", "--home", home, "--organisation", "City", "--kind", "public-agency")
    told = shell(*made, "--place", "US-CA-SF", code=1).stderr
    assert "the pack us-ca-sf knows US-CA-SF, and is not in force" in told
    assert '"ibm-2020", "us-ca-sf"]' in told


def test_a_key_for_no_place_in_particular_is_said_to_have_no_law(shell: Shell, home: Path) -> None:
    assert "No law of a place holds for me" in shell("keys", "create", "--home", home).stderr
    made = ("keys", "create", "--home", home, "--organisation", "Clippings", "--kind", "media")
    assert "No law of a place holds for Clippings" in shell(*made).stderr
    daily = ("keys", "create", "--home", home, "--organisation", "Daily", "--kind", "media", "--place", "CH")
    assert "No law" not in shell(*daily).stderr


def test_nothing_is_made_where_the_file_exists(shell: Shell, home: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("mine")
    assert "exists" in shell("keys", "create", "--home", home, "--save", tmp_path / "key", code=1).output
    assert len(json.loads(shell("keys", "list", "--home", home, "--json").stdout)) == 1
    assert (tmp_path / "key").read_text() == "mine"


def test_who_may_call_stands_in_the_ledger_without_a_name(shell: Shell, home: Path) -> None:
    made = ("keys", "create", "--home", home, "--organisation", "Daily", "--kind", "media", "--place", "DE")
    shell(*made, "--purpose", "journalism")
    newest = json.loads(shell("keys", "list", "--home", home, "--json").stdout)[-1]
    shell("keys", "revoke", newest["access_key_id"], "--home", home)
    shell("keys", "revoke", newest["access_key_id"], "--home", home, code=1)
    with closing(sqlite3.connect(home / "countenance.db")) as database:
        bodies = [body for (body,) in database.execute("SELECT body FROM entries ORDER BY seq")]
    entries = [json.loads(body) for body in bodies]
    assert [entry["act"] for entry in entries] == ["register", "issue", "register", "issue", "revoke"]
    for entry in entries[2:]:
        told = (entry["kind"], entry["account"], entry["organisation_kind"], entry["place"])
        assert told == ("govern", newest["account"], "media", "DE")
    assert [entry.get("purpose") for entry in entries[2:]] == [None, "journalism", "journalism"]
    callers = [entry.get("caller") for entry in entries]
    assert callers[3] == callers[4] != callers[1]
    assert not any(secret in b"".join(bodies) for secret in (b"Daily", newest["access_key_id"].encode()))
    found = json.loads(shell("ledger", "verify", "--home", home, "--json").stdout)
    assert (found["size"], found["administered"], found["decisions"]) == (5, 5, 0)


def test_nobody_is_let_in_where_the_ledger_cannot_say_so(shell: Shell, home: Path) -> None:
    with closing(sqlite3.connect(home / "countenance.db")) as database, database:
        database.execute("DELETE FROM checkpoints")
    told = shell("keys", "create", "--home", home, code=1).output
    assert "no checkpoint covers the 2 entries" in told
    assert len(json.loads(shell("keys", "list", "--home", home, "--json").stdout)) == 1


def test_calls_are_counted_and_a_quota_is_kept(shell: Shell, running: TestServer, tmp_path: Path) -> None:
    at = ("--home", running.home)
    shell("keys", "create", *at, "--organisation", "tests", "--quota", "2/day", "--save", tmp_path / "key")
    client = running.client(credentials=tmp_path / "key", config=Config(retries={"total_max_attempts": 1}))
    client.list_collections()
    client.list_collections()
    with pytest.raises(ClientError, match="ProvisionedThroughputExceededException"):
        client.list_collections()
    newest = json.loads(shell("keys", "list", *at, "--json").stdout)[-1]
    assert (newest["calls"], newest["calls_today"], newest["quota"]) == (3, 3, 2)
    key = newest["access_key_id"]
    [use] = json.loads(shell("keys", "usage", key, *at, "--json").stdout)
    assert (use["operation"], use["calls"], use["refused"]) == ("ListCollections", 3, 1)
    assert use["key"] == key
    assert "any number of calls a day" in shell("keys", "quota", key, "none", *at).output
    client.list_collections()
    shell("keys", "quota", key, "1", *at)
    with pytest.raises(ClientError, match="may make 1 calls a day"):
        client.list_collections()
    assert "ListCollections" in shell("keys", "usage", *at).output
    assert json.loads(shell("keys", "usage", key, *at, "--json", "--to", "2020-01-01").stdout) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("quota", "CNTNOBODY", "5"), "no key CNTNOBODY is in force"),
        (("usage", "CNTNOBODY"), "no key CNTNOBODY is known here"),
    ],
)
def test_a_key_that_is_not_there(shell: Shell, home: Path, words: tuple[str, ...], told: str) -> None:
    assert told in shell("keys", *words, "--home", home, code=1).output


@pytest.mark.parametrize("quota", ["0", "-1", "1.5", "many", "5/hour", "9" * 20])
def test_a_quota_that_is_none(shell: Shell, home: Path, quota: str) -> None:
    assert (
        "is not written as 1000" in shell("keys", "create", "--home", home, f"--quota={quota}", code=2).output
    )
