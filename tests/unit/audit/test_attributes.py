"""What is told of faces, measured on faces made up so that the truth is known."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from countenance.audit import attributes, faces, inferred, measured, sets
from countenance.audit.attributes import Sample
from countenance.audit.bench import Table
from countenance.audit.faces import Looker, Seen, served
from countenance.audit.metrics import Estimate, Rate
from countenance.audit.sets import Photo
from countenance.cli.bench import bench
from countenance.types import AgeRange, Attribute, Box, Expression, Face, Gender, Image, Trace, Trait
from countenance.vision import Vision
from countenance.vision import attributes as reading
from countenance.vision.attributes import Attributes, Reading
from countenance.vision.landmarks import Mesh
from tests import fakes

MESH = Mesh(np.zeros((478, 3)), 1.0)
SMILE = Reading(
    Attribute.SMILE, "Smile", "tests", "anything else", nets=("fake-1",), points=((0.0, 0.1), (1.0, 0.9)),
    smallest=20, labels="made up",
)  # fmt: skip


def seen(photo: Photo, wide: float = 0.5) -> Seen:
    face = Face(Box(0.0, 0.0, wide, 0.5), faces.WHOLE.landmarks, 99.0)
    return Seen(photo, face, MESH, (100, 100), "found")


def sample(name: str, told: Sequence[tuple[Photo, Mapping[Attribute, Trace]]]) -> Sample:
    return Sample(name, [seen(photo) for photo, _ in told], {}, [traces for _, traces in told], len(told))


def smiling(count: int, off: float) -> Sample:
    """Faces told to smile with a probability that is `off` too much, in CelebA's words."""
    random = np.random.default_rng(0)
    told: list[tuple[Photo, Mapping[Attribute, Trace]]] = []
    for number, chance in enumerate(random.uniform(0, 0.9, count).tolist()):
        marks = {"Smiling": bool(random.random() < chance), "Young": number % 3 > 0}
        sex = ("female", "male")[number % 2]
        photo = Photo(Path(f"{number}.jpg"), f"{number}.jpg", sex=sex, marks=marks)
        said = min(chance + off, 1.0)
        told.append((photo, {Attribute.SMILE: Trait(said >= 0.5, 100 * max(said, 1 - said))}))
    return sample("celeba", told)


def whole(table: Table) -> list[int]:
    """The faces of each group."""
    return [cell for row in table.rows for cell in row if isinstance(cell, int)]


def test_halves_are_apart_and_fixed() -> None:
    every = smiling(400, 0)
    first, second = (every.half(which) for which in "AB")
    names = [{each.photo.path.name for each in part.faces} for part in (first, second)]
    assert not names[0] & names[1]
    assert len(names[0] | names[1]) == 400
    assert 150 < len(names[0]) < 250


def test_a_person_is_in_one_half() -> None:
    photos = [
        Photo(Path(f"S{who:03d}_{number}.png"), f"S{who:03d}") for who in range(40) for number in range(3)
    ]
    by_person = {photo.person: sets.half(photo) for photo in photos}
    assert all(sets.half(photo) == by_person[photo.person] for photo in photos)
    assert set(by_person.values()) == {"A", "B"}
    # SHA-256("S005") begins with 0, SHA-256("000001.jpg") with 5.
    assert sets.half(Photo(Path("S005_1.png"), "S005")) == "A"
    assert sets.half(Photo(Path("000001.jpg"), "000001.jpg")) == "B"


@pytest.mark.parametrize("off", [0.0, 0.1])
def test_the_known_calibration_is_found(off: float) -> None:
    [table] = attributes.traits({"celeba": smiling(2000, off)}, [Attribute.SMILE])
    row = dict(zip(table.columns, table.rows[0], strict=True))
    error, accuracy = row["calibration error"], row["balanced accuracy"]
    assert isinstance(error, Estimate)
    assert isinstance(accuracy, Estimate)
    assert error.low <= off <= error.high
    assert abs(error.value - off) < 0.04
    assert 0.6 < accuracy.low < accuracy.high < 0.9


def test_rates_by_group_count_everybody_once() -> None:
    every = smiling(600, 0)
    [table] = attributes.by_group({"celeba": every}, [Attribute.SMILE])
    sexes, parts = (Table("", (), rows) for rows in (table.rows[:2], table.rows[2:]))
    for part in (sexes, parts):
        counted = sum(cell.trials for row in part.rows for cell in row if isinstance(cell, Rate))
        assert counted == len(every.half("B").faces) == sum(whole(part))


