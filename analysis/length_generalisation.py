"""Does a network keep predicting beyond the horizon it was trained for?

Mean squared error of each frame of a rollout that is longer than any that was trained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.figures import plot
from flowsim.files.results import shared
from flowsim.measures import recorded
from flowsim.specification import checked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READS = "test"
QUESTION = "Does the prediction hold beyond the trained horizon?"
READING = (
    "Mean squared error of every frame that a network predicts from its own predictions, far beyond the "
    "trained horizon (dashed). Thick lines are geometric means over seeds, thin ones are seeds. Grey are "
    "predictions that know no motion: the last frame seen (dotted), and the mean frame of all other trials, "
    "which needs two trials. Above the mean frame, a rollout is worse than a prediction that ignores what "
    "was seen."
)
BASELINES = {"last frame": "mse_copy", "mean frame": "mse_mean"}
"""Predictions that know no motion, and the variables with their errors."""


@checked
def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Error by predicted frame.

    Parameters
    ----------
    recording : Dataset
        With ``prediction`` and ``frames`` (flow, trial, time, y, x), and the attributes ``context`` and
        ``horizon``.

    Returns
    -------
    Dataset
        ``mse``, ``mse_copy`` of the last frame seen, and ``mse_mean`` of the mean frame of all other trials
        (ahead), where ahead counts predicted frames from 1. The second is NaN if that frame was not recorded,
        the third if there is one trial. ``trials``, how many sequences there are; attribute ``horizon``, that
        of training.

    Raises
    ------
    InputError
        If no frame beyond the trained horizon was predicted, or predictions or frames are missing, or contain
        NaN or infinity.
    """
    error, _ = recorded.squared_error(recording)
    horizon = int(recording.attrs.get("horizon", 0))
    last = int(error.ahead[-1])
    if not 0 < horizon < last:
        raise InputError(
            f"length_generalisation needs predictions beyond the trained horizon of {horizon} frames; the "
            f"recording has {last}. Make the stimulus longer"
        )
    pixels = ("flow", "trial", "y", "x")
    result = xr.Dataset(
        {
            "mse": error.mean(pixels).assign_attrs(units="1", long_name="MSE per pixel"),
            "mse_copy": _error_of_last_frame(recording, error).mean(pixels).assign_attrs(units="1"),
            "mse_mean": recorded.error_of_mean_frame(recording).mean(pixels).assign_attrs(units="1"),
            "trials": error.sizes["flow"] * error.sizes["trial"],
        }
    )
    return result.swap_dims(time="ahead").drop_vars("time").assign_attrs(horizon=horizon).compute()


def _error_of_last_frame(recording: xr.Dataset, error: xr.DataArray) -> xr.DataArray:
    """As of `flowsim.measures.recorded`; NaN, like ``error``, where the recording is thinned and lacks it."""
    if int(recording.attrs["context"]) - 1 in recording.time.values:
        return recorded.error_of_last_frame(recording)
    return xr.full_like(error, np.nan)


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table, at even multiples of the trained horizon."""
    horizon, last = shared(results, "horizon"), int(results.ahead[-1])
    numbers = {}
    for multiple in range(2, last // horizon + 1, 2):
        if multiple * horizon in results.ahead:
            then = results.sel(ahead=multiple * horizon)
            baseline = {
                name: float(then[variable].mean())
                for name, variable in BASELINES.items()
                if then[variable].notnull().any()
            }
            mse = then.mse.assign_attrs(better="lower", scale="ratio", baseline=baseline)
            numbers[f"MSE at {multiple} times the trained horizon"] = mse
    return numbers


def figure(results: xr.Dataset) -> Figure:
    """Error against predicted frame."""
    fig, ax = plot.subplots(figsize=(plot.COLUMN, 2.6 + 0.06 * len(plot.networks(results))))
    plot.lines(results, "mse", "ahead", ax, geometric=True)
    for (name, variable), style in zip(BASELINES.items(), (":", "-"), strict=True):
        error = results[variable].isel(run=0)
        if error.notnull().any():
            ax.plot(results.ahead, error, color="0.5", ls=style, lw=1, label=name)
    ax.axvline(shared(results, "horizon"), color="0.3", ls="--", lw=0.8)
    ax.set(yscale="log", xlabel="predicted frame", ylabel="MSE per pixel")
    ax.set_title(f"n = {plot.trials(results)}, {plot.seeds(results)}", fontsize=8)
    plot.legend_below(results, ax)
    return fig
