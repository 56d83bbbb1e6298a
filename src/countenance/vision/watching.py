"""A clip looked at through the senses: every face of the sampled frames, followed, described and told apart;
or what each of those frames shows (label()).

look() sees frame by frame, several at once and ahead of whoever reads; watch() follows what it sees. What a
face shows is read in every frame; who it is like, and what does not change from one minute to the next (age,
gender, hair, glasses), is read off the faces of a track that show it best.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import median
from types import MappingProxyType
from typing import Final, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from countenance.errors import VideoError
from countenance.types import NO_TRAITS, Attribute, Description, Face, Image, Label, Point
from countenance.vision import Vision
from countenance.vision.runtime import default_threads
from countenance.vision.tracking import Person, Portrait, Sighting, Tracker, people
from countenance.vision.video import Clip, ClipFacts, Frame

RATE: Final = 5.0
"""Frames a second that are looked at unless somebody asks for more or fewer."""

CUT: Final = 0.3
"""Correlation of two frames' thumbnails below which the second begins a new scene. Measured on the clips of
the evaluation data, at 5 a second: .06 to .24 at cuts, .39 and more within scenes, a fast pan apart (.10)."""

CHANGED: Final = 0.6
"""Correlation below which it may begin one: faces must then look alike to be followed."""

ALIKE: Final = 0.3
"""Cosine from which two faces in nearly one place at nearly one time are taken for one person's."""

CROWDED: Final = 0.05
"""Of a frame's longer side: where a face is less wide, the next frame is looked at closely from the start."""

SMALLEST: Final = 20.0
"""Pixels across: a smaller face is not asked who it is like."""

LIT: Final = 30.0
"""Brightness (Quality) from which light takes nothing from a face. Measured: under 12 strangers' faces lie as
near each other as one person's do elsewhere (cosines up to .59)."""

CHANGING: Final = frozenset(
    {
        Attribute.EMOTIONS,
        Attribute.EYE_DIRECTION,
        Attribute.EYES_OPEN,
        Attribute.FACE_OCCLUDED,
        Attribute.MOUTH_OPEN,
        Attribute.SMILE,
    }
)
"""What watch() reads in every frame. The others are read off a track's portraits."""

PORTRAITS: Final = 5
"""Faces of a track that are looked at closely for who it is like."""

PORTRAIT_MS: Final = 1_000
"""Between two of them, unless the later one is much better."""

MOST: Final = 1_000_000
"""Sightings of one clip: about 2 KB each are held until its people are known, so 2 GB."""

Progress = Callable[[int], None]
"""Told the timestamp_ms reached; what it raises ends the watching (a cancelled job, say)."""

