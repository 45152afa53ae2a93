r"""What shape is the orbit u -> h_t[psi(u) f]?

The states under all flows u of one input f, at one time t, are points of one orbit. It is looked at as it
lies (static), and with the transport undone (co-moving), psi_{-t}(u) h_t[psi(u) f], where a state that is
only transported stays at one point, and one that also shifts its velocity channels does just that. Of the
points: over how many dimensions they spread, how far (relative to their norm), how lines u = k e bend, and
which way they set out,

    [h_t(psi(e) f) - h_t(psi(-e) f)] / 2    against    [law_e h_t(f) - law_{-e} h_t(f)] / 2,

e along each component, by the principal angles between the two spans. These are secants between flows of the
probe, on both sides: where the law holds the angle is 0 whatever the size of e. Velocity channels without a
partner under some e are left out of both.

States that are independent noise under each flow are the level of chance. In the many dimensions of a state
all their points are equally far from each other: steps turn by 120 degrees (cos = -1/2), the ends of a line
of n flows are as far apart as neighbours, so that its straightness is 1 / (n - 1), 0.5 for three flows, and
they spread over nearly one dimension less than there are flows. Few dimensions change the latter two: see
`flowsim.measures.orbit`.

Sources: those of `flowsim.measures.orbit`; Keller (2025), Flow Equivariant Recurrent Neural Networks, for the
laws.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
import xarray as xr
from pydantic import Field

from flowsim.errors import InputError
from flowsim.figures import panels, plot
from flowsim.files import coordinates
from flowsim.flows.flow import Flow
from flowsim.flows.law import LAWS
from flowsim.flows.velocity_grid import VelocityGrid
from flowsim.measures import orbit, recorded, statistics, tuning
from flowsim.specification import Count, Seed, checked

if TYPE_CHECKING:
    import torch
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec

READS = "probe"
QUESTION = "What shape is the orbit of the state, as the flow of the world varies?"
READING = (
    "Left, the states of one trial under all flows at one frame, in two principal components (below, their "
    "share of the variance in percent), as recorded (static) and with the transport undone (co-moving). "
    "Colours are velocities; lines join neighbouring velocities. Loops appear only if the flows go all the "
    "way round. Right, by frame: the number of dimensions over which an orbit spreads (at most one less than "
    "there are flows); the angle between the steps of lines of flows -e, 0, e (0 is straight); the size of "
    "the orbit, co-moving relative to static; and the largest angle between the directions in which flows "
    "move the state and those that the best law predicts. Dotted are levels of chance: of states that are "
    "independent noise under each flow (turns of 120 degrees; a size of 1), and of shuffled flows for the "
    "angle to the law. The straightness of a line of flows, the distance between its ends over its length, "
    "is 1 if it is straight and not 0 but 1 / (steps) for noise: 0.5 for three flows. Thick lines are "
    "arithmetic means over trials and seeds, with 95 % intervals over trials (Student; the mean of the "
    "seeds' half-widths); thin lines are seeds."
)
FRAMES = ("static", "co-moving")
TANGENT_LAWS = LAWS[1:]
COMPONENTS = 3
"""Principal components that are kept of the orbit in the picture."""
DIMS = {
    "participation": ("frame", "trial", "time"),
    "extent": ("frame", "trial", "time"),
    "curvature": ("frame", "line", "trial", "time"),
    "straightness": ("frame", "line", "trial", "time"),
    "angle": ("law", "generator", "trial", "time"),
    "angle_chance": ("law", "generator", "trial", "time"),
    "coverage": ("law",),
    "pca": ("frame", "flow", "component"),
    "variance": ("frame", "component"),
    "betti": ("frame", "trial", "dimension"),
}
"""What is measured, and over which dimensions."""
ATTRS = {
    "participation": {"long_name": "participation ratio", "units": "1"},
    "extent": {"long_name": "relative size of the orbit", "units": "1"},
    "curvature": {"long_name": "angle between steps", "units": "deg"},
    "straightness": {"units": "1"},
    "angle": {"long_name": "principal angle", "units": "deg"},
    "angle_chance": {"units": "deg"},
    "coverage": {},
    "pca": {},
    "variance": {"units": "1"},
    "betti": {},
}
"""Names and units of what is measured."""


@dataclass(frozen=True)
class Probed:
    """What a recording shows: the state, its flows and times, and its velocities if it has space.

    ``rounding`` is the length, relative to the norm, below which steps are rounding of the type in which
    states were stored.
    """

    state: xr.DataArray
    flows: list[Flow]
    times: np.ndarray
    grid: VelocityGrid | None
    lines: dict[str, list[int]]
    rounding: float


@checked
def analyse(
    recording: xr.Dataset,
    *,
    at: Count | None = None,
    persistence: Annotated[float, Field(gt=1)] = 2.0,
    shuffles: Count = 20,
    seed: Seed = 0,
) -> xr.Dataset:
    """Geometry of every orbit (trial, time).

    Parameters
    ----------
    recording : Dataset
        With ``state`` (flow, trial, time, velocity, channel, y, x), with orientation after channel if it has
        some, or (flow, trial, time, unit), which has no co-moving frame and no law; with the flow at rest,
        the reference, and two others.
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
        between successive steps, ``straightness``, chord over length; ``participation_chance``,
        ``curvature_chance`` (deg) and ``straightness_chance`` (line), of independent noise; ``angle``,
        ``angle_chance`` (law, generator, trial, time; deg), ascending; ``coverage`` (law); ``pca`` (frame,
        flow, component) and ``variance`` (frame, component), of the first trial; ``betti`` (frame, trial,
        dimension) where ripser is installed. NaN where an orbit is a point (as all are at frame 0) or smaller
        than the rounding of the type that states were stored in, no flows are on a line, or no flows come in
        opposite pairs along a component.

    Raises
    ------
    InputError
        If no flow is at rest, there are no two others, no such frame, or the state contains NaN or infinity.
    """
    recording = recorded.reference_first(recording, moving=2)
    probed = _read(recording)
    picture = _frame_of_picture(probed.times, at)
    geometry = _unmeasured(probed)
    rng = np.random.default_rng(seed)
    for trial, time, points in orbit.orbits(probed.state):
        when = {"trial": trial, "time": time}
        _measure_tangents(geometry, when, points, probed, shuffles, rng)
        for frame, in_frame in _in_frames(points, probed, time):
            products, scale = orbit.gram(in_frame.flatten(1).numpy())
            _measure_shape(geometry, {"frame": frame, **when}, products, scale, probed)
            if time == picture:
                _measure_picture(geometry, {"frame": frame, "trial": trial}, products, persistence)
    return _packed(recording, probed, geometry, int(probed.times[picture]))


def _read(recording: xr.Dataset) -> Probed:
    """The state and what it was recorded under."""
    state = coordinates.variable(
        recording, "state", coordinates.STATE, coordinates.ORIENTED, coordinates.UNITS
    )
    flows = coordinates.flows(recording)
    grid = coordinates.grid(recording) if state.dims != coordinates.UNITS else None
    lines = orbit.lines_of_flows(np.array([flow.velocity for flow in flows], float))
    return Probed(state, flows, recording.time.values, grid, lines, orbit.rounding_of(state.dtype))


def _frame_of_picture(times: np.ndarray, at: int | None) -> int:
    """Position of the frame ``at``, by default the first in the later half."""
    if at is None:
        return len(times) // 2
    if at not in times:
        raise InputError(f"expected frame {at} (at) in the recording; it has {', '.join(map(str, times))}")
    return int(np.searchsorted(times, at))


def _unmeasured(probed: Probed) -> xr.Dataset:
    """What will be measured: NaN so far, and a coverage of 0."""
    sizes = {
        "frame": len(FRAMES),
        "trial": probed.state.sizes["trial"],
        "time": len(probed.times),
        "line": len(probed.lines),
        "law": len(TANGENT_LAWS),
        "generator": len(probed.flows[0].velocity),
        "flow": len(probed.flows),
        "component": COMPONENTS,
        "dimension": 2,
    }
    unmeasured = {name: (dims, np.full([sizes[dim] for dim in dims], np.nan)) for name, dims in DIMS.items()}
    return xr.Dataset(unmeasured | {"coverage": ("law", np.zeros(len(TANGENT_LAWS)))})


def _in_frames(points: torch.Tensor, probed: Probed, time: int) -> Iterator[tuple[int, torch.Tensor]]:
    """Position in `FRAMES`, and points there; without space there is no transport to undo."""
    yield FRAMES.index("static"), points
    if probed.grid:
        yield FRAMES.index("co-moving"), _stabilised(points, probed.flows, probed.times[time])


def _stabilised(points: torch.Tensor, flows: list[Flow], time: float) -> torch.Tensor:
    """Each point (flow, velocity, channel, ..., y, x) carried back along its flow."""
    import torch

    with_orientation = points.ndim == len(("flow", "velocity", "channel", "orientation", "y", "x"))
    moved = []
    for point, flow in zip(points, flows, strict=True):
        act = flow.act_oriented if with_orientation else flow.act
        moved.append(act(point, -time))
    return torch.stack(moved)


def _measure_tangents(
    geometry: xr.Dataset,
    when: dict[str, int],
    points: torch.Tensor,
    probed: Probed,
    shuffles: int,
    rng: np.random.Generator,
) -> None:
    """Which way one orbit sets out, compared with each law; nothing where there is no space."""
    if probed.grid is None:
        return
    time = probed.times[when["time"]]
    for i, law in enumerate(TANGENT_LAWS):
        angles, coverage = orbit.tangent_angles(
            points, probed.flows, law, probed.grid, time, shuffles, rng, probed.rounding
        )
        measured, chance = angles
        here = {"law": i, "generator": slice(len(measured)), **when}
        geometry.angle[here] = measured
        geometry.angle_chance[here] = chance
        geometry.coverage[{"law": i}] = coverage


def _measure_shape(
    geometry: xr.Dataset,
    here: dict[str, int],
    products: np.ndarray,
    scale: float,
    probed: Probed,
) -> None:
    """How far and over how many dimensions one orbit spreads, and how lines of flows bend in it."""
    geometry.participation[here] = orbit.participation_ratio(products, scale, probed.rounding)
    geometry.extent[here] = orbit.extent(products, scale)
    for line, path in enumerate(probed.lines.values()):
        on_line = products[np.ix_(path, path)]
        turns = orbit.angles_between_steps(on_line, scale, probed.rounding)
        geometry.curvature[{"line": line, **here}] = turns.mean()
        geometry.straightness[{"line": line, **here}] = orbit.straightness(on_line, scale, probed.rounding)


def _measure_picture(
    geometry: xr.Dataset, here: dict[str, int], products: np.ndarray, persistence: float
) -> None:
    """Principal components of the orbit of the first trial, and the topology of all, at one time."""
    if here["trial"] == 0:
        frame = {"frame": here["frame"]}
        geometry.pca[frame], geometry.variance[frame] = orbit.principal_components(products, COMPONENTS)
    if orbit.has_topology():
        geometry.betti[here] = orbit.betti(orbit.distances(products), persistence)


def _packed(recording: xr.Dataset, probed: Probed, geometry: xr.Dataset, picture: int) -> xr.Dataset:
    """The results as a dataset."""
    plane = tuning.plane(probed.flows)
    topology = orbit.has_topology()
    dimensions = probed.state[:1, :1, :1].size
    lengths = [len(path) for path in probed.lines.values()]
    result = xr.Dataset(
        {name: geometry[name].variable for name in ATTRS if name != "betti"},
        {
            "frame": list(FRAMES),
            "law": [str(law) for law in TANGENT_LAWS],
            "line": list(probed.lines),
            "time": recording.time,
            "right": ("flow", plane.real),
            "up": ("flow", plane.imag),
            "dimension": [1, 2],
            **recorded.flow_coords(recording),
        },
        {"shown": picture, "topology": "by ripser" if topology else "left out, without ripser"},
    )
    result["participation_chance"] = orbit.participation_of_noise(len(probed.flows), dimensions)
    result["curvature_chance"] = orbit.TURN_OF_NOISE
    result["straightness_chance"] = ("line", [orbit.straightness_of_noise(length) for length in lengths])
    if topology:
        result["betti"] = geometry.betti.variable
    for name in result.data_vars:
        measured = str(name) if name in ATTRS else str(name).removesuffix("_chance")
        result[name].attrs.update(ATTRS[measured])
    return result


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table: means of what there is; angles below 1e-5 deg, rounding, are 0."""
    numbers = {}
    for frame in FRAMES:
        in_frame = results.sel(frame=frame)
        straightness = in_frame.straightness.mean(("line", "trial", "time"))
        by_chance = results.straightness_chance.mean()
        numbers[f"participation ratio of the orbit, {frame} frame"] = in_frame.participation.mean(
            ("trial", "time")
        )
        numbers[f"straightness of lines of flows in the orbit, {frame} frame"] = straightness.assign_attrs(
            bounds=(0.0, 1.0), chance=float(by_chance)
        )
    angle = _to_best_law(results).mean(("trial", "time"))
    numbers["angle of the orbit to the tangent of the best law (deg)"] = angle.where(
        ~(angle < 1e-5), 0
    ).assign_attrs(better="lower", bounds=(0.0, 90.0))
    if "betti" in results:
        numbers["loops in the orbit, static frame"] = results.betti.sel(frame="static", dimension=1).mean(
            "trial"
        )
    return {label: values for label, values in numbers.items() if values.notnull().any()}


