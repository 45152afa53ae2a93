"""Is the state still when one moves along with the world?

One still image is set in motion by a flow u. The map of a state channel is shown as it is, and carried back
along the flow, psi_(-t)(u) h_t. In a flow-equivariant network the channel with v = u is then the map that the
channel v = 0 has of the image at rest; in an ordinary network it is smeared along the motion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray as xr

from flowsim.errors import InputError
from flowsim.figures import plot
from flowsim.files import coordinates
from flowsim.flows.flow import Flow, transport

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READS = "probe"
QUESTION = "Is the state still when one moves along with the world?"
READING = (
    "One still image, set in motion. Each row is the most active channel of one network's first seed: its map at some "
    "frames as it lies (raw), carried back along the motion (stabilised), averaged over time, and the map of the same "
    "image at rest. Sharp and equal to the last: the state moves with the world. Smeared: it lags behind. Below, "
    "the relative distance between the stabilised map and the map at rest, for every moving flow; thin lines are "
    "seeds."
)
SHOWN = 3


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Stabilise the maps of the trials in which all objects rest in the reference.

    Parameters
    ----------
    recording : Dataset
        With ``state`` (flow, trial, time, velocity, channel, y, x), with orientation after channel if it has
        some, and ``object_velocity_vy``, ``object_velocity_vx`` (trial, object).

    Returns
    -------
    Dataset
        ``raw``, ``stabilised``, ``rest`` (time, y, x): maps of the most active channel of one trial, mean
        over orientations if any, under the fastest flow; ``change`` (flow, time): relative distance between
        stabilised map and map at rest over all channels and resting trials; ``trials``, how many those are.

    Raises
    ------
    InputError
        If the recording does not tell velocities of objects, no trial rests in the reference, or no state
        channel has velocity 0.
    """
    state, flows, grid = (
        coordinates.variable(recording, "state", coordinates.STATE, coordinates.ORIENTED),
        coordinates.flows(recording),
        coordinates.grid(recording),
    )
    if not {"object_velocity_vy", "object_velocity_vx"} <= set(recording.coords):
        raise InputError(
            "stabilised_maps needs a velocity of each object (object_velocity_vy, _vx); there is none"
        )
    speed = abs(recording.object_velocity_vy) + abs(recording.object_velocity_vx)
    resting = np.flatnonzero((speed == 0).all("object").values)
    if not len(resting):
        raise InputError("stabilised_maps needs a probe with a trial whose objects all rest in the reference")
    times = recording.time.values.tolist()
    rest_velocity = (0,) * len(grid.group.components)
    if rest_velocity not in grid.velocities:
        raise InputError(
            "stabilised_maps needs a network with a channel for velocity 0; add it to its velocities"
        )
    still = grid.velocities.index(rest_velocity)
    missed, scale = np.zeros((2, len(flows), len(times)))
    maps = {}
    example = max(range(len(flows)), key=lambda j: (sum(c * c for c in flows[j].velocity), flows[j].velocity))
    for trial in resting:
        rest = _load(state[0, trial, :, still])
        for j, flow in enumerate(flows):
            u = grid.velocity_of(flow)
            partners = () if u is None else grid.partner(u)
            own = partners.index(still) if still in partners else still
            raw = _load(state[j, trial, :, own])
            stabilised = transport(flow.act_oriented, raw, [-t for t in times])
            missed[j] += (stabilised - rest).square().sum((0, 2, 3, 4, 5)).numpy()
            scale[j] += rest.square().sum((0, 2, 3, 4, 5)).numpy()
            if trial == resting[0] and j == example:
                channel = int(rest.var((4, 5)).sum((0, 1, 3)).argmax())
                shown = {"raw": raw, "stabilised": stabilised, "rest": rest}
                maps = {name: values[0, :, channel].mean(1).numpy() for name, values in shown.items()}
    change = np.sqrt(np.divide(missed, scale, out=np.full_like(missed, np.nan), where=scale > 0))
    flow_coords = {name: c for name, c in recording.coords.items() if c.dims == ("flow",)}
    return xr.Dataset(
        {name: (("time", "y", "x"), values, {"units": "1"}) for name, values in maps.items()}
        | {
            "change": (("flow", "time"), change, {"units": "1", "long_name": "relative change"}),
            "trials": len(resting),
        },
        {"time": recording.time, **flow_coords},
        {"velocity": _written(flows[example])},
    )


def _written(flow: Flow) -> str:
    """The velocity of a flow with its components and units."""
    parts = zip(flow.group.components, flow.velocity, flow.group.units, strict=True)
    return ", ".join(f"{component} = {value:g} {unit}" for component, value, unit in parts)


def _load(state: xr.DataArray) -> torch.Tensor:
    """One trial and velocity channel as float64 (1, time, channel, orientation, y, x), of one orientation if
    none.
    """
    values = torch.from_numpy(np.asarray(state.values, np.float64))[None]
    return values.unsqueeze(3) if values.ndim == 5 else values


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table."""
    change = results.change.isel(flow=slice(1, None), time=slice(1, None)).mean(("flow", "time"))
    return {"change of the stabilised state map": change.assign_attrs(better="lower")}


def figure(results: xr.Dataset) -> Figure:
    """Maps of each network, and how far they are from the map at rest."""
    names = plot.networks(results)
    times = np.linspace(0, results.sizes["time"] - 1, SHOWN + 1).round().astype(int)[1:]
    heights = [0.3 + 0.34 * len(names), 1.6]
    fig, (top, bottom) = plot.subplots(2, 1, figsize=(plot.COLUMN, sum(heights) + 1.2), height_ratios=heights)
    rows = {}
    for name in names:
        run = results.isel(run=int(np.argmax(results["network"].values == name)))
        raw, stabilised, rest = run.raw.values[times], run.stabilised.values[times], run.rest.values[times]
        rows[name] = [*raw, None, *stabilised, stabilised.mean(0), rest.mean(0)]
    frames = [f"{t}" for t in results.time.values[times]]
    titles = [
        *(f"raw\n{t}" for t in frames),
        "",
        *(f"stab.\n{t}" for t in frames),
        "stab.\nmean",
        "rest\nmean",
    ]
    plot.mosaic(top, rows, titles, "magma", own_scale=True)
    mean = results.change.isel(flow=slice(1, None)).mean("flow").to_dataset(name="change")
    plot.lines(mean, "change", "time", bottom)
    bottom.set(xlabel="frame", ylabel="relative change", ylim=(-0.02, None))
    flows = results.sizes["flow"] - 1
    bottom.set_title(f"n = {flows} flows of {plot.trials(results)}, {plot.seeds(results)}", fontsize=8)
    top.set_title(f"moving at {results.attrs['velocity']}", fontsize=8)
    plot.legend_below(results, bottom)
    return fig
