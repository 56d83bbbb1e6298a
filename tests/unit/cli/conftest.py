"""The shell as people use it, and the two portraits that installed packages carry."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from click.testing import CliRunner, Result
from PIL import Image as Pillow
from skimage import data

from countenance.cli import main

Shell = Callable[..., Result]


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Run a command and check its exit code; whatever fails, no traceback reaches the user."""
    monkeypatch.delenv("COUNTENANCE_HOME", raising=False)

    def run(*words: object, code: int | None = 0, typed: str | None = None) -> Result:
        result = CliRunner().invoke(main, [str(word) for word in words], input=typed)
        assert isinstance(result.exception, SystemExit | None), result.exception
        assert code is None or result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def home(shell: Shell, tmp_path: Path) -> Path:
    """A new home that nothing serves."""
    shell("init", "--home", tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture(scope="session")
def hopper() -> Pillow.Image:
    path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    with Pillow.open(path) as picture:
        return picture.convert("RGB")


@pytest.fixture(scope="session")
def collins() -> Pillow.Image:
    pixels: Any = data.astronaut()
    return Pillow.fromarray(pixels)


@pytest.fixture
def album(tmp_path: Path, hopper: Pillow.Image, collins: Pillow.Image) -> Path:
    """Six files: two people under one name in two folders, a copy, a blank, a damaged one and a text."""
    folder = tmp_path / "album"
    for name in ("spring", "autumn"):
        (folder / name).mkdir(parents=True)
    hopper.save(folder / "spring" / "IMG_1.jpg", quality=92)
    collins.save(folder / "autumn" / "IMG_1.jpg", quality=92)
    shutil.copy(folder / "spring" / "IMG_1.jpg", folder / "copy [1].jpg")
    Pillow.new("RGB", (200, 200), "navy").save(folder / "blank.png")
    (folder / "cut.jpg").write_bytes((folder / "spring" / "IMG_1.jpg").read_bytes()[:9000])
    (folder / "notes.txt").write_text("not a photo")
    (folder / ".hidden.jpg").write_bytes(b"rubbish")
    return folder
