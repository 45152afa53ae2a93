"""The shape of a set of points in a space of many dimensions, such as the states under all flows of one
input.

Everything follows from inner products. In all functions *products* (point, point) are those of the centred
points, and *scale* is the mean squared norm of the points before they are centred; both come from `gram`.
What is shorter than *rounding*, relative to the norm, does not count.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from flowsim.measures import recorded

if TYPE_CHECKING:
    import torch

    from flowsim.flows.flow import Flow
    from flowsim.flows.group import Velocity
    from flowsim.flows.law import Law
    from flowsim.flows.velocity_grid import VelocityGrid

TINY = 1e-6
"""Steps and tangents shorter than this, relative to the norm of the points, are rounding in float32, in which
networks are run.
"""
TURN_OF_NOISE = 120.0
"""Angle, in degrees, of steps between independent points, equally far apart: its cosine is -1/2."""
BLOCK_BYTES = 2**27
"""Size of the states that are read at once, in float64."""


def orbits(state: xr.DataArray) -> Iterator[tuple[int, int, torch.Tensor]]:
    """Every orbit of a recorded state: trial, frame, and its points in float64.

    Frames of one trial are read a block at a time.

    Parameters
    ----------
    state : DataArray (flow, trial, time, ...)

    Yields
    ------
    trial, frame : int
        By position.
    points : Tensor (flow, velocity, channel, ..., y, x) or (flow, unit)

    Raises
    ------
    InputError
        If states contain NaN or infinity.
    """
    import torch

    orbit_bytes = 8 * state.size // (state.sizes["trial"] * state.sizes["time"])
    frames_at_once = max(1, BLOCK_BYTES // orbit_bytes)
    for trial in range(state.sizes["trial"]):
        for first in range(0, state.sizes["time"], frames_at_once):
            frames = slice(first, first + frames_at_once)
            block = torch.from_numpy(recorded.in_float64(state[:, trial, frames]))
            for offset, points in enumerate(block.unbind(1)):
                yield trial, first + offset, points


def rounding_of(dtype: np.dtype[Any]) -> float:
    """Length relative to the norm below which steps of states, stored in this type, are rounding."""
    return max(TINY, 2 * float(np.finfo(dtype).eps))


def gram(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Products (point, point) of the centred points, and the mean squared norm of ``points`` (point,
    dimension).
    """
    centred = points - points.mean(0)
    return centred @ centred.T, float(np.einsum("ij,ij->", points, points)) / len(points)


def participation_ratio(products: np.ndarray, scale: float, rounding: float = TINY) -> float:
    """Number of dimensions over which the points spread, (sum l)^2 / sum l^2 with l the variances along them.

    1 for a straight line, 2 for a circle, and at most one less than there are points, as for noise in many
    dimensions. NaN if all points are the same.

    Source: Gao et al. (2017, bioRxiv 214262).
    """
    total = np.trace(products)
    return float(total**2 / (products**2).sum()) if total > len(products) * scale * rounding**2 else np.nan


def participation_of_noise(points: int, dimensions: int) -> float:
    """`participation_ratio` of independent normal noise, the same in so many dimensions.

    Correct to 4 %, from the expectations of (tr W)^2 and tr W^2 of a Wishart matrix W of m = points - 1
    degrees of freedom: (m D + 2) / (m + D + 1) in D dimensions, and m in many.
    """
    spread = points - 1
    return (spread * dimensions + 2) / (spread + dimensions + 1)


def extent(products: np.ndarray, scale: float) -> float:
    """Root mean squared distance from the centre, relative to the norm; NaN if all points are 0."""
    return float(np.sqrt(np.trace(products) / len(products) / scale)) if scale else np.nan


def angles_between_steps(products: np.ndarray, scale: float, rounding: float = TINY) -> np.ndarray:
    """Angles (point - 2) between successive steps of a path, in degrees; NaN where a step has no length.

    0 along a straight line, 360/n along a regular polygon of n points, about 120 for independent noise.

    Source: Hénaff, Goris and Simoncelli (2019, Nat Neurosci 22:984), the curvature of a discrete path.
    """
    steps = np.diff(np.diff(products, axis=0), axis=1)
    squared = np.where(np.diag(steps) > scale * rounding**2, np.diag(steps), np.nan)
    cosine = np.diag(steps, 1) / np.sqrt(squared[:-1] * squared[1:])
    return np.rad2deg(np.arccos(cosine.clip(-1, 1)))


def straightness(products: np.ndarray, scale: float, rounding: float = TINY) -> float:
    """Distance between the ends of a path over its length: 1 if straight, 0 if closed; NaN if it does not
    move.
    """
    squared = distances(products) ** 2
    length = np.sqrt(np.diag(squared, 1)).sum()
    return (
        float(np.sqrt(squared[0, -1]) / length)
        if length > np.sqrt(scale) * rounding * (len(products) - 1)
        else np.nan
    )


