"""How well does a network predict the frames to come, and what do its predictions look like?

Mean squared error per pixel of each predicted frame, against two predictors that know no motion: the last
frame seen, and the mean frame, which is that of all other trials at the same time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.figures import panels, plot
from flowsim.measures import recorded
from flowsim.specification import checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = "test"
QUESTION = "How well does each network predict the next frames?"
READING = (
    "Above: mean squared error of each predicted frame within the trained horizon (lower is better); thick "
    "lines are geometric means over seeds, thin ones are seeds, and grey lines are predictions that know no "
    "motion: the last frame seen, and the mean frame of all other trials, which needs two trials. A network "
    "above one of them is worse than no learning. Below: one test trial, with the last frames seen (up to "
    "0), the truth (+1, +2, ...), and what the first seed of each network predicts."
)
BASELINES = {"last frame": "mse_copy", "mean frame": "mse_mean"}
"""Predictions that know no motion, and the variables with their errors."""
SEEN = 3
"""Frames of the context that the example shows, at most."""


@checked
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
        ``mse``, ``mse_copy`` (last frame seen), ``mse_mean`` (mean frame of all other trials; NaN if there
        are none), all (ahead), ahead counting predicted frames from 1; ``mse_trial`` (trial); ``seen``
        (before, y, x), ``truth`` and ``example`` (ahead, y, x) of trial 0, where ``before`` counts frames
        back from the last one seen, which is 0.

    Raises
    ------
    InputError
        If the recording has no predictions after the context, lacks the last frame seen, or a prediction
        contains NaN or infinity.
    """
    recording = recording.drop_vars([name for name in recording.coords if name != "time"])
    error, truth = recorded.squared_error(recording)
    seen = _frames_seen(recording)
    each_frame = ("flow", "trial", "y", "x")
    example = {"flow": 0, "trial": 0}
    last_seen = seen.isel(example).isel(time=slice(-SEEN, None))
    horizon = recording.attrs.get("horizon", np.inf)
    trained = (error.ahead <= horizon).values
    by_time = xr.Dataset(
        {
            "mse": error.mean(each_frame),
            "mse_copy": recorded.error_of_last_frame(recording).mean(each_frame),
            "mse_mean": recorded.error_of_mean_frame(recording).mean(each_frame),
            "truth": truth.isel(example),
            "example": recorded.after_context(recording, "prediction").isel(example),
        }
    )
    results = by_time.isel(time=trained).swap_dims(time="ahead").drop_vars("time")
    results["mse_trial"] = error.isel(time=trained).mean(("flow", "time", "y", "x"))
    results["seen"] = last_seen.swap_dims(time="before").drop_vars("time")
    results = results.compute()
    return results.assign(
        {name: values.assign_attrs(units="1") for name, values in results.data_vars.items()}
    )


def _frames_seen(recording: xr.Dataset) -> xr.DataArray:
    """Frames (flow, trial, time, y, x) of the context, up to the last one before the predictions."""
    context = int(recording.attrs["context"])
    seen = recording.frames.isel(time=(recording.time < context).values)
    if not seen.sizes["time"] or int(seen.time[-1]) != context - 1:
        raise InputError(f"prediction_error needs frame {context - 1}, the last one seen; record every frame")
    before = ("time", seen.time.values - (context - 1), {"units": "frame"})
    return seen.astype("float64").assign_coords(before=before)


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table."""
    baseline = {
        name: float(results[variable].mean())
        for name, variable in BASELINES.items()
        if results[variable].notnull().any()
    }
    mse = results.mse.mean("ahead").assign_attrs(better="lower", scale="ratio", baseline=baseline)
    return {"test MSE over the trained horizon": mse}


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
    plot.lines(results, "mse", "ahead", ax, geometric=True)
    any_run = results.isel(run=0)
    for (name, variable), style in zip(BASELINES.items(), (":", "-"), strict=True):
        if any_run[variable].notnull().any():
            ax.plot(results.ahead, any_run[variable], color="0.6", ls=style, label=name, lw=1)
    ax.set(xlabel="predicted frame", ylabel="MSE per pixel", yscale="log")
    ax.set_title(f"n = {results.sizes['trial']} trials, {plot.seeds(results)}", fontsize=8)


def _draw_example(ax: Axes, results: xr.Dataset) -> None:
    """One trial: the truth, and below it what the first run of each network predicts."""
    any_run = results.isel(run=0)
    rows: dict[str, list[np.ndarray | None]] = {"truth": [*any_run.seen.values, *any_run.truth.values]}
    for name, _, runs in panels.each_network(results):
        rows[name] = [*[None] * results.sizes["before"], *runs.isel(run=0).example.values]
    titles = [f"{frame}" for frame in results.before.values]
    titles += [f"+{frame}" for frame in results.ahead.values]
    plot.mosaic(ax, rows, titles, "gray")
