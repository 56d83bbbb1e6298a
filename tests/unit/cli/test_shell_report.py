"""`countenance report`: from a home or a folder, as Markdown, HTML and JSON, under the headings of laws."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countenance.cli import chapters
from countenance.ledger import checkpoint
from countenance.ledger.reports import TABLES, TOTALS
from tests.door.house import House
from tests.unit.cli.conftest import Shell

TODAY = dt.datetime.now(dt.UTC).date().isoformat()
DAYS = ("--from", "2026-01-01", "--to", "2199-12-31")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home where one thing or another was asked for."""
    house = House(tmp_path_factory.mktemp("house") / "home")
    house.call(
        "CreateCollection", CollectionId="people", Tags={"countenance:never-suspects": "true"}
    ).result()
    for _ in range(6):
        house.call("ListCollections").result()
    for _ in range(3):
        house.call("DescribeCollection", CollectionId="nobody")
    house.close()
    return house.settings.home


def read(shell: Shell, home: Path, *words: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        shell("report", "--home", home, *DAYS, "--format", "json", *words).stdout
    )
    return found


def test_json_holds_all_that_is_documented(shell: Shell, house: Path) -> None:
    report = read(shell, house)
    assert list(report) == [
        *("report", "log", "size", "period", "account", "least"),
        *("totals", "share_wrong", "tables", "changes", "heads", "witnesses"),
    ]
    assert tuple(report["totals"]) == TOTALS
    assert list(report["tables"]) == list(TABLES)
    assert report["totals"]["calls"]["count"] == 10
    assert report["totals"]["failed"]["count"] == 3
    [failed] = report["tables"]["failures_by_error"]
    assert (failed["key"], failed["failed"]["count"]) == ("ResourceNotFoundException", 3)
    name, key = checkpoint.read_key((house / "ledger.pub").read_text())
    assert report["size"] == checkpoint.verify(report["heads"]["closing"], name, key).size
    assert (report["log"], report["witnesses"]) == (name, [])


def test_small_counts_are_printed_only_where_that_is_asked_for(shell: Shell, house: Path) -> None:
    rows = {row["key"]: row for row in read(shell, house)["tables"]["calls_by_operation"]}
    assert rows["CreateCollection"]["calls"] is None
    rows = {row["key"]: row for row in read(shell, house, "--least", 1)["tables"]["calls_by_operation"]}
    assert rows["CreateCollection"]["calls"]["count"] == 1


