"""Rules as expressions, and what is left of one when some facts of a call are known.

Enough of Cedar's language to leave out what cannot matter. What is not understood here stays open until
everything is known, and then the engine is asked; it is asked about every answer in the end (atlas.py).
"""

from __future__ import annotations

import datetime as dt
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from countenance.policy.facts import NAMESPACE
from countenance.policy.rule import Word

ABSENT: Final = object()
"""An optional fact that the call does not tell."""

Facts = Mapping[str, Any]
"""Facts by the schema's words: {"context.purpose": ("Purpose", "research")}. Entities are (type, id), records
are mappings of their members. What is not there is not known."""

Above = Mapping[Word, frozenset[Word]]
"""Each closed word with those it lies in, itself included."""

Tree = Mapping[str, Any]
"""The engine's JSON of a rule, or of a part of one."""

Expression = tuple[Any, ...]
"""("value", v), ("fact", path), ("has", path), ("is", path, type), ("not", e), ("and", e, e), ("or", e, e),
("if", e, e, e), ("set", e...), ("unknown", e...), or an operator with its operands."""

YES: Expression = ("value", True)
NO: Expression = ("value", False)


def condition(rule: Tree, action: str) -> Expression:
    """When a rule speaks of an action, as one expression."""
    scope = rule["action"]
    named = scope.get("entities") or ([scope["entity"]] if "entity" in scope else [])
    if named and action not in {one["id"] for one in named}:
        return NO
    parts = [YES if rule["principal"]["op"] in {"All", "is"} else ("unknown", ("fact", "principal"))]
    resource = rule["resource"]
    if resource["op"] == "is":
        parts.append(("is", "resource", resource["entity_type"].removeprefix(NAMESPACE)))
    elif resource["op"] != "All":
        parts.append(("unknown", ("fact", "resource")))
    for each in rule["conditions"]:
        body = _read(each["body"])
        parts.append(body if each["kind"] == "when" else ("not", body))
    whole = YES
    for part in parts:
        whole = ("and", whole, part)
    return whole


def facts_of(expression: Expression) -> Iterator[str]:
    """The facts that it still asks for."""
    if expression[0] in {"fact", "has", "is"}:
        yield expression[1]
    for part in expression[1:]:
        if isinstance(part, tuple) and expression[0] != "value":
            yield from facts_of(part)


def literals(expression: Expression) -> Iterator[Any]:
    """Every value written in it: words as (type, id), texts, decimals, lengths, moments."""
    if expression[0] == "value":
        yield from expression[1] if isinstance(expression[1], frozenset) else (expression[1],)
        return
    for part in expression[1:]:
        if isinstance(part, tuple):
            yield from literals(part)


def crosses(expression: Expression) -> bool:
    """Whether two facts of a call are compared with each other, whose words then matter one by one. Whose a
    collection is does not count: that is one of three."""
    parts = [part for part in expression[1:] if isinstance(part, tuple) and expression[0] != "value"]
    if expression[0] in {"==", "!=", "in"} and all(part[0] == "fact" for part in parts):
        return {part[1] for part in parts} != {"resource.owner", "principal.org"}
    return any(crosses(part) for part in parts)


def known(expression: Expression, facts: Facts, above: Above) -> Expression:  # noqa: C901, PLR0911 - by form
    """What is left of an expression when these facts are known; YES or NO where they settle it."""
    match expression:
        case ("value", _):
            return expression
        case ("fact", path):
            said = _fact(path, facts)
            if said is ABSENT:
                return ("unknown",)  # to read what is absent is the engine's error
            return expression if said is None else ("value", said)
        case ("has", path):
            said = _fact(path, facts)
            return expression if said is None else ("value", said is not ABSENT)
        case ("is", path, kind):
            return ("value", facts[path] == kind) if path in facts else expression
        case ("and", left, right):
            return _both(known(left, facts, above), right, facts, above)
        case ("or", left, right):
            return _not(_both(_not(known(left, facts, above)), ("not", right), facts, above))
        case ("not", inner):
            return _not(known(inner, facts, above))
        case ("if", test, yes, no):
            said, either = known(test, facts, above), (known(yes, facts, above), known(no, facts, above))
            return either[0 if said == YES else 1] if said in (YES, NO) else ("if", said, *either)
    name, *parts = expression
    parts = [known(part, facts, above) for part in parts]
    if any(part[0] != "value" for part in parts):
        return (name, *parts)
    values = [part[1] for part in parts]
    if name == "in":
        within = above.get(values[0], frozenset({values[0]}))
        some = values[1] if isinstance(values[1], frozenset) else {values[1]}
        return ("value", bool(within & some))
    try:
        return ("value", _OPERATORS[name](*values)) if name in _OPERATORS else (name, *parts)
    except ArithmeticError:  # a day past the last that Python knows: the engine knows more
        return ("unknown", *parts)


