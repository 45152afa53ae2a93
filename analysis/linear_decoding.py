r"""What can be read out linearly from the state, when, and does the readout carry over?

At every frame a linear readout is fitted on some trials and judged on others (`flowsim.measures.decoding`):
of the label of object 0 (share of presentations named), of the velocity of the flow, and of the position of
object 0 as sine and cosine of its phase around the torus (both as R^2 = 1 - sum |y - y'|^2 / sum |y - m|^2,
with y' predicted and m the mean of the training trials). Label and velocity are read from the mean of each
map over space, which does not depend on where things are; position from its lowest spatial waves too
(`flowsim.measures.coarse_maps`).

Chance is what permuted targets give: labels and paths of objects change hands between trials, velocities
between flows within each trial. It lies a little below what guessing gives, as a trial that is left out is
missing in training. Intervals are over trials; p-values are corrected over frames (Benjamini and Hochberg).

Whether the readout of labels carries over is asked by frame, and by flow, of the mean state of the second
half: with its weights as they are ("fixed"), with the same weight for all velocities ("pooled"), or moved as
the law of shift says ("carried"): what channel v told under the flow u is asked of v + w - u under the flow
w, where there is that channel.

Sources: King and Dehaene (2014) for generalisation across time; otherwise see `flowsim.measures.decoding`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import xarray as xr
from pydantic import Field

from flowsim import progress
from flowsim.errors import InputError
from flowsim.figures import panels, plot
from flowsim.files import coordinates
from flowsim.measures import coarse_maps, decoding, ground_truth, statistics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = "probe"
QUESTION = "What can be read out linearly from the state, when, and does the readout carry over?"
READING = (
    "Above: how well label, velocity of the flow and position are read from held-out trials, frame by frame; bands "
    "are 95 % intervals over trials, thin lines seeds, grey what permuted targets give. Middle: a readout of the "
    "label, fitted under one flow and tested under another, by how much their velocities differ: flat means that it "
    "carries over, falling that each velocity has a code of its own. It weights every channel (fixed), the mean over "
    "velocity channels (pooled), or moves its weights as a law of shift says (carried, as far as channels have a "
    "partner). Below: fitted at one frame, tested at another."
)
TARGETS, READOUTS = ("identity", "velocity", "position"), ("fixed", "pooled", "carried")


def analyse(
    recording: xr.Dataset,
    *,
    folds: Annotated[int, Field(ge=2)] = 10,
    components: Annotated[int, Field(ge=1)] = 32,
    permutations: Annotated[int, Field(ge=1)] = 100,
    seed: int = 0,
) -> xr.Dataset:
    """Decode by frame, across flows and across frames.

    Parameters
    ----------
    recording : Dataset
        With ``state`` of any form, and what it tells of object 0 (``object_label``, ``object_position_y``
        ...).
    folds : int
        Of the cross-validation over trials; one per trial if these are fewer.
    components : int
        At most so many principal components are read from.
    permutations, seed : int
        The seed is that of folds, permutations and bootstrap.

    Returns
    -------
    Dataset
        ``score`` (target, time), with ``low``, ``high``, ``chance``, ``chance_low``, ``chance_high`` and
        ``p``; ``across_time`` (time, tested_time) and ``across_flow`` (readout, flow, tested_flow): accuracy
        of labels; ``carry_over`` (readout): its mean over different flows, with ``carry_chance``,
        ``carry_chance_high`` and ``carry_p``; ``difference`` (flow, tested_flow) of velocities; ``trials``
        (target): how many were used; ``kept``: share of channels (`flowsim.measures.coarse_maps.coarse`). NaN
        where nothing can be said: fewer than two labels that occur twice, one flow, no position, no partner.

    Raises
    ------
    InputError
        If the recording has no states, they hold values that are no numbers, or it has a single trial.
    """
    maps = coarse_maps.coarse(recording, 3, seed=seed)
    if maps.sizes["trial"] < 2:
        raise InputError(
            "linear_decoding fits on some trials and tests on others; the probe has 1. Record 2 or more"
        )
    means = maps.mean(("y", "x")) if "y" in maps.dims else maps
    rng = np.random.default_rng(seed)
    flows, times = maps.sizes["flow"], maps.sizes["time"]
    options = {"folds": folds, "components": components, "seed": seed}
    dims: dict[str, tuple[str, ...]] = dict.fromkeys(decoding.TOLD, ("target", "time"))
    dims |= {"across_time": ("time", "tested_time"), "across_flow": ("readout", "flow", "tested_flow")}
    dims |= dict.fromkeys(("carry_over", "carry_chance", "carry_chance_high", "carry_p"), ("readout",))
    dims |= {"trials": ("target",)}
    sizes = {"target": len(TARGETS), "time": times, "tested_time": times} | {"readout": len(READOUTS)}
    sizes |= {"flow": flows, "tested_flow": flows}
    found = {name: np.full([sizes[d] for d in over], np.nan) for name, over in dims.items()}
    for target, chosen, y in _targets(recording, permutations, rng):
        k, of = TARGETS.index(target), maps if target == "position" else means
        found["trials"][k] = len(chosen)
        for t in progress.steps(range(times), times, f"frames ({target})"):
            tested = (_flat(of[:, chosen, u]) for u in (range(times) if target == "identity" else [t]))
            tallies = decoding.held_out(
                _flat(of[:, chosen, t]), tested, y(t), classify=target == "identity", **options
            )
            for u, tally in enumerate(tallies):
                if target == "identity":
                    found["across_time"][t, u] = tally[0, :, 0].sum() / tally[1, :, 0].sum()
                if len(tallies) == 1 or u == t:
                    for name, value in decoding.judged(tally, rng, folds).items():
                        found[name][k, t] = value
        found["p"][k] = statistics.false_discovery(found["p"][k])
        if target == "identity" and flows > 1:
            for i, readout in enumerate(READOUTS):
                across = _across_flows(
                    recording, of[:, chosen, times // 2 :].mean("time"), readout, y(0)[:1], options
                )
                for name, value in across.items():
                    found[name][i] = value
    velocity = ground_truth.velocities(recording)
    unit = coordinates.flows(recording)[0].group.units[0]
    flow_coords = {name: c for name, c in recording.coords.items() if c.dims == ("flow",)}
    difference = np.linalg.norm(velocity[:, None] - velocity, axis=-1)
    return xr.Dataset(
        {name: (dims[name], values, {"units": "1"}) for name, values in found.items()}
        | {"kept": maps.attrs.pop("kept")}
        | {
            "difference": (
                ("flow", "tested_flow"),
                difference,
                {"units": unit, "long_name": "difference of velocity"},
            )
        },
        {"target": list(TARGETS), "readout": list(READOUTS), "time": recording.time, **flow_coords}
        | {"tested_time": recording.time.values},
        maps.attrs,
    )


def _targets(
    recording: xr.Dataset, permutations: int, rng: np.random.Generator
) -> Iterator[tuple[str, np.ndarray, Callable[[int], np.ndarray]]]:
    """What can be asked: name, trials, and targets (flow, trial, permutation, value) by time; permutation 0
    is true.
    """
    flows, trials = recording.sizes["flow"], recording.sizes["trial"]
    label, velocity, phase = (
        ground_truth.labels(recording),
        ground_truth.velocities(recording),
        ground_truth.positions(recording),
    )
    if label is not None:
        kinds, which, count = np.unique(label, return_inverse=True, return_counts=True)
        chosen = np.flatnonzero(count[which] > 1)  # a label must be seen in other trials too
        if (count > 1).sum() > 1:
            one = np.eye(len(kinds))[:, count > 1][which[chosen]][
                statistics.shuffled_orders(rng, permutations, len(chosen))
            ]
            named = np.broadcast_to(one.swapaxes(0, 1), (flows, len(chosen), *one.shape[::2]))
            yield "identity", chosen, lambda _: named
    if flows > 1:
        order = statistics.shuffled_orders(rng, permutations, trials, flows).transpose(2, 1, 0)
        yield "velocity", np.arange(trials), lambda _: velocity[order]
    if phase is not None:
        waves = np.concatenate([np.sin(phase), np.cos(phase)], -1)
        swapped = statistics.shuffled_orders(rng, permutations, trials).T
        yield "position", np.arange(trials), lambda t: waves[:, :, t][:, swapped]


def _flat(x: xr.DataArray) -> np.ndarray:
    """(flow, trial, feature) in float64."""
    return np.asarray(x.values, np.float64).reshape(*x.shape[:2], -1)


def _across_flows(
    recording: xr.Dataset, late: xr.DataArray, readout: str, y: np.ndarray, options: dict[str, int]
) -> dict[str, Any]:
    """Accuracy (flow, tested flow) of one readout of labels, and its mean over different flows against
    chance.
    """
    flows = coordinates.flows(recording)
    grid = coordinates.grid(recording) if "velocity" in late.dims else None
    if readout != "fixed":
        if grid is None:
            return {}
        late = late.mean(
            [d for d in ("orientation", "velocity" if readout == "pooled" else "") if d in late.dims]
        )
    correct = np.full((len(flows), len(flows), y.shape[2]), np.nan)
    for i, own in enumerate(flows):
        seen = [late[[j]] for j in range(len(flows))]
        if readout == "carried":
            seen = [decoding.carried(late[[j]], own, other, grid) for j, other in enumerate(flows)]
        said = [j for j, one in enumerate(seen) if bool(one.notnull().any())]
        tallies = decoding.held_out(
            _flat(late[[i]]), [_flat(seen[j]) for j in said], y, classify=True, **options
        )
        for j, tally in zip(said, tallies, strict=True):
            correct[i, j] = np.divide(*tally.sum(1))
    carried = correct[~np.eye(len(flows), dtype=bool)]
    carried = carried[np.isfinite(carried[:, 0])]
    result: dict[str, Any] = {"across_flow": correct[..., 0]}
    if len(carried):
        score, *null = carried.mean(0)
        result |= {
            "carry_over": score,
            "carry_chance": np.mean(null),
            "carry_chance_high": np.quantile(null, 0.975),
        }
        result |= {"carry_p": statistics.p_value(score, null)}
    return result


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table, of the second half of the frames; what could not be asked is left
    out.
    """
    late = results.score.isel(time=slice(results.sizes["time"] // 2, None)).mean("time")
    of = ("accuracy of the label", "R^2 of the flow's velocity", "R^2 of position")
    asked = {
        f"{name}, read linearly": late.sel(target=t, drop=True) for t, name in zip(TARGETS, of, strict=True)
    }
    for readout in READOUTS:
        over = results.carry_over.sel(readout=readout, drop=True).assign_attrs(better="higher")
        asked[f"accuracy of the label under other flows, {readout} readout"] = over
    return {name: values for name, values in asked.items() if values.notnull().any()}


def figure(results: xr.Dataset) -> Figure:
    """Scores by frame, accuracy by difference of velocities, and accuracy across frames."""
    import matplotlib.pyplot as plt

    names, colours = plot.networks(results), plot.palette(results)
    across = min(max(len(names), 2), 4)
    down = -(-len(names) // across)
    fig = plt.figure(figsize=(plot.PAGE, 4.4 + 1.9 * down))
    top, middle, bottom = fig.subfigures(3, 1, height_ratios=[2.2, 2.2, 1.9 * down])
    for ax, target in zip(top.subplots(1, 3), TARGETS, strict=True):
        one, time = results.sel(target=target), results.time.values
        n, measure = float(one.trials.fillna(0).max()), "accuracy" if target == "identity" else "R²"
        ax.fill_between(
            time, one.chance_low.mean("run"), one.chance_high.mean("run"), color="0.85", label="permuted"
        )
        for name in names:
            of = one.isel(run=one["network"].values == name).mean("run")
            ax.fill_between(time, of.low, of.high, color=colours[name], alpha=0.15, lw=0)
        _lines(one, "score", "time", ax)
        floor = 0 if target == "identity" else max(-1, min(-0.1, float(one.score.min())))
        ax.set(xlabel="frame", ylabel=measure, ylim=(floor, 1.05), title=f"{target}, n = {n:.0f} trials")
    plot.legend(results, ax, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    pairs = results.across_flow.stack(pair=("flow", "tested_flow"))
    apart = results.difference.isel(run=0).values.ravel().round(3)
    far = np.unique(apart)
    by = xr.concat([pairs.isel(pair=apart == d).mean("pair") for d in far], "apart").assign_coords(apart=far)
    for ax, readout in zip(middle.subplots(1, 3, sharey=True), READOUTS, strict=True):
        chance = results.sel(readout=readout)[["carry_chance", "carry_chance_high"]].mean("run")
        if bool(chance.carry_chance.notnull()):
            ax.axhspan(float(chance.carry_chance), float(chance.carry_chance_high), color="0.85")
        _lines(by.sel(readout=readout).to_dataset(name="accuracy"), "accuracy", "apart", ax)
        unit = results.difference.attrs.get("units", "")
        ax.set(xlabel=f"difference ({unit})", ylabel="accuracy", ylim=(0, 1.05), title=f"{readout} readout")
    mean, half = (
        results.across_time.groupby("network").mean(),
        0.5 * (time[1] - time[0] if len(time) > 1 else 1),
    )
    grid = bottom.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for ax in grid.flat[len(names) :]:
        ax.axis("off")
    for ax, name in zip(grid.flat, names, strict=False):
        edges = (time[0] - half, time[-1] + half) * 2
        cells = mean.sel(network=name).transpose("time", "tested_time")
        image = ax.imshow(cells, origin="lower", extent=edges, vmin=0, vmax=1, cmap="viridis")
        ax.set(title=name)
    bottom.supxlabel("tested at frame (colour: accuracy of the label)", fontsize=9)
    bottom.supylabel("fitted at frame", fontsize=9)
    bottom.colorbar(image, ax=grid, pad=0.02, shrink=0.8, ticks=[0, 0.5, 1])
    fig.suptitle(
        f"Linear readouts on held-out trials, {plot.seeds(results)}{panels.share_of_channels(results)}",
        fontsize=9,
    )
    return fig


def _lines(results: xr.Dataset, variable: str, x: str, ax: Axes) -> None:
    if bool(results[variable].notnull().any()):
        plot.lines(results, variable, x, ax)
    else:
        ax.text(0.5, 0.5, "cannot be asked\nof this probe", transform=ax.transAxes, ha="center", va="center")
