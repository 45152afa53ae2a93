r"""Which units answer to which motion?

A unit (a channel of a velocity channel, or one unit of a network without space) responds to a flow u of the
whole frame with r(u): its rectified activity, averaged over space (and orientations) and over the later
frames, when the flow has been seen for a while. Only trials whose objects all rest in the reference count:
in those, what is seen moves at u and at nothing else. Trials differ in content, which changes r much more
than u does. They are the replicates throughout: a unit is tuned if its curve is the same over contents, and
not if each content has a curve of its own.

Directions, selectivity, width, reliability and p-values are those of `flowsim.measures.tuning`, which
states how each is estimated, and its source. Significance is corrected for the number of units (Benjamini
and Hochberg 1995). P-values are those of an F test, which takes the means over trials as normal, and have no
smallest one. Without that, as by flipping the signs of n trials, none could be below 2^(1-n): smaller ones
rest on it.
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
from flowsim.specification import Count, Seed, Whole, checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = "probe"
QUESTION = "Which units answer to which motion?"
READING = (
    "Left: responses (mean rectified activity) of the three most selective units of each network's first "
    "seed to flows of the whole frame. Bright is strong, each unit on its own scale; a cross marks the "
    "strongest response, a ring the velocity of the unit's velocity channel (equal modulo the frame). "
    "Reliability is a correlation between halves of the trials, 0 for noise. Middle: preferred directions of "
    "all units, as displayed on the screen; further out is more selective (1 - circular variance, which is "
    "above 0 for noise too), and filled dots are significant. Silent and flat units prefer nothing: they are "
    "left out of left and middle, and of the share that prefers its own velocity. Right: share of all units "
    "whose response, over contents, depends on velocity, and on direction at one speed; a share is 0 for "
    "noise, as p-values (repeated measures over trials) are corrected for the number of units. With 3 or 4 "
    "trials, small p-values are not to be relied on: where the noise is mostly in one direction, p is below "
    ".001 in 1 to 2 % of units that are not tuned. Bars are arithmetic means over seeds, dots are seeds, and "
    "lines 95 % intervals over the units of all seeds (Wilson), which take units as independent. Above, as "
    "arithmetic means over seeds: the share of units that prefer the velocity of their own velocity channel, "
    "and its chance level, if channels had their velocities in any other order."
)
TESTS = ("velocity", "direction")
EXAMPLES = 3
"""Units of each network whose curves are drawn."""


@checked
def analyse(
    recording: xr.Dataset,
    *,
    since: Whole | None = None,
    response: Literal["rectified", "magnitude"] = "rectified",
    level: Annotated[float, Field(gt=0, lt=1)] = 0.05,
    permutations: Count = 1999,
    splits: Count = 50,
    seed: Seed = 0,
) -> xr.Dataset:
    """Tuning of every unit.

    Parameters
    ----------
    recording : Dataset
        With ``state`` (flow, trial, time, velocity, channel, y, x), with orientation after channel if it has
        some, or (flow, trial, time, unit); with the flow at rest, the reference, and another; and the
        velocity of each object, ``object_velocity_vy`` and the like.
    since : int, optional
        First frame that counts; by default the later half does.
    response : {"rectified", "magnitude"}
        What is averaged: max(h, 0), or abs(h), where the sign of a unit means nothing.
    level : float
        Adjusted p-values up to this are significant.
    permutations, splits, seed : int
        Orders of the velocity channels, for the p-value of the share of units that prefer their own velocity;
        splits of trials into halves; seed of both.

    Returns
    -------
    Dataset
        Over ``unit``: ``channel``, and ``own`` (component), the velocity of its velocity channel, and
        ``own_flow`` (flow), 1 for flows of that velocity modulo the period of the velocity grid;
        ``response`` (flow), mean over trials, and its ``sem``; ``preferred`` (component), the flow of the
        strongest response, and ``mean_velocity`` (component), weighted by the response above its minimum;
        ``direction`` (deg), ``circular_variance``, ``half_width`` (deg); ``direction_selectivity``, and
        held out, ``direction_selectivity_cv``; ``speed_selectivity``, (max - min) / (max + min) of the mean
        over flows of each speed, rest included; ``reliability``, split half; ``p``, ``p_adjusted`` and
        ``tuned`` (test), of the hypotheses that the mean curve over contents is flat (velocity), and that it
        has no first circular moment besides that of its tuning to speed (direction; NaN where no two flows
        have one speed). Silent and flat units are not tuned and prefer nothing.

        Of all units: ``own_share``, of those that prefer the velocity of their channel modulo the period,
        among the ``own_units`` that prefer any and whose velocity was a flow; ``own_chance`` and ``own_p``,
        if channels had their velocities in another order; ``floor_of_signs``, below which p-values rest on
        normality, and ``threshold_of_one``, below which p must be for a single unit to be tuned. With one
        trial (``resting``), what needs more is NaN.

    Raises
    ------
    InputError
        If no trial rests in the reference, no flow is at rest or none moves, no frame counts, or the state
        contains NaN or infinity.
    """
    recording = recorded.reference_first(recording)
    state = coordinates.variable(
        recording, "state", coordinates.STATE, coordinates.ORIENTED, coordinates.UNITS
    )
    curves = _curves(recording, state, since, response)
    rng = np.random.default_rng(seed)
    measures = tuning.measures(curves.by_trial, curves.plane, splits, rng)
    p = _p_values(curves, np.isnan(measures["direction"]))
    channels = _channels(recording, state, curves)
    own = tuning.own_preference(curves.preferred, channels.velocity, channels.is_own, permutations, rng)
    return _packed(recording, curves, measures, p, level, channels).assign(
        {f"own_{name}": value for name, value in own.items()}
    )


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

    @property
    def preferred(self) -> np.ndarray:
        """Flow of the strongest response (unit); -1 for silent and flat units."""
        return np.where(self.active, self.mean.argmax(0), -1)

    def standard_error(self) -> np.ndarray:
        """Of the mean (flow, unit); NaN for one trial."""
        if self.trials < 2:
            return np.full_like(self.mean, np.nan)
        return self.by_trial.std(0, ddof=1) / self.trials**0.5


@dataclass(frozen=True)
class Channels:
    """What units are part of.

    Parameters
    ----------
    channel, velocity : arrays of int (unit)
        Channel, and velocity channel.
    own : array (unit, component)
        Velocity of the velocity channel; NaN unless the state has several, of the group of the flows.
    is_own : array of bool (velocity channel, flow)
        Whether a flow has this velocity, modulo the period of the velocity grid.
    """

    channel: np.ndarray
    velocity: np.ndarray
    own: np.ndarray
    is_own: np.ndarray


def _curves(recording: xr.Dataset, state: xr.DataArray, since: int | None, response: str) -> Curves:
    """Responses over the frames that count, in the trials whose objects rest."""
    flows, times = coordinates.flows(recording), recording.time.values
    plane = tuning.plane(flows)
    resting = ground_truth.resting_trials(recording)
    first = times[len(times) // 2] if since is None else since
    late = np.flatnonzero(times >= first)
    if not len(late):
        raise InputError(
            f"expected frames from {since} on (since); the recording ends with frame {times[-1]}"
        )
    by_trial = tuning.responses(state, resting, late, response)
    return Curves(by_trial, ground_truth.flow_velocities(recording), plane)


def _p_values(curves: Curves, no_direction: np.ndarray) -> np.ndarray:
    """p-values (test, unit); 1 for units that are flat or, of direction, prefer none; NaN for one trial."""
    if curves.trials < 2:
        return np.full((len(TESTS), curves.units), np.nan)
    velocity = tuning.p_velocity(curves.by_trial)
    direction = tuning.p_direction(curves.by_trial, curves.plane)
    velocity[~curves.active] = 1
    direction[no_direction & np.isfinite(direction)] = 1
    return np.stack([velocity, direction])


def _preferences(curves: Curves) -> tuple[np.ndarray, np.ndarray]:
    """Velocity of the strongest response, and mean weighted by the response above its minimum.

    Both (unit, component); NaN for silent and flat units.
    """
    preferred, mean_velocity = np.full((2, curves.units, curves.velocities.shape[1]), np.nan)
    responses = curves.mean[:, curves.active]
    above = responses - responses.min(0)
    preferred[curves.active] = curves.velocities[curves.preferred[curves.active]]
    mean_velocity[curves.active] = (above / above.sum(0)).T @ curves.velocities
    return preferred, mean_velocity


def _channels(recording: xr.Dataset, state: xr.DataArray, curves: Curves) -> Channels:
    """What each unit is part of."""
    group = coordinates.group(recording, "flow")
    no_velocity = np.full((curves.units, len(group.components)), np.nan)
    if state.dims == coordinates.UNITS:
        one = np.zeros(curves.units, int)
        return Channels(np.arange(curves.units), one, no_velocity, np.zeros((1, len(curves.plane)), bool))
    velocities, channels = state.sizes["velocity"], state.sizes["channel"]
    channel = np.tile(np.arange(channels), velocities)
    velocity = np.repeat(np.arange(velocities), channels)
    if velocities < 2 or coordinates.group(recording, "velocity") != group:
        return Channels(channel, velocity, no_velocity, np.zeros((velocities, len(curves.plane)), bool))
    grid = coordinates.grid(recording)
    own = np.array(grid.velocities, float)
    period = np.array(grid.period or [np.inf] * own.shape[1], float)
    apart = own[:, None] - curves.velocities
    finite = np.isfinite(period)
    apart[..., finite] -= period[finite] * np.round(apart[..., finite] / period[finite])
    return Channels(channel, velocity, own[velocity], (abs(apart) < 1e-9).all(-1))


def _packed(
    recording: xr.Dataset,
    curves: Curves,
    measures: dict[str, np.ndarray],
    p: np.ndarray,
    level: float,
    channels: Channels,
) -> xr.Dataset:
    """All results with their coordinates and units."""
    units = dict.fromkeys(measures, "1") | {"direction": "deg", "half_width": "deg"}
    preferred, mean_velocity = _preferences(curves)
    adjusted = np.apply_along_axis(statistics.false_discovery, -1, p)
    tuned = np.where(np.isnan(p), np.nan, adjusted <= level)
    tested = np.isfinite(p).sum(-1).max()
    per_component, per_test = ("unit", "component"), ("test", "unit")
    return xr.Dataset(
        {name: ("unit", values, {"units": units[name]}) for name, values in measures.items()}
        | {
            "response": (("unit", "flow"), curves.mean.T),
            "sem": (("unit", "flow"), curves.standard_error().T),
            "channel": ("unit", channels.channel),
            "own": (per_component, channels.own),
            "own_flow": (("unit", "flow"), channels.is_own[channels.velocity].astype(np.int8)),
            "preferred": (per_component, preferred),
            "mean_velocity": (per_component, mean_velocity),
            "p": (per_test, p, {"units": "1"}),
            "p_adjusted": (per_test, adjusted, {"units": "1"}),
            "tuned": (per_test, tuned, {"units": "1"}),
            "floor_of_signs": 2.0 ** (1 - curves.trials) if curves.trials > 1 else np.nan,
            "threshold_of_one": level / tested if tested else np.nan,
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
    tuned = {test: results.tuned.sel(test=test).mean("unit") for test in TESTS}
    shares = {
        f"share of units tuned to {test}": values.assign_attrs(chance=0.0) for test, values in tuned.items()
    }
    shares["share of units that prefer the velocity of their channel, if shown"] = _share_of_own(results)
    indices = {
        "median direction selectivity of units, held out": results.direction_selectivity_cv.median("unit"),
        "median reliability of the tuning of units": results.reliability.median("unit"),
    }
    numbers = {label: values.assign_attrs(bounds=(0.0, 1.0)) for label, values in shares.items()}
    numbers |= {
        label: values.assign_attrs(bounds=(-1.0, 1.0), chance=0.0) for label, values in indices.items()
    }
    return {label: values for label, values in numbers.items() if values.notnull().any()}


def _share_of_own(results: xr.Dataset) -> xr.DataArray:
    """``own_share`` (run), with its chance level where all runs have the same."""
    chance = results.own_chance.values[np.isfinite(results.own_chance.values)]
    same = chance.size and np.ptp(chance) < 1e-9
    return results.own_share.assign_attrs({"chance": float(chance[0])} if same else {})


def figure(results: xr.Dataset) -> Figure:
    """Per network: responses of three units, preferred directions of all, and shares of tuned units."""
    rows = len(plot.networks(results))
    most_selective = max(float((1 - results.circular_variance).fillna(0).max()), 1e-3)
    fig = plot.figure(figsize=(plot.PAGE, 1.45 * rows + 0.5))
    grid = fig.add_gridspec(rows, EXAMPLES + 2, width_ratios=[*[1] * EXAMPLES, 1.25, 1.35])
    for row, (name, colour, runs) in enumerate(panels.each_network(results)):
        last = row == rows - 1
        units = _examples(runs.isel(run=0))
        for column in range(EXAMPLES):
            ax = fig.add_subplot(grid[row, column])
            ax.set_ylabel("" if column else name, fontsize=9, fontweight="bold")
            if column >= len(units):
                _draw_no_example(ax, len(units))
                continue
            group = coordinates.group(runs, "flow")
            _draw_curve(ax, units[column])
            in_the_middle = column == min(EXAMPLES, len(units)) // 2
            ax.set_xlabel(group.plane_label if last and in_the_middle else "", fontsize=8)
            if -1j in group.plane and bool(units[column].up.any()):
                ax.yaxis.set_major_formatter(_downwards)
            ax.tick_params(labelsize=7, labelbottom=last)
        _draw_directions(
            fig.add_subplot(grid[row, EXAMPLES], projection="polar"), runs, colour, most_selective
        )
        ax = fig.add_subplot(grid[row, EXAMPLES + 1])
        _draw_shares(ax, runs, colour)
        ax.set_xlabel("tuned units (%)" if last else "")
    trials = f"n = {plot.span(results.resting)} resting trials{_assumed(results)}"
    fig.suptitle(f"{results.sizes['flow']} flows, {trials}, {plot.seeds(results)}", fontsize=9)
    return fig


def _downwards(up: float, _: int) -> str:
    """The number at a tick of an axis on which positive is down."""
    return f"{-up or 0:g}".replace("-", "−")


def _assumed(results: xr.Dataset) -> str:
    """Words for the title where so few trials rest that whether a unit is tuned rests on normality."""
    few = results.floor_of_signs > results.threshold_of_one
    return f" (p below {float(results.floor_of_signs.max()):.2g} assume normality)" if bool(few.any()) else ""


def _examples(run: xr.Dataset) -> list[xr.Dataset]:
    """The most selective units of a run, of different preferred velocities as far as there are.

    Silent and flat units, which prefer nothing, are no examples: there may be fewer than `EXAMPLES`.
    """
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


def _draw_no_example(ax: Axes, others: int) -> None:
    """Say that no unit, or none but the others, prefers any velocity."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    note = f"{'no other' if others else 'no'} unit\nprefers any\nvelocity"
    ax.text(0.5, 0.5, note, transform=ax.transAxes, ha="center", va="center", fontsize=7)


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
    best, own = response.argmax(), unit.own_flow.values == 1
    ax.plot(right[best], height[best], "x", ms=7, color="black")
    ax.plot(right[own], height[own], "o", ms=9, color="none", mec="white" if is_plane else "black", mew=1.5)
    reliability = float(unit.reliability)
    known = "unknown" if np.isnan(reliability) else f"{reliability:.2f}"
    ax.set_title(f"channel {int(unit.channel)}\nreliability {known}", fontsize=7)


