"""Does a network name what it sees, also when the world moves as it never did in training?

Share of trials whose label the network names, by the velocity of object 0 or of the camera, over time, and
which labels it takes for which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
import xarray as xr
from pydantic import Field

from flowsim.errors import InputError
from flowsim.figures import plot, velocity_plane
from flowsim.files import coordinates
from flowsim.measures import ground_truth

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READS = "sweep"
QUESTION = "Does the network name what moves, at velocities never trained on?"
READING = (
    "Percent of trials named correctly after the last frame, by velocity (vy down, vx right); the white "
    "line, or grey ground, holds the trained velocities. Higher (brighter) is better; mean over seeds. "
    "Below, every dot is a seed: its mean over trained (filled) and novel velocities (open); the dashed "
    "line is chance, always naming the most frequent label."
)


def analyse(
    recording: xr.Dataset, *, trained_speed: Annotated[float, Field(ge=0)] | None = None
) -> xr.Dataset:
    """Accuracy by velocity and time.

    Parameters
    ----------
    recording : Dataset
        With ``logits`` (flow, trial, time, class), ``object_label`` (trial, object) or (trial), and
        velocities as for `analysis.velocity_generalisation`.
    trained_speed : float, optional
        As there.

    Returns
    -------
    Dataset
        ``accuracy``, ``trained`` and ``trials``, how many, (vy, vx); ``accuracy_trained``,
        ``accuracy_novel``: means over trials, with ``sem_trained``, ``sem_novel`` over trials;
        ``accuracy_time`` (time), over all; ``confusion`` (label, named), counts; ``chance``, the share of the
        most frequent label.

    Raises
    ------
    InputError
        If the recording has no logits or labels, or does not tell velocities or what was trained.
    """
    logits = coordinates.variable(recording, "logits", ("flow", "trial", "time", "class")).isel(flow=0).load()
    if "object_label" not in recording.coords:
        raise InputError("expected the label of each object (object_label); the recording has none")
    label = recording.object_label.isel(object=0, missing_dims="ignore").values.astype(int)
    classes = logits.sizes["class"]
    if label.max(initial=0) >= classes:
        raise InputError(f"expected labels below the network's {classes} classes; got {label.max()}")
    named = logits.argmax("class").transpose("trial", "time").values
    right = named == label[:, None]
    velocity, trained = ground_truth.swept(recording, trained_speed)
    table = velocity.assign(right=right[:, -1], trained=trained)
    cells = table.groupby(list(velocity))
    by = cells.agg(right=("right", "mean"), trained=("trained", "max"), trials=("right", "size")).to_xarray()
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (label, named[:, -1]), 1)
    time = ("time", recording.time.values, {"units": "frame", "long_name": "frame"})
    result = xr.Dataset(
        {
            "accuracy": by.right.assign_attrs(units="1", long_name="accuracy"),
            "trained": by.trained.fillna(0).astype(np.int8),
            "trials": by.trials.fillna(0).astype(int),
            "accuracy_time": ("time", right.mean(0), {"units": "1", "long_name": "accuracy"}),
            "confusion": (("label", "named"), confusion, {"units": "1", "long_name": "trials"}),
            "chance": ((), np.bincount(label).max() / len(label), {"units": "1"}),
        },
        {"time": time},
    )
    for name, chosen in (("trained", trained), ("novel", ~trained)):
        for kind, value in (("accuracy", table.right[chosen].mean()), ("sem", table.right[chosen].sem())):
            result[f"{kind}_{name}"] = ((), value, {"units": "1"})
    return result


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table."""
    return {
        "accuracy at trained velocities": results.accuracy_trained.assign_attrs(better="higher"),
        "accuracy at novel velocities": results.accuracy_novel.assign_attrs(better="higher"),
    }


def figure(results: xr.Dataset) -> Figure:
    """One heat map over the velocity plane per network, or a line over the velocities on an axis."""
    fig = velocity_plane.by_velocity(results, "accuracy", label="accuracy", percent=True)
    what = "accuracy in %; " if "vy" in results.accuracy.dims else ""
    fig.suptitle(f"{what}n = {plot.trials(results)} per velocity, {plot.seeds(results)}", fontsize=8)
    return fig
