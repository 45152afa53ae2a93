"""Numbers and names as a report writes them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

NOTHING = 1e-9
"""A smaller number counts as 0: rounding of what is exact."""
TIMES = "\N{MULTIPLICATION SIGN}\N{NO-BREAK SPACE}"
"""Before a ratio that stands in a sentence."""
TYPES = {
    "integer": "integer",
    "number": "number",
    "boolean": "true or false",
    "string": "text",
    "null": "null",
}
"""Types of a JSON schema in words."""


def number(value: float, digits: int = 3) -> str:
    """So many digits, without an exponent where that is readable."""
    if value == 0 or not 1e-4 <= abs(value) < 1e6:
        return f"{value:.{digits}g}"
    magnitude = math.floor(math.log10(abs(value)))
    return f"{value:,.{max(0, digits - 1 - magnitude)}f}"


def enumerated(names: Sequence[str]) -> str:
    """Names as one writes them: a, b and c."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def capital(text: str) -> str:
    """A label at the beginning of a sentence."""
    return text[:1].upper() + text[1:]


def sign(effect: float, ratio: bool) -> str:
    """What stands before an effect: of a ratio, or of a difference."""
    if ratio:
        return "\N{MULTIPLICATION SIGN} "
    return "+" if effect > 0 else ""


def seeds_in_words(known: np.ndarray, most: int) -> str:
    """The values of so many seeds at most, or the range of more; "" for one, which is its own mean."""
    if len(known) < 2:
        return ""
    if len(known) <= most:
        return ", ".join(number(value) for value in known)
    return f"{number(known.min())} to {number(known.max())}"


def values_in_words(
    schema: Mapping[str, Any], definitions: Mapping[str, Any] | None = None, plural: bool = False
) -> str:
    """The values that a JSON schema allows, in words, as Markdown; ``definitions`` are what it refers to."""
    definitions = definitions or schema.get("$defs", {})

    def words(one: Mapping[str, Any], plural: bool = False) -> str:
        return values_in_words(one, definitions, plural)

    if "$ref" in schema:
        return words(definitions[schema["$ref"].rpartition("/")[-1]], plural)
    if "anyOf" in schema:
        *others, last = [words(one) for one in schema["anyOf"]]
        return f"{', '.join(others)}, or {last}"
    if "const" in schema or "enum" in schema:
        *values, last = [f"`{json.dumps(value)}`" for value in schema.get("enum", [schema.get("const")])]
        return f"{', '.join(values)} or {last}" if values else last
    if schema.get("type") == "array" and schema.get("prefixItems"):
        return f"[{', '.join(map(words, schema['prefixItems']))}]"
    if schema.get("type") == "array":
        return f"{'lists' if plural else 'list'} of {words(schema.get('items', {}), plural=True)}"
    word = TYPES.get(schema.get("type", ""), "anything")
    if word not in ("integer", "number"):
        return word
    return f"{word}{'s' if plural else ''} {_bounds(schema)}".rstrip()


NOBODY_MEANS = 10**7
"""Upper bounds from here on, and lower ones up to 10 / `NOBODY_MEANS`, only stop slips of the finger, and are
not worth a reader's time.
"""


def _bounds(schema: Mapping[str, Any]) -> str:
    """The range of a number, such as "in [0, 1)" or "≥ 1"; "" if it has none."""
    low, high = schema.get("minimum"), schema.get("maximum")
    sign_low, bracket_low = (">", "(") if low is None else ("≥", "[")
    sign_high, bracket_high = ("<", ")") if high is None else ("≤", "]")
    low = schema.get("exclusiveMinimum") if low is None else low
    high = schema.get("exclusiveMaximum") if high is None else high
    high = None if low is not None and high is not None and high >= NOBODY_MEANS else high
    if low is not None and high is not None:
        return f"in {bracket_low}{low:g}, {high:g}{bracket_high}"
    if low is not None:
        return "> 0" if 0 < low <= 10 / NOBODY_MEANS else f"{sign_low} {low:g}"
    if high is not None:
        return f"{sign_high} {high:g}"
    return ""
