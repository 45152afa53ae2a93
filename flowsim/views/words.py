"""Numbers and names as a report writes them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

TIMES = "\N{MULTIPLICATION SIGN}\N{NO-BREAK SPACE}"
"""Before a ratio that stands in a sentence."""


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
