"""Does a network predict velocities on which it was never trained?

Mean squared error as a function of the velocity of one object, while the others move as in training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from flowsim.figures import plot, velocity_plane
from flowsim.measures import ground_truth, recorded
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
    "its mean over trained (filled) and novel velocities (open). A network that knows no motion can be "
    "compared: the opening table gives the error of predicting the last frame seen, or the mean frame of all "
    "other trials."
)
BASELINES = {"last frame": "copy", "mean frame": "mean"}
"""Predictions that know no motion, and how the names of their errors begin."""


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
        with standard errors over trials, ``sem_trained`` and ``sem_novel``, and the same of two predictions
        that know no motion, ``copy_trained`` and ``copy_novel`` (last frame seen; NaN if it was not
        recorded), ``mean_trained`` and ``mean_novel`` (mean frame of all other trials). ``left_out``, in how
        many trials the velocity is unknown (NaN), which are neither.

    Raises
    ------
    InputError
        If the recording has no predictions after the context, no velocities of objects, or does not say which
        of them were trained.
    """
    errors = _errors_by_trial(recording)
    velocity, trained, novel = ground_truth.swept(recording, trained_speed)
    by_trial = velocity.assign(trained=trained, **errors)
    result = _by_velocity(by_trial, [str(component) for component in velocity])
    for name, chosen in (("trained", trained), ("novel", novel)):
        of_trials = by_trial[chosen]
        result[f"mse_{name}"] = ((), of_trials.mse.mean(), {"units": "1"})
        result[f"sem_{name}"] = ((), of_trials.mse.sem(), {"units": "1"})
        for variable in BASELINES.values():
            result[f"{variable}_{name}"] = ((), of_trials[variable].mean(), {"units": "1"})
    result["left_out"] = ((), int((~trained & ~novel).sum()), {"units": "1"})
    return result


def _errors_by_trial(recording: xr.Dataset) -> dict[str, np.ndarray]:
    """Mean squared errors (trial) over flows, pixels and the frames within the trained horizon: of the
    network (mse), and of predictions that know no motion.
    """
    error, _ = recorded.squared_error(recording)
    within_horizon = (error.ahead <= recording.attrs.get("horizon", np.inf)).values
    errors = {"mse": error, "mean": recorded.error_of_mean_frame(recording)}
    if int(recording.attrs["context"]) - 1 in recording.time.values:
        errors["copy"] = recorded.error_of_last_frame(recording)
    by_trial = {
        name: values.isel(time=within_horizon).mean(("flow", "time", "y", "x")).compute().values
        for name, values in errors.items()
    }
    return {"copy": np.full(recording.sizes["trial"], np.nan), **by_trial}


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
        errors = {label: results[f"{variable}_{name}"] for label, variable in BASELINES.items()}
        baseline = {label: float(error.mean()) for label, error in errors.items() if error.notnull().any()}
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