def test_markdown_and_html_say_the_same_and_warn_of_a_split_view(
    shell: Shell, house: Path, tmp_path: Path
) -> None:
    text = shell("report", "--home", house, *DAYS).stdout
    assert text.startswith("# What the record says: 1 January 2026 to 31 December 2199\n")
    shell("report", "--home", house, *DAYS, "--format", "html", "--out", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    for words in ("A split view is not excluded", "ResourceNotFoundException", "Searches by organisation"):
        assert words in text
        assert words in page
    assert "| calls | 10 |" in text
    assert "<summary>10</summary>" in page
    assert "- What the record comes to: calls, count: " in text
    bare = shell("report", "--home", house, *DAYS, "--without-entries").stdout
    assert "prove each number" not in bare


def test_a_folder_gives_the_same_report_as_the_home(shell: Shell, house: Path, tmp_path: Path) -> None:
    shell("ledger", "export", "--home", house, tmp_path / "out")
    found = shell("report", "--log", tmp_path / "out", *DAYS, "--format", "json").stdout
    assert json.loads(found) == read(shell, house)


def test_a_folder_without_entries_cannot_be_counted(shell: Shell, house: Path, tmp_path: Path) -> None:
    shell("ledger", "export", "--home", house, tmp_path / "out", "--without-entries")
    told = shell("report", "--log", tmp_path / "out", *DAYS, code=1).output
    assert "was published without its entries" in told


def test_days_or_an_account_that_are_not_meant_are_doubted(shell: Shell, house: Path) -> None:
    years = ("--from", "2020-01-01", "--to", "2020-12-31")
    assert "are the dates right?" in shell("report", "--home", house, *years).stderr
    assert "is the account right?" in shell("report", "--home", house, *DAYS, "--account", "1").stderr
    assert "These days are not over" in shell("report", "--home", house, *DAYS).stderr
    account = read(shell, house)["tables"]["faces_by_collection"][0]["key"].partition("/")[0]
    assert "right?" not in shell("report", "--home", house, *DAYS, "--account", account).stderr


def test_days_are_whole_and_the_last_is_included(shell: Shell, house: Path) -> None:
    today = ("--from", TODAY, "--to", TODAY)
    found = json.loads(shell("report", "--home", house, *today, "--format", "json").stdout)
    assert found["totals"]["calls"]["count"] in range(1, 11)
    before = ("--from", "2020-01-01", "--to", "2020-12-31")
    found = json.loads(shell("report", "--home", house, *before, "--format", "json").stdout)
    assert found["totals"]["calls"] == {"count": 0, "entries": ""}
    assert found["period"] == {"from": "2020-01-01", "to": "2020-12-31", "first": None, "last": None}
    assert (
        "before the first"
        in shell("report", "--home", house, "--from", TODAY, "--to", "2020-01-01", code=2).output
    )


def test_a_changed_entry_is_not_counted(shell: Shell, home: Path) -> None:
    with closing(sqlite3.connect(home / "countenance.db")) as database, database:
        database.execute(
            "UPDATE entries SET body = CAST(replace(CAST(body AS TEXT), 'issue', 'igsue') AS BLOB) "
            "WHERE seq = 1"
        )
    told = shell("report", "--home", home, *DAYS, code=1).output
    assert "not those that their checkpoint was signed over" in told


def test_a_log_under_another_key_is_not_counted(shell: Shell, home: Path, tmp_path: Path) -> None:
    name, _ = checkpoint.read_key((home / "ledger.pub").read_text())
    other = checkpoint.verifier_key(name, Ed25519PrivateKey.generate().public_key())
    (tmp_path / "kept.pub").write_text(f"{other}\n")
    told = shell("report", "--home", home, *DAYS, "--key", tmp_path / "kept.pub", code=1).output
    assert "not signed by this log's key" in told


def test_what_is_counted_ends_with_the_newest_head_that_a_witness_signed(
    shell: Shell, home: Path, tmp_path: Path
) -> None:
    shell("keys", "create", "--home", home)
    witness = Ed25519PrivateKey.generate()
    line = checkpoint.witness_key("works-council", witness.public_key())
    with closing(sqlite3.connect(home / "countenance.db")) as database, database:
        size, note = database.execute("SELECT size, note FROM checkpoints ORDER BY size DESC").fetchone()
        note += checkpoint.cosign(note, "works-council", witness, 1_790_000_000)
        database.execute("INSERT INTO witnessed (size, note) VALUES (?, ?)", (size, note))
    shell("keys", "create", "--home", home)
    assert read(shell, home)["size"] == size + 1
    report = read(shell, home, "--witness", line)
    assert (report["size"], report["witnesses"]) == (size, ["works-council"])
    told = shell("report", "--home", home, *DAYS, "--witness", line)
    assert "cosigned by works-council" in told.stdout
    assert "split view" not in told.stdout
    assert "1 entries since works-council last signed are not counted" in told.stderr
    stranger = checkpoint.witness_key("works-council", Ed25519PrivateKey.generate().public_key())
    assert read(shell, home, "--witness", stranger)["witnesses"] == []


@pytest.mark.parametrize("name", chapters.templates())
def test_a_template_asks_only_for_figures_there_are(name: str) -> None:
    form = chapters.template(name)
    assert {total for part in form.parts for total in part.totals} <= {*TOTALS, "share_wrong"}
    assert {table for part in form.parts for table in part.tables} <= {*TABLES, "changes"}
    assert all(part.asks and (part.tables or part.totals or part.blanks) for part in form.parts)
    assert "2026-" in form.read


@pytest.mark.parametrize("name", chapters.templates())
def test_a_template_is_filled_from_the_record_and_leaves_the_rest_blank(
    shell: Shell, home: Path, name: str
) -> None:
    text = shell("report", "--home", home, *DAYS, "--template", name).stdout
    form = chapters.template(name)
    assert text.startswith(f"# {form.title}: 1 January 2026")
    for part in form.parts:
        assert f"## {part.title}\n" in text
        for blank in part.blanks:
            assert f"{blank}: ____" in text
        assert not part.unknown or f"**The record cannot say:** {part.unknown}" in text
    assert (
        "no headings"
        in shell("report", "--home", home, *DAYS, "--template", name, "--format", "json", code=2).output
    )


def test_the_templates_are_those_of_four_laws() -> None:
    assert chapters.templates() == ("eu-ai-act-26-10", "us-ca-sf-19b", "us-md-2-510", "us-wa-43.386")
