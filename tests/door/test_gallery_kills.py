"""Kills in the middle of inserts, deletes and rebuilds. `make soak` does it hundreds of times."""

from __future__ import annotations

from tests.door import gallery_kills


def test_twelve_kills_of_a_gallery_lose_nothing_and_bring_nothing_back(database_url: str) -> None:
    known, size = gallery_kills.rounds(database_url, kills=12, seed=6)
    assert size == len(known.present)
    assert len(known.gone) > gallery_kills.BULK
    assert sum(known.kills.values()) >= 6  # most fell within an act