def _draw_plane(ax: Axes, right: np.ndarray, up: np.ndarray, response: np.ndarray) -> None:
    """A response to each flow as a map of the plane, or as a disc where velocities are on no grid."""
    ax.set_aspect("equal")
    if len(np.unique(right.round(9))) * len(np.unique(up.round(9))) > len(response):
        ax.scatter(right, up, c=response, s=110, cmap="viridis", lw=0)
        ax.margins(0.2)
        return
    columns, column = np.unique(right.round(9), return_inverse=True)
    rows, row = np.unique(up.round(9), return_inverse=True)
    cells = np.full((len(rows), len(columns)), np.nan)
    cells[row, column] = response
    ax.pcolormesh(columns, rows, cells, shading="nearest", cmap="viridis")


def _draw_directions(ax: Axes, runs: xr.Dataset, colour: panels.Colour, most_selective: float) -> None:
    """Preferred direction and selectivity of each unit of all seeds, to the scale of all networks."""
    from matplotlib.ticker import MaxNLocator

    angle = np.deg2rad(runs.direction.values.ravel())
    selectivity = 1 - runs.circular_variance.values.ravel()
    tuned = runs.tuned.sel(test="direction").values.ravel() == 1
    for chosen, face in ((~tuned, "none"), (tuned, colour)):
        ax.scatter(
            angle[chosen], selectivity[chosen], s=9, lw=0.6, edgecolor=[colour], facecolor=face, alpha=0.7
        )
    rings = [ring for ring in MaxNLocator(2, steps=[1, 2, 5, 10]).tick_values(0, most_selective) if ring > 0]
    ax.set_ylim(0, 1.03 * max(rings[-1], most_selective))
    ax.set_rticks(rings, [f"{ring:g}" for ring in rings], fontsize=6)
    ax.set_xticks(np.deg2rad([0, 90, 180, 270]), [])
    units = int(runs.channel.notnull().sum())
    ax.set_title(f"{np.isfinite(angle).sum()} of {units} units\nprefer a direction", fontsize=7)


