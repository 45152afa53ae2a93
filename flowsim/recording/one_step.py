r"""One step of a network, from frame to frame, as a map between vectors in float64, with its derivatives.

    F(h, x) = update(advance(h), x)

with h everything that is carried after a frame and x the next frame, or the one that the network itself
predicts. Derivatives are products of the Jacobian with vectors; no matrix is made. They are those of the
network's plain form (`flowsim.network.Network.plain`), which has the same weights; where predictions are
bounded they are cut here and have no gradient beyond the bounds, as when the network runs.

A unit that a rectifier holds at 0 lies on a kink for what reads it, such as a maximum over velocities. What
a step makes of a difference leaves such units at 0, so that from the second step on, and for eigenvectors
of all eigenvalues but 0, there is one derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from flowsim.errors import InputError
from flowsim.flows.flow import Flow
from flowsim.flows.group import FlowGroup
from flowsim.network import Network, State

Map = Callable[[Tensor], Tensor]
"""From vectors (trial, unit) to vectors (trial, unit)."""
AT_ONCE = 2**17
"""Numbers in vectors that are differentiated along at once."""
ANGLE = 1e-3
"""Half of the step, in units of a flow group that does not translate, by which its generator is taken."""


class OneStep:
    """The step of one network on vectors (trial, unit).

    Parameters
    ----------
    network : Network
        Not edited: a copy in float64 is used.
    option : str
        That needs it; the beginning of errors.

    Raises
    ------
    InputError
        If it is not a flowsim network, goes through frames in a way of its own, or carries anything but
        floating-point numbers.
    """

    def __init__(self, network: nn.Module, option: str) -> None:
        if not isinstance(network, Network):
            raise InputError(
                f"{option}: expected a flowsim.Network, whose step from frame to frame is known; got "
                f"{type(network).__name__}. Leave {option} out, or build it as docs/extending.md says"
            )
        if type(network).resume is not Network.resume:
            raise InputError(
                f"{option}: expected a network whose step is advance, decode and update; "
                f"{type(network).__name__} goes through frames in a way of its own. Leave {option} out for it"
            )
        self.option = option
        self.network = deepcopy(network.plain()).double().requires_grad_(False)
        start = self.network.start(1)
        if not all(tensor.dtype == torch.float64 for tensor in start):
            raise InputError(
                f"{option}: expected a network that carries numbers which a step changes smoothly; "
                f"{type(network).__name__} also counts frames, so that no two of its steps are the same map. "
                f"Leave {option} out for it"
            )
        self.shapes = [tuple(tensor.shape[1:]) for tensor in start]

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return self.network.start(1)[0].device

    @property
    def has_space(self) -> bool:
        """Whether all that is carried has the space of the frame, so that a flow can move it."""
        return all(shape[-2:] == tuple(self.network.frame_shape) for shape in self.shapes)

    def start(self, trials: int) -> Tensor:
        """What is carried before the first frame (trial, unit)."""
        return self.packed(self.network.start(trials))

    def packed(self, state: State) -> Tensor:
        """Everything that is carried as vectors (trial, unit).

        Raises
        ------
        InputError
            If it has not the size that it has before the first frame.
        """
        if [tuple(tensor.shape[1:]) for tensor in state] != self.shapes:
            raise InputError(
                f"{self.option}: expected a network whose state always has one size; that of "
                f"{type(self.network).__name__} grows with the frames seen. Leave {self.option} out for it"
            )
        return torch.cat([tensor.flatten(1) for tensor in state], 1)

    def unpacked(self, h: Tensor) -> State:
        """Vectors (trial, unit) as what the network carries."""
        sizes = [torch.Size(shape).numel() for shape in self.shapes]
        parts = h.split(sizes, 1)
        return tuple(part.unflatten(1, shape) for part, shape in zip(parts, self.shapes, strict=True))

    def top(self, h: Tensor) -> Tensor:
        """The state (trial, velocity, channel, y, x) within vectors (trial, unit)."""
        return self.network.top(self.unpacked(h))

    def __call__(self, h: Tensor, frame: Tensor | None) -> Tensor:
        """F(h, x) (trial, unit), of a frame (trial, 1, y, x) or, if None, of the network's prediction."""
        advanced = self.network.advance(self.unpacked(h))
        if frame is None:
            frame = self.network.decode(advanced)
            if self.network.bounded:
                frame = frame.clamp(0, 1)
        return self.packed(self.network.update(advanced, frame))

    def moved(self, h: Tensor, flow: Flow, time: float = 1) -> Tensor:
        """psi_t(g) on everything that is carried, (trial, unit).

        Raises
        ------
        InputError
            If the flow moves something, and something that is carried does not have the space of the frame.
        """
        if not any(flow.velocity):
            return h
        self._require_space()
        return self.packed(
            tuple(
                flow.act_oriented(tensor, time) if tensor.ndim == 6 else flow.act(tensor, time)
                for tensor in self.unpacked(h)
            )
        )

    def tangents(self, h: Tensor, group: FlowGroup) -> Tensor:
        """The tangent of the group's orbit at one state (1, unit): d/ds exp(s e) h at s = 0 for each
        component e of the group, (component, unit), per unit of that component times a frame.

        Translations differentiate the band-limited shift, any other group by central differences.
        """
        self._require_space()
        directions = torch.eye(len(group.components), dtype=h.dtype).tolist()
        if not group.translates:
            pairs = [(Flow(group, tuple(e)), ANGLE) for e in directions]
            return torch.cat([(self.moved(h, f, s) - self.moved(h, f, -s)) / (2 * s) for f, s in pairs])
        zero = torch.zeros(1, dtype=h.dtype, device=h.device)
        rows = []
        for direction in directions:

            def along(s: Tensor, direction: Sequence[float] = tuple(direction)) -> Tensor:
                element = [component * s for component in direction]
                return self.packed(tuple(group.act_each(tensor, element) for tensor in self.unpacked(h)))

            rows.append(pushed(along, zero, torch.ones_like(zero)))
        return torch.cat(rows)

    def _require_space(self) -> None:
        if not self.has_space:
            raise InputError(
                f"{self.option}: expected a network whose state has the space of the frame, which a flow can "
                f"move; {type(self.network).__name__} carries {', '.join(map(str, self.shapes))}. Give it "
                "the flow at rest alone: flows: 1"
            )


