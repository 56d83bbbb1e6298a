"""A clip to upright frames, a few a second: any container and codec that FFmpeg's own libraries know.

Which frames: of the instants 0, 1/rate, 2/rate ... after the first frame, each takes the first frame that is
shown at or after it. No frame is taken twice, so a clip slower than the rate gives every frame it has. Where
frames come SPARING times as often as the rate or more, those that no other frame is predicted from are not
decoded (half of them, mostly) and none of them is taken. Times are the clip's own, as a player shows them:
variable frame rates and cuts at the start are kept.

Only formats that hold pictures of their own are opened, and no protocol: a playlist could make this machine
read other files or call other hosts.
"""

from __future__ import annotations

import io
import itertools
import os
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Final

import av
import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from countenance.errors import VideoError
from countenance.types import Image, Pixels

FORMATS: Final = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,mxf,m4v,h264,hevc,ivf,dv,nut"
)
"""FFmpeg's names of the containers that are opened."""

DECODERS: Final = 4
"""Threads that decode one clip, at most. Each holds a frame or two: 8K's are of 50 MB, or of 270."""

WIDE: Final = 4_096
"""Pixels of the longer side from which one thread decodes."""

SPARING: Final = 4
"""Times the rate from which frames are left undecoded: where every second one is, the next is near enough."""

WAIT: Final = 1.0
"""Seconds without a frame after which whoever reads is told that none came."""


@dataclass(frozen=True, slots=True)
class Limits:
    """largest: pixels a side (8K is 7,680). longest: hours, Rekognition's. ahead: frames decoded early.

    working: pixels of a frame's longer side. A larger frame is shrunk to it.
    """

    largest: int = 8_192
    longest: float = 6.0
    working: int = 1_920
    ahead: int = 4


LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """What a file says of its video [VideoMetadata].

    codec, format: FFmpeg's names ("h264", "QuickTime / MOV"). duration_ms: 0 where the file does not say.
    frame_rate: the average. width, height: pixels as they are stored, upright. color_range: "FULL",
    "LIMITED" or "" for unsaid.
    """

    codec: str
    format: str
    duration_ms: int
    frame_rate: float
    width: int
    height: int
    color_range: str


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """timestamp_ms: since the clip's start."""

    timestamp_ms: int
    image: Image


