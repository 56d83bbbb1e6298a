"""No small count can be worked out from those that are printed."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from countenance.ledger.suppression import Sum, printable


def table(total: int, **rows: int) -> list[Sum[str]]:
    """A total over rows, each an atom."""
    sums = [Sum(name, "rows", count, frozenset({at})) for at, (name, count) in enumerate(rows.items())]
    return [Sum("all", "all", total, frozenset(range(len(rows)))), *sums]


def test_small_counts_are_left_out_and_zeros_are_not() -> None:
    sums = [Sum(str(count), count, count, frozenset({count})) for count in range(1, 7)]
    assert printable([*sums, Sum("0", 0, 0, frozenset())], least=5) == {"0", "5", "6"}


def test_a_row_beside_the_only_small_one_is_left_out_too() -> None:
    assert printable(table(60, a=50, b=7, c=3), least=5) == {"all", "a"}


def test_two_small_rows_whose_sum_is_not_small_guard_each_other() -> None:
    assert printable(table(57, a=50, b=3, c=4), least=5) == {"all", "a"}


def test_two_small_rows_whose_sum_is_small_need_a_third() -> None:
    assert printable(table(52, a=50, b=1, c=1), least=5) == {"all"}


def test_a_table_that_counts_the_same_by_another_word_does_not_give_it_away() -> None:
    """Town and shop are the businesses: who knows their sum would know the shop from the town."""
    by_kind = [
        Sum("police", "kind", 12, frozenset({1})),
        Sum("business", "kind", 53, frozenset({0, 2})),
    ]
    shown = printable([*table(65, town=50, police_force=12, shop=3), *by_kind], least=5)
    assert shown == {"all", "police_force", "police", "business"}


def test_what_is_about_the_machine_is_always_printed_and_guarded_against() -> None:
    sums = [
        Sum("calls", "calls", 100, frozenset({0, 1, 2})),
        Sum("answered", "answered", 96, frozenset({0})),
        Sum("refused", "refused", 3, frozenset({1})),
        Sum("failed", "failed", 1, frozenset({2}), free=True),
    ]
    assert printable(sums, least=5) == {"calls", "failed"}


def test_what_free_counts_tell_already_hides_nothing_further() -> None:
    sums = [
        Sum("failed", "failed", 2, frozenset({0}), free=True),
        Sum("compare", "operation", 2, frozenset({0})),
        Sum("detect", "operation", 9, frozenset({1})),
    ]
    assert printable(sums, least=5) == {"failed", "detect"}


@st.composite
def cells(draw: st.DrawFn) -> list[Sum[int]]:
    weights = draw(st.lists(st.integers(1, 9), min_size=1, max_size=7))
    atoms = st.frozensets(st.integers(0, len(weights) - 1), min_size=1)
    drawn = draw(st.lists(st.tuples(atoms, st.integers(0, 2), st.booleans()), max_size=10))
    return [
        Sum(name, group, sum(weights[atom] for atom in some), some, free and name % 4 == 0)
        for name, (some, group, free) in enumerate(drawn)
    ]


@given(cells(), st.integers(2, 12))
def test_no_secret_is_a_combination_of_what_is_printed(sums: list[Sum[int]], least: int) -> None:
    shown = printable(sums, least)
    free = [each for each in sums if each.free]
    secret = [each for each in sums if 0 < each.count < least and not each.free]
    assert shown.isdisjoint({each.name for each in secret})
    printed = [each for each in sums if each.name in shown]
    for each in secret:
        if not spans(free, each):
            assert not spans(printed, each)


@given(cells(), st.integers(2, 12))
def test_nothing_is_left_out_without_need(sums: list[Sum[int]], least: int) -> None:
    """Each count that is not printed is secret, or with it a secret could be worked out."""
    shown = printable(sums, least)
    printed = [each for each in sums if each.name in shown]
    groups: dict[object, list[Sum[int]]] = {}
    for each in sums:
        if 0 < each.count < least and not each.free:
            groups.setdefault(each.group, []).append(each)
    for each in sums:
        if each.name not in shown and not 0 < each.count < least:
            told = [*printed, each]
            alone = any(
                spans(told, one) and not spans(printed, one) for group in groups.values() for one in group
            )
            together = any(
                spans(told, *group) and not spans(printed, *group)
                for group in groups.values()
                if sum(one.count for one in group) < least
            )
            assert alone or together


def spans(sums: Sequence[Sum[int]], *wanted: Sum[int]) -> bool:
    """Whether the sum of the wanted is a combination of the others, by elimination in fractions."""
    width = 8
    rows = [[Fraction(at in each.atoms) for at in range(width)] for each in sums]
    target = [Fraction(sum(at in each.atoms for each in wanted)) for at in range(width)]
    for column in range(width):
        pivot = next((row for row in rows if row[column]), None)
        if pivot is None:
            continue
        rows = [row for row in rows if row is not pivot]
        for row in (*rows, target):
            factor = row[column] / pivot[column]
            row[:] = [a - factor * b for a, b in zip(row, pivot, strict=True)]
    return not any(target)
