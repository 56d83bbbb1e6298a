"""Text in a photo, nothing kept: DetectText."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from countenance.operations import Call, Done, Operation, Tools, always, extras, photos, regions, render
from countenance.types import Action, Line, Word

MOST: Final = 100
"""Words that are told, as in Rekognition."""

CONFIDENCE: Final = 80.0
"""Percent: what a WordFilter that names no MinConfidence asks for (Rekognition's)."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What a word must be to be told: sure (percent), high and wide (ratios of the picture), in a region."""

    confidence: float = 0.0
    height: float = 0.0
    width: float = 0.0
    regions: tuple[regions.Region, ...] = ()

    @classmethod
    def of(cls, asked: Mapping[str, Any]) -> Filter:
        """A request's Filters. Raises InvalidParameter for a region that is none."""
        word = asked.get("WordFilter")
        return cls(
            word.get("MinConfidence", CONFIDENCE) if word is not None else 0.0,
            (word or {}).get("MinBoundingBoxHeight", 0.0),
            (word or {}).get("MinBoundingBoxWidth", 0.0),
            tuple(
                regions.read(each, f"Filters.RegionsOfInterest.{number}")
                for number, each in enumerate(asked.get("RegionsOfInterest", ()), 1)
            ),
        )

    def lets(self, word: Word) -> bool:
        """Whether a word is told: in a region is what lies in it by more than half."""
        box = word.box
        if word.confidence < self.confidence or box.height < self.height or box.width < self.width:
            return False
        return not self.regions or any(region.holds(word.corners) for region in self.regions)


def detect_text(call: Call, tools: Tools) -> Done:
    """The lines of a photo that have a word to tell, then their words, at most a hundred."""
    reader = tools.vision.reader
    extras.needed(call, "text", reader.cards if reader else ())
    wanted = Filter.of(call.request["Filters"])
    text = tools.vision.read(photos.fetch(call.request["Image"], tools))
    every = [(line, word) for line in text.lines for word in line.words if wanted.lets(word)]
    told = every[:MOST]
    more = [f"{len(every) - MOST} more words were read; {MOST} are told"] if len(every) > MOST else []
    more += [f"{text.unread} more lines were found and not read"] if text.unread else []
    notes = render.warned({"MORE_TEXT": "; ".join(more)} if more else {})
    version = reader.cards[-1].id if reader else ""
    return Done({"TextDetections": _detections(told), "TextModelVersion": version}, notes=notes)


def _detections(told: Sequence[tuple[Line, Word]]) -> list[render.Shape]:
    """Lines first, numbered from 0, then words, numbered on; each word knows its line."""
    lines = list(dict.fromkeys(line for line, _ in told))
    number = {line: place for place, line in enumerate(lines)}
    return [
        *({"Type": "LINE", "Id": number[line], **render.text(line)} for line in lines),
        *(
            {"Type": "WORD", "Id": place, "ParentId": number[line], **render.text(word)}
            for place, (line, word) in enumerate(told, len(lines))
        ),
    ]


OPERATIONS = {"DetectText": Operation(detect_text, always(Action.LABEL), {"Filters": {}})}