def _to_best_law(results: xr.Dataset, name: str = "angle") -> xr.DataArray:
    """Largest principal angle (run, trial, time) to the law to which it is least on the whole."""
    best = results.angle.max("generator").mean(("trial", "time")).fillna(np.inf).argmin("law")
    return results[name].max("generator").isel(law=best).drop_vars("law")


def figure(results: xr.Dataset) -> Figure:
    """Orbits of each network, and their measures over time."""
    networks = len(plot.networks(results))
    fig = plot.figure(figsize=(plot.PAGE, 1.5 * max(3, networks) + 0.4))
    left, right = fig.add_gridspec(1, 2, width_ratios=[1, 1.35])
    _draw_pictures(fig, left, results)
    _draw_measures(fig, right, results)
    shown = f"{results.sizes['flow']} flows, {results.sizes['trial']} trials, {plot.seeds(results)}"
    fig.suptitle(shown + _noise(results), fontsize=9)
    return fig


def _noise(results: xr.Dataset) -> str:
    """Words for the title: the straightness of noise, which no panel shows."""
    if not results.sizes["line"]:
        return ""
    return f"; straightness of noise {float(results.straightness_chance.mean()):.2g}"


def _draw_pictures(fig: Figure, place: SubplotSpec, results: xr.Dataset) -> None:
    """The orbit of the first seed of each network, as it lies and co-moving, above a key of colours."""
    colours = plot.palette(results)
    grid = place.subgridspec(len(colours) + 1, len(FRAMES), height_ratios=[1] * len(colours) + [0.4])
    _draw_key(fig.add_subplot(grid[-1, :]), results)
    for row, (name, colour) in enumerate(colours.items()):
        first_seed = results.isel(run=int(np.argmax(results["network"].values == name)))
        for column, frame in enumerate(FRAMES):
            ax = fig.add_subplot(grid[row, column])
            _draw_orbit(ax, first_seed.sel(frame=frame))
            ax.set_ylabel(name if column == 0 else "", fontsize=9, fontweight="bold", color=colour)
            ax.set_title(frame if row == 0 else "", fontsize=9)


