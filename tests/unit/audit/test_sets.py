"""Readers of sets: they read the layout they say, and skip with a sentence where a set is absent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from countenance.audit import sets
from countenance.cli.bench import bench
from countenance.errors import DataError

READERS: list[Callable[[Path], object]] = [
    sets.lfw, sets.lfw_pairs, sets.celeba_wild, sets.fairface, sets.utkface, sets.facemask,
]  # fmt: skip


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_an_absent_set_is_skipped_with_a_sentence(read: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"skipped: the set [a-z-]+ is not in"):
        read(tmp_path)


@pytest.mark.parametrize("question", ["lfw", "wild", "crowd", "similarity"])
def test_the_shell_says_what_is_absent(question: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(bench, [question, "--data", str(tmp_path)])
    assert result.exit_code == 1
    assert "skipped: the set" in result.output


def test_lfw_pairs_and_sexes(tmp_path: Path) -> None:
    root = tmp_path / "lfw"
    for name in ("Ann_Oak/Ann_Oak_0001.jpg", "Ann_Oak/Ann_Oak_0002.jpg", "Bob_Elm/Bob_Elm_0001.jpg"):
        (root / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "images" / name).touch()
    (root / "pairs.txt").write_text(
        "2\t1\nAnn_Oak\t1\t2\nAnn_Oak\t1\tBob_Elm\t1\nAnn_Oak\t2\t1\nBob_Elm\t1\tAnn_Oak\t2\n"
    )
    (root / "gender_female_names.txt").write_text("Ann_Oak_0001.jpg\n")
    (root / "gender_male_names.txt").write_text("Bob_Elm_0001.jpg\n")
    assert [(photo.person, photo.sex) for photo in sets.lfw(tmp_path)] == [
        ("Ann_Oak", "female"), ("Ann_Oak", "female"), ("Bob_Elm", "male"),
    ]  # fmt: skip
    pairs = sets.lfw_pairs(tmp_path)
    assert [(pair.same, pair.fold) for pair in pairs] == [(True, 0), (False, 0), (True, 1), (False, 1)]
    assert (pairs[1].first.name, pairs[1].second.name) == ("Ann_Oak_0001.jpg", "Bob_Elm_0001.jpg")


def test_utkface_labels_come_from_the_name(tmp_path: Path) -> None:
    (tmp_path / "utkface").mkdir()
    for name in ("7_1_3_20170101.jpg.chip.jpg", "40_0_20170101.jpg.chip.jpg"):
        (tmp_path / "utkface" / name).touch()
    (photo,) = sets.utkface(tmp_path)  # the second name lacks a field
    assert (photo.person, photo.sex, photo.race, photo.age) == ("7_1_3_20170101", "female", "Indian", 7)
    assert photo.band == "3-9"


def test_cleaning_drops_wrong_photos_and_joins_names() -> None:
    photos = [
        sets.Photo(Path("Jim_OBrien_0001.jpg"), "Jim_OBrien"),
        sets.Photo(Path("Jim_OBrien_0002.jpg"), "Jim_OBrien"),
        sets.Photo(Path("Hasan_Wirayuda_0001.jpg"), "Hasan_Wirayuda"),
    ]
    assert [photo.person for photo in sets.cleaned("lfw", photos)] == ["Jim_OBrien", "Hassan_Wirajuda"]


@pytest.mark.parametrize("name", ["lfw", "utkface"])
def test_every_wrong_label_is_told_once(name: str) -> None:
    errors = sets.label_errors(name)
    assert errors.people
    assert all(errors.people[kept] == kept for kept in errors.people.values())
