r"""How far from equivariance is a map, in the limit of an infinitely slow flow? Its Lie derivative.

    L_t = d/ds  psi_t(-s u) . h_t[psi(s u) f]   at s = 0

is 0 for all t if the state is transported, h_t[psi(s u) f] = psi_t(s u) . h_t[f], whatever the s near 0. A law that
also shifts velocity channels has no limit of this kind on a finite set V, whose channels have no partner at a small s.

Source: Gruver, Finzi, Goldblum & Wilson (2023), The Lie derivative for measuring learned equivariance, arXiv
2210.02984: the Lie derivative; here for flows, that is for transformations that go on in time.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import forward_ad

from flowsim.errors import InputError
from flowsim.flows.group import FlowGroup, Translation, Velocity, transport
from flowsim.flows.resampling import shift
from flowsim.flows.velocity_grid import ORIENTED
from flowsim.network import Network


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
        In float64; from frames (trial, time, channel, y, x) to states (trial, time, ..., y, x). Seven dimensions mean
        that there are orientations before y.
    group : FlowGroup
    velocity : velocity
        The direction u, in units of the group; the result is linear in it.
    frames : Tensor (trial, time, channel, y, x)
        In float64.
    step : float, optional
        The s of central differences, whose error is of the order of its square. None: exactly, by forward-mode
        differentiation, for translations and where all operations of the map know it, which those of flowsim's networks
        do unless they sample frames anew (rotation, polar) or attend to them (attention).

    Returns
    -------
    Tensor (trial, time, ..., y, x)
        As the states, in their unit per unit of s.

    Raises
    ------
    InputError
        If frames are not in float64, or forward mode is asked for where there is none.
    """
    if frames.dtype != torch.float64:
        raise InputError(f"lie_derivative needs frames and network in float64, by .double(); got {frames.dtype}")
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
    if not isinstance(group, Translation):
        raise InputError(f"the forward mode of lie_derivative knows translation only; give a step for {group.name}")
    time = torch.arange(frames.shape[1], dtype=frames.dtype, device=frames.device)

    def moved(x: Tensor, s: Tensor) -> Tensor:
        by = (s * time).reshape(-1, *[1] * (x.ndim - 4))
        return shift(x, by * u[0], by * u[1])

    with torch.no_grad(), forward_ad.dual_level():
        s = forward_ad.make_dual(frames.new_zeros(()), frames.new_ones(()))
        try:
            states = moved(states_of(moved(frames, s)), -s)
        except (NotImplementedError, RuntimeError) as error:
            reason = str(error).splitlines()[0][:80]
            raise InputError(f"an operation of this network knows no forward mode ({reason}...); give a step") from None
        return forward_ad.unpack_dual(states).tangent
