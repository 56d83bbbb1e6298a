"""Regions of interest: parts of a picture that an answer is confined to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from countenance.errors import InvalidParameter
from countenance.types import Point

MOST: Final = 10
"""Points of a polygon (Rekognition's)."""

GRID: Final = 24
"""Points on a side of the grid that is laid over what may lie in a region."""


@dataclass(frozen=True, slots=True)
class Region:
    """A polygon, in ratios of the picture. Where it crosses itself, what it winds around twice is out."""

    corners: tuple[Point, ...]

    def holds(self, quad: Sequence[Point]) -> bool:
        """Whether more than half of a parallelogram, by four corners in turn, is in the region."""
        middles = (np.arange(GRID) + 0.5) / GRID
        along, down = (each.ravel() for each in np.meshgrid(middles, middles))
        first, second, _, fourth = quad
        x = first.x + along * (second.x - first.x) + down * (fourth.x - first.x)
        y = first.y + along * (second.y - first.y) + down * (fourth.y - first.y)
        inside = np.zeros(x.shape, bool)
        for one, other in zip(self.corners, (*self.corners[1:], self.corners[0]), strict=True):
            if one.y != other.y:
                crossed = (one.y > y) != (other.y > y)
                inside ^= crossed & (x < one.x + (y - one.y) * (other.x - one.x) / (other.y - one.y))
        return bool(inside.mean() > 0.5)


def read(asked: Mapping[str, Any], place: str) -> Region:
    """A RegionOfInterest. place: what an error calls it. Raises InvalidParameter where it is none."""
    match dict(asked):
        case {"BoundingBox": box, **rest} if "Polygon" not in rest:
            left, top, width, height = (
                _ratio(box, name, place) for name in ("Left", "Top", "Width", "Height")
            )
            if not width or not height:
                raise InvalidParameter(detail=f"{place}.BoundingBox holds nothing")
            right, bottom = left + width, top + height
            return Region((Point(left, top), Point(right, top), Point(right, bottom), Point(left, bottom)))
        case {"Polygon": points, **rest} if "BoundingBox" not in rest:
            if not 3 <= len(points) <= MOST:
                raise InvalidParameter(detail=f"{place}.Polygon must have 3 to {MOST} points")
            return Region(tuple(Point(_ratio(each, "X", place), _ratio(each, "Y", place)) for each in points))
        case _:
            raise InvalidParameter(detail=f"{place} needs either BoundingBox or Polygon")


def _ratio(asked: Mapping[str, float], name: str, place: str) -> float:
    if not 0 <= asked.get(name, -1.0) <= 1:
        raise InvalidParameter(detail=f"{place}: {name} must be said, from 0 to 1")
    return asked[name]
