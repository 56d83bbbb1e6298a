from __future__ import annotations

import io
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.unit.vision.films import counting, film, grey, level

from countenance.errors import VideoError
from countenance.vision import video
from countenance.vision.video import Frame, Limits, open_clip

MP4 = film(counting(50))


def sampled(clip: bytes, rate: float, limits: Limits | None = None) -> list[Frame]:
    with open_clip(clip, limits or Limits()) as opened:
        return list(opened.frames(rate))


def brightness(frame: Frame) -> float:
    return float(frame.image.pixels.mean())


def test_facts() -> None:
    with open_clip(MP4) as clip:
        facts = clip.facts
    assert (facts.codec, facts.format) == ("h264", "QuickTime / MOV")
    assert (facts.width, facts.height, facts.frame_rate, facts.duration_ms) == (128, 96, 25.0, 2000)


def test_each_instant_takes_the_frame_shown_at_it() -> None:
    frames = sampled(film(counting(50), options={"bf": "0"}), 5)
    assert [frame.timestamp_ms for frame in frames] == list(range(0, 2000, 200))
    for frame in frames:
        assert brightness(frame) == pytest.approx(level(frame.timestamp_ms // 40), abs=2)


def test_a_slow_clip_gives_every_frame_once() -> None:
    assert [frame.timestamp_ms for frame in sampled(film(counting(4), 1), 5)] == [0, 1000, 2000, 3000]


def test_all_frames_at_a_rate_above_the_clips() -> None:
    assert len(sampled(MP4, 1000)) == 50


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "libvpx-vp9"])
def test_a_fast_clip_gives_no_more_than_the_rate(codec: str) -> None:
    frames = sampled(film(counting(480), 240, codec=codec), 5)
    times = [frame.timestamp_ms for frame in frames]
    assert len(times) == 10
    assert all(
        instant <= time < instant + 50 for instant, time in zip(range(0, 2000, 200), times, strict=True)
    )
    for frame in frames:
        assert brightness(frame) == pytest.approx(level(round(frame.timestamp_ms * 0.24)), abs=6)


def test_frames_that_nothing_is_predicted_from_are_decoded_where_there_is_nothing_else() -> None:
    """One reference frame in two seconds, and B-frames between: without them hardly a frame is left."""
    options = {
        "bf": "16",
        "b_strategy": "0",
        "x264-params": "b-pyramid=none:bframes=16:b-adapt=0",
        "g": "250",
    }
    frames = sampled(film(counting(100), 25, options=options), 5)
    assert len(frames) >= 15
    gaps = np.diff([frame.timestamp_ms for frame in frames[4:]])
    assert gaps.max() <= 240


def test_times_of_a_variable_frame_rate_are_kept() -> None:
    times = [0, 40, 500, 540, 580, 1700, 1740]
    frames = sampled(film(counting(len(times)), times=times, format="matroska", options={"bf": "0"}), 5)
    assert [frame.timestamp_ms for frame in frames] == [0, 500, 1700]


def test_time_runs_from_the_clips_start_not_the_first_frames() -> None:
    with_sound = film(counting(10), times=range(400, 800, 40), sound=True)
    assert next(iter(sampled(with_sound, 5))).timestamp_ms == 400


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_frames_are_upright(rotation: int) -> None:
    pixels = grey(60)
    pixels[:48, :64] = 200  # as it is stored: bright at the upper left
    with open_clip(film([pixels] * 3, rotation=rotation)) as clip:
        [first, *_] = clip.frames(25)
        facts = clip.facts
    upright = np.rot90(pixels, rotation // 90)
    assert (facts.height, facts.width) == upright.shape[:2] == first.image.pixels.shape[:2]
    assert np.abs(first.image.pixels.astype(int) - upright).mean() < 4


def test_pixels_are_square() -> None:
    [first, *_] = sampled(film(counting(2), aspect=Fraction(2)), 25)
    assert first.image.pixels.shape == (96, 256, 3)


def test_large_frames_are_shrunk_to_the_working_size() -> None:
    with open_clip(film([grey(90, 4320, 7680)] * 2, codec="mjpeg", format="matroska")) as clip:
        [first, _] = clip.frames(25)
        assert (clip.facts.width, clip.facts.height) == (7680, 4320)
    assert first.image.pixels.shape == (1080, 1920, 3)
    assert brightness(first) == pytest.approx(90, abs=2)


@pytest.mark.parametrize("container", ["matroska", "avi", "mpegts", "flv", "mov"])
def test_containers(container: str) -> None:
    frames = sampled(film(counting(50), format=container), 5)
    assert [frame.timestamp_ms for frame in frames] == pytest.approx(list(range(0, 2000, 200)), abs=130)


def test_sound_is_left_alone() -> None:
    assert len(sampled(film(counting(25), sound=True), 5)) == 5


def test_the_files_name_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "clip.jpg"
    path.write_bytes(MP4)
    with open_clip(path) as clip:
        assert len(list(clip.frames(5))) == 10


def playlist(tmp_path: Path, text: str) -> bytes:
    other = tmp_path / "other.mp4"
    other.write_bytes(MP4)
    return text.format(other=other).encode()


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{other}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {other}\n",
        "ffconcat version 1.0\nfile other.mp4\n",
    ],
)
def test_a_playlist_opens_no_other_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "list.mp4"
    path.write_bytes(playlist(tmp_path, text))
    with pytest.raises(VideoError, match="not a video"), open_clip(path):
        pass


