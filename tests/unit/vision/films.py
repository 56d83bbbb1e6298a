"""Small clips that tests make as they run, of pixels or of the two public-domain portraits."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream

from countenance.types import Image, Pixels

EMPTY: Mapping[str, str] = {}


def film(
    frames: Iterable[Pixels],
    rate: int = 25,
    *,
    format: str = "mp4",  # noqa: A002 - the container's word
    codec: str = "libx264",
    times: Sequence[int] | None = None,
    rotation: int = 0,
    aspect: Fraction | None = None,
    sound: bool = False,
    live: bool = False,
    options: Mapping[str, str] = EMPTY,
) -> bytes:
    """A clip of these frames. times: of each, in milliseconds; else `rate` a second.

    live: written before its end was known (Matroska): it does not say how long it is.
    """
    stream = io.BytesIO()
    with av.open(stream, "w", format=format, options={"live": "1"} if live else {}) as container:
        video = cast("VideoStream", container.add_stream(codec, rate=rate, options=dict(options)))
        heard = container.add_stream("aac", rate=44_100) if sound else None
        if rotation:
            video.set_display_rotation(rotation)
        for number, pixels in enumerate(frames):
            if not number:
                video.height, video.width = pixels.shape[:2]
                video.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
                if aspect:
                    video.codec_context.sample_aspect_ratio = aspect
                if times:
                    video.codec_context.time_base = Fraction(1, 1000)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = times[number] if times else number
            frame.time_base = Fraction(1, 1000) if times else Fraction(1, rate)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if heard is not None:
            silence = av.AudioFrame.from_ndarray(
                np.zeros((1, 44_100), np.float32), format="fltp", layout="mono"
            )
            silence.sample_rate = 44_100
            container.mux(heard.encode(silence))
            container.mux(heard.encode(None))
    return stream.getvalue()


def grey(level: int, height: int = 96, width: int = 128) -> Pixels:
    """A frame of one grey: what is read back is within two levels of it."""
    return np.full((height, width, 3), level, np.uint8)


def counting(count: int, height: int = 96, width: int = 128) -> list[Pixels]:
    """Frames that tell their number: level(n) grey."""
    return [grey(level(number), height, width) for number in range(count)]


def level(number: int) -> int:
    return 40 + number * 5 % 180


def held(photo: Image, count: int) -> list[Pixels]:
    """A photo shown for so many frames, its sides made even, as encoders want them."""
    height, width = photo.height // 2 * 2, photo.width // 2 * 2
    return [np.ascontiguousarray(photo.pixels[:height, :width])] * count
