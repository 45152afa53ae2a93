"""Two or three seeds as dots: where they lie on a scale that all networks of one quantity share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Dots:
    """The seeds of one network: ``places`` from 0, the least of all networks, to 100, and their values."""

    places: tuple[float, ...]
    values: str


def dots_of(known: Mapping[str, np.ndarray], ratio: bool, words: Mapping[str, str]) -> dict[str, Dots]:
    """Dots of each network.

    Parameters
    ----------
    known : mapping of network to array (seed)
        Values; a network without any has no dots.
    ratio : bool
        Whether the scale is logarithmic, as for positive values that differ by factors.
    words : mapping of network to str
        The same values as text.
    """
    scaled = {name: np.log(x) if ratio else x for name, x in known.items() if len(x)}
    if not scaled:
        return {}
    every = np.concatenate(list(scaled.values()))
    low, high = every.min(), every.max()
    width = high - low or 1.0
    return {
        name: Dots(tuple(round(float(100 * (value - low) / width), 1) for value in x), words[name])
        for name, x in scaled.items()
    }
