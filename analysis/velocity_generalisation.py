"""Does a network predict velocities on which it was never trained?

Mean squared error as a function of the velocity of one object, while the others move as in training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
import xarray as xr
from pydantic import Field

from flowsim.figures import plot, velocity_plane
from flowsim.measures import ground_truth, recorded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READS = "sweep"
QUESTION = "Does the prediction hold at velocities never trained on?"
READING = (
    "Mean squared error over the predicted frames, by the velocity of one of the objects (vy down, vx right); the "
    "others move at trained velocities. The white line, or grey ground, holds the trained velocities. Darker, or "
    "lower, is better; mean over seeds. Below, every dot is a seed: its mean over trained (filled) and novel "
    "velocities (open)."
)


def analyse(
    recording: xr.Dataset, *, trained_speed: Annotated[float, Field(ge=0)] | None = None
) -> xr.Dataset:
    """Error by velocity.

    Parameters
    ----------
    recording : Dataset
        With ``prediction`` and ``frames`` (flow, trial, time, y, x) and the velocity of each object,
        ``object_velocity_vy`` and ``_vx``, or ``_omega``, or ``_expansion``, over (trial, object), of which
        object 0 is the one that varies; and ``trained`` (trial), whether it moves as in training.
    trained_speed : float, optional
        Velocities with no component beyond this were trained on; needed where the recording has no
        ``trained``.

    Returns
    -------
    Dataset
        ``mse``, ``trained`` and ``trials``, how many, over (vy, vx), or (omega), or (expansion);
        ``mse_trained``, ``mse_novel``: means over trials at trained velocities and others, with
        ``sem_trained``, ``sem_novel`` over trials.

    Raises
    ------
    InputError
        If the recording has no predictions after the context, or does not tell velocities or what was
        trained.
    """
    error, _ = recorded.squared_error(recording)
    horizon = int(recording.attrs.get("horizon", error.sizes["time"]))
    by_trial = error.isel(time=(error.ahead <= horizon).values).mean(("flow", "time", "y", "x")).compute()
    velocity, trained = ground_truth.swept(recording, trained_speed)
    table = velocity.assign(mse=by_trial.values, trained=trained)
    cells = table.groupby(list(velocity))
    by = cells.agg(mse=("mse", "mean"), trained=("trained", "max"), trials=("mse", "size")).to_xarray()
    result = xr.Dataset(
        {
            "mse": by.mse.assign_attrs(units="1", long_name="MSE per pixel"),
            "trained": by.trained.fillna(0).astype(np.int8),
            "trials": by.trials.fillna(0).astype(int),
        }
    )
    for name, chosen in (("trained", trained), ("novel", ~trained)):
        for kind, value in (("mse", table.mse[chosen].mean()), ("sem", table.mse[chosen].sem())):
            result[f"{kind}_{name}"] = ((), value, {"units": "1"})
    return result


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table."""
    return {
        "MSE at trained velocities": results.mse_trained.assign_attrs(better="lower"),
        "MSE at novel velocities": results.mse_novel.assign_attrs(better="lower"),
    }


def figure(results: xr.Dataset) -> Figure:
    """One heat map over the velocity plane per network, or a line over the velocities on an axis."""
    fig = velocity_plane.by_velocity(results, "mse", label="MSE per pixel")
    what = "MSE x 1000; " if "vy" in results.mse.dims else ""
    fig.suptitle(f"{what}n = {plot.trials(results)} per velocity, {plot.seeds(results)}", fontsize=8)
    return fig
