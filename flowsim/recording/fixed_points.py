r"""Relative fixed points of a network, solved for, with the spectrum of the step about each.

The input is one picture that moves at a velocity g, x_(t+1) = psi_1(g) x_t. In the frame that moves along,
a step is

    G(k) = psi_1(g)^-1 F(k, psi_1(g) x)                  F(h, x) = update(advance(h), x)

and a relative fixed point is G(k*) = k*: a state that is carried along by the flow and changes in no other
way. Where steps commute with the flow this is the same at every frame, and only there; the shift of a law
relates fixed points under different flows, k*_g(v) = k*_0(v - g), and is no part of the step. Instead of the
picture the input may be nothing, or the network's own prediction: then a fixed point is a picture that the
network keeps, and that drifts at g, by itself.

The search begins where the network is after it has watched the picture for some frames. Anderson's
acceleration of k <- G(k) finds most of those that attract, all trials at once; where the residual is left
above `TOLERANCE`, L-BFGS descends from the best iterate on |G(k) - k|^2, and comes to a point that repels, or
to one that changes least nearby (a slow point). On a trained network of 102,400 units, whose fixed points
repel, it came further in the same time than Levenberg and Marquardt with LSMR, or Newton with GMRES. The
eigenvalues of largest modulus of the Jacobian of G (Floquet multipliers) are found by Arnoldi's method, about
slow points too. One that comes several times may be found fewer times.

Sources: Sussillo and Barak (2013), Opening the black box, Neural Computation 25 (fixed and slow points by
minimising the speed, and linearisation there); Chossat and Lauterbach (2000), Methods in Equivariant
Bifurcations and Dynamical Systems (relative equilibria); Walker and Ni (2011), Anderson acceleration for
fixed-point iterations, SIAM Journal on Numerical Analysis 49; Byrd, Lu, Nocedal and Zhu (1995), SIAM Journal
on Scientific Computing 16 (L-BFGS-B, of scipy); Lehoucq, Sorensen and Yang (1998), ARPACK Users' Guide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import xarray as xr
from scipy.optimize import minimize
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs
from threadpoolctl import threadpool_limits
from torch import Tensor

from flowsim.files import coordinates
from flowsim.flows.flow import Flow
from flowsim.recording.one_step import Map, OneStep, pulled
from flowsim.recording.settings import FixedPointsBlock

TOLERANCE = 1e-10
"""Residual, relative to the state from which the search began, at which a point counts as solved."""
MEMORY = 8
"""Iterates that Anderson's acceleration, and L-BFGS, look back on."""
ACCELERATED = 80
"""Iterations of Anderson's acceleration, at most."""
STALLED = 25
"""It ends when in so many iterations no residual has halved."""
EVALUATIONS = 120
"""Of L-BFGS, at most."""
DENSE = 256
"""Up to so many units the Jacobian is made, and all its eigenvalues are found."""
KRYLOV = 100
"""Vectors that Arnoldi's method holds."""
RESTARTS = 6
"""Restarts of it, at most; eigenvalues that have not converged then are NaN."""
PRECISION = 1e-4
"""Relative, of Ritz values that count as converged; well apart, their errors are of the order of its
square.
"""
PREFIX = "fixed_point"


@dataclass(frozen=True)
class Found:
    """Relative fixed points of several trials under one flow.

    ``points`` and ``start`` are (trial, unit); ``residual`` (trial,) is |G(k) - k| over the norm of start.
    """

    points: Tensor
    start: Tensor
    residual: Tensor


@threadpool_limits.wrap(limits=1, user_api="blas")  # numpy's threads and torch's would wait for each other
def solve(step: OneStep, pictures: Tensor, flows: Sequence[Flow], settings: FixedPointsBlock) -> xr.Dataset:
    """Relative fixed points for each picture under each flow.

    Parameters
    ----------
    step : OneStep
    pictures : Tensor (trial, 1, y, x)
        In float64, at the time of the state.
    flows : sequence of Flow
    settings : FixedPointsBlock

    Returns
    -------
    Dataset
        ``fixed_point`` (fixed_point_flow, fixed_point_trial, fixed_point_velocity, fixed_point_channel, y,
        x), in the frame at the time of the picture; with ``fixed_point_unit`` instead of the last four where
        the state has no space. Over the first two: ``fixed_point_residual``, |G(k) - k| over the norm of the
        state from which the search began, and ``fixed_point_size``, |k| over that norm. With
        ``fixed_point_multiplier`` as third dimension: ``fixed_point_multiplier_real`` and ``_imaginary``,
        by falling modulus, NaN where one has not converged. About a point that is not solved for they are
        those of the step there, not of a fixed point.
    """
    states, residuals, sizes, spectra = [], [], [], []
    for flow in flows:
        found = _find(step, pictures, flow, settings)
        norm = _norm(found.start).clamp(min=torch.finfo(found.start.dtype).tiny)
        states.append(step.top(found.points))
        residuals.append(found.residual)
        sizes.append(_norm(found.points) / norm)
        spectra.append(
            [
                multipliers(
                    _comoving(step, pictures[i : i + 1], flow, settings.input),
                    point[None],
                    settings.multipliers,
                )
                for i, point in enumerate(found.points)
            ]
        )
    return _packed(
        step,
        flows,
        torch.stack(states).cpu().numpy(),
        torch.stack(residuals).cpu().numpy(),
        torch.stack(sizes).cpu().numpy(),
        np.array(spectra),
    )