def _draw_measures(fig: Figure, place: SubplotSpec, results: xr.Dataset) -> None:
    """Dimensions and turns in both frames, and below, the size of orbits and their angle to the law."""
    grid = place.subgridspec(3, 2)
    mean = results[["participation", "curvature", "extent"]].mean("line")
    above = (
        ("dimensions", mean.participation, results.participation_chance),
        ("turn (deg/step)", mean.curvature, results.curvature_chance),
    )
    for row, (label, measure, noise) in enumerate(above):
        for column, frame in enumerate(FRAMES):
            ax = fig.add_subplot(grid[row, column])
            _draw_course(ax, measure.sel(frame=frame), label, max(_top(measure), 1.05 * float(noise.max())))
            for level in np.unique(noise.values):
                ax.axhline(level, ls=":", lw=1, color="0.4", zorder=1)
            ax.set_title(frame if row == 0 else "", fontsize=9)
    ax = fig.add_subplot(grid[2, 0])
    remains = mean.extent.sel(frame="co-moving") / mean.extent.sel(frame="static")
    _draw_course(ax, remains, "size, co-moving\n/ static", max(_top(remains), 1.05))
    ax.axhline(1, ls=":", lw=1, color="0.4", zorder=1)
    ax.set_xlabel("frame")
    ax = fig.add_subplot(grid[2, 1])
    _draw_angle(ax, results)
    ax.set_xlabel("frame")