class Clip:
    """An open clip; frames() reads it once, from its start."""

    def __init__(self, container: InputContainer, limits: Limits) -> None:
        self._container = container
        self._limits = limits
        self._stream = _stream(container, limits)
        self._turns = 0
        self.damaged = 0
        """Packets and frames that were left out because they were damaged, so far."""
        self._stopped = threading.Event()
        self._first = self._begin()
        self.facts = self._read_facts()

    def frames(self, rate: float, meanwhile: Callable[[], None] = lambda: None) -> Iterator[Frame]:
        """Frames in order, `rate` a second at most, decoded by a thread of their own. To be read once.

        meanwhile: called every second in which none comes; what it raises ends the reading. Raises VideoError
        for a clip that turns out too long.
        """
        return _ahead(self._sampled(Fraction(rate)), self._limits.ahead, self._stopped, meanwhile)

    @property
    def working(self) -> int:
        """Pixels of the longer side that pictures have at most."""
        return self._limits.working

    @property
    def turns(self) -> int:
        """Quarter turns to the left that make its frames upright."""
        return self._turns

    @property
    def first(self) -> VideoFrame:
        """Its first frame as it is stored."""
        return self._first[1]

    def every(self) -> Iterator[tuple[Fraction, VideoFrame]]:
        """Every frame as it is stored, with its time in seconds, decoded in this thread. To be read once."""
        return self._timed()

    def upright(self, frame: VideoFrame) -> Image:
        """A frame's picture, as frames() gives it."""
        return Image(self._pixels(frame), b"")

    def at(self, timestamp_ms: int) -> Image:
        """The picture shown then. Not while frames() is read. Raises VideoError where there is none."""
        begin = Fraction(self._container.start_time or 0, av.time_base)
        wanted = Fraction(timestamp_ms, 1000) + begin - Fraction(1, 2000)  # timestamps are rounded
        base = self._stream.time_base or Fraction(1, 1000)
        self._stream.codec_context.skip_frame = "DEFAULT"
        self._stopped.clear()
        try:
            self._container.seek(int(wanted / base), stream=self._stream)
        except av.error.FFmpegError as fault:
            raise VideoError("the clip cannot be wound") from fault
        for frame in self._decoded():
            if frame.pts is not None and frame.pts * (frame.time_base or base) >= wanted:
                return Image(self._pixels(frame), b"")
        raise VideoError(f"the clip has no frame at {timestamp_ms} ms")

    def _begin(self) -> tuple[Iterator[VideoFrame], VideoFrame]:
        frames = self._decoded()
        first = next(frames, None)
        if first is None:
            raise VideoError("the clip has no frame that can be read")
        self._turns = round(first.rotation / 90) % 4
        return frames, first

    def _decoded(self) -> Iterator[VideoFrame]:
        """All frames. What is damaged is left out and counted; the clip goes on behind it."""
        packets = self._container.demux(self._stream)
        while not self._stopped.is_set():
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:
                self.damaged += 1
                return
            try:
                for frame in packet.decode():
                    if frame.is_corrupt:
                        self.damaged += 1
                    else:
                        yield frame
            except av.error.FFmpegError:
                self.damaged += 1

    def _sampled(self, rate: Fraction) -> Iterator[Frame]:
        context = self._stream.codec_context
        if self._stream.average_rate and self._stream.average_rate >= SPARING * rate:
            context.skip_frame = "NONREF"
        taken, origin, before = -1, None, None
        for at, frame in self._timed():
            origin = at if origin is None else origin
            if at > self._limits.longest * 3600:
                raise VideoError(f"the clip lasts longer than {self._limits.longest:g} hours")
            if before is not None and (at - before) * rate > 1:
                context.skip_frame = "DEFAULT"  # nothing is predicted from most frames of this clip
            before = at
            instant = int((at - origin) * rate)
            if instant > taken:
                taken = instant
                yield Frame(max(0, round(at * 1000)), Image(self._pixels(frame), b""))

    def _timed(self) -> Iterator[tuple[Fraction, VideoFrame]]:
        """All frames with their times in seconds. One without a time, or before the last, follows on it."""
        rest, first = self._first
        begin = Fraction(self._container.start_time or 0, av.time_base)
        step = 1 / (self._stream.average_rate or Fraction(25))
        last = -step
        for frame in itertools.chain([first], rest):
            base = frame.time_base or self._stream.time_base
            shown = None if frame.pts is None or base is None else frame.pts * base - begin
            last = shown if shown is not None and shown > last else last + step
            yield last, frame

    def _pixels(self, frame: VideoFrame) -> Pixels:
        width, height = self.shown(frame)
        scale = min(1.0, self._limits.working / max(width, height))
        size = max(2, round(width * scale)), max(2, round(height * scale))
        plain = frame.to_ndarray(format="rgb24", width=size[0], height=size[1])
        return np.ascontiguousarray(np.rot90(plain, self._turns))

    def shown(self, frame: VideoFrame) -> tuple[int, int]:
        """Width and height in square pixels, before it is turned upright."""
        ratio = self._stream.sample_aspect_ratio or Fraction(1)
        return max(1, round(frame.width * ratio)), frame.height

    def _read_facts(self) -> ClipFacts:
        _, first = self._first
        width, height = first.width, first.height
        milliseconds = (self._container.duration or 0) * 1000 // av.time_base
        if milliseconds > self._limits.longest * 3_600_000:
            raise VideoError(f"the clip lasts longer than {self._limits.longest:g} hours")
        if self._turns % 2:
            width, height = height, width
        return ClipFacts(
            codec=self._stream.codec_context.name,
            format=self._container.format.long_name,
            duration_ms=milliseconds,
            frame_rate=float(self._stream.average_rate or 0),
            width=width,
            height=height,
            color_range={1: "LIMITED", 2: "FULL"}.get(int(first.color_range), ""),
        )


