r"""Does the state hold the shape of what moves?

Carried back along the velocity v of an object, the state of a channel is averaged over the later frames: the
co-moving map

    g(c, x) = mean over t of psi_{-t}(v) . h_t(c, x),        G(x) = sum over c of (g(c, x) - mean of g(c))^2

is sharp where the state moves with the object, and smeared where it does not. As many pixels of G as the
object covers at time 0, the strongest, are its shape in the state (area-matched). Its overlap with the
object's mask is the share of the mask that is in it; the intersection over union (IoU) follows from that, o /
(2 - o). A state that knows nothing of the object overlaps it by the mask's share of the frame.

Two maps are judged: that of the object's *own* velocity channel, and that of the *best*, whichever it is.
Choosing the best makes any state look shapely. So both are compared with what they are if the velocity is
that of another sequence, drawn at random among those that move otherwise: the same choice is made there. A
network with one velocity channel is judged by that one, under every velocity; where several are no object's
own, there is nothing to compare.

Source: Jaccard (1912), The distribution of the flora in the alpine zone, for intersection over union.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.figures import panels, plot
from flowsim.files import coordinates
from flowsim.flows.flow import Flow
from flowsim.flows.translation import Translation
from flowsim.flows.velocity_grid import VelocityGrid
from flowsim.measures import recorded, statistics
from flowsim.measures.law_error import LAST_DIGITS, eps_of
from flowsim.measures.moving_objects import MovingObjects, apart, moving_objects, translating_grid
from flowsim.specification import Seed, Whole, checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = "probe"
QUESTION = "Does the state hold the shape of what moves?"
READING = (
    "The state is carried back along the velocity of an object and averaged over the later frames. As many "
    "of its strongest pixels as the object covers are the object's shape in the state. Above, for each "
    "network's first seed, the object, the co-moving map of its own velocity channel and its shape, and the "
    "same carried back at the velocity of another sequence. Below: the share of the object that is in its "
    "shape, 1 if both are the same, from the object's own velocity channel and from whichever is best; open "
    "marks, at the velocity of another sequence, with the same choice; grey, the share of the frame that "
    "objects cover, which is what a state without them has. Bars and marks are arithmetic means over seeds, "
    "dots are seeds."
)
CHOICES = ("own", "best")
CONDITIONS = ("true", "other")
"""At the velocity of the object, and at that of another sequence."""
TIE = 1e-9
"""Values of a map that differ by less than this share are equal."""


@checked
def analyse(recording: xr.Dataset, *, since: Whole | None = None, seed: Seed = 0) -> xr.Dataset:
    """Overlap of co-moving maps of the state with objects.

    Parameters
    ----------
    recording : Dataset
        With ``state`` (flow, trial, time, velocity, channel[, orientation], y, x), ``frames``, and the
        velocity of each object, ``object_velocity_vy`` and ``object_velocity_vx`` (trial, object), which it
        keeps.
    since : int, optional
        First frame that counts; by default the later half does.
    seed : int
        Of the draw of other velocities.

    Returns
    -------
    Dataset
        ``overlap`` and ``iou`` (channel, velocity): mean over flows, trials and objects of the share of the
        object in its shape, and of their intersection over union; channel is "own" or "best", velocity
        "true" or "other", NaN where no object has a channel of its own, or none moves otherwise. ``above``
        (channel) is the overlap less that at another velocity, with the half-width of its interval over
        trials, ``above_interval``. ``share``, the part of the frame that objects cover; ``covered``, the
        share of objects that have a channel of their own. ``mask`` (y, x), ``map`` and ``shape`` (velocity,
        y, x): the first object that moves and has a channel, its map relative to its largest value, and the
        shape in it. ``trials`` and ``objects``: how many there are.

    Raises
    ------
    InputError
        If objects do not translate at known velocities that they keep, none can be seen, no frame counts,
        velocity channels are not of translation, or the state never varies or contains NaN or infinity.
    """
    state = coordinates.variable(recording, "state", coordinates.STATE, coordinates.ORIENTED)
    grid, objects = translating_grid(recording), moving_objects(recording)
    if not objects.seen.any():
        raise InputError(
            "expected objects that can be seen to move at their velocities; nothing in the frames does. "
            "Record longer trials, or more of them"
        )
    times = recording.time.values
    first = times[len(times) // 2] if since is None else since
    late = np.flatnonzero(times >= first)
    if not len(late):
        raise InputError(
            f"expected frames from {since} on (since); the recording ends with frame {times[-1]}"
        )
    overlaps, example = _overlaps(state, objects, grid, late, times, np.random.default_rng(seed))
    return _packed(overlaps, example, objects, _has_own(objects, grid))


def _overlaps(
    state: xr.DataArray,
    objects: MovingObjects,
    grid: VelocityGrid,
    late: np.ndarray,
    times: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Overlaps (flow, trial, object, choice, condition), and the pictures of an example."""
    flows, trials, each = objects.velocity.shape[:3]
    overlaps = np.full((flows, trials, each, len(CHOICES), len(CONDITIONS)), np.nan)
    others = _other_velocities(objects.velocity, rng)
    example: dict[str, np.ndarray] = {}
    varies = False
    by_trial = recorded.TrialByTrial(state.isel(time=late))
    for trial, flow in np.ndindex(trials, flows):
        activity = recorded.in_float64(by_trial.read(flow, trial))
        varies = varies or _varies(activity, eps_of(state.dtype))
        for which in np.flatnonzero(objects.seen[trial]).tolist():
            mask = objects.mask[trial, which]
            pictures = []
            for i, velocities in enumerate((objects.velocity, others)):
                velocity = velocities[flow, trial, which]
                if np.isnan(velocity).any():
                    continue
                maps = _comoving(activity, velocity, times[late])
                shapes = _strongest(maps, int(mask.sum()))
                share = shapes[:, mask].mean(-1)
                own = _own(velocity, grid)
                overlaps[flow, trial, which, 1, i] = share.max()
                if own is not None:
                    overlaps[flow, trial, which, 0, i] = share[own]
                    pictures.append((maps[own] / (maps[own].max() or 1.0), shapes[own]))
            if (
                not example
                and len(pictures) == len(CONDITIONS)
                and objects.velocity[flow, trial, which].any()
            ):
                maps_of, shapes_of = (np.stack(of) for of in zip(*pictures, strict=True))
                example = {"mask": mask, "map": maps_of, "shape": shapes_of}
    recorded.require_varying(varies)
    return overlaps, example


