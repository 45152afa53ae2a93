"""What is known about the objects and flows of a recording: labels, velocities and positions by trial."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from flowsim.errors import InputError
from flowsim.files import coordinates
from flowsim.flows.find_groups import flow_groups
from flowsim.flows.group import FlowGroup


def swept(
    recording: xr.Dataset, trained_speed: float | None = None
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """The velocity of object 0 in each trial, and whether it is one of those of training.

    Where it changes over time, that of frame 0 counts.

    Returns
    -------
    DataFrame
        A row per trial, a column per component.
    trained, novel : array of bool (trial)
        Whether the velocity was trained, and whether it was not; neither where it is unknown (NaN).

    Raises
    ------
    InputError
        If the recording has no velocities of objects, or does not say which were trained and no
        ``trained_speed`` is given.
    """
    components = coordinates.object_components(recording)
    if not components:
        raise InputError(
            "expected the velocity of each object (object_velocity_vy, _vx); the recording has none"
        )
    velocity = {}
    for component in components:
        of_object = recording[coordinates.OBJECT_VELOCITY + component].isel(object=0)
        velocity[component] = of_object.isel(time=0, missing_dims="ignore").values
    table = pd.DataFrame(velocity)
    known = table.notna().all(axis=1).to_numpy()
    if trained_speed is not None:
        trained = (table.abs().max(axis=1) <= trained_speed).to_numpy()
        return table, trained & known, ~trained & known
    if "trained" not in recording.coords:
        raise InputError(
            "the recording does not say which velocities were trained (trained); give trained_speed"
        )
    known = known & recording.trained.notnull().values
    trained = recording.trained.values.astype(bool)
    return table, trained & known, ~trained & known


def labels(recording: xr.Dataset, trials: int | None = None) -> np.ndarray | None:
    """Label (trial) of object 0; None where the recording does not tell."""
    if "object_label" not in recording.coords:
        return None
    return recording.object_label.isel(object=0, missing_dims="ignore").isel(trial=slice(trials)).values


def has_label(labels: np.ndarray) -> np.ndarray:
    """Whether each of ``labels`` (trial) is one: a number below 0, or one that is missing, says that there is
    none.
    """
    below_0 = labels < 0 if labels.dtype.kind in "if" else np.zeros(labels.shape, bool)
    return ~(pd.isna(labels) | below_0)


def images(recording: xr.Dataset) -> np.ndarray:
    """Which image (trial) object 0 shows, numbered from 0 in the order of trials; each trial has its own
    where the recording does not tell (``object_image``), or the number is missing.
    """
    own = np.arange(recording.sizes["trial"])
    if "object_image" not in recording.coords:
        return own
    image = recording.object_image.isel(object=0, missing_dims="ignore").values
    known = ~pd.isna(image)
    number = pd.factorize(image)[0]
    number[~known] = own[~known] + len(own)
    return pd.factorize(number)[0]


def persons_or_images(recording: xr.Dataset) -> np.ndarray:
    """Which trials (trial) are not independent of each other: a number for each person, where persons are
    recorded (``object_person`` or ``person``), else for each image; see `images`.
    """
    for name in ("object_person", "person"):
        if name in recording.coords:
            return pd.factorize(recording[name].isel(object=0, missing_dims="ignore").values)[0]
    return images(recording)


def other_trials(
    recording: xr.Dataset, most: int, among: Sequence[int] | None = None
) -> list[tuple[int, int]]:
    """Trials, each with another one that shows another image: what chance levels are taken from.

    Parameters
    ----------
    recording : Dataset
        With ``object_image`` if it is known which trials show the same image.
    most : int
        How many pairs there are at most; trials are spread over the recording.
    among : sequence of int, optional
        Of which trials; all, if not given.

    Returns
    -------
    list of (int, int)
        No trial is the second of two pairs, as far as images allow. Empty where all trials show one image.
    """
    trials = np.arange(recording.sizes["trial"]) if among is None else np.asarray(among)
    chosen = trials[np.linspace(0, len(trials) - 1, min(most, len(trials))).astype(int)]
    image = images(recording)
    pairs = []
    for i, trial in enumerate(chosen):
        following = np.roll(chosen, -i - 1)[:-1]
        others = following[image[following] != image[trial]]
        pairs += [(int(trial), int(other)) for other in others[:1]]
    return pairs


def flow_velocities(recording: xr.Dataset) -> np.ndarray:
    """Velocity (flow, component) of each flow, in the units of its group."""
    return np.array([flow.velocity for flow in coordinates.flows(recording)], np.float64)


def true_velocities(recording: xr.Dataset) -> tuple[FlowGroup, np.ndarray] | None:
    """The group by which objects move, and the velocity (flow, trial, object, component) of each under each
    flow; None where it is unknown, changes, is of no one group, or is seen by an observer who moves.
    """
    components = coordinates.object_components(recording)
    group = next((g for g in flow_groups().values() if g.components == components), None)
    if group is None or "observer_y" in recording.coords:
        return None
    prefix = coordinates.OBJECT_VELOCITY
    every = [str(name) for name in recording.coords if str(name).startswith(prefix)]
    if any({*recording[name].dims} != {"trial", "object"} for name in every):
        return None
    others = [name for name in every if name.removeprefix(prefix) not in components]
    if any(recording[name].values.any() for name in others):
        return None
    own = np.stack([recording[prefix + c].transpose("trial", "object").values for c in components], -1)
    if not np.isfinite(own).all():
        return None
    if not any(str(name).startswith("flow_") for name in recording.coords):
        return group, np.broadcast_to(own, (recording.sizes["flow"], *own.shape))
    flows = coordinates.flows(recording)
    if not all(flow.group == group or not any(flow.velocity) for flow in flows):
        return None
    of_flows = [flow.velocity if flow.group == group else (0.0,) * len(components) for flow in flows]
    return group, own[None] + np.array(of_flows)[:, None, None, :]


def positions(recording: xr.Dataset, trials: int | None = None) -> np.ndarray | None:
    """Position (flow, trial, time, axis) of object 0 under each flow, as a phase around the torus in radians.

    It starts where recorded, moves at the velocity of the object (or as recorded over time), and with the
    flow.

    Returns
    -------
    array, or None
        Where it is unknown: flows that do not translate, a state without the space of the frame, or objects
        whose places on the frame were not recorded.
    """
    places = [f"object_position_{axis}" for axis in "yx"]
    if not {*places} <= set(recording.coords) or not {"y", "x"} <= set(recording.sizes):
        return None
    if "observer_y" in recording.coords:  # positions in a world, seen through a window that moves
        return None
    group = _group_of_flows(recording)
    if group is None or not group.translates:
        return None
    in_reference = _positions_in_reference(recording, group, places, trials)
    if in_reference is None:
        return None
    phases = []
    moved_by = group.displacement(list(flow_velocities(recording).T)) or ()
    for position, axis, of_flow in zip(in_reference, "yx", moved_by, strict=True):
        moved = position + of_flow[:, None, None] * recording.time.values
        phases.append(2 * np.pi * moved / recording.sizes[axis])
    return np.stack(phases, -1)


def _group_of_flows(recording: xr.Dataset) -> FlowGroup | None:
    """The group of the flows of a recording; None if it has no flows with velocities."""
    if not any(str(name).startswith("flow_") for name in recording.coords):
        return None
    return coordinates.group(recording, "flow")


def _positions_in_reference(
    recording: xr.Dataset, group: FlowGroup, places: list[str], trials: int | None
) -> list[np.ndarray] | None:
    """Position (trial, time) of object 0 along y and along x, in px, under no flow; None if unknown."""
    positions = [recording[place].isel(object=0, trial=slice(trials)) for place in places]
    if all("time" in position.dims for position in positions):
        return [position.transpose("trial", "time").values for position in positions]
    speeds = []
    for component in group.components:
        speed = recording.get(coordinates.OBJECT_VELOCITY + component)
        if speed is None or "time" in speed.dims:
            return None
        speeds.append(speed.isel(object=0, trial=slice(trials)).values)
    moved_by = group.displacement(speeds)
    if moved_by is None:
        return None
    return [
        start.values[:, None] + each[:, None] * recording.time.values
        for start, each in zip(positions, moved_by, strict=True)
    ]


def resting_trials(recording: xr.Dataset, components: Sequence[str] | None = None) -> np.ndarray:
    """Indices of the trials in which everything rests in the reference, at all times: all objects, in every
    way in which they could move, and the observer.

    Parameters
    ----------
    recording : Dataset
        With ``object_velocity_<component>`` (trial, object) or (trial, object, time), where NaN does not
        rest; with ``observer_y``, ``observer_x`` or the observer's steps ``action_vy``, ``action_vx`` (trial,
        time) if there is one who could move.
    components : sequence of str, optional
        Components of their velocity that must have been recorded; all that were recorded count.

    Raises
    ------
    InputError
        If the velocity of the objects was not recorded, or no trial rests.
    """
    recorded = [str(name) for name in recording.coords if str(name).startswith("object_velocity_")]
    needed = [f"object_velocity_{name}" for name in components or ()]
    if not recorded or not set(needed) <= set(recorded):
        raise InputError(
            "expected the velocity of each object (object_velocity_vy, _vx); the recording has none. "
            "Record a stimulus whose objects have velocities"
        )
    rests = np.ones(recording.sizes["trial"], bool)
    for name in recorded:
        rests &= _in_all(recording[name] == 0)
    for name in ("observer_y", "observer_x"):
        if name in recording.coords:
            place = recording[name]
            rests &= _in_all(place == place.isel(time=0, missing_dims="ignore"))
    for name in ("action_vy", "action_vx"):
        if name in recording.coords:
            rests &= _in_all(recording[name] == 0)
    resting = np.flatnonzero(rests)
    if not len(resting):
        raise InputError(
            "expected a probe with a trial whose objects all rest in the reference; "
            f"something moves in each of its {rests.size} trials. Make a probe in which some rest"
        )
    return resting


def _in_all(true: xr.DataArray) -> np.ndarray:
    """Whether something is true of all objects and times (trial)."""
    return true.all([dim for dim in true.dims if dim != "trial"]).values
