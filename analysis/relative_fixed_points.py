r"""Which states travel with the world and change in no other way, and do disturbances of them die out?

Recording has solved, for pictures that move at a velocity g, for states k with

    psi_1(g)^-1 F(k, psi_1(g) x) = k,       F(h, x) = update(advance(h), x)

the relative fixed points of the network's step from frame to frame, and for the eigenvalues of largest
modulus of that step about each, in the frame that moves along (`flowsim.recording.fixed_points`). Here they
are judged. A point counts as solved where the change that is left, relative to the state from which the
search began, is at most ``tolerance``; others are slow points, which change least nearby. The ``radius`` is
the largest modulus. Below 1, a solved point is stable: a disturbance fades as radius^t, to 1/e within the
``decay`` time -1 / log(radius). Above 1 the state is left. Where a state has decayed to 0 its ``size`` is 0,
and the point is that of a network that holds nothing.

If the network obeys the law transport+shift, fixed points under different flows are one and the same but for
the velocity channel, whose partner they take,

    k_g(v) = k_0(v - g)                                                         (shift)

at the time at which the picture is in the same place under all flows. The error of that, on channels with a
partner, is that of `flowsim.measures.law_error` (0: the law holds; 1: as wrong as the mean), beside it that
of k_g = k_0 (invariant), and the chance level: the error of the shift if it is told the fixed point of
another trial. ``distance`` is that between fixed points of different trials, over their root-mean-square
norm: 0 where the network ends in one state whatever it is shown.

Known answer: for linear channels, with W^(k) the Fourier transform of the recurrent kernel as a matrix over
channels, U^(k) that of the drive's and f^(k) of the picture,

    k^(v, k) = (1 - M)^-1 U^(k) f^(k),      multipliers = eigenvalues of M = exp(-i k.(v - g)) W^(k).

Sources: Sussillo and Barak (2013), Opening the black box, Neural Computation 25 (fixed points of recurrent
networks); Chossat and Lauterbach (2000), Methods in Equivariant Bifurcations and Dynamical Systems (relative
equilibria); Keller (2025), Flow Equivariant Recurrent Neural Networks, arXiv 2507.14793 (the law).
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.figures import panels, plot
from flowsim.files import coordinates
from flowsim.flows.law import Law
from flowsim.flows.velocity_grid import VelocityGrid
from flowsim.measures import recorded, statistics
from flowsim.measures.law_error import Comparison, Moments, eps_of, missed, relative
from flowsim.specification import AboveZero, checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = "probe"
QUESTION = "Which states travel with the world unchanged, and are they stable?"
READING = (
    "States that a picture moving at one velocity leaves unchanged, in the frame that moves along (relative "
    "fixed points). Left, the eigenvalues of largest modulus of the network's step about each (Floquet "
    "multipliers): within the circle, disturbances die out. Open marks are those about slow points, which "
    "change least nearby where no fixed point was found. Middle, the largest modulus by velocity of the "
    "picture, mean over trials with 95 % intervals; above the line at 1 the state is left. Right, how far "
    "the points under a moving picture are from those under the resting one: in the partner channel (shift) "
    "and in the same one (invariant), mean over moving flows; 0 means that the law holds, 1 that it is as "
    "wrong as the mean, and the line is the chance level, the shift told another trial. Only points that "
    "were solved for count there. Small dots are seeds."
)
LAWS = (Law(False, False), Law(False, True))
"""At the time at which all pictures are in one place transport moves nothing."""
PREFIX = "fixed_point"


@checked
def analyse(recording: xr.Dataset, *, tolerance: AboveZero = 1e-6) -> xr.Dataset:
    """Judge the relative fixed points of a recording.

    Parameters
    ----------
    recording : Dataset
        Made with the option ``fixed_points``; one of its flows is at rest.
    tolerance : float
        Largest change per frame, over the norm of the state from which the search began, of a solved point.

    Returns
    -------
    Dataset
        Over (flow, trial): ``residual``, ``size``, ``solved`` (1 or 0) and ``radius``, and NaN where not
        solved ``stable`` (1 or 0) and ``decay`` in frames (NaN too where nothing fades, or all does at once);
        ``multiplier_real`` and ``multiplier_imaginary`` (flow, trial, multiplier). Over flow: the mean
        ``radius_mean`` and half of its 95 % interval ``radius_interval`` over trials, and the mean
        ``distance`` between trials, NaN where fewer than two are solved. Over (law, flow), for the laws
        "invariant" and "shift": ``error``, ``chance`` and ``coverage``, NaN where the law says nothing, or no
        trial is solved under both the flow and rest. The resting flow comes first.

    Raises
    ------
    InputError
        If the recording holds no fixed points, none of its flows is at rest, or they contain NaN or infinity.
    """
    points = _read(recording)
    state, grid = _states(points)
    solved = points.residual.values <= tolerance
    return _packed(points, solved, _distances(state, solved), _law_errors(points, state, grid, solved))


def _read(recording: xr.Dataset) -> xr.Dataset:
    """The fixed points, called ``state``, and the rest without the prefix; the flow at rest first."""
    if PREFIX not in recording:
        raise InputError(
            f"expected the recording to hold {PREFIX!r}, solved for while it was made; it has none. Record "
            "with the option fixed_points, such as fixed_points: {}"
        )
    points = recording[[name for name in map(str, recording.data_vars) if name.startswith(PREFIX)]]
    points = points[[name for name in points.variables if str(name).startswith(PREFIX)]]
    names = {name: str(name).removeprefix(f"{PREFIX}_") for name in {*points.variables, *points.dims}}
    points = points.rename({**{old: new for old, new in names.items() if old != new}, PREFIX: "state"})
    recorded.require_finite(points.state, "fixed points")
    return recorded.reference_first(points, moving=0)


def _states(points: xr.Dataset) -> tuple[np.ndarray, VelocityGrid]:
    """States (flow, trial, time, velocity, channel, [orientation,] y, x) of one time, and their velocities;
    units without space are channels of one pixel at rest.
    """
    values = np.asarray(points.state.values, np.float64)[:, :, None]
    if "velocity" in points.sizes:
        return values, coordinates.grid(points)
    group = coordinates.flows(points)[0].group
    rest = VelocityGrid(group, ((0,) * len(group.components),))
    return values[:, :, :, None, :, None, None], rest


def _distances(state: np.ndarray, solved: np.ndarray) -> np.ndarray:
    """Mean distance (flow) between solved points of different trials, over their root-mean-square norm."""
    found = np.full(len(state), np.nan)
    for flow, (of_flow, known) in enumerate(zip(state, solved, strict=True)):
        vectors = of_flow[known].reshape(int(known.sum()), math.prod(of_flow.shape[1:]))
        if len(vectors) > 1:
            apart = [np.linalg.norm(a - b) for a, b in combinations(vectors, 2)]
            size = np.sqrt((vectors**2).sum(1).mean())
            found[flow] = recorded.ratio(np.mean(apart), size)
    return found


def _law_errors(
    points: xr.Dataset, state: np.ndarray, grid: VelocityGrid, solved: np.ndarray
) -> dict[str, np.ndarray]:
    """Error, chance level and coverage (law, flow)."""
    flows = coordinates.flows(points)
    coverage = np.array([[law.coverage(flow, grid) for flow in flows] for law in LAWS])
    error, chance = np.full_like(coverage, np.nan), np.full_like(coverage, np.nan)
    eps = eps_of(points.state.dtype)
    for j, flow in enumerate(flows):
        both = solved[0] & solved[j]
        if j == 0 or not both.any():
            continue
        pair = np.stack([state[0][both], state[j][both]])
        comparison = Comparison.of([flows[0], flow], LAWS, grid, "orientation" in points.dims)
        spread = Moments.of(pair).spread(eps)[0]
        covered = np.einsum("lv,vc->l", comparison.covered[:, 1].astype(float), spread)
        error[:, j] = relative(missed(pair, pair[0], [0], comparison)[:, 1].sum((1, 2, 3)), covered)
        if both.sum() > 1:
            other = np.roll(pair[0], 1, 0)
            chance[:, j] = relative(missed(pair, other, [0], comparison)[:, 1].sum((1, 2, 3)), covered)
    return {"error": error, "chance": chance, "coverage": coverage}


def _packed(
    points: xr.Dataset, solved: np.ndarray, distance: np.ndarray, of_laws: dict[str, np.ndarray]
) -> xr.Dataset:
    """The results as a dataset."""
    spectrum = ["multiplier_real", "multiplier_imaginary"]
    results = points[["residual", "size", *spectrum]].reset_coords(drop=True)
    results = results.assign_coords({**recorded.flow_coords(points), "trial": points.trial})
    each = xr.DataArray(solved, dims=("flow", "trial"))
    radius = np.hypot(results.multiplier_real, results.multiplier_imaginary).max("multiplier")
    fades = each & (radius > 0) & (radius < 1)
    mean, half_width = statistics.mean_interval(radius, "trial")
    decay = xr.full_like(radius, np.nan)
    decay.values[fades.values] = -1 / np.log(radius.values[fades.values])
    results = results.assign(
        solved=each.astype(np.int8).assign_attrs(long_name="solved for", units="1"),
        radius=radius.assign_attrs(long_name="largest modulus of a multiplier", units="1"),
        stable=(radius < 1).where(each & radius.notnull()).assign_attrs(long_name="stable", units="1"),
        decay=decay.assign_attrs(long_name="decay time of a disturbance", units="frame"),
        radius_mean=mean.assign_attrs(long_name="largest modulus, mean over trials", units="1"),
        radius_interval=half_width.assign_attrs(long_name="half-width of the interval", units="1"),
        distance=("flow", distance, {"long_name": "distance between trials", "units": "1"}),
    )
    long_names = {"error": "relative error", "chance": "relative error of another trial"}
    for name, values in of_laws.items():
        long_name = long_names.get(name, "share of channels with a partner")
        results[name] = (("law", "flow"), values, {"long_name": long_name, "units": "1"})
    results = results.assign_coords(law=[str(law) for law in LAWS])
    return results.assign_attrs(input=points.state.attrs.get("input", ""))


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table, those of which some are known."""
    share = {"bounds": (0.0, 1.0)}
    error = {"better": "lower", "bounds": (0.0, np.inf)}
    positive = {"bounds": (0.0, np.inf)}
    over = ("flow", "trial")
    shift = results.error.sel(law="shift", drop=True).mean("flow")
    numbers = {
        "share of relative fixed points that were found": results.solved.mean(over).assign_attrs(share),
        "share of stable points among the relative fixed points found": results.stable.mean(
            over
        ).assign_attrs(share),
        "largest modulus of multipliers about relative fixed points and slow points": results.radius.mean(
            over
        ).assign_attrs(positive),
        "distance between relative fixed points of different trials": results.distance.mean(
            "flow"
        ).assign_attrs(positive),
        "error of the shift between relative fixed points under different flows": shift.assign_attrs(error),
    }
    return {label: values for label, values in numbers.items() if values.notnull().any()}


