r"""What can be read out linearly from the state, when, and does the readout carry over?

At every frame a linear readout of all features is fitted on some trials and judged on others
(`flowsim.measures.decoding`). Trials that show the same image (``object_image``) are on the same side of
every split: a state that knows images, and nothing that they have in common, is at chance.

It reads the label of object 0 (scored by accuracy, the share of presentations named correctly), the velocity
of the flow, and the position of object 0 as sine and cosine of its phase around the torus (both scored by
R² = 1 - sum |y - y'|^2 / sum |y - m|^2, with y' predicted and m the mean of the training trials). Label and
velocity are read from the mean of each map over space, which does not depend on where things are; position is
read from the lowest spatial waves of each map too (`flowsim.measures.coarse_maps`).

Chance is what permuted targets give: labels and paths of objects are exchanged between images, velocities
between flows, in the same way for all trials of an image. Without repeated images that is between trials,
and within each trial. Chance lies a little below what guessing gives, as an image that is left out is missing
in training. Intervals are over images, and never leave what is possible; p-values are corrected over frames
(Benjamini and Hochberg).

Whether a readout of labels carries over is tested in two ways: from frame to frame, and from flow to flow
on the mean state of the second half. A readout that was fitted under one flow is tested under another with
its weights as they are ("fixed"), with the same weight for all velocities ("pooled"), or with its weights
moved as the law of shift says ("carried"): the weights of channel v under the flow u apply to channel v + w
- u under the flow w, where there is such a channel.

Sources: King and Dehaene (2014) for generalisation across time; otherwise see `flowsim.measures.decoding`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
import xarray as xr
from pydantic import Field

from flowsim import progress
from flowsim.errors import InputError
from flowsim.figures import panels, plot
from flowsim.files import coordinates
from flowsim.measures import coarse_maps, decoding, ground_truth, recorded, statistics
from flowsim.specification import Count, Seed, checked

if TYPE_CHECKING:
    from matplotlib.figure import Figure, FigureBase

READS = "probe"
QUESTION = "What can be read out linearly from the state, when, and does the readout carry over?"
READING = (
    "Top: how well the label, the velocity of the flow and the position of the object are read from "
    "held-out trials, frame by frame; trials that show the same image are held out together. Thin lines are "
    "seeds, coloured bands 95 % intervals over images (means over seeds), and the grey band is what permuted "
    "targets give: chance. Middle: accuracy of a readout of the label that was "
    "fitted under one flow and tested under another, against the difference of their velocities. A flat "
    "line means that the readout carries over, a falling line that each velocity has a code of its own. "
    "The readout has a weight for every channel (fixed), weights for the mean over velocity channels "
    "(pooled), or weights that move as the law of shift says (carried; only channels with a partner "
    "count). The grey band goes from chance to the upper end of what permuted labels give. Bottom: accuracy "
    "of the label where the readout was fitted at one frame and tested at another."
)
TARGETS = ("identity", "velocity", "position")
READOUTS = ("fixed", "pooled", "carried")
GREY = "0.85"
"""Of what permuted targets give."""
PIXELS = 3
"""Coarse maps have so many pixels a side: the mean and the lowest waves along each axis."""


@dataclass(frozen=True)
class Fit:
    """How readouts are fitted, by the names of `flowsim.measures.decoding.held_out`."""

    folds: int
    seed: int

    def held_out(
        self, fitted: np.ndarray, tested: Iterator[np.ndarray], y: np.ndarray, target: Target
    ) -> list[decoding.Tally]:
        """`flowsim.measures.decoding.held_out` with these settings."""
        return decoding.held_out(
            fitted,
            tested,
            y,
            classify=target.is_label,
            folds=self.folds,
            seed=self.seed,
            groups=target.images,
        )


@dataclass(frozen=True)
class Target:
    """What is to be read, from which trials.

    Parameters
    ----------
    name : str
        One of `TARGETS`.
    trials : array of int
        Indices of the trials that are used.
    images : array of int (trial)
        Which image each of them shows.
    values : callable
        From the index of a frame to the targets (flow, trial, permutation, value); permutation 0 is true.
    """

    name: str
    trials: np.ndarray
    images: np.ndarray
    values: Callable[[int], np.ndarray]

    @property
    def is_label(self) -> bool:
        return self.name == "identity"


@checked
def analyse(
    recording: xr.Dataset,
    *,
    folds: Annotated[int, Field(ge=2)] = 10,
    permutations: Count = 100,
    seed: Seed = 0,
) -> xr.Dataset:
    """Decode by frame, across flows and across frames.

    Parameters
    ----------
    recording : Dataset
        With ``state`` of any form, and what is known of object 0 (``object_label``, ``object_image``,
        ``object_position_y`` ...).
    folds : int
        Of the cross-validation over images; one per image if there are fewer. Without ``object_image`` each
        trial has its own.
    permutations, seed : int
        The seed is that of folds and permutations.

    Returns
    -------
    Dataset
        ``score`` (target, time), with ``low``, ``high``, ``chance``, ``chance_low``, ``chance_high`` and
        ``p``; ``across_time`` (time, tested_time) and ``across_flow`` (readout, flow, tested_flow): accuracy
        of labels; ``carry_over`` (readout): its mean over pairs of different flows, with ``carry_chance``,
        ``carry_chance_high`` and ``carry_p``; ``difference`` (flow, tested_flow) of velocities; ``trials``
        and ``images`` (target): how many were used; ``kept``: share of channels
        (`flowsim.measures.coarse_maps.coarse`). NaN where nothing can be said: fewer than two labels that two
        images have, one flow, no position, no partner. The attribute ``not_read`` says which and why. The
        flow at rest comes first.

    Raises
    ------
    InputError
        If the recording has no state, the state contains NaN or infinity, all trials show one image, or no
        flow is at rest.
    """
    recording = recorded.reference_first(recording, moving=0)
    maps = coarse_maps.coarse(recording, PIXELS, seed=seed)
    if maps.sizes["trial"] < 2:
        raise InputError(
            "linear_decoding fits on some trials and tests on others; the probe has 1. Record 2 or more"
        )
    if len(np.unique(ground_truth.images(recording))) < 2:
        raise InputError(
            "linear_decoding fits on some images and tests on others; all trials of the probe show one "
            "(object_image). Record trials of 2 images or more"
        )
    means = maps.mean(("y", "x")) if "y" in maps.dims else maps
    fit, rng = Fit(folds, seed), np.random.default_rng(seed)
    by_target = {name: _no_scores(maps) for name in TARGETS}
    by_readout = {name: _no_carry_over(maps) for name in READOUTS}
    across_time = _no_accuracy(maps, "time")
    not_read = {}
    for name, target_of in zip(TARGETS, (_label, _velocity, _position), strict=True):
        target = target_of(recording, permutations, rng)
        if isinstance(target, str):
            not_read[name] = target
            continue
        state = maps if target.name == "position" else means
        by_target[target.name], accuracy = _decode_by_frame(state, target, fit)
        if target.is_label:
            across_time = accuracy
            if maps.sizes["flow"] > 1:
                by_readout = _carry_over(recording, state, target, fit)
    packed = _packed(recording, maps, by_target, by_readout, across_time)
    if not_read:
        packed.attrs["not_read"] = "; ".join(f"{name}: {reason}" for name, reason in not_read.items())
    return packed


def _label(recording: xr.Dataset, permutations: int, rng: np.random.Generator) -> Target | str:
    """Indicators of labels that other images have too, exchanged between images; or why there are none."""
    labels = ground_truth.labels(recording)
    if labels is None:
        return "the recording has no labels (object_label)"
    image, kind = ground_truth.images(recording), pd.factorize(labels, sort=True)[0]
    kind = np.where(ground_truth.has_label(labels), kind, -1)
    kinds = np.unique(kind[kind >= 0])
    repeated = np.array([k for k in kinds if len(np.unique(image[kind == k])) > 1], int)
    if len(repeated) < 2:
        return f"{len(repeated)} labels occur in two images or more; 2 such labels are needed"
    trials = np.flatnonzero(np.isin(kind, repeated))
    indicators = (kind[trials][:, None] == repeated).astype(np.float64)
    exchanged = indicators[_exchanged_images(image[trials], permutations, rng)].swapaxes(0, 1)
    under_all_flows = np.broadcast_to(exchanged, (recording.sizes["flow"], *exchanged.shape))
    return Target("identity", trials, image[trials], lambda time: under_all_flows)


def _exchanged_images(image: np.ndarray, permutations: int, rng: np.random.Generator) -> np.ndarray:
    """For each trial, of which its target is taken (permutation, trial): all from trials of one other image.

    Where that has fewer trials, they are taken in turn. The first order leaves everything in its place.
    """
    own = pd.factorize(image)[0]
    trials_of = [np.flatnonzero(own == k) for k in range(own.max() + 1)]
    orders = statistics.shuffled_orders(rng, permutations, len(trials_of))
    taken = np.empty((permutations + 1, len(image)), int)
    for k, trials in enumerate(trials_of):
        for order, other in zip(taken, orders[:, k], strict=True):
            order[trials] = np.resize(trials_of[other], len(trials))
    return taken


def _velocity(recording: xr.Dataset, permutations: int, rng: np.random.Generator) -> Target | str:
    """Velocities of flows, exchanged between flows within each image; or why there are none."""
    flows, image = recording.sizes["flow"], ground_truth.images(recording)
    if flows < 2:
        return "the recording has a single flow"
    orders = statistics.shuffled_orders(rng, permutations, image.max() + 1, flows)[:, image]
    exchanged = ground_truth.flow_velocities(recording)[orders.transpose(2, 1, 0)]
    return Target("velocity", np.arange(len(image)), image, lambda time: exchanged)


def _position(recording: xr.Dataset, permutations: int, rng: np.random.Generator) -> Target | str:
    """Sine and cosine of the phase of object 0 along each axis, its path exchanged between images; or why
    there are none.
    """
    phase = ground_truth.positions(recording)
    if phase is None:
        return "the recording does not tell where on the frame the object is"
    image = ground_truth.images(recording)
    waves = np.concatenate([np.sin(phase), np.cos(phase)], -1)
    orders = _exchanged_images(image, permutations, rng).T
    return Target("position", np.arange(len(image)), image, lambda time: waves[:, :, time][:, orders])


def _features(state: xr.DataArray) -> np.ndarray:
    """A state (flow, trial, ...) as features (flow, trial, feature) in float64."""
    return np.asarray(state.values, np.float64).reshape(*state.shape[:2], -1)


def _decode_by_frame(state: xr.DataArray, target: Target, fit: Fit) -> tuple[xr.Dataset, np.ndarray]:
    """Fit at each frame of a state (flow, trial, time, ...) and test at the same frame, and labels at all.

    Returns
    -------
    scores : Dataset
        The fields of `decoding.Judgement` (time), p corrected over frames; and how many trials and images
        were used.
    across_time : array (time, tested_time)
        Accuracy of true labels; NaN for other targets.
    """
    times = state.sizes["time"]
    judgements, across_time = [], _no_accuracy(state, "time")
    for time in progress.steps(range(times), times, f"frames ({target.name})"):
        tested = range(times) if target.is_label else [time]
        tallies = fit.held_out(
            _features(state.isel(trial=target.trials, time=time)),
            (_features(state.isel(trial=target.trials, time=other)) for other in tested),
            target.values(time),
            target,
        )
        judgements.append(decoding.judge(tallies[tested.index(time)], fit.folds))
        if target.is_label:
            across_time[time] = [tally.scores()[0] for tally in tallies]
    table = {name: np.array([getattr(j, name) for j in judgements]) for name in decoding.Judgement._fields}
    table["p"] = statistics.false_discovery(table["p"])
    scores: dict[str, Any] = {name: ("time", values) for name, values in table.items()}
    used = {"trials": float(len(target.trials)), "images": float(len(np.unique(target.images)))}
    return xr.Dataset(scores | used), across_time


def _carry_over(
    recording: xr.Dataset, state: xr.DataArray, target: Target, fit: Fit
) -> dict[str, xr.Dataset]:
    """For each readout, accuracy of labels (flow, tested_flow) in the mean state of the second half, and its
    mean over different flows beside chance.
    """
    second_half = slice(state.sizes["time"] // 2, None)
    late = state.isel(trial=target.trials, time=second_half).mean("time")
    different = ~np.eye(state.sizes["flow"], dtype=bool)
    results = {}
    for readout in READOUTS:
        results[readout] = _no_carry_over(state)
        accuracy = _accuracy_across_flows(recording, late, readout, target, fit)
        if accuracy is None:
            continue
        results[readout]["across_flow"] = (("flow", "tested_flow"), accuracy[..., 0])
        carried = accuracy[different]
        carried = carried[np.isfinite(carried[:, 0])]
        if len(carried):
            score, *null = carried.mean(0)
            results[readout]["carry_over"] = score
            results[readout]["carry_chance"] = np.mean(null)
            results[readout]["carry_chance_high"] = statistics.null_interval(null)[1]
            results[readout]["carry_p"] = statistics.p_value(score, null)
    return results


def _accuracy_across_flows(
    recording: xr.Dataset, late: xr.DataArray, readout: str, target: Target, fit: Fit
) -> np.ndarray | None:
    """Accuracy (flow, tested_flow, permutation) of one readout; NaN without partners, None without
    velocities.

    Parameters
    ----------
    recording : Dataset
    late : DataArray (flow, trial, ...)
        Mean state, from which labels are read.
    readout : str
    target : Target
        Labels.
    fit : Fit
    """
    labels = target.values(0)[:1]  # they are the same under all flows
    if readout != "fixed":
        if "velocity" not in late.dims:
            return None
        averaged = ("orientation", "velocity") if readout == "pooled" else ("orientation",)
        late = late.mean([dim for dim in averaged if dim in late.dims])
    flows = coordinates.flows(recording)
    accuracy = np.full((len(flows), len(flows), labels.shape[2]), np.nan)
    for i, fitted_flow in enumerate(flows):
        under = {j: late[[j]] for j in range(len(flows))}
        if readout == "carried":
            grid = coordinates.grid(recording)
            under = {
                j: decoding.shifted_back(state, fitted_flow, flows[j], grid) for j, state in under.items()
            }
            under = {j: state for j, state in under.items() if bool(state.notnull().any())}
        tallies = fit.held_out(_features(late[[i]]), map(_features, under.values()), labels, target)
        for j, tally in zip(under, tallies, strict=True):
            accuracy[i, j] = tally.scores()
    return accuracy


def _no_scores(maps: xr.DataArray) -> xr.Dataset:
    """What is known of a target that cannot be read with this probe."""
    unknown = ("time", np.full(maps.sizes["time"], np.nan))
    used = {"trials": np.nan, "images": np.nan}
    return xr.Dataset(dict.fromkeys(decoding.Judgement._fields, unknown) | used)


def _no_carry_over(maps: xr.DataArray) -> xr.Dataset:
    """What is known of a readout of labels that cannot be tested under other flows."""
    unknown = dict.fromkeys(("carry_over", "carry_chance", "carry_chance_high", "carry_p"), np.nan)
    return xr.Dataset({"across_flow": (("flow", "tested_flow"), _no_accuracy(maps, "flow"))} | unknown)


def _no_accuracy(maps: xr.DataArray, dim: str) -> np.ndarray:
    return np.full((maps.sizes[dim], maps.sizes[dim]), np.nan)


def _packed(
    recording: xr.Dataset,
    maps: xr.DataArray,
    by_target: dict[str, xr.Dataset],
    by_readout: dict[str, xr.Dataset],
    across_time: np.ndarray,
) -> xr.Dataset:
    """All results with their coordinates and units."""
    scores = xr.concat(list(by_target.values()), "target")
    carry_over = xr.concat(list(by_readout.values()), "readout")
    results: dict[str, Any] = {name: scores[name].variable for name in decoding.Judgement._fields}
    results["across_time"] = (("time", "tested_time"), across_time)
    results |= {str(name): values.variable for name, values in carry_over.items()}
    results |= {name: scores[name].variable for name in ("trials", "images")}
    packed = xr.Dataset(results)
    for values in packed.values():
        values.attrs["units"] = "1"
    velocity = ground_truth.flow_velocities(recording)
    unit = coordinates.flows(recording)[0].group.units[0]
    packed["kept"] = maps.attrs["kept"]
    packed["difference"] = (
        ("flow", "tested_flow"),
        np.linalg.norm(velocity[:, None] - velocity, axis=-1),
        {"units": unit, "long_name": "difference of velocity"},
    )
    names = {"target": list(by_target), "readout": list(by_readout)}
    frames = {"time": recording.time, "tested_time": recording.time.values}
    attrs = {name: value for name, value in maps.attrs.items() if name != "kept"}
    return packed.assign_coords(names | frames | recorded.flow_coords(recording)).assign_attrs(attrs)


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table, of the second half of the frames, as far as they were measured.

    Chance is what permuted labels give in the mean, and 0 for an R².
    """
    late = results[["score", "chance"]].isel(time=slice(results.sizes["time"] // 2, None)).mean("time")
    numbers = {}
    for target, measure in zip(
        TARGETS, ("accuracy of the label", "R² of the velocity of the flow", "R² of position"), strict=True
    ):
        read = late.sel(target=target, drop=True)
        attrs = {"bounds": (-np.inf, 1.0), "chance": 0.0}
        if target == "identity":
            attrs = {"bounds": (0.0, 1.0), "chance": float(read.chance.mean())}
        numbers[f"{measure}, read linearly"] = read.score.assign_attrs(attrs)
    for readout in READOUTS:
        carried = results[["carry_over", "carry_chance"]].sel(readout=readout, drop=True)
        numbers[f"accuracy of the label under other flows, {readout} readout"] = (
            carried.carry_over.assign_attrs(
                better="higher", bounds=(0.0, 1.0), chance=float(carried.carry_chance.mean())
            )
        )
    return {label: values for label, values in numbers.items() if values.notnull().any()}


def figure(results: xr.Dataset) -> Figure:
    """Scores by frame, accuracy by difference of velocities, and accuracy across frames."""
    rows = -(-len(plot.networks(results)) // 4)
    heights = [2.2, 2.2, 1.9 * rows]
    fig = plot.figure(figsize=(plot.PAGE, sum(heights)))
    parts: Any = fig.subfigures(3, 1, height_ratios=heights)
    top, middle, bottom = parts
    _draw_scores(top, results)
    _draw_carry_over(middle, results)
    _draw_across_time(bottom, results)
    title = "Linear readouts on held-out trials"
    fig.suptitle(f"{title}, {plot.seeds(results)}{panels.share_of_channels(results)}", fontsize=9)
    return fig


def _draw_scores(part: FigureBase, results: xr.Dataset) -> None:
    """Scores by frame, one axis for each target."""
    for ax, target in zip(part.subplots(1, len(TARGETS)), TARGETS, strict=True):
        read = results.sel(target=target)
        chance = read[["chance_low", "chance_high"]].mean("run")
        ax.fill_between(read.time, chance.chance_low, chance.chance_high, color=GREY)
        for _, colour, runs in panels.each_network(read):
            interval = runs[["low", "high"]].mean("run")
            panels.band(ax, read.time, interval.low, interval.high, colour, alpha=0.15)
        panels.lines_or_note(read, "score", "time", ax)
        ax.set(xlabel="frame", title=f"{target}, n = {_range(read.trials)} trials")
        if target == "identity":
            ax.set(ylabel="accuracy", ylim=(0, 1.05))
        else:
            ax.set(ylabel="R²", ylim=(max(-1, min(-0.1, float(read.score.min()))), 1.05))
    ax.fill_between([], [], [], color=GREY, label="permuted")  # also where the last target is unknown
    plot.legend(results, ax, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))


def _range(counts: xr.DataArray) -> str:
    """Words for the counts of all runs, such as "24" or "20 to 24"."""
    low, high = (f"{value:.0f}" for value in (counts.fillna(0).min(), counts.fillna(0).max()))
    return low if low == high else f"{low} to {high}"


def _draw_carry_over(part: FigureBase, results: xr.Dataset) -> None:
    """Accuracy by difference of velocities, one axis for each readout."""
    accuracy = _by_difference(results)
    unit = results.difference.attrs.get("units", "")
    for ax, readout in zip(part.subplots(1, len(READOUTS), sharey=True), READOUTS, strict=True):
        chance = results.sel(readout=readout)[["carry_chance", "carry_chance_high"]].mean("run")
        if bool(chance.carry_chance.notnull()):
            ax.axhspan(float(chance.carry_chance), float(chance.carry_chance_high), color=GREY)
        if bool(results.carry_over.sel(readout=readout).notnull().any()):
            plot.lines(
                accuracy.sel(readout=readout).to_dataset(name="accuracy"), "accuracy", "difference", ax
            )
        else:
            panels.not_measurable(ax)
        ax.set(xlabel=f"difference ({unit})", ylabel="accuracy", ylim=(0, 1.05), title=f"{readout} readout")


def _by_difference(results: xr.Dataset) -> xr.DataArray:
    """Mean accuracy (difference, run, readout) of pairs of flows whose velocities differ by as much."""
    pairs = results.across_flow.stack(pair=("flow", "tested_flow"))
    difference_of_pair = results.difference.isel(run=0).values.ravel().round(3)
    differences = np.unique(difference_of_pair)
    means = [pairs.isel(pair=difference_of_pair == d).mean("pair") for d in differences]
    return xr.concat(means, "difference").assign_coords(difference=differences)


def _draw_across_time(part: FigureBase, results: xr.Dataset) -> None:
    """Accuracy of labels by frame of fitting and of testing, one axis for each network."""
    time = results.time.values
    half = 0.5 * (time[1] - time[0] if len(time) > 1 else 1)
    edges = (time[0] - half, time[-1] + half) * 2
    axes = panels.network_axes(part, plot.networks(results))
    every: Any = part.axes
    for ax, (name, _, runs) in zip(axes, panels.each_network(results), strict=True):
        cells = runs.across_time.mean("run").transpose("time", "tested_time")
        image = ax.imshow(cells, origin="lower", extent=edges, vmin=0, vmax=1, cmap="viridis")
        ax.set(title=name)
    part.supxlabel("tested at frame (colour: accuracy of the label)", fontsize=9)
    part.supylabel("fitted at frame", fontsize=9)
    part.colorbar(image, ax=every, pad=0.02, shrink=0.8, ticks=[0, 0.5, 1])
