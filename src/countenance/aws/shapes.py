"""The service model's shapes, each able to read a request's JSON and to write an answer's.

Reading raises `errors.Serialization` where the JSON type is wrong, which AWS notices first, and collects a
sentence for each broken constraint otherwise. Writing raises `errors.InternalServer`: an answer that does not
fit the model is our bug, never the caller's. `path` says where a value stands, in AWS's form; it is empty for
the whole body.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Protocol

from countenance import errors
from countenance.aws.rules import Rule, broken, every, fault, rules


class Shape(Protocol):
    """One shape of the model."""

    def read(self, value: Any, path: str, faults: list[str], /) -> Any: ...
    def write(self, value: Any, path: str, /) -> Any: ...


def mismatch(value: Any, wanted: str) -> errors.Serialization:
    """AWS's words for a JSON value of another type than the model's. wanted: with its article."""
    match value:
        case list():
            return errors.Serialization("Start of list found where not expected")
        case dict():
            return errors.Serialization("Start of structure or map found where not expected")
        case bool():
            found = "TRUE_VALUE" if value else "FALSE_VALUE"
        case str():
            found = "STRING_VALUE"
        case _:
            found = "NUMBER_VALUE"
    return errors.Serialization(f"{found} can not be converted to {wanted}")


def misfit(path: str, why: str) -> errors.InternalServer:
    return errors.InternalServer(detail=f"the answer's {path or 'body'} {why}")


@dataclass(frozen=True, slots=True)
class Text:
    rules: tuple[Rule, ...]
    enum: frozenset[str]

    def read(self, value: Any, path: str, faults: list[str]) -> str:
        if not isinstance(value, str):
            raise mismatch(value, "a String")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise errors.Serialization(detail="a string holds half of a surrogate pair") from None
        faults += broken(value, path, self.rules)
        return value

    def write(self, value: Any, path: str) -> str:
        if not isinstance(value, str):
            raise misfit(path, "is not text")
        if self.enum and value not in self.enum:
            raise misfit(path, "is not one of the model's values")
        return str(value)


# Two's complement: the numbers of n bits end below 2 ** (n - 1).
ENDS = {"integer": 2**31, "long": 2**63}


@dataclass(frozen=True, slots=True)
class Number:
    """kind: integer (32 bits), long (64 bits), float or double (both kept as Python's float)."""

    kind: str
    rules: tuple[Rule, ...]

    @property
    def whole(self) -> bool:
        return self.kind in ENDS

    def read(self, value: Any, path: str, faults: list[str]) -> float:
        """A whole number written as 10.0 is taken for 10; 10.5 is refused where a whole one is due."""
        number = self._converted(value)
        if number is None:
            article = "an" if self.kind == "integer" else "a"
            raise mismatch(value, f"{article} {self.kind.capitalize()}")
        faults += broken(number, path, self.rules)
        return number

    def _converted(self, value: Any) -> float | None:
        """The number of this kind that a JSON value stands for, None where there is none."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        try:
            number = int(value) if self.whole else float(value)
        except (OverflowError, ValueError):
            return None
        if self.whole:
            end = ENDS[self.kind]
            return number if number == value and -end <= number < end else None
        return number if math.isfinite(number) else None

    def write(self, value: Any, path: str) -> float:
        number: float
        match value:
            case bool():
                raise misfit(path, f"is not a number of type {self.kind}")
            case Integral():
                number = int(value) if self.whole else float(value)
            case Real() if not self.whole:
                number = float(value)
            case _:
                raise misfit(path, f"is not a number of type {self.kind}")
        if not math.isfinite(number):
            raise misfit(path, "is not finite")
        return number


@dataclass(frozen=True, slots=True)
class Flag:
    rules: tuple[Rule, ...] = ()

    def read(self, value: Any, _path: str, _faults: list[str]) -> bool:
        if not isinstance(value, bool):
            raise mismatch(value, "a Boolean")
        return value

    def write(self, value: Any, path: str) -> bool:
        if not isinstance(value, bool):
            raise misfit(path, "is not true or false")
        return value


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes, in base64 on the wire."""

    rules: tuple[Rule, ...]

    def read(self, value: Any, path: str, faults: list[str]) -> bytes:
        if not isinstance(value, str):
            raise mismatch(value, "a Blob")
        try:
            decoded = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise errors.Serialization(f"'{path}' is not valid base64") from None
        faults += broken(decoded, path, self.rules)
        return decoded

    def write(self, value: Any, path: str) -> str:
        if not isinstance(value, bytes):
            raise misfit(path, "is not bytes")
        return base64.b64encode(value).decode("ascii")


@dataclass(frozen=True, slots=True)
class Moment:
    """A time, as epoch seconds with a fraction; milliseconds are kept, as AWS does."""

    rules: tuple[Rule, ...] = ()

    def read(self, value: Any, _path: str, _faults: list[str]) -> dt.datetime:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise mismatch(value, "a Timestamp")
        try:
            return dt.datetime.fromtimestamp(value, dt.UTC)
        except (OverflowError, ValueError, OSError):
            raise mismatch(value, "a Timestamp") from None

    def write(self, value: Any, path: str) -> float:
        if not isinstance(value, dt.datetime) or value.tzinfo is None:
            raise misfit(path, "is not a time with its zone")
        return round(value.timestamp(), 3)


SCALARS = (Text, Number, Flag, Blob, Moment)


@dataclass(frozen=True, slots=True)
class List:
    element: Shape
    rules: tuple[Rule, ...]

    def read(self, value: Any, path: str, faults: list[str]) -> list[Any]:
        """A null among the elements is taken as absent."""
        if not isinstance(value, list):
            raise mismatch(value, "a List")
        given = [item for item in value if item is not None]
        faults += broken(given, path, self.rules)
        if not isinstance(self.element, SCALARS):
            numbered = enumerate(given, 1)
            return [self.element.read(item, f"{path}.{n}.member", faults) for n, item in numbered]
        bad: list[str] = []
        elements = [self.element.read(item, path, bad) for item in given]
        if bad:
            faults.append(
                fault(elements, path, f"Member must satisfy constraint: {every(self.element.rules)}")
            )
        return elements

    def write(self, value: Any, path: str) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise misfit(path, "is not a list")
        return [self.element.write(item, f"{path}[]") for item in value]


@dataclass(frozen=True, slots=True)
class Map:
    key: Text
    value: Text
    rules: tuple[Rule, ...]

    def read(self, value: Any, path: str, faults: list[str]) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise mismatch(value, "a Map")
        given = {key: item for key, item in value.items() if item is not None}
        faults += broken(given, path, self.rules)
        bad_keys: list[str] = []
        bad_values: list[str] = []
        pairs = {
            self.key.read(key, path, bad_keys): self.value.read(item, path, bad_values)
            for key, item in given.items()
        }
        if bad_keys:
            faults.append(fault(pairs, path, f"Map keys must satisfy constraint: {every(self.key.rules)}"))
        if bad_values:
            faults.append(fault(pairs, path, f"Map value must satisfy constraint: {every(self.value.rules)}"))
        return pairs

    def write(self, value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise misfit(path, "is not a map")
        return {
            self.key.write(key, f"{path} key"): self.value.write(item, f"{path} value")
            for key, item in value.items()
        }


@dataclass(frozen=True, slots=True)
class Structure:
    """members: by name as on the wire. required: the names a request may not leave out."""

    members: Mapping[str, Shape]
    required: frozenset[str]

    def read(self, value: Any, path: str, faults: list[str]) -> dict[str, Any]:
        """Members the model does not know are ignored; an explicit null is taken as absent."""
        if not isinstance(value, dict):
            raise mismatch(value, "a Structure")
        found = {}
        for name, shape in self.members.items():
            item = value.get(name)
            where = f"{path}.{name[0].lower()}{name[1:]}" if path else f"{name[0].lower()}{name[1:]}"
            if item is not None:
                found[name] = shape.read(item, where, faults)
            elif name in self.required:
                faults.append(fault(None, where, "Member must not be null"))
        return found

    def write(self, value: Any, path: str) -> dict[str, Any]:
        """A member that is None is left out: AWS never sends a null."""
        if not isinstance(value, Mapping):
            raise misfit(path, "is not a structure")
        if unknown := value.keys() - self.members.keys():
            raise misfit(path, f"has members the model does not know: {', '.join(sorted(unknown))}")
        if missing := {name for name in self.required if value.get(name) is None}:
            raise misfit(path, f"lacks members the model requires: {', '.join(sorted(missing))}")
        return {
            name: self.members[name].write(item, f"{path}.{name}" if path else name)
            for name, item in value.items()
            if item is not None
        }


class Shapes:
    """The shapes of one service model, built when first asked for and shared by name.

    A shape that holds itself would need more than this; Rekognition has none.
    """

    def __init__(self, declared: Mapping[str, Mapping[str, Any]]) -> None:
        self._declared = declared
        self._built: dict[str, Shape] = {}

    def __getitem__(self, name: str) -> Shape:
        if name not in self._built:
            self._built[name] = self._build(self._declared[name])
        return self._built[name]

    def structure(self, name: str) -> Structure:
        shape = self[name]
        assert isinstance(shape, Structure), name
        return shape

    def text(self, name: str) -> Text:
        shape = self[name]
        assert isinstance(shape, Text), name
        return shape

    def _build(self, declared: Mapping[str, Any]) -> Shape:
        kind: str = declared["type"]
        shape: Shape
        match kind:
            case "structure":
                members = {name: self[member["shape"]] for name, member in declared["members"].items()}
                shape = Structure(members, frozenset(declared.get("required", ())))
            case "list":
                shape = List(self[declared["member"]["shape"]], rules(declared))
            case "map":
                key, value = declared["key"]["shape"], declared["value"]["shape"]
                shape = Map(self.text(key), self.text(value), rules(declared))
            case "string":
                shape = Text(rules(declared), frozenset(declared.get("enum", ())))
            case "blob":
                shape = Blob(rules(declared))
            case "boolean":
                shape = Flag()
            case "timestamp":
                shape = Moment()
            case _:
                shape = Number(kind, rules(declared))
        return shape
