"""How far states are from a law, and from their mean: the two parts of every relative error of a law.

    error(law, u, t) = || h_t[psi(u) f] - law(h_t[f]) || / || h_t - m_t ||

Above is the plain difference (`missed`), so that an exact law is at exactly 0. Below is how far the state is
from its mean m_t, one number for each velocity and channel, over flows, trials and pixels (`spread`); its
square is averaged over flows. So 1 is what the mean alone would get, and sqrt(2) what independent states of
equal spread get, whatever is added to all states. A state that is silent under one flow is far from the law;
one that is the same everywhere has no error.

Source: Keller (2025), Flow Equivariant Recurrent Neural Networks, arXiv 2507.14793: the laws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flowsim.flows.flow import Flow
from flowsim.flows.law import ORIENTED, Law
from flowsim.flows.velocity_grid import VelocityGrid

if TYPE_CHECKING:
    from torch import Tensor

LAST_DIGITS = 4
"""Standard deviations below so many units in the last place of the mean are rounding, not variation."""


@dataclass(frozen=True)
class Comparison:
    """By which laws the state under each flow is compared with the state under the first, the reference.

    ``partners`` are, for each flow, the velocity channels that have a partner, and their partners.
    """

    flows: Sequence[Flow]
    laws: Sequence[Law]
    partners: Sequence[tuple[np.ndarray, np.ndarray]]
    velocities: int
    oriented: bool

    @classmethod
    def of(
        cls, flows: Sequence[Flow], laws: Sequence[Law], grid: VelocityGrid, oriented: bool = False
    ) -> Comparison:
        """The comparison of states on a grid, ``oriented`` if they have orientations before y."""
        return cls(flows, laws, [_partners(flow, grid) for flow in flows], len(grid), oriented)

    def channels(self, law: Law, flow: int) -> tuple[Any, Any]:
        """The velocity channels about which a law says something under a flow, and what it says they hold."""
        return self.partners[flow] if law.shift else (slice(None), slice(None))

    @property
    def covered(self) -> np.ndarray:
        """Whether each law says something (law, flow, velocity)."""
        said = np.zeros((len(self.laws), len(self.flows), self.velocities), bool)
        for law, flow in np.ndindex(said.shape[:2]):
            said[law, flow, self.channels(self.laws[law], flow)[0]] = True
        return said


def _partners(flow: Flow, grid: VelocityGrid) -> tuple[np.ndarray, np.ndarray]:
    """Velocity channels that have a partner under a flow, and their partners."""
    velocity = grid.velocity_of(flow)
    partners = () if velocity is None else grid.partner(velocity)
    pairs = [(channel, partner) for channel, partner in enumerate(partners) if partner is not None]
    channels = np.array([channel for channel, _ in pairs], int)
    return channels, np.array([partner for _, partner in pairs], int)


def missed(
    states: np.ndarray, reference: np.ndarray, times: Sequence[float], comparison: Comparison
) -> np.ndarray:
    """Squared differences between states and what laws predict, summed over trials, orientations and pixels.

    Each frame is moved once for all laws that transport it. What is squared is the difference, in float64:
    the difference of sums would be nothing but rounding where a law holds.

    Parameters
    ----------
    states : array (flow, trial, time, velocity, channel, [orientation,] y, x)
    reference : array (trial, time, velocity, channel, [orientation,] y, x)
        What laws are told.
    times : sequence of float
        The time of each frame.
    comparison : Comparison

    Returns
    -------
    array (law, flow, time, velocity, channel)
        0 where a law says nothing.
    """
    import torch

    flows, trials, frames, velocities, channels = states.shape[:5]
    sums = np.zeros((len(comparison.laws), flows, frames, velocities, channels))
    for trial, frame in np.ndindex(trials, frames):
        told = np.array(reference[trial, frame], np.float64)
        for j, flow in enumerate(comparison.flows):
            flowed = np.asarray(states[j, trial, frame], np.float64)
            moved = carried(flow, torch.from_numpy(told), times[frame], comparison.oriented).numpy()
            for i, law in enumerate(comparison.laws):
                own, partner = comparison.channels(law, j)
                source = moved if law.transport else told
                sums[i, j, frame, own] += _squares(flowed[own] - source[partner])
    return sums


def carried(flow: Flow, state: Tensor, time: float, oriented: bool = False) -> Tensor:
    """A state (..., [orientation,] y, x) that ``flow`` has moved for some time, and that goes on beyond the
    frame as it is in its corners.

    Groups that turn or expand bring in what is outside the frame, which they take for 0. That is so of
    frames, and not of states with a bias: here a constant stays what it is. The corners of each map are 0
    where networks keep to the disc that turns.
    """
    act = flow.act_oriented if oriented else flow.act
    if flow.group.translates:
        return act(state, time)
    outside = _outside(state, oriented)
    return act(state - outside, time) + outside


def predicted(law: Law, state: Tensor, flow: Flow, grid: VelocityGrid, times: Sequence[float]) -> Tensor:
    """`Law.predict` of states (trial, time, velocity, channel, [orientation,] y, x) that go on beyond the
    frame as they are in its corners; see `carried`.
    """
    if flow.group.translates or not law.transport:
        return law.predict(state, flow, grid, times)
    outside = _outside(state, state.ndim == ORIENTED).expand_as(state)
    return law.predict(state - outside, flow, grid, times) + Law(False, law.shift).predict(
        outside, flow, grid, times
    )


def _outside(state: Tensor, oriented: bool) -> Tensor:
    """Mean over the corners of maps (..., [orientation,] y, x), and over orientations."""
    corners = state[..., :: max(1, state.shape[-2] - 1), :: max(1, state.shape[-1] - 1)]
    return corners.mean((-3, -2, -1) if oriented else (-2, -1), keepdim=True)


def _squares(values: np.ndarray) -> np.ndarray:
    """Sum of squares (velocity, channel) over orientation and space."""
    flat = values.reshape(*values.shape[:2], math.prod(values.shape[2:]))
    return np.einsum("vcn,vcn->vc", flat, flat)


@dataclass(frozen=True)
class Moments:
    """Mean (flow, ...) of ``count`` values, and the sum of their ``squares`` about it."""

    count: int
    mean: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, states: np.ndarray) -> Moments:
        """Over trials, orientations and pixels of states (flow, trial, time, velocity, channel, ...).

        Mean and squares are (flow, time, velocity, channel).
        """
        pixels = math.prod(states.shape[5:])
        means, squares = [], []
        for of_flow in states:
            values = np.array(of_flow, np.float64).reshape(*of_flow.shape[:4], pixels)
            mean = values.mean((0, 4))
            values -= mean[None, ..., None]
            means.append(mean)
            squares.append(np.einsum("ktvcn,ktvcn->tvc", values, values))
        return cls(len(states[0]) * pixels, np.array(means), np.array(squares))

    def with_those_of(self, other: Moments) -> Moments:
        """Of both together (Chan, Golub and LeVeque 1983)."""
        count = self.count + other.count
        step = other.mean - self.mean
        squares = self.squares + other.squares + step**2 * (self.count * other.count / count)
        return Moments(count, self.mean + step * (other.count / count), squares)

    def spread(self, eps: float) -> np.ndarray:
        """Sum of squares (...) about the mean over flows too; mean over flows. 0 where it is no more than
        rounding by ``eps`` relative to the mean.
        """
        mean = self.mean.mean(0)
        about = (self.squares + self.count * (self.mean - mean) ** 2).mean(0)
        return np.where(about <= self.count * _rounding(eps, mean), 0, about)

    def constant(self, eps: float) -> np.ndarray:
        """Whether all values of a flow are the same (flow, ...), but for rounding by ``eps``; NaN where there
        is a single value.
        """
        same = (self.squares <= self.count * _rounding(eps, self.mean)).astype(float)
        return same if self.count > 1 else np.full_like(same, np.nan)


def eps_of(dtype: Any) -> float:
    """Step between 1 and the next number of a type of real numbers; that of float64 for whole numbers."""
    kind = np.dtype(dtype)
    return float(np.finfo(kind if kind.kind == "f" else np.float64).eps)


def _rounding(eps: float, mean: np.ndarray) -> np.ndarray:
    """Variance below which values with this mean are the same but for rounding."""
    return (LAST_DIGITS * eps * mean) ** 2


def relative(missed: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Relative error from the sums of both parts; NaN where nothing varies or nothing is covered."""
    ratio = np.full(np.broadcast(missed, spread).shape, np.nan)
    np.divide(missed, spread, out=ratio, where=spread > 0)
    return np.sqrt(ratio)