Grey = npt.NDArray[np.float32]
Seen = TypeVar("Seen")


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What one frame shows. descriptions: of each face, in order; empty where nobody asked."""

    frame: Frame
    faces: tuple[Face, ...]
    descriptions: tuple[Description, ...]
    thumbnail: Grey = field(repr=False)

    @property
    def sightings(self) -> tuple[Sighting, ...]:
        """The faces, largest first."""
        told = self.descriptions or (None,) * len(self.faces)
        return tuple(Sighting(self.frame.timestamp_ms, *each) for each in zip(self.faces, told, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """What was seen of a clip. frames: timestamps (ms) of all frames looked at.

    damaged: packets and frames that could not be decoded.
    """

    facts: ClipFacts
    people: tuple[Person, ...]
    frames: tuple[int, ...]
    damaged: int

    @property
    def step_ms(self) -> int:
        """Milliseconds from a frame that was looked at to the next, usually."""
        steps = [after - before for before, after in zip(self.frames, self.frames[1:], strict=False)]
        return round(median(steps)) if steps else 1000


def look(
    vision: Vision,
    clip: Clip,
    asked: Collection[Attribute] | None = (),
    *,
    rate: float = RATE,
    meanwhile: Callable[[], None] = lambda: None,
) -> Iterator[Look]:
    """Every sampled frame, in order. Each core looks at one, and as many more are held.

    asked: attributes to read of each face; None for no description at all. meanwhile: called every second in
    which no frame comes; what it raises ends the looking. Raises ModelError, VideoError.
    """

    def seen(frame: Frame, crowded: bool) -> Look:  # noqa: FBT001 - the pool passes it by place
        faces = vision.glance(frame.image, crowded=crowded)
        told = vision.describe(frame.image, faces, asked) if asked is not None else ()
        return Look(frame, faces, told, thumbnail(frame.image))

    def begin(frame: Frame) -> Callable[[], Look]:
        return partial(seen, frame, crowded)

    crowded = False
    for each in _several(begin, clip.frames(rate, meanwhile)):
        crowded = _crowded(each)
        yield each


def label(
    vision: Vision, clip: Clip, *, rate: float = RATE, meanwhile: Callable[[], None] = lambda: None
) -> Iterator[tuple[int, tuple[Label, ...]]]:
    """What every sampled frame shows, most probable first, with its timestamp_ms. In order, as look()."""

    def seen(frame: Frame) -> tuple[int, tuple[Label, ...]]:
        return frame.timestamp_ms, vision.label(frame.image)

    return _several(lambda frame: partial(seen, frame), clip.frames(rate, meanwhile))


def _several(work: Callable[[Frame], Callable[[], Seen]], frames: Iterator[Frame]) -> Iterator[Seen]:
    """What comes of the work on each frame, in order. work: called when a frame comes, makes what a thread
    then runs."""
    threads = default_threads()
    with ThreadPoolExecutor(threads, thread_name_prefix="looking") as pool:
        waiting: deque[Future[Seen]] = deque()
        for frame in frames:
            waiting.append(pool.submit(work(frame)))
            if len(waiting) >= 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _crowded(look: Look) -> bool:
    """Whether a face was small."""
    image = look.frame.image
    least = CROWDED * max(image.width, image.height)
    return any(face.box.width * image.width < least for face in look.faces)


def watch(
    vision: Vision,
    clip: Clip,
    asked: Collection[Attribute] | None = (),
    *,
    rate: float = RATE,
    least: float | None = None,
    progress: Progress = lambda _: None,
) -> Watched:
    """Everybody seen in a clip, by first sight. Of descriptions the points are left out.

    asked: attributes to read; None for no description at all. Those that last (CHANGING has the others) are
    read where there are portraits: with `least`. least: the cosine from which two tracks are joined to one
    person; None leaves every track a person of its own, without portraits. Raises ModelError, VideoError, and
    what `progress` raises.
    """
    changing = None if asked is None else CHANGING.intersection(asked)
    following = _Following(vision if least is not None else None, frozenset(asked or ()) - CHANGING)
    times: list[int] = []
    seen = 0

    def tell() -> None:
        progress(times[-1] if times else 0)

    for each in look(vision, clip, changing, rate=rate, meanwhile=tell):
        following.add(each)
        seen += len(each.faces)
        if seen > MOST:
            raise VideoError(
                f"more than {MOST:,} faces: look at fewer frames a second, or at parts of the clip"
            )
        times.append(each.frame.timestamp_ms)
        tell()
    found = people(following.tracker.tracks(), following.portraits, 2.0 if least is None else least, tell)
    return Watched(clip.facts, tuple(found), tuple(times), clip.damaged)


class _Following:
    """Follows faces from look to look. vision: None where nobody is asked who they are like.

    lasting: the attributes to read off portraits.
    """

    def __init__(self, vision: Vision | None, lasting: frozenset[Attribute]) -> None:
        self._vision = vision
        self._lasting = lasting
        self.tracker = Tracker(self._alike)
        self.portraits: dict[int, list[Portrait]] = {}
        self._taken: dict[int, int] = {}  # when the newest portrait of each track was taken
        self._look: Look | None = None
        self._now: dict[int, Portrait] = {}  # of the frame being added, by face

    def add(self, look: Look) -> None:
        before, self._look, self._now = self._look, look, {}
        same = 1.0 if before is None else resemblance(before.thumbnail, look.thumbnail)
        lean = tuple(map(_lean, look.sightings))
        numbers = self.tracker.add(lean, look.frame.timestamp_ms, cut=same < CUT, doubt=same < CHANGED)
        if self._vision is not None:
            for place, number in enumerate(numbers):
                self._keep(place, number)

    def _keep(self, place: int, number: int) -> None:
        """A portrait more for the track, if this face shows well who it is."""
        assert self._look is not None
        kept, now = self.portraits.setdefault(number, []), self._look.frame.timestamp_ms
        goodness = _goodness(self._look, place)
        worst = min((each.goodness for each in kept), default=0.0)
        room = len(kept) < PORTRAITS and now - self._taken.get(number, -PORTRAIT_MS) >= PORTRAIT_MS
        if goodness and (room or goodness > 1.3 * worst or place in self._now):
            kept.append(self._portrait(place))
            kept.sort(key=lambda each: -each.goodness)
            del kept[PORTRAITS:]
            self._taken[number] = now

    def _portrait(self, place: int) -> Portrait:
        assert self._look is not None
        assert self._vision is not None
        if place not in self._now:
            image, face = self._look.frame.image, self._look.faces[place : place + 1]
            told = self._look.descriptions[place : place + 1]
            if self._lasting:
                told = self._vision.describe(image, face, self._lasting)
            [embedding] = self._vision.embed(image, face, told or None)
            traits = told[0].traits if self._lasting else NO_TRAITS
            self._now[place] = Portrait(_goodness(self._look, place), embedding, traits)
        return self._now[place]

    def _alike(self, place: int, number: int) -> bool:
        """Whether a face looks like a track's. Without a portrait of both, places decide."""
        assert self._look is not None
        if self._vision is None or not _goodness(self._look, place) or not self.portraits.get(number):
            return True
        now = self._portrait(place).embedding.vector
        return max(float(now @ each.embedding.vector) for each in self.portraits[number]) >= ALIKE


