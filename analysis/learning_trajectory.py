r"""What does a network learn first?

The numbers of other analyses, from the network as it was at several moments of its training: any that an
analysis gives to the opening table of the report, each computed from what was recorded with the weights of
that moment. An analysis is named in the settings, and knows nothing of moments.

A quantity a(n) after n sequences has *emerged* when half of its whole change is done,

    |a(n) - a(first)| = 1/2 |a(last) - a(first)|,

for the first time, by linear interpolation between moments. Which quantity comes first can be said where the
intervals of two do not overlap. A quantity that has not changed beyond rounding has no such moment; that of
one that only fluctuates is somewhere, by chance, and differs from seed to seed: look at the curves.

Beside them is the similarity of the states of each moment to those of the last: debiased CKA over trials,
flows and frames, above chance (`flowsim.measures.similarity.above_chance`). It is 1 at the end, and 0 for
codes of trials that have nothing to do with each other.

Source: Raghu et al. (2017), arXiv 1706.05806 (similarity of a layer over training to its end).
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import xarray as xr
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from flowsim.errors import InputError
from flowsim.figures import panels, plot
from flowsim.files.checkpoints import at_checkpoint, sequences_seen
from flowsim.files.results import numbers_of
from flowsim.measures import recorded, statistics
from flowsim.measures.similarity import above_chance, u_centred
from flowsim.specification import Settings, checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = "probe"
QUESTION = "What does a network learn first?"
READING = (
    "Quantities of other analyses, and the similarity of the state to that at the end (CKA; 0 is chance), by "
    "the sequences that a network had seen; 0 is before training. Thick lines are arithmetic means over "
    "seeds, thin ones are seeds. Below, when half of the whole change of each quantity was done: dots are "
    "seeds, bars 95 % intervals of their geometric mean (Student), from two seeds on. A quantity that does "
    "not change has no such moment; one that only fluctuates has one by chance."
)
SIMILARITY = "similarity of the state to that at the end of training"
ROUNDING = 1e-6
"""A change of no more than this, relative to the largest value, is rounding: states are in float32."""
CONDITIONS = 120
"""States whose similarity is compared, at most."""
ACROSS = 3
"""Panels in a row."""


def uses(analyses: Mapping[str, Any] | None = None, **_: Any) -> list[str]:
    """Names of the other analyses whose code the results depend on, by the settings of `analyse`."""
    return list(DEFAULT if analyses is None else analyses)


def _not_empty(analyses: dict[str, Settings]) -> dict[str, Settings]:
    if not analyses:
        raise PydanticCustomError("no_analyses", "Input should be one analysis or more by name")
    return analyses


Analyses = Annotated[dict[str, Settings], AfterValidator(_not_empty)]
DEFAULT: dict[str, Settings] = {"equivariance_error": {}}


@checked
def analyse(
    recording: xr.Dataset,
    *,
    analyses: Analyses = DEFAULT,
    answers: list[str] | None = None,
) -> xr.Dataset:
    """Numbers of other analyses by the sequences that the network had seen.

    Parameters
    ----------
    recording : Dataset
        With sites at checkpoints, such as ``state_at_checkpoint`` (checkpoint, flow, trial, time, ...), and
        ``sequences`` (checkpoint); and with all that the other analyses need.
    analyses : dict of str to dict
        Analyses by name, with arguments of their ``analyse``.
    answers : list of str, optional
        Labels of the numbers that count; all if not given.

    Returns
    -------
    Dataset
        ``value`` (answer, sequences), NaN where a network could not be judged, or had no such number, and
        ``halfway`` (answer), sequences until half of its whole change was done, NaN without a change. The
        last answer is the similarity of the state to that at the end, if the state was recorded.

    Raises
    ------
    InputError
        If the network was recorded at fewer than two moments, an analysis cannot use the recording, or there
        is no number with one of these labels.
    """
    sequences = sequences_seen(recording)
    if len(sequences) < 2:
        raise InputError(
            f"expected two checkpoints or more; the recording has {len(sequences)}. Keep weights at more "
            "moments (checkpoints of train)"
        )
    found: list[dict[str, float]] = []
    for number in range(len(sequences)):
        then = at_checkpoint(recording, number)
        numbers: dict[str, float] = {}
        for name, settings in analyses.items():
            numbers |= numbers_of(name, then, settings)
        found.append(numbers)
    labels = _labels(found, answers)
    courses = [[numbers.get(label, np.nan) for numbers in found] for label in labels]
    similarity = _similarity(recording)
    if np.isfinite(similarity).any():
        labels, courses = [*labels, SIMILARITY], [*courses, similarity.tolist()]
    value = np.array(courses)
    seen = {"units": "1", "long_name": "sequences seen"}
    halfway = [until_half(np.array(sequences, float), of_one) for of_one in value]
    return xr.Dataset(
        {
            "value": (("answer", "sequences"), value, {"units": "1"}),
            "halfway": ("answer", np.array(halfway), seen),
        },
        {"answer": labels, "sequences": ("sequences", sequences, seen)},
    )


def _labels(found: list[dict[str, float]], wanted: list[str] | None) -> list[str]:
    """Labels of all numbers, or those that are wanted."""
    known = list(dict.fromkeys(label for numbers in found for label in numbers))
    missing = [label for label in wanted or [] if label not in known]
    if missing or not known:
        raise InputError(
            f"expected some of these answers: {'; '.join(known) or '(none, at any moment)'}. "
            f"Got {missing[0] if missing else 'none'!r}"
        )
    return known if wanted is None else wanted


def until_half(sequences: np.ndarray, values: np.ndarray) -> float:
    """When half of the whole change of ``values`` was done for the first time; NaN without a change.

    Parameters
    ----------
    sequences, values : arrays (moment)
        A value that is NaN is passed over; the first and the last are needed.
    """
    known = np.isfinite(values)
    if not (known[0] and known[-1]):
        return np.nan
    at, of = sequences[known], values[known]
    change = of[-1] - of[0]
    if abs(change) <= ROUNDING * np.abs(of).max():
        return np.nan
    share = (of - of[0]) / change
    after = int(np.argmax(share >= 0.5))
    before = after - 1
    within = (0.5 - share[before]) / (share[after] - share[before])
    return float(at[before] + within * (at[after] - at[before]))


def _similarity(recording: xr.Dataset) -> np.ndarray:
    """CKA (checkpoint) of the state with that of the last, above chance; NaN where there is none."""
    found = np.full(recording.sizes["checkpoint"], np.nan)
    grams = [_gram(at_checkpoint(recording, number)) for number in range(len(found))]
    last = grams[-1]
    for number, gram in enumerate(grams):
        if gram is not None and last is not None:
            trial = np.arange(len(gram)) // (len(gram) // min(recording.sizes["trial"], CONDITIONS))
            found[number] = above_chance(gram, last, trial)
    return found


def _gram(recording: xr.Dataset) -> np.ndarray | None:
    """U-centred inner products (condition, condition) of states, trial by trial; None if they are too few or
    do not vary.
    """
    if "state" not in recording:
        return None
    state = recording.state
    flows, trials, times = (state.sizes[dim] for dim in ("flow", "trial", "time"))
    per_trial = max(1, CONDITIONS // trials)
    chosen_times = np.unique(np.linspace(0, times - 1, min(times, per_trial)).round().astype(int))
    chosen_flows = np.arange(min(flows, max(1, per_trial // len(chosen_times))))
    kept = state.isel(flow=chosen_flows, time=chosen_times, trial=slice(CONDITIONS))
    values = recorded.in_float64(kept.transpose("trial", ...))
    states = values.reshape(np.prod(values.shape[:3]), -1)
    if len(states) < 4:
        return None
    states = states - states.mean(0)
    gram = u_centred(states @ states.T)
    return gram if np.linalg.norm(gram) > 0 else None


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table: when each quantity has emerged."""
    numbers = {
        f"sequences until half of the whole change in {label}": results.halfway.sel(
            answer=label, drop=True
        ).assign_attrs(scale="ratio")
        for label in results.answer.values.tolist()
    }
    return {label: values for label, values in numbers.items() if values.notnull().any()}


