"""Does a network name what it sees, also when the world moves as it never did in training?

Share of trials whose label the network names, by the velocity of object 0 or of the camera, over time, and
which labels it takes for which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from flowsim.errors import InputError
from flowsim.figures import plot, velocity_plane
from flowsim.files import coordinates
from flowsim.measures import ground_truth
from flowsim.specification import Amount, checked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READS = "sweep"
QUESTION = "Does the network name what moves, at velocities never trained on?"
READING = (
    "Percent of trials whose label the network names after the last frame, by velocity (vy down, vx right); "
    "the white line, or the grey ground, encloses the trained velocities. Higher (brighter) is better; mean "
    "over seeds. Below, each dot is a seed: its mean over trained (filled) and over novel velocities "
    "(open). The dashed line is chance, the accuracy of always naming the most frequent label."
)


@checked
def analyse(recording: xr.Dataset, *, trained_speed: Amount | None = None) -> xr.Dataset:
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
        ``accuracy``, ``trained`` and ``trials``, how many, (vy, vx), or over the one component that the
        recording has; ``accuracy_trained``, ``accuracy_novel``: means over trials, with ``sem_trained``,
        ``sem_novel`` over trials; ``accuracy_time`` (time), over all; ``confusion`` (label, named), counts;
        ``chance``, the share of the most frequent label; ``left_out``, in how many trials the velocity is
        unknown (NaN), which are neither trained nor novel.

    Raises
    ------
    InputError
        If the recording has no logits or labels, a label that the network has no class for, or neither
        velocities nor what was trained.
    """
    logits = coordinates.variable(recording, "logits", ("flow", "trial", "time", "class"))
    logits = logits.isel(flow=0).load()
    classes = logits.sizes["class"]
    label = _labels(recording, classes)
    named = logits.argmax("class").transpose("trial", "time").values
    correct = named == label[:, None]
    velocity, trained, novel = ground_truth.swept(recording, trained_speed)
    trials = velocity.assign(correct=correct[:, -1], trained=trained)

    share = {"units": "1", "long_name": "accuracy"}
    by_velocity = _by_velocity(trials, list(velocity))
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (label, named[:, -1]), 1)
    results = xr.Dataset(
        {
            "accuracy": by_velocity.correct.assign_attrs(share),
            "trained": by_velocity.trained.fillna(0).astype(np.int8),
            "trials": by_velocity.trials.fillna(0).astype(int),
            "accuracy_time": ("time", correct.mean(0), share),
            "confusion": (("label", "named"), confusion, {"units": "1", "long_name": "trials"}),
            "chance": ((), np.bincount(label).max() / len(label), {"units": "1"}),
        },
        {"time": ("time", recording.time.values, {"units": "frame", "long_name": "frame"})},
    )
    for where, chosen in (("trained", trained), ("novel", novel)):
        at_these = trials.correct[chosen]
        results[f"accuracy_{where}"] = ((), at_these.mean(), {"units": "1"})
        results[f"sem_{where}"] = ((), at_these.sem(), {"units": "1"})
    results["left_out"] = ((), int((~trained & ~novel).sum()), {"units": "1"})
    return results


def _labels(recording: xr.Dataset, classes: int) -> np.ndarray:
    """Label (trial) of object 0, below the number of classes."""
    label = ground_truth.labels(recording)
    if label is None:
        raise InputError("expected the label of each object (object_label); the recording has none")
    label = label.astype(int)
    if label.max(initial=0) >= classes:
        raise InputError(f"expected labels below the network's {classes} classes; got {label.max()}")
    return label


def _by_velocity(trials: pd.DataFrame, components: list[str]) -> xr.Dataset:
    """Share of trials named correctly, whether the velocity was trained, and how many trials there are, over
    the components of velocity.
    """
    return (
        trials.groupby(components)
        .agg(correct=("correct", "mean"), trained=("trained", "max"), trials=("correct", "size"))
        .to_xarray()
    )


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table."""
    return {
        "accuracy at trained velocities": results.accuracy_trained.assign_attrs(better="higher"),
        "accuracy at novel velocities": results.accuracy_novel.assign_attrs(better="higher"),
    }


def figure(results: xr.Dataset) -> Figure:
    """One heat map over the velocity plane per network, or a line over the velocities on an axis."""
    fig = velocity_plane.by_velocity(results, "accuracy", label="accuracy", percent=True)
    unit = "accuracy in %; " if len(velocity_plane.components_of(results, "accuracy")) == 2 else ""
    fig.suptitle(f"{unit}n = {plot.trials(results)} per velocity, {plot.seeds(results)}", fontsize=8)
    return fig