def figure(results: xr.Dataset) -> Figure:
    """Multipliers in the complex plane, largest modulus by flow, and errors of laws."""
    fig, (plane, radius, laws) = plot.subplots(1, 3, figsize=(plot.PAGE, 2.9))
    _draw_multipliers(plane, results)
    _draw_radius(radius, results)
    _draw_laws(laws, results)
    plot.legend_below(results, plane)
    counts = int(results.solved.sum()), results.solved.size
    input_is = {"frame": "a moving picture", "prediction": "own predictions", "blank": "nothing"}
    shown = input_is.get(str(results.attrs.get("input", "")), "")
    words = f"{counts[0]} of {counts[1]} points solved for, {plot.seeds(results)}"
    fig.suptitle(f"input: {shown}; {words}" if shown else words, fontsize=9)
    return fig


def _draw_multipliers(ax: Axes, results: xr.Dataset) -> None:
    """All multipliers, and the unit circle."""
    angle = np.linspace(0, 2 * np.pi, 200)
    ax.plot(np.cos(angle), np.sin(angle), color="0.6", lw=0.8)
    for _, colour, runs in panels.each_network(results):
        for is_solved, fill in ((1, colour), (0, "white")):
            chosen = runs[["multiplier_real", "multiplier_imaginary"]].where(runs.solved == is_solved)
            real, imaginary = (values.values.ravel() for values in chosen.data_vars.values())
            ax.plot(real, imaginary, "o", ms=2.5, mew=0.6, color=colour, mfc=fill, alpha=0.7)
    ax.set(aspect="equal", xlabel="real part", ylabel="imaginary part", title="multipliers")