class Net:
    """A network that says of a face how red its first pixel is."""

    card = fakes.CARD

    def __init__(self) -> None:
        self.looks = 0

    def look(self, image: Image, faces: Sequence[Face], meshes: Sequence[Mesh]) -> np.ndarray:
        self.looks += 1
        return np.full((len(faces), 1), image.pixels[0, 0, 0] / 255, np.float32)


@pytest.fixture
def smile(monkeypatch: pytest.MonkeyPatch) -> None:
    """attributes.toml with one card, read off the fake net."""
    monkeypatch.setattr(reading, "readings", lambda: (SMILE,))
    monkeypatch.setattr(reading, "SCORES", {Attribute.SMILE: lambda signals: signals["fake-1"][:, 0]})


def test_the_figures_that_ship_are_of_the_models_and_curves_that_ship() -> None:
    vision = Vision.load()
    assert isinstance(vision.describer, Attributes)
    assert measured.of() == measured.stood_for(vision, vision.describer), measured.COMMAND


@pytest.mark.usefixtures("smile")
def test_what_is_measured_is_what_is_served() -> None:
    """The curve of the card, and no answer where the face is too small for it."""
    nets = {"fake-1": Net()}
    photos = [Photo(Path("a.jpg"), "a"), Photo(Path("b.jpg"), "b")]
    found = [seen(photos[0]), seen(photos[1], wide=0.1)]
    told = served(Attributes(nets), found, {"fake-1": np.array([[0.25], [0.9]], np.float32)}, Attribute)
    assert told == [{Attribute.SMILE: Trait(False, 70.0)}, {}]
    assert nets["fake-1"].looks == 0


@pytest.mark.usefixtures("smile")
def test_sets_are_looked_at_once(tmp_path: Path) -> None:
    """Faces and signals are kept between runs, and a picture that changed is looked at anew."""
    photos = []
    for number in range(3):
        path = tmp_path / "set" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(fakes.picture(fakes.RED))
        photos.append(Photo(path, path.name))
    net, counted = Net(), []
    looker = Looker(
        fakes.FakeVision(), Attributes({"fake-1": net}), tmp_path / "kept", lambda *what: counted.append(what)
    )
    found = looker.faces("set", photos)
    signals = looker.signals("set", found)
    assert [each.way for each in found] == ["found"] * 3
    assert signals["fake-1"].shape == (3, 1)
    assert (net.looks, len(counted)) == (3, 6)
    again = looker.faces("set", photos)
    assert (looker.signals("set", again)["fake-1"] == signals["fake-1"]).all()
    assert (net.looks, len(counted)) == (3, 6)
    shutil.copy(photos[0].path, photos[1].path)
    photos[1].path.write_bytes(fakes.picture(fakes.RED, fakes.BLUE))
    looker.signals("set", looker.faces("set", photos))
    assert net.looks == 6


def test_a_tiny_picture_is_enlarged_then_taken_whole(tmp_path: Path) -> None:
    class Enlarging(fakes.FakeSenses):
        """Finds nothing in pictures under 100 pixels."""

        def detect(self, image: Image, largest: int = 0) -> tuple[Face, ...]:
            return super().detect(image) if image.width >= 100 else ()

    vision = fakes.FakeVision()
    vision.detector = Enlarging()
    looker = Looker(vision, Attributes({}), None, lambda *_: None)
    photos = []
    for name, colour, side in (("face", 200, 48), ("blank", 255, 48), ("large", 255, 96)):
        pixels = np.full((side, side, 3), 255, np.uint8)
        pixels[:, :, 1:] = colour
        path = tmp_path / f"{name}.png"
        path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
        photos.append(Photo(path, path.name))
    found = looker.faces("set", photos)
    assert [(each.photo.path.stem, each.way) for each in found] == [("face", "enlarged"), ("blank", "whole")]
    assert found[1].face.box == Box(0.0, 0.0, 1.0, 1.0)


