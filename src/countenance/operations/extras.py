"""What is offered only where its weights were asked for: `countenance models pull NAME`."""

from __future__ import annotations

from collections.abc import Sequence

from countenance.errors import InvalidParameter
from countenance.operations import Call
from countenance.vision import zoo


def needed(call: Call, name: str, cards: Sequence[zoo.Card]) -> None:
    """Raises InvalidParameter, which says what to do, unless the cards' weights are here."""
    if not cards:
        raise InvalidParameter(
            detail=f"{call.operation} is not offered here: this home loads no weights for it. With "
            "commercial_only = true it loads none whose licence or training labels close commercial use"
        )
    if not all(map(zoo.present, cards)):
        raise InvalidParameter(
            detail=f"{call.operation} is not offered here yet: its weights are fetched only when asked for. "
            f"Run `countenance models pull {name}` on the server's machine"
        )
