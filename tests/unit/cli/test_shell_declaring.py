"""What the photo commands say of their calls: every header has an option, and the door judges its words."""

from __future__ import annotations

import dataclasses
import itertools
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from botocore.exceptions import ClientError
from PIL import Image as Pillow

from countenance import cli, client, office, settings
from countenance.aws import declaration
from countenance.cli import declaring
from countenance.declared import Declared
from countenance.errors import LedgerError
from countenance.testing import TestServer
from tests.unit.cli.conftest import Shell

COMMANDS = ("detect", "compare", "search", "index", "reindex")

EVERYTHING = {
    "--place": "DE",
    "--venue": "street",
    "--case": "2026-117",
    "--authorisation": "id=7; kind=warrant; issued-by=a court; from=2026-01-01; until=2027-01-01",
    "--evidence": "a letter",
    "--listing": "missing",
    "--on-behalf-of": "ngo:DE:child-protection",
    "--max-fpir": "0.001",
    "--prior": "0.25",
}

WORDS = [
    *(word for pair in EVERYTHING.items() for word in pair),
    *("--purpose", "development", "--realtime", "--not-public-space", "--mobile-camera"),
    *("--reviewer", "A. Weber", "--reviewer", "B. Lang"),
]

KEPT = {
    "purpose": "development",
    "called_from": "DE",
    "venue": "street",
    "realtime": True,
    "public_space": False,
    "mobile_camera": True,
    "listing": "missing",
    "requester": ["ngo", "DE", "child-protection"],
    "max_fpir": "0.001",
    "prior": "0.25",
}
"""What the ledger keeps of them word by word."""

NAMED = {"case", "authorisation", "evidence", "reviewers"}
"""What it keeps something of that is not the words."""


def entries(home: Path, first: int = 0) -> Iterator[dict[str, Any]]:
    for number in itertools.count(first):
        try:
            yield office.entry(settings.load(home), number)
        except LedgerError:
            return


def test_every_photo_command_says_all_that_a_call_may_say(
    shell: Shell, running: TestServer, album: Path, hopper: Pillow.Image, tmp_path: Path
) -> None:
    before = sum(1 for _ in entries(running.home))
    hopper.save(tmp_path / "photo.png")
    name, photo = f"declared-{uuid.uuid4()}", tmp_path / "photo.png"
    calls = [("detect", photo), ("compare", photo, photo), ("index", name, album / "spring")]
    for call in (*calls, ("search", name, photo), ("reindex", name)):
        shell(*call, "--home", running.home, *WORDS)
    decisions = [entry for entry in entries(running.home, before) if entry["kind"] == "decision"]
    asked = {entry["operation"] for entry in decisions}
    assert asked >= {"DetectFaces", "CompareFaces", "IndexFaces", "SearchFacesByImage", "ListFaces"}
    assert [{name: entry.get(name) for name in KEPT} for entry in decisions] == [KEPT] * len(decisions)
    assert [NAMED - entry.keys() for entry in decisions] == [set()] * len(decisions)


def test_what_is_not_said_is_the_keys_default(shell: Shell, home: Path) -> None:
    """Without a server too, as before there were such options."""
    photo = Path(__file__).with_name("hopper.heic")
    shell("detect", photo, "--home", home)
    shell("detect", photo, "--home", home, "--case", "2026-117", "--not-realtime")
    plain, told = (entry for entry in entries(home) if entry["kind"] == "decision")
    assert (plain["purpose"], told["purpose"]) == ("general", "general")
    assert (KEPT.keys() | NAMED) & plain.keys() == {"purpose"}
    assert (KEPT.keys() | NAMED) & told.keys() == {"purpose", "case", "realtime"}
    assert told["realtime"] is False


