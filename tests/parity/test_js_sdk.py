"""The AWS SDK for JavaScript, version 3, from npm: js/flow.mjs against the live server."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.parity.conftest import House
from tests.parity.photos import eileen, grace, grace_again

HERE = Path(__file__).parent / "js"
SDK = "@aws-sdk/client-rekognition"


def pinned() -> str:
    version: str = json.loads((HERE / "package.json").read_text())["dependencies"][SDK]
    return version


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """What the lock names, installed where it is missing or another version."""
    installed = HERE / "node_modules" / SDK / "package.json"
    if not installed.exists() or json.loads(installed.read_text())["version"] != pinned():
        subprocess.run(["npm", "ci", "--ignore-scripts", "--silent"], cwd=HERE, check=True)
    return HERE / "node_modules"


@pytest.mark.usefixtures("node_modules")
def test_the_collection_flow(house: House, tmp_path: Path) -> None:
    photos = {"person.jpg": grace(), "again.jpg": grace_again(), "other.png": eileen()}
    for name, photo in photos.items():
        (tmp_path / name).write_bytes(photo)
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL_REKOGNITION": house.url,
        "AWS_SHARED_CREDENTIALS_FILE": str(house.settings.credentials),
    }
    command = ["node", str(HERE / "flow.mjs"), *(str(tmp_path / name) for name in photos)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "the flow is whole\n"), done.stderr
