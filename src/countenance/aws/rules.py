"""The constraints of the service model, and AWS's sentences for a value that breaks one.

The sentences are those of AWS's front end. An element of a list is reported at the list, with every
constraint of an element (`Value '[all]' at 'attributes' failed to satisfy constraint: Member must satisfy
constraint: [Member must satisfy enum value set: [...]]`); a member of a structure in a list at
`tags.1.member.key`, counted from 1. Kinesis, CodePipeline and others are seen to do both; Rekognition's own
form is not on record.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

NUMERIC = frozenset({"integer", "long", "float", "double"})

# What a refusal repeats of a value: enough to recognise it, too little to fill a log.
ECHO = 1024

# AWS writes its patterns for Java. Java's \p{L} has no counterpart in `re`, so a value's non-ASCII characters
# stand in as the ASCII character of their category before it is matched; \0 is in none of the patterns.
JAVA_CATEGORIES = {r"\p{L}": "A-Za-z", r"\p{Z}": " ", r"\p{N}": "0-9"}
STAND_IN = {"L": "a", "Z": " ", "N": "0"}


class Rule(NamedTuple):
    """One constraint: AWS's sentence for it, and whether a value keeps it."""

    sentence: str
    holds: Callable[[Any], bool]


def rules(declared: Mapping[str, Any]) -> tuple[Rule, ...]:
    """The constraints of one shape in the service model, in the order AWS reports broken ones."""
    found = []
    if "pattern" in declared:
        sentence = f"Member must satisfy regular expression pattern: {declared['pattern']}"
        found.append(Rule(sentence, _matcher(declared["pattern"], declared.get("max", math.inf))))
    if "enum" in declared:
        sentence = f"Member must satisfy enum value set: [{', '.join(declared['enum'])}]"
        found.append(Rule(sentence, frozenset(declared["enum"]).__contains__))
    numeric = declared["type"] in NUMERIC
    measure: Callable[[Any], Any] = (lambda value: value) if numeric else len
    noun = "value" if numeric else "length"
    if "min" in declared:
        low = declared["min"]
        sentence = f"Member must have {noun} greater than or equal to {low}"
        found.append(Rule(sentence, lambda value: bool(measure(value) >= low)))
    if "max" in declared:
        high = declared["max"]
        sentence = f"Member must have {noun} less than or equal to {high}"
        found.append(Rule(sentence, lambda value: bool(measure(value) <= high)))
    return tuple(found)


def _matcher(pattern: str, longest: float) -> Callable[[str], bool]:
    """AWS's patterns hold for the whole value, whether or not they say ^ and $.

    A value that is too long is refused for that: matching megabytes of it would be work for nothing.
    """
    translated = pattern
    for java, python in JAVA_CATEGORIES.items():
        translated = translated.replace(java, python)
    # ASCII: Java's \d, \s and \w know nothing beyond it.
    compiled = re.compile(translated, re.ASCII)
    if translated == pattern:
        return lambda value: len(value) > longest or compiled.fullmatch(value) is not None
    return lambda value: len(value) > longest or compiled.fullmatch(_stand_in(value)) is not None


def _stand_in(text: str) -> str:
    return "".join(c if c.isascii() else STAND_IN.get(unicodedata.category(c)[0], "\0") for c in text)


def broken(value: Any, path: str, kept: tuple[Rule, ...]) -> list[str]:
    """A fault for each rule that a value breaks."""
    return [fault(value, path, rule.sentence) for rule in kept if not rule.holds(value)]


def every(kept: tuple[Rule, ...]) -> str:
    """All constraints of an element, in the order AWS lists them: longest length first, pattern last."""
    return f"[{', '.join(rule.sentence for rule in reversed(kept))}]"


def fault(value: Any, path: str, sentence: str) -> str:
    """AWS's words for one broken constraint."""
    shown = "null" if value is None else f"'{_echo(value)}'"
    return f"Value {shown} at '{path}' failed to satisfy constraint: {sentence}"


def _echo(value: Any) -> str:
    text = _java(value)
    return text if len(text) <= ECHO else f"{text[:ECHO]}..."


def _java(value: Any) -> str:
    """A value as Java prints it, which is what AWS echoes."""
    match value:
        case bytes():
            return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
        case bool():
            return str(value).lower()
        case list():
            return f"[{', '.join(map(_java, value))}]"
        case dict():
            return f"{{{', '.join(f'{key}={_java(item)}' for key, item in value.items())}}}"
        case _:
            return str(value)
