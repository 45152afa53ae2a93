"""Is the state still when one moves along with the world?

One still image is set in motion by a flow u. The map of a state channel is shown as it is, and carried back
along the flow, psi_(-t)(u) h_t. In a flow-equivariant network the channel with v = u is then the map that the
channel v = 0 has of the image at rest; in an ordinary network it is smeared along the motion.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray as xr

from flowsim.errors import InputError
from flowsim.figures import plot
from flowsim.files import coordinates
from flowsim.flows.flow import Flow, transport
from flowsim.flows.velocity_grid import VelocityGrid
from flowsim.measures import ground_truth, recorded
from flowsim.specification import checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = "probe"
QUESTION = "Is the state still when one moves along with the world?"
READING = (
    "One still image is set in motion. Each row is the most active channel of one network's first seed: its "
    "map at some frames as recorded (raw), the same carried back along the motion (stab.), the mean of the "
    "latter over time, and the map of the same image at rest. If the stabilised maps are sharp and equal to "
    "the map at rest, the state moves with the world; if they are smeared, it lags behind. Below, the "
    "relative distance between the stabilised map and the map at rest, mean over the moving flows; thin "
    "lines are seeds."
)
COLUMNS = 3
"""Frames of each map in the figure."""
ALL_BUT_TIME = (0, 2, 3, 4, 5)
"""Dimensions of `Maps` without time."""


@dataclass(frozen=True)
class Maps:
    """Maps (1, time, channel, orientation, y, x) of one trial under one flow, carried back along it, and at
    rest.
    """

    trial: int
    flow: int
    raw: torch.Tensor
    stabilised: torch.Tensor
    rest: torch.Tensor


@checked
def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Stabilise the maps of the trials in which all objects rest in the reference.

    Parameters
    ----------
    recording : Dataset
        With ``state`` (flow, trial, time, velocity, channel, y, x), with orientation after channel if it has
        some, and the velocity of the objects in the components of the flows, such as ``object_velocity_vy``
        and ``object_velocity_vx`` (trial, object).

    Returns
    -------
    Dataset
        ``raw``, ``stabilised``, ``rest`` (time, y, x): maps of the most active channel of one trial, mean
        over orientations if any, under the fastest flow; ``change`` (flow, time): relative distance between
        stabilised map and map at rest over all channels and resting trials; ``trials``, how many those are.

    Raises
    ------
    InputError
        If the velocity of the objects was not recorded, no trial rests in the reference, no state channel has
        velocity 0, or the state contains NaN or infinity.
    """
    recording = recorded.reference_first(recording)
    state = coordinates.variable(recording, "state", coordinates.STATE, coordinates.ORIENTED)
    flows = coordinates.flows(recording)
    grid = coordinates.grid(recording)
    resting = ground_truth.resting_trials(recording, flows[0].group.components)
    channel_at_rest = _channel_at_rest(grid)
    fastest = _fastest(flows)
    times = recording.time.values.tolist()
    missed = np.zeros((len(flows), len(times)))
    scale = np.zeros((len(flows), len(times)))
    example: dict[str, np.ndarray] = {}
    for maps in _stabilised(state, flows, times, resting, grid, channel_at_rest):
        missed[maps.flow] += (maps.stabilised - maps.rest).square().sum(ALL_BUT_TIME).numpy()
        scale[maps.flow] += maps.rest.square().sum(ALL_BUT_TIME).numpy()
        if maps.trial == resting[0] and maps.flow == fastest:
            example = _most_active(maps)
    recorded.require_alive(bool(scale.any()))
    change = np.sqrt(recorded.ratio(missed, scale))
    pictures = {name: (("time", "y", "x"), values, {"units": "1"}) for name, values in example.items()}
    return xr.Dataset(
        {
            **pictures,
            "change": (("flow", "time"), change, {"units": "1", "long_name": "relative change"}),
            "trials": len(resting),
        },
        {"time": recording.time, **recorded.flow_coords(recording)},
        {"velocity": flows[0].group.write(flows[fastest].velocity)},
    )


def _channel_at_rest(grid: VelocityGrid) -> int:
    """Index of the velocity channel at rest."""
    at_rest = (0,) * len(grid.group.components)
    if at_rest not in grid.velocities:
        raise InputError(
            "stabilised_maps needs a network with a channel for velocity 0; add it to its velocities"
        )
    return grid.velocities.index(at_rest)


