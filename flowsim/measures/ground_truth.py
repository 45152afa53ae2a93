"""The truth about what was shown: labels, velocities and positions of trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from flowsim.errors import InputError
from flowsim.files import coordinates

if TYPE_CHECKING:
    from collections.abc import Sequence


def swept(recording: xr.Dataset, trained_speed: float | None = None) -> tuple[pd.DataFrame, np.ndarray]:
    """The velocity of object 0 in each trial, one column per component, and in which trials it was one of
    training.

    Where it changes over time, that of frame 0 counts.

    Raises
    ------
    InputError
        If the recording does not tell.
    """
    held = [c for c in ("vy", "vx", "omega", "expansion") if f"object_velocity_{c}" in recording.coords]
    if not held:
        raise InputError(
            "expected the velocity of each object (object_velocity_vy, _vx); the recording has none"
        )
    velocity = {}
    for component in ("vy", "vx") if {"vy", "vx"} <= set(held) else held[:1]:
        of_all = recording[f"object_velocity_{component}"].isel(object=0)
        velocity[component] = (of_all.isel(time=0) if "time" in of_all.dims else of_all).values
    table = pd.DataFrame(velocity)
    if trained_speed is not None:
        return table, (table.abs().max(axis=1) <= trained_speed).to_numpy()
    if "trained" not in recording.coords:
        raise InputError(
            "the recording does not say which velocities were trained (trained); give trained_speed"
        )
    return table, recording.trained.values.astype(bool)


def labels(recording: xr.Dataset, trials: int | None = None) -> np.ndarray | None:
    """Label (trial) of object 0; None where the recording does not tell."""
    if "object_label" not in recording.coords:
        return None
    return recording.object_label.isel(object=0, missing_dims="ignore").isel(trial=slice(trials)).values


def velocities(recording: xr.Dataset) -> np.ndarray:
    """Velocity (flow, component) of each flow, in the units of its group."""
    return np.array([flow.velocity for flow in coordinates.flows(recording)], np.float64)


def positions(recording: xr.Dataset, trials: int | None = None) -> np.ndarray | None:
    """Position (flow, trial, time, axis) of object 0 under each flow, as a phase around the torus in radians.

    It starts where recorded, moves at the object's own velocity (or as recorded over time), and with the
    flow.

    Returns
    -------
    array, or None
        Where there is no such thing: flows that do not translate, no frame, or objects that the recording
        does not place on it.
    """
    translates = {"flow_vy", "flow_vx"} <= set(recording.coords)
    places = [f"object_position_{axis}" for axis in "yx"]
    if not translates or not {*places} <= set(recording.coords) or not {"y", "x"} <= set(recording.sizes):
        return None
    if "observer_y" in recording.coords:  # positions in a world, seen through a window that moves
        return None
    time, phases = recording.time.values, []
    for axis, place in zip("yx", places, strict=True):
        start = recording[place].isel(object=0, trial=slice(trials))
        if "time" in start.dims:
            own = start.transpose("trial", "time").values
        else:
            speed = recording.get(f"object_velocity_v{axis}")
            if speed is None or "time" in speed.dims:
                return None
            own = start.values[:, None] + speed.isel(object=0, trial=slice(trials)).values[:, None] * time
        moved = own + recording[f"flow_v{axis}"].values[:, None, None] * time
        phases.append(2 * np.pi * moved / recording.sizes[axis])
    return np.stack(phases, -1)


def resting_trials(recording: xr.Dataset, components: Sequence[str] | None = None) -> np.ndarray:
    """Indices of the trials in which all objects rest in the reference, at all times.

    Parameters
    ----------
    recording : Dataset
        With ``object_velocity_<component>`` (trial, object) or (trial, object, time).
    components : sequence of str, optional
        Which components of their velocity count, all of which must be recorded; by default those that were
        recorded.

    Raises
    ------
    InputError
        If the velocity of the objects was not recorded, or no trial rests.
    """
    recorded = [str(name) for name in recording.coords if str(name).startswith("object_velocity_")]
    names = recorded if components is None else [f"object_velocity_{name}" for name in components]
    if not names or not set(names) <= set(recorded):
        raise InputError(
            "expected the velocity of each object (object_velocity_vy, _vx); the recording has none. "
            "Record a stimulus whose objects have velocities"
        )
    speed = abs(recording[names[0]])
    for name in names[1:]:
        speed = speed + abs(recording[name])
    rests = (speed == 0).all([dim for dim in speed.dims if dim != "trial"])
    resting = np.flatnonzero(rests.values)
    if not len(resting):
        raise InputError(
            "expected a probe with a trial whose objects all rest in the reference; "
            f"something moves in each of its {rests.size} trials. Make a probe in which some rest"
        )
    return resting
