"""Record what a network does while it watches a stimulus, trial by trial, into one HDF5 file.

Recording never edits the network. A recording is announced with its size before it is written, streams block
by block (the next is computed while one is compressed and written), and appears whole or not at all.
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5netcdf
import numpy as np
import torch
import xarray as xr
from torch import nn

from flowsim.errors import InputError
from flowsim.files import netcdf
from flowsim.files.atomic import exclusive, spare, whole
from flowsim.files.hdf5_chunks import FILTERS, Codec, Writer
from flowsim.network import Network
from flowsim.recording.layout import Layout
from flowsim.recording.sites import Site
from flowsim.recording.thinning import Thinned, Units
from flowsim.recording.watch import OWN, Feed, place_of, watch
from flowsim.scenes.sequences import observer_actions

DTYPES = ("float16", "float32", "float64")
RESERVED = (
    *("frames", "flow", "trial", "time", "velocity", "channel", "orientation"),
    *("y", "x", "unit", "class"),
)
SPARE = 2**22
"""Bytes of the disk that are held while recording; see `flowsim.files.atomic.spare`."""


def record(
    network: nn.Module,
    stimulus: xr.Dataset,
    into: str | Path,
    *,
    context: int | None = None,
    sites: Sequence[str] | Mapping[str, Site | None] = ("state", "prediction"),
    feed: Feed | None = None,
    trials: int | None = None,
    flows: int | None = None,
    every: int = 1,
    channels: int | None = None,
    units: Units | Mapping[str, Any] | None = None,
    dtype: str = "float32",
    codec: Codec = "gzip",
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
    network : flowsim.Network, or any torch.nn.Module
        It is not edited, and computes as it is: call ``eval()`` first if it has a training mode. It is shown
        one trial once more than is recorded, to learn the sizes; what it carries from call to call is its own
        affair.
    stimulus : Dataset
        As a generator in ``stimuli/`` returns it.
    into : path
        The file; it appears whole or not at all.
    context : int, optional
        How many frames the network sees before it goes on by itself; all if not given.
    sites : sequence of "state", "prediction" and "logits", or mapping of name to Site
        What is recorded: sites of a flowsim network by name, outputs of any network's modules by
        `flowsim.recording.sites.Site`. In a mapping None stands for the network's own site of that name. A
        site called "state" is what analyses look at first, "prediction" at time t is the prediction of frame
        t, and "logits" are recorded as (flow, trial, time, class).
    feed : callable (network, frames, horizon), optional
        How frames (trial, time, channel, y, x) go into a module; as vectors (trial, time, unit) if not given.
    trials, flows, channels : int, optional
        Record the first so many; all if not given. Where there is no channel axis, ``channels`` are the first
        units.
    every : int
        Record every n-th frame.
    units : Units or mapping of its fields, optional
        Of each site but predictions and logits record only so many units, by a seed, as (flow, trial, time,
        unit).
    dtype : str
        Of what is stored; the network computes in its own.
    codec : {"gzip", "rounded", "none"}
        See `flowsim.files.hdf5_chunks.Codec`.
    curve : mapping, optional
        A learning curve to carry along, as variables ``curve_<name>`` (checkpoint).
    attrs : mapping, optional
        Attributes of the file.
    announce, report : callables
        Told the size before writing, and the bytes done and in all while writing.

    Raises
    ------
    InputError
        If a site is unknown or the network has none of it, the stimulus has other frames than the network, or
        the disk has too little room.
    """
    into = Path(into)
    wanted = _sites(network, sites)
    _check(context=context, trials=trials, flows=flows, every=every, channels=channels)
    if dtype not in DTYPES or codec not in FILTERS:
        raise InputError(
            f"expected a dtype of {', '.join(DTYPES)} and a codec of {', '.join(FILTERS)}; got {dtype!r} and {codec!r}"
        )
    units = Units(**units) if isinstance(units, Mapping) else units
    frames = stimulus.frames if "flow" in stimulus.dims else stimulus.frames.expand_dims("flow")
    if isinstance(network, Network) and frames.shape[-2:] != network.frame_shape:
        raise InputError(
            f"the network expects frames {network.frame_shape}; the stimulus has {tuple(frames.shape[-2:])}"
        )
    seen = min(context or frames.sizes["time"], frames.sizes["time"])
    times = range(0, frames.sizes["time"], every)
    parameter = next(network.parameters(), torch.empty(0))
    steps = observer_actions(stimulus) if isinstance(network, Network) and network.observes else None

    def activity(
        flow: int, chosen: slice, keep: Mapping[str, Any]
    ) -> tuple[np.ndarray, dict[str, torch.Tensor]]:
        shown = frames[flow, chosen].values
        given = torch.from_numpy(shown)[:, :seen, None].to(parameter, copy=True)  # a network may write on it
        acted = None if steps is None else steps[chosen]
        horizon = frames.sizes["time"] - seen
        return shown, watch(network, given, horizon, wanted, times, keep, feed, acted)

    places = {name: place_of(network, name, site) for name, site in wanted.items()}
    _, tried = activity(0, slice(1), dict.fromkeys(wanted, _copied))  # one trial tells the sizes
    thinned = {
        name: Thinned(
            places[name], tuple(values.shape[2:]), *((None, None) if name in OWN[1:] else (channels, units))
        )
        for name, values in tried.items()
    }
    chosen_flows = list(range(frames.sizes["flow"]))[:flows]
    one_frame = sum(4 * values[:, :1].numel() for values in tried.values())
    own_state = "state" in wanted and wanted["state"] is None
    layout = Layout(
        network, stimulus, thinned, chosen_flows, trials, every, dtype, codec, own_state, one_frame
    )  # fmt: skip
    announce(f"recording {layout}")
    _check_room(into, layout.bytes)
    try:
        with exclusive(into), whole(into) as temporary:
            with (
                h5netcdf.File(temporary, "w") as file,
                spare(into, SPARE) as make_room,
                Writer(file, codec, make_room) as writer,
            ):
                layout.create(file, {**(attrs or {}), "context": context or frames.sizes["time"]})
                for name, values in (curve or {}).items():
                    if "checkpoint" not in file.dimensions:
                        file.dimensions["checkpoint"] = len(values)
                    file.create_variable(
                        f"curve_{name}", ("checkpoint",), data=np.asarray(values, np.float64)
                    )
                done = 0
                for position, flow in enumerate(chosen_flows):
                    for first in range(0, layout.sizes["trial"], layout.trials_at_once):
                        chosen = slice(first, min(first + layout.trials_at_once, layout.sizes["trial"]))
                        shown, found = activity(flow, chosen, thinned)
                        blocks = {
                            "frames": shown[:, layout.times],
                            **{n: v.numpy() for n, v in found.items()},
                        }
                        blocks = {
                            name: values.astype(layout.dtype, copy=False) for name, values in blocks.items()
                        }
                        writer.put(blocks, position, first)
                        done += sum(values.nbytes for values in blocks.values())
                        report(done, layout.bytes)
                writer.finish()
            netcdf.read(temporary, "recording")
    except OSError as error:
        if error.errno != errno.ENOSPC and "write failed" not in str(error):
            raise  # of the network's own
        free = shutil.disk_usage(into.parent).free
        raise InputError(
            f"{into}: the recording of {layout.bytes / 1e6:.0f} MB could not be written "
            f"({str(error).splitlines()[0]}); the disk has {free / 1e6:.0f} MB free. Nothing is left of it; make room, "
            "or record less"
        ) from None