def test_a_box_chooses_the_face_and_each_face_serves_once() -> None:
    near, far = (Face(Box(left, 0.1, 0.2, 0.2), faces.WHOLE.landmarks, 90.0) for left in (0.1, 0.7))
    path = Path("street.jpg")
    photos = [Photo(path, "s", box=Box(left, 0.1, 0.2, 0.2)) for left in (0.72, 0.11, 0.4)]
    assert faces._chosen(photos, [near, far]) == [far, near, None]


def people() -> list[tuple[Photo, Mapping[Attribute, Trace]]]:
    """Adults told right and children who do not count; ranges of twenty years around the truth and off it."""
    told: list[tuple[Photo, Mapping[Attribute, Trace]]] = []
    for number in range(400):
        age = 5 if number % 4 == 0 else 30
        sex = ("female", "male")[number % 2]
        name = f"{number}.jpg"
        low = age - 10 if number % 5 else age + 1
        traces: dict[Attribute, Trace] = {
            Attribute.GENDER: Gender(sex.title() if age == 30 else "Male", 90.0),
            Attribute.AGE_RANGE: AgeRange(low, low + 20),
        }
        told.append((Photo(Path(name), name, sex=sex, race="other", age=age), traces))
    return told


def test_gender_is_of_adults_by_group() -> None:
    tables = inferred.gender({"utkface": sample("utkface", people())})
    for table in tables:
        for row in table.rows:
            [rate] = [cell for cell in row if isinstance(cell, Rate)]
            assert rate.value == 1.0
    assert {row[:3] for row in tables[2].rows} == {("other", "female", "20-39"), ("other", "male", "20-39")}


def test_age_ranges_hold_the_age_as_often_as_they_do() -> None:
    [table, *groups] = inferred.age({"utkface": sample("utkface", people())})
    row = dict(zip(table.columns, table.rows[0], strict=True))
    off, holds, width = row["years off"], row["range holds the age"], row["mean width, years"]
    assert isinstance(holds, Rate)
    assert isinstance(off, Estimate)
    assert isinstance(width, Estimate)
    assert holds.value == pytest.approx(0.8, abs=0.06)
    assert off.value == pytest.approx(11 * (1 - holds.value))
    assert width.value == 20
    assert sum(whole(groups[0])) == row["faces"]


def test_contempt_has_no_word_and_is_left_out() -> None:
    def face(number: int, kind: str, said: str) -> tuple[Photo, Mapping[Attribute, Trace]]:
        rest = "SAD" if said == "HAPPY" else "HAPPY"
        traces = (Expression(said, 80.0), Expression(rest, 20.0))
        photo = Photo(Path(f"S{number:03d}_1.png"), f"S{number:03d}", expression=kind)
        return photo, {Attribute.EMOTIONS: traces}

    told = [face(n, ("HAPPY", "SAD", "contempt")[n % 3], ("HAPPY", "SAD", "SAD")[n % 3]) for n in range(300)]
    table, kinds = inferred.emotions({"ckplus": sample("ckplus", told)})
    assert isinstance(table.rows[0][2], Estimate)
    assert table.rows[0][2].value == 1.0
    sure = table.rows[0][3]
    assert isinstance(sure, Estimate)
    assert sure.value == pytest.approx(0.2)  # right whenever it says 80 %
    assert {row[1] for row in kinds.rows} == {"HAPPY", "SAD"}
    assert "told as SAD" in table.note


def test_asked_beside_reached() -> None:
    samples = {"celeba": smiling(2000, 0.1)}
    about = attributes.traits(samples, [Attribute.SMILE])
    rows = {row[2]: row for row in measured.asked(about).rows}
    assert rows["calibration error"][-1] == "no"
    assert rows["balanced accuracy"][3:] == ("at least 0.88", about[0].rows[0][5], "no")


def test_kept_tables_come_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    figures = [
        Table("T", ("a", "b"), (("x", Rate(1, 2, 0.1, 0.9)), (0.5, Estimate(0.2, 0.1, 0.3))), "n", "SMILE")
    ]
    monkeypatch.setattr(measured, "KEPT", tmp_path / "measured.json")
    measured.write(figures, Looker(fakes.FakeVision(), Attributes({}), None, lambda *_: None))
    assert measured.read() == figures


def test_the_shell_says_that_no_set_is_there(tmp_path: Path) -> None:
    result = CliRunner().invoke(bench, ["attributes", "--data", str(tmp_path)])
    assert result.exit_code == 1
    assert "skipped: none of the sets celeba" in result.output
