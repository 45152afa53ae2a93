"""At which moments of a training its weights are kept, so that what is learned can be followed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def steps_kept(wanted: Sequence[int] | int | None, batch: int, steps: int) -> list[int]:
    """Numbers of the steps after which weights are kept, in order; 0 is before the first.

    Parameters
    ----------
    wanted : sequence of int, or int, optional
        Sequences seen, or how many moments: the first before training, the last at its end, and those between
        as far apart on a logarithmic scale; fewer, where two would be the same step. None keeps nothing.
    batch : int
        Sequences of a step. A moment within a step is that after it.
    steps : int
        Of the whole training.
    """
    if wanted is None:
        return []
    if isinstance(wanted, int):
        spaced = np.geomspace(1, steps, wanted - 1) if wanted > 2 else [steps]
        return sorted({0, *np.round(spaced).astype(int).tolist()})
    return sorted({min(steps, math.ceil(sequences / batch)) for sequences in wanted})
