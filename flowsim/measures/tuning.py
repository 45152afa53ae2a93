r"""Tuning curves: preferred direction, selectivity, width, reliability, and whether there is tuning at all.

Velocities are complex numbers in a plane, in which each flow group places its components, and directions are
angles in it. For translation 0 degrees is right, counter-clockwise as displayed. For spirals, whose
components have different units, 0 is expansion and 90 counter-clockwise rotation, each in units of its
largest (Graziano, Andersen and Snowden 1994), or if only one of them varies its two directions are 0 and 180.
Responses are (trial, flow, unit). Each trial has seen every flow, and differs from others in content: trials
are the replicates, and a unit is tuned if its curve generalises over contents.

A lattice has directions at uneven angles, and speeds that not all of them have. So with S(s) the mean
response to flows of speed s, and w(theta) the arc for which a direction stands, the curve over directions is
a ratio, right where direction and speed are separable:

    D(theta) = sum r(u) / sum S(abs(u)), over the flows u of direction theta
    m = sum w D exp(i theta) / sum w D,    preferred direction arg m,    circular variance 1 - abs(m)

Direction and variance are those of the whole response; the width is taken from what exceeds its minimum.
Of noise the circular variance is below 1, and indices that are not held out are above 0: p-values and what is
held out tell whether there is anything.

Sources: Ringach, Shapley and Hawken (2002, J Neurosci 22:5639), circular variance; Mazurek, Kager and Van
Hooser (2014, Front Neural Circuits 8:92), direction indices and why they need care; Brown (1910) and Spearman
(1910), reliability from halves; those of `flowsim.measures.statistics` for p-values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.measures.recorded import TrialByTrial, in_float64, ratio
from flowsim.measures.statistics import p_value, repeated_measures, shuffled_orders

if TYPE_CHECKING:
    from flowsim.flows.flow import Flow

FLAT = 1e-5
"""Responses that differ by less than this, relative to their mean, are the same but for rounding in float32.
"""


def plane(flows: list[Flow]) -> np.ndarray:
    """The velocity of each flow as a complex number (flow), its absolute value the speed.

    Raises
    ------
    InputError
        If velocities vary along more components than a plane has room for.
    """
    group = flows[0].group
    velocity = np.array([flow.velocity for flow in flows], float)
    if group.shares_unit and len(group.plane) == len(group.components):
        return velocity @ np.array(group.plane, complex)
    varying = velocity[:, velocity.any(0)]
    components = varying.shape[1]
    if components > 2:
        raise InputError(
            f"expected flows whose velocities vary along at most 2 components; those of {group.name} vary "
            f"along {components}. Make a probe with fewer"
        )
    if components == 2:
        varying = varying / abs(varying).max(0)
    return varying @ np.array([1, 1j])[:components]


def responses(state: xr.DataArray, trials: np.ndarray, frames: np.ndarray, how: str) -> np.ndarray:
    """Mean activity over frames, space and orientations (trial, flow, unit), of one trial and flow at a time.

    Parameters
    ----------
    state : DataArray (flow, trial, time, velocity, channel[, orientation], y, x) or (flow, trial, time, unit)
    trials, frames : arrays of int
        Indices of those that count.
    how : {"rectified", "magnitude"}
        max(h, 0) or abs(h).

    Raises
    ------
    InputError
        If the state contains NaN or infinity.
    """
    by_flow = []
    by_trial = TrialByTrial(state.isel(trial=trials, time=frames))
    for trial in range(len(trials)):
        for flow in range(state.sizes["flow"]):
            values = in_float64(by_trial.read(flow, trial))
            values = abs(values) if how == "magnitude" else values.clip(min=0)
            by_flow.append(values.mean((0, *range(3, values.ndim))).ravel())
    return np.stack(by_flow).reshape(len(trials), state.sizes["flow"], -1)


def directions(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The directions in which flows move; each stands for the arc up to half-way to its neighbours.

    Parameters
    ----------
    plane : complex array (flow)
        Velocities, of which at least one is not 0.

    Returns
    -------
    angles, arcs : arrays (direction)
        In radians, in ascending order from 0.
    mean : array (direction, flow)
        Takes the mean over the flows of each direction.
    """
    within_turn = (np.angle(plane) + 1e-7) % (2 * np.pi) - 1e-7  # -pi is pi, and a rounding below 0 is 0
    angle = within_turn.round(6) + 0.0
    angle = np.where(plane == 0, np.nan, angle)
    angles = np.unique(angle[plane != 0])
    gaps = np.diff(angles, append=angles[0] + 2 * np.pi)
    member = angle == angles[:, None]
    return angles, (gaps + np.roll(gaps, 1)) / 2, member / member.sum(1, keepdims=True)


