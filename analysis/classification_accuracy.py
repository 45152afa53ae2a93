"""Does a network name what it sees, also when the world moves as it never did in training?

Share of trials whose label the network names, by the velocity of object 0 or of the camera, over time, and
which labels it takes for which (`flowsim.measures.naming`).

Trials without a label (below 0, or missing) are left out, and counted. Intervals are Wilson's, for persons,
or images where there are no persons, as the independent samples
(`flowsim.measures.statistics.clustered_interval`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from flowsim.figures import plot, velocity_plane
from flowsim.measures import ground_truth, naming, statistics
from flowsim.specification import Amount, checked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READS = "sweep"
QUESTION = "Does the network name what moves, at velocities never trained on?"
READING = (
    "Percent of trials whose label the network names after the last frame, by velocity (vy down, vx right); "
    "the white line, or the grey ground, encloses the trained velocities. Higher (brighter) is better; mean "
    "over seeds. Below, each dot is a seed: its mean over trained (filled) and over novel velocities "
    "(open). The dashed line is chance, the accuracy of always naming the most frequent label; where logits "
    "tie, the labels share the answer, so that a network which says nothing is at 1 / number of classes."
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
        recording has; ``accuracy_trained``, ``accuracy_novel``: means over trials, with the ends of their
        95 % intervals over persons or images, ``low_trained`` to ``high_novel``; ``accuracy_time`` (time),
        over all; ``confusion`` (label, named): trials, of which a tie is shared by the labels that tie;
        ``chance``, the share of the most frequent label; ``tied``: the share of trials whose largest logits
        tie after the last frame; ``unlabelled``: how many trials were left out; ``left_out``, in how many of
        the others the velocity is unknown (NaN), which are neither trained nor novel.

    Raises
    ------
    InputError
        If the recording has no logits or labels, no trial has a label, a label is not one of the network's
        classes, logits contain NaN or infinity, or there are neither velocities nor what was trained.
    """
    names = naming.named(recording, slice(1))
    velocity, trained, novel = ground_truth.swept(recording, trained_speed)
    known, sample = names.known, ground_truth.persons_or_images(recording)[names.known]
    trained, novel = trained[known], novel[known]
    answer, correct = names.answer[0], names.correct[0]
    classes = answer.shape[-1]
    trials = velocity[known].assign(correct=correct[:, -1], trained=trained)

    share = {"units": "1", "long_name": "accuracy"}
    by_velocity = _by_velocity(trials, list(map(str, velocity)))
    confusion = np.zeros((classes, classes))
    np.add.at(confusion, names.label, answer[:, -1])
    results = xr.Dataset(
        {
            "accuracy": by_velocity.correct.assign_attrs(share),
            "trained": by_velocity.trained.fillna(0).astype(np.int8),
            "trials": by_velocity.trials.fillna(0).astype(int),
            "accuracy_time": ("time", correct.mean(0), share),
            "confusion": (("label", "named"), confusion, {"units": "1", "long_name": "trials"}),
            "chance": ((), names.chance, {"units": "1"}),
            "tied": ((), ((answer[:, -1] > 0).sum(-1) > 1).mean(), {"units": "1"}),
            "unlabelled": ((), int((~known).sum()), {"units": "1", "long_name": "trials left out"}),
        },
        {"time": ("time", recording.time.values, {"units": "frame", "long_name": "frame"})},
    )
    for where, chosen in (("trained", trained), ("novel", novel)):
        for name, value in _over_samples(correct[chosen, -1], sample[chosen]).items():
            results[f"{name}_{where}"] = ((), value, {"units": "1"})
    results["left_out"] = ((), int((~trained & ~novel).sum()), {"units": "1"})
    return results


def _over_samples(correct: np.ndarray, sample: np.ndarray) -> dict[str, float]:
    """Accuracy over trials, and the ends of its interval over independent samples; NaN where there are too
    few.
    """
    if not len(correct):
        return dict.fromkeys(("accuracy", "low", "high"), np.nan)
    of_sample = np.unique(sample, return_inverse=True)[1]
    low = high = np.nan
    if of_sample.max() > 0:
        low, high = statistics.clustered_interval(np.bincount(of_sample, correct), np.bincount(of_sample))
    return {"accuracy": float(correct.mean()), "low": low, "high": high}


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
    attrs: dict[str, Any] = {"better": "higher", "bounds": (0.0, 1.0)}
    chance = np.unique(results.chance.values)
    if len(chance) == 1:
        attrs["chance"] = float(chance[0])
    return {
        f"accuracy at {velocities} velocities": results[f"accuracy_{velocities}"].assign_attrs(attrs)
        for velocities in ("trained", "novel")
    }


def figure(results: xr.Dataset) -> Figure:
    """One heat map over the velocity plane per network, or a line over the velocities on an axis."""
    fig = velocity_plane.by_velocity(results, "accuracy", label="accuracy", percent=True)
    unit = "accuracy in %; " if len(velocity_plane.components_of(results, "accuracy")) == 2 else ""
    title = f"{unit}n = {plot.trials(results)} per velocity, {plot.seeds(results)}"
    fig.suptitle(title + _left_out(results), fontsize=8)
    return fig


def _left_out(results: xr.Dataset) -> str:
    """Words for a title, where trials have no label, or logits of a network tie."""
    words = []
    if bool((results.unlabelled > 0).any()):
        words.append(f"{int(results.unlabelled.max())} trials without a label left out")
    ties = results.tied.groupby("network").mean()
    words += [f"{tied:.0%} ties: {name}" for name, tied in ties.to_series().items() if tied]
    return "".join(f"\n{word}" for word in words)
