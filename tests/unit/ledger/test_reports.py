"""What a report counts, on entries written by hand: each figure as docs/reports.md defines it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from countenance.errors import LedgerError
from countenance.ledger.counting import Period
from countenance.ledger.reports import MACHINE, TABLES, Cell, Report, as_json, ranges, report, share

NOVEMBER = Period(dt.date(2026, 11, 1), dt.date(2026, 11, 30))
EVERY = 1
"""The least count that hides nothing."""

Entry = dict[str, Any]


class Log:
    """Entries as the gate writes them, by hand."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def add(self, kind: str, day: str = "2026-11-10", **members: Any) -> int:
        seq = len(self.entries)
        self.entries.append({"v": 1, "seq": seq, "kind": kind, "time": f"{day}T12:00:00.000Z", **members})
        return seq

    def decide(self, operation: str = "SearchFacesByImage", **members: Any) -> int:
        said = {
            "operation": operation,
            "actions": ["identify"] if operation.startswith("Search") else ["manage"],
            "allowed": True,
            "rules": ["base/permit-ordinary"],
            "errors": [],
            "account": "111111111111",
            "organisation_kind": "business",
            "place": "US-CA",
            "purpose": "general",
            "collection": "album",
        }
        return self.add("decision", **{**said, **members})

    def end(self, decision: int, result: str = "answered", **members: Any) -> int:
        return self.add("outcome", decision=decision, result=result, **members)

    def search(self, *people: str, lines: int | None = None, **members: Any) -> int:
        decision = self.decide(**members)
        found: Entry = {"subjects": list(people)} if people else {}
        self.end(decision, candidates=len(people) if lines is None else lines, **found)
        return decision

    def refuse(self, *rules: str, **members: Any) -> int:
        decision = self.decide(allowed=False, rules=list(rules), **members)
        self.end(decision, "refused", error="AccessDeniedException")
        return decision

    def review(self, call: int, person: str, verdict: str, day: str = "2026-11-10") -> int:
        decision = self.decide("RecordReview", day=day)
        return self.end(decision, day=day, review=call, candidate=person, verdict=verdict, reviewer="0" * 64)

    def enrol(self, number: int, day: str = "2026-11-10", **members: Any) -> int:
        decision = self.decide("IndexFaces", actions=["enrol"], day=day, **members)
        return self.end(decision, day=day, enrolled=number)

    def report(self, account: str | None = None, least: int = EVERY) -> Report:
        return report(self.entries, NOVEMBER, account, least)


def count(found: Report, measure: str) -> int | None:
    cell = found.totals[measure]
    return cell.count if cell else None


def rows(found: Report, table: str, measure: str) -> dict[str, int | None]:
    return {
        name: cell.count if (cell := row[measure]) else None for name, row in found.tables[table].rows.items()
    }


def test_a_call_belongs_to_the_period_by_the_day_it_was_decided() -> None:
    log = Log()
    for day in ("2026-10-31", "2026-11-01", "2026-11-30", "2026-12-01"):
        log.end(log.decide(day=day), day="2026-12-02")
    found = log.report()
    assert found.totals["calls"] == Cell(2, (2, 4))
    assert found.totals["answered"] == Cell(2, (3, 5))
    assert (found.first, found.last, found.size) == (2, 4, 8)


def test_each_call_ends_one_way() -> None:
    log = Log()
    log.search("a")
    log.refuse("us-md/2-503")
    log.end(log.decide(), "failed", error="InvalidParameterException")
    log.end(log.decide(), "interrupted")
    log.decide()
    found = log.report()
    assert found.totals["refused"] == Cell(1, (2,))
    assert found.totals["failed"] == Cell(1, (5,))
    assert found.totals["interrupted"] == Cell(1, (7,))
    assert found.totals["unfinished"] == Cell(1, (8,))
    assert rows(found, "failures_by_error", "failed") == {"InvalidParameterException": 1}
    assert count(found, "calls") == 5