@contextmanager
def open_clip(source: Path | bytes, limits: Limits = LIMITS) -> Generator[Clip, None, None]:
    """A clip, for as long as it is looked at. Its sound is left alone.

    Raises VideoError (no video, no frame that can be read, frames too large, too long), when it is opened.
    """
    with _container(source) as container:
        yield Clip(container, limits)


@contextmanager
def open_sound(source: Path | bytes) -> Generator[Iterator[tuple[Fraction, AudioFrame]] | None, None, None]:
    """The first sound of a clip, with the time of each part in seconds; None where there is none.

    Raises VideoError where it cannot be read, also while it is."""
    with _container(source) as container:
        yield _heard(container) if container.streams.audio else None


def _heard(container: InputContainer) -> Iterator[tuple[Fraction, AudioFrame]]:
    begin = Fraction(container.start_time or 0, av.time_base)
    at = Fraction(0)
    try:
        for part in container.decode(container.streams.audio[0]):
            if part.pts is not None and part.time_base is not None:
                at = part.pts * part.time_base - begin
            yield at, part
            at += Fraction(part.samples, part.sample_rate)
    except av.error.FFmpegError as fault:
        raise VideoError(f"the sound is damaged at about {float(at):.1f} s") from fault


@contextmanager
def _container(source: Path | bytes) -> Generator[InputContainer, None, None]:
    with _file(source) as file:
        try:
            container = av.open(
                file,
                "r",
                options={"protocol_whitelist": "", "format_whitelist": FORMATS},
                metadata_errors="replace",
            )
        except (av.error.FFmpegError, ValueError) as fault:
            raise VideoError("not a video that can be read, or cut off before its end") from fault
        with container:
            yield container


def _file(source: Path | bytes) -> BinaryIO:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    try:
        return source.open("rb")
    except OSError as fault:
        raise VideoError(f"{source} cannot be read: {fault.strerror}") from fault


def _stream(container: InputContainer, limits: Limits) -> VideoStream:
    if not container.streams.video:
        raise VideoError("the file holds no video")
    stream = container.streams.video[0]
    context = stream.codec_context
    if max(context.width, context.height) > limits.largest:
        size = f"{context.width} x {context.height}"
        raise VideoError(f"frames of {size} pixels; the most is {limits.largest} a side")
    context.options = {"max_pixels": str(limits.largest**2)}  # frames may grow later in the clip
    wide = max(context.width, context.height) > WIDE
    context.thread_type, context.thread_count = "AUTO", 1 if wide else min(DECODERS, os.cpu_count() or 1)
    return stream


def _ahead(
    frames: Iterator[Frame], depth: int, stopped: threading.Event, meanwhile: Callable[[], None]
) -> Iterator[Frame]:
    """The same frames, made by a thread that runs `depth` ahead; closed early, it stops and says so."""
    ready: queue.Queue[Frame | BaseException | None] = queue.Queue(depth)

    def put(item: Frame | BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def decode() -> None:
        try:
            for frame in frames:
                if not put(frame):
                    return
            put(None)
        except BaseException as fault:  # noqa: BLE001 - handed to the thread that asked
            put(fault)

    thread = threading.Thread(target=decode, name="decoding", daemon=True)
    thread.start()
    try:
        while (item := _next(ready, meanwhile)) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()


def _next(
    ready: queue.Queue[Frame | BaseException | None], meanwhile: Callable[[], None]
) -> Frame | BaseException | None:
    while True:
        try:
            return ready.get(timeout=WAIT)
        except queue.Empty:
            meanwhile()