def _top(measure: xr.DataArray) -> float:
    """Upper end of axes that show the mean of a measure over trials."""
    return 1.1 * (float(measure.mean("trial").max().fillna(0)) or 1)


def _draw_course(ax: Axes, measure: xr.DataArray, label: str, top: float) -> None:
    """A measure (run, trial, time), mean over trials, by time, with the mean interval of each network."""
    if measure.notnull().any():
        mean, half_width = statistics.mean_interval(measure, "trial")
        plot.lines(mean.to_dataset(name="y"), "y", "time", ax)
        of_network = mean.groupby("network").mean()
        half_width = half_width.groupby("network").mean()
        for name, colour in plot.palette(measure.to_dataset(name="y")).items():
            centre = of_network.sel(network=name)
            half = half_width.sel(network=name)
            panels.band(ax, measure.time, centre - half, centre + half, colour)
    ax.set(xlabel="", ylabel=label, ylim=(0, top))
    ax.xaxis.get_major_locator().set_params(integer=True)


def _draw_angle(ax: Axes, results: xr.Dataset) -> None:
    """The angle to the best law, and dotted, that of shuffled flows."""
    _draw_course(ax, _to_best_law(results), "angle to law (deg)", top=1)
    chance = _to_best_law(results, "angle_chance").mean("trial").groupby("network").mean()
    for name, colour in plot.palette(results).items():
        ax.plot(results.time, chance.sel(network=name), ":", lw=1, color=colour)
    ax.set_ylim(-2, 92)