def _draw_radius(ax: Axes, results: xr.Dataset) -> None:
    """Largest modulus by flow, networks beside each other."""
    names = plot.networks(results)
    at = np.arange(results.sizes["flow"])
    for i, (_, colour, runs) in enumerate(panels.each_network(results)):
        x = at + 0.5 * ((i + 0.5) / len(names) - 0.5)
        mean, half_width = runs.radius_mean.mean("run"), runs.radius_interval.mean("run").fillna(0)
        ax.errorbar(x, mean, yerr=half_width, fmt="o", ms=3.5, lw=0.8, color=colour)
        for of_run in runs.radius_mean:
            ax.plot(x, of_run, ".", ms=2, color=colour, alpha=0.6)
    ax.axhline(1, color="0.6", lw=0.8)
    ax.set_xticks(at, _names_of_flows(results), rotation=0 if len(at) < 6 else 90, fontsize=7)
    unit = next(
        (c.attrs.get("units", "") for n, c in results.coords.items() if str(n).startswith("flow_")), ""
    )
    ax.set(xlabel=f"velocity of the picture ({unit})", title="largest modulus")


def _names_of_flows(results: xr.Dataset) -> list[str]:
    """Velocities in short."""
    components = [values.values for name, values in results.coords.items() if str(name).startswith("flow_")]
    return [", ".join(f"{c:g}" for c in velocity) for velocity in zip(*components, strict=True)]


def _draw_laws(ax: Axes, results: xr.Dataset) -> None:
    """Errors of both laws, mean over moving flows; networks beside each other."""
    moving = results[["error", "chance"]].isel(flow=slice(1, None)).mean("flow")
    if not bool(moving.error.notnull().any()):
        ax.text(0.5, 0.5, "no fixed points\nto compare", transform=ax.transAxes, ha="center", va="center")
        ax.set(title="error of the law", xticks=[], yticks=[])
        return
    laws = [str(law) for law in results.law.values]
    names = plot.networks(results)
    for i, (_, colour, runs) in enumerate(panels.each_network(moving)):
        x = np.arange(len(laws)) + 0.7 * ((i + 0.5) / len(names) - 0.5)
        width = 0.6 / len(names)
        mean = runs.mean("run")
        ax.bar(x, mean.error, width, color=colour)
        ax.hlines(mean.chance, x - width / 2, x + width / 2, color="0.2", lw=1)
        for of_run in runs.error:
            ax.plot(x, of_run, ".", ms=3, color="0.2", alpha=0.6)
    ax.set_xticks(np.arange(len(laws)), laws)
    ax.axhline(1, color="0.6", lw=0.8)
    ax.set(ylim=(0, None), title="error of the law")
