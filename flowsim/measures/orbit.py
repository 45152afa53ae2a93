"""The shape of a set of points in a space of many dimensions, such as the states under all flows of one
input.

Everything follows from inner products: *products* are those of the centred points (point, point), see `gram`,
and *scale* is the mean squared norm of the points before they are centred.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray as xr

from flowsim.errors import InputError

if TYPE_CHECKING:
    from flowsim.flows.flow import Flow
    from flowsim.flows.law import Law
    from flowsim.flows.velocity_grid import VelocityGrid

TINY = 1e-6
"""Steps and tangents shorter than this, relative to the norm of the points, are rounding in float32."""
BLOCK_BYTES = 2**27


def orbits(state: xr.DataArray) -> Iterator[tuple[int, int, torch.Tensor]]:
    """Trial, frame, and the points (flow, velocity, channel, ..., y, x) or (flow, unit), as float64.

    Frames of one trial are read a block at a time.

    Raises
    ------
    InputError
        If states hold values that are no numbers.
    """
    one = 8 * state.size // (state.sizes["trial"] * state.sizes["time"])
    at_once = max(1, BLOCK_BYTES // one)
    for trial in range(state.sizes["trial"]):
        for first in range(0, state.sizes["time"], at_once):
            block = torch.from_numpy(np.asarray(state[:, trial, first : first + at_once].values, np.float64))
            if not block.isfinite().all():
                raise InputError("the state contains NaN or infinity: the network diverged; train it again")
            for k in range(block.shape[1]):
                yield trial, first + k, block[:, k]


def gram(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Products of the centred points (point, point), and the mean squared norm of ``points`` (point,
    dimension).
    """
    centred = points - points.mean(0)
    return centred @ centred.T, float(np.einsum("ij,ij->", points, points)) / len(points)


def participation_ratio(products: np.ndarray, scale: float) -> float:
    """Number of dimensions that the points spread over, (sum l)^2 / sum l^2 with l the variances along them.

    1 for a straight line, 2 for a circle, at most one less than there are points, which noise in many
    dimensions gives. NaN if all points are the same.

    Source: Gao et al. (2017, bioRxiv 214262).
    """
    total = np.trace(products)
    return float(total**2 / (products**2).sum()) if total > len(products) * scale * TINY**2 else np.nan


def extent(products: np.ndarray, scale: float) -> float:
    """Root mean squared distance from the centre, relative to the norm; NaN if all points are 0."""
    return float(np.sqrt(np.trace(products) / len(products) / scale)) if scale else np.nan


def turning(products: np.ndarray, scale: float) -> np.ndarray:
    """Angles between successive steps of a path in degrees, (point - 2); NaN where a step is none.

    0 along a straight line, 360/n along a regular polygon of n points, about 120 for independent noise.

    Source: Hénaff, Goris and Simoncelli (2019, Nat Neurosci 22:984), the curvature of a discrete path.
    """
    steps = np.diff(np.diff(products, axis=0), axis=1)
    squared = np.where(np.diag(steps) > scale * TINY**2, np.diag(steps), np.nan)
    cosine = np.diag(steps, 1) / np.sqrt(squared[:-1] * squared[1:])
    return np.rad2deg(np.arccos(cosine.clip(-1, 1)))


def straightness(products: np.ndarray, scale: float) -> float:
    """Distance between the ends of a path over its length: 1 if straight, 0 if closed; NaN if it does not
    move.
    """
    squared = distances(products) ** 2
    length = np.sqrt(np.diag(squared, 1)).sum()
    return float(np.sqrt(squared[0, -1]) / length) if length > np.sqrt(scale) * TINY else np.nan


def distances(products: np.ndarray) -> np.ndarray:
    """Between all points (point, point)."""
    norms = np.diag(products)
    squared = norms[:, None] + norms - 2 * products
    np.fill_diagonal(squared, 0)
    return np.sqrt(squared.clip(min=0))