def _comoving(step: OneStep, pictures: Tensor, flow: Flow, shown: str) -> Map:
    """G, for some trials: a step with the input moving at the flow, seen from the frame that moves along.

    ``shown`` is "frame", "prediction" or "blank".
    """
    frame: Tensor | None = None
    if shown != "prediction":
        frame = flow.act(pictures if shown == "frame" else torch.zeros_like(pictures))
    return lambda k: step.moved(step(k, frame), flow, -1)


def _find(step: OneStep, pictures: Tensor, flow: Flow, settings: FixedPointsBlock) -> Found:
    """Watch, accelerate, descend."""
    watched = _comoving(step, pictures, flow, "frame")
    start = step.start(len(pictures)).to(pictures)
    with torch.no_grad():
        for _ in range(settings.watch):
            start = watched(start)
    comoving = _comoving(step, pictures, flow, settings.input)
    scale = _norm(start).clamp(min=torch.finfo(start.dtype).tiny)
    points, residual = accelerate(comoving, start, scale)
    for trial in torch.nonzero(residual > TOLERANCE).flatten().tolist():
        one = _comoving(step, pictures[trial : trial + 1], flow, settings.input)
        better = descend(one, points[trial : trial + 1], float(scale[trial]))
        points[trial] = better[0]
        residual[trial] = _norm(one(better) - better)[0] / scale[trial]
    return Found(points, start, residual)


def _norm(vectors: Tensor) -> Tensor:
    """Of vectors (trial, unit)."""
    return torch.linalg.vector_norm(vectors, dim=1)


