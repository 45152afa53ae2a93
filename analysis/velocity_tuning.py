r"""Which units answer to which motion?

A unit (a channel of a velocity channel, or one unit of a network without space) responds to a flow u of the
whole frame with r(u): its rectified activity, averaged over space (and orientations) and over the later
frames, when the flow has been seen for a while. Only trials whose objects all rest in the reference count:
in those, what is seen moves at u and at nothing else. Trials differ in content, which changes r much more
than u does, and are taken as blocks throughout.

Directions, selectivity, width, reliability and p-values are those of `flowsim.measures.tuning`, which
states how each is estimated, and its source. Significance is corrected for the number of units (Benjamini
and Hochberg 1995).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import xarray as xr
from pydantic import Field

from flowsim.errors import InputError
from flowsim.figures import panels, plot
from flowsim.files import coordinates
from flowsim.measures import ground_truth, recorded, statistics, tuning

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = "probe"
QUESTION = "Which units answer to which motion?"
READING = (
    "Left: responses (mean rectified activity) of three units of each network's first seed to flows of "
    "the whole frame. Bright is strong, each unit on its own scale; a cross marks the strongest response, "
    "a ring the velocity of the unit's velocity channel. Reliability is a correlation between halves of "
    "the trials. Middle: preferred directions of all units, as displayed on the screen; further out is "
    "more selective (1 - circular variance), and filled dots are significant. Right: share of units whose "
    "response depends on velocity, and on direction, corrected for the number of units. Dots are seeds, "
    "lines 95 % intervals over units (Wilson), which take units as independent."
)
TESTS = ("velocity", "direction")
EXAMPLES = 3
"""Units of each network whose curves are drawn."""


def analyse(
    recording: xr.Dataset,
    *,
    since: Annotated[int, Field(ge=0)] | None = None,
    response: Literal["rectified", "magnitude"] = "rectified",
    level: Annotated[float, Field(gt=0, lt=1)] = 0.05,
    permutations: Annotated[int, Field(ge=1)] = 1999,
    splits: Annotated[int, Field(ge=1)] = 50,
    seed: int = 0,
) -> xr.Dataset:
    """Tuning of every unit.

    Parameters
    ----------
    recording : Dataset
        With ``state`` (flow, trial, time, velocity, channel, y, x), with orientation after channel if it has
        some, or (flow, trial, time, unit); and the velocity of each object, ``object_velocity_vy`` and the
        like.
    since : int, optional
        First frame that counts; by default the later half does.
    response : {"rectified", "magnitude"}
        What is averaged: max(h, 0), or abs(h), where the sign of a unit means nothing.
    level : float
        Adjusted p-values up to this are significant.
    permutations, splits, seed : int
        Permutations of the labels of flows within each trial; splits of trials into halves; seed of both.

    Returns
    -------
    Dataset
        Over ``unit``: ``channel``, and ``own`` (component), the velocity of its velocity channel;
        ``response`` (flow), mean over trials, and its ``sem``; ``preferred`` (component), the flow of the
        strongest response, and ``mean_velocity`` (component), weighted by the response above its minimum;
        ``direction`` (deg), ``circular_variance``, ``half_width`` (deg); ``direction_selectivity``, and
        held out, ``direction_selectivity_cv``; ``speed_selectivity``, (max - min) / (max + min) of the mean
        over flows of each speed, rest included; ``reliability``, split half; ``p``, ``p_adjusted`` and
        ``tuned`` (test), of the hypothesis that within trials the labels of all flows (velocity: the sum of
        squares of the curve), or of those that move (direction: the length of its first circular moment),
        could be exchanged. Silent and flat units are not tuned and prefer nothing. With one trial
        (``resting``), what needs more is NaN.

    Raises
    ------
    InputError
        If no trial rests in the reference, no flow moves, no frame counts, or the state contains NaN or
        infinity.
    """
    state = coordinates.variable(
        recording, "state", coordinates.STATE, coordinates.ORIENTED, coordinates.UNITS
    )
    curves = _curves(recording, state, since, response)
    rng = np.random.default_rng(seed)
    measures = tuning.measures(curves.by_trial, curves.plane, splits, rng)
    p = _p_values(curves, np.isnan(measures["direction"]), permutations, rng)
    channel, own = _channels(recording, state, curves.units)
    return _packed(recording, curves, measures, p, level, channel, own)


@dataclass(frozen=True)
class Curves:
    """Tuning curves of all units.

    Parameters
    ----------
    by_trial : array (trial, flow, unit)
        Responses in the trials whose objects rest.
    velocities : array (flow, component)
    plane : complex array (flow)
        The same in the plane of `flowsim.measures.tuning`.
    """

    by_trial: np.ndarray
    velocities: np.ndarray
    plane: np.ndarray

    @property
    def trials(self) -> int:
        return self.by_trial.shape[0]

    @property
    def units(self) -> int:
        return self.by_trial.shape[2]

    @property
    def mean(self) -> np.ndarray:
        """Mean over trials (flow, unit)."""
        return self.by_trial.mean(0)

    @property
    def active(self) -> np.ndarray:
        """Which units are neither silent nor flat (unit)."""
        return np.ptp(self.mean, axis=0) > tuning.FLAT * self.mean.mean(0)

    def standard_error(self) -> np.ndarray:
        """Of the mean (flow, unit); NaN for one trial."""
        if self.trials < 2:
            return np.full_like(self.mean, np.nan)
        return self.by_trial.std(0, ddof=1) / self.trials**0.5


def _curves(recording: xr.Dataset, state: xr.DataArray, since: int | None, response: str) -> Curves:
    """Responses over the frames that count, in the trials whose objects rest."""
    flows, times = coordinates.flows(recording), recording.time.values
    plane = tuning.plane(flows)
    resting = ground_truth.resting_trials(recording)
    first = times[len(times) // 2] if since is None else since
    late = np.flatnonzero(times >= first)
    if not plane.any():
        raise InputError("velocity_tuning needs flows besides the reference; make a probe with some")
    if not len(late):
        raise InputError(
            f"expected frames from {since} on (since); the recording ends with frame {times[-1]}"
        )
    by_trial = tuning.responses(state, resting, late, response)
    return Curves(by_trial, ground_truth.flow_velocities(recording), plane)


def _p_values(
    curves: Curves, no_direction: np.ndarray, permutations: int, rng: np.random.Generator
) -> np.ndarray:
    """p-values (test, unit); 1 for units that are flat or, of direction, prefer none; NaN for one trial."""
    if curves.trials < 2:
        return np.full((len(TESTS), curves.units), np.nan)
    flows, moving = len(curves.plane), curves.plane != 0
    velocity = tuning.exchangeable(curves.by_trial, np.eye(flows), permutations, rng)
    direction = tuning.exchangeable(
        curves.by_trial[:, moving], tuning.moment(curves.plane)[:, moving], permutations, rng
    )
    velocity[~curves.active] = 1
    direction[no_direction] = 1
    return np.stack([velocity, direction])


def _preferences(curves: Curves) -> tuple[np.ndarray, np.ndarray]:
    """Velocity of the strongest response, and mean weighted by the response above its minimum.

    Both (unit, component); NaN for silent and flat units.
    """
    preferred, mean_velocity = np.full((2, curves.units, curves.velocities.shape[1]), np.nan)
    responses = curves.mean[:, curves.active]
    above = responses - responses.min(0)
    preferred[curves.active] = curves.velocities[responses.argmax(0)]
    mean_velocity[curves.active] = (above / above.sum(0)).T @ curves.velocities
    return preferred, mean_velocity


def _channels(recording: xr.Dataset, state: xr.DataArray, units: int) -> tuple[np.ndarray, np.ndarray]:
    """Channel (unit) of each unit, and the velocity of its velocity channel (unit, component).

    Velocities are NaN unless the state has several, of the group of the flows.
    """
    group = coordinates.group(recording, "flow")
    no_velocity = np.full((units, len(group.components)), np.nan)
    if state.dims == coordinates.UNITS:
        return np.arange(units), no_velocity
    velocities, channels = state.sizes["velocity"], state.sizes["channel"]
    channel = np.tile(np.arange(channels), velocities)
    if velocities < 2 or coordinates.group(recording, "velocity") != group:
        return channel, no_velocity
    own = np.array(coordinates.grid(recording).velocities, float)
    return channel, np.repeat(own, channels, 0)


def _packed(
    recording: xr.Dataset,
    curves: Curves,
    measures: dict[str, np.ndarray],
    p: np.ndarray,
    level: float,
    channel: np.ndarray,
    own: np.ndarray,
) -> xr.Dataset:
    """All results with their coordinates and units."""
    units = dict.fromkeys(measures, "1") | {"direction": "deg", "half_width": "deg"}
    preferred, mean_velocity = _preferences(curves)
    adjusted = np.apply_along_axis(statistics.false_discovery, -1, p)
    tuned = np.where(np.isnan(p), np.nan, adjusted <= level)
    per_component, per_test = ("unit", "component"), ("test", "unit")
    return xr.Dataset(
        {name: ("unit", values, {"units": units[name]}) for name, values in measures.items()}
        | {
            "response": (("unit", "flow"), curves.mean.T),
            "sem": (("unit", "flow"), curves.standard_error().T),
            "channel": ("unit", channel),
            "own": (per_component, own),
            "preferred": (per_component, preferred),
            "mean_velocity": (per_component, mean_velocity),
            "p": (per_test, p, {"units": "1"}),
            "p_adjusted": (per_test, adjusted, {"units": "1"}),
            "tuned": (per_test, tuned, {"units": "1"}),
            "resting": curves.trials,
        },
        {
            "unit": np.arange(curves.units),
            "test": list(TESTS),
            "component": list(coordinates.group(recording, "flow").components),
            "right": ("flow", curves.plane.real),
            "up": ("flow", curves.plane.imag),
            "velocities": (("flow", "component"), curves.velocities),
        }
        | recorded.flow_coords(recording),
    )


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table, as far as trials and channels suffice."""
    numbers = {f"share of units tuned to {test}": results.tuned.sel(test=test).mean("unit") for test in TESTS}
    numbers |= {
        "median direction selectivity, held out": results.direction_selectivity_cv.median("unit"),
        "median reliability of tuning": results.reliability.median("unit"),
        "share of units that prefer their own velocity, if it was shown": _share_of_own(results),
    }
    return {label: values for label, values in numbers.items() if values.notnull().any()}


