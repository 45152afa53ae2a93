r"""Which units answer to which motion?

A unit (a channel of a velocity channel, or one unit of a network without space) answers to a flow u of the
whole frame with r(u): its rectified activity, mean over space (and orientations) and over the later frames,
when the flow has been seen for a while. Only trials whose objects all rest in the reference count: in those
what is seen moves at u and at nothing else. Trials differ in content, which changes r much more than u does,
and are taken as blocks throughout.

Directions, selectivity, width, reliability and p-values are those of `flowsim.measures.tuning`, which states
how each is estimated, and its source. Significance is corrected for the number of units (Benjamini and
Hochberg 1995).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import xarray as xr
from pydantic import Field

from flowsim.errors import InputError
from flowsim.figures import plot
from flowsim.files import coordinates
from flowsim.measures import tuning

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from flowsim.flows.flow import Flow

READS = "probe"
QUESTION = "Which units answer to which motion?"
READING = (
    "Left, responses (mean rectified activity) of three units of each network's first seed to flows of the whole "
    "frame: bright is strong, each on its own scale; a cross marks the strongest, a ring the velocity of the state "
    "channel. Reliability is a correlation of halves of the trials. Middle, preferred directions of all units as "
    "displayed; further out is more selective (1 - circular variance), filled is significant. Right, units whose "
    "response depends on velocity, and on direction, corrected for the number of units: dots are seeds, lines 95 % "
    "intervals over units (Wilson), which take units as independent."
)
TESTS, SHOWN = ("velocity", "direction"), 3


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
        Of flow labels within each trial; of trials into halves; of both.

    Returns
    -------
    Dataset
        Over ``unit``: ``channel`` and ``own`` (component), of the state; ``response`` (flow), mean over
        trials, and its ``sem``; ``preferred`` (component), the flow of the strongest response, and
        ``mean_velocity`` (component), weighted by the response above its minimum; ``direction`` (deg),
        ``circular_variance``, ``half_width`` (deg); ``direction_selectivity``, and held out,
        ``direction_selectivity_cv``; ``speed_selectivity``, (max - min) / (max + min) of the mean over flows
        of each speed, rest included; ``reliability``, split half; ``p``, ``p_adjusted`` and ``tuned`` (test):
        whether labels of all flows (velocity: the sum of squares of the curve), or of moving ones (direction:
        the length of its first circular moment), could be exchanged within trials. Silent and flat units are
        not tuned and prefer nothing. Of one trial (``resting``), what needs more is NaN.

    Raises
    ------
    InputError
        If no trial rests in the reference, no flow moves, no frame counts, or states hold values that are no
        numbers.
    """
    state = coordinates.variable(
        recording, "state", coordinates.STATE, coordinates.ORIENTED, coordinates.UNITS
    )
    flows, times = coordinates.flows(recording), recording.time.values
    plane, resting = tuning.plane(flows), _resting(recording)
    late = np.flatnonzero(times >= (times[len(times) // 2] if since is None else since))
    if not plane.any():
        raise InputError("velocity_tuning needs flows besides the reference; make a probe with some")
    if not len(late):
        raise InputError(
            f"expected frames from {since} on (since); the recording ends with frame {times[-1]}"
        )
    by_trial = tuning.responses(state, resting, late, response)
    rng, several = np.random.default_rng(seed), len(resting) > 1
    of_unit = tuning.measures(by_trial, plane, splits, rng)
    curves, moving = by_trial.mean(0), plane != 0
    active = np.ptp(curves, axis=0) > tuning.FLAT * curves.mean(0)
    p, sem = np.full((len(TESTS), len(active)), np.nan), np.full_like(curves, np.nan)
    if several:
        p[0] = tuning.exchangeable(by_trial, np.eye(len(flows)), permutations, rng)
        p[1] = tuning.exchangeable(by_trial[:, moving], tuning.moment(plane)[:, moving], permutations, rng)
        p[0, ~active] = p[1, np.isnan(of_unit["direction"])] = 1
        sem = by_trial.std(0, ddof=1) / len(resting) ** 0.5
    from scipy.stats import false_discovery_control

    adjusted = false_discovery_control(p, axis=1) if several else p
    per_test = {"p": p, "p_adjusted": adjusted, "tuned": np.where(np.isnan(p), np.nan, adjusted <= level)}
    channel, own = _identity(recording, state, flows[0], len(active))
    velocity, above = (
        np.array([flow.velocity for flow in flows], float),
        curves[:, active] - curves[:, active].min(0),
    )
    preferred, mean_velocity = np.full((2, *own.shape), np.nan)
    preferred[active] = velocity[curves[:, active].argmax(0)]
    mean_velocity[active] = (above / above.sum(0)).T @ velocity
    per_component = {"own": own, "preferred": preferred, "mean_velocity": mean_velocity}
    degrees = {"direction": {"units": "deg"}, "half_width": {"units": "deg"}}
    return xr.Dataset(
        {name: ("unit", v, degrees.get(name, {"units": "1"})) for name, v in of_unit.items()}
        | {
            "response": (("unit", "flow"), curves.T),
            "sem": (("unit", "flow"), sem.T),
            "channel": ("unit", channel),
        }
        | {name: (("unit", "component"), v) for name, v in per_component.items()}
        | {name: (("test", "unit"), v, {"units": "1"}) for name, v in per_test.items()}
        | {"resting": len(resting)},
        {"unit": np.arange(len(active)), "test": list(TESTS), "component": list(flows[0].group.components)}
        | {
            "right": ("flow", plane.real),
            "up": ("flow", plane.imag),
            "velocities": (("flow", "component"), velocity),
        }
        | {name: c for name, c in recording.coords.items() if c.dims == ("flow",)},
    )


def _resting(recording: xr.Dataset) -> np.ndarray:
    """Indices of the trials whose objects all rest in the reference."""
    speeds = [abs(c) for name, c in recording.coords.items() if str(name).startswith("object_velocity_")]
    if not speeds:
        raise InputError(
            "expected the velocity of each object (object_velocity_vy, _vx); the recording has none"
        )
    still = sum(speeds[1:], speeds[0]) == 0
    resting = np.flatnonzero(still.all([d for d in still.dims if d != "trial"]).values)
    if not len(resting):
        raise InputError("velocity_tuning needs a probe with a trial whose objects all rest in the reference")
    return resting


def _identity(
    recording: xr.Dataset, state: xr.DataArray, flow: Flow, units: int
) -> tuple[np.ndarray, np.ndarray]:
    """Channel (unit) and velocity of the state (unit, component); NaN unless it has several, of the flows'
    group.
    """
    own = np.full((units, len(flow.velocity)), np.nan)
    if state.dims == coordinates.UNITS:
        return np.arange(units), own
    if coordinates.group(recording, "velocity") == flow.group and state.sizes["velocity"] > 1:
        own = np.repeat(np.array(coordinates.grid(recording).velocities, float), state.sizes["channel"], 0)
    return np.tile(np.arange(state.sizes["channel"]), state.sizes["velocity"]), own


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table, as far as trials and channels suffice."""
    found = {f"share of units tuned to {test}": results.tuned.sel(test=test).mean("unit") for test in TESTS}
    found |= {
        "median direction selectivity, held out": results.direction_selectivity_cv.median("unit"),
        "median reliability of tuning": results.reliability.median("unit"),
        "share of units that prefer their own velocity, if it was shown": _own(results),
    }
    return {label: values for label, values in found.items() if values.notnull().any()}


def _own(results: xr.Dataset) -> xr.DataArray:
    """Share (run) of units that prefer their own velocity, of those whose own was shown and that prefer any."""
    shown = (results.own == results.velocities).all("component").any("flow")
    known = shown & results.preferred.notnull().all("component")
    return (results.own == results.preferred).all("component").where(known).mean("unit")


def figure(results: xr.Dataset) -> Figure:
    """Per network: responses of three units, preferred directions of all, and shares of tuned units."""
    import matplotlib.pyplot as plt

    names, colours = plot.networks(results), plot.palette(results)
    fig = plt.figure(figsize=(plot.PAGE, 1.45 * len(names) + 0.5))
    spec = fig.add_gridspec(len(names), SHOWN + 2, width_ratios=[1] * SHOWN + [1.25, 1.35])
    for row, name in enumerate(names):
        runs = results.isel(run=np.flatnonzero(results["network"].values == name))
        for column, unit in enumerate(_examples(runs.isel(run=0))):
            _draw_curve(
                fig.add_subplot(spec[row, column]), unit, name if not column else "", row == len(names) - 1
            )
        _draw_directions(fig.add_subplot(spec[row, SHOWN], projection="polar"), runs, colours[name])
        ax = fig.add_subplot(spec[row, SHOWN + 1])
        _draw_shares(ax, runs, colours[name])
        if (own := _own(runs)).notnull().any():
            ax.set_title(f"{100 * float(own.mean()):.0f} % prefer\ntheir own velocity", fontsize=7)
        ax.set_xlabel("tuned units (%)" if row == len(names) - 1 else "")
    n = f"n = {int(results.resting.min())} resting trials"
    fig.suptitle(f"{results.sizes['flow']} flows, {n}, {plot.seeds(results)}", fontsize=9)
    return fig


def _examples(run: xr.Dataset) -> list[xr.Dataset]:
    """The most selective units of a run, of different preferred velocities where there are."""
    order = np.argsort(run.circular_variance.where(run.preferred.notnull().all("component")).values)
    kinds = [tuple(v) for v in run.preferred.values[order]]
    first = [kinds.index(kind) == i for i, kind in enumerate(kinds)]
    chosen = [*order[first], *order[np.logical_not(first)]][:SHOWN]
    return [run.isel(unit=i) for i in chosen if run.preferred.isel(unit=i).notnull().all()]


def _draw_curve(ax: Axes, unit: xr.Dataset, name: str, last: bool) -> None:
    """One unit over the plane of velocities, or over the component that varies."""
    right, up, response = unit.right.values, unit.up.values, unit.response.values
    planar, own = up.any(), (unit.velocities == unit.own).all("component").values
    if planar:
        (xs, i), (ys, j) = (np.unique(axis.round(9), return_inverse=True) for axis in (right, up))
        cells = np.full((len(ys), len(xs)), np.nan)
        cells[j, i] = response
        ax.set_aspect("equal")
        ax.pcolormesh(xs, ys, cells, shading="nearest", cmap="viridis")
    else:
        order = np.argsort(right)
        ax.errorbar(right[order], response[order], np.nan_to_num(unit.sem.values)[order], color="0.5", lw=1)
    height, best = up if planar else response, response.argmax()
    ax.plot(right[best], height[best], "x", ms=7, color="black")
    ax.plot(right[own], height[own], "o", ms=9, color="none", mec="white" if planar else "black", mew=1.5)
    ax.set_title(f"channel {int(unit.channel)}\nreliability {float(unit.reliability):.2f}", fontsize=7)
    ax.set_ylabel(name, fontsize=9, fontweight="bold")
    ax.tick_params(labelsize=7, labelbottom=last)
    ax.set_xlabel(
        ("→ and ↑ (px/frame)" if "vy" in unit.component else "velocity") if last else "", fontsize=8
    )


def _draw_directions(ax: Axes, runs: xr.Dataset, colour: tuple[float, ...]) -> None:
    """Preferred direction and selectivity of each unit of all seeds."""
    angle, radius = np.deg2rad(runs.direction.values.ravel()), 1 - runs.circular_variance.values.ravel()
    tuned = runs.tuned.sel(test="direction").values.ravel() == 1
    for chosen, look in ((~tuned, {"facecolor": "none"}), (tuned, {"facecolor": colour})):
        ax.scatter(angle[chosen], radius[chosen], s=9, lw=0.6, edgecolor=[colour], alpha=0.7, **look)
    top = max(np.nanmax(radius, initial=0) * 1.05, 1e-3)
    ax.set_ylim(0, top)
    ax.set_rticks([top / 2, top], [f"{top / 2:.1g}", f"{top:.1g}"], fontsize=6)
    ax.set_xticks(np.deg2rad([0, 90, 180, 270]), [])
    ax.set_title(f"n = {np.isfinite(angle).sum()} units", fontsize=7)


def _draw_shares(ax: Axes, runs: xr.Dataset, colour: tuple[float, ...]) -> None:
    """Percent of tuned units, with seeds as dots."""
    from scipy.stats import binomtest

    for i, test in enumerate(TESTS):
        tuned = runs.tuned.sel(test=test)
        n, hits = int(tuned.notnull().sum()), int((tuned == 1).sum())
        if n:
            low, high = binomtest(hits, n).proportion_ci(method="wilson")
            ax.barh(i, 100 * hits / n, color=colour, alpha=0.5)
            ax.plot([100 * low, 100 * high], [i, i], color="black", lw=1.5)
            ax.plot(
                100 * tuned.mean("unit"),
                [i] * runs.sizes["run"],
                "o",
                ms=3,
                color=colour,
                mec="black",
                mew=0.5,
            )
        else:
            ax.text(50, i, "one resting trial:\nno test", fontsize=7, ha="center", va="center")
    ax.set(xlim=(0, 103), ylim=(1.5, -0.5))
    ax.set_yticks(range(len(TESTS)), TESTS, fontsize=8)
    ax.tick_params(axis="x", labelsize=7)
