"""What the formats share.

A format is a file ``as_<format>.py`` in this folder; ``flowsim export --as <format>`` finds it by name.
It has

ENDINGS : tuple of str
    What its files end in, such as ``(".npz",)``.
OPTIONS : tuple of str
    Which of ``site`` (a name), ``time`` (`flowsim.exports.population.Time`) and ``rate`` (frames per second)
    it takes.
write : function of a recording, a path and its options by keyword
    Writes the file, which appears whole or not at all. Every option has a default.

An export renames; no value changes. The packages that read a format are needed only where they write its
files.
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
            array = file[name]
            expected = math.prod(
                math.ceil(size / chunk) for size, chunk in zip(array.shape, array.chunks, strict=True)
            )
            if array.id.get_num_chunks() < expected:
                raise OSError(f"{into} was not written completely: {name} has gaps; is the disk full?")


def require_room(into: Path, needed: int) -> None:
    """Raise an InputError if a file may need more bytes than the disk has."""
    folder = next(parent for parent in into.absolute().parents if parent.exists())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{into}: the export may need {needed / 1e6:.0f} MB, the disk has {free / 1e6:.0f} MB free; "
            "export one site, or fewer trials or frames"
        )


def presentation_names(population: Population) -> xr.Variable:
    """Names (presentation) such as flow0-trial3, the same in all recordings of a stimulus."""
    table = population.presentations
    pairs = zip(table["flow"].values, table["trial"].values, strict=True)
    return xr.Variable(("presentation",), np.array([f"flow{flow}-trial{trial}" for flow, trial in pairs]))


def stimulus_set(recording: xr.Dataset) -> str:
    """The SHA-256 of the stimulus file, if the recording has it, else ""."""
    before = json.loads(recording.attrs.get("recording") or "{}")  # an export's own input is the recording
    inputs = before.get("inputs") or json.loads(recording.attrs.get("inputs") or "{}")
    return next((checksum for name, checksum in inputs.items() if not name.endswith(".pt")), "")


def plain_attributes(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes as JSON can hold them, without checksums, which are those of the recording's file."""
    others = {str(name): value for name, value in attrs.items() if not str(name).startswith(PREFIX)}
    return {
        name: value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        for name, value in others.items()
    }
