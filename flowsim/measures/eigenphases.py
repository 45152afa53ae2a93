r"""Phases of operators M_u that should form a one-parameter group, against velocity.

Operators that commute are diagonal in one basis, here the eigenbasis of a random mixture of them all: M_u has
the eigenphases phi_j(u) there, and a one-parameter group has

    phi_j(u) = a_j . u   (mod 2 pi)

Slopes a_j maximise sum_u cos(phi_j(u) - a_j . u), the circular-linear regression of Kempter et al. (2012, J.
Neurosci. Methods 207, 113) without intercept, as M_0 = 1.
"""

from __future__ import annotations

import warnings

import numpy as np


def phases(matrices: np.ndarray, covariance: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Phases (flow, mode) in rad, and the share (mode) of each mode in the variance of moved states.

    Parameters
    ----------
    matrices : array (flow, component, component)
        Acting from the right.
    covariance : array (component, component)
        Of states.
    seed : int
        Of the mixture.
    """
    mixture = np.random.default_rng(seed).standard_normal(len(matrices)) @ matrices.reshape(len(matrices), -1)
    vectors = np.linalg.eig(mixture.reshape(matrices.shape[1:]).T)[1]
    dual = np.linalg.pinv(vectors)
    values = np.einsum("ia,uba,bi->ui", dual, matrices, vectors)
    # A mode that the operators all but remove has no phase to speak of.
    weight = np.einsum("ia,ab,ib->i", dual, covariance, dual.conj()).real * (np.abs(values) ** 2).mean(0)
    return np.angle(values), weight / weight.sum()


def slopes(phase: np.ndarray, velocities: np.ndarray, tries: int = 16) -> np.ndarray:
    """Slopes (mode, component) of phases (flow, mode) against velocities (flow, component).

    The best of a lattice with ``tries`` points a side, refined by least squares of what is left.
    """
    present = np.abs(velocities[velocities != 0])
    if not present.size:
        return np.zeros((phase.shape[1], velocities.shape[1]))
    # A phase turns by at most half a turn from one velocity to the next: faster slopes cannot be told from
    # slower.
    steps = np.linspace(-np.pi, np.pi, tries, endpoint=False) / present.min()
    lattice = np.stack(np.meshgrid(*[steps] * velocities.shape[1]), -1).reshape(-1, velocities.shape[1])
    turn = np.exp(-1j * lattice @ velocities.T)
    slope = lattice[(turn @ np.exp(1j * phase)).real.argmax(0)]
    inverse = np.linalg.pinv(velocities)
    for _ in range(3):
        slope = slope + (inverse @ np.angle(np.exp(1j * (phase - velocities @ slope.T)))).T
    return slope


def linearity(phase: np.ndarray, weight: np.ndarray, velocities: np.ndarray) -> tuple[float, np.ndarray]:
    """Cross-validated linearity, and the phases (flow, mode) that the slopes of the other flows let expect.

    1 - (circular variance about them) / (circular variance about 0), over modes by their ``weight``: 1 for a
    group, at most about 0 for phases without order, NaN where nothing turns.
    """
    expected = np.empty_like(phase)
    for u in range(len(velocities)):
        others = np.arange(len(velocities)) != u
        expected[u] = slopes(phase[others], velocities[others]) @ velocities[u]
    turned = (weight * (1 - np.cos(phase))).sum()
    left = (weight * (1 - np.cos(phase - expected))).sum()
    return (1 - left / turned if turned > 1e-9 else np.nan), np.angle(np.exp(1j * expected))


def turning(matrix: np.ndarray) -> float:
    """Antisymmetric share of the squared norm of the generator log M; NaN where there is none, or it is 0."""
    from scipy.linalg import logm

    if np.linalg.cond(matrix) > 1e12:
        return np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of the last digits
        generator = logm(matrix)
    square = (np.abs(generator) ** 2).sum()
    antisymmetric = (np.abs(generator - generator.conj().T) ** 2).sum() / 4
    return float(antisymmetric / square) if square > 1e-12 else np.nan