def _both(left: Expression, right: Expression, facts: Facts, above: Above) -> Expression:
    if left == NO:
        return NO
    rest = known(right, facts, above)
    if rest == NO or left == YES:
        return rest
    return left if rest == YES else ("and", left, rest)


def _not(inner: Expression) -> Expression:
    if inner[0] == "value":
        return ("value", not inner[1])
    return inner[1] if inner[0] == "not" else ("not", inner)


def _fact(path: str, facts: Facts) -> Any:
    """A fact, or a member of the record that is one; None where it is not known."""
    if path in facts:
        return facts[path]
    before, _, name = path.rpartition(".")
    record = facts.get(before)
    if record is ABSENT:
        return ABSENT
    return record.get(name, ABSENT) if isinstance(record, Mapping) else None


def _read(tree: Tree) -> Expression:  # noqa: C901, PLR0911, PLR0912 - one line for each form
    match tree:
        case {"Value": {"__entity": {"type": kind, "id": name}}}:
            return ("value", (kind.removeprefix(NAMESPACE), name))
        case {"Value": value}:
            return ("value", value)
        case {"datetime": [{"Value": text}]}:
            moment = dt.datetime.fromisoformat(text)
            return ("value", moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC))
        case {"duration": [{"Value": text}]}:
            return ("value", _duration(text))
        case {"decimal": [{"Value": text}]}:
            return ("value", Decimal(text))
        case {"Var": _} | {".": _}:
            return ("fact", _path(tree))
        case {"getTag": {"left": left, "right": {"Value": name}}}:
            return ("fact", f"{_path(left)}.tags.{name}")
        case {"has": {"left": left, "attr": name}}:
            return ("has", f"{_path(left)}.{name}")
        case {"hasTag": {"left": left, "right": {"Value": name}}}:
            return ("has", f"{_path(left)}.tags.{name}")
        case {"is": {"left": left, "in": _}}:
            return ("unknown", ("fact", _path(left)))
        case {"is": {"left": left, "entity_type": kind}}:
            return ("is", _path(left), kind.removeprefix(NAMESPACE))
        case {"&&": {"left": left, "right": right}}:
            return ("and", _read(left), _read(right))
        case {"||": {"left": left, "right": right}}:
            return ("or", _read(left), _read(right))
        case {"!": {"arg": arg}}:
            return ("not", _read(arg))
        case {"if-then-else": {"if": test, "then": yes, "else": no}}:
            return ("if", _read(test), _read(yes), _read(no))
        case {"Set": items}:
            return ("set", *map(_read, items))
    ((name, parts),) = tree.items()
    operands = parts if isinstance(parts, list) else list(parts.values())
    if name in {*_OPERATORS, "in"}:
        return (name, *map(_read, operands))
    return ("unknown", *(_read(part) for part in operands if isinstance(part, dict)))


def _path(tree: Tree) -> str:
    match tree:
        case {"Var": str(name)}:
            return name
        case {".": {"left": left, "attr": str(name)}}:
            return f"{_path(left)}.{name}"
    return "something else"  # an attribute of no fact: nothing tells it


def _duration(text: str) -> dt.timedelta:
    """Cedar's: "365d", "1d12h"."""
    units = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds", "ms": "milliseconds"}
    parts = re.findall(r"(\d+)(ms|[dhms])", text)
    length = dt.timedelta(**{units[unit]: int(count) for count, unit in parts})
    return -length if text.startswith("-") else length


_OPERATORS: Mapping[str, Callable[..., Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "lessThan": operator.lt,
    "lessThanOrEqual": operator.le,
    "greaterThan": operator.gt,
    "greaterThanOrEqual": operator.ge,
    "offset": operator.add,
    "contains": operator.contains,
    "containsAny": lambda left, right: bool(left & right),
    "containsAll": operator.ge,
    "isEmpty": operator.not_,
    "set": lambda *values: frozenset(values),
}
