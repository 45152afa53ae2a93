r"""Is it flow equivariant? The measurement, and the judgement, for any map from frames to states.

    error(t) = || h_t[psi(u) f] - law(h_t[f]) || / || h_t - m_t ||

See `flowsim.flows.law.Law` for the laws, and `flowsim.measures.law_error` for the error, which is that of
`analysis.equivariance_error`: relative to how far the state is from its mean m_t. States that are the same
everywhere obey every law; they say nothing, and are not passed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

from flowsim.errors import InputError
from flowsim.flows.flow import Flow, transport
from flowsim.flows.group import FlowGroup, Velocity
from flowsim.flows.law import ORIENTED, Law
from flowsim.flows.velocity_grid import VelocityGrid
from flowsim.measures.law_error import Comparison, Moments, missed, relative
from flowsim.network import Network

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 1e-2}
"""Largest relative error that still counts as rounding, by dtype of the states."""


@dataclass(frozen=True)
class Equivariance:
    """The result of `equivariance_error`.

    Attributes
    ----------
    error : Tensor (time,)
        Relative error at each step, over trials, channels, pixels and the velocities that the law covers; NaN
        where it covers none, or the states are the same under both inputs, in all trials and pixels.
    worst : float
        The largest of them; NaN where all are, or a state is not finite.
    time : int
        The step at which it occurs.
    velocity, channel : int
        The velocity and channel with the largest part in it.
    coverage : float
        Share of velocity channels about which the law says something.
    constant : float
        Share of units (velocity, channel, at each step) that are the same under both inputs, in all trials
        and pixels: 1 of a network that is dead.
    """

    error: Tensor
    worst: float
    time: int
    velocity: int
    channel: int
    coverage: float
    constant: float


def equivariance_error(
    network: Network | Callable[[Tensor], Tensor],
    flow: Flow,
    frames: Tensor,
    law: Law | None = None,
    grid: VelocityGrid | None = None,
) -> Equivariance:
    """How far the states under a flowed input are from what a law predicts.

    Parameters
    ----------
    network : Network, or callable
        From frames (trial, time, channel, y, x) to states (trial, time, velocity, channel, y, x), or with
        orientations (trial, time, velocity, channel, orientation, y, x).
    flow : Flow
        Applied to the frames.
    frames : Tensor (trial, time, channel, y, x)
    law : Law, optional
        The one that the network declares, if not given.
    grid : VelocityGrid, optional
        Velocities of the states; the network's own, if not given.

    Raises
    ------
    InputError
        If a law or grid is neither given nor declared, or the states have other dimensions.
    """
    states_of = network.states if isinstance(network, Network) else network
    law = law or getattr(network, "law", None)
    grid = grid or getattr(network, "grid", None)
    if law is None or grid is None:
        missing = "law" if law is None else "grid"
        raise InputError(f"the network declares no {missing}; give one to equivariance_error({missing}=...)")
    with torch.no_grad():
        reference, moved = states_of(frames), states_of(flow.transport(frames))
    if reference.ndim not in (6, ORIENTED):
        raise InputError(
            f"expected states (trial, time, velocity, channel, y, x); got {tuple(reference.shape)}"
        )
    both = np.stack([states.double().cpu().numpy() for states in (reference, moved)])
    rest = Flow(flow.group, (0,) * len(flow.velocity))
    comparison = Comparison.of([rest, flow], [law], grid, reference.ndim == ORIENTED)
    spread = Moments.of(both).spread(torch.finfo(reference.dtype).eps)
    constant = float((spread == 0).mean())
    covered = law.coverage(flow, grid)
    if not covered:
        silent = torch.full((reference.shape[1],), torch.nan, dtype=torch.float64)
        return Equivariance(silent, math.nan, 0, 0, 0, 0.0, constant)
    parts = missed(both, both[0], range(reference.shape[1]), comparison)[0, 1]
    of_covered = (spread * comparison.covered[0, 1][:, None]).sum((1, 2))
    error = relative(parts.sum((1, 2)), of_covered)
    time = int(np.where(of_covered == 0, -1, np.where(np.isnan(error), np.inf, error)).argmax())
    velocity, channel = divmod(int(parts[time].argmax()), parts.shape[2])
    found = torch.from_numpy(error)
    return Equivariance(found, float(error[time]), time, velocity, channel, covered, constant)


def assert_flow_equivariant(
    network: Network | Callable[[Tensor], Tensor],
    flow: Flow,
    frames: Tensor,
    law: Law | None = None,
    grid: VelocityGrid | None = None,
    tolerance: float | None = None,
) -> None:
    """Raise AssertionError unless `equivariance_error` is within ``tolerance`` (by default, that of the
    dtype).

    What cannot be judged is an error too: a flow under which no velocity channel has a partner, a flow that
    leaves these frames as they are, and states that are constant. The partners that there are are judged;
    `Equivariance.coverage` is their share.
    """
    if any(flow.velocity) and torch.equal(flow.transport(frames), frames):
        raise AssertionError(
            f"the flow {flow.velocity} leaves these frames as they are: nothing to judge. Give frames that "
            "vary over space, more than one, and a flow that moves them"
        )
    measured = equivariance_error(network, flow, frames, law, grid)
    limit = TOLERANCE[frames.dtype] if tolerance is None else tolerance
    if not measured.coverage:
        raise AssertionError(
            f"no velocity channel has a partner under the flow {flow.velocity}: nothing to judge"
        )
    if measured.constant == 1:
        raise AssertionError(
            "the states are constant, the same under both inputs and in all trials and pixels: nothing to "
            "judge. A dead network obeys every law"
        )
    if not measured.worst <= limit:  # NaN is not within the limit either
        raise AssertionError(
            f"not equivariant under the flow {flow.velocity}: relative error {measured.worst:.2g} at step "
            f"{measured.time} exceeds {limit:.2g}; largest in velocity {measured.velocity}, channel "
            f"{measured.channel}"
        )


def lie_derivative(
    network: Network | Callable[[Tensor], Tensor],
    group: FlowGroup,
    velocity: Velocity,
    frames: Tensor,
    step: float | None = 1e-4,
) -> Tensor:
    """The Lie derivative of states along the flow of a velocity.

    Parameters
    ----------
    network : Network, or callable
        In float64; from frames (trial, time, channel, y, x) to states (trial, time, ..., y, x). Seven
        dimensions mean that there are orientations before y.
    group : FlowGroup
    velocity : velocity
        The direction u, in units of the group; the result is linear in it.
    frames : Tensor (trial, time, channel, y, x)
        In float64.
    step : float, optional
        The s of central differences, whose error is of the order of its square. None: exactly, by
        forward-mode differentiation. That works for groups that translate, and for maps whose operations all
        have a forward mode: those of flowsim's networks have, unless they resample frames (rotation, polar)
        or attend to them (attention).

    Returns
    -------
    Tensor (trial, time, ..., y, x)
        As the states, in their unit per unit of s.

    Raises
    ------
    InputError
        If frames are not in float64, or no step is given and there is no forward mode.
    """
    if frames.dtype != torch.float64:
        raise InputError(
            f"lie_derivative needs frames and network in float64, by .double(); got {frames.dtype}"
        )
    states_of = network.states if isinstance(network, Network) else network
    u = group.velocity(velocity if len(velocity) > 1 else velocity[0])
    if step is None:
        return _forward(states_of, group, u, frames)

    def pulled_back(s: float) -> Tensor:
        moved = transport(lambda x, t: group.act(x, _times(s * t, u)), frames)
        states = states_of(moved)
        act = group.act_oriented if states.ndim == ORIENTED else group.act
        return transport(lambda x, t: act(x, _times(-s * t, u)), states)

    with torch.no_grad():
        return (pulled_back(step) - pulled_back(-step)) / (2 * step)


def _times(factor: float, u: Velocity) -> Velocity:
    return tuple(factor * component for component in u)


def _forward(states_of: Callable[[Tensor], Tensor], group: FlowGroup, u: Velocity, frames: Tensor) -> Tensor:
    """The Lie derivative by forward-mode differentiation with respect to s, at s = 0."""
    if not group.translates:
        raise InputError(
            f"the forward mode of lie_derivative works for translations only; give a step for {group.name}"
        )
    time = torch.arange(frames.shape[1], dtype=frames.dtype, device=frames.device)

    def moved(x: Tensor, s: Tensor) -> Tensor:
        factor = (s * time).reshape(-1, *[1] * (x.ndim - 4))
        return group.act_each(x, [factor * component for component in u])

    with torch.no_grad(), forward_ad.dual_level():
        s = forward_ad.make_dual(frames.new_zeros(()), frames.new_ones(()))
        try:
            states = moved(states_of(moved(frames, s)), -s)
        except (NotImplementedError, RuntimeError) as error:
            reason = str(error).splitlines()[0][:80]
            raise InputError(
                f"an operation of this network has no forward mode ({reason}...); give a step"
            ) from None
        return forward_ad.unpack_dual(states).tangent