def test_a_police_home_uses_the_shell(shell: Shell, tmp_path: Path) -> None:
    home, photo = tmp_path / "home", Path(__file__).with_name("hopper.heic")
    made = shell("init", "--home", home, "--kind", "police", "--place", "DE", "--purpose", "missing-persons")
    assert "the shell's --purpose" in made.stderr
    told = shell("detect", photo, "--home", home, code=1).stderr
    assert "header x-countenance-purpose" in told
    assert told.rstrip().endswith("--help lists the options that say it.")
    told = shell("detect", photo, "--home", home, "--purpose", "missing-persons", "--json").stdout
    assert len(json.loads(told)[0]["FaceDetails"]) == 1
    refused = shell("detect", photo, "--home", home, "--purpose", "public-safety", code=1).stderr
    assert "This key was not issued for the purpose 'public-safety'" in refused
    assert "--help" not in refused


@pytest.mark.parametrize(
    ("option", "typed", "header", "value"),
    [
        ("--purpose", "generl", "purpose", "generl"),
        ("--place", "US-ZZ", "place", "US-ZZ"),
        ("--venue", "shop", "venue", "shop"),
        ("--offence", "theft", "offence", "theft"),
        ("--listing", "wanted", "listing", "wanted"),
        ("--authorisation", "a warrant", "authorisation", "a warrant"),
        ("--on-behalf-of", "polis:DE", "on-behalf-of", "kind=polis; place=DE"),
        ("--on-behalf-of", "ngo:DE:any", "on-behalf-of", "kind=ngo; place=DE; groups=any"),
    ],
)
def test_a_wrong_word_gets_the_sentence_of_the_door(
    shell: Shell, running: TestServer, option: str, typed: str, header: str, value: str
) -> None:
    others = running.client()
    client.carry(others, {f"x-countenance-{header}": value})
    with pytest.raises(ClientError) as refusal:
        others.list_collections()
    error = refusal.value.response["Error"]
    photo = Path(__file__).with_name("hopper.heic")
    told = shell("detect", photo, "--home", running.home, option, typed, code=1).stderr
    assert told == f"Error: {error['Code']}: {error['Message']}\n"
    assert f"Header 'x-countenance-{header}'" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--case", "Fälle"), "Header 'x-countenance-case' must be printable ASCII"),
        (
            ("--case", "a\r\nx-countenance-purpose: other"),
            "Header 'x-countenance-case' must be printable ASCII",
        ),
        (("--evidence", ""), "Header 'x-countenance-evidence' must not be empty"),
        (("--case", "9" * 257), "Header 'x-countenance-case' must be at most 256 characters long"),
        (("--reviewer", "Weber, A."), "A name holds no comma"),
        (("--on-behalf-of", "police"), "not written as KIND:PLACE"),
        (("--on-behalf-of", "police:DE:"), "not written as KIND:PLACE"),
    ],
)
def test_what_no_header_holds_is_not_sent(
    shell: Shell, running: TestServer, words: tuple[str, ...], told: str
) -> None:
    before = sum(1 for _ in entries(running.home))
    photo = Path(__file__).with_name("hopper.heic")
    assert told in shell("detect", photo, "--home", running.home, *words, code=None).stderr
    assert sum(1 for _ in entries(running.home)) == before


def test_every_header_has_an_option_and_a_word_in_the_help(shell: Shell) -> None:
    assert list(declaring.SAID) == [field.name for field in dataclasses.fields(Declared)]
    for name in COMMANDS:
        command = cli.main.get_command(click.Context(cli.main), name)
        assert command
        assert {each.name for each in command.params} >= declaration.FORMS.keys()
        plain, said = shell(name, "--help").stdout.split("What the call says of itself")
        assert ("--home" in plain, "--home" in said) == (True, False)
        assert ("--reviewer NAME" in plain, "--reviewer NAME" in said) == (False, True)


def test_explain_takes_whom_it_is_for_in_the_same_words(shell: Shell) -> None:
    asked = ("--operation", "identify", "--kind", "business", "--place", "US", "--purpose", "general")
    words = ("policy", "explain", *asked, "--packs", "base", "--json")
    said = json.loads(shell(*words, "--on-behalf-of", "ngo:US:child-protection").stdout)
    whom = said["call"]["on-behalf-of"]
    assert whom == {"kind": "ngo", "place": "US", "groups": ["child-protection"]}
    told = shell(*words, "--on-behalf-of", "ngo:US:children", code=1).stderr
    assert "there is no group 'children' in these packs" in told
