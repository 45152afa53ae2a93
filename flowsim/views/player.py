"""What the player of a report shows: frames, predictions and maps of states, as pictures inside the page.

Of each recorded split, a few trials are kept, all of one network's first seed: frames, what the network
predicted of them, and maps of its most active state channels, as they are and carried back along the flow,
psi_{-t}(u) h_t. Of a network with several velocities V it is the channel with v = u, and none is shown where
V has no u; a network whose only velocity is 0 is shown with that one under every flow, as in the analysis
`stabilised_maps`. Values become bytes, and bytes one PNG for each quantity, whose tiles the page's script
reads: a row of tiles for each (flow, trial, channel), a column for each time.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dask
import numpy as np
import torch
import xarray as xr

from flowsim.files import coordinates, netcdf
from flowsim.flows.flow import Flow
from flowsim.views.preview import named_value

PIXELS = 1_500_000
"""Of all pictures of one split at most; trials, then times, are left out until they are fewer."""
BYTES = 450_000
"""Of one split in the page at most, in the same way: a page has four at most."""
TRIALS = 6
"""Trials of a split at most."""
CHANNELS = 4
"""State channels of a network at most."""
NETWORKS = 8
"""Networks at most, the first ones."""
Picture = dict[str, Any]
"""One quantity: ``png`` in base 64, the ``height`` and ``width`` of a tile, and its ``scale``."""


def scene(title: str, recordings: Mapping[str, Path]) -> dict[str, Any] | None:
    """One recorded split, as the page's script takes it.

    Parameters
    ----------
    title : str
        Names the split.
    recordings : mapping of network to path
        One recording of each, of the same stimulus.

    Returns
    -------
    dict
        ``times``, ``context``, names of ``flows`` and ``trials``, ``frames`` (a `Picture`) and, for each of
        ``networks``, its ``name``, ``prediction``, ``mse`` (flow, trial, time) and ``state``; None for what
        was not recorded. None alone if there are no recordings, or they have no frames to show.
    """
    opened = {name: netcdf.read(path, "recording") for name, path in list(recordings.items())[:NETWORKS]}
    if not opened or any("frames" not in recording for recording in opened.values()):
        return None
    trials, times = _kept(list(opened.values()))
    while True:
        made = _scene(title, opened, trials, times)
        size = len(json.dumps(made))
        if size <= BYTES or (len(trials), times) == (1, 1):
            return made
        if len(trials) > 1:
            trials = trials[: max(1, int(len(trials) * BYTES / size))]
        else:
            times = max(1, min(times - 1, int(times * BYTES / size)))


def _scene(title: str, opened: Mapping[str, xr.Dataset], trials: list[int], times: int) -> dict[str, Any]:
    """`scene` of some trials and times."""
    first = next(iter(opened.values()))
    few = {name: recording.isel(trial=trials, time=slice(times)) for name, recording in opened.items()}
    frames = next(iter(few.values())).frames.values
    names, flows = _names_and_flows(first)
    return {
        "title": title,
        "times": first.time.values[:times].tolist(),
        "context": int(first.attrs.get("context", 0)),
        "flows": names,
        "trials": [f"trial {trial}" for trial in trials],
        "frames": picture(frames[:, :, None], 0.0, 1.0),
        "networks": [_network(name, recording, frames, flows) for name, recording in few.items()],
    }


def _names_and_flows(recording: xr.Dataset) -> tuple[list[str], list[Flow]]:
    """What each entry along ``flow`` is called, and its flow; conditions of a control are at rest."""
    if "condition" in recording.coords:
        group = coordinates.group(recording, "flow")
        rest = Flow(group, (0,) * len(group.components))
        names = [named_value(condition) for condition in recording.condition]
        return names, [rest] * len(names)
    flows = coordinates.flows(recording)
    return [_flow_in_words(flow) for flow in flows], flows


def _kept(recordings: Sequence[xr.Dataset]) -> tuple[list[int], int]:
    """Trials, those whose objects rest in the reference first, and how many times fit into `PIXELS`."""
    first = recordings[0]
    order = np.argsort(~_resting(first), kind="stable").tolist()
    trials, times = min(TRIALS, len(order)), first.sizes["time"]
    while _pixels(recordings, trials, times) > PIXELS and (trials, times) != (1, 1):
        trials, times = (trials - 1, times) if trials > 1 else (1, max(1, times - 1))
    return sorted(order[:trials]), times


def _resting(recording: xr.Dataset) -> np.ndarray:
    """Whether all objects of a trial (trial) rest in the reference; all do where nothing is known."""
    moving = np.zeros(recording.sizes["trial"], bool)
    for component in coordinates.object_components(recording):
        velocity = recording[f"{coordinates.OBJECT_VELOCITY}{component}"]
        moving |= (velocity != 0).any([dim for dim in velocity.dims if dim != "trial"]).values
    return ~moving


def _pixels(recordings: Sequence[xr.Dataset], trials: int, times: int) -> int:
    """Pixels of all pictures of a split."""
    first = recordings[0]
    tiles = first.sizes["flow"] * trials * times
    frame = first.sizes["y"] * first.sizes["x"]
    pixels = frame
    for recording in recordings:
        pixels += frame * ("prediction" in recording)
        if _has_maps(recording):
            state = recording.state.sizes
            pixels += 2 * min(CHANNELS, state["channel"]) * state["y"] * state["x"]
    return tiles * pixels


def _has_maps(recording: xr.Dataset) -> bool:
    return "state" in recording and recording.state.dims in (coordinates.STATE, coordinates.ORIENTED)


def _flow_in_words(flow: Flow) -> str:
    return "at rest" if not any(flow.velocity) else flow.group.write(flow.velocity)


def _network(name: str, recording: xr.Dataset, frames: np.ndarray, flows: Sequence[Flow]) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "prediction": None, "mse": [], "state": None}
    if "prediction" in recording:
        predicted = recording.prediction.values
        error = np.square(predicted - frames).mean((-2, -1))
        found["prediction"] = picture(np.nan_to_num(predicted)[:, :, None], 0.0, 1.0)
        found["mse"] = [
            [[float(f"{e:.3g}") if np.isfinite(e) else None for e in trial] for trial in of_flow]
            for of_flow in error
        ]
    if _has_maps(recording):
        found["state"] = _maps(recording, flows)
    return found


def _maps(recording: xr.Dataset, flows: Sequence[Flow]) -> dict[str, Any] | None:
    """Maps of the most active channels, ``raw`` and ``carried`` back; ``has`` (flow) says where V has the
    flow's velocity. None where no flow has a channel.
    """
    which = _velocity_channels(recording, flows)
    here = next((i for i, index in enumerate(which) if index is not None), None)
    if here is None:
        return None
    state, index = recording.state, which[here]
    spread = state.isel(flow=here, velocity=index).std([d for d in state.dims if d not in _KEPT])
    channels = np.argsort(-np.nan_to_num(spread.values), kind="stable")[:CHANNELS]
    maps: dict[str, list[np.ndarray]] = {"raw": [], "carried": []}
    of_flows = (
        state.isel(flow=flow, velocity=index or 0, channel=channels) for flow, index in enumerate(which)
    )
    read = dask.compute(*of_flows)  # together, since flows lie in the same chunks
    for flow, (index, activity) in enumerate(zip(which, read, strict=True)):
        of_flow = activity.values.astype(np.float64)
        of_flow = np.nan_to_num(of_flow if index is not None else 0 * of_flow)
        for kind, back in (("raw", 0), ("carried", 1)):
            moved = [
                _carried(flows[flow], of_flow[:, t], -back * float(time))
                for t, time in enumerate(recording.time.values)
            ]
            maps[kind].append(np.stack(moved, 2))  # (trial, channel, time, y, x)
    raw, carried = (np.stack(maps[kind]) for kind in ("raw", "carried"))
    most = float(max(abs(raw).max(), abs(carried).max())) or 1.0
    low = -most if raw.min() < 0 else 0.0
    return {
        "channels": channels.tolist(),
        "has": [index is not None for index in which],
        "raw": picture(raw, low, most),
        "carried": picture(carried, low, most),
    }


_KEPT = ("flow", "velocity", "channel")


def _velocity_channels(recording: xr.Dataset, flows: Sequence[Flow]) -> list[int | None]:
    """The velocity channel that moves with each flow, None where there is none."""
    grid = coordinates.grid(recording)
    if len(grid) == 1:
        return [0] * len(flows)
    at_rest = (0,) * len(grid.group.components)
    if at_rest not in grid.velocities:
        return [None] * len(flows)
    rest = grid.velocities.index(at_rest)
    found: list[int | None] = []
    for flow in flows:
        velocity = grid.velocity_of(flow)
        partners = () if velocity is None else grid.partner(velocity)
        found.append(partners.index(rest) if rest in partners else None)
    return found


def _carried(flow: Flow, maps: np.ndarray, time: float) -> np.ndarray:
    """Maps (trial, channel, y, x) moved for a time; the mean over orientations where there are some."""
    values = torch.from_numpy(maps)
    if values.ndim == 4:
        return (flow.act(values, time) if time else values).numpy()
    return (flow.act_oriented(values, time) if time else values).mean(2).numpy()


def picture(values: np.ndarray, low: float, high: float) -> Picture:
    """Values (flow, trial, channel, time, y, x), or (flow, trial, 1, time, y, x), as one PNG in grey.

    ``low`` becomes 0 and ``high`` 255; where ``low`` is negative it is -``high``, and 0 becomes 128.
    """
    from PIL import Image

    *rows, times, height, width = values.shape
    share = np.clip((values - low) / (high - low), 0, 1)
    levels = np.round(share * 255) if low >= 0 else np.round(1 + share * 254)
    pictures = levels.astype(np.uint8).reshape(int(np.prod(rows)), times, height, width)
    sheet = pictures.transpose(0, 2, 1, 3).reshape(len(pictures) * height, times * width)
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "PNG", optimize=True)
    return {
        "png": base64.b64encode(buffer.getvalue()).decode(),
        "height": height,
        "width": width,
        "signed": low < 0,
        "most": float(f"{high:.3g}"),
    }