def _draw_orbit(ax: Axes, run: xr.Dataset) -> None:
    """Points of one orbit in two principal components, with lines between neighbouring flows."""
    velocity = run.right.values + 1j * run.up.values
    points = run.pca.values[:, :2]
    ax.set(xticks=[], yticks=[])
    if not np.isfinite(points).all():
        ax.text(0.5, 0.5, "no space", transform=ax.transAxes, ha="center", fontsize=7)
        return
    apart = abs(velocity[:, None] - velocity)
    closest = apart[apart > 1e-9].min()
    for neighbours in np.argwhere(np.triu(abs(apart - closest) < 1e-9)):
        ax.plot(*points[neighbours].T, color="0.75", lw=0.7, zorder=1)
    ax.scatter(*points.T, c=_colours(velocity), s=16, lw=0.4, edgecolor="black", zorder=2)
    shares = ", ".join(f"{100 * share:.0f}" for share in run.variance.values[:2])
    loops = f", {int(run.betti.isel(trial=0).sel(dimension=1))} loops" if "betti" in run else ""
    ax.set_xlabel(f"{shares} %{loops}", fontsize=7)
    ax.margins(0.12)
    ax.set_aspect("equal", "datalim")


def _draw_key(ax: Axes, results: xr.Dataset) -> None:
    """The colour of each velocity."""
    velocity = results.right.values + 1j * results.up.values
    ax.scatter(velocity.real, velocity.imag, c=_colours(velocity), s=14, lw=0.4, edgecolor="black")
    ax.set(xticks=[], yticks=[], aspect="equal" if velocity.imag.any() else "auto", anchor="C")
    ax.margins(0.2)
    ax.set_xlabel(f"velocity of the flow, {coordinates.group(results, 'flow').plane_label}", fontsize=7)
    ax.spines[:].set_visible(False)


def _colours(velocity: np.ndarray) -> np.ndarray:
    """A colour (flow, RGB) for each velocity, between those of four corners: blue is left, orange right,
    lighter is further up.
    """
    corners = np.array([[[0.0, 0.2, 0.4], [0.55, 0.2, 0.0]], [[0.45, 0.75, 1.0], [1.0, 0.8, 0.3]]])
    right = _from_0_to_1(velocity.real)
    up = _from_0_to_1(velocity.imag)
    across = np.stack([1 - right, right], 1)
    down_up = np.stack([1 - up, up], 1)
    return np.einsum("ui,ur,irc->uc", down_up, across, corners).clip(0, 1)


def _from_0_to_1(component: np.ndarray) -> np.ndarray:
    """A component of velocity, scaled so that rest is 0.5."""
    return 0.5 + component / (2 * abs(component).max() or 1)
