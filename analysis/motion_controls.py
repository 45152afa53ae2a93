"""Does a network name what moves by its motion, or would a posture do?

The same trials under conditions that keep their frames and change what follows what
(`flowsim.scenes.control`). Accuracy after the last frame, by condition, and what share of the accuracy above
chance each leaves: a network that reads motion falls to chance where one posture stays, and one that reads
postures does not fall at all. Beside it stands what can be learned from single frames: a linear readout
(`flowsim.measures.decoding`) of the root of a frame's amplitude spectrum, which does not depend on where
things are, fitted to some persons and judged on others; and the same readout of the mean over a trial's
frames, which are many postures without their order.

Intervals are for persons as the independent samples, or images, or trials, where no persons are recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import xarray as xr
from pydantic import Field

from flowsim.errors import InputError
from flowsim.figures import panels, plot
from flowsim.measures import decoding, ground_truth, naming, statistics
from flowsim.specification import Whole, checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = "control"
QUESTION = "Does the network name what moves by its motion, or would a posture do?"
READING = (
    "Accuracy after the last frame where a trial is shown as it is (intact); with its postures in reversed "
    "or shuffled order, while the picture moves on; with one posture, moved on; and with one frame that "
    "stays. A large mark is the mean over seeds, a dot is a seed. A network that names motion falls to "
    "chance (dashed) where one posture stays; what is left needs no motion. On the right, in grey, linear "
    "readouts that are fitted to other persons (95 % intervals): of one frame, and of a trial's frames "
    "without their order. Where these are high, postures alone tell the labels of this stimulus."
)
FRAMES = 4
"""So many frames of a trial, evenly spread, are read one by one."""
WORDS = {
    "intact": "with motion intact",
    "reversed": "with postures in reversed order",
    "shuffled": "with postures in shuffled order",
    "one_posture": "with one posture that is moved on",
    "one_frame": "with one frame that stays",
}
READOUTS = ("one frame", "frames without order")


@checked
def analyse(recording: xr.Dataset, *, folds: Annotated[int, Field(ge=2)] = 10, seed: Whole = 0) -> xr.Dataset:
    """Accuracy by condition, and what single frames tell.

    Parameters
    ----------
    recording : Dataset
        With ``logits`` (flow, trial, time, class), ``frames`` (flow, trial, time, y, x), ``condition`` (flow)
        as `flowsim.scenes.control` names them, and ``object_label`` (trial, object) or (trial).
    folds : int
        Persons are held out from the readouts of frames in at most so many parts.
    seed : int
        Of who is held out with whom.

    Returns
    -------
    Dataset
        ``accuracy`` and ``left``, the share of the accuracy above chance in the condition "intact", with the
        ends of their 95 % intervals, ``low``, ``high``, ``left_low``, ``left_high`` (condition); ``left`` is
        unknown (NaN) where the interval of the accuracy "intact" has chance in it. ``readout``,
        ``readout_low``, ``readout_high`` (reads): accuracies of the readouts of "one frame" and of "frames
        without order". ``chance``, the share of the most frequent label; ``trials``, how many;
        ``unlabelled``, how many were left out.

    Raises
    ------
    InputError
        If the recording has no conditions, none of them "intact", no logits or labels, no trial has a label,
        a label is not one of the network's classes, or logits contain NaN or infinity.
    """
    conditions = _conditions(recording)
    names = naming.named(recording)
    sample = np.unique(ground_truth.persons_or_images(recording)[names.known], return_inverse=True)[1]
    correct = names.correct[:, :, -1]
    intact = conditions.index("intact")
    ends = np.array([_interval(of_condition, sample) for of_condition in correct])
    left, left_low, left_high = _left(correct, intact, names.chance, sample)
    if not ends[intact, 0] > names.chance:
        left[:] = left_low[:] = left_high[:] = np.nan
    frames = recording.frames.isel(flow=intact).transpose("trial", "time", "y", "x")
    readouts = _readouts(frames.values[names.known], names.label, sample, folds, seed)
    by_condition = {
        "accuracy": correct.mean(1),
        "low": ends[:, 0],
        "high": ends[:, 1],
        "left": left,
        "left_low": left_low,
        "left_high": left_high,
    }
    by_readout = dict(zip(("readout", "readout_low", "readout_high"), readouts.T, strict=True))
    numbers = {"chance": names.chance, "trials": len(sample), "unlabelled": int((~names.known).sum())}
    return xr.Dataset(
        {
            **{name: ("condition", values, {"units": "1"}) for name, values in by_condition.items()},
            **{name: ("reads", values, {"units": "1"}) for name, values in by_readout.items()},
            **{name: ((), value, {"units": "1"}) for name, value in numbers.items()},
        },
        {"condition": conditions, "reads": list(READOUTS)},
    )


def _conditions(recording: xr.Dataset) -> list[str]:
    """The name of the condition of each flow.

    Raises
    ------
    InputError
        If the recording has no conditions, or none in which trials are as they were.
    """
    if "condition" not in recording.coords or recording.condition.dims != ("flow",):
        raise InputError(
            "expected a recording of split control, whose trials are shown under conditions (condition over "
            "flow); this one has none"
        )
    attrs = recording.condition.attrs
    meanings = dict(
        zip(np.atleast_1d(attrs["flag_values"]).tolist(), attrs["flag_meanings"].split(), strict=True)
    )
    names = [meanings[value] for value in recording.condition.values.tolist()]
    if "intact" not in names:
        raise InputError(f"expected trials as they were (condition intact); got {', '.join(names)}")
    return names


def _interval(correct: np.ndarray, sample: np.ndarray) -> tuple[float, float]:
    """The ends of the interval of an accuracy over trials, of which each is of a ``sample``; NaN with one."""
    if not sample.max():
        return np.nan, np.nan
    return statistics.clustered_interval(np.bincount(sample, correct), np.bincount(sample))


def _left(correct: np.ndarray, intact: int, chance: float, sample: np.ndarray) -> np.ndarray:
    """The share of the accuracy above chance that each condition leaves, and the ends of its interval over
    samples, (3, condition); NaN where the interval has no end.

    Parameters
    ----------
    correct : array (condition, trial)
    intact : int
        The condition that all are compared with.
    sample : array of int (trial)
    """
    above = np.array([np.bincount(sample, of_condition - chance) for of_condition in correct])
    with np.errstate(invalid="ignore", divide="ignore"):
        left = above.sum(1) / above[intact].sum()
    ends = [statistics.ratio_interval(of_condition, above[intact]) for of_condition in above]
    return np.column_stack([left, ends]).T


def _readouts(frames: np.ndarray, label: np.ndarray, sample: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Accuracy and the ends of its interval for each of `READOUTS`, (reads, 3); NaN where all trials are of
    one sample or have one label.

    Parameters
    ----------
    frames : array (trial, time, y, x)
    label, sample : arrays of int (trial)
    """
    if not sample.max() or len(np.unique(label)) < 2:
        return np.full((len(READOUTS), 3), np.nan)
    spread = np.unique(np.linspace(0, frames.shape[1] - 1, FRAMES).round().astype(int))
    features = np.sqrt(abs(np.fft.rfft2(frames[:, spread]))).reshape(len(frames), len(spread), -1)
    single = features.swapaxes(0, 1)
    indicators = (label[:, None] == np.unique(label)).astype(np.float64)
    found = []
    for read in (single, single.mean(0, keepdims=True)):
        y = np.broadcast_to(indicators[None, :, None], (len(read), len(label), 1, indicators.shape[1]))
        (tally,) = decoding.held_out(read, [read], y, classify=True, folds=folds, seed=seed, groups=sample)
        parts = min(folds, sample.max() + 1)
        interval = statistics.clustered_interval(*tally.by_group(), 1 + parts / (parts - 1))
        found.append((tally.scores()[0], *interval))
    return np.array(found)


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table."""
    attrs: dict[str, Any] = {"bounds": (0.0, 1.0)}
    chance = np.unique(results.chance.values)
    if len(chance) == 1:
        attrs["chance"] = float(chance[0])
    readouts = results.readout.mean("run")
    baseline = {
        f"linear readout of {name}": float(value)
        for name, value in zip(results.reads.values, readouts.values, strict=True)
        if np.isfinite(value)
    }
    numbers = {}
    for condition in results.condition.values.tolist():
        better = {"better": "higher", "baseline": baseline} if condition == "intact" else {}
        accuracy = results.accuracy.sel(condition=condition, drop=True)
        numbers[f"accuracy {WORDS[condition]}"] = accuracy.assign_attrs(attrs | better)
    least = "one_posture" if "one_posture" in results.condition else "one_frame"
    left = results.left.sel(condition=least, drop=True)
    if bool(left.notnull().any()):
        numbers[f"share of the accuracy above chance that is left {WORDS[least]}"] = left.drop_attrs()
    return numbers


def figure(results: xr.Dataset) -> Figure:
    """Accuracy by condition, a column of marks per network, beside what readouts of frames reach."""
    fig, ax = plot.subplots(figsize=(plot.PAGE, 3.2))
    conditions = results.condition.values.tolist()
    networks = list(panels.each_network(results))
    beside = np.linspace(-0.25, 0.25, len(networks)) if len(networks) > 1 else np.zeros(1)
    for offset, (name, colour, runs) in zip(beside, networks, strict=True):
        accuracy = 100 * runs.accuracy.transpose("run", "condition").values
        x = np.arange(len(conditions)) + offset
        ax.plot(x, accuracy.mean(0), "D", color=colour, ms=6, alpha=0.6, mec="white", label=name)
        ax.plot(np.tile(x, (len(accuracy), 1)).T, accuracy.T, "o", color=colour, ms=2.5)
    _readouts_beside(results, ax, len(conditions))
    ax.axhline(100 * float(results.chance.mean()), color="black", ls="--", lw=0.8, label="chance")
    names = [*conditions, *(f"readout of\n{name}" for name in results.reads.values.tolist())]
    names = [name.replace("_", " ").replace(" without", "\nwithout") for name in names]
    ax.set_xticks(range(len(names)), names, fontsize=8)
    ax.set(ylabel="accuracy (%)", ylim=(0, 103), xlim=(-0.5, len(names) - 0.5))
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    fig.suptitle(f"n = {plot.trials(results)}, {plot.seeds(results)}", fontsize=8)
    return fig


def _readouts_beside(results: xr.Dataset, ax: Axes, first: int) -> None:
    """What readouts of frames reach, with intervals, right of the conditions. They are the same for every
    run.
    """
    ax.axvline(first - 0.5, color="0.8", lw=0.8)
    of_frames = 100 * results[["readout", "readout_low", "readout_high"]].mean("run")
    below = (of_frames.readout - of_frames.readout_low).clip(0)
    above = (of_frames.readout_high - of_frames.readout).clip(0)
    x = first + np.arange(results.sizes["reads"])
    ax.errorbar(x, of_frames.readout, [below, above], fmt="s", color="0.4", ms=5, capsize=2)