def _copied(values: torch.Tensor) -> torch.Tensor:
    return values.clone().cpu()


def _check(**counts: int | None) -> None:
    for name, count in counts.items():
        if count is not None and count < 1:
            raise InputError(f"{name} must be 1 or more, or None for all; got {count}")


def _sites(network: nn.Module, sites: Sequence[str] | Mapping[str, Site | None]) -> dict[str, Site | None]:
    """Every site by name, None for a flowsim network's own."""
    wanted = dict(sites) if isinstance(sites, Mapping) else dict.fromkeys(sites)
    for name in wanted:
        if name in RESERVED or not re.fullmatch(r"[A-Za-z]\w*", name):
            raise InputError(
                f"a site has a name of letters, digits and '_' other than {', '.join(RESERVED)}; got {name!r}"
            )
    own = [name for name, site in wanted.items() if site is None]
    unknown = [name for name in own if name not in OWN]
    if unknown or not wanted:
        raise InputError(f"unknown site {', '.join(unknown) or '(none)'}; expected some of: {', '.join(OWN)}")
    if own and not isinstance(network, Network):
        raise InputError(
            f"a {type(network).__name__} is no flowsim network and has no site {own[0]!r} of its own; say which "
            f"module's output it is: sites={{{own[0]!r}: Site(module, axes)}}"
        )
    return wanted


def _check_room(into: Path, needed: int) -> None:
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write {into}: {error.strerror}; choose a folder that can be written to"
        ) from None
    free = shutil.disk_usage(into.parent).free
    if needed > free:
        raise InputError(
            f"{into}: the recording may need {needed / 1e6:.0f} MB, the disk has {free / 1e6:.0f} MB free; "
            "record fewer trials, frames (every) or channels"
        )
