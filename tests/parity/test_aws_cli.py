"""The AWS CLI from PyPI, in an environment of its own: the collection flow with --endpoint-url."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.parity.conftest import House
from tests.parity.photos import eileen, grace, grace_again

REQUIREMENT = "awscli>=1.45,<2"
"""It wants another botocore than ours, so it cannot live in our environment."""

KEPT = Path(__file__).parents[2] / "build" / "awscli"
Aws = Callable[..., Any]
Files = dict[str, str]


@pytest.fixture(scope="session")
def program() -> Path:
    """The CLI's own environment, made once."""
    made = KEPT / "made-from"
    if not made.exists() or made.read_text() != REQUIREMENT:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(KEPT)], check=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", REQUIREMENT]
        subprocess.run([str(KEPT / "bin" / "python"), *install], check=True)
        made.write_text(REQUIREMENT)
    return KEPT / "bin" / "aws"


@pytest.fixture
def aws(program: Path, house: House) -> Aws:
    """Runs `aws rekognition ...`; its answer, or its complaint where it fails."""
    environment = {**os.environ, "AWS_SHARED_CREDENTIALS_FILE": str(house.settings.credentials)}

    def run(*arguments: str) -> Any:
        command = [str(program), "rekognition", *arguments, "--endpoint-url", house.url, "--output", "json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            assert done.returncode in {254, 255}, done.stderr
            return done.stderr.strip()
        assert done.stderr == ""
        return json.loads(done.stdout) if done.stdout else None

    return run


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """The photos as the CLI names files of bytes."""
    photos = {"grace": grace(), "again": grace_again(), "eileen": eileen()}
    for name, photo in photos.items():
        (tmp_path / name).write_bytes(photo)
    return {name: f"fileb://{tmp_path / name}" for name in photos}


def test_the_collection_flow(aws: Aws, files: Files) -> None:
    people = ["--collection-id", f"cli-{uuid.uuid4()}"]
    made = aws("create-collection", *people, "--tags", "team=news")
    assert made["StatusCode"] == 200
    faces = []
    for name in ("grace", "eileen"):
        indexed = aws("index-faces", *people, "--image-bytes", files[name], "--external-image-id", name)
        faces += [record["Face"] for record in indexed["FaceRecords"]]
    assert aws("list-faces", *people)["Faces"] == faces
    assert aws("list-faces", *people, "--page-size", "1")["Faces"] == faces
    assert aws("list-tags-for-resource", "--resource-arn", made["CollectionArn"])["Tags"] == {"team": "news"}
    found = aws("search-faces-by-image", *people, "--image-bytes", files["again"])
    assert [match["Face"] for match in found["FaceMatches"]] == faces[:1]
    gone = aws("delete-faces", *people, "--face-ids", faces[0]["FaceId"])
    assert gone["DeletedFaces"] == [faces[0]["FaceId"]]
    assert aws("search-faces-by-image", *people, "--image-bytes", files["again"])["FaceMatches"] == []
    assert aws("delete-collection", *people)["StatusCode"] == 200
    assert aws("list-faces", *people) == (
        "An error occurred (ResourceNotFoundException) when calling the ListFaces operation: "
        f"The collection id: {people[1]} does not exist"
    )


def test_compare_faces(aws: Aws, files: Files) -> None:
    pair = ["--source-image-bytes", files["grace"], "--target-image-bytes", files["again"]]
    compared = aws("compare-faces", *pair)
    assert compared["FaceMatches"][0]["Similarity"] > 95
    assert compared["UnmatchedFaces"] == []
