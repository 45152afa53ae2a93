"""What analyses take out of a recording: states and predictions in float64, checked, and the flows they were
under.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from flowsim.errors import CannotJudge, InputError
from flowsim.files import coordinates
from flowsim.measures.block_map import cuts

IN_MEMORY = 2**29
"""Activity of fewer bytes is read once, other activity whenever it is needed."""


def require_finite(values: np.ndarray | xr.DataArray, what: str = "state") -> None:
    """Raise CannotJudge if recorded activity, lazy or in memory, contains NaN or infinity."""
    if not bool(np.isfinite(values).all()):
        raise CannotJudge(f"the {what} contains NaN or infinity: the network diverged; train it again")


def in_float64(activity: xr.DataArray, what: str = "state") -> np.ndarray:
    """Recorded activity, read from the file if need be, in float64 and with its dimensions as they are.

    Raises
    ------
    InputError
        If it contains NaN or infinity.
    """
    values = np.asarray(activity.values, np.float64)
    require_finite(values, what)
    return values


class TrialByTrial:
    """Recorded activity, one trial and flow at a time, best trial by trial. Activity of up to `IN_MEMORY` is
    read once. Of more, flows that lie in the same chunks of the file are read together, and kept until
    another trial is asked for.

    Parameters
    ----------
    activity : DataArray (flow, trial, time, ...)
        Lazy or in memory.
    """

    def __init__(self, activity: xr.DataArray) -> None:
        self.activity = activity.compute() if activity.nbytes < IN_MEMORY else activity
        self._kept: tuple[int, slice, xr.DataArray] | None = None

    def read(self, flow: int, trial: int) -> xr.DataArray:
        """Activity (time, ...) in a trial under a flow."""
        if self.activity.chunks is None:
            return self.activity.isel(flow=flow, trial=trial)
        lengths = self.activity.chunksizes["flow"]
        flows = next(part for part in cuts(lengths, max(lengths)) if flow < part.stop)
        if self._kept is None or self._kept[:2] != (trial, flows):
            self._kept = trial, flows, self.activity.isel(flow=flows, trial=trial).load()
        return self._kept[2].isel(flow=flow - flows.start)


def require_varying(varies: bool) -> None:
    """Raise CannotJudge unless something varies in the states that are compared."""
    if not varies:
        raise CannotJudge(
            "expected states that vary; each unit is constant, the same in all trials and pixels: the "
            "network is dead, and would obey every law. Train it again, or record another site"
        )


def reference_first(recording: xr.Dataset, moving: int = 1) -> xr.Dataset:
    """The recording with the flow at rest, which is the reference of all others, at the front.

    The reference is found by its velocity, wherever a selection or a sort has put it. The other flows follow
    in the order of their velocities, so that results of recordings of the same flows fit together.

    Parameters
    ----------
    recording : Dataset
        With the velocities of its flows, such as ``flow_vy`` and ``flow_vx`` (flow).
    moving : int
        How many other flows are needed.

    Raises
    ------
    InputError
        If no flow or several are at rest, two flows have the same velocity, or there are fewer moving flows
        than needed.
    """
    flows = coordinates.flows(recording)
    resting = [i for i, flow in enumerate(flows) if not any(flow.velocity)]
    if len(resting) != 1:
        raise InputError(
            f"expected one flow at rest, the reference of all others; the recording has {len(resting)} of "
            f"{len(flows)} flows. Keep the flow of velocity 0 when you select flows"
        )
    if len(flows) <= moving:
        raise InputError(
            f"expected {moving} or more flows that move, besides the reference; the recording has "
            f"{len(flows) - 1}. Record a probe under more flows (probe_speed above 0)"
        )
    velocities = [flow.velocity for flow in flows]
    if len(set(velocities)) < len(velocities):
        raise InputError("expected flows of different velocities; the recording has one of them twice")
    order = sorted(range(len(flows)), key=lambda i: (any(velocities[i]), velocities[i]))
    return recording if order == list(range(len(flows))) else recording.isel(flow=order)


def flow_coords(recording: xr.Dataset) -> dict[Any, xr.DataArray]:
    """The coordinates of a recording over ``flow`` alone, such as the components of the velocities of its
    flows.
    """
    return {name: coordinate for name, coordinate in recording.coords.items() if coordinate.dims == ("flow",)}


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotient, NaN where the denominator is not positive."""
    shape = np.broadcast(numerator, denominator).shape
    return np.divide(numerator, denominator, out=np.full(shape, np.nan), where=denominator > 0)


def squared_error(recording: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """Squared error of predictions, and the frames that were to be predicted, from the first after the
    context.

    Returns
    -------
    error, frames : DataArray (flow, trial, time, y, x)
        In float64, lazily. The coordinate ``ahead`` over time counts predicted frames from 1.

    Raises
    ------
    InputError
        If frames or predictions were not recorded, none lies after the context, or a prediction contains NaN
        or infinity.
    """
    prediction, frames = after_context(recording, "prediction"), after_context(recording, "frames")
    error = (prediction - frames) ** 2
    require_finite(error, "prediction")
    return error, frames


def after_context(recording: xr.Dataset, name: str) -> xr.DataArray:
    """Predictions or frames (flow, trial, time, y, x) after the context, in float64, lazily.

    The coordinate ``ahead`` over time counts predicted frames from 1.

    Raises
    ------
    InputError
        If they or the context were not recorded, or none lies after the context.
    """
    values = coordinates.variable(recording, name)
    if "context" not in recording.attrs:
        raise InputError("expected the attribute context, the number of frames seen; the recording has none")
    context = int(recording.attrs["context"])
    after = recording.time.values >= context
    if not after.any():
        raise InputError(
            f"expected frames after the context of {context}; the recording has {after.size} frames in all. "
            "Record with a shorter context or a longer stimulus"
        )
    number = recording.time.values[after] - context + 1
    ahead = ("time", number, {"units": "frame", "long_name": "predicted frame"})
    return values.isel(time=after).astype("float64").assign_coords(ahead=ahead)


def error_of_mean_frame(recording: xr.Dataset) -> xr.DataArray:
    """Squared error of a prediction that knows no trial: each frame after the context is predicted by the
    mean of the same frame in all other trials.

    With n trials of independent content it is n / (n - 1) times their variance: the judged trial is no part
    of its own prediction.

    Returns
    -------
    DataArray (flow, trial, time, y, x)
        In float64, lazily. NaN where there is one trial.

    Raises
    ------
    InputError
        If frames or the context were not recorded.
    """
    frames = after_context(recording, "frames")
    trials = frames.sizes["trial"]
    others = mean_of_others(frames, frames.mean("flow").sum("trial"), trials)
    return ((frames - others) ** 2).where(trials > 1)


def mean_of_others(frames: xr.DataArray, total: xr.DataArray, trials: int) -> xr.DataArray:
    """Mean frame (trial, time, y, x) of all trials but the one in question.

    Parameters
    ----------
    frames : DataArray (flow, trial, time, y, x)
        Of all trials or of some.
    total : DataArray (time, y, x)
        The sum over all trials of their mean over flows.
    trials : int
        How many trials there are in all.
    """
    return (total - frames.mean("flow")) / max(trials - 1, 1)
