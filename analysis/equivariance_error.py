r"""By which law does the state follow when the input flows?

For each law, the state under the flowed input is compared with what the law predicts from the state under the
reference input:

    error(law, u, t) = || h_t[psi(u) f] - law(h_t[f]) || / || h_t[psi(u) f] ||

with norms over trials, channels, pixels and those velocity channels about which the law says something. Their
share is the coverage; where it is 0 there is no error to speak of, and it is NaN, not 0.

Source: Keller (2025), Flow Equivariant Recurrent Neural Networks, arXiv 2507.14793: the flow equivariance of
the FERNN (transport+shift).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr

from flowsim.errors import InputError
from flowsim.figures import plot
from flowsim.files import coordinates
from flowsim.flows.flow import Flow
from flowsim.flows.law import LAWS, Law
from flowsim.flows.velocity_grid import VelocityGrid
from flowsim.measures import recorded
from flowsim.measures.block_map import Place, mapped
from flowsim.specification import checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = "probe"
QUESTION = "By which law does the state follow when the world flows?"
READING = (
    "Relative distance between the state under the flowed input and what each law predicts from the state "
    "under the unmoved input: 0 means that the law holds; around 1, that it predicts nothing. Mean over "
    "flows; thin lines are seeds. Below, in the same colours, the share of velocity channels to which the "
    "law applies (coverage). A law with coverage 0 has no error, and errors below 1e-9 are drawn at 1e-9."
)
FLOOR = 1e-9
"""Errors below this are drawn there."""
PANELS = {"invariant": (0, 0), "transport": (0, 1), "shift": (1, 0), "transport+shift": (1, 1)}
"""Row and column of each law in the figure."""


@dataclass(frozen=True)
class Comparison:
    """By what the state under each flow is compared with the state under the reference.

    ``partners`` are, for each flow, the velocity channels that have a partner, and their partners.
    """

    flows: list[Flow]
    laws: list[Law]
    partners: list[tuple[np.ndarray, np.ndarray]]
    times: list[float]
    dims: tuple[str, ...]


@dataclass(frozen=True)
class Squares:
    """Sums of squares (sum, law, flow, ...), sum being "missed" by the law or "covered" by it."""

    by_time: xr.DataArray
    by_velocity: xr.DataArray
    by_channel: xr.DataArray


@checked
def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Measure all four laws.

    Parameters
    ----------
    recording : Dataset
        With ``state`` (flow, trial, time, velocity, channel, y, x), with orientation after channel if it has
        some, or (flow, trial, time, unit), about which only the invariant law says something; the reference
        is the flow at rest.

    Returns
    -------
    Dataset
        ``error`` (law, flow, time), relative, NaN where ``coverage`` (law, flow) is 0 or the state is silent;
        the same over all frames, ``error_channel`` (law, flow, channel), where a unit without space counts as
        a channel, and ``error_velocity`` (law, flow, velocity), NaN in velocity channels without a partner.
        These are named by their velocity, so that those of several networks are put side by side.

    Raises
    ------
    InputError
        If the recording has no states or no moving flows, or the states are 0 everywhere or contain NaN or
        infinity.
    """
    recording = recorded.reference_first(recording)
    state, grid, laws = _read(recording)
    flows = coordinates.flows(recording)
    partners = [_partners(flow, grid) for flow in flows]
    comparison = Comparison(
        flows, laws, partners, recording.time.values.tolist(), tuple(map(str, state.dims))
    )
    squares = _sums_of_squares(state, comparison)
    recorded.require_alive(bool((squares.by_time.sel(sum="covered") > 0).any()))
    return _packed(recording, squares, _coverage(comparison, grid), grid)


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


def _partners(flow: Flow, grid: VelocityGrid) -> tuple[np.ndarray, np.ndarray]:
    """Velocity channels that have a partner under a flow, and their partners."""
    velocity = grid.velocity_of(flow)
    partners = () if velocity is None else grid.partner(velocity)
    pairs = [(channel, partner) for channel, partner in enumerate(partners) if partner is not None]
    channels = np.array([channel for channel, _ in pairs], int)
    return channels, np.array([partner for _, partner in pairs], int)


def _coverage(comparison: Comparison, grid: VelocityGrid) -> np.ndarray:
    """Share (law, flow) of the velocity channels about which each law says something."""
    return np.array(
        [
            [law.coverage(flow, grid) if law in comparison.laws else 0.0 for flow in comparison.flows]
            for law in LAWS
        ]
    )


def _sums_of_squares(state: xr.DataArray, comparison: Comparison) -> Squares:
    """Sums over the whole recording, which is read once, block by block."""
    times = len(comparison.times)
    by_time = _summed(np.zeros((2, len(LAWS), len(comparison.flows), times)), "time")
    by_velocity: Any = 0
    by_channel: Any = 0
    for place, block in mapped(state, partial(_squares_of_block, comparison=comparison)):
        by_time[{"time": place["time"]}] += block.by_time
        by_velocity = by_velocity + block.by_velocity
        by_channel = by_channel + block.by_channel
    return Squares(by_time, by_velocity, by_channel)


def _summed(squares: np.ndarray, *dims: str) -> xr.DataArray:
    """Sums of squares with names of their dimensions."""
    return xr.DataArray(squares, {"sum": ["missed", "covered"]}, ("sum", "law", "flow", *dims))