def straightness_of_noise(points: int) -> float:
    """`straightness` of a path of so many independent points in many dimensions: 1 / (number of steps).

    There all points are equally far apart. In few dimensions distances vary, and it is larger: of three
    points 0.52 in 4 dimensions, and 0.59 in one, instead of 0.5.
    """
    return 1 / (points - 1)


def distances(products: np.ndarray) -> np.ndarray:
    """Distances between all points (point, point)."""
    norms = np.diag(products)
    squared = norms[:, None] + norms - 2 * products
    np.fill_diagonal(squared, 0)
    return np.sqrt(squared.clip(min=0))


def principal_components(products: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (point, component) of points, and shares (component) of the variance of the components.

    The sign of a component is such that its largest coordinate is positive.
    """
    values, vectors = np.linalg.eigh(products)
    values = values[::-1][:number].clip(min=0)
    vectors = vectors[:, ::-1][:, :number]
    largest = np.take_along_axis(vectors, abs(vectors).argmax(0)[None], 0)
    vectors = vectors * np.sign(largest)
    return vectors * np.sqrt(values), values / max(np.trace(products), np.finfo(float).tiny)


def principal_angles(products: np.ndarray, first: int, scale: float, rounding: float = TINY) -> np.ndarray:
    """Angles between the span of the ``first`` vectors and that of the others, in degrees, ascending.

    As `scipy.linalg.subspace_angles`, but from products (vector, vector) of vectors that are not centred;
    accurate to 1e-6 degrees. A span may have fewer dimensions than vectors (a grating moves in one direction
    only). Angles that are then missing are NaN, and come last.

    Source: Björck and Golub (1973, Math Comput 27:579).
    """
    some = _orthonormal(products[:first, :first], scale, rounding)
    others = _orthonormal(products[first:, first:], scale, rounding)
    cosine = np.linalg.svd(some.T @ products[:first, first:] @ others, compute_uv=False)
    angles = np.full(min(first, len(products) - first), np.nan)
    angles[: len(cosine)] = np.rad2deg(np.arccos(cosine.clip(0, 1)))
    return angles


def _orthonormal(products: np.ndarray, scale: float, rounding: float) -> np.ndarray:
    """Weights (vector, basis) of an orthonormal basis of the span of vectors, up to rounding."""
    values, vectors = np.linalg.eigh(products)
    long_enough = values > max(scale * rounding**2, values[-1] * 1e-10)
    return vectors[:, long_enough] / np.sqrt(values[long_enough])


def lines_of_flows(velocities: np.ndarray) -> dict[str, list[int]]:
    """Straight lines of flows, u = k e with whole k, through the flow at rest.

    Parameters
    ----------
    velocities : array (flow, component)
        Of flows that are listed twice, the first counts.

    Returns
    -------
    dict
        Indices of the flows on each line, from the least k to the largest, by the name of e. A line has at
        least three flows, without gaps. Of all e in one direction, or in the opposite one, only the shortest
        is used.
    """
    flow_at: dict[Velocity, int] = {}
    for flow, velocity in enumerate(velocities):
        flow_at.setdefault(_rounded(velocity), flow)
    paths: dict[str, list[int]] = {}
    directions: list[np.ndarray] = []
    for velocity in sorted(flow_at, key=_shortest_first):
        if not any(velocity):
            continue
        step = np.array(velocity)
        direction = step / np.linalg.norm(step)
        if any(abs(abs(direction @ other) - 1) < 1e-9 for other in directions):
            continue
        path = _multiples(step, flow_at)
        if len(path) > 2:
            paths["(" + ", ".join(f"{component:g}" for component in velocity) + ")"] = path
            directions.append(direction)
    return paths


def _rounded(velocity: np.ndarray) -> Velocity:
    """A velocity that can be looked up, without -0."""
    return tuple(velocity.round(9) + 0.0)


def _shortest_first(velocity: Velocity) -> tuple[float, list[float]]:
    """Sorts velocities by length, and of one length those first whose components are largest."""
    return sum(component * component for component in velocity), [-component for component in velocity]


def _multiples(step: np.ndarray, flow_at: dict[Velocity, int]) -> list[int]:
    """Flows at the whole multiples of ``step``, from rest both ways until one is missing."""

    def from_rest(direction: int) -> list[int]:
        path: list[int] = []
        for k in count():
            flow = flow_at.get(_rounded(direction * k * step))
            if flow is None:
                break
            path.append(flow)
        return path

    backwards = from_rest(-1)
    forwards = from_rest(1)
    return [*reversed(backwards), *forwards[1:]]


def differences(velocities: np.ndarray) -> np.ndarray:
    """Weights of central differences between flows, along each component of their velocity.

    Parameters
    ----------
    velocities : array (flow, component)

    Returns
    -------
    array (generator, flow)
        1/2 at the slowest flow along a component that has an opposite, and -1/2 at that opposite. Components
        along which no flows come in opposite pairs have no row.
    """
    rows = []
    for component in range(velocities.shape[1]):
        speed = velocities[:, component]
        along = np.flatnonzero(abs(velocities).sum(1) == abs(speed))
        pairs = [(there, back) for there in along for back in along if speed[there] == -speed[back] > 0]
        if pairs:
            there, back = min(pairs, key=lambda pair: velocities[pair[0], component])
            weights = np.zeros(len(velocities))
            weights[there] = 0.5
            weights[back] = -0.5
            rows.append(weights)
    return np.reshape(rows, (-1, len(velocities)))


def tangent_angles(
    points: torch.Tensor,
    flows: Sequence[Flow],
    law: Law,
    grid: VelocityGrid,
    time: float,
    shuffles: int,
    rng: np.random.Generator,
    rounding: float = TINY,
) -> tuple[np.ndarray, float]:
    """Angles between the directions in which flows move the state and those in which a law says they do.

    Both are spans of central differences along each component of velocity, see `differences`.

    Parameters
    ----------
    points : Tensor (flow, velocity, channel, ..., y, x)
        States at one time; flow 0 is the reference.
    flows : sequence of Flow
        What was shown.
    law : Law
        What is predicted.
    grid : VelocityGrid
        The velocities of the state.
    time : float
        In frames.
    shuffles : int
        How often flows are shuffled for the level of chance.
    rng : numpy.random.Generator

    Returns
    -------
    angles : array (2, generator)
        In degrees, ascending: measured, and the mean over shuffled flows. NaN if the law says nothing or
        nothing moves.
    coverage : float
        Share of the velocity channels that the law predicts under all the flows used; others are left out.
    """
    import torch

    weights = differences(np.array([flow.velocity for flow in flows], float))
    generators = len(weights)
    if not generators:
        return np.full((2, 0), np.nan), 0.0
    predicted = torch.full_like(points, 0)
    for flow in np.flatnonzero(weights.any(0)).tolist():
        predicted[flow] = law.predict(points[None, :1], flows[flow], grid, [time])[0, 0]
    covered = ~predicted.flatten(2).isnan().any(2).any(0)
    coverage = float(covered.double().mean())
    if not covered.any():
        return np.full((2, generators), np.nan), coverage
    measured = points[:, covered]
    vectors = torch.cat([measured - measured.mean(0), predicted[:, covered]]).flatten(1).numpy()
    products = vectors @ vectors.T
    scale = float(measured.square().sum()) / len(flows)
    shuffled = [
        _angles_of_differences(products, weights[:, rng.permutation(len(flows))], weights, scale, rounding)
        for _ in range(shuffles)
    ]
    in_place = _angles_of_differences(products, weights, weights, scale, rounding)
    return np.stack([in_place, _mean_of_known(np.array(shuffled))]), coverage


def _angles_of_differences(
    products: np.ndarray, measured: np.ndarray, predicted: np.ndarray, scale: float, rounding: float
) -> np.ndarray:
    """Principal angles between the spans of differences of measured points and of predicted ones.

    Parameters
    ----------
    products : array (2 flow, 2 flow)
        Of all measured points, followed by all predicted ones.
    measured, predicted : arrays (generator, flow)
        Weights of the differences.
    """
    generators, flows = measured.shape
    weights = np.zeros((2 * generators, 2 * flows))
    weights[:generators, :flows] = measured
    weights[generators:, flows:] = predicted
    return principal_angles(weights @ products @ weights.T, generators, scale, rounding)


def _mean_of_known(shuffled: np.ndarray) -> np.ndarray:
    """Mean over shuffles (shuffle, generator) without those that are NaN; NaN where all are."""
    known = np.isfinite(shuffled)
    number = np.where(known.any(0), known.sum(0), np.nan)
    return np.where(known, shuffled, 0).sum(0) / number


def has_topology() -> bool:
    """Whether ripser, the extra ``topology``, is installed."""
    return importlib.util.find_spec("ripser") is not None


def betti(apart: np.ndarray, persistence: float, largest: int = 2) -> np.ndarray:
    """Number of loops, of hollows, and so on (dimension, from 1) that persist over scales.

    Those of the Vietoris-Rips complex of distances ``apart`` (point, point) that appear at one scale and are
    still there at ``persistence`` times it. Of a circle of n evenly spaced points there is a loop from scale
    sin(pi / n) to sin(pi / 3): at least 8 points are needed for a persistence of 2, and for a torus of two
    circles 12 x 12. Independent noise in few dimensions stays below 1.7 (81 points).

    Source: Tralie, Saul and Bar-On (2018, JOSS 3:925), ripser; Bobrowski and Skraba (2023, Sci Rep 13:12274),
    why to judge by a ratio of scales.
    """
    from ripser import ripser

    diagrams = ripser(apart, distance_matrix=True, maxdim=largest)["dgms"][1:]
    return np.array([(d[:, 1] > persistence * d[:, 0]).sum() for d in diagrams])
