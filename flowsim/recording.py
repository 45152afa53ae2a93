"""Record what a network does: its state after every frame and its prediction of every frame, streamed to HDF5.

A recording is self-contained: it carries the frames that were shown, the ground truth about them, the law that
the network declares and its learning curve, so that an analysis needs nothing else.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5netcdf
import numpy as np
import torch
import xarray as xr

from flowsim import dataset
from flowsim.errors import InputError
from flowsim.files import whole
from flowsim.layout import Layout
from flowsim.network import Network
from flowsim.sequences import actions

SITES = ("state", "prediction", "logits")


def record(
    network: Network,
    stimulus: xr.Dataset,
    into: str | Path,
    *,
    context: int | None = None,
    sites: Sequence[str] = ("state", "prediction"),
    trials: int | None = None,
    every: int = 1,
    channels: int | None = None,
    dtype: str = "float32",
    curve: Mapping[str, Sequence[float]] | None = None,
    attrs: Mapping[str, Any] | None = None,
    announce: Callable[[str], None] = lambda _: None,
    report: Callable[[int, int], None] = lambda *_: None,
) -> None:
    """Show a stimulus to a network and write a recording.

    Ground truth about objects (trial, object) is named ``object_label``, ``object_velocity_vy``, ... in a
    recording, where ``velocity_vy`` (velocity) is the velocity of a state channel.

    Parameters
    ----------
    network : Network
    stimulus : Dataset
        As a generator in ``stimuli/`` returns it.
    into : path
        The file; it appears whole or not at all.
    context : int, optional
        How many frames the network sees before it goes on by itself; all if not given.
    sites : sequence of "state", "prediction" and "logits"
        The last are those of a network with classes after each frame, (flow, trial, time, class).
    trials, channels : int, optional
        Record the first so many; all if not given. A state that has not the space of the frame is recorded as
        (flow, trial, time, unit), and ``channels`` are its first units.
    every : int
        Record every n-th frame.
    dtype : str
        Of what is stored; the network computes in its own.
    curve : mapping, optional
        A learning curve to carry along, as variables ``curve_<name>`` (checkpoint).
    attrs : mapping, optional
        Attributes of the file.
    announce, report : callables
        Told the size before writing, and the trials done and in all while writing.

    Raises
    ------
    InputError
        If a site is unknown or the network has none of it, the stimulus has other frames than the network, or the
        disk has too little room.
    """
    into = Path(into)
    unknown = set(sites) - set(SITES)
    if unknown or not sites:
        raise InputError(f"unknown site {', '.join(unknown) or '(none)'}; expected some of: {', '.join(SITES)}")
    layout = Layout(network, stimulus, trials, every, channels, dtype, sites)
    announce(f"recording {layout}")
    _check_room(into, layout.bytes)
    with whole(into) as temporary:
        with h5netcdf.File(temporary, "w") as file:
            layout.create(file, {**(attrs or {}), "context": context or stimulus.sizes["time"]})
            for name, values in (curve or {}).items():
                if "checkpoint" not in file.dimensions:
                    file.dimensions["checkpoint"] = len(values)
                file.create_variable(f"curve_{name}", ("checkpoint",), data=np.asarray(values, np.float64))
            _stream(network, stimulus, file, layout, context, report)
        dataset.read(temporary, "recording")


def open_recording(path: str | Path) -> xr.Dataset:
    """Open a recording lazily, dask-backed and chunked as stored.

    Raises
    ------
    InputError
        If it is missing, damaged or no recording.
    """
    return dataset.read(path, "recording")


@torch.no_grad()
def _stream(
    network: Network,
    stimulus: xr.Dataset,
    file: h5netcdf.File,
    layout: Layout,
    context: int | None,
    report: Callable[[int, int], None],
) -> None:
    frames = stimulus.frames if "flow" in stimulus.dims else stimulus.frames.expand_dims("flow")
    parameter, steps = next(network.parameters()), actions(stimulus)
    total = layout.sizes["flow"] * layout.sizes["trial"]
    for flow in range(layout.sizes["flow"]):
        for first in range(0, layout.sizes["trial"], layout.trials_at_once):
            chosen = slice(first, min(first + layout.trials_at_once, layout.sizes["trial"]))
            shown = frames[flow, chosen].values
            seen = torch.from_numpy(shown)[:, :context, None].to(parameter)
            recorded: dict[str, list[np.ndarray]] = {site: [] for site in layout.sites}
            acted = steps[chosen].to(seen) if steps is not None and network.observes else None
            blank = torch.full((len(shown), 1, *shown.shape[2:]), torch.nan)
            predict_from = 1 if "prediction" in layout.sites else stimulus.sizes["time"]
            for step in network.steps(seen, stimulus.sizes["time"] - seen.shape[1], predict_from, acted):
                if step.time not in layout.times:
                    continue
                predicted = blank if step.prediction is None else step.prediction
                for site, values in recorded.items():  # copies: views would keep the whole state in memory
                    if site == "prediction":
                        value = predicted[:, 0]
                    else:
                        value = network.logits(step.carried) if site == "logits" else layout.thin(step.state)
                    values.append(value.cpu().numpy().astype(layout.dtype, copy=True))
            file["frames"][flow, chosen] = shown[:, layout.times]
            for site, values in recorded.items():
                file[site][flow, chosen] = np.stack(values, 1)
            report(flow * layout.sizes["trial"] + chosen.stop, total)


def _check_room(into: Path, needed: int) -> None:
    into.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(into.parent).free
    if needed > free:
        raise InputError(
            f"{into}: the recording may need {needed / 1e6:.0f} MB, the disk has {free / 1e6:.0f} MB free; "
            "record fewer trials, frames (every) or channels"
        )
