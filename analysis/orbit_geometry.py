r"""What shape is the orbit u -> h_t[psi(u) f]?

The states under all flows u of one input f, at one time t, are points of one orbit. It is looked at as it
lies (static), and with the transport undone (co-moving), psi_{-t}(u) h_t[psi(u) f], where a state that is
only transported stays at one point, and one that also shifts its velocity channels does just that. Of the
points: over how many dimensions they spread, how far (relative to their norm), how lines u = k e bend, and
which way they set out,

    [h_t(psi(e) f) - h_t(psi(-e) f)] / 2    against    [law_e h_t(f) - law_{-e} h_t(f)] / 2,    e along each
    component

by the principal angles between the two spans. These are secants between flows of the probe, on both sides:
where the law holds the angle is 0 whatever the size of e. Velocity channels without a partner under some e
are left out of both.

Sources: those of `flowsim.measures.orbit`; Keller (2025), Flow Equivariant Recurrent Neural Networks, for the
laws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch
import xarray as xr
from pydantic import Field

from flowsim.errors import InputError
from flowsim.figures import plot
from flowsim.files import coordinates
from flowsim.flows.flow import Flow
from flowsim.flows.law import LAWS
from flowsim.measures import orbit, tuning

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = "probe"
QUESTION = "What shape is the orbit of the state, as the flow of the world varies?"
READING = (
    "Left, states of one trial under all flows at one frame, in two principal components (with their share of the "
    "variance), as they lie (static) and with the transport undone (co-moving); colours are velocities, lines join "
    "neighbours; loops need flows that go all the way round. Right, by frame: dimensions over which an orbit spreads "
    "(at most one less than there are flows); angle between steps of lines of flows, -e, 0, e (0 is straight, 120 "
    "noise); size of the orbit, and the largest angle between the directions in which flows move the state and those "
    "in which the best law says (dotted: shuffled flows). Mean over trials, with 95 % intervals; thin lines are "
    "seeds."
)
YLABELS = {"participation": "dimensions", "curvature": "turn (deg/step)"}
FRAMES = ("static", "co-moving")
TANGENT_LAWS = LAWS[1:]


def analyse(
    recording: xr.Dataset,
    *,
    at: Annotated[int, Field(ge=1)] | None = None,
    persistence: Annotated[float, Field(gt=1)] = 2.0,
    shuffles: Annotated[int, Field(ge=1)] = 20,
    seed: int = 0,
) -> xr.Dataset:
    """Geometry of every orbit (trial, time).

    Parameters
    ----------
    recording : Dataset
        With ``state`` (flow, trial, time, velocity, channel, y, x), with orientation after channel if it has
        some, or (flow, trial, time, unit), which has no co-moving frame and no law; flow 0 is the reference.
    at : int, optional
        Frame of the picture and of the topology; by default the first in the later half.
    persistence : float
        A loop counts that lives up to so many times the scale at which it closes; see
        `flowsim.measures.orbit.betti`.
    shuffles, seed : int
        Of flows, for the chance level of angles.

    Returns
    -------
    Dataset
        ``participation``, ``extent`` (frame, trial, time): participation ratio, root mean squared distance
        from the centre relative to the norm; ``curvature`` (frame, line, trial, time; deg), mean angle
        between successive steps, ``straightness``, chord over length; ``angle``, ``angle_chance`` (law,
        generator, trial, time; deg), ascending; ``coverage`` (law); ``pca`` (frame, flow, component) and
        ``variance`` (frame, component), of the first trial; ``betti`` (frame, trial, dimension) where ripser
        is installed. NaN where an orbit is a point (as all are at frame 0), no flows are on a line, or no
        flows come in opposite pairs along a component.

    Raises
    ------
    InputError
        If there are no two flows besides the reference, no such frame, or states hold values that are no
        numbers.
    """
    state = coordinates.variable(
        recording, "state", coordinates.STATE, coordinates.ORIENTED, coordinates.UNITS
    )
    flows, times = coordinates.flows(recording), recording.time.values
    if len(flows) < 3:
        raise InputError(
            f"orbit_geometry needs two flows besides the reference; got {len(flows) - 1}. Probe more"
        )
    shown = len(times) // 2 if at is None else int(np.searchsorted(times, at))
    if shown == len(times) or (at is not None and times[shown] != at):
        raise InputError(f"expected frame {at} (at) in the recording; it has {', '.join(map(str, times))}")
    spatial, rng = state.dims != coordinates.UNITS, np.random.default_rng(seed)
    grid = coordinates.grid(recording) if spatial else None
    paths = orbit.lines(np.array([flow.velocity for flow in flows], float))
    over = (state.sizes["trial"], len(times))
    size, spread = np.full((2, len(FRAMES), *over), np.nan)
    bend, straight = np.full((2, len(FRAMES), len(paths), *over), np.nan)
    angle = np.full((2, len(TANGENT_LAWS), len(flows[0].velocity), *over), np.nan)
    coverage = np.zeros(len(TANGENT_LAWS))
    pca, variance = np.full((len(FRAMES), len(flows), 3), np.nan), np.full((len(FRAMES), 3), np.nan)
    loops = np.full((len(FRAMES), over[0], 2), np.nan)
    for trial, frame, points in orbit.orbits(state):
        if grid:
            for i, law in enumerate(TANGENT_LAWS):
                found, coverage[i] = orbit.tangent_angles(
                    points, flows, law, grid, times[frame], shuffles, rng
                )
                angle[:, i, : found.shape[1], trial, frame] = found
        for f, name in enumerate(FRAMES[: 2 if grid else 1]):
            where = f, trial, frame
            lying = points if name == "static" else _stabilised(points, flows, times[frame])
            products, scale = orbit.gram(lying.flatten(1).numpy())
            spread[where] = orbit.participation_ratio(products, scale)
            size[where] = orbit.extent(products, scale)
            for i, path in enumerate(paths.values()):
                on_line = products[np.ix_(path, path)]
                bend[f, i, trial, frame] = orbit.turning(on_line, scale).mean()
                straight[f, i, trial, frame] = orbit.straightness(on_line, scale)
            if frame == shown:
                if not trial:
                    pca[f], variance[f] = orbit.principal_components(products, 3)
                if orbit.has_topology():
                    loops[f, trial] = orbit.betti(orbit.distances(products), persistence)
    plane, deg = tuning.plane(flows), {"units": "deg"}
    made = xr.Dataset(
        {
            "participation": (
                ("frame", "trial", "time"),
                spread,
                {"long_name": "participation ratio", "units": "1"},
            ),
            "extent": (
                ("frame", "trial", "time"),
                size,
                {"long_name": "relative size of the orbit", "units": "1"},
            ),
            "curvature": (
                ("frame", "line", "trial", "time"),
                bend,
                {"long_name": "angle between steps"} | deg,
            ),
            "straightness": (("frame", "line", "trial", "time"), straight, {"units": "1"}),
            "angle": (
                ("law", "generator", "trial", "time"),
                angle[0],
                {"long_name": "principal angle"} | deg,
            ),
            "angle_chance": (("law", "generator", "trial", "time"), angle[1], deg),
            "coverage": ("law", coverage),
            "pca": (("frame", "flow", "component"), pca),
            "variance": (("frame", "component"), variance, {"units": "1"}),
        },
        {
            "frame": list(FRAMES),
            "law": [str(law) for law in TANGENT_LAWS],
            "line": list(paths),
            "time": recording.time,
        }
        | {"right": ("flow", plane.real), "up": ("flow", plane.imag), "dimension": [1, 2]}
        | {name: c for name, c in recording.coords.items() if c.dims == ("flow",)},
        {
            "shown": int(times[shown]),
            "topology": "by ripser" if orbit.has_topology() else "left out, without ripser",
        },
    )
    return made.assign(betti=(("frame", "trial", "dimension"), loops)) if orbit.has_topology() else made


def _stabilised(points: torch.Tensor, flows: list[Flow], time: float) -> torch.Tensor:
    """Each point (flow, velocity, channel, ..., y, x) carried back along its flow."""
    moved = []
    for point, flow in zip(points, flows, strict=True):
        moved.append((flow.act_oriented if point.ndim == 5 else flow.act)(point, -time))
    return torch.stack(moved)


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table: means of what there is; angles below 1e-5 deg, rounding, are 0."""
    found = {}
    for frame in FRAMES:
        of_frame = results.sel(frame=frame)
        found[f"participation ratio, {frame}"] = of_frame.participation.mean(("trial", "time"))
        found[f"straightness of lines, {frame}"] = of_frame.straightness.mean(("line", "trial", "time"))
    angle = _to_best_law(results).mean(("trial", "time")).assign_attrs(better="lower")
    found["angle of the orbit to the tangent of the best law (deg)"] = angle.where(~(angle < 1e-5), 0)
    if "betti" in results:
        found["loops in the orbit"] = results.betti.sel(frame="static", dimension=1).mean("trial")
    return {label: values for label, values in found.items() if values.notnull().any()}


