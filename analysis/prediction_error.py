"""How well does a network predict the frames to come, and what do its predictions look like?

Mean squared error per pixel of each predicted frame, against two predictors that know no motion: the last
frame seen, and the mean frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.figures import plot
from flowsim.measures import recorded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READS = "test"
QUESTION = "How well does each network predict the next frames?"
READING = (
    "Above: mean squared error of each predicted frame within the trained horizon (lower is better); thin "
    "lines are seeds, grey lines predict without any motion. Below: one test trial; the last frames seen "
    "(up to 0), the truth (+1, +2, ...), and what the first seed of each network predicts."
)
SEEN = 3


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
        If the recording has no predictions after the context, or lacks the last frame seen.
    """
    changing = [name for name, c in recording.coords.items() if "time" in c.dims and name != "time"]
    recording = recording.drop_vars(
        changing
    )  # such as actions, which mean nothing for frames counted from the context
    error, shown = recorded.squared_error(recording)
    horizon = int(recording.attrs.get("horizon", error.sizes["time"]))
    context = int(recording.attrs["context"])
    within = (recording.time >= context) & (recording.time < context + horizon)
    prediction = recording.prediction.isel(time=within.values)
    error, shown = (a.isel(time=(a.ahead <= horizon).values).swap_dims(time="ahead") for a in (error, shown))
    error, shown = error.drop_vars("time"), shown.drop_vars("time")
    before = recording.frames.isel(time=(recording.time < context).values)
    if not before.sizes["time"] or int(before.time[-1]) != context - 1:
        raise InputError(f"prediction_error needs frame {context - 1}, the last one seen; record every frame")
    before = before.astype("float64").drop_vars("time")
    pixels = ("flow", "trial", "y", "x")
    first = {"flow": 0, "trial": 0}
    result = xr.Dataset(
        {
            "mse": error.mean(pixels),
            "mse_trial": error.mean(("flow", "ahead", "y", "x")),
            "mse_copy": ((before.isel(time=-1) - shown) ** 2).mean(pixels),
            "mse_mean": ((shown - shown.mean(("flow", "trial"))) ** 2).mean(pixels),
            "seen": before.isel(first).isel(time=slice(-SEEN, None)).rename(time="before"),
            "truth": shown.isel(first),
            "example": prediction.isel(first).astype("float64").drop_vars("time").rename(time="ahead"),
        }
    )
    result = result.drop_vars([c for c in result.coords if c not in result.dims]).compute()
    return result.assign({name: values.assign_attrs(units="1") for name, values in result.data_vars.items()})


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table."""
    return {"test MSE over the trained horizon": results.mse.mean("ahead").assign_attrs(better="lower")}


def figure(results: xr.Dataset) -> Figure:
    """Error by predicted frame, and a strip of frames."""
    first = {
        n: results.isel(run=int(np.argmax(results["network"].values == n))) for n in plot.networks(results)
    }
    truth, ahead = results.isel(run=0), results.sizes["ahead"]
    strip = {"truth": [*truth.seen.values, *truth.truth.values]}
    strip |= {name: [None] * SEEN + list(run.example.values) for name, run in first.items()}
    heights = [2.0, 0.2 + 0.3 * len(strip)]
    fig, (ax, images) = plot.subplots(2, 1, figsize=(plot.COLUMN, sum(heights) + 1.2), height_ratios=heights)
    plot.lines(results, "mse", "ahead", ax)
    for baseline, (label, style) in {
        "mse_copy": ("last frame", ":"),
        "mse_mean": ("mean frame", "-"),
    }.items():
        ax.plot(results.ahead, results[baseline].isel(run=0), color="0.6", ls=style, label=label, lw=1)
    ax.set(xlabel="predicted frame", ylabel="MSE per pixel", yscale="log")
    ax.set_title(f"n = {results.sizes['trial']} trials, {plot.seeds(results)}", fontsize=8)
    plot.legend_below(results, ax)
    titles = [*(f"{i - SEEN + 1}" for i in range(SEEN)), *(f"+{i}" for i in range(1, ahead + 1))]
    plot.mosaic(images, strip, titles, "gray")
    return fig