def _share_of_own(results: xr.Dataset) -> xr.DataArray:
    """Share (run) of units that prefer the velocity of their channel.

    Of the units that prefer any, in channels whose velocity was among the flows; NaN if there are none.
    """
    was_a_flow = (results.own == results.velocities).all("component").any("flow")
    known = was_a_flow & results.preferred.notnull().all("component")
    return (results.own == results.preferred).all("component").where(known).mean("unit")


def figure(results: xr.Dataset) -> Figure:
    """Per network: responses of three units, preferred directions of all, and shares of tuned units."""
    import matplotlib.pyplot as plt

    rows = len(plot.networks(results))
    fig = plt.figure(figsize=(plot.PAGE, 1.45 * rows + 0.5))
    grid = fig.add_gridspec(rows, EXAMPLES + 2, width_ratios=[*[1] * EXAMPLES, 1.25, 1.35])
    for row, (name, colour, runs) in enumerate(panels.each_network(results)):
        last = row == rows - 1
        for column, unit in enumerate(_examples(runs.isel(run=0))):
            ax = fig.add_subplot(grid[row, column])
            _draw_curve(ax, unit)
            ax.set_ylabel("" if column else name, fontsize=9, fontweight="bold")
            ax.set_xlabel(coordinates.group(unit, "flow").plane_label if last else "", fontsize=8)
            ax.tick_params(labelsize=7, labelbottom=last)
        _draw_directions(fig.add_subplot(grid[row, EXAMPLES], projection="polar"), runs, colour)
        ax = fig.add_subplot(grid[row, EXAMPLES + 1])
        _draw_shares(ax, runs, colour)
        ax.set_xlabel("tuned units (%)" if last else "")
    trials = f"n = {int(results.resting.min())} resting trials"
    fig.suptitle(f"{results.sizes['flow']} flows, {trials}, {plot.seeds(results)}", fontsize=9)
    return fig


