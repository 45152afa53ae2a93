"""Does a network predict velocities on which it was never trained?

Mean squared error as a function of the velocity of one object, while the others move as in training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from flowsim.figures import plot, velocity_plane
from flowsim.measures import ground_truth, predictors, recorded
from flowsim.specification import Amount, checked

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

READS = "sweep"
QUESTION = "Does the prediction hold at velocities never trained on?"
READING = (
    "Mean squared error over the predicted frames, by the velocity of one of the objects (vy down, vx "
    "right), while the others move at trained velocities; geometric mean over seeds. A white line, or a grey "
    "background, encloses the trained velocities. Darker, or lower, is better. Below, every dot is a seed: "
    "its mean over trained (filled) and novel velocities (open). What is predicted without learning, by "
    "copies that move on as well, is in the opening table and in figures/velocity_generalisation.csv."
)


@checked
def analyse(recording: xr.Dataset, *, trained_speed: Amount | None = None) -> xr.Dataset:
    """Error by velocity.

    Parameters
    ----------
    recording : Dataset
        With ``prediction`` and ``frames`` (flow, trial, time, y, x) and the velocity of each object,
        ``object_velocity_vy`` and ``_vx``, or ``_omega``, or ``_expansion``, over (trial, object), of which
        object 0 is the one whose velocity varies; and ``trained`` (trial), whether it moves as in training.
    trained_speed : float, optional
        Velocities with no component beyond this were trained; needed where the recording has no ``trained``.

    Returns
    -------
    Dataset
        ``mse``, ``trained`` (0 or 1) and ``trials``, how many there are, over (vy, vx), or (omega), or
        (expansion); ``mse_trained``, ``mse_novel``: means over trials at trained velocities and at others,
        with standard errors over trials, ``sem_trained`` and ``sem_novel``, and the same means of predictors
        that learn nothing, ``predictor_mse_trained`` and ``predictor_mse_novel`` (predictor), of those of
        `flowsim.measures.predictors.PREDICTORS` that the recording allows. ``left_out``, in how many trials
        the velocity is unknown (NaN), which are neither.

    Raises
    ------
    InputError
        If the recording has no predictions after the context, no velocities of objects, or does not say which
        of them were trained.
    """
    error, _ = recorded.squared_error(recording)
    within_horizon = (error.ahead <= recording.attrs.get("horizon", np.inf)).values
    mse = error.isel(time=within_horizon).mean(("flow", "time", "y", "x")).compute()
    velocity, trained, novel = ground_truth.swept(recording, trained_speed)
    of_predictors = predictors.scores(recording, "mse").mse.isel(time=within_horizon).mean(("flow", "time"))
    by_trial = velocity.assign(trained=trained, mse=mse.values)
    result = _by_velocity(by_trial, [str(component) for component in velocity])
    for name, chosen in (("trained", trained), ("novel", novel)):
        of_trials = by_trial[chosen]
        result[f"mse_{name}"] = ((), of_trials.mse.mean(), {"units": "1"})
        result[f"sem_{name}"] = ((), of_trials.mse.sem(), {"units": "1"})
        of_these = of_predictors.isel(trial=np.flatnonzero(chosen)).mean("trial")
        result[f"predictor_mse_{name}"] = of_these.assign_attrs(units="1")
    result["left_out"] = ((), int((~trained & ~novel).sum()), {"units": "1"})
    return result


def _by_velocity(by_trial: pd.DataFrame, components: list[str]) -> xr.Dataset:
    """Means of a table of trials over the components of velocities."""
    table = by_trial.groupby(components).agg(
        mse=("mse", "mean"), trained=("trained", "max"), trials=("mse", "size")
    )
    grid = table.to_xarray()
    return xr.Dataset(
        {
            "mse": grid.mse.assign_attrs(units="1", long_name="MSE per pixel"),
            "trained": grid.trained.fillna(0).astype(np.int8),
            "trials": grid.trials.fillna(0).astype(int),
        }
    )


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table."""
    numbers = {}
    for name in ("trained", "novel"):
        baseline = predictors.means(results[f"predictor_mse_{name}"])
        mse = results[f"mse_{name}"].assign_attrs(better="lower", scale="ratio", baseline=baseline)
        if mse.notnull().any():
            numbers[f"MSE at {name} velocities"] = mse
    return numbers


def figure(results: xr.Dataset) -> Figure:
    """One heat map over the velocity plane per network, or a line over the velocities on an axis."""
    fig = velocity_plane.by_velocity(results, "mse", label="MSE per pixel")
    unit = "MSE x 1000; " if len(velocity_plane.components_of(results, "mse")) == 2 else ""
    fig.suptitle(f"{unit}n = {plot.trials(results)} per velocity, {plot.seeds(results)}", fontsize=8)
    return fig
