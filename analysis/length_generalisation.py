"""Does a network keep predicting beyond the horizon it was trained for?

Mean squared error of each frame of a rollout that is longer than any that was trained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

from flowsim.errors import InputError
from flowsim.figures import plot
from flowsim.files.results import shared
from flowsim.measures import predictors, recorded
from flowsim.specification import checked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READS = "test"
QUESTION = "Does the prediction hold beyond the trained horizon?"
READING = (
    "Mean squared error of every frame that a network predicts from its own predictions, far beyond the "
    "trained horizon (dashed). Thick lines are geometric means over seeds, thin ones are seeds. Grey lines "
    "learn nothing: the last frame seen; the mean frame of all other trials, which needs two trials; and the "
    "better of the copies that are moved on (the whole frame, or one layer for each object) at velocities "
    "estimated from the last two frames seen, and at the true ones, an oracle. An error of 0 has no place on "
    "this axis: its line is left out. Above the mean frame, a rollout is worse than a prediction that "
    "ignores what was seen."
)


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
        ``mse`` (ahead), where ahead counts predicted frames from 1, and ``predictor_mse`` (predictor, ahead),
        of those of `flowsim.measures.predictors.PREDICTORS` that the recording allows. ``trials``, how many
        sequences there are; attribute ``horizon``, that of training.

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
    result = xr.Dataset(
        {
            "mse": error.mean(("flow", "trial", "y", "x")).assign_attrs(units="1", long_name="MSE per pixel"),
            "predictor_mse": predictors.scores(recording, "mse").mse.mean(("flow", "trial")),
            "trials": error.sizes["flow"] * error.sizes["trial"],
        }
    )
    result.predictor_mse.attrs["units"] = "1"
    return result.swap_dims(time="ahead").drop_vars("time").assign_attrs(horizon=horizon).compute()


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table, at even multiples of the trained horizon."""
    horizon, last = shared(results, "horizon"), int(results.ahead[-1])
    numbers = {}
    for multiple in range(2, last // horizon + 1, 2):
        if multiple * horizon in results.ahead:
            then = results.sel(ahead=multiple * horizon)
            baseline = predictors.means(then.predictor_mse)
            mse = then.mse.assign_attrs(better="lower", scale="ratio", baseline=baseline)
            numbers[f"MSE at {multiple} times the trained horizon"] = mse
    return numbers


def figure(results: xr.Dataset) -> Figure:
    """Error against predicted frame."""
    fig, ax = plot.subplots(figsize=(plot.COLUMN, 2.6 + 0.06 * len(plot.networks(results))))
    plot.lines(results, "mse", "ahead", ax, geometric=True)
    plot.grey_lines(results, "predictor_mse", "ahead", ax, predictors.representatives(results.predictor_mse))
    ax.axvline(shared(results, "horizon"), color="0.3", ls="--", lw=0.8)
    ax.set(xlabel="predicted frame", ylabel="MSE per pixel")
    plot.logarithmic(ax.yaxis)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_title(f"n = {plot.trials(results)}, {plot.seeds(results)}", fontsize=8)
    plot.legend_below(results, ax)
    return fig
