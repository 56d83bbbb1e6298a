from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Collection, Sequence

import numpy as np
import pytest
from tests import clips
from tests.fakes import BLUE, GREEN, RED, FakeVision
from tests.unit.vision.films import film, grey, held

from countenance.errors import ModelError, VideoError
from countenance.types import AgeRange, Attribute, Box, Description, Embedding, Face, Image, Pixels
from countenance.vision import Vision, watching
from countenance.vision.timeline import timeline
from countenance.vision.video import open_clip
from countenance.vision.watching import look, watch

JOINED = 0.53  # sface-2021dec: Similarity 80


class Counting(FakeVision):
    """Counts what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.described: list[frozenset[Attribute]] = []
        self.embedded = 0

    def describe(
        self, image: Image, faces: Sequence[Face], asked: Collection[Attribute] = ()
    ) -> tuple[Description, ...]:
        self.described.append(frozenset(asked))
        return super().describe(image, faces, asked)

    def embed(
        self, image: Image, faces: Sequence[Face], described: Sequence[Description] | None = None
    ) -> tuple[Embedding, ...]:
        self.embedded += len(faces)
        return super().embed(image, faces, described)


def test_every_face_of_every_frame_in_order() -> None:
    with open_clip(clips.clip([[RED, GREEN], [GREEN]])) as clip:
        looks = list(look(FakeVision(), clip, (Attribute.SMILE,)))
    assert [each.frame.timestamp_ms for each in looks] == [0, 200, 400, 600]
    assert [len(each.faces) for each in looks] == [2, 2, 1, 1]
    for each in looks:
        assert [seen.face for seen in each.sightings] == list(each.faces)
        assert all(seen.description is not None for seen in each.sightings)
        assert all(Attribute.SMILE in told.traits for told in each.descriptions)


def test_nobody_is_described_unasked() -> None:
    vision = Counting()
    with open_clip(clips.clip([[RED]])) as clip:
        [first, *_] = look(vision, clip, None)
    assert first.sightings[0].description is None
    assert vision.described == []


def test_people_across_cuts() -> None:
    with open_clip(clips.clip([[RED], [GREEN], [RED, GREEN], [BLUE]], places=3)) as clip:
        watched = watch(FakeVision(), clip, least=0.5)
    spans = [[(track.start_ms, track.end_ms) for track in each.appearances] for each in watched.people]
    assert [min(start for start, _ in each) for each in spans] == [0, 400, 1200]
    assert [sum(len(track.sightings) for track in each.appearances) for each in watched.people] == [4, 4, 2]
    assert watched.frames == tuple(range(0, 1600, 200))
    assert (watched.step_ms, watched.damaged) == (200, 0)


def test_without_a_threshold_nobody_is_embedded_and_tracks_stay_apart() -> None:
    vision = Counting()
    with open_clip(clips.clip([[RED], [], [], [], [RED]])) as clip:
        watched = watch(vision, clip)
    assert len(watched.people) == 2
    assert vision.embedded == 0


def test_what_lasts_is_read_off_few_faces() -> None:
    vision = Counting()
    with open_clip(clips.clip([[RED]], frames=100)) as clip:
        [person] = watch(vision, clip, {Attribute.SMILE, Attribute.EYEGLASSES}, least=0.5).people
    assert vision.described.count(frozenset({Attribute.SMILE})) == 50
    assert (
        vision.described.count(frozenset({Attribute.EYEGLASSES}))
        == len(person.portraits)
        == vision.embedded
        == 5
    )
    assert len(person.sightings) == 50


def test_progress_is_told_and_may_end_it() -> None:
    class Enough(Exception):
        pass

    reached = []

    def tell(at: int) -> None:
        reached.append(at)
        if at >= 400:
            raise Enough

    with open_clip(clips.clip([[RED]], frames=100)) as clip, pytest.raises(Enough):
        watch(FakeVision(), clip, progress=tell)
    assert reached == [0, 200, 400]


def test_more_faces_than_memory_is_meant_for_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MOST", 30)
    with open_clip(clips.clip([[RED]], frames=50)) as clip:
        assert len(watch(FakeVision(), clip).frames) == 25
    with (
        open_clip(clips.clip([[RED, GREEN]], frames=50)) as clip,
        pytest.raises(VideoError, match="more than 30 faces"),
    ):
        watch(FakeVision(), clip)


def test_a_model_that_fails_ends_it() -> None:
    class Failing(FakeVision):
        def glance(self, image: Image, *, crowded: bool = False) -> tuple[Face, ...]:
            raise ModelError("broken")

    with open_clip(clips.clip([[RED]])) as clip, pytest.raises(ModelError, match="broken"):
        watch(Failing(), clip)


def test_memory_grows_by_little_more_than_what_is_found() -> None:
    """Of a face and frame a kilobyte or two are kept, however long the clip; never a picture."""

    def kept(frames: int) -> int:
        with open_clip(clips.clip([[RED]], frames=frames)) as clip:
            tracemalloc.start()
            watched = watch(FakeVision(), clip, (Attribute.SMILE,), least=0.5)
            size, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert len(watched.frames) == frames // 2
            assert peak - size < 60 * 200 * 100 * 3  # of 500 frames and more
            return size

    assert (kept(1000) - kept(200)) / 400 < 3_000


def moving(photo: Image, count: int, step: int) -> list[Pixels]:
    """A portrait that wanders to the right over grey, as seen by a camera that stands still."""
    small = photo.pixels[::2, ::2]
    frames = []
    for number in range(count):
        canvas = grey(128, 360, 640)
        left = 20 + number * step
        height, width = min(360, small.shape[0]), min(small.shape[1], 640 - left)
        canvas[:height, left : left + width] = small[:height, :width]
        frames.append(canvas)
    return frames


def test_a_person_who_leaves_and_returns(vision: Vision, hopper: Image, collins: Image) -> None:
    one, other = moving(hopper, 40, 6), [frame[:, ::-1] for frame in moving(collins, 40, 2)]
    frames = [np.ascontiguousarray(frame) for frame in [*one, *other, *reversed(one)]]
    with open_clip(film(frames)) as clip:
        watched = watch(vision, clip, {Attribute.EMOTIONS, Attribute.AGE_RANGE}, least=JOINED)
    assert [len(person.appearances) for person in watched.people] == [2, 1]
    first, second = watched.people
    assert [(each.start_ms // 1600, each.end_ms // 1600) for each in first.appearances] == [(0, 0), (2, 2)]
    assert len(first.sightings) + len(second.sightings) == len(watched.frames) == 24
    assert float(first.embeddings[0].vector @ second.embeddings[0].vector) < JOINED
    assert isinstance(first.traits[Attribute.AGE_RANGE], AgeRange)
    line = timeline(second, watched.step_ms)
    assert {band.kind for band in line.bands} == {"HAPPY"}  # she smiles broadly
    assert len(line.presence) == 1


def test_two_side_by_side(vision: Vision, hopper: Image, collins: Image) -> None:
    pair = np.full((600, 1024, 3), 128, np.uint8)
    pair[:600, :512], pair[:512, 512:] = hopper.pixels, collins.pixels
    with open_clip(film([pair] * 20)) as clip:
        watched = watch(vision, clip, None, least=JOINED)
    assert [len(person.sightings) for person in watched.people] == [4, 4]
    lefts = [[seen.face.box.left for seen in person.sightings] for person in watched.people]
    assert all(max(each) - min(each) < 0.02 for each in lefts)


def test_nobody(vision: Vision) -> None:
    with open_clip(film([grey(level, 360, 640) for level in range(40, 140, 4)])) as clip:
        assert watch(vision, clip, least=JOINED).people == ()


def test_frames_of_a_clip_are_seen_as_photos_are(vision: Vision, hopper: Image) -> None:
    with open_clip(film(held(hopper, 10))) as clip:
        looks = list(look(vision, clip))
    [face] = vision.detect(hopper)
    for each in looks:
        [found] = each.faces
        assert found.box.overlap(face.box) > 0.9
        assert each.descriptions[0].pose.yaw == pytest.approx(
            vision.describe(hopper, [face])[0].pose.yaw, abs=3
        )
    assert all(one.thumbnail.shape == (18, 32) for one in looks)
    assert all(a.frame.timestamp_ms < b.frame.timestamp_ms for a, b in itertools.pairwise(looks))


def test_boxes_are_ratios_of_the_upright_frame(vision: Vision, hopper: Image) -> None:
    """Stored on its side, as phones do."""
    lying = [np.ascontiguousarray(np.rot90(frame, -1)) for frame in held(hopper, 10)]
    [plain] = vision.detect(hopper)
    with open_clip(film(lying, rotation=90)) as clip:
        [face, *_] = [face for each in look(vision, clip, None) for face in each.faces]
    assert face.box.overlap(Box(plain.box.left, plain.box.top, plain.box.width, plain.box.height)) > 0.9