def pushed(function: Map, h: Tensor, along: Tensor) -> Tensor:
    """The Jacobian of a map at each of ``h`` (trial, unit) times the same of ``along``, by forward-mode
    differentiation; a few trials at a time, which is faster than all at once where vectors are long.

    Raises
    ------
    InputError
        If an operation has no forward mode.
    """
    few = max(1, AT_ONCE // max(1, along[0].numel()))
    parts = zip(h.split(few), along.split(few), strict=True)
    return torch.cat([_pushed(function, state.contiguous(), part.contiguous()) for state, part in parts])


def _pushed(function: Map, h: Tensor, along: Tensor) -> Tensor:
    with torch.no_grad(), forward_ad.dual_level():
        try:
            result, tangent = forward_ad.unpack_dual(function(forward_ad.make_dual(h, along)))
        except (NotImplementedError, RuntimeError) as error:
            reason = str(error).splitlines()[0][:80]
            raise InputError(
                f"an operation of this network has no forward derivative ({reason}...); use operations of "
                "torch that have one"
            ) from None
    return torch.zeros_like(result) if tangent is None else tangent


def pulled(function: Map, h: Tensor) -> tuple[Tensor, Map]:
    """A map at ``h``, and its transposed Jacobian there, as a map that may be applied many times."""
    with torch.enable_grad():
        origin = h.detach().clone().requires_grad_()
        result = function(origin)

    def transposed(weights: Tensor) -> Tensor:
        if not result.requires_grad:
            return torch.zeros_like(origin)
        (gradient,) = torch.autograd.grad(result, origin, weights, retain_graph=True, allow_unused=True)
        return torch.zeros_like(origin) if gradient is None else gradient

    return result.detach(), transposed
