"""Of the alerts, how many are right: the worked cases, and what must hold of any."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countenance.audit import planning
from countenance.audit.planning import Scene, Standing

ADULTS = planning.curve("sface-2021dec", "adults")
CHILDREN = planning.curve("sface-2021dec", "children")

scenes = st.builds(
    lambda gallery, others, listed, tpir: Scene(gallery, listed + others, listed, tpir),
    st.integers(1, 10**7),
    st.integers(1, 10**6),
    st.integers(0, 10**4),
    st.floats(0, 1),
)


@pytest.mark.parametrize(
    ("crowd", "listed", "tpir", "target", "posterior"),
    [
        (100_000, 10, 0.9, 0.001, 0.083),
        (100_000, 10, 0.9, 0.0001, 0.474),
        (100_000, 100, 0.9, 0.001, 0.474),
        (5_000, 5, 0.8, 0.00017, 0.825),
    ],
)
def test_worked_cases(crowd: int, listed: int, tpir: float, target: float, posterior: float) -> None:
    """The posterior does not depend on how many faces the gallery holds: FPIR is what is kept."""
    for gallery in (100, 25_000):
        [row] = planning.plan(ADULTS, Scene(gallery, crowd, listed, tpir), (), (target,))
        assert row.posterior == pytest.approx(posterior, abs=1e-3)


def test_what_a_rate_rests_on() -> None:
    scene = Scene(25_000, 100_000, 10, 0.9)
    rows = planning.plan(ADULTS, scene, (70, 80), (0.01, 0.001))
    assert [row.standing for row in rows] == [
        Standing.MEASURED,
        Standing.EXTRAPOLATED,
        Standing.EXTRAPOLATED,
        Standing.BEYOND,
    ]
    past = rows[-1]
    assert past.cosine == pytest.approx(0.753, abs=1e-3)
    assert past.similarity == pytest.approx(99.1, abs=0.05)
    [none] = planning.plan(CHILDREN, scene, (), (0.001,))
    assert (none.cosine, none.similarity, none.standing) == (None, None, Standing.BEYOND)


def test_children_need_another_cosine_for_the_same_promise() -> None:
    scene = Scene(1_000, 5_000, 5, 0.8)
    [adults], [children] = (planning.plan(curve, scene, (90,), ()) for curve in (ADULTS, CHILDREN))
    assert (adults.fpir, adults.posterior) == (children.fpir, children.posterior)
    assert adults.cosine is not None
    assert children.cosine is not None
    assert children.cosine > adults.cosine + 0.2


@given(scenes, st.lists(st.floats(0, 100), max_size=4), st.lists(st.floats(1e-6, 0.99), max_size=4))
def test_fewer_false_alerts_make_the_others_likelier(
    scene: Scene, similarities: list[float], targets: list[float]
) -> None:
    rows = planning.plan(ADULTS, scene, similarities, targets)
    assert len(rows) == len(similarities) + len(targets)
    chances = [row.posterior for row in rows if row.posterior is not None]
    assert chances == sorted(chances)
    assert all(0 <= chance <= 1 for chance in chances)
    for row in rows:
        assert row.right == scene.listed * scene.tpir
        assert row.wrong == pytest.approx((scene.crowd - scene.listed) * row.fpir)


def test_nobody_alerted_is_nobody_right() -> None:
    [row] = planning.plan(ADULTS, Scene(10, 5, 5, 0.0), (80,), ())
    assert row.posterior is None
