r"""By which law does the state follow when the input flows?

For each law, the state under the flowed input is compared with what the law predicts from the state under the
reference input:

    error(law, u, t) = || h_t[psi(u) f] - law(h_t[f]) || / || h_t - m_t ||

with norms over trials, channels, pixels and those velocity channels about which the law says something.
Their share is the coverage; where it is 0 there is no error to speak of, and it is NaN, not 0. Every law
holds under the flow at rest; where it says nothing about any flow that moves, the error is NaN there too,
and with it the largest over flows.

Errors are relative to the distance of the state from its mean over flows, trials and pixels
(`flowsim.measures.law_error`): 0 is a law that holds, 1 what the mean alone would get, sqrt(2) what
independent states get, whatever the biases of the network.

Beside it is a chance level: the error of the law at the last frame if it is told the state under the
reference in another trial, of another image where that is known. Where trials share what they hold, such as a
pattern that is fixed to the frame, a law that explains that alone is as low as its chance level.

Source: Keller (2025), Flow Equivariant Recurrent Neural Networks, arXiv 2507.14793: the flow equivariance of
the FERNN (transport+shift).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.figures import panels, plot
from flowsim.files import coordinates
from flowsim.flows.law import LAWS, Law
from flowsim.flows.velocity_grid import VelocityGrid
from flowsim.measures import ground_truth, recorded
from flowsim.measures.block_map import Place, mapped
from flowsim.measures.law_error import Comparison, Moments, eps_of, missed, relative
from flowsim.specification import checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = "probe"
QUESTION = "By which law does the state follow when the world flows?"
READING = (
    "Distance between the state under the flowed input and what each law predicts from the state under the "
    "unmoved input, relative to how far the state is from its mean over flows, trials and pixels: 0 means "
    "that the law holds; 1, that it is as wrong as that mean; independent states are at 1.41. Marks on the "
    "right are the chance level, the error if the law is told another trial: from there on it says nothing "
    "about a trial. Mean over the flows that the law covers; thin lines are seeds. Below, in the same "
    "colours, the share of velocity channels to which the law applies (coverage), mean over moving flows. "
    "A law with coverage 0 has no error, and errors below 1e-8, which are rounding, are "
    "drawn at 0. In the opening table a law "
    "applies if it covers a channel under every moving flow, and has no worst error otherwise."
)
FLOOR = 1e-9
"""Errors below this are drawn there."""
CHANCE_TRIALS = 8
"""From how many trials, at most, the chance level is taken."""
PANELS = {"invariant": (0, 0), "transport": (0, 1), "shift": (1, 0), "transport+shift": (1, 1)}
"""Row and column of each law in the figure."""
RELATIVE: Any = {"long_name": "relative error", "units": "1"}


@dataclass(frozen=True)
class Sums:
    """What was ``missed``, squared and summed: (law, flow, time), (law, flow, velocity) and (law, flow,
    channel); and the ``moments`` (flow, time, velocity, channel) of the state.
    """

    by_time: np.ndarray
    by_velocity: np.ndarray
    by_channel: np.ndarray
    moments: Moments


@checked
def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Measure all four laws.

    Parameters
    ----------
    recording : Dataset
        With ``state`` (flow, trial, time, velocity, channel, y, x), with orientation after channel if it has
        some, or (flow, trial, time, unit), about which only the invariant law says something; the reference
        is the flow at rest, and comes first in the results.

    Returns
    -------
    Dataset
        ``error`` (law, flow, time), relative, NaN where ``coverage`` (law, flow) is 0, under all flows if it
        is 0 for those that move, and where the state is the same under all flows, in all trials and pixels;
        the same over all frames,
        ``error_channel`` (law, flow, channel), where a unit without space counts as a channel, and
        ``error_velocity`` (law, flow, velocity), NaN in velocity channels without a partner. These are named
        by their velocity, so that those of several networks are put side by side. ``error_chance`` (law,
        flow): the error at the last frame if the law is told another trial, over ``chance_trials`` trials;
        NaN where there is none.
        ``constant`` (flow): the share of units (velocity, channel, at each time) that are the same in all
        trials and pixels; NaN for one trial of one pixel.

    Raises
    ------
    InputError
        If the recording has no states or no moving flows, or the states are the same everywhere or contain
        NaN or infinity.
    """
    recording = recorded.reference_first(recording)
    state, grid, laws = _read(recording)
    comparison = Comparison.of(coordinates.flows(recording), laws, grid, "orientation" in state.dims)
    sums = _sums(state, recording.time.values.tolist(), comparison)
    eps = eps_of(state.dtype)
    spread = sums.moments.spread(eps)
    recorded.require_varying(bool(spread.any()))
    errors = _errors(sums, spread, comparison)
    pairs = ground_truth.other_trials(recording, CHANCE_TRIALS)
    errors["error_chance"] = ("law", "flow"), _chance(state, recording, comparison, pairs, spread)
    return _packed(recording, errors, comparison, grid).assign(
        constant=(
            "flow",
            sums.moments.constant(eps).mean((1, 2, 3)),
            {"long_name": "share of units that are constant", "units": "1"},
        ),
        chance_trials=((), len(pairs), {"units": "1"}),
    )


