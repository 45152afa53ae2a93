"""Is the state still when one moves along with the world?

One still image is set in motion by a flow u. The map of a state channel is shown as it is, and carried back
along the flow, psi_(-t)(u) h_t. In a flow-equivariant network the channel with v = u is then the map that the
channel v = 0 has of the image at rest; in an ordinary network it is smeared along the motion. A network whose
only channel is v = 0 is judged by that one under every flow; where a network has several, and none with
v = u, there is nothing to compare.

The distance between both is relative to how far maps are from their mean over flows, trials and pixels, as
`flowsim.measures.law_error` says, so that a bias makes no map still.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.figures import panels, plot
from flowsim.files import coordinates
from flowsim.flows.flow import Flow
from flowsim.flows.velocity_grid import VelocityGrid
from flowsim.measures import ground_truth, recorded
from flowsim.measures.law_error import Moments, carried, eps_of, relative
from flowsim.specification import checked

if TYPE_CHECKING:
    import torch
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = "probe"
QUESTION = "Is the state still when one moves along with the world?"
READING = (
    "One still image is set in motion. Each row is the most active channel of one network's first seed: its "
    "map at some frames as recorded (raw), the same carried back along the motion (stab.), the mean of the "
    "latter over time, and the map of the same image at rest. If the stabilised maps are sharp and equal to "
    "the map at rest, the state moves with the world; if they are smeared, it lags behind; if blank, the "
    "network has several channels and none of that velocity. Below, the distance between the stabilised map "
    "and the map at rest, relative to how far maps are from their mean: 0 means still, independent maps are "
    "at 1.41. "
    "Marks on the right are the chance level, the distance from the map at rest of another trial. Mean over "
    "the moving flows that have a channel, whose share is given (coverage); thin lines are seeds. In the "
    "opening table there is no change where one has none."
)
COLUMNS = 3
"""Frames of each map in the figure."""
CHANCE_TRIALS = 8
"""From how many trials, at most, the chance level is taken."""
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
        over orientations if any, under the fastest flow, NaN without a channel for it; ``change`` (flow,
        time): distance between stabilised map and map at rest over all channels and resting trials, relative
        to that of maps from their mean, NaN where ``covered`` (flow) is 0 or no map varies;
        ``change_chance`` (flow): the same at the last frame if the map at rest is another trial's, NaN where
        there is none; ``trials``, how many rest.

    Raises
    ------
    InputError
        If the velocity of the objects was not recorded, no trial rests in the reference, no state channel has
        velocity 0, or the states are the same everywhere or contain NaN or infinity.
    """
    recording = recorded.reference_first(recording)
    state = coordinates.variable(recording, "state", coordinates.STATE, coordinates.ORIENTED)
    flows = coordinates.flows(recording)
    grid = coordinates.grid(recording)
    resting = ground_truth.resting_trials(recording, flows[0].group.components)
    channels = _channels_that_move(grid, flows)
    fastest = _fastest(flows)
    times = recording.time.values.tolist()
    told = dict(ground_truth.other_trials(recording, CHANCE_TRIALS, resting))
    missed = np.zeros((len(flows), len(times)))
    by_chance = np.zeros(len(flows))
    moments: dict[int, Moments] = {}
    example: dict[str, np.ndarray] = {}
    last_at_rest = recorded.TrialByTrial(state[:1, :, -1:])
    for maps in _stabilised(state, flows, times, resting, channels):
        missed[maps.flow] += (maps.stabilised - maps.rest).square().sum(ALL_BUT_TIME).numpy()
        here = Moments.of(maps.raw[None, :, :, None].numpy())
        moments[maps.flow] = moments[maps.flow].with_those_of(here) if maps.flow in moments else here
        if maps.trial in told:
            if maps.flow == 0:
                other = _load(last_at_rest.read(0, told[maps.trial])[:, channels[0]])
            by_chance[maps.flow] += float((maps.stabilised[:, -1:] - other).square().sum())
        if maps.trial == resting[0] and (maps.flow == fastest or not example):
            example = _most_active(maps, shown=maps.flow == fastest)
    covered = np.array([channel is not None for channel in channels])
    together = Moments(
        moments[0].count,
        np.concatenate([moments[flow].mean for flow in sorted(moments)]),
        np.concatenate([moments[flow].squares for flow in sorted(moments)]),
    )
    spread = together.spread(eps_of(state.dtype)).sum((1, 2))
    recorded.require_varying(bool(spread.any()))
    change = np.where(covered[:, None], relative(missed, spread), np.nan)
    share = len(told) / len(resting)
    chance = np.where(covered, relative(by_chance, share * spread[-1]), np.nan)
    pictures = {name: (("time", "y", "x"), values, {"units": "1"}) for name, values in example.items()}
    return xr.Dataset(
        {
            **pictures,
            "change": (("flow", "time"), change, {"units": "1", "long_name": "relative change"}),
            "change_chance": ("flow", chance, {"units": "1", "long_name": "relative change by chance"}),
            "covered": ("flow", covered.astype(np.int8), {"units": "1", "long_name": "has a channel"}),
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


def _channels_that_move(grid: VelocityGrid, flows: list[Flow]) -> list[int | None]:
    """The velocity channel that moves with each flow, and rests with the first; None where there is none.

    A network with a single channel has no other.
    """
    at_rest = _channel_at_rest(grid)
    if len(grid) == 1:
        return [at_rest] * len(flows)
    channels: list[int | None] = []
    for flow in flows:
        velocity = grid.velocity_of(flow)
        partners = () if velocity is None else grid.partner(velocity)
        channels.append(partners.index(at_rest) if at_rest in partners else None)
    return channels


def _stabilised(
    state: xr.DataArray,
    flows: list[Flow],
    times: list[float],
    trials: np.ndarray,
    channels: list[int | None],
) -> Iterator[Maps]:
    """Maps of each of these trials under each flow that has a channel, carried back along it."""
    import torch

    by_trial = recorded.TrialByTrial(state.isel(trial=trials))
    for position, trial in enumerate(trials):
        rest = _load(by_trial.read(0, position)[:, channels[0]])
        for j, flow in enumerate(flows):
            if channels[j] is not None:
                raw = _load(by_trial.read(j, position)[:, channels[j]])
                back = [carried(flow, raw[:, i], -time, oriented=True) for i, time in enumerate(times)]
                yield Maps(trial, j, raw, torch.stack(back, 1), rest)


def _load(state: xr.DataArray) -> torch.Tensor:
    """One trial and velocity channel in float64 (1, time, channel, orientation, y, x), of one orientation if
    it has none.
    """
    import torch

    values = torch.from_numpy(recorded.in_float64(state))[None]
    return values if "orientation" in state.dims else values.unsqueeze(3)


def _most_active(maps: Maps, shown: bool) -> dict[str, np.ndarray]:
    """Maps (time, y, x) of the channel that varies most over space at rest, mean over orientations; those
    that move only if they are ``shown``.
    """
    channel = int(maps.rest.var((4, 5)).sum((0, 1, 3)).argmax())
    moving = 1.0 if shown else np.nan
    return {
        "raw": moving * maps.raw[0, :, channel].mean(1).numpy(),
        "stabilised": moving * maps.stabilised[0, :, channel].mean(1).numpy(),
        "rest": maps.rest[0, :, channel].mean(1).numpy(),
    }


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table; no change where a flow has no channel."""
    moving = results.isel(flow=slice(1, None), time=slice(1, None))
    change = moving.change.mean("time", skipna=True).mean("flow", skipna=False)
    return {
        "change of the stabilised state map": change.assign_attrs(better="lower", bounds=(0.0, np.inf)),
        "coverage of the stabilised state map": moving.covered.mean("flow").assign_attrs(bounds=(0.0, 1.0)),
    }


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
        images = [*run.raw.values, None, *stabilised, stabilised.mean(0), run.rest.values.mean(0)]
        rows[name] = [None if image is None or np.isnan(image).any() else image for image in images]
    times = [str(time) for time in results.time.values[frames]]
    raw = [f"raw\n{time}" for time in times]
    stabilised = [f"stab.\n{time}" for time in times]
    plot.mosaic(ax, rows, [*raw, "", *stabilised, "stab.\nmean", "rest\nmean"], "magma", own_scale=True)
    ax.set_title(f"moving at {results.attrs['velocity']}", fontsize=8)


def _draw_change(ax: Axes, results: xr.Dataset) -> None:
    """Relative distance of stabilised maps from the map at rest over time, mean over moving flows that have a
    channel, with marks at the chance level.
    """
    moving = results[["change", "change_chance", "covered"]].isel(flow=slice(1, None))
    change = moving.mean("flow", skipna=True)
    plot.lines(change, "change", "time", ax)
    for _, colour, runs in panels.each_network(change):
        level = float(runs.change_chance.mean())
        ax.plot(
            [0.97, 1.03], [level] * 2, color=colour, lw=2, transform=ax.get_yaxis_transform(), clip_on=False
        )
    ax.set(xlabel="frame", ylabel="relative change", ylim=(-0.02, None))
    title = f"n = {moving.sizes['flow']} flows of {plot.trials(results)}, {plot.seeds(results)}"
    least = float(change.covered.min())
    ax.set_title(title if least == 1 else f"{title}\ncoverage from {least:.2g}", fontsize=8)
