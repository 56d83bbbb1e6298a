from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import countenance
from countenance.errors import HomeError
from countenance.testing import TestServer


def test_a_home_is_opened_with_or_without_a_server(running: TestServer) -> None:
    with countenance.open(running.home) as rekognition:
        rekognition.create_collection(CollectionId="by-library")
        assert rekognition.describe_collection(CollectionId="by-library")["FaceCount"] == 0


def test_no_home_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="countenance init"), countenance.open(tmp_path):
        pass


def test_importing_it_loads_nothing_heavy() -> None:
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import countenance, sys; print('openvino' in sys.modules, 'boto3' in sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == ["False", "False"]