def _examples(run: xr.Dataset) -> list[xr.Dataset]:
    """The most selective units of a run, of different preferred velocities as far as there are."""
    prefers = run.preferred.notnull().all("component")
    by_selectivity = np.argsort(run.circular_variance.where(prefers).values)
    seen: set[tuple[float, ...]] = set()
    first_of_velocity: list[int] = []
    others: list[int] = []
    for unit in by_selectivity.tolist():
        preferred = tuple(run.preferred.values[unit])
        (others if preferred in seen else first_of_velocity).append(unit)
        seen.add(preferred)
    chosen = [*first_of_velocity, *others][:EXAMPLES]
    return [run.isel(unit=unit) for unit in chosen if bool(prefers[unit])]


def _draw_curve(ax: Axes, unit: xr.Dataset) -> None:
    """One unit over the plane of velocities, or over the component that varies."""
    right, up, response = unit.right.values, unit.up.values, unit.response.values
    is_plane = bool(up.any())
    if is_plane:
        _draw_plane(ax, right, up, response)
        height = up
    else:
        order = np.argsort(right)
        error = np.nan_to_num(unit.sem.values)
        ax.errorbar(right[order], response[order], error[order], color="0.5", lw=1)
        height = response
    best, own = response.argmax(), (unit.velocities == unit.own).all("component").values
    ax.plot(right[best], height[best], "x", ms=7, color="black")
    ax.plot(right[own], height[own], "o", ms=9, color="none", mec="white" if is_plane else "black", mew=1.5)
    ax.set_title(f"channel {int(unit.channel)}\nreliability {float(unit.reliability):.2f}", fontsize=7)