def moment(plane: np.ndarray) -> np.ndarray:
    """The matrix that takes responses to sum w r exp(i theta), with r their means over speeds.

    Returns
    -------
    array (2, flow)
        Of the real and the imaginary part.
    """
    angles, arcs, mean = directions(plane)
    return np.stack([np.cos(angles), np.sin(angles)]) * arcs @ mean


def measures(
    responses: np.ndarray, plane: np.ndarray, splits: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Measures of each unit (unit), by name; NaN where a unit is silent, or flat and so prefers nothing.

    Parameters
    ----------
    responses : array (trial, flow, unit)
        Not negative.
    plane : complex array (flow)
    splits : int
        Number of splits of the trials into halves.
    rng : numpy.random.Generator
        Draws the splits.
    """
    curves = responses.mean(0)
    active = np.ptp(curves, axis=0) > FLAT * curves.mean(0)
    speeds = abs(plane).round(9)
    by_speed = np.array([curves[speeds == s].mean(0) for s in np.unique(speeds)])
    length, angle = _circular(curves, plane)
    above, _ = _circular(curves - curves.min(0), plane)
    plain, held_out = direction_selectivity(responses, plane)
    by_name = {
        "direction": np.where(length > FLAT, angle, np.nan),
        "circular_variance": 1 - length,
        "half_width": half_width(above),
        "direction_selectivity": plain,
        "direction_selectivity_cv": held_out,
        "speed_selectivity": ratio(np.ptp(by_speed, axis=0), by_speed.max(0) + by_speed.min(0)),
        "reliability": reliability(responses, splits, rng),
    }
    return {name: np.where(active, values, np.nan) for name, values in by_name.items()}


def _circular(curves: np.ndarray, plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Length of m, and its angle in degrees (unit), of curves (flow, unit)."""
    angles, arcs, mean = directions(plane)
    speeds, of_flow = np.unique(abs(plane).round(9), return_inverse=True)
    expected = np.array([curves[of_flow == s].mean(0) for s in range(len(speeds))])[of_flow]
    weight = arcs[:, None] * np.nan_to_num(ratio(mean @ curves, mean @ expected), nan=1)
    m = np.exp(1j * angles) @ weight / weight.sum(0)
    return abs(m), np.rad2deg(np.angle(m)) % 360


def direction_selectivity(responses: np.ndarray, plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(r(p) - r(-p)) / (r(p) + r(-p)) with p the best of the flows that have an opposite.

    Choosing p by the responses that are then compared makes noise look selective. The second value takes p
    from all trials but one, the responses from that one, and sums over the ones left out; its expectation is
    0 for noise.

    Parameters
    ----------
    responses : array (trial, flow, unit)
        Not negative.
    plane : complex array (flow)

    Returns
    -------
    plain, held_out : arrays (unit)
        NaN where no flow has an opposite or a unit is silent; the second also where there is one trial.
    """
    paired = [(j, k) for j, a in enumerate(plane) for k, b in enumerate(plane) if a and abs(a + b) < 1e-9]
    nothing = np.full(responses.shape[2], np.nan)
    if not paired:
        return nothing, nothing
    there, back = (responses[:, list(side)] for side in zip(*paired, strict=True))

    def compared(chosen: np.ndarray, trials: list[int]) -> np.ndarray:
        best = chosen.mean(0).argmax(0)[None]
        return np.stack([np.take_along_axis(side[trials].mean(0), best, 0)[0] for side in (there, back)])

    def index(sides: np.ndarray) -> np.ndarray:
        return ratio(sides[0] - sides[1], sides.sum(0))

    trials = list(range(len(responses)))
    plain = index(compared(there, trials))
    if len(trials) == 1:
        return plain, nothing
    return plain, index(np.sum([compared(np.delete(there, i, 0), [i]) for i in trials], axis=0))


def half_width(length: np.ndarray) -> np.ndarray:
    """Half-width at half height, in degrees, of the von Mises curve exp(k cos theta) whose moment has this
    length.

    Half height is half-way between its trough and its peak: 90 for none (length 0), 0 for a single direction
    (1). It follows from all directions, and so does not depend on how one interpolates between few.
    """
    from scipy.special import ive

    k = np.geomspace(1e-4, 1e4, 4001)
    half = np.rad2deg(np.arccos(1 + np.log1p(-(1 - np.exp(-2 * k)) / 2) / k))
    return np.interp(length, ive(1, k) / ive(0, k), half)


def reliability(responses: np.ndarray, splits: int, rng: np.random.Generator) -> np.ndarray:
    """Reliability (unit) of curves over all trials, from the mean correlation r of halves of the trials.

    ``responses`` are (trial, flow, unit), and curves are correlated over flows. It is 2 r / (1 + r) for
    positive r; 2 r / (1 + abs(r)) keeps it within [-1, 1] elsewhere. There is one split of two trials; with
    one trial, and where a curve is flat, it is NaN.
    """
    trials, _, units = responses.shape
    splits = {1: 0, 2: 1}.get(trials, splits)
    correlations = np.full((splits, units), np.nan)
    for correlation in correlations:
        order = rng.permutation(trials)
        a = responses[order[: trials // 2]].mean(0)
        b = responses[order[trials // 2 :]].mean(0)
        a = a - a.mean(0)
        b = b - b.mean(0)
        correlation[:] = ratio((a * b).sum(0), np.sqrt((a**2).sum(0) * (b**2).sum(0)))
    r = correlations.mean(0) if splits else np.full(units, np.nan)
    return 2 * r / (1 + abs(r))


def p_velocity(responses: np.ndarray) -> np.ndarray:
    """p-value (unit) of the hypothesis that the mean response over contents is the same under all flows.

    Trials, each a content, are the replicates, and any contrast between flows counts: see
    `flowsim.measures.statistics.repeated_measures`. Units that are tuned to each content in another way are
    not tuned.

    Parameters
    ----------
    responses : array (trial, flow, unit)
        At least two trials.
    """
    from scipy.linalg import helmert

    return _p_of(np.einsum("cf,tfu->tcu", helmert(responses.shape[1]), responses), responses)


def p_direction(responses: np.ndarray, plane: np.ndarray) -> np.ndarray:
    """p-value (unit) of the hypothesis that the mean over contents has no preferred direction.

    As `p_velocity`, of the moment over directions of what exceeds the mean response to flows of the same
    speed, so that a unit that is tuned to speed alone has none. NaN where no two flows of one speed differ
    in direction.

    Parameters
    ----------
    responses : array (trial, flow, unit)
        At least two trials.
    plane : complex array (flow)
    """
    speeds = abs(plane).round(9)
    same_speed = (speeds[:, None] == speeds) & (plane != 0)
    if not (same_speed.sum(1) > 1).any():
        return np.full(responses.shape[2], np.nan)
    of_speed = same_speed / same_speed.sum(1, keepdims=True).clip(1)
    onto = moment(plane) @ (np.diag((plane != 0).astype(float)) - of_speed)
    axes, lengths, _ = np.linalg.svd(onto, full_matrices=False)
    onto = axes[:, lengths > 1e-9 * lengths.max()].T @ onto
    onto = onto / np.linalg.norm(onto, axis=1).max()
    return _p_of(np.einsum("cf,tfu->tcu", onto, responses), responses)


def _p_of(contrasts: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """p-value (unit) of contrasts (trial, contrast, unit); differences between trials may be rounding."""
    rounding = contrasts.shape[1] * (FLAT * responses.mean((0, 1))) ** 2
    return repeated_measures(contrasts, rounding)


def own_preference(
    preferred: np.ndarray,
    channel: np.ndarray,
    is_own: np.ndarray,
    permutations: int,
    rng: np.random.Generator,
) -> dict[str, float]:
    """How many units prefer the velocity of their velocity channel, and how many would by chance.

    Chance is that the channels have their velocities in any other order: 1 / (number of channels whose
    velocity was among the flows), times the share of units that prefer any of those. Channels keep their
    units together, which are not independent.

    Parameters
    ----------
    preferred : array of int (unit)
        Flow of the strongest response; -1 where there is none.
    channel : array of int (unit)
        Velocity channel of each unit.
    is_own : array of bool (channel, flow)
        Whether a flow has the velocity of a channel.
    permutations : int
        Orders of channels that are drawn for p.

    Returns
    -------
    dict
        ``share``, ``chance``, ``p``, NaN where there are no units that count, and ``units``, their number:
        those that prefer any flow, in channels whose velocity was a flow.
    """
    shown = np.flatnonzero(is_own.any(1))
    counts = np.zeros((len(shown), len(shown)))
    units = 0
    for row, own in enumerate(shown):
        flows = preferred[(channel == own) & (preferred >= 0)]
        units += len(flows)
        counts[row] = is_own[shown][:, flows].sum(1)
    if not units:
        return {"share": np.nan, "chance": np.nan, "p": np.nan, "units": 0}
    orders = shuffled_orders(rng, permutations, len(shown))
    agreement = counts[np.arange(len(shown)), orders].sum(1) / units
    return {
        "share": float(agreement[0]),
        "chance": float(counts.sum() / len(shown) / units),
        "p": p_value(agreement[0], agreement[1:]),
        "units": units,
    }