def jpeg() -> bytes:
    from PIL import Image as Pillow  # noqa: PLC0415

    stream = io.BytesIO()
    Pillow.new("RGB", (100, 100)).save(stream, "JPEG")
    return stream.getvalue()


@pytest.mark.parametrize("data", [b"", b"\x00" * 4096, b"hello " * 1000, jpeg(), MP4[: len(MP4) // 2]])
def test_not_a_video(data: bytes) -> None:
    with pytest.raises(VideoError, match="not a video"), open_clip(data):
        pass


def test_sound_alone() -> None:
    data = film([], sound=True, format="matroska")
    with pytest.raises(VideoError), open_clip(data):
        pass


def test_no_frames() -> None:
    with pytest.raises(VideoError), open_clip(film([], format="matroska")):
        pass


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="cannot be read"), open_clip(tmp_path / "none.mp4"):
        pass


def noise(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(1)
    return [random.integers(0, 256, (96, 128, 3), dtype=np.uint8) for _ in range(count)]


def test_cut_off_in_the_middle() -> None:
    whole = film(noise(50), format="matroska", options={"g": "10"})
    frames = sampled(whole[: len(whole) // 2], 5)
    assert 3 <= len(frames) <= 6
    assert frames[-1].timestamp_ms <= 1200


def test_damaged_in_the_middle_goes_on_behind() -> None:
    data = bytearray(film(noise(50), format="matroska", options={"g": "10"}))
    third = len(data) // 3
    data[third : third + len(data) // 6] = bytes(len(data) // 6)
    with open_clip(bytes(data)) as clip:
        times = [frame.timestamp_ms for frame in clip.frames(5)]
    assert times[0] == 0
    assert times[-1] >= 1400
    assert len(times) < 10


def test_damage_is_counted() -> None:
    data = bytearray(film(noise(50), format="mpegts", options={"g": "10"}))
    random = np.random.default_rng(2)
    for at in random.integers(len(data) // 4, 3 * len(data) // 4, 400).tolist():
        data[at] ^= 0xFF
    with open_clip(bytes(data)) as clip:
        times = [frame.timestamp_ms for frame in clip.frames(25)]
        assert clip.damaged > 0
    assert times == sorted(set(times))


def test_limits() -> None:
    with pytest.raises(VideoError, match="128 x 96"), open_clip(MP4, Limits(largest=100)):
        pass
    with pytest.raises(VideoError, match="hours"), open_clip(MP4, Limits(longest=0.0001)):
        pass


def test_six_hours_are_counted_where_the_file_says_no_length() -> None:
    times = [0, 1000, 9_000_000]
    clip = film(counting(3), times=times, format="matroska", live=True, options={"bf": "0"})
    with open_clip(clip, Limits(longest=2)) as opened:
        assert opened.facts.duration_ms == 0
        with pytest.raises(VideoError, match="longer than 2 hours"):
            list(opened.frames(5))


def test_whoever_waits_for_a_frame_is_told_and_may_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may put as many frames between two that are looked at as it likes."""

    class Enough(Exception):
        pass

    def enough() -> None:
        raise Enough

    monkeypatch.setattr(video, "WAIT", 0.005)
    before = threading.active_count()
    with open_clip(film(counting(3000), options={"bf": "0"})) as clip, pytest.raises(Enough):
        list(clip.frames(0.01, enough))
    assert threading.active_count() == before


def test_a_reader_that_stops_early_leaves_no_thread() -> None:
    before = threading.active_count()
    with open_clip(MP4) as clip:
        frames = clip.frames(25)
        next(frames)
        frames.close()  # type: ignore[attr-defined]
        assert threading.active_count() == before


def test_one_moment() -> None:
    with open_clip(MP4) as clip:
        for at in (1960, 400, 0, 1000):
            assert clip.at(at).pixels.mean() == pytest.approx(level(at // 40), abs=2)
        with pytest.raises(VideoError, match="no frame at 5000"):
            clip.at(5000)
