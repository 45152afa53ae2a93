r"""Which velocity does the state tell of each object?

The velocity channels of a state are read as a population code. At the place x_k(t) of object k, the energy of
channel v, over the feature channels c,

    E_k(v, t) = sum_c mean over x in x_k(t) of (h_t(v, c, x) - m_t(v, c))^2,    P_k(v) = E_k(v) / sum_w E_k(w)

with m_t the mean over the frame, so that a bias says nothing. The velocity told is the one of most energy;
where several have the same, as in a network that cannot tell them apart, their mean. Its distance from the
velocity at which the object moves is the end-point error, in px/frame. Sharpness is 1 less the entropy of P
over that of an even one: 1 if a single channel is active, 0 if all are alike. Frame 0, before anything has
moved, does not count.

Several objects are several peaks: over the whole frame, channel v is as strong as its strongest pixel, and
the n velocities of a trial's objects should be the n strongest.

Chance is that velocities belong to other trials, and flows to other flows within each trial: the error of
what is told of one about another, in the mean. A state with the one channel v = 0 says that all rest; it is
at chance by definition.

Sources: Adelson and Bergen (1985), Spatiotemporal energy models for the perception of motion, for energy;
Pouget, Dayan and Zemel (2000), Information processing with population codes, for the code; Baker et al.
(2011), A database and evaluation methodology for optical flow, for the end-point error.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.figures import panels, plot
from flowsim.files import coordinates
from flowsim.flows.velocity_grid import VelocityGrid
from flowsim.measures import recorded, statistics
from flowsim.measures.block_map import Place, mapped
from flowsim.measures.law_error import LAST_DIGITS, eps_of
from flowsim.measures.moving_objects import MovingObjects, apart, moving_objects, shortest, translating_grid
from flowsim.specification import Count, Seed, checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = "probe"
QUESTION = "Which velocity does the state tell of each object?"
READING = (
    "Velocity channels at the place of an object are read as a population: the channel with most energy "
    "tells the object's velocity. Left: distance of that velocity from the true one after each frame; "
    "dotted, the chance level, where velocities are those of other trials and flows. A network without "
    "velocity channels says that everything rests, and is at chance. Right: sharpness of the population, 1 "
    "if one channel has all the energy, 0 if all have the same. Thick lines are arithmetic means over seeds, "
    "thin ones are seeds. Below: energy of channels relative to the object's velocity, mean over objects and "
    "seeds; the cross is the object's velocity, where a population that tells it has its peak. In the "
    "opening table errors are divided by chance: 0 is right, 1 is chance; while hidden, at least half of the "
    "object is behind an occluder."
)
MAPS = 5
"""Networks side by side."""
HIDDEN = 0.5
"""From this share of its ink on, an object behind an occluder is hidden."""
CHANCE_OF_PEAKS = 100
"""Orders of velocities from which the chance level of peaks is taken."""
SAME = 1e-6
"""Energies that differ by less than this share are the same."""


@dataclass(frozen=True)
class Populations:
    """What velocity channels have.

    Attributes
    ----------
    energy : array (flow, trial, object, time, velocity)
        At the place of each object.
    strongest : array (flow, trial, time, velocity)
        Of the pixels of the whole frame.
    """

    energy: np.ndarray
    strongest: np.ndarray


@dataclass(frozen=True)
class Chance:
    """Errors if velocities are in other orders: of each ``order``, in the mean over orders by ``time``, and
    while objects are ``hidden``.
    """

    order: np.ndarray
    time: np.ndarray
    hidden: float


@checked
def analyse(recording: xr.Dataset, *, permutations: Count = 1999, seed: Seed = 0) -> xr.Dataset:
    """Read the velocity of each object from the state.

    Parameters
    ----------
    recording : Dataset
        With ``state`` (flow, trial, time, velocity, channel[, orientation], y, x), ``frames``, and the
        velocity of each object, ``object_velocity_vy`` and ``object_velocity_vx`` (trial, object), which it
        keeps; ``object_hidden`` (trial, object, time), the share of its ink behind an occluder, if there is
        one.
    permutations, seed : int
        Orders of velocities that chance is taken from, and the seed of that draw.

    Returns
    -------
    Dataset
        Mean over flows, trials and objects: ``error`` (time), ``sharpness`` (time), NaN for one velocity
        channel, and ``chance`` (time), the error if velocities are those of other trials and flows.
        Over the frames after frame 0: ``error_mean`` with its interval over trials ``error_low`` and
        ``error_high``, ``chance_mean``, and ``p``, the share of orders of velocities whose error is as
        small; ``hidden_error`` and ``hidden_chance``, the same while objects are hidden, NaN where none is;
        ``peaks``, the share of sequences and frames with objects of different velocities in which these are
        the strongest channels of the frame, and ``peaks_chance``. ``population`` (vy, vx), share of the
        energy by velocity of the channel less that of the object; NaN where no channel is.
        ``trials``, ``objects`` and ``velocities``: how many there are.

    Raises
    ------
    InputError
        If objects do not translate at known velocities that they keep, none can be seen, no frame follows
        frame 0, velocity channels are not of translation, or the state never varies or contains NaN or
        infinity.
    """
    state = coordinates.variable(recording, "state", coordinates.STATE, coordinates.ORIENTED)
    grid, objects = translating_grid(recording), moving_objects(recording)
    after = recording.time.values > 0
    if not after.any():
        raise InputError(
            "expected a frame after frame 0, before which nothing has moved; the recording has none"
        )
    if not objects.seen.any():
        raise InputError(
            "expected objects that can be seen to move at their velocities; nothing in the frames does. "
            "Record longer trials, or more of them"
        )
    times = recording.time.values[after].tolist()
    populations = _populations(state.isel(time=after), objects, times)
    told = _told(populations.energy, grid)
    true = objects.velocity[:, :, :, None]
    error = np.where(objects.seen[:, :, None], apart(told, true, grid), np.nan)
    hidden = _hidden(recording.isel(time=after), error.shape[1:])
    orders = _orders(objects.velocity, permutations, np.random.default_rng(seed))
    chance = _chance(told, orders, np.isfinite(error), hidden, grid)
    numbers = _errors(error, hidden, chance) | _peaks(populations.strongest, objects.velocity, orders, grid)
    return _packed(recording, grid, objects, populations, error, chance, numbers)


def _populations(state: xr.DataArray, objects: MovingObjects, times: list[float]) -> Populations:
    """Energies of all velocity channels, read block by block."""
    flows, trials, frames, velocities = state.shape[:4]
    energy = np.full((flows, trials, objects.mask.shape[1], frames, velocities), np.nan)
    strongest = np.empty((flows, trials, frames, velocities))
    for place, part in mapped(state, partial(_of_block, objects=objects, times=times)):
        energy[:, place["trial"], :, place["time"]] = part.energy
        strongest[:, place["trial"], place["time"]] = part.strongest
    recorded.require_varying(bool(strongest.any()))
    return Populations(energy, strongest)


def _of_block(block: np.ndarray, place: Place, *, objects: MovingObjects, times: list[float]) -> Populations:
    """Energies in a block (flow, trial, time, velocity, channel[, orientation], y, x) of the state."""
    flows, trials, frames, velocities = block.shape[:4]
    energy = np.full((flows, trials, objects.mask.shape[1], frames, velocities), np.nan)
    strongest = np.empty((flows, trials, frames, velocities))
    for flow, trial, frame in np.ndindex(flows, trials, frames):
        values = np.asarray(block[flow, trial, frame], np.float64)
        recorded.require_finite(values)
        mean = values.mean((-2, -1), keepdims=True)
        rounding = LAST_DIGITS * eps_of(block.dtype) * abs(mean)
        squares = np.where(abs(values - mean) > rounding, values - mean, 0) ** 2
        by_pixel = squares.reshape(velocities, -1, *squares.shape[-2:]).sum(1)
        strongest[flow, trial, frame] = by_pixel.max((-2, -1))
        at, when = trial + place["trial"].start, times[frame + place["time"].start]
        for which in np.flatnonzero(objects.seen[at]).tolist():
            covered = objects.place(flow, at, which, when)
            energy[flow, trial, which, frame] = (by_pixel * covered).sum((-2, -1)) / covered.sum()
    return Populations(energy, strongest)


def _told(energy: np.ndarray, grid: VelocityGrid) -> np.ndarray:
    """Velocity (..., component) of the strongest of the channels (..., velocity); the mean of several that
    are equal.
    """
    velocities = shortest(np.array(grid.velocities, float), grid)
    best = energy >= energy.max(-1, keepdims=True) * (1 - SAME)
    return best @ velocities / np.maximum(best.sum(-1, keepdims=True), 1)


def _orders(velocity: np.ndarray, permutations: int, rng: np.random.Generator) -> np.ndarray:
    """Velocities (permutation, flow, trial, object, component) in other orders: of trials, and within each
    trial of flows. What is known of the world stays: how fast objects are, and under which flows.
    """
    flows, trials = velocity.shape[:2]
    of_trial = statistics.shuffled_orders(rng, permutations, trials)[1:]
    of_flow = statistics.shuffled_orders(rng, permutations, trials, flows)[1:]
    return np.stack([velocity[flow.T, trial[None, :]] for trial, flow in zip(of_trial, of_flow, strict=True)])


def _hidden(recording: xr.Dataset, shape: tuple[int, ...]) -> np.ndarray:
    """Whether each object is hidden (trial, object, time), which is the same under all flows."""
    if "object_hidden" not in recording.coords:
        return np.zeros(shape, bool)
    return recording.object_hidden.transpose("trial", "object", "time").values >= HIDDEN


def _chance(
    told: np.ndarray, orders: np.ndarray, known: np.ndarray, hidden: np.ndarray, grid: VelocityGrid
) -> Chance:
    """Errors of what is told (flow, trial, object, time, component) about velocities in other orders, over
    what is ``known`` (flow, trial, object, time).
    """
    of_order, by_time = np.zeros(len(orders)), np.zeros(known.shape[-1])
    while_hidden = 0.0
    hidden = hidden & known
    for i, other in enumerate(orders):
        error = np.where(known, apart(told, other[:, :, :, None], grid), 0.0)
        of_order[i] = error.sum() / known.sum()
        by_time += error.sum((0, 1, 2)) / len(orders)
        while_hidden += error[hidden].sum() / len(orders)
    seen = known.sum((0, 1, 2)).astype(float)
    return Chance(
        of_order, recorded.ratio(by_time, seen), while_hidden / hidden.sum() if hidden.any() else np.nan
    )


def _errors(error: np.ndarray, hidden: np.ndarray, chance: Chance) -> dict[str, float]:
    """Mean error, its interval over trials, its p-value, and the error while hidden, by name."""
    mean, half_width = statistics.mean_interval(xr.DataArray(_mean(error, (0, 2, 3)), dims="trial"), "trial")
    observed = float(_mean(error, None))
    return {
        "error_mean": observed,
        "error_low": max(float(mean - half_width), 0.0) if np.isfinite(half_width) else np.nan,
        "error_high": float(mean + half_width),
        "chance_mean": float(chance.order.mean()),
        "p": statistics.p_value(-observed, -chance.order),
        "hidden_error": float(_mean(error[:, hidden], None)),
        "hidden_chance": chance.hidden,
    }


def _packed(
    recording: xr.Dataset,
    grid: VelocityGrid,
    objects: MovingObjects,
    populations: Populations,
    error: np.ndarray,
    chance: Chance,
    numbers: dict[str, float],
) -> xr.Dataset:
    """All results with their coordinates and units."""
    share = _shares(populations.energy)
    population, shown = _by_difference(share, objects.velocity, grid)
    speed = {"units": "px/frame"}
    over_time = {
        "error": (_mean(error, (0, 1, 2)), speed | {"long_name": "end-point error"}),
        "chance": (chance.time, speed | {"long_name": "end-point error by chance"}),
        "sharpness": (_mean(_sharpness(share), (0, 1, 2)), {"units": "1", "long_name": "sharpness"}),
    }
    without_unit = {"p", "peaks", "peaks_chance"}
    return xr.Dataset(
        {name: ("time", values, attrs) for name, (values, attrs) in over_time.items()}
        | {
            name: ((), value, {"units": "1"} if name in without_unit else speed)
            for name, value in numbers.items()
        }
        | {
            "population": (("vy", "vx"), population, {"units": "1", "long_name": "share of energy"}),
            "trials": error.shape[1],
            "objects": error.shape[2],
            "velocities": len(grid),
        },
        {
            "time": recording.time[recording.time > 0],
            **{name: (name, values, speed) for name, values in zip(("vy", "vx"), shown, strict=True)},
        },
    )


def _shares(energy: np.ndarray) -> np.ndarray:
    """Shares of the energy (..., velocity) of all channels; NaN where none has any."""
    return recorded.ratio(energy, np.broadcast_to(energy.sum(-1, keepdims=True), energy.shape))


def _mean(values: np.ndarray, axes: tuple[int, ...] | None) -> np.ndarray:
    """Mean of what is known; NaN where nothing is."""
    known = np.isfinite(values)
    return recorded.ratio(np.where(known, values, 0).sum(axes), known.sum(axes).astype(float))


def _sharpness(share: np.ndarray) -> np.ndarray:
    """1 less the entropy of shares (..., velocity) over that of an even one; NaN for a single velocity, or
    where nothing is active.
    """
    from scipy.special import xlogy

    velocities = share.shape[-1]
    if velocities == 1:
        return np.full(share.shape[:-1], np.nan)
    return 1 + xlogy(share, share).sum(-1) / np.log(velocities)


def _peaks(
    strongest: np.ndarray, velocity: np.ndarray, orders: np.ndarray, grid: VelocityGrid
) -> dict[str, float]:
    """How often the velocities of a trial's objects, where these differ, are the strongest of the frame, and
    how often they would be in other orders; NaN with one object, or where their channels are all there are.
    """
    objects = velocity.shape[2]
    if not 1 < objects < len(grid):
        return {"peaks": np.nan, "peaks_chance": np.nan}
    rank = np.argsort(np.argsort(-strongest, -1, kind="stable"), -1)
    channels = np.array(grid.velocities, float)

    def share(velocity: np.ndarray) -> float:
        is_own = apart(velocity[:, :, :, None], channels, grid) < 1e-9
        differ = np.asarray(is_own.any(-1).all(-1) & (is_own.sum(2) <= 1).all(-1))
        if not differ.any():
            return np.nan
        needed = is_own.any(2)[:, :, None]
        found = (rank < objects) & needed
        return float((found.sum(-1) == objects)[differ].mean())

    by_chance = np.array([share(other) for other in orders[:CHANCE_OF_PEAKS]])
    return {"peaks": share(velocity), "peaks_chance": float(_mean(by_chance, None))}


def _by_difference(
    share: np.ndarray, velocity: np.ndarray, grid: VelocityGrid
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Mean share of energy (vy, vx) by velocity of the channel less that of the object, and these velocities.

    Differences are the whole ones up to those between the channels of a grid.
    """
    channels = np.array(grid.velocities, float)
    reach = [int(np.ptp(channels[:, axis])) for axis in (0, 1)]
    if grid.period is not None:
        reach = [
            min(most, int(period - 1) // 2) if np.isfinite(period) else most
            for most, period in zip(reach, grid.period, strict=True)
        ]
    values = tuple(np.arange(-most, most + 1) for most in reach)
    total, count = np.zeros((2, len(values[0]), len(values[1])))
    difference = shortest(channels - velocity[:, :, :, None], grid)
    row, column = np.moveaxis(np.round(difference).astype(int) + np.array(reach), -1, 0)
    mean = _mean(share, (3,))
    inside = (row >= 0) & (row < len(values[0])) & (column >= 0) & (column < len(values[1]))
    whole = (abs(difference - np.round(difference)) < 1e-9).all(-1)
    chosen = inside & whole & np.isfinite(mean)
    np.add.at(total, (row[chosen], column[chosen]), mean[chosen])
    np.add.at(count, (row[chosen], column[chosen]), 1)
    return recorded.ratio(total, count), (values[0], values[1])


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table, as far as there are channels, occluders and several objects."""
    relative = {
        "error of the velocity that the state tells of objects, relative to chance": (
            results.error_mean / results.chance_mean.where(results.chance_mean > 0)
        ),
        "error of the velocity that the state tells of hidden objects, relative to chance": (
            results.hidden_error / results.hidden_chance.where(results.hidden_chance > 0)
        ),
    }
    numbers = {
        label: values.assign_attrs(better="lower", bounds=(0.0, np.inf), chance=1.0)
        for label, values in relative.items()
    }
    shares = {
        "sharpness of velocity channels at objects": results.sharpness.mean("time"),
        "share of frames whose objects have the strongest velocity channels": results.peaks,
    }
    numbers |= {
        label: values.assign_attrs(better="higher", bounds=(0.0, 1.0)) for label, values in shares.items()
    }
    return {label: values for label, values in numbers.items() if values.notnull().any()}


def figure(results: xr.Dataset) -> Figure:
    """Error and sharpness over time, and the mean population of each network."""
    names = plot.networks(results)
    rows = -(-len(names) // MAPS)
    fig = plot.figure(figsize=(plot.PAGE, 2.6 + 1.75 * rows))
    parts: Any = fig.subfigures(2, 1, height_ratios=[2.6, 1.75 * rows])
    top, bottom = parts
    left, right = top.subplots(1, 2, sharex=True)
    plot.lines(results, "error", "time", left)
    for _, colour, runs in panels.each_network(results):
        left.plot(results.time, runs.chance.mean("run"), color=colour, ls=(0, (1, 1)), lw=1)
    left.set(xlabel="frame", ylabel="end-point error (px/frame)", ylim=(-0.05, None))
    panels.lines_or_note(results, "sharpness", "time", right)
    right.set(xlabel="frame", ylabel="sharpness", ylim=(-0.02, 1.02))
    number = f"n = {plot.trials(results)} of {plot.span(results.objects)} object(s)"
    left.set_title(f"{number}, {plot.seeds(results)}", fontsize=8, loc="left")
    plot.legend(results, right, fontsize=7)
    axes = panels.network_axes(bottom, names, MAPS)
    several = results.population.where(results.velocities > 1, 0).fillna(0)
    for ax, (name, _, runs) in zip(axes, panels.each_network(results), strict=True):
        _draw_population(ax, runs, float(several.max()) or 1.0)
        ax.set_title(name, fontsize=8)
    drawn = [ax.collections[0] for ax in axes if ax.collections]
    if drawn:
        bottom.colorbar(drawn[0], ax=axes, label="share of energy")
    axes[0].set_ylabel("channel less object,\nvy (px/frame)", fontsize=8)
    axes[0].set_xlabel("vx (px/frame)", fontsize=8)
    return fig


def _draw_population(ax: Axes, runs: xr.Dataset, largest: float) -> None:
    """Mean share of energy by velocity of the channel less that of the object; positive is down."""
    if int(runs.velocities.max()) == 1:
        panels.note(ax, "one velocity\nchannel")
        return
    population = runs.population.mean("run").transpose("vy", "vx")
    ax.pcolormesh(
        population.vx,
        population.vy,
        population.values,
        shading="nearest",
        cmap="viridis",
        vmin=0,
        vmax=largest,
    )
    ax.plot(0, 0, "+", color="tab:red", ms=6, mew=1.2)
    ax.set_aspect("equal")
    ax.set_ylim(float(population.vy.max()) + 0.5, float(population.vy.min()) - 0.5)
    ax.tick_params(labelsize=7)
