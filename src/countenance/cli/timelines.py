"""What GetFaceTimeline told, as a table (CSV) and as captions (WebVTT)."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

Shape = Mapping[str, Any]

COLUMNS: Final = (
    *("person", "timestamp_ms", "emotion", "confidence", "smile", "mouth_open", "eyes_open"),
    *("yaw", "pitch", "roll", "left", "top", "width", "height"),
)
"""confidence to eyes_open in percent, angles in degrees, the box in ratios of the frame's sides."""


def title(person: Shape) -> str:
    """What to call somebody: the best candidate's ExternalImageId where it has one, else "person 1"."""
    best = next(iter(person.get("FaceMatches", ())), None)
    name = best["Face"].get("ExternalImageId") if best else None
    return f"{name}?" if name else f"person {person['Index'] + 1}"


def titles(people: Sequence[Shape]) -> dict[int, str]:
    """What to call each, by Index: two who may be one and the same are told apart."""
    names = {person["Index"]: title(person) for person in people}
    often = Counter(names.values())
    return {
        index: name if often[name] == 1 else f"{name} (person {index + 1})" for index, name in names.items()
    }


def table(people: Sequence[Shape], samples: Sequence[Shape]) -> str:
    """One row a person and sample, by time."""
    names = titles(people)
    stream = io.StringIO()
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(COLUMNS)
    for sample in sorted(samples, key=lambda each: (each["Timestamp"], each["Index"])):
        rows.writerow([_inert(names[sample["Index"]]), *_cells(sample)])
    return stream.getvalue()


def captions(people: Sequence[Shape]) -> str:
    """WebVTT: a cue for each band ("person 1: happy 93 %"), or for each presence where there are no bands."""
    cues, names = [], titles(people)
    for person in people:
        for span in person["Bands"] or person["Presence"]:
            clear = span.get("Emotion", "UNKNOWN") != "UNKNOWN"
            told = f": {span['Emotion'].lower()} {span['Confidence']:.0f} %" if clear else ""
            times = span["StartTimestampMillis"], span["EndTimestampMillis"]
            cues.append((*times, _escaped(names[person["Index"]]) + told))
    blocks = [f"{_clock(start)} --> {_clock(end)}\n{text}\n" for start, end, text in sorted(cues)]
    return "\n".join(["WEBVTT\n", *blocks])


def _cells(sample: Shape) -> list[object]:
    emotions, pose, box = sample.get("Emotions", ()), sample.get("Pose", {}), sample["BoundingBox"]
    kind, confidence = (emotions[0]["Type"], emotions[0]["Confidence"]) if emotions else ("", None)
    percents = [confidence, *(sample.get(name) for name in ("Smile", "MouthOpen", "EyesOpen"))]
    angles = [pose.get(name) for name in ("Yaw", "Pitch", "Roll")]
    first, *others = ["" if each is None else round(each, 1) for each in [*percents, *angles]]
    ratios = [round(box[name], 4) for name in ("Left", "Top", "Width", "Height")]
    return [sample["Timestamp"], kind, first, *others, *ratios]


def _inert(name: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{name}" if name[:1] in {"=", "+", "-", "@", "\t", "\r"} else name


def _escaped(name: str) -> str:
    """A name on one line, as WebVTT writes it (W3C, WebVTT: cue text)."""
    return " ".join(name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").split())


def _clock(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest:03}"
