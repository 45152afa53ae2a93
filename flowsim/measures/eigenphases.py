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

REFINEMENTS = 3
"""Steps of least squares after the search for slopes on a lattice."""


def phases(matrices: np.ndarray, covariance: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Eigenphases of operators in the eigenbasis of their mixture.

    Parameters
    ----------
    matrices : array (flow, component, component)
        Acting from the right.
    covariance : array (component, component)
        Of states.
    seed : int
        Of the mixture.

    Returns
    -------
    phase : array (flow, mode)
        In rad.
    weight : array (mode)
        Share of each mode in the variance of the states that the operators have moved.
    """
    mixture = np.random.default_rng(seed).standard_normal(len(matrices)) @ matrices.reshape(len(matrices), -1)
    vectors = np.linalg.eig(mixture.reshape(matrices.shape[1:]).T)[1]
    dual = np.linalg.pinv(vectors)
    eigenvalues = np.einsum("ia,uba,bi->ui", dual, matrices, vectors)
    variance = np.einsum("ia,ab,ib->i", dual, covariance, dual.conj()).real
    # A mode that the operators all but remove has no phase to speak of.
    weight = variance * (np.abs(eigenvalues) ** 2).mean(0)
    return np.angle(eigenvalues), weight / weight.sum()


def slopes(phase: np.ndarray, velocities: np.ndarray, tries: int = 16) -> np.ndarray:
    """Slopes (mode, component) of phases against velocities, in rad per unit of velocity.

    The best point of a lattice, refined by least squares of what is left. A phase is taken to turn by at most
    half a turn from one velocity to the next: faster slopes cannot be distinguished from slower ones.

    Parameters
    ----------
    phase : array (flow, mode)
    velocities : array (flow, component)
    tries : int
        Points of the lattice along each component.
    """
    modes, components = phase.shape[1], velocities.shape[1]
    speeds = np.abs(velocities[velocities != 0])
    if not speeds.size:
        return np.zeros((modes, components))
    steps = np.linspace(-np.pi, np.pi, tries, endpoint=False) / speeds.min()
    lattice = np.stack(np.meshgrid(*[steps] * components), -1).reshape(-1, components)
    turned_back = np.exp(-1j * lattice @ velocities.T)
    slope = lattice[(turned_back @ np.exp(1j * phase)).real.argmax(0)]
    inverse = np.linalg.pinv(velocities)
    for _ in range(REFINEMENTS):
        remaining = np.angle(np.exp(1j * (phase - velocities @ slope.T)))
        slope = slope + (inverse @ remaining).T
    return slope


def linearity(phase: np.ndarray, weight: np.ndarray, velocities: np.ndarray) -> tuple[float, np.ndarray]:
    """How far phases are linear in velocity, cross-validated over flows.

    Parameters
    ----------
    phase : array (flow, mode)
    weight : array (mode)
    velocities : array (flow, component)

    Returns
    -------
    linearity : float
        1 - (circular variance about the expected phases) / (circular variance about 0), over modes by their
        ``weight``: 1 for a group, at most about 0 for phases without order, NaN where nothing turns.
    expected : array (flow, mode)
        The phase of each flow by the slopes of the other flows, in rad.
    """
    expected = np.empty_like(phase)
    for flow in range(len(velocities)):
        others = np.arange(len(velocities)) != flow
        expected[flow] = slopes(phase[others], velocities[others]) @ velocities[flow]
    about_zero = (weight * (1 - np.cos(phase))).sum()
    about_expected = (weight * (1 - np.cos(phase - expected))).sum()
    linear = 1 - about_expected / about_zero if about_zero > 1e-9 else np.nan
    return linear, np.angle(np.exp(1j * expected))


def rotation_share(matrix: np.ndarray) -> float:
    """Antisymmetric share of the squared norm of the generator log M; NaN where M has none, or it is 0."""
    from scipy.linalg import logm

    if np.linalg.cond(matrix) > 1e12:
        return np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of the last digits
        generator = logm(matrix)
    square = (np.abs(generator) ** 2).sum()
    antisymmetric = (np.abs(generator - generator.conj().T) ** 2).sum() / 4
    # The logarithm estimates norms by random vectors, so that its last digits differ from call to call.
    return round(float(antisymmetric / square), 9) if square > 1e-12 else np.nan
