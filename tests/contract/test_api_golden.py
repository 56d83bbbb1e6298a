"""The API as the bounded botocore declares it, one fact a line, so that an upgrade's diff can be reviewed.

After raising botocore's bound: `python -m tests.contract.test_api_golden --write`, then read the diff.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from countenance import errors
from countenance.aws.model import api, service_model

GOLDEN = Path(__file__).parent / "golden" / "rekognition.txt"
AGAIN = "python -m tests.contract.test_api_golden --write"
LIMITS = ("min", "max", "pattern", "enum")


def facts(model: Mapping[str, Any]) -> list[str]:
    return sorted(
        (*service(model), *operations(model), *(f for n, s in model["shapes"].items() for f in shape(n, s)))
    )


def service(model: Mapping[str, Any]) -> Iterator[str]:
    for name in ("apiVersion", "jsonVersion", "protocol", "signatureVersion", "targetPrefix"):
        yield f"service {name} {model['metadata'][name]}"


def operations(model: Mapping[str, Any]) -> Iterator[str]:
    for name, declared in model["operations"].items():
        yield f"operation {name} request {declared['input']['shape']}"
        yield f"operation {name} answer {declared['output']['shape']}"
        for error in declared.get("errors", ()):
            yield f"operation {name} error {error['shape']}"
        for trait in ("idempotent", "deprecated"):
            if declared.get(trait):
                yield f"operation {name} {trait}"


def shape(name: str, declared: Mapping[str, Any]) -> Iterator[str]:
    kind = "error" if declared.get("exception") else declared["type"]
    yield f"shape {name} {kind}{' fault' if declared.get('fault') else ''}"
    for limit in LIMITS:
        values = declared.get(limit, ())
        for value in values if limit == "enum" else [values] * (limit in declared):
            yield f"shape {name} {limit} {value}"
    for part in ("member", "key", "value"):
        if part in declared:
            yield f"shape {name} {part} {declared[part]['shape']}"
    required = declared.get("required", ())
    for member, target in declared.get("members", {}).items():
        traits = [trait for trait in ("idempotencyToken", "jsonvalue", "deprecated") if target.get(trait)]
        words = [target["shape"], *(["required"] if member in required else []), *traits]
        yield f"shape {name} . {member} {' '.join(words)}"


def test_the_api_is_the_one_that_was_reviewed() -> None:
    golden = GOLDEN.read_text(encoding="utf-8").splitlines()
    diff = list(
        difflib.unified_diff(
            golden, facts(service_model("rekognition")), "reviewed", "botocore", "", "", 0, ""
        )
    )
    assert not diff, "\n".join([f"botocore's model changed. Read this, then `{AGAIN}`:", *diff])


def test_a_change_of_one_limit_shows_as_two_lines() -> None:
    """Or the test above could pass by not looking."""
    before = service_model("rekognition")
    smaller = {"type": "blob", "min": 1, "max": 4}
    after = {**before, "shapes": {**before["shapes"], "ImageBlob": smaller}}
    assert set(facts(before)) ^ set(facts(after)) == {"shape ImageBlob max 5242880", "shape ImageBlob max 4"}


def test_every_trait_of_the_model_is_known() -> None:
    """A trait botocore adds may mean a rule that nobody here keeps yet."""
    model = service_model("rekognition")
    shapes = model["shapes"].values()
    known = {"type", "members", "documentation", "required", "member", "key", "value", *LIMITS}
    assert {trait for declared in shapes for trait in declared} - known <= {"exception", "fault", "sensitive"}
    members = [member for declared in shapes for member in declared.get("members", {}).values()]
    assert {trait for member in members for trait in member} <= {
        "shape", "documentation", "idempotencyToken", "jsonvalue",
    }  # fmt: skip


def test_our_errors_are_the_models() -> None:
    """botocore turns a code into a typed exception only where the model declares it."""
    declared = {
        name for name, shape in service_model("rekognition")["shapes"].items() if shape.get("exception")
    }
    ours = {kind.code for kind in tree(errors.AwsError) if not issubclass(kind, errors.FrontEnd)}
    assert len(ours) > 5
    assert ours <= declared


def test_what_any_operation_may_answer_every_operation_declares() -> None:
    """The door refuses with these whatever the operation."""
    common = {errors.AccessDenied.code, errors.InvalidParameter.code, errors.InternalServer.code}
    assert all(common <= set(operation.errors) for operation in api().operations.values())


def tree(kind: type[errors.AwsError]) -> Iterator[type[errors.AwsError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(f"usage: {AGAIN}")
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text("\n".join(facts(service_model("rekognition"))) + "\n", encoding="utf-8")
