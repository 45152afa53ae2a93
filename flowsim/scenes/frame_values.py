"""Frames of any real type as luminance in [0, 1], whether a network is trained on them or shown them."""

from __future__ import annotations

import numpy as np

from flowsim.errors import InputError

ROUNDING = 1e-3
"""By how much frames may leave [0, 1]: interpolated or packed frames do so by rounding."""


def checked_values(frames: np.ndarray) -> np.ndarray:
    """Frames as floating-point numbers that torch takes: in this machine's byte order, without gaps.

    Raises
    ------
    InputError
        If there are none, they are not real numbers, or one is missing, infinite or outside [0, 1].
    """
    if not frames.size:
        sizes = " x ".join(map(str, frames.shape))
        raise InputError(f"expected frames of one trial or more; the stimulus has none ({sizes})")
    if frames.dtype.kind not in "biuf":
        raise InputError(f"expected frames of real numbers from 0 to 1; got {frames.dtype}")
    dtype = {2: np.float16, 4: np.float32}.get(frames.itemsize, np.float64)
    values = np.ascontiguousarray(frames, dtype if frames.dtype.kind == "f" else np.float32)
    low, high = float(values.min()), float(values.max())
    if np.isnan(low) or np.isinf([low, high]).any():
        count = int((~np.isfinite(values)).sum())
        raise InputError(
            f"expected frames from 0 to 1; {count} of {values.size} values are not finite (NaN, infinite or "
            "missing). Fill them in, or leave their trials out"
        )
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise InputError(
            f"expected frames from 0 (black) to 1 (white); got {low:.6g} to {high:.6g}. Scale them, such as "
            "by frames / 255, and mask fill values; a network that wants another range can scale in `feed`"
        )
    return values