def _read(recording: xr.Dataset) -> tuple[xr.DataArray, VelocityGrid, list[Law]]:
    """The state, its velocities, and the laws that say something about it.

    A state without space has a single velocity channel, and only the invariant law.
    """
    state = coordinates.variable(recording, "state")
    if state.dims == coordinates.UNITS:
        reference = coordinates.flows(recording)[0]
        return state, VelocityGrid(reference.group, (reference.velocity,)), [Law(False, False)]
    state = coordinates.variable(recording, "state", coordinates.STATE, coordinates.ORIENTED)
    return state, coordinates.grid(recording), list(LAWS)


def _sums(state: xr.DataArray, times: list[float], comparison: Comparison) -> Sums:
    """Sums over the whole recording, which is read once, block by block."""
    by_time = np.zeros((len(comparison.laws), len(comparison.flows), len(times)))
    by_velocity: Any = 0
    by_channel: Any = 0
    moments: dict[int, Moments] = {}
    for place, block in mapped(state, partial(_sums_of_block, times=times, comparison=comparison)):
        by_time[:, :, place["time"]] += block.by_time
        by_velocity = by_velocity + block.by_velocity
        by_channel = by_channel + block.by_channel
        start = place["time"].start
        earlier = moments.get(start)
        moments[start] = earlier.with_those_of(block.moments) if earlier else block.moments
    in_order = [moments[start] for start in sorted(moments)]
    together = Moments(
        in_order[0].count,
        np.concatenate([part.mean for part in in_order], 1),
        np.concatenate([part.squares for part in in_order], 1),
    )
    return Sums(by_time, by_velocity, by_channel, together)


def _sums_of_block(block: np.ndarray, place: Place, *, times: list[float], comparison: Comparison) -> Sums:
    """Sums over one block (flow, trial, time, ...) of the state."""
    states = _with_space(block)
    moments = Moments.of(states)
    if not np.isfinite(moments.squares).all():
        recorded.require_finite(block)
    squares = missed(states, states[0], times[place["time"]], comparison)
    return Sums(squares.sum((3, 4)), squares.sum((2, 4)), squares.sum((2, 3)), moments)


def _with_space(block: np.ndarray) -> np.ndarray:
    """A block (flow, trial, time, velocity, channel, ..., y, x); units are channels of one pixel."""
    return block[:, :, :, None, :, None, None] if block.ndim == len(coordinates.UNITS) else block