def _squares_of_block(block: np.ndarray, place: Place, *, comparison: Comparison) -> Squares:
    """Sums over one block (flow, trial, time, ...) of the state.

    Each frame is moved once for all laws that transport it. What is squared is the difference, in float64:
    the difference of sums would be nothing but rounding where a law holds.
    """
    states = block if comparison.dims != coordinates.UNITS else block[:, :, :, None, :, None, None]
    _, trials, frames, velocities, channels = states.shape[:5]
    sums = np.zeros((2, len(LAWS), len(comparison.flows), frames, velocities, channels))
    missed, covered = sums
    times = comparison.times[place["time"]]
    for trial, frame in np.ndindex(trials, frames):
        reference = np.asarray(states[0, trial, frame], np.float64)
        for j, flow in enumerate(comparison.flows):
            flowed = np.asarray(states[j, trial, frame], np.float64)
            size = _squares(flowed)
            if not np.isfinite(size).all():
                recorded.require_finite(flowed)
            act = flow.act_oriented if "orientation" in comparison.dims else flow.act
            transported = act(torch.from_numpy(reference), times[frame]).numpy()
            for law in comparison.laws:
                source = transported if law.transport else reference
                own, partner = comparison.partners[j] if law.shift else (slice(None), slice(None))
                here = (LAWS.index(law), j, frame, own)
                missed[here] += _squares(flowed[own] - source[partner])
                covered[here] += size[own]
    named = _summed(sums, "time", "velocity", "channel")
    return Squares(
        by_time=named.sum(("velocity", "channel"), skipna=False),
        by_velocity=named.sum(("time", "channel"), skipna=False),
        by_channel=named.sum(("time", "velocity"), skipna=False),
    )


def _squares(values: np.ndarray) -> np.ndarray:
    """Sum of squares (velocity, channel) over orientation and space."""
    flat = values.reshape(*values.shape[:2], math.prod(values.shape[2:]))
    return np.einsum("vcn,vcn->vc", flat, flat)


def _relative_error(squares: xr.DataArray) -> np.ndarray:
    """Relative error (law, flow, ...); NaN where nothing is covered or all is silent."""
    missed = squares.sel(sum="missed").values
    return np.sqrt(recorded.ratio(missed, squares.sel(sum="covered").values))


def _packed(recording: xr.Dataset, squares: Squares, coverage: np.ndarray, grid: VelocityGrid) -> xr.Dataset:
    """The results as a dataset."""
    relative = {"long_name": "relative error", "units": "1"}
    share = {"long_name": "share of channels with a partner", "units": "1"}
    result = xr.Dataset(
        {
            "error": (("law", "flow", "time"), _relative_error(squares.by_time), relative),
            "error_channel": (("law", "flow", "channel"), _relative_error(squares.by_channel), relative),
            "coverage": (("law", "flow"), coverage, share),
        },
        {
            "law": [str(law) for law in LAWS],
            "time": recording.time,
            **recorded.flow_coords(recording),
        },
    )
    if recording.state.dims != coordinates.UNITS:
        names = [", ".join(f"{component:g}" for component in velocity) for velocity in grid.velocities]
        by_velocity = _relative_error(squares.by_velocity)
        result["error_velocity"] = (("law", "flow", "velocity"), by_velocity, relative)
        result = result.assign_coords(velocity=names)
    return result.assign_coords(channel=np.arange(squares.by_channel.sizes["channel"]))


def summary(results: xr.Dataset) -> xr.Dataset:
    """Per run, the worst error over moving flows and time, by law; NaN where the law covers no channel."""
    moving = results.error.isel(flow=slice(1, None))
    if not moving.sizes["flow"]:
        raise InputError("equivariance_error needs flows besides the reference; make a probe with some")
    return moving.max(("flow", "time"), skipna=True).to_dataset(name="worst")


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table."""
    worst = summary(results).worst
    return {
        "worst error of transport+shift": worst.sel(law="transport+shift").assign_attrs(better="lower"),
        "worst error of the best law that applies": worst.min("law").assign_attrs(better="lower"),
    }


def figure(results: xr.Dataset) -> Figure:
    """Error over time by law (above) and coverage (below)."""
    import matplotlib.pyplot as plt

    moving = results[["error", "coverage"]].isel(flow=slice(1, None)).mean("flow", skipna=True)
    coverage_height = 0.2 + 0.16 * len(plot.networks(results))
    fig = plt.figure(figsize=(plot.COLUMN, 4.6 + coverage_height))
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
    fig.suptitle(f"n = {results.sizes['flow'] - 1} flows, {plot.seeds(results)}", fontsize=8)
    return fig


def _draw_error(ax: Axes, of_law: xr.Dataset, left: bool, bottom: bool) -> None:
    """Error of one law over time; labels where the axis is on the left or at the bottom."""
    plot.lines(of_law.assign(error=of_law.error.clip(min=FLOOR)), "error", "time", ax)
    ax.set(
        yscale="log",
        ylim=(FLOOR / 2, 5),
        xlabel="frame" if bottom else "",
        ylabel="relative error" if left else "",
    )
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
    ax.xaxis.label.set_size(8)
