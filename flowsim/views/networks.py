"""What was compared: each network with its velocities, its size and what its training took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from flowsim.experiment.read import train_block
from flowsim.experiment.schema import Experiment
from flowsim.files import coordinates, netcdf
from flowsim.views.words import number


@dataclass(frozen=True)
class NetworkRow:
    """One network: ``velocities`` is V in words, ``minutes`` of training are the mean over its ``seeds``."""

    name: str
    model: str
    velocities: str
    velocity_count: int
    law: str
    parameters: int
    sequences: int
    minutes: float
    hardware: str
    seeds: int

    @property
    def time(self) -> str:
        """Minutes of training in words."""
        return number(self.minutes, 2) if np.isfinite(self.minutes) else ""


def network_rows(experiment: Experiment, recordings: dict[str, list[Path]]) -> list[NetworkRow]:
    """A row for each network, from what its recordings (one of each seed) say."""
    return [_row(experiment, name, paths) for name, paths in recordings.items()]


def _row(experiment: Experiment, name: str, paths: Sequence[Path]) -> NetworkRow:
    seconds: dict[str, float] = {}
    with_state, attrs = None, {}
    for path in paths:
        recording = netcdf.read(path, "recording")
        attrs = recording.attrs
        seconds[str(attrs.get("seed", path))] = float(attrs.get("training_seconds") or "nan")
        if "velocity" in recording.dims and with_state is None:
            with_state = recording
    velocities, count = velocities_in_words(with_state)
    known = [value for value in seconds.values() if np.isfinite(value)]
    return NetworkRow(
        name=name,
        model=str(experiment.networks[name].get("model", "")),
        velocities=velocities,
        velocity_count=count,
        law=str(with_state.state.attrs.get("law", ""))
        if with_state is not None and "state" in with_state
        else "",
        parameters=int(attrs.get("parameters", 0)),
        sequences=train_block(experiment, name).sequences,
        minutes=float(np.mean(known)) / 60 if known else float("nan"),
        hardware=str(attrs.get("hardware", "")),
        seeds=len(seconds),
    )


def velocities_in_words(recording: xr.Dataset | None) -> tuple[str, int]:
    """V of a recorded state: as a box, {-2..2}², where it is one, else as its number; and that number."""
    if recording is None:
        return "", 0
    grid = coordinates.grid(recording)
    by_component = [sorted(set(component)) for component in zip(*grid.velocities, strict=True)]
    sizes = [len(values) for values in by_component]
    unit = grid.group.units[0]
    if len(grid) == 1 and not any(grid.velocities[0]):
        return "{0}", 1
    same = all(values == by_component[0] for values in by_component)
    if same and np.prod(sizes) == len(grid) and sizes[0] > 1:
        low, high = by_component[0][0], by_component[0][-1]
        power = {1: "", 2: "²", 3: "³"}.get(len(sizes), f"^{len(sizes)}")
        return f"{{{low:g}..{high:g}}}{power} {unit}", len(grid)
    return f"{len(grid)} velocities", len(grid)