def figure(results: xr.Dataset) -> Figure:
    """Each quantity by sequences seen (above), and when half of its change was done (below)."""
    labels = results.answer.values.tolist()
    rows = -(-len(labels) // ACROSS)
    changing = int(results.halfway.notnull().any("run").sum())
    order_height = 1.0 + 0.28 * changing * max(1, len(plot.networks(results)) / 3)
    fig = plot.figure(figsize=(plot.PAGE, 1.9 * rows + order_height))
    above, below = fig.subfigures(2, 1, height_ratios=[1.9 * rows, order_height])
    grid = above.subplots(rows, ACROSS, squeeze=False, sharex=True)
    for ax, label in zip(grid.flat, labels, strict=False):
        _draw_course(ax, results, label)
    for ax in panels.leave_empty(grid, len(labels)):
        ax.set_xlabel("sequences seen")
    _draw_order(below.subplots(), results)
    fig.suptitle(plot.seeds(results), fontsize=9)
    return fig


def _draw_course(ax: Axes, results: xr.Dataset, label: str) -> None:
    """One quantity by sequences seen."""
    one = results[["value"]].sel(answer=label, drop=True)
    panels.lines_or_note(one, "value", "sequences", ax)
    _sequences_axis(ax, results)
    ax.set(xlabel="", ylabel="")
    ax.set_title(textwrap.fill(label, 34), fontsize=7)
    ax.tick_params(labelsize=7)


def _sequences_axis(ax: Axes, results: xr.Dataset) -> None:
    """A logarithmic axis with a place for 0, before training."""
    seen = results.sequences.values
    first = float(seen[seen > 0].min())
    ax.set_xscale("symlog", linthresh=first, linscale=0.5)
    ax.set_xlim(float(seen.min()) - 0.05 * first, float(seen.max()) * 1.1)
    powers = 10.0 ** np.arange(np.ceil(np.log10(first)), np.log10(seen.max()) + 1e-9)
    ax.set_xticks([*([0.0] if seen.min() == 0 else []), *(powers if powers.size else [first])])
    ax.minorticks_off()


def _draw_order(ax: Axes, results: xr.Dataset) -> None:
    """When half of the change of each quantity that changes was done: seeds, and their mean's interval."""
    colours = plot.palette(results)
    logged = results[["halfway"]].copy(data={"halfway": np.log(results.halfway.values)})
    mean = logged.halfway.dropna("answer", how="all").mean("run")
    order = mean.answer.values[np.argsort(mean.values)].tolist()
    for row, label in enumerate(order):
        for place, (_, colour, runs) in enumerate(panels.each_network(logged)):
            height = row + 0.6 * ((place + 0.5) / len(colours) - 0.5)
            seeds = runs.halfway.sel(answer=label).dropna("run")
            ax.plot(np.exp(seeds), [height] * seeds.sizes["run"], "o", ms=3, color=colour, mew=0)
            middle, half_width = statistics.mean_interval(seeds, "run")
            if np.isfinite(half_width):
                ends = np.exp([float(middle - half_width), float(middle + half_width)])
                ax.plot(ends, [height, height], color=colour, lw=1.2)
    _sequences_axis(ax, results)
    ax.set_yticks(range(len(order)), [textwrap.fill(label, 44) for label in order], fontsize=6)
    ax.set(ylim=(len(order) - 0.5, -0.5), xlabel="sequences until half of the change is done")
    plot.legend(results, ax, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
