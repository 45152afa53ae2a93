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
from flowsim.measures.block_map import Place, mapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READS = "probe"
FLOOR = 1e-9
QUESTION = "By which law does the state follow when the world flows?"
READING = (
    "Relative distance between the state under the flowed input and what each law predicts from the state "
    "under the unmoved input: 0 means that the law holds, around 1 that it says nothing. Mean over flows; thin "
    "lines are seeds. Below, in the same colours, the share of channels to which the law applies (coverage). A law "
    "with coverage 0 has no error to show, and errors below 1e-9 are drawn there."
)


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Measure all four laws.

    Parameters
    ----------
    recording : Dataset
        With ``state`` (flow, trial, time, velocity, channel, y, x), with orientation after channel if it has
        some, or (flow, trial, time, unit), about which only the invariant law says something; flow 0 is the
        reference.

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
        If the recording has no states, or they hold values that are no numbers.
    """
    state = coordinates.variable(recording, "state")
    flows, times = coordinates.flows(recording), recording.time.values.tolist()
    judged, grid, spatial = list(LAWS), None, state.dims != coordinates.UNITS
    if spatial:
        state, grid = (
            coordinates.variable(recording, "state", coordinates.STATE, coordinates.ORIENTED),
            coordinates.grid(recording),
        )
    else:
        judged, grid = [Law(False, False)], VelocityGrid(flows[0].group, (flows[0].velocity,))
    coverage = np.array(
        [[law.coverage(flow, grid) if law in judged else 0.0 for flow in flows] for law in LAWS]
    )
    totals: list[Any] = [np.zeros((2, len(LAWS), len(flows), len(times))), 0, 0]
    partners = [_partners(flow, grid) for flow in flows]
    ask = partial(_squares, flows=flows, partners=partners, times=times, laws=judged, dims=state.dims)
    for place, (of_time, *others) in mapped(state, ask):
        totals[0][..., place["time"]] += of_time
        totals[1:] = [total + other for total, other in zip(totals[1:], others, strict=True)]
    error, by_velocity, by_channel = (_relative(*total) for total in totals)
    flow_coords = {name: c for name, c in recording.coords.items() if c.dims == ("flow",)}
    coords = {"law": [str(law) for law in LAWS], "time": recording.time, **flow_coords}
    relative = {"long_name": "relative error", "units": "1"}
    variables: dict[str, Any] = {
        "error": (("law", "flow", "time"), error, relative),
        "error_channel": (("law", "flow", "channel"), by_channel, relative),
        "coverage": (
            ("law", "flow"),
            coverage,
            {"long_name": "share of channels with a partner", "units": "1"},
        ),
    }
    if spatial:
        variables["error_velocity"] = (("law", "flow", "velocity"), by_velocity, relative)
        coords["velocity"] = [", ".join(f"{component:g}" for component in v) for v in grid.velocities]
    return xr.Dataset(variables, {**coords, "channel": np.arange(by_channel.shape[-1])})


def _squares(
    block: np.ndarray,
    place: Place,
    *,
    flows: list[Flow],
    partners: list[np.ndarray],
    times: list[float],
    laws: list[Law],
    dims: tuple[str, ...],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums of squares (missed or in all, law, flow, by) of what laws cover, by time, velocity and channel.

    Each frame is moved once for all laws that transport it, and sums are of differences, in float64: of a law
    that holds, the difference of sums would be left with rounding only.
    """
    values = block if dims != coordinates.UNITS else block[:, :, :, None, :, None, None]
    sums = np.zeros((2, len(LAWS), len(flows), *values.shape[2:5]))
    for trial, t in np.ndindex(values.shape[1:3]):
        still = np.asarray(values[0, trial, t], np.float64)
        for j, flow in enumerate(flows):
            moved = np.asarray(values[j, trial, t], np.float64)
            scale = _sum(moved)
            if not np.isfinite(scale).all() and not np.isfinite(moved).all():
                raise InputError("the state contains NaN or infinity: the network diverged; train it again")
            act = flow.act_oriented if "orientation" in dims else flow.act
            carried = act(torch.from_numpy(still), times[place["time"]][t]).numpy()
            for law in laws:
                source, missed = carried if law.transport else still, sums[:, LAWS.index(law), j, t]
                if not law.shift:
                    missed += _sum(moved - source), scale
                    continue
                own, partner = partners[j]
                missed[:, own] += _sum(moved[own] - source[partner]), scale[own]
    return sums.sum((-2, -1)), sums.sum((-3, -1)), sums.sum((-3, -2))


def _relative(missed: np.ndarray, all_squares: np.ndarray) -> np.ndarray:
    """Relative error; NaN where nothing is covered or all is silent."""
    scale = np.where(all_squares > 0, all_squares, np.nan)
    return np.sqrt(missed / scale)


def _partners(flow: Flow, grid: VelocityGrid) -> np.ndarray:
    """Velocity channels that have a partner, and which (2, velocity)."""
    u = grid.velocity_of(flow)
    found = [] if u is None else [(v, p) for v, p in enumerate(grid.partner(u)) if p is not None]
    return np.array(found, int).reshape(-1, 2).T


def _sum(values: np.ndarray) -> np.ndarray:
    """Sum of squares (velocity, channel) over orientation and space."""
    flat = values.reshape(*values.shape[:2], math.prod(values.shape[2:]))
    return np.einsum("vcn,vcn->vc", flat, flat)


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
    names, colours = plot.networks(results), plot.palette(results)
    below = 0.2 + 0.16 * len(names)
    fig = plt.figure(figsize=(plot.COLUMN, 4.6 + below))
    grid = fig.add_gridspec(3, 4, height_ratios=[1.5, 1.5, below])
    drawn = moving.assign(error=moving.error.clip(min=FLOOR))
    for i, law in enumerate(results.law.values):
        down, across = divmod(i, 2)
        ax = fig.add_subplot(grid[down, 2 * across : 2 * across + 2])
        plot.lines(drawn.sel(law=law), "error", "time", ax)
        ax.set(
            yscale="log", ylim=(FLOOR / 2, 5), xlabel="frame" * down, ylabel="relative error" * (not across)
        )
        ax.set_title(law, fontsize=8)
        ax.tick_params(labelleft=not across, labelbottom=bool(down))
        bar = fig.add_subplot(grid[2, i])
        share = moving.coverage.sel(law=law).groupby("network").mean()
        bar.barh(names, [float(share.sel(network=n)) for n in names], color=[colours[n] for n in names])
        bar.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5), xticks=[0, 1], xlabel=law.replace("+", "\n+"))
        bar.tick_params(labelsize=8, labelleft=not i)
        bar.xaxis.label.set_size(8)
    fig.axes[1].set_title("coverage", fontsize=8, loc="left")
    plot.legend_below(results, fig.axes[0])
    fig.suptitle(f"n = {results.sizes['flow'] - 1} flows, {plot.seeds(results)}", fontsize=8)
    return fig