def _goodness(look: Look, place: int) -> float:
    """How well a face shows who it is: its size, up to what the embedder sees, its turn and its light."""
    face = look.faces[place]
    width = face.box.width * look.frame.image.width
    if width < SMALLEST:
        return 0.0
    seen = min(1.0, width / 112) * face.confidence / 100
    if look.descriptions:
        told = look.descriptions[place]
        seen *= max(0.1, math.cos(math.radians(told.pose.yaw)) * math.cos(math.radians(told.pose.pitch)))
        seen *= min(1.0, told.quality.brightness / LIT)
    return seen


def _lean(seen: Sighting) -> Sighting:
    """A sighting without the points of its description: of a long clip they would be most of what is held."""
    told = seen.description
    return (
        seen
        if told is None
        else replace(seen, description=replace(told, points=NO_POINTS, placed=seen.face.landmarks))
    )


NO_POINTS: Final[Mapping[str, Point]] = MappingProxyType({})


def thumbnail(image: Image) -> Grey:
    """32 x 18 grey pixels, their mean taken off. Of a large frame every second, third ... line is taken."""
    step = max(2, max(image.width, image.height) // 480)
    small = cv2.resize(image.pixels[::step, ::step], (32, 18), interpolation=cv2.INTER_AREA)
    grey = small.astype(np.float32).mean(2)
    return np.asarray(grey - grey.mean())


def resemblance(one: Grey, other: Grey) -> float:
    """Correlation [-1, 1]. Two frames of one colour resemble each other."""
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    if lengths < 1.0:
        return 1.0 if np.allclose(one, other, atol=1.0) else 0.0
    return float((one * other).sum()) / lengths
