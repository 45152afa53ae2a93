"""Does a network predict velocities on which it was never trained?

Mean squared error as a function of the velocity of one object, while the others move as in training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
import xarray as xr
from pydantic import Field

from flowsim import dataset, plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READS = "sweep"
QUESTION = "Does the prediction hold at velocities never trained on?"
READING = (
    "Mean squared error over the predicted frames, by the velocity of one of the objects; the others move at trained "
    "velocities. The white line, or grey ground, holds the trained velocities. Darker, or lower, is better; mean over "
    "seeds."
)


def analyse(recording: xr.Dataset, *, trained_speed: Annotated[float, Field(ge=0)] | None = None) -> xr.Dataset:
    """Error by velocity.

    Parameters
    ----------
    recording : Dataset
        With ``prediction`` and ``frames`` (flow, trial, time, y, x) and the velocity of each object,
        ``object_velocity_vy`` and ``_vx``, or ``_omega``, or ``_expansion``, over (trial, object), of which object 0 is
        the one that varies; and ``trained`` (trial), whether it moves as in training.
    trained_speed : float, optional
        Velocities with no component beyond this were trained on; needed where the recording has no ``trained``.

    Returns
    -------
    Dataset
        ``mse`` and ``trained`` over (vy, vx), or (omega), or (expansion); ``mse_trained``, ``mse_novel``: means over
        trials at trained velocities and others, with ``sem_trained``, ``sem_novel`` over trials.

    Raises
    ------
    InputError
        If the recording has no predictions after the context, or does not tell velocities or what was trained.
    """
    error, _ = dataset.scored(recording)
    horizon = int(recording.attrs.get("horizon", error.sizes["time"]))
    by_trial = error.isel(time=(error.ahead <= horizon).values).mean(("flow", "time", "y", "x")).compute()
    velocity, trained = dataset.swept(recording, trained_speed)
    table = velocity.assign(mse=by_trial.values, trained=trained)
    by = table.groupby(list(velocity)).agg(mse=("mse", "mean"), trained=("trained", "max")).to_xarray()
    result = xr.Dataset(
        {
            "mse": by.mse.assign_attrs(units="1", long_name="MSE per pixel"),
            "trained": by.trained.fillna(0).astype(np.int8),
        }
    )
    for name, chosen in (("trained", trained), ("novel", ~trained)):
        result[f"mse_{name}"], result[f"sem_{name}"] = table.mse[chosen].mean(), table.mse[chosen].sem()
    return result


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table."""
    return {
        "MSE at trained velocities": results.mse_trained,
        "MSE at novel velocities": results.mse_novel,
    }


def figure(results: xr.Dataset) -> Figure:
    """One heat map over the velocity plane per network, or a line over the velocities on an axis."""
    fig = plot.by_velocity(results, "mse", label="MSE per pixel")
    fig.suptitle(f"MSE x 1000, {plot.seeds(results)}" if "vy" in results.mse.dims else plot.seeds(results), fontsize=9)
    return fig