def _draw_shares(ax: Axes, runs: xr.Dataset, colour: panels.Colour) -> None:
    """Percent of tuned units, with seeds as dots; in the title those that prefer their own velocity.

    Beside these, their chance level.
    """
    for row, test in enumerate(TESTS):
        tuned = runs.tuned.sel(test=test)
        units, hits = int(tuned.notnull().sum()), int((tuned == 1).sum())
        if not units:
            why = "one resting trial" if int(runs.resting.max()) < 2 else "no two flows\nof one speed"
            ax.text(50, row, f"{why}:\nno test", fontsize=7, ha="center", va="center")
            continue
        low, high = statistics.wilson_interval(hits, units)
        by_seed = 100 * tuned.mean("unit")
        ax.barh(row, by_seed.mean(), color=colour, alpha=0.5)
        ax.plot([100 * low, 100 * high], [row, row], color="black", lw=1.5)
        ax.plot(by_seed, [row] * len(by_seed), "o", ms=3, color=colour, mec="black", mew=0.5)
    ax.set(xlim=(0, 103), ylim=(1.5, -0.5))
    ax.set_yticks(range(len(TESTS)), TESTS, fontsize=8)
    ax.tick_params(axis="x", labelsize=7)
    if bool(runs.own_share.notnull().any()):
        own, chance = (100 * float(runs[name].mean()) for name in ("own_share", "own_chance"))
        units = int(runs.own_units.sum())
        ax.set_title(f"{own:.0f} % of {units} prefer their\nown velocity, chance {chance:.0f} %", fontsize=7)