def test_a_search_that_is_put_off_counts_once_where_it_is_done_or_refused() -> None:
    log = Log()
    start = log.decide(actions=["identify"], stage="start")
    log.end(start)
    run = log.search("ada", actions=["identify"], stage="run", started=start)
    read = log.decide("GetFaceSearch", actions=["identify"], stage="read", started=start)
    log.end(read, candidates=1, subjects=["ada-too"])
    refused = log.refuse("base/forbid-police", actions=["identify"], stage="start")
    log.refuse("base/forbid-police", actions=["identify"], stage="read", started=start)
    found = log.report()
    assert [count(found, name) for name in ("calls", "searches", "searches_refused")] == [5, 2, 1]
    assert [count(found, name) for name in ("candidates", "listed", "searches_empty")] == [1, 1, 0]
    assert found.totals["searches"].entries == (run, refused)  # type: ignore[union-attr]


def test_only_calls_that_identify_or_watch_are_searches() -> None:
    log = Log()
    log.end(log.decide("DetectFaces", actions=["detect"]))
    log.end(log.decide("CompareFaces", actions=["verify"]), candidates=1)
    log.end(log.decide("SearchFaces"), candidates=0)
    log.end(log.decide("StartFaceSearch", actions=["watch"]))
    found = log.report()
    assert found.totals["searches"] == Cell(2, (4, 6))
    assert found.totals["searches_empty"] == Cell(2, (5, 7))
    assert count(found, "candidates") == 0
    assert rows(found, "calls_by_operation", "calls")["CompareFaces"] == 1


def test_somebody_with_two_photos_is_two_candidates_and_is_listed_once() -> None:
    log = Log()
    call = log.search("a", "a", "b")
    found = log.report()
    assert found.totals["candidates"] == Cell(3, (call + 1,))
    assert found.totals["listed"] == Cell(2, (call + 1,))


def test_the_last_verdict_on_a_candidate_counts() -> None:
    log = Log()
    call = log.search("a", "b", "c")
    log.review(call, "a", "confirmed")
    last = log.review(call, "a", "wrong", day="2027-02-01")
    other = log.review(call, "b", "undecided")
    found = log.report()
    assert found.totals["reviewed"] == Cell(2, (last, other))
    assert found.totals["wrong"] == Cell(1, (last,))
    assert found.totals["undecided"] == Cell(1, (other,))
    assert count(found, "confirmed") == 0
    assert as_json(found)["share_wrong"] == "50.0"


def test_a_review_of_what_the_period_did_not_list_counts_for_nothing() -> None:
    log = Log()
    before = log.search("a", day="2026-10-01")
    call = log.search("b")
    log.review(before, "a", "wrong")
    log.review(call, "a", "wrong")
    failed = log.decide("RecordReview")
    log.end(failed, "failed", review=call, candidate="b", verdict="wrong")
    assert count(log.report(), "reviewed") == 0
    assert as_json(log.report())["share_wrong"] is None


def test_searches_are_sorted_by_what_the_entry_says() -> None:
    log = Log()
    log.search(offence="us-md-theft", purpose="criminal-investigation", called_from="US-MD")
    log.refuse(
        "us-ca-sf/19B.2",
        requester=["police", "US-CA-SF", "a-group"],
        account="2" * 12,
        organisation_kind="police",
    )
    found = log.report()
    assert rows(found, "searches_by_offence", "searches") == {"unstated": 1, "us-md-theft": 1}
    assert rows(found, "searches_by_purpose", "searches") == {"criminal-investigation": 1, "general": 1}
    assert rows(found, "searches_by_place", "searches") == {"US-CA": 1, "US-MD": 1}
    assert rows(found, "searches_by_requester", "searches_refused") == {"itself": 0, "police US-CA-SF": 1}
    assert rows(found, "searches_by_kind", "searches") == {"business": 1, "police": 1}
    assert rows(found, "searches_by_organisation", "searches") == {"1" * 12: 1, "2" * 12: 1}
    assert rows(found, "searches_by_collection", "searches") == {
        "1" * 12 + "/album": 1,
        "2" * 12 + "/album": 1,
    }


