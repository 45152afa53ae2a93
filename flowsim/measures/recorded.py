"""What analyses take out of a recording: states and predictions in float64, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.files.coordinates import variable

if TYPE_CHECKING:
    pass


def scored(recording: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """Squared error (flow, trial, time, y, x) and shown frames, from the first frame after the context, in
    float64.

    The coordinate ``ahead`` over time counts predicted frames from 1.

    Raises
    ------
    InputError
        If frames or predictions were not recorded, none lies after the context, or a prediction is not a
        number.
    """
    prediction, shown = variable(recording, "prediction"), variable(recording, "frames")
    if "context" not in recording.attrs:
        raise InputError("expected the attribute context, the number of frames seen; the recording has none")
    context = int(recording.attrs["context"])
    after = recording.time.values >= context
    if not after.any():
        raise InputError(
            f"expected frames after the context of {context}; the recording has {after.size} frames in all. Record "
            "with a shorter context or a longer stimulus"
        )
    ahead = (
        "time",
        recording.time.values[after] - context + 1,
        {"units": "frame", "long_name": "predicted frame"},
    )
    shown = shown.isel(time=after).astype("float64").assign_coords(ahead=ahead)
    error = (prediction.isel(time=after).astype("float64") - shown) ** 2
    if not bool(np.isfinite(error).all()):
        raise InputError("predictions hold values that are no numbers; the network diverged. Train it again")
    return error, shown