def _errors(sums: Sums, spread: np.ndarray, comparison: Comparison) -> dict[str, Any]:
    """Relative errors by time, velocity and channel, with their dimensions."""
    covered = comparison.covered.astype(float)
    by_time = np.einsum("lfv,tvc->lft", covered, spread)
    by_velocity = np.einsum("lfv,tvc->lfv", covered, spread)
    by_channel = np.einsum("lfv,tvc->lfc", covered, spread)
    errors = {
        "error": (("law", "flow", "time"), relative(sums.by_time, by_time)),
        "error_channel": (("law", "flow", "channel"), relative(sums.by_channel, by_channel)),
        "error_velocity": (("law", "flow", "velocity"), relative(sums.by_velocity, by_velocity)),
    }
    silent = ~comparison.covered[:, 1:].any((1, 2))
    for _, values in errors.values():
        values[silent, 0] = np.nan  # that the reference agrees with itself is no evidence for a law
    return errors


def _chance(
    state: xr.DataArray,
    recording: xr.Dataset,
    comparison: Comparison,
    pairs: list[tuple[int, int]],
    spread: np.ndarray,
) -> np.ndarray:
    """Error (law, flow) at the last frame if laws are told the second trial of each pair about the first."""
    time = recording.time.values[-1:].tolist()
    total: Any = np.nan
    references: dict[int, np.ndarray] = {}
    for trial, other in reversed(pairs):  # the other is mostly the one before in this order
        if other not in references:
            references[other] = _with_space(state[:1, [other], -1:].values)[0]
        shown = _with_space(state[:, [trial], -1:].values)
        here = missed(shown, references[other], time, comparison).sum((2, 3, 4))
        total = here if np.isscalar(total) else total + here
        references[trial] = shown[0].copy()
    share = len(pairs) / state.sizes["trial"]
    return relative(total, share * np.einsum("lfv,vc->lf", comparison.covered.astype(float), spread[-1]))


def _packed(
    recording: xr.Dataset, errors: dict[str, Any], comparison: Comparison, grid: VelocityGrid
) -> xr.Dataset:
    """The results as a dataset, of all laws: NaN for those that say nothing about the state."""
    results = xr.Dataset(
        {name: (dims, values, RELATIVE) for name, (dims, values) in errors.items()},
        {"law": [str(law) for law in comparison.laws]},
    )
    coverage = np.array([[law.coverage(flow, grid) for flow in comparison.flows] for law in comparison.laws])
    share = {"long_name": "share of channels with a partner", "units": "1"}
    results["coverage"] = ("law", "flow"), coverage, share
    results = results.reindex(law=[str(law) for law in LAWS]).fillna({"coverage": 0})
    if recording.state.dims == coordinates.UNITS:
        results = results.drop_vars("error_velocity")
    else:
        names = [", ".join(f"{component:g}" for component in velocity) for velocity in grid.velocities]
        results = results.assign_coords(velocity=names)
    return results.assign_coords(
        time=recording.time,
        channel=np.arange(results.sizes["channel"]),
        **recorded.flow_coords(recording),
    )


