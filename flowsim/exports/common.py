"""Recordings as other packages take them: numpy, a Brain-Score assembly, a dataset of rsatoolbox.
(`flowsim.exports.as_nwb`: NWB.)

Each is a renaming; no value is changed. What makes them needs none of those packages.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.exports.population import Population
from flowsim.files.checksums import PREFIX


def require_chunks(temporary: Path, names: Sequence[str], into: Path) -> None:
    """Raise an OSError if some chunks of these arrays are not in a file that is to become ``into``."""
    with h5py.File(temporary) as file:
        for name in names:
            shape, cut = file[name].shape, file[name].chunks
            if file[name].id.get_num_chunks() < math.prod(
                -(-n // c) for n, c in zip(shape, cut, strict=True)
            ):
                raise OSError(f"{into} was not written completely: {name} has gaps; is the disk full?")


def stimuli(of: Population) -> xr.Variable:
    """A name for each presentation, the same in all recordings of a stimulus: flow0-trial3."""
    pairs = zip(of.presentations["flow"].values, of.presentations["trial"].values, strict=True)
    return xr.Variable(("presentation",), np.array([f"flow{flow}-trial{trial}" for flow, trial in pairs]))


def stimulus_set(recording: xr.Dataset) -> str:
    """The SHA-256 of the stimulus file, as the recording has it; "" where it does not."""
    before = json.loads(recording.attrs.get("recording") or "{}")  # an export's own input is the recording
    inputs = before.get("inputs") or json.loads(recording.attrs.get("inputs") or "{}")
    return next((value for name, value in inputs.items() if not name.endswith(".pt")), "")


def plain(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes as JSON can hold them, without checksums, which are those of the recording's file."""
    kept = {str(name): value for name, value in attrs.items() if not str(name).startswith(PREFIX)}
    return {n: v.tolist() if isinstance(v, np.ndarray | np.generic) else v for n, v in kept.items()}


def room(into: Path, needed: int) -> None:
    """Raise an InputError if a file may need more bytes than the disk has."""
    folder = next(parent for parent in into.absolute().parents if parent.exists())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{into}: the export may need {needed / 1e6:.0f} MB, the disk has {free / 1e6:.0f} MB free; "
            "export one site, or fewer trials or frames"
        )
