"""The wire in Amazon Rekognition's words: bytes to a checked request, an answer or an error to bytes.

botocore's service model is the only declaration of the API (docs/decisions/0002-botocore-is-the-schema.md).
Everything here is pure once the model is loaded, and the model is loaded once.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from botocore.loaders import Loader

from countenance import errors
from countenance.aws.shapes import Shapes, Structure

# Operations of our own, in botocore's format. AWS_DATA_PATH with this folder teaches them to any boto3.
OURS = Path(__file__).parent / "data"

# AWS's front end stops counting here (dynalite, measured against DynamoDB).
MOST_FAULTS = 10

# JSON values in one body. The largest request the model allows names 4,096 faces; an empty list costs the
# parser 64 bytes for two of the sender's, so that the size of a body alone would not bound the memory.
MOST_VALUES = 100_000


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: the shapes of its request and of its answer, and the names of the errors it may give."""

    name: str
    request: Structure
    answer: Structure
    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Api:
    """Every operation the wire knows, by name and by the target header that asks for it."""

    operations: Mapping[str, Operation]
    targets: Mapping[str, str]


def service_model(service: str) -> Mapping[str, Any]:
    """One of botocore's own service models with our operations merged in, and nothing else: a model in the
    user's ~/.aws/models must not change ours."""
    paths = [Loader.BUILTIN_DATA_PATH, str(OURS)]
    loader = Loader(extra_search_paths=paths, include_default_search_paths=False)
    model: Mapping[str, Any] = loader.load_service_model(service, "service-2")
    return model


def build(services: Iterable[Mapping[str, Any]]) -> Api:
    """The operations of several service models behind one endpoint. Two of one name are a mistake."""
    operations: dict[str, Operation] = {}
    targets: dict[str, str] = {}
    for service in services:
        shapes = Shapes(service["shapes"])
        for name, declared in service["operations"].items():
            if name in operations:
                raise ValueError(f"two services declare {name}")
            operations[name] = Operation(
                name,
                shapes.structure(declared["input"]["shape"]),
                shapes.structure(declared["output"]["shape"]),
                tuple(error["shape"] for error in declared.get("errors", ())),
            )
            targets[f"{service['metadata']['targetPrefix']}.{name}"] = name
    return Api(operations, targets)


@functools.cache
def api() -> Api:
    return build([service_model("rekognition")])


def operation(target: str | None) -> str:
    """The operation an X-Amz-Target header asks for. Raises UnknownOperation, which says nothing more."""
    try:
        return api().targets[target or ""]
    except KeyError:
        raise errors.UnknownOperation from None


def operations() -> tuple[str, ...]:
    return tuple(api().operations)


def members(operation: str) -> tuple[str, ...]:
    """The names of a request's members, in the model's order."""
    return tuple(api().operations[operation].request.members)


def decode(operation: str, body: bytes) -> dict[str, Any]:
    """The request a body holds: blobs as bytes, integers as int, others as float, nothing for absent members.

    Raises Serialization where the body is not JSON of the right types, Validation where it breaks the
    model's constraints: every broken one is named, up to ten.
    """
    faults: list[str] = []
    request = api().operations[operation].request.read(_parse(body), "", faults)
    if faults:
        count = min(len(faults), MOST_FAULTS)
        noun = "error" if count == 1 else "errors"
        raise errors.Validation(f"{count} validation {noun} detected: {'; '.join(faults[:MOST_FAULTS])}")
    return request


def _parse(body: bytes) -> Any:
    if sum(map(body.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise errors.Serialization(detail=f"the body holds more than {MOST_VALUES} values")
    try:
        parsed = json.loads(body.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise errors.Serialization from None
    if parsed is None:
        raise errors.Serialization
    return parsed


def _refuse(constant: str) -> NoReturn:
    """NaN and the infinities are not JSON, though Python's parser would take them."""
    raise ValueError(constant)


def encode(operation: str, answer: Mapping[str, Any]) -> bytes:
    """An answer's body. Raises InternalServer where it does not fit the model, which is our bug."""
    return _json(api().operations[operation].answer.write(answer, ""))


def encode_error(error: errors.AwsError, request_id: str) -> tuple[int, bytes]:
    """The HTTP status and body of a refusal: a service's has four members, a front end's two or one."""
    if not isinstance(error, errors.FrontEnd):
        body = {"__type": error.code, "Code": error.code, "Logref": request_id, "Message": error.message}
    elif error.message:
        body = {"__type": error.code, "message": error.message}
    else:
        body = {"__type": error.code}
    return error.status, _json(body)


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")