@torch.no_grad()
def accelerate(function: Map, start: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Anderson's acceleration of k <- G(k), each trial by itself.

    Parameters
    ----------
    function : callable
        G, on (trial, unit).
    start : Tensor (trial, unit)
    scale : Tensor (trial,)
        What residuals are relative to.

    Returns
    -------
    points : Tensor (trial, unit)
        The iterate with the smallest residual.
    residual : Tensor (trial,)
        |G(k) - k| over the scale.
    """
    k = best = start.clone()
    smallest = torch.full_like(scale, torch.inf)
    images: list[Tensor] = []
    changes: list[Tensor] = []
    halved, since = smallest, 0
    for _ in range(ACCELERATED):
        image = function(k)
        change = image - k
        residual = _norm(change) / scale
        improved = residual < smallest
        best = torch.where(improved[:, None], k, best)
        smallest = torch.where(improved, residual, smallest)
        lost = ~torch.isfinite(residual)
        waits = (smallest > TOLERANCE) & ~lost
        progress = bool((waits & (smallest < halved / 2)).any())
        halved, since = (smallest, 0) if progress else (halved, since + 1)
        if not bool(waits.any()) or since == STALLED:
            break
        image = torch.where(lost[:, None], best, image)
        change = torch.where(lost[:, None], 0, change)
        images = [*images[-MEMORY:], image]
        changes = [*changes[-MEMORY:], change]
        k = image
        if len(images) > 1:
            of_changes = torch.stack([b - a for a, b in pairwise(changes)], 2)
            of_images = torch.stack([b - a for a, b in pairwise(images)], 2)
            products = of_changes.mT @ of_changes
            ridge = 1e-14 * products.diagonal(dim1=1, dim2=2).sum(1)[:, None].clamp(min=1e-300)
            products = products + torch.diag_embed(ridge.expand(-1, products.shape[1]))
            weights = torch.linalg.solve(products, of_changes.mT @ change[:, :, None])
            mixed = image - (of_images @ weights)[:, :, 0]
            k = torch.where(torch.isfinite(mixed).all(1, keepdim=True), mixed, image)
    return best, smallest


def descend(function: Map, start: Tensor, scale: float) -> Tensor:
    """Toward a minimum of |G(k) - k|^2 by L-BFGS, from one vector (1, unit), which is never worse.

    Parameters
    ----------
    function : callable
        G, on (1, unit).
    start : Tensor (1, unit)
    scale : float
        What the residual is relative to.
    """

    def speed(values: np.ndarray) -> tuple[float, np.ndarray]:
        k = scale * _as_vector(values, start)
        image, transposed = pulled(function, k)
        change = (image - k) / scale
        gradient = transposed(change) - change
        return float(change.square().sum()) / 2, _plain(gradient)

    options: Any = {"maxfun": EVALUATIONS, "maxcor": MEMORY, "ftol": 0, "gtol": 1e-2 * TOLERANCE}
    lowest = minimize(speed, _plain(start) / scale, jac=True, method="L-BFGS-B", options=options)
    return scale * _as_vector(lowest.x, start)


def multipliers(function: Map, point: Tensor, number: int) -> np.ndarray:
    """Eigenvalues of largest modulus of the Jacobian of G at one point (1, unit), by falling modulus.

    They are those of the transposed Jacobian, which needs no second forward pass.

    Returns
    -------
    array (number,) of complex
        NaN where there are fewer, or one has not converged.
    """
    _, transposed = pulled(function, point)
    size = point.shape[1]
    if size <= max(DENSE, number + 2):
        rows = [_plain(transposed(row[None])) for row in torch.eye(size, dtype=point.dtype).to(point)]
        return _largest(np.linalg.eigvals(np.stack(rows)), number)
    begin = np.random.default_rng(0).standard_normal(size)

    def times(v: np.ndarray) -> np.ndarray:
        return _plain(transposed(_as_vector(v, point)))

    if not np.any(times(begin)):
        return np.zeros(number, complex)
    operator = LinearOperator((size, size), times, dtype=np.float64)
    try:
        values = eigs(
            operator,
            number,
            v0=begin,
            ncv=min(max(KRYLOV, 3 * number), size),
            maxiter=RESTARTS,
            tol=PRECISION,
            return_eigenvectors=False,
        )
    except ArpackNoConvergence as error:
        values = error.eigenvalues
    return _largest(values, number)


def _largest(values: np.ndarray, number: int) -> np.ndarray:
    """So many of some eigenvalues, by falling modulus; NaN beyond the last."""
    order = np.lexsort((-values.imag, -values.real, -np.abs(values).round(12)))
    padded = np.full(number, complex(np.nan, np.nan))
    padded[: len(values)] = values[order][:number]
    return padded


def _plain(vector: Tensor) -> np.ndarray:
    """One vector (1, unit) as scipy takes it."""
    return vector[0].detach().cpu().numpy()


def _as_vector(values: np.ndarray, like: Tensor) -> Tensor:
    """What scipy gives as one vector (1, unit)."""
    return torch.from_numpy(np.ascontiguousarray(values).reshape(1, -1)).to(like)


def _packed(
    step: OneStep,
    flows: Sequence[Flow],
    states: np.ndarray,
    residuals: np.ndarray,
    sizes: np.ndarray,
    spectra: np.ndarray,
) -> xr.Dataset:
    """What was found as variables of a recording."""
    each = (f"{PREFIX}_flow", f"{PREFIX}_trial")
    network = step.network
    coords = coordinates.velocity_coords("flow", flows[0].group, [flow.velocity for flow in flows], each[0])
    coords = {name: (each[0], *rest[1:]) for name, rest in coords.items()}
    coords[each[1]] = (each[1], np.arange(states.shape[1]), {"long_name": "trial whose picture is shown"})
    if step.has_space:
        between = ("orientation",) if states.ndim == 7 else ()
        axes = (f"{PREFIX}_{axis}" for axis in ("velocity", "channel", *between))
        of_state = (*axes, "y", "x")
        velocities = coordinates.velocity_coords("velocity", network.grid.group, network.grid.velocities)
        coords |= {f"{PREFIX}_{name}": (of_state[0], *rest[1:]) for name, rest in velocities.items()}
    else:
        of_state = (f"{PREFIX}_unit",)
        states = states.reshape(*states.shape[:2], -1)
    of_spectrum = (*each, f"{PREFIX}_multiplier")
    names = {
        PREFIX: ((*each, *of_state), states, "relative fixed point", "1"),
        f"{PREFIX}_residual": (each, residuals, "change per frame over the size of the start", "1"),
        f"{PREFIX}_size": (each, sizes, "norm over that of the start", "1"),
        f"{PREFIX}_multiplier_real": (of_spectrum, spectra.real, "multiplier, real part", "1"),
        f"{PREFIX}_multiplier_imaginary": (of_spectrum, spectra.imag, "multiplier, imaginary part", "1"),
    }
    variables = {
        name: (dims, values, {"long_name": long_name, "units": units})
        for name, (dims, values, long_name, units) in names.items()
    }
    return xr.Dataset(variables, coords)