def _draw_plane(ax: Axes, right: np.ndarray, up: np.ndarray, response: np.ndarray) -> None:
    """A response to each flow as a map of the plane; velocities that no flow has stay blank."""
    columns, column = np.unique(right.round(9), return_inverse=True)
    rows, row = np.unique(up.round(9), return_inverse=True)
    cells = np.full((len(rows), len(columns)), np.nan)
    cells[row, column] = response
    ax.set_aspect("equal")
    ax.pcolormesh(columns, rows, cells, shading="nearest", cmap="viridis")


def _draw_directions(ax: Axes, runs: xr.Dataset, colour: panels.Colour) -> None:
    """Preferred direction and selectivity of each unit of all seeds."""
    angle = np.deg2rad(runs.direction.values.ravel())
    selectivity = 1 - runs.circular_variance.values.ravel()
    tuned = runs.tuned.sel(test="direction").values.ravel() == 1
    for chosen, face in ((~tuned, "none"), (tuned, colour)):
        ax.scatter(
            angle[chosen], selectivity[chosen], s=9, lw=0.6, edgecolor=[colour], facecolor=face, alpha=0.7
        )
    top = max(np.nanmax(selectivity, initial=0) * 1.05, 1e-3)
    ax.set_ylim(0, top)
    ax.set_rticks([top / 2, top], [f"{top / 2:.1g}", f"{top:.1g}"], fontsize=6)
    ax.set_xticks(np.deg2rad([0, 90, 180, 270]), [])
    ax.set_title(f"n = {np.isfinite(angle).sum()} units", fontsize=7)


def _draw_shares(ax: Axes, runs: xr.Dataset, colour: panels.Colour) -> None:
    """Percent of tuned units, with seeds as dots; in the title those that prefer their own velocity."""
    for row, test in enumerate(TESTS):
        tuned = runs.tuned.sel(test=test)
        units, hits = int(tuned.notnull().sum()), int((tuned == 1).sum())
        if not units:
            ax.text(50, row, "one resting trial:\nno test", fontsize=7, ha="center", va="center")
            continue
        low, high = statistics.wilson_interval(hits, units)
        ax.barh(row, 100 * hits / units, color=colour, alpha=0.5)
        ax.plot([100 * low, 100 * high], [row, row], color="black", lw=1.5)
        by_seed = 100 * tuned.mean("unit")
        ax.plot(by_seed, [row] * len(by_seed), "o", ms=3, color=colour, mec="black", mew=0.5)
    ax.set(xlim=(0, 103), ylim=(1.5, -0.5))
    ax.set_yticks(range(len(TESTS)), TESTS, fontsize=8)
    ax.tick_params(axis="x", labelsize=7)
    own = _share_of_own(runs)
    if bool(own.notnull().any()):
        ax.set_title(f"{100 * float(own.mean()):.0f} % prefer\ntheir own velocity", fontsize=7)