def _fastest(flows: list[Flow]) -> int:
    """Index of the fastest flow; of several, the one whose components are largest."""

    def speed(flow: int) -> tuple[float, tuple[float, ...]]:
        velocity = flows[flow].velocity
        return sum(component * component for component in velocity), velocity

    return max(range(len(flows)), key=speed)


def _stabilised(
    state: xr.DataArray,
    flows: list[Flow],
    times: list[float],
    trials: np.ndarray,
    grid: VelocityGrid,
    channel_at_rest: int,
) -> Iterator[Maps]:
    """Maps of each of these trials under each flow, carried back along it."""
    backwards = [-time for time in times]
    for trial in trials:
        rest = _load(state[0, trial, :, channel_at_rest])
        for j, flow in enumerate(flows):
            raw = _load(state[j, trial, :, _channel_that_moves(grid, flow, channel_at_rest)])
            yield Maps(trial, j, raw, transport(flow.act_oriented, raw, backwards), rest)


def _channel_that_moves(grid: VelocityGrid, flow: Flow, channel_at_rest: int) -> int:
    """The velocity channel that moves with a flow; the one at rest where the grid has none."""
    velocity = grid.velocity_of(flow)
    partners = () if velocity is None else grid.partner(velocity)
    return partners.index(channel_at_rest) if channel_at_rest in partners else channel_at_rest


def _load(state: xr.DataArray) -> torch.Tensor:
    """One trial and velocity channel in float64 (1, time, channel, orientation, y, x), of one orientation if
    it has none.
    """
    values = torch.from_numpy(recorded.in_float64(state))[None]
    return values if "orientation" in state.dims else values.unsqueeze(3)


def _most_active(maps: Maps) -> dict[str, np.ndarray]:
    """Maps (time, y, x) of the channel that varies most over space at rest, mean over orientations."""
    channel = int(maps.rest.var((4, 5)).sum((0, 1, 3)).argmax())
    return {
        "raw": maps.raw[0, :, channel].mean(1).numpy(),
        "stabilised": maps.stabilised[0, :, channel].mean(1).numpy(),
        "rest": maps.rest[0, :, channel].mean(1).numpy(),
    }


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table."""
    change = results.change.isel(flow=slice(1, None), time=slice(1, None)).mean(("flow", "time"))
    return {"change of the stabilised state map": change.assign_attrs(better="lower")}


def figure(results: xr.Dataset) -> Figure:
    """Maps of each network, and how far they are from the map at rest."""
    networks = len(plot.networks(results))
    heights = [0.3 + 0.34 * networks, 1.6]
    fig, (top, bottom) = plot.subplots(2, 1, figsize=(plot.COLUMN, sum(heights) + 1.2), height_ratios=heights)
    _draw_maps(top, results)
    _draw_change(bottom, results)
    plot.legend_below(results, bottom)
    return fig


def _draw_maps(ax: Axes, results: xr.Dataset) -> None:
    """Maps of the first seed of each network, at frames that are spread over time."""
    frames = np.linspace(0, results.sizes["time"] - 1, COLUMNS + 1).round().astype(int)[1:]
    rows = {}
    for name in plot.networks(results):
        run = results.isel(run=int(np.argmax(results["network"].values == name)), time=frames)
        stabilised = run.stabilised.values
        rows[name] = [*run.raw.values, None, *stabilised, stabilised.mean(0), run.rest.values.mean(0)]
    times = [str(time) for time in results.time.values[frames]]
    raw = [f"raw\n{time}" for time in times]
    stabilised = [f"stab.\n{time}" for time in times]
    plot.mosaic(ax, rows, [*raw, "", *stabilised, "stab.\nmean", "rest\nmean"], "magma", own_scale=True)
    ax.set_title(f"moving at {results.attrs['velocity']}", fontsize=8)


def _draw_change(ax: Axes, results: xr.Dataset) -> None:
    """Relative distance of stabilised maps from the map at rest over time, mean over moving flows."""
    change = results.change.isel(flow=slice(1, None)).mean("flow").to_dataset(name="change")
    plot.lines(change, "change", "time", ax)
    ax.set(xlabel="frame", ylabel="relative change", ylim=(-0.02, None))
    flows = results.sizes["flow"] - 1
    ax.set_title(f"n = {flows} flows of {plot.trials(results)}, {plot.seeds(results)}", fontsize=8)