def _to_best_law(results: xr.Dataset, name: str = "angle") -> xr.DataArray:
    """Largest principal angle (run, trial, time) to the law to which it is least on the whole."""
    best = results.angle.max("generator").mean(("trial", "time")).fillna(np.inf).argmin("law")
    return results[name].max("generator").isel(law=best).drop_vars("law")


def figure(results: xr.Dataset) -> Figure:
    """Orbits of each network, and their measures over time."""
    import matplotlib.pyplot as plt

    names, colours = plot.networks(results), plot.palette(results)
    fig = plt.figure(figsize=(plot.PAGE, 1.5 * max(3, len(names)) + 0.4))
    left, right = fig.add_gridspec(1, 2, width_ratios=[1, 1.35])
    pictures = left.subgridspec(len(names) + 1, 2, height_ratios=[1] * len(names) + [0.4])
    _draw_key(fig.add_subplot(pictures[-1, :]), results)
    for row, name in enumerate(names):
        run = results.isel(run=int(np.argmax(results["network"].values == name)))
        for column, frame in enumerate(FRAMES):
            ax = fig.add_subplot(pictures[row, column])
            _draw_orbit(ax, run.sel(frame=frame))
            ax.set_ylabel(name if not column else "", fontsize=9, fontweight="bold", color=colours[name])
            ax.set_title(frame if not row else "", fontsize=9)
    curves = right.subgridspec(3, 2)
    mean = results[["participation", "curvature", "extent"]].mean("line")
    remains = mean.extent.sel(frame="co-moving") / mean.extent.sel(frame="static")
    panels = [
        *((mean[v].sel(frame=f), label) for v, label in YLABELS.items() for f in FRAMES),
        (remains, "size, co-moving\n/ static"),
        (_to_best_law(results), "angle to law (deg)"),
    ]
    for i, (values, label) in enumerate(panels):
        ax = fig.add_subplot(curves[i // 2, i % 2])
        if values.notnull().any():
            plot.lines(values.mean("trial").to_dataset(name="y"), "y", "time", ax)
            half = 1.96 * values.std("trial", ddof=1) / np.sqrt(values.notnull().sum("trial"))
            for name, colour in colours.items():
                own, by = (
                    v.groupby("network").mean().sel(network=name) for v in (values.mean("trial"), half)
                )
                ax.fill_between(results.time, own - by, own + by, color=colour, alpha=0.2, lw=0)
        of_pair = (
            xr.concat([panel[0] for panel in panels[i // 2 * 2 : i // 2 * 2 + 2]], "pair")
            if i < 4
            else values
        )
        top = 1.1 * (float(of_pair.mean("trial").max().fillna(0)) or 1)
        ax.set(xlabel="frame" if i > 3 else "", ylabel=label, ylim=(0, top))
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set_title(FRAMES[i] if i < 2 else "", fontsize=9)
    chance = _to_best_law(results, "angle_chance").mean("trial").groupby("network").mean()
    for name, colour in colours.items():
        ax.plot(results.time, chance.sel(network=name), ":", lw=1, color=colour)
    ax.set_ylim(-2, 92)
    fig.suptitle(
        f"{results.sizes['flow']} flows, {results.sizes['trial']} trials, {plot.seeds(results)}", fontsize=9
    )
    return fig


def _draw_orbit(ax: Axes, run: xr.Dataset) -> None:
    """Points of one orbit in two principal components, with lines between neighbouring flows."""
    plane, at = run.right.values + 1j * run.up.values, run.pca.values[:, :2]
    ax.set(xticks=[], yticks=[])
    if not np.isfinite(at).all():
        ax.text(0.5, 0.5, "no space", transform=ax.transAxes, ha="center", fontsize=7)
        return
    apart = abs(plane[:, None] - plane)
    for i, j in np.argwhere(np.triu(abs(apart - apart[apart > 1e-9].min()) < 1e-9)):
        ax.plot(*at[[i, j]].T, color="0.75", lw=0.7, zorder=1)
    ax.scatter(*at.T, c=_colours(plane), s=16, lw=0.4, edgecolor="black", zorder=2)
    shares = ", ".join(f"{100 * v:.0f}" for v in run.variance.values[:2])
    loops = f", {int(run.betti.isel(trial=0).sel(dimension=1))} loops" if "betti" in run else ""
    ax.set_xlabel(f"{shares} %{loops}", fontsize=7)
    ax.margins(0.12)
    ax.set_aspect("equal", "datalim")


def _draw_key(ax: Axes, results: xr.Dataset) -> None:
    """The colour of each velocity."""
    plane = results.right.values + 1j * results.up.values
    ax.scatter(plane.real, plane.imag, c=_colours(plane), s=14, lw=0.4, edgecolor="black")
    ax.set(xticks=[], yticks=[], aspect="equal" if plane.imag.any() else "auto", anchor="C")
    ax.margins(0.2)
    ax.set_xlabel("velocity of the flow, as displayed", fontsize=7)
    ax.spines[:].set_visible(False)


def _colours(plane: np.ndarray) -> np.ndarray:
    """A colour for each velocity, between those of four corners: blue is left, orange right, lighter is
    further up.
    """
    corners = np.array([[[0.0, 0.2, 0.4], [0.55, 0.2, 0.0]], [[0.45, 0.75, 1.0], [1.0, 0.8, 0.3]]])
    x, y = (0.5 + axis / (2 * abs(axis).max() or 1) for axis in (plane.real, plane.imag))
    return np.einsum("ui,ur,irc->uc", np.stack([1 - y, y], 1), np.stack([1 - x, x], 1), corners).clip(0, 1)