def test_a_call_is_in_the_row_of_each_rule_that_decided_it() -> None:
    log = Log()
    log.refuse("a", "b", "a")
    log.refuse()
    log.refuse("b", operation="DeleteFaces")
    found = log.report()
    assert rows(found, "refusals_by_rule", "refused") == {"a": 1, "b": 2, "none": 1}
    assert rows(found, "searches_by_rule", "searches_refused") == {"a": 1, "b": 1, "none": 1}


def test_one_account_alone() -> None:
    log = Log()
    mine: Entry = {"account": "1" * 12}
    other: Entry = {"account": "2" * 12}
    log.enrol(3, **mine)
    log.enrol(4, **other)
    log.search("a", **mine)
    log.search("b", **other)
    log.add("govern", act="issue", **other)
    log.add("govern", act="packs", pack="ab" * 32)
    found = log.report(account="2" * 12)
    assert found.totals["calls"] == Cell(2, (2, 6))
    assert found.totals["faces"] == Cell(4, (3,))
    assert {act: cell.entries for act, cell in found.changes.items()} == {"issue": (8,), "packs": (9,)}
    assert log.report("1" * 12).changes.keys() == {"packs"}


def tag(log: Log, before: str, after: str, operation: str = "TagResource", **members: Any) -> int:
    change = ["countenance:never-suspects", before, after]
    decision = log.decide(operation, tags=[["countenance:basis", "unstated", "law"], change], **members)
    return log.end(decision, day=members.get("day", "2026-11-10"))


def test_faces_are_counted_to_the_end_of_the_period_and_by_the_tag() -> None:
    log = Log()
    first = tag(log, "false", "true", "CreateCollection", day="2026-01-01", collection="drivers")
    enrolled = log.enrol(7, day="2026-02-01", collection="drivers")
    gone = log.end(log.decide("DeleteFaces", collection="drivers"), removed=2)
    expired = log.add("govern", act="expire", account="1" * 12, collection="drivers", removed=1, rule="x")
    log.enrol(100, day="2026-12-01", collection="drivers")
    log.enrol(6)
    found = log.report()
    drivers, album = "1" * 12 + "/drivers", "1" * 12 + "/album"
    assert rows(found, "faces_by_collection", "faces") == {album: 6, drivers: 4}
    assert found.tables["faces_by_collection"].rows[drivers]["faces"] == Cell(
        4, (first, enrolled, gone, expired)
    )
    assert rows(found, "faces_by_never_suspects", "faces") == {"false": 6, "true": 4}
    assert as_json(found)["tables"]["faces_by_collection"][1]["never_suspects"] == "true"


def test_a_tag_holds_from_its_answered_outcome_on_and_dies_with_the_collection() -> None:
    log = Log()
    log.enrol(5)
    refused = log.decide("TagResource", allowed=False, tags=[["countenance:never-suspects", "false", "true"]])
    log.end(refused, "refused")
    log.search()
    tag(log, "false", "true")
    log.search()
    log.end(log.decide("DeleteCollection"), removed=5)
    log.search()
    log.enrol(1)
    log.search()
    found = log.report()
    assert rows(found, "searches_by_never_suspects", "searches") == {"false": 3, "true": 1}
    assert rows(found, "faces_by_never_suspects", "faces") == {"false": 1}


def test_small_counts_are_not_printed_and_nor_is_what_would_give_them_away() -> None:
    log = Log()
    for _ in range(9):
        log.search(offence="us-md-kidnapping")
    for _ in range(3):
        log.search(offence="us-md-stalking")
    for _ in range(6):
        log.search(offence="us-md-theft")
    log.end(log.decide("DetectFaces", actions=["detect"]), "interrupted")
    found = log.report(least=5)
    assert rows(found, "searches_by_offence", "searches") == {
        "us-md-kidnapping": 9,
        "us-md-stalking": None,
        "us-md-theft": None,
    }
    assert count(found, "searches") == 18
    assert count(found, "interrupted") == 1
    written = as_json(found)["tables"]["searches_by_offence"]
    assert written[1]["searches"] is None
    assert written[1]["candidates"] == {"count": 0, "entries": ""}


