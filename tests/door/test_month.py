"""The report of a simulated month: what callers were told, what the ledger says, and what the stand-alone
file counts again, are the same to the digit."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from countenance import publication, reporting
from tests.door.month import Month

VERIFY = resources.files("countenance.ledger.verifier").joinpath("countenance_verify.py")
CALLS = 2500
ENDS = ("calls", "answered", "refused", "failed", "interrupted")
COLUMNS = ("account", "collection_id", "size")
NOVEMBER = reporting.Period(dt.date(2026, 11, 1), dt.date(2026, 11, 30))


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Month]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        month = Month(tmp_path_factory.mktemp("month"), monkeypatch)
        month.run(CALLS)
        yield month
        month.house.close()


@pytest.fixture(scope="module")
def folder(month: Month, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    publication.exported(month.house.settings, folder)
    return folder


def reported(month: Month, **asked: Any) -> dict[str, Any]:
    return reporting.of_home(month.house.settings, reporting.Asked(NOVEMBER, **asked)).as_json()


def recounted(report: dict[str, Any], folder: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """The stand-alone file's word on a report, in an interpreter that finds nothing of ours."""
    (tmp_path / "report.json").write_text(json.dumps(report))
    words = ["report", str(tmp_path / "report.json"), "--log", str(folder), "--key", str(folder / "log.pub")]
    return subprocess.run(
        [sys.executable, "-I", "-S", str(VERIFY), *words], capture_output=True, text=True, check=False
    )


def counts(report: dict[str, Any], table: str, measure: str) -> dict[str, int]:
    return {row["key"]: row[measure]["count"] for row in report["tables"][table]}


def test_the_ledger_says_what_callers_were_told(month: Month) -> None:
    told, report = month.tally, reported(month, least=1)
    totals = {name: cell["count"] for name, cell in report["totals"].items()}
    names = [*ENDS, "searches", "searches_refused", "searches_empty", "candidates", "listed"]
    assert {name: totals[name] for name in names} == {name: told[name] for name in names}
    assert totals["calls"] > 2000
    assert totals["interrupted"] == 2
    verdicts = Counter(month.verdicts.values())
    assert {name: totals[name] for name in ("confirmed", "wrong", "undecided")} == verdicts
    assert totals["reviewed"] == len(month.verdicts)
    percent = Decimal(100 * verdicts["wrong"]) / len(month.verdicts)
    assert report["share_wrong"] == str(percent.quantize(Decimal("0.1"), ROUND_HALF_UP))


def test_tables_say_who_searched_for_what(month: Month) -> None:
    report = reported(month, least=1)
    for word, dimension in (("offence", "offence"), ("organisation", "organisation")):
        start = f"searches by {word} "
        told = {name[len(start) :]: number for name, number in month.tally.items() if name.startswith(start)}
        assert counts(report, f"searches_by_{dimension}", "searches") == told
    assert counts(report, "searches_by_requester", "searches_refused")["police US-CA-SF"] > 0
    assert counts(report, "searches_by_place", "candidates")["US-CA-SF"] == 0


def test_faces_are_those_that_the_collections_hold(month: Month) -> None:
    report = reported(month, least=1)
    stored = {
        f"{account}/{name}": size
        for account, name, size in zip(
            *(month.house.sql(f"SELECT {column} FROM collections ORDER BY number") for column in COLUMNS),
            strict=True,
        )
    }
    assert counts(report, "faces_by_collection", "faces") == stored
    tagged = month.house.sql(
        "SELECT account || '/' || collection_id FROM collections JOIN tags ON tags.collection = number "
        "WHERE key = 'countenance:never-suspects' AND value = 'true'"
    )
    rows = report["tables"]["faces_by_collection"]
    assert {row["key"] for row in rows if row["never_suspects"] == "true"} == set(tagged)


def test_the_entries_beside_a_number_prove_it(month: Month) -> None:
    report = reported(month)
    entries = {entry["seq"]: entry for entry in month.house.entries()}
    for row in report["tables"]["searches_by_offence"]:
        if row["searches"]:
            said = [entries[number] for number in numbers(row["searches"]["entries"])]
            assert len(said) == row["searches"]["count"]
            assert {entry.get("offence", "unstated") for entry in said} == {row["key"]}
    wrong = [entries[number] for number in numbers(report["totals"]["wrong"]["entries"])]
    assert {entry["verdict"] for entry in wrong} == {"wrong"}
    assert len(wrong) == report["totals"]["wrong"]["count"]


def numbers(ranges: str) -> list[int]:
    found: list[int] = []
    for part in filter(None, ranges.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def test_no_small_count_is_printed(month: Month) -> None:
    whole, printed = reported(month, least=1), reported(month)
    free = {"failed", "interrupted", "unfinished"}
    hidden = small = 0
    for table, rows in printed["tables"].items():
        for row, full in zip(rows, whole["tables"][table], strict=True):
            for measure, cell in row.items():
                if isinstance(full[measure], dict) and measure not in free:
                    few = 0 < full[measure]["count"] < 5
                    assert cell == (None if few else cell and full[measure]), (table, row["key"], measure)
                    small += few
                    hidden += cell is None
    assert hidden > small > 0


@pytest.mark.parametrize("least", [1, 5, 12])
def test_the_stand_alone_file_counts_the_same_to_the_digit(
    month: Month, folder: Path, tmp_path: Path, least: int
) -> None:
    report = reported(month, least=least)
    again = recounted(report, folder, tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "are the same" in " ".join(again.stdout.split())


def test_the_stand_alone_file_counts_one_organisation_and_part_of_the_month_too(
    month: Month, folder: Path, tmp_path: Path
) -> None:
    period = reporting.Period(dt.date(2026, 11, 10), dt.date(2026, 11, 16))
    for body in month.bodies:
        asked = reporting.Asked(period, body.caller.account)
        report = reporting.of_folder(folder, asked).as_json()
        assert report == reporting.of_home(month.house.settings, asked).as_json()
        assert report["heads"]["opening"] is not None
        again = recounted(report, folder, tmp_path)
        assert again.returncode == 0, again.stdout + again.stderr


def test_a_report_that_was_improved_is_found_out(month: Month, folder: Path, tmp_path: Path) -> None:
    report = reported(month)
    report["totals"]["wrong"]["count"] -= 1
    again = recounted(report, folder, tmp_path)
    assert again.returncode == 1
    assert "wrong" in again.stdout


def test_a_small_count_that_was_printed_nonetheless_is_found_out(
    month: Month, folder: Path, tmp_path: Path
) -> None:
    report, whole = reported(month), reported(month, least=1)
    table = "searches_by_offence"
    at, measure = next(
        (at, measure)
        for at, row in enumerate(report["tables"][table])
        for measure in ("searches", "candidates", "reviewed", "wrong")
        if row[measure] is None
    )
    report["tables"][table][at][measure] = whole["tables"][table][at][measure]
    assert recounted(report, folder, tmp_path).returncode == 1