def _varies(activity: np.ndarray, eps: float) -> bool:
    """Whether a map over space is not constant, but for rounding."""
    mean = activity.mean((-2, -1), keepdims=True)
    return bool((abs(activity - mean) > LAST_DIGITS * eps * abs(mean)).any())


def _comoving(activity: np.ndarray, velocity: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Energy over channels (velocity, y, x) of the mean of activity (time, velocity, channel[, orientation],
    y, x) that is carried back.
    """
    import torch

    flow = Flow(Translation(), tuple(velocity.tolist()))
    carried = [
        flow.act(torch.from_numpy(h), -t).numpy() for h, t in zip(activity, times.tolist(), strict=True)
    ]
    mean = np.mean(carried, 0)
    squares = (mean - mean.mean((-2, -1), keepdims=True)) ** 2
    return squares.reshape(len(mean), -1, *mean.shape[-2:]).sum(1)


def _strongest(maps: np.ndarray, pixels: int) -> np.ndarray:
    """So many of the strongest pixels of maps (velocity, y, x) as 1, others as 0; pixels that are equal share
    what is left.
    """
    flat = maps.reshape(len(maps), -1)
    least = np.sort(flat, -1)[:, -pixels, None]
    above, equal = flat > least * (1 + TIE), abs(flat - least) <= least * TIE
    left = pixels - above.sum(-1, keepdims=True)
    return (above + equal * left / np.maximum(equal.sum(-1, keepdims=True), 1)).reshape(maps.shape)


def _own(velocity: np.ndarray, grid: VelocityGrid) -> int | None:
    """The channel of a velocity: the only one, if there is no other; None where there are, and none is."""
    if len(grid) == 1:
        return 0
    distance = apart(np.array(grid.velocities, float), velocity, grid)
    return int(distance.argmin()) if distance.min() < 1e-9 else None


def _has_own(objects: MovingObjects, grid: VelocityGrid) -> np.ndarray:
    """Whether each object has a channel of its own (flow, trial, object); NaN where it cannot be seen."""
    has = np.full(objects.velocity.shape[:3], np.nan)
    for at in np.ndindex(*has.shape):
        if objects.seen[at[1:]]:
            has[at] = _own(objects.velocity[at], grid) is not None
    return has


def _other_velocities(velocity: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each object (flow, trial, object, component) the velocity of one that moves otherwise, drawn at
    random from all sequences; NaN where there is none.
    """
    every = velocity.reshape(-1, velocity.shape[-1])
    others = np.full(velocity.shape, np.nan)
    for at in np.ndindex(*velocity.shape[:3]):
        different = np.flatnonzero((every != velocity[at]).any(-1))
        if len(different):
            others[at] = every[rng.choice(different)]
    return others


def _packed(
    overlaps: np.ndarray, example: dict[str, np.ndarray], objects: MovingObjects, has_own: np.ndarray
) -> xr.Dataset:
    """All results with their coordinates and units."""
    over = ("channel", "velocity")
    by_trial = xr.DataArray(overlaps, dims=("flow", "trial", "object", *over)).mean(("flow", "object"))
    above, half_width = statistics.mean_interval(by_trial[..., 0] - by_trial[..., 1], "trial")
    every = xr.DataArray(overlaps.reshape(-1, *overlaps.shape[3:]), dims=("sequence", *over))
    size = objects.mask.shape[-2:]
    blank = {"mask": np.full(size, np.nan)} | {
        name: np.full((len(CONDITIONS), *size), np.nan) for name in ("map", "shape")
    }
    pictures = {
        name: (("velocity", "y", "x")[-values.ndim :], values.astype(float), {"units": "1"})
        for name, values in (example or blank).items()
    }
    numbers = {
        "overlap": (over, every.mean("sequence").values, "overlap"),
        "iou": (over, (every / (2 - every)).mean("sequence").values, "intersection over union"),
        "above": ("channel", above.values, "overlap less that at another velocity"),
        "above_interval": ("channel", half_width.values, "half-width of its interval over trials"),
        "share": ((), float(objects.mask.mean((-2, -1))[objects.seen].mean()), "share of the frame"),
        "covered": ((), float(np.nanmean(has_own)), "share of objects with a channel of their own"),
    }
    return xr.Dataset(
        {
            name: (dims, values, {"units": "1", "long_name": words})
            for name, (dims, values, words) in numbers.items()
        }
        | pictures
        | {"trials": overlaps.shape[1], "objects": overlaps.shape[2]},
        {"channel": list(CHOICES), "velocity": list(CONDITIONS)},
    )


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table; no overlap where no object has a channel of its own."""
    true = results.sel(velocity="true")
    of_other = results.overlap.sel(velocity="other", channel="best")
    numbers = {
        "overlap of objects with the state map of their own velocity channel": true.overlap.sel(
            channel="own"
        ),
        "IoU of objects with the state map of their own velocity channel": true.iou.sel(channel="own"),
        "overlap of objects with the state map of the best velocity channel, less that at another velocity": (
            true.overlap.sel(channel="best") - of_other
        ),
    }
    shares = {
        label: values.assign_attrs(better="higher", bounds=(-1.0, 1.0) if "less" in label else (0.0, 1.0))
        for label, values in numbers.items()
    }
    shares["coverage of objects by velocity channels of their own"] = results.covered.assign_attrs(
        bounds=(0.0, 1.0)
    )
    return {label: values for label, values in shares.items() if values.notnull().any()}


def figure(results: xr.Dataset) -> Figure:
    """An object and its shape in the state of each network, and overlaps."""
    networks = len(plot.networks(results))
    heights = [0.3 + 0.55 * networks, 0.5 + 0.42 * networks]
    fig, (top, bottom) = plot.subplots(2, 1, figsize=(plot.COLUMN, sum(heights) + 1.3), height_ratios=heights)
    _draw_shapes(top, results)
    _draw_overlaps(bottom, results)
    return fig


def _draw_shapes(ax: Axes, results: xr.Dataset) -> None:
    """The example of the first seed of each network."""
    rows: dict[str, Any] = {}
    for name in plot.networks(results):
        run = results.isel(run=int(np.argmax(results["network"].values == name)))
        images = [run.mask.values, None]
        for condition in CONDITIONS:
            images += [run[picture].sel(velocity=condition).values for picture in ("map", "shape")]
        rows[name] = [None if image is None or np.isnan(image).any() else image for image in images]
    if not any(image is not None for images in rows.values() for image in images):
        panels.not_measurable(ax)
        ax.set(xticks=[], yticks=[])
        return
    titles = ["object", "", "map", "shape", "map\n(other v)", "shape\n(other v)"]
    plot.mosaic(ax, rows, titles, "magma")


def _draw_overlaps(ax: Axes, results: xr.Dataset) -> None:
    """Overlap of each network, by choice of the channel."""
    names = plot.networks(results)
    for row, (_, colour, runs) in enumerate(panels.each_network(results)):
        for i, choice in enumerate(CHOICES):
            at = row + 0.38 * (i - 0.5)
            overlap = runs.overlap.sel(channel=choice)
            if not bool(overlap.notnull().any()):
                ax.text(0.02, at, "no channel of its own", fontsize=7, va="center")
                continue
            true, other = (overlap.sel(velocity=condition) for condition in CONDITIONS)
            ax.barh(at, true.mean(), height=0.32, color=colour, alpha=(0.6, 0.3)[i])
            ax.plot(true, [at] * true.size, "o", ms=3, color=colour, mec="black", mew=0.4)
            ax.plot(other.mean(), at, "D", ms=5, mfc="none", mec="black", mew=0.9)
            ax.text(1.02, at, choice, fontsize=7, va="center", clip_on=False)
    ax.axvline(float(results.share.mean()), color="0.5", ls="--", lw=0.8)
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5), xlabel="overlap with the object")
    number = f"n = {plot.trials(results)} of {plot.span(results.objects)} object(s)"
    ax.set_title(f"{number}, {plot.seeds(results)}", fontsize=8)
