"""What is covered of a clip and when, with coloured squares for faces; and whole, with the two portraits."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from dataclasses import astuple, replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from tests.clips import clip as squares
from tests.fakes import BLUE, CARD, GREEN, RED, Colour, FakeVision, picture
from tests.unit.vision.films import film, grey

from countenance.errors import VideoError
from countenance.operations import redaction as operations
from countenance.types import Attribute, Box, Description, Embedding, Face, Image, Landmarks, Pixels, Point
from countenance.vision import Vision, filming, images, redaction
from countenance.vision.checking import Reason, checks
from countenance.vision.covering import Method, cover, widened
from countenance.vision.redaction import LEAD_MS, Chosen, Mark, Plan, Trail
from countenance.vision.tracking import Sighting, Track
from countenance.vision.video import open_clip


def planned(vision: Vision, data: bytes, chosen: Chosen | None = None) -> Plan:
    with open_clip(data) as clip:
        return redaction.survey(vision, clip, chosen, lambda _: None)


def written(data: bytes, plan: Plan, name: str = "a.webm", **how: object) -> bytes:
    target = io.BytesIO()
    filming.film(data, plan, target, filming.form(name), **how)  # type: ignore[arg-type]
    return target.getvalue()


def pictures(data: bytes) -> list[Pixels]:
    with open_clip(data, filming.UNSHRUNK) as clip:
        return [clip.upright(frame).pixels for _, frame in clip.every()]


def seen(at: int, left: float, confidence: float = 90.0, size: float = 0.1) -> Sighting:
    points = [Point(left + size * x, 0.5) for x in (0.3, 0.7, 0.5, 0.35, 0.65)]
    return Sighting(at, Face(Box(left, 0.4, size, size), Landmarks(*points), confidence))


def trail(*sightings: Sighting, marks: Sequence[Mark] = (), lead: int = LEAD_MS) -> Trail:
    track = Track(0, sightings)
    return Trail(track, tuple(marks), track.start_ms - lead, track.end_ms + lead)


def plan_of(*trails: Trail, frames: int = 200, hints: Sequence[tuple[int, Face]] = ()) -> Plan:
    by_second = dict.fromkeys(range(-2, 20), trails)
    return Plan(range(0, frames * 40, 40), trails, tuple(hints), (), 1280, by_second)


def named(*colours: Colour, keeps: bool) -> Chosen:
    people: list[Embedding] = []
    for colour in colours:
        image = images.decode(picture(colour))
        people += FakeVision().embed(image, FakeVision().detect(image))
    return Chosen(tuple(people), keeps, known=0.5, other=0.5)


def test_between_two_sightings_all_that_lies_between_is_covered() -> None:
    followed = trail(seen(1000, 0.2), seen(1200, 0.5))
    assert followed.place(1000) == Box(0.2, 0.4, 0.1, 0.1)
    held = followed.place(1100)
    assert held is not None
    assert astuple(held) == pytest.approx((0.2, 0.4, 0.4, 0.1))


def test_a_face_is_covered_before_and_after_it_is_seen_where_it_drifts_to() -> None:
    followed = trail(seen(1000, 0.40), seen(1200, 0.42))
    assert followed.place(1000 - LEAD_MS - 1) is None
    assert followed.place(1200 + LEAD_MS + 1) is None
    before, after = followed.place(600), followed.place(1600)
    assert before is not None
    assert after is not None
    assert before.left == pytest.approx(0.36)
    assert before.left + before.width == pytest.approx(0.50)
    assert after.left + after.width == pytest.approx(0.56)
    runaway = trail(seen(1000, 0.2), seen(1100, 0.5)).place(1600)
    assert runaway is not None
    assert runaway.left + runaway.width == pytest.approx(0.7)  # its own size further, no more


def test_a_face_stays_only_between_comparisons_that_agree() -> None:
    followed = trail(*(seen(at, 0.4) for at in range(0, 6000, 200)))

    def stays(at: int, *marks: tuple[int, bool]) -> bool:
        return Trail(followed.track, tuple(Mark(*each) for each in marks), 0, 6000).stays(at)

    assert not stays(1000)
    assert stays(1000, (900, True), (1100, True))
    assert not stays(1000, (900, True), (1100, False))
    assert not stays(1000, (900, False), (1100, True))
    assert not stays(1000, (800, True), (1100, True))  # too long unread
    assert not stays(1000, (900, True))
    assert not stays(1000, (1100, True))
    assert stays(1000, (900, True), (1000, True))
    assert stays(1000, (1000, True), (5000, True))
    assert not stays(1000, (900, False), (1000, True))


class Averted(FakeVision):
    """Sees green faces from the side."""

    def describe(
        self, image: Image, faces: Sequence[Face], asked: Collection[Attribute] = ()
    ) -> tuple[Description, ...]:
        told = super().describe(image, faces, asked)
        return tuple(
            replace(each, pose=replace(each.pose, yaw=80.0)) if self._green(image, face) else each
            for face, each in zip(faces, told, strict=True)
        )

    def _green(self, image: Image, face: Face) -> bool:
        middle = face.box.top + face.box.height / 2, face.box.left + face.box.width / 2
        red, green, _ = image.pixels[int(middle[0] * image.height), int(middle[1] * image.width)]
        return bool(green > red)


def square(colour: Colour | None, size: int = 50, left: int = 10) -> Pixels:
    """A frame with one square, or none."""
    frame = np.full((100, 200, 3), 255, np.uint8)
    if colour is not None:
        frame[10 : 10 + size, left : left + size] = colour
    return frame


def lossless(frames: Sequence[Pixels], rate: int = 25) -> bytes:
    """A clip whose colours stay what they are."""
    stream = io.BytesIO()
    with av.open(stream, "w", format="matroska") as container:
        video = container.add_stream("ffv1", rate=rate)
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = "bgr0"
        for frame in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(video.encode(None))
    return stream.getvalue()


@pytest.mark.parametrize("keeps", [True, False])
def test_a_face_that_cannot_be_read_is_covered_whoever_was_there_before(*, keeps: bool) -> None:
    """A stranger from the side takes the place of one who stays, for a second: followed as one face."""
    before = RED if keeps else BLUE
    frames = [square(before)] * 25 + [square(GREEN)] * 25 + [square(before)] * 25
    plan = planned(Averted(), lossless(frames), named(RED, keeps=keeps))
    covered = [bool(plan.at(at)) for at in plan.frames]
    assert len(plan.trails) == 1
    assert not any(covered[:20])
    assert all(covered[25:50])
    assert not any(covered[56:])


def test_every_frame_with_a_face_is_covered_and_no_other_scene() -> None:
    data = squares([(), (RED,), ()], frames=20)
    plan = planned(FakeVision(), data)
    covered = [bool(plan.at(at)) for at in plan.frames]
    assert all(covered[20:40])
    assert sum(covered) < 45  # the scenes' cuts are known, to the frame that is looked at
    for number, shown in enumerate(pictures(written(data, plan))):
        assert (np.abs(shown.astype(int) - RED).sum(2) < 150).sum() == 0, number


@pytest.mark.parametrize("before", [RED, None])
def test_a_shot_of_two_frames_is_looked_at(before: Colour | None) -> None:
    frames = [square(before)] * 17 + [square(GREEN, 40, 140)] * 2 + [square(before)] * 20
    data = lossless(frames)
    plan = planned(FakeVision(), data)
    shown = pictures(written(data, plan))
    for number, pixels in enumerate(shown):
        assert (np.abs(pixels.astype(int) - GREEN).sum(2) < 150).sum() == 0, number


def test_who_stays_and_who_alone_goes() -> None:
    data = squares([(RED, GREEN)], frames=20)
    middle = [(35, 35), (35, 135)]
    for keeps, names, stays in ((True, [RED], [True, False]), (False, [RED], [False, True])):
        plan = planned(FakeVision(), data, named(*names, keeps=keeps))
        for shown in pictures(written(data, plan)):
            assert [bool(shown[place].max() > 100) for place in middle] == stays
    nobody = planned(FakeVision(), data, named(BLUE, keeps=True))
    assert len(nobody.at(0)) == 2


def test_who_is_too_small_to_be_told_does_not_stay() -> None:
    small = Face(Box(0.1, 0.1, 0.2, 0.2), seen(0, 0.1).face.landmarks, 99.0)
    image = Image(np.full((100, 100, 3), 200, np.uint8), b"")
    both = Chosen((Embedding(np.eye(CARD.dimensions, dtype=np.float32)[0], CARD.id),), False, 0.5, 2.0)
    assert redaction.judged(FakeVision(), image, [small], both) == [None]


def test_rotation_odd_sides_and_pixels_that_are_not_square() -> None:
    frames = [np.full((90, 160, 3), (200, 30, 30), np.uint8)] * 10
    for frame in frames:
        frame[:, 80:] = 220
    plain = written(film(frames, rotation=90), plan_of(frames=10))
    [first, *_] = pictures(plain)
    assert first.shape == (160, 90, 3)
    wide = written(film(frames, aspect=Fraction(2)), plan_of(frames=10))
    assert pictures(wide)[0].shape == (90, 320, 3)
    assert np.abs(pictures(wide)[0][45, 40].astype(int) - (200, 30, 30)).max() < 30


@pytest.mark.parametrize("name", ["a.webm", "a.mkv", "a.mp4"])
def test_nothing_but_pixels_goes_over_and_sound_when_it_is_asked_for(name: str) -> None:
    stream = io.BytesIO(film([grey(90)] * 25, sound=True))
    with av.open(stream, "r") as source:
        said = io.BytesIO()
        with av.open(said, "w", format="mp4") as told:
            told.metadata.update(
                {"title": "At Jo's house", "location": "+52.5+013.4/", "comment": "badge 12"}
            )
            pairs = {each: told.add_stream_from_template(each) for each in source.streams}
            for each in pairs.values():
                each.metadata["handler_name"] = "Jo's camera"
            for packet in source.demux():
                if packet.dts is not None:
                    packet.stream = pairs[packet.stream]
                    told.mux(packet)
    data = said.getvalue()
    assert b"Jo's house" in data
    for sound in (False, True):
        made = written(data, plan_of(frames=25), name, sound=sound)
        assert not any(word in made for word in (b"Jo's", b"52.5", b"badge", b"x264", b"Lavc"))
        with av.open(io.BytesIO(made), "r") as opened:
            kinds = [each.type for each in opened.streams]
            assert kinds == ["video", "audio"][: 1 + sound]
            assert not {"title", "location", "comment"}.intersection(opened.metadata)
            assert len(list(opened.decode(video=0))) == 25


def test_times_are_kept() -> None:
    times = [0, 40, 200, 240, 1000, 1033, 1066]
    data = film([grey(90)] * len(times), times=times, options={"bf": "0"})
    plan = planned(FakeVision(), data)
    with open_clip(written(data, plan)) as clip:
        assert [round(at * 1000) for at, _ in clip.every()] == times


def test_a_clip_that_is_damaged_is_refused_with_the_place() -> None:
    rng = np.random.default_rng(3)
    data = bytearray(film([rng.integers(0, 255, (96, 128, 3), np.uint8) for _ in range(50)]))
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    with open_clip(bytes(data)) as clip:
        [*_, (last, _)] = clip.every()
        with pytest.raises(VideoError, match="damaged at about"):
            redaction.whole(clip, last)


def test_another_clip_than_the_one_that_was_planned_for_is_not_written() -> None:
    with pytest.raises(VideoError, match="changed"):
        written(film([grey(90)] * 20), plan_of(frames=10))
    with pytest.raises(VideoError, match="changed"):
        written(film([grey(90)] * 10), plan_of(frames=20))


def test_what_is_listed_is_one_frame_in_fifty_and_the_likeliest_first() -> None:
    sure = trail(seen(2000, 0.4), seen(4000, 0.4))
    hints = [(at, seen(at, 0.8, confidence).face) for at, confidence in ((400, 30.0), (4400, 55.0))]
    listed = checks(plan_of(sure, frames=100, hints=hints))
    assert len(listed) == 2
    assert (4400, (Reason.FAINT,)) in [(each.at, each.reasons) for each in listed]
    assert (1480, (Reason.BEGINS,)) in [(each.at, each.reasons) for each in listed]
    hidden = checks(plan_of(sure, frames=100, hints=[(2400, seen(2400, 0.4, 55.0).face)]))
    assert Reason.FAINT not in {reason for each in hidden for reason in each.reasons}
    assert len(checks(plan_of(frames=100))) == 0
    assert len(checks(plan_of(trail(seen(80, 0.4, 65.0, 0.01)), frames=10))) == 1


def test_of_a_frame_that_is_listed_every_place_in_view_is() -> None:
    hints = [(400, seen(400, left, 50.0).face) for left in (0.1, 0.5, 0.8)]
    listed = checks(plan_of(frames=100, hints=[*hints, (2000, seen(2000, 0.1, 45.0).face)]))
    assert [each.at for each in listed] == [400, 400, 400, 2000]
    assert {each.box.left for each in listed} == {0.1, 0.5, 0.8}


def test_whoever_stays_is_listed_first_last_and_where_it_was_least_sure() -> None:
    doubts = [-0.9, -0.8, -0.55, -0.7, -0.9]
    marks = [Mark(400 + 120 * number, stays=True, doubt=each) for number, each in enumerate(doubts)]
    sure = trail(*(seen(mark.at, 0.4) for mark in marks), marks=marks)
    hint = (640, seen(640, 0.8, 30.0).face)
    listed = checks(plan_of(sure, frames=25, hints=[(80, seen(80, 0.1, 55.0).face), hint]))
    assert [(each.at, each.reasons[0].value) for each in listed] == [
        (80, "FAINT"),
        (400, "STAYS"),
        (640, "STAYS"),
        (640, "FAINT"),
        (880, "STAYS"),
    ]
    hidden = checks(plan_of(trail(*(seen(mark.at, 0.4) for mark in marks)), frames=25))
    assert Reason.STAYS not in {reason for each in hidden for reason in each.reasons}


def test_what_is_seen_once_and_faintly_is_not_covered_but_what_lasts_is() -> None:
    assert not redaction.covers(Track(0, (seen(0, 0.4, 55.0), seen(200, 0.4, 30.0))))
    assert redaction.covers(Track(0, tuple(seen(at, 0.4, 41.0) for at in (0, 120, 240))))
    assert redaction.covers(Track(0, (seen(0, 0.4, 61.0),)))


def test_a_real_face_that_moves_is_nowhere_in_view(vision: Vision, hopper: Image, collins: Image) -> None:
    """She crosses the frame in two seconds; nobody is found in any frame that is written."""
    face = collins.pixels[::2, ::2]
    frames = []
    for number in range(30):
        frame = np.full((360, 640, 3), 120, np.uint8)
        left = number * 12
        frame[40 : 40 + 256, left : left + 256] = face
        frames.append(frame)
    data = film(frames, rate=15)
    plan = planned(vision, data)
    shown = pictures(written(data, plan, method=Method.BOX))
    assert len(shown) == 30
    for number in (0, 1, 7, 13, 22, 28, 29):
        assert vision.detect(Image(frames[number], b"")), number
        assert not vision.detect(Image(shown[number], b"")), number


def test_a_real_person_stays_and_the_other_goes(vision: Vision, hopper: Image, collins: Image) -> None:
    frame = np.full((512, 1024, 3), 120, np.uint8)
    frame[:, :512] = collins.pixels
    frame[:, 512:] = hopper.pixels[:512]
    data = film([frame] * 15, rate=15)
    [face] = vision.detect(collins)[:1]
    at = vision.calibration().cosine(80.0)
    chosen = Chosen(vision.embed(collins, [face]), True, at, at)
    plan = planned(vision, data, chosen)
    for shown in pictures(written(data, plan))[::7]:
        [left] = vision.detect(Image(shown, b""))
        assert left.box.left < 0.5
    only = planned(vision, data, Chosen(chosen.people, False, at, vision.calibration().cosine(50.0)))
    [right] = vision.detect(Image(pictures(written(data, only))[7], b""))
    assert right.box.left > 0.5


@pytest.mark.parametrize("name", ["a.avi", "clip", "a.mov"])
def test_an_ending_that_stands_for_nothing(name: str) -> None:
    with pytest.raises(VideoError, match=r"must end in \.webm, \.mkv, \.mp4"):
        filming.form(name)


def test_no_encoder_is_under_the_gpl() -> None:
    """libx264 and libx265 are; the wheel that decodes for us carries them (decision 20)."""
    encoders = {each for form in filming.FORMS.values() for each in (form.video, form.audio)}
    assert encoders == {"libvpx-vp9", "libopus", "mpeg4", "aac"}


def test_a_file_that_is_no_clip(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no clip")
    with pytest.raises(VideoError):
        filming.film(path, plan_of(), io.BytesIO(), filming.form("a.webm"))


def test_of_a_crowd_everybody_is_covered(vision: Vision, collins: Image) -> None:
    """Rekognition tells of a hundred faces at most; here none is left out."""
    face = cv2.resize(collins.pixels[20:330, 90:400], (90, 90), interpolation=cv2.INTER_AREA)
    image = Image(np.tile(face, (10, 14, 1)), b"")
    found = redaction.in_photo(vision, image, None)
    assert len(found) >= 140
    pixels = image.pixels.copy()
    cover(pixels, [widened(face.box) for face, covered in found if covered], Method.BOX)
    assert not vision.detect(Image(pixels, b""))
    assert len(planned(vision, film([image.pixels] * 2)).at(0)) >= 140


def test_a_clip_of_more_faces_than_can_be_held_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "MOST", 20)
    with pytest.raises(VideoError, match="more than 20 faces; nothing is written"):
        planned(FakeVision(), squares([(RED, BLUE)], frames=20))


def test_of_the_one_who_alone_goes_one_comparison_in_a_hundred_is_missed(vision: Vision) -> None:
    """By the card's figures; docs/redaction.md tells them."""
    ours, at_fifty = (
        (1 - vision.genuine.share(vision.calibration().cosine(at)), 10 ** ((40 - at) / 10))
        for at in (operations.OTHERS, 50.0)
    )
    assert list(ours) == [pytest.approx(0.0098, abs=5e-4), pytest.approx(0.794, abs=5e-3)]
    assert list(at_fifty) == [pytest.approx(0.0547, abs=5e-4), pytest.approx(0.1, abs=5e-3)]


@pytest.mark.parametrize("longest", [1280, 1920])
def test_the_smallest_face_that_is_told_of_is_found(vision: Vision, collins: Image, longest: int) -> None:
    least = redaction.smallest(longest, 720, moving=True)
    [face, *_] = vision.detect(collins)
    share = least / (face.box.width * collins.width)
    small = cv2.resize(collins.pixels, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    frame = np.full((720, longest, 3), 120, np.uint8)
    frame[300 : 300 + len(small), 500 : 500 + len(small)] = small
    assert vision.sweep(Image(frame, b""), redaction.TOLD, redaction.CANVAS)
    assert redaction.smallest(4096, 2304, moving=False) == 15
    assert redaction.smallest(1080, 1920, moving=False) == 15