def summary(results: xr.Dataset) -> xr.Dataset:
    """By law: ``worst`` error over moving flows and time, and mean ``coverage`` of moving flows.

    A flow about which the law says nothing is not passed over: there is no worst error then. Frames in which
    nothing varies are.
    """
    moving = results[["error", "coverage"]].isel(flow=slice(1, None))
    if not moving.sizes["flow"]:
        raise InputError("equivariance_error needs flows besides the reference; make a probe with some")
    worst = moving.error.max("time", skipna=True).max("flow", skipna=False)
    return xr.Dataset({"worst": worst, "coverage": moving.coverage.mean("flow")})


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table."""
    by_law = summary(results)
    declared = by_law.sel(law="transport+shift", drop=True)
    best = by_law.isel(law=by_law.worst.fillna(np.inf).argmin("law")).drop_vars("law")
    error = {"better": "lower", "bounds": (0.0, np.inf)}
    share = {"bounds": (0.0, 1.0)}
    return {
        "worst error of transport+shift": declared.worst.assign_attrs(error),
        "coverage of transport+shift": declared.coverage.assign_attrs(share),
        "worst error of the best law that applies": best.worst.assign_attrs(error),
        "coverage of the best law that applies": best.coverage.assign_attrs(share),
    }


def figure(results: xr.Dataset) -> Figure:
    """Error over time by law, with its chance level (above), and coverage (below)."""
    drawn = ["error", "error_chance", "coverage"]
    moving = results[drawn].isel(flow=slice(1, None)).mean("flow", skipna=True)
    coverage_height = 0.2 + 0.16 * len(plot.networks(results))
    fig = plot.figure(figsize=(plot.COLUMN, 4.6 + coverage_height))
    grid = fig.add_gridspec(3, 4, height_ratios=[1.5, 1.5, coverage_height])
    errors = []
    coverages = []
    for column, law in enumerate(results.law.values):
        of_law = moving.sel(law=law)
        row, half = PANELS[law]
        errors.append(fig.add_subplot(grid[row, 2 * half : 2 * half + 2]))
        _draw_error(errors[-1], of_law, left=half == 0, bottom=row == 1)
        coverages.append(fig.add_subplot(grid[2, column]))
        _draw_coverage(coverages[-1], of_law, left=column == 0)
    coverages[0].set_title("coverage", fontsize=8, loc="left")
    plot.legend_below(results, errors[0])
    title = f"n = {results.sizes['flow'] - 1} flows, {plot.seeds(results)}"
    constant = float(results.constant.fillna(0).max())
    if constant:
        title += f"\nunits that are constant under a flow: up to {constant:.2g} of all"
    fig.suptitle(title, fontsize=8)
    return fig


def _draw_error(ax: Axes, of_law: xr.Dataset, left: bool, bottom: bool) -> None:
    """Error of one law over time, with marks at its chance level; labels where the axis is on the left or at
    the bottom.
    """
    plot.lines(
        of_law.assign(error=of_law.error.where(~(of_law.error < 10 * FLOOR), FLOOR)), "error", "time", ax
    )
    beside = ax.get_yaxis_transform()
    for _, colour, runs in panels.each_network(of_law):
        level = float(runs.error_chance.mean())
        ax.plot([0.97, 1.03], [level, level], color=colour, lw=2, transform=beside, clip_on=False)
    ax.set(
        yscale="log",
        ylim=(FLOOR / 3, 5),
        xlabel="frame" if bottom else "",
        ylabel="relative error" if left else "",
    )
    ax.set_yticks([FLOOR, 1e-6, 1e-3, 1], ["0", "$10^{-6}$", "$10^{-3}$", "1"])
    ax.minorticks_off()
    ax.axhline(FLOOR * 10, color="0.8", lw=0.6, ls=":")  # below it, the axis goes to 0
    if not bool(of_law.error.notnull().any()):
        ax.text(0.5, 0.5, "does not apply", transform=ax.transAxes, ha="center", va="center", fontsize=8)
    first, last = float(of_law.time.min()), float(of_law.time.max())
    margin = 0.05 * (last - first or 1)
    ax.set_xlim(first - margin, last + margin)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_title(str(of_law.law.values), fontsize=8)
    ax.tick_params(labelleft=left, labelbottom=bottom)


def _draw_coverage(ax: Axes, of_law: xr.Dataset, left: bool) -> None:
    """Share of channels to which one law applies, a bar for each network."""
    colours = plot.palette(of_law)
    names = list(colours)
    share = of_law.coverage.groupby("network").mean()
    ax.barh(names, [float(share.sel(network=name)) for name in names], color=list(colours.values()))
    label = str(of_law.law.values).replace("+", "\n+")
    ax.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5), xticks=[0, 1], xlabel=label)
    ax.tick_params(labelsize=8, labelleft=left)
    ax.xaxis.label.set_size(7)
