"""A clip written anew from its pixels, with what a plan covers taken out. Nothing else of the file goes over.

Every frame is decoded, turned upright, covered and encoded; of the old file's words, chapters, subtitles,
data and other streams nothing is copied. Sound is left out, or decoded and encoded anew like the picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Final, cast

import av
import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from countenance.errors import VideoError
from countenance.types import Box, Pixels
from countenance.vision.covering import Method, cover
from countenance.vision.redaction import Plan, Progress, whole
from countenance.vision.runtime import default_threads
from countenance.vision.video import Clip, Limits, open_clip, open_sound

UNSHRUNK: Final = Limits(working=10_000)

SOUND: Final = 48_000
"""Samples a second, which both sound encoders take."""

MILLISECOND: Final = Fraction(1, 1000)


@dataclass(frozen=True, slots=True)
class Form:
    """How a clip is written. format, video, audio: FFmpeg's names. options: of the video encoder."""

    format: str
    video: str
    audio: str
    options: dict[str, str]


_PLAIN = {"flags": "+bitexact"}
"""No word about who encoded."""

_VP9 = {
    **_PLAIN,
    "deadline": "realtime",
    "cpu-used": "6",
    "row-mt": "1",
    "tile-columns": "2",
    "crf": "30",
    "b": "0",
}

FORMS: Final = {
    ".webm": Form("webm", "libvpx-vp9", "libopus", _VP9),
    ".mkv": Form("matroska", "libvpx-vp9", "libopus", _VP9),
    ".mp4": Form("mp4", "mpeg4", "aac", {**_PLAIN, "qmin": "2", "qmax": "6"}),
}
"""By a file's ending. None of the encoders is under the GPL (docs/decisions/0020-redaction.md)."""


@dataclass(frozen=True, slots=True)
class Written:
    """frames: how many were written. covered: how many of them have something covered. sound: whether there
    is any."""

    frames: int
    covered: int
    sound: bool


def form(name: str) -> Form:
    """How a file of that name is written. Raises VideoError for an ending that none stands for."""
    known = FORMS.get(Path(name).suffix.lower())
    if known is None:
        raise VideoError(f"{name} must end in {', '.join(FORMS)}")
    return known


def film(
    source: Path | bytes,
    plan: Plan,
    target: BinaryIO,
    how: Form,
    method: Method = Method.BOX,
    *,
    sound: bool = False,
    progress: Progress = lambda _: None,
) -> Written:
    """Write the clip to `target` (which can seek), covered as planned.

    Raises VideoError where the clip is damaged, or not the one that was planned for; then what is in
    `target` is of no use.
    """
    try:
        with (
            open_clip(source, UNSHRUNK) as clip,
            open_sound(source) as heard,
            av.open(target, "w", format=how.format, options={"fflags": "+bitexact"}) as container,
        ):
            studio = _Studio(container, clip, how, heard if sound else None)
            covered = 0
            for number, (at, frame) in enumerate(clip.every()):
                whole(clip, at)
                moment = max(0, round(at * 1000))
                if number >= len(plan.frames) or plan.frames[number] != moment:
                    raise VideoError("the clip changed while it was read")
                boxes = plan.at(moment)
                covered += bool(boxes)
                studio.show(frame, at, boxes, method)
                progress(moment)
            whole(clip, at)
            if number + 1 != len(plan.frames):
                raise VideoError("the clip changed while it was read")
            studio.end()
        return Written(number + 1, covered, studio.sounds)
    except av.error.FFmpegError as fault:
        raise VideoError(f"the clip cannot be written: {fault.strerror or fault}") from fault


class _Studio:
    """Takes upright frames and sound into an open file."""

    def __init__(
        self,
        container: OutputContainer,
        clip: Clip,
        how: Form,
        heard: Iterator[tuple[Fraction, AudioFrame]] | None,
    ) -> None:
        self._container = container
        self._clip = clip
        self._last = -1
        self._video = self._begin(how)
        self._heard = heard
        self._waiting: tuple[Fraction, AudioFrame] | None = None
        self.sounds = heard is not None
        if heard is not None:
            self._audio = cast("AudioStream", container.add_stream(how.audio, rate=SOUND, options=_PLAIN))
            self._audio.layout = "stereo"
            self._resampler = AudioResampler(self._audio.format, "stereo", SOUND)

    def _begin(self, how: Form) -> VideoStream:
        facts, source = self._clip.facts, self._clip.first
        rate = Fraction(facts.frame_rate or 25).limit_denominator(1001)
        video = cast("VideoStream", self._container.add_stream(how.video, rate=rate, options=how.options))
        width, height = self._size(source)
        self._stored = width, height
        video.width, video.height = (height, width) if self._clip.turns % 2 else (width, height)
        video.pix_fmt = "yuv420p"
        context = video.codec_context
        context.time_base = MILLISECOND
        context.thread_count = default_threads()
        context.bit_rate = 0 if how.video != "mpeg4" else 12 * video.width * video.height
        context.colorspace, context.color_range = source.colorspace, source.color_range
        context.color_primaries, context.color_trc = source.color_primaries, source.color_trc
        self._black = 0 if int(source.color_range) == 2 else 16
        return video

    def _size(self, frame: VideoFrame) -> tuple[int, int]:
        """Width and height in square pixels, both even, before the picture is turned upright."""
        width, height = self._clip.shown(frame)
        return max(2, width // 2 * 2), max(2, height // 2 * 2)

    def show(self, frame: VideoFrame, at: Fraction, boxes: list[Box], method: Method) -> None:
        """One frame more, made anew of its pixels: what else it carries stays behind."""
        planes = self._planes(frame)
        for number, plane in enumerate(planes):
            cover(plane, boxes, method, 128 if number else self._black)
        height, width = planes[0].shape
        whole_frame = np.concatenate([plane.reshape(-1) for plane in planes])
        made = VideoFrame.from_ndarray(whole_frame.reshape(height * 3 // 2, width), format="yuv420p")
        made.colorspace, made.color_range = self._clip.first.colorspace, self._clip.first.color_range
        self._last = max(self._last + 1, round(at * 1000))
        made.pts, made.time_base = self._last, MILLISECOND
        self._container.mux(self._video.encode(made))
        self._speak(at)

    def _planes(self, frame: VideoFrame) -> list[Pixels]:
        """Brightness, and two of colour half as large, upright."""
        width, height = self._stored
        plain = frame.reformat(width=width, height=height, format="yuv420p")
        flat = np.asarray(plain.to_ndarray(), np.uint8).reshape(-1)
        size = width * height
        bright, *colours = np.split(flat, (size, size * 5 // 4))
        parts = [bright.reshape(height, width)]
        parts += [each.reshape(height // 2, width // 2) for each in colours]
        return [np.ascontiguousarray(np.rot90(part, self._clip.turns)) for part in parts]

    def _speak(self, until: Fraction | None) -> None:
        """Sound up to a time; None for all that is left."""
        if self._heard is None:
            return
        while (following := self._waiting or next(self._heard, None)) is not None:
            at, part = self._waiting = following
            if until is not None and at > until:
                return
            self._waiting = None
            part.pts, part.time_base = round(at * part.sample_rate), Fraction(1, part.sample_rate)
            self._encode(self._resampler.resample(part))

    def _encode(self, parts: list[AudioFrame]) -> None:
        for part in parts:
            self._container.mux(self._audio.encode(part))

    def end(self) -> None:
        self._speak(None)
        self._container.mux(self._video.encode(None))
        if self._heard is not None:
            self._encode(self._resampler.resample(None))
            self._container.mux(self._audio.encode(None))
