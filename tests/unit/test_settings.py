from __future__ import annotations

import stat
from pathlib import Path

import pytest

from countenance import settings
from countenance.errors import HomeError
from countenance.settings import Settings


def test_what_is_made_is_what_is_loaded(tmp_path: Path) -> None:
    made = Settings(
        home=tmp_path / "home",
        s3_endpoint='http://127.0.0.1:1/"x"',
        packs=("base",),
        waiting=3,
        commercial_only=True,
    )
    settings.make(made)
    assert settings.load(made.home) == made


def test_only_the_owner_may_enter(tmp_path: Path) -> None:
    home = Settings(home=tmp_path / "home")
    settings.make(home)
    for folder in (home.home, home.buckets, home.manifests, home.processes):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((home.home / settings.FILE).stat().st_mode) == 0o600


def test_a_home_is_not_made_twice(tmp_path: Path) -> None:
    settings.make(Settings(home=tmp_path))
    with pytest.raises(HomeError, match="already"):
        settings.make(Settings(home=tmp_path))


def test_no_home_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="countenance init --home"):
        settings.load(tmp_path)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("treshold = 3", "unknown setting 'treshold'"),
        ('waiting = "many"', "waiting must be written like 64"),
        ("commercial_only = 1", "commercial_only must be written like false"),
        ("waiting = true", "waiting must be written like 64"),
        ("region = [1]", "region must be written like"),
        ("region", "settings.toml"),
    ],
)
def test_a_line_nobody_understands_is_refused(tmp_path: Path, line: str, complaint: str) -> None:
    settings.make(Settings(home=tmp_path))
    (tmp_path / settings.FILE).write_text(line + "\n")
    with pytest.raises(HomeError, match=complaint):
        settings.load(tmp_path)


def test_a_secret_is_never_overwritten(tmp_path: Path) -> None:
    settings.write_private(tmp_path / "k", b"1")
    with pytest.raises(FileExistsError):
        settings.write_private(tmp_path / "k", b"2")
    assert (tmp_path / "k").read_bytes() == b"1"
