"""How well does a network predict the frames to come, and what do its predictions look like?

Mean squared error per pixel of each predicted frame, against two predictors that know no motion: the last
frame seen, and the mean frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.figures import panels, plot
from flowsim.measures import recorded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = "test"
QUESTION = "How well does each network predict the next frames?"
READING = (
    "Above: mean squared error of each predicted frame within the trained horizon (lower is better); thin "
    "lines are seeds, and grey lines are predictions that know no motion: the last frame seen, and the mean "
    "frame. Below: one test trial, with the last frames seen (up to 0), the truth (+1, +2, ...), and what "
    "the first seed of each network predicts."
)
SEEN = 3
"""Frames of the context that the example shows, at most."""


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Error over the trained horizon, and an example.

    Parameters
    ----------
    recording : Dataset
        With ``prediction`` and ``frames`` (flow, trial, time, y, x) and the attributes ``context`` and, where
        a training had one, ``horizon``.

    Returns
    -------
    Dataset
        ``mse``, ``mse_copy`` (last frame seen), ``mse_mean`` (mean frame), all (ahead), ahead counting
        predicted frames from 1; ``mse_trial`` (trial); ``seen`` (before, y, x), ``truth`` and ``example``
        (ahead, y, x) of trial 0.

    Raises
    ------
    InputError
        If the recording has no predictions after the context, lacks the last frame seen, or a prediction
        contains NaN or infinity.
    """
    recording = _without_coordinates_that_change(recording)
    error, truth, prediction = _within_horizon(recording)
    seen = _frames_seen(recording)
    each_frame = ("flow", "trial", "y", "x")
    example = {"flow": 0, "trial": 0}
    results = xr.Dataset(
        {
            "mse": error.mean(each_frame),
            "mse_trial": error.mean(("flow", "ahead", "y", "x")),
            "mse_copy": ((seen.isel(time=-1) - truth) ** 2).mean(each_frame),
            "mse_mean": ((truth - truth.mean(("flow", "trial"))) ** 2).mean(each_frame),
            "seen": seen.isel(example).isel(time=slice(-SEEN, None)).rename(time="before"),
            "truth": truth.isel(example),
            "example": prediction.isel(example),
        }
    )
    results = results.drop_vars([name for name in results.coords if name not in results.dims]).compute()
    return results.assign(
        {name: values.assign_attrs(units="1") for name, values in results.data_vars.items()}
    )


def _without_coordinates_that_change(recording: xr.Dataset) -> xr.Dataset:
    """A recording without coordinates over time, such as actions: they mean nothing for frames that are
    counted from the context.
    """
    changing = [name for name, coord in recording.coords.items() if "time" in coord.dims and name != "time"]
    return recording.drop_vars(changing)


def _within_horizon(recording: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Squared error, true frames and predictions (flow, trial, ahead, y, x) within the trained horizon, or in
    all frames after the context where there was none.
    """
    error, truth = recorded.squared_error(recording)
    context = int(recording.attrs["context"])
    horizon = int(recording.attrs.get("horizon", error.sizes["time"]))
    trained = (error.ahead <= horizon).values
    error, truth = (
        values.isel(time=trained).swap_dims(time="ahead").drop_vars("time") for values in (error, truth)
    )
    predicted = (recording.time >= context) & (recording.time < context + horizon)
    prediction = recording.prediction.isel(time=predicted.values).astype("float64")
    return error, truth, prediction.drop_vars("time").rename(time="ahead")


def _frames_seen(recording: xr.Dataset) -> xr.DataArray:
    """Frames (flow, trial, time, y, x) of the context, up to the last one before the predictions."""
    context = int(recording.attrs["context"])
    seen = recording.frames.isel(time=(recording.time < context).values)
    if not seen.sizes["time"] or int(seen.time[-1]) != context - 1:
        raise InputError(f"prediction_error needs frame {context - 1}, the last one seen; record every frame")
    return seen.astype("float64").drop_vars("time")


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table."""
    return {"test MSE over the trained horizon": results.mse.mean("ahead").assign_attrs(better="lower")}


def figure(results: xr.Dataset) -> Figure:
    """Error by predicted frame, and a strip of frames."""
    rows_of_images = 1 + len(plot.networks(results))
    heights = [2.0, 0.2 + 0.3 * rows_of_images]
    size = (plot.COLUMN, sum(heights) + 1.2)
    fig, (errors, images) = plot.subplots(2, 1, figsize=size, height_ratios=heights)
    _draw_errors(errors, results)
    plot.legend_below(results, errors)
    _draw_example(images, results)
    return fig


def _draw_errors(ax: Axes, results: xr.Dataset) -> None:
    """Error by predicted frame, with the two predictors that know no motion in grey."""
    plot.lines(results, "mse", "ahead", ax)
    any_run = results.isel(run=0)
    ax.plot(results.ahead, any_run.mse_copy, color="0.6", ls=":", label="last frame", lw=1)
    ax.plot(results.ahead, any_run.mse_mean, color="0.6", ls="-", label="mean frame", lw=1)
    ax.set(xlabel="predicted frame", ylabel="MSE per pixel", yscale="log")
    ax.set_title(f"n = {results.sizes['trial']} trials, {plot.seeds(results)}", fontsize=8)


def _draw_example(ax: Axes, results: xr.Dataset) -> None:
    """One trial: the truth, and below it what the first run of each network predicts."""
    any_run = results.isel(run=0)
    rows: dict[str, list[np.ndarray | None]] = {"truth": [*any_run.seen.values, *any_run.truth.values]}
    for name, _, runs in panels.each_network(results):
        rows[name] = [*[None] * SEEN, *runs.isel(run=0).example.values]
    titles = [f"{frame}" for frame in range(1 - SEEN, 1)]
    titles += [f"+{frame}" for frame in range(1, results.sizes["ahead"] + 1)]
    plot.mosaic(ax, rows, titles, "gray")