def test_a_report_without_entries_names_none() -> None:
    log = Log()
    log.search("a")
    written = as_json(log.report(), entries=False)
    assert written["totals"]["calls"] == {"count": 1}
    assert "entries" not in str(written)


@pytest.mark.parametrize(
    ("part", "whole", "percent"),
    [
        (2297, 2470, "93.0"),
        (1, 8, "12.5"),
        (1, 2000, "0.1"),
        (1, 2001, "0.0"),
        (5, 5, "100.0"),
        (0, 3, "0.0"),
    ],
)
def test_a_share_has_one_decimal_and_rounds_halves_up(part: int, whole: int, percent: str) -> None:
    assert share(Cell(part, ()), Cell(whole, ())) == percent


def test_a_share_of_what_is_not_printed_is_none() -> None:
    assert share(None, Cell(9, ())) is None
    assert share(Cell(9, ()), None) is None
    assert share(Cell(0, ()), Cell(0, ())) is None


def test_entries_are_written_as_ranges() -> None:
    assert ranges([]) == ""
    assert ranges([3]) == "3"
    assert ranges([3, 4, 6, 8, 9, 10]) == "3-4,6,8-10"


def test_a_log_with_a_gap_is_not_counted() -> None:
    log = Log()
    log.search()
    del log.entries[0]
    with pytest.raises(LedgerError, match="entry 0 is missing"):
        log.report()


def test_an_outcome_without_its_decision_is_not_counted() -> None:
    log = Log()
    log.end(0)
    with pytest.raises(LedgerError, match="no decision before it"):
        log.report()


def test_every_count_adds_up_over_a_table_that_partitions() -> None:
    log = Log()
    for number in range(40):
        place, offence = ("US-MD", "US-CA")[number % 2], f"offence-{number % 3}"
        if number % 5:
            call = log.search("a", "b", place=place, offence=offence)
            log.review(call, "ab"[number % 2], ("wrong", "confirmed", "undecided")[number % 3])
        else:
            log.refuse("some/rule", place=place, offence=offence)
    found = log.report()
    for name, (dimension, measures) in TABLES.items():
        if dimension not in ("rule", "error") and name.startswith("searches"):
            for measure in measures:
                assert sum(filter(None, rows(found, name, measure).values())) == count(found, measure)
    ends = ("answered", "refused", *MACHINE)
    assert sum(count(found, each) or 0 for each in ends) == count(found, "calls")


def test_whether_a_search_was_live_and_named_a_case_and_an_authority() -> None:
    log = Log()
    log.search(realtime=True, authorisation="a" * 64, case="b" * 64)
    log.search(realtime=False)
    log.search()
    found = log.report()
    assert rows(found, "searches_by_realtime", "searches") == {"false": 2, "true": 1}
    assert rows(found, "searches_by_authorisation", "searches") == {"stated": 1, "unstated": 2}
    assert rows(found, "searches_by_case", "searches") == {"stated": 1, "unstated": 2}


def test_an_erased_person_is_gone_from_each_collection_that_is_told() -> None:
    log = Log()
    enrolled = [log.enrol(5, collection=name) for name in ("album", "drivers")]
    erased = log.decide("EraseSubject")
    del log.entries[erased]["collection"]
    gone = log.end(erased, removed=3, removed_from=[["album", 1], ["drivers", 2]])
    cells = {name: row["faces"] for name, row in log.report().tables["faces_by_collection"].rows.items()}
    assert cells == {
        "111111111111/album": Cell(4, (enrolled[0], gone)),
        "111111111111/drivers": Cell(3, (enrolled[1], gone)),
    }