def principal_components(products: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (point, component) and shares of the variance (component); the largest of each is positive."""
    values, vectors = np.linalg.eigh(products)
    values, vectors = values[::-1][:number].clip(min=0), vectors[:, ::-1][:, :number]
    vectors = vectors * np.sign(np.take_along_axis(vectors, abs(vectors).argmax(0)[None], 0))
    return vectors * np.sqrt(values), values / max(np.trace(products), np.finfo(float).tiny)


def principal_angles(products: np.ndarray, first: int, scale: float) -> np.ndarray:
    """Between the span of the ``first`` vectors and that of the others, in degrees, ascending.

    As `scipy.linalg.subspace_angles`, from products (vector, vector), not centred; accurate to 1e-6 degrees.
    A span may have fewer dimensions than vectors (a grating moves in one direction only); what is then
    missing is NaN, last.

    Source: Björck and Golub (1973, Math Comput 27:579).
    """
    angles, whitened = np.full(min(first, len(products) - first), np.nan), []
    for part in (slice(None, first), slice(first, None)):
        values, vectors = np.linalg.eigh(products[part, part])
        kept = values > max(scale * TINY**2, values[-1] * 1e-10)
        whitened.append(vectors[:, kept] / np.sqrt(values[kept]))
    cosine = np.linalg.svd(whitened[0].T @ products[:first, first:] @ whitened[1], compute_uv=False)
    angles[: len(cosine)] = np.rad2deg(np.arccos(cosine.clip(0, 1)))
    return angles


def lines(velocities: np.ndarray) -> dict[str, list[int]]:
    """Flows u = k e of which at least three follow each other, from the least k to the largest, by the name
    of e.

    Parameters
    ----------
    velocities : array (flow, component)
        The first that is 0 is k = 0. Of e and -e, and of multiples, one stands for all.
    """
    where = {tuple(v): i for i, v in reversed(list(enumerate(velocities.round(9) + 0.0)))}
    found: dict[str, list[int]] = {}
    known: list[np.ndarray] = []
    for e in sorted(where, key=lambda v: (sum(c * c for c in v), [-c for c in v])):
        step = np.array(e)
        unit = step / (np.linalg.norm(step) or 1)
        if not any(e) or any(abs(abs(unit @ other) - 1) < 1e-9 for other in known):
            continue
        ends = [
            next(k for k in range(len(where) + 1) if tuple((s * k * step).round(9) + 0.0) not in where)
            for s in (-1, 1)
        ]
        path = [where[tuple((k * step).round(9) + 0.0)] for k in range(1 - ends[0], ends[1])]
        if len(path) > 2:
            found["(" + ", ".join(f"{c:g}" for c in e) + ")"] = path
            known.append(unit)
    return found


def differences(velocities: np.ndarray) -> np.ndarray:
    """Weights (generator, flow) of the central differences along each component; of its shortest opposite
    flows.

    Components along which no flows come in opposite pairs have none.
    """
    found = []
    for c in range(velocities.shape[1]):
        along = np.flatnonzero(abs(velocities).sum(1) == abs(velocities[:, c]))
        pairs = [(i, j) for i in along for j in along if velocities[i, c] == -velocities[j, c] > 0]
        if pairs:
            there, back = min(pairs, key=lambda pair: velocities[pair[0], c])
            found.append(np.eye(len(velocities))[there] / 2 - np.eye(len(velocities))[back] / 2)
    return np.reshape(found, (-1, len(velocities)))


def tangent_angles(
    points: torch.Tensor,
    flows: Sequence[Flow],
    law: Law,
    grid: VelocityGrid,
    time: float,
    shuffles: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, float]:
    """Between the spans of central differences, along each component, of the states and of what a law
    predicts.

    Parameters
    ----------
    points : Tensor (flow, velocity, channel, ..., y, x)
        States at one time; flow 0 is the reference.
    flows, law, grid
        What was shown, what is predicted, and the velocities of the state.
    time : float
    shuffles : int
        Of flows, for the second row.
    rng : numpy.random.Generator

    Returns
    -------
    angles : array (2, generator)
        In degrees, ascending: measured, and the mean over shuffled flows. NaN if nothing is said or nothing
        moves.
    coverage : float
        Share of the velocity channels that the law predicts under all the flows used; others are left out.
    """
    weights = differences(np.array([flow.velocity for flow in flows], float))
    used = np.flatnonzero(weights.any(0))
    predicted = torch.full_like(points, 0)
    for i in used.tolist():
        predicted[i] = law.predict(points[None, :1], flows[i], grid, [time])[0, 0]
    said = ~predicted.flatten(2).isnan().any(2).any(0)
    if not len(weights) or not said.any():
        return np.full((2, len(weights)), np.nan), float(said.double().mean()) * bool(len(weights))
    both = torch.cat([points[:, said] - points[:, said].mean(0), predicted[:, said]]).flatten(1).numpy()
    products = both @ both.T
    n, k = len(flows), len(weights)
    scale = float(points[:, said].square().sum()) / n

    def angles(order: np.ndarray) -> np.ndarray:
        onto = np.zeros((2 * k, 2 * n))
        onto[:k, :n], onto[k:, n:] = weights[:, order], weights
        return principal_angles(onto @ products @ onto.T, k, scale)

    shuffled = np.array([angles(rng.permutation(n)) for _ in range(shuffles)])
    found = np.isfinite(shuffled)
    chance = np.where(found, shuffled, 0).sum(0) / np.where(found.any(0), found.sum(0), np.nan)
    return np.stack([angles(np.arange(n)), chance]), float(said.double().mean())


def has_topology() -> bool:
    """Whether ripser, the extra ``topology``, is installed."""
    return importlib.util.find_spec("ripser") is not None


def betti(apart: np.ndarray, persistence: float, largest: int = 2) -> np.ndarray:
    """Number of loops, of hollows, ... (dimension, from 1) that live from one scale to ``persistence`` times
    it.

    From the Vietoris-Rips complex of distances (point, point). A circle of n even points has a loop that
    lives from sin(pi / n) to sin(pi / 3), so that at least 8 are needed for a persistence of 2, and a torus
    of two such circles 12 x 12. Independent noise in few dimensions stays below 1.7 (81 points).

    Source: Tralie, Saul and Bar-On (2018, JOSS 3:925), ripser; Bobrowski and Skraba (2023, Sci Rep 13:12274),
    why a ratio of scales is what to judge by.
    """
    from ripser import ripser

    diagrams = ripser(apart, distance_matrix=True, maxdim=largest)["dgms"][1:]
    return np.array([(d[:, 1] > persistence * d[:, 0]).sum() for d in diagrams])
