r"""A flow-equivariant RNN whose observer moves by known actions and sees the world through a window.

The state is a map of the whole world, a torus, carried in the observer's coordinates: when the observer moves
by a_t, everything moves the other way,

    h_t(v) = relu( psi_1(v - a_t) . (W * h_(t-1)(v)) + U * pad(f_t) ),     h_(-1) = 0,     for every v in V

with the frame f_t in the window, the map's upper left corner, and blank outside it. What left the window
keeps moving in the map and is read out when it comes back. Without actions the observer rests. Law: where the
window is the whole world, transport+shift for what moves in it; a moving observer alone transports the state,
shifting nothing, since its action is known. Where it is less no flow of the frames is one of the world, and
nothing is promised.

Source: Lillemark, Keller et al. (2026), Flow Equivariant World Models, the recurrence with self-motion.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from flowsim.errors import InputError
from flowsim.flows.flow import Flow
from flowsim.flows.law import Law
from flowsim.flows.velocity_grid import VelocityGrid, translation_grid
from flowsim.layers.cells import at_every_velocity
from flowsim.layers.circular import CircularConv2d, check_kernel
from flowsim.layers.readout import Readout
from flowsim.layers.velocity_channels import advance, lift
from flowsim.network import Network, State
from flowsim.specification import Count, Few, FewOrNone, FrameShape, WholeSpeed, checked


class SelfMotion(Network):
    """See the module. Carried is the map (trial, velocity, channel, world y, world x), of which `top` is the
    window.
    """

    observes = True

    def __init__(
        self,
        frame_shape: tuple[int, int],
        world: tuple[int, int],
        grid: VelocityGrid,
        readout: Readout,
        channels: int,
        kernel: int,
    ) -> None:
        super().__init__()
        self.frame_shape, self.world, self.grid, self.channels = frame_shape, world, grid, channels
        self.law = Law(transport=True, shift=True) if world == frame_shape else None
        self.recurrent = CircularConv2d(channels, channels, kernel)
        self.encoder = CircularConv2d(1, channels, kernel)
        self.readout = readout

    def start(self, trials: int) -> State:
        return (self.encoder.weight.new_zeros(trials, len(self.grid), self.channels, *self.world),)

    def advance(self, state: State) -> State:
        return (advance(state[0], self.grid),)

    def move(self, state: State, action: Tensor) -> State:
        moved = [
            Flow(self.grid.group, tuple(a)).act(world, -1)
            for world, a in zip(state[0], action.tolist(), strict=True)
        ]
        return (torch.stack(moved),)

    def window(self, world: Tensor) -> Tensor:
        """What the observer sees of a map (..., world y, world x), (..., y, x)."""
        return world[..., : self.frame_shape[0], : self.frame_shape[1]]

    def top(self, state: State) -> Tensor:
        return self.window(state[0])

    def decode(self, state: State) -> Tensor:
        return self.window(self.readout(state[0]))

    def update(self, state: State, frame: Tensor) -> State:
        unseen = [size - seen for size, seen in zip(self.world, self.frame_shape, strict=True)]
        drive = self.encoder(F.pad(frame, (0, unseen[1], 0, unseen[0])))
        return (torch.relu(at_every_velocity(self.recurrent, state[0]) + lift(drive)),)

    def memory_kernels(self) -> list[tuple[Tensor, Tensor | None]]:
        return [(self.recurrent.weight, None)]

    def logits(self, state: State) -> Tensor:
        return self.readout.logits(state[0])


@checked
def build(
    frame_shape: FrameShape,
    *,
    world: FrameShape | None = None,
    max_speed: WholeSpeed = 2,
    velocities: list[tuple[float, float]] | Literal["closed"] | None = None,
    channels: Count = 16,
    kernel: Few = 3,
    decoder_layers: FewOrNone = 4,
    classes: Count | None = None,
) -> Network:
    """Build one for frames (y, x).

    Parameters
    ----------
    world : (int, int), optional
        Size (y, x) of the map, at least that of a frame; that of a frame if not given. Actions are given to
        `Network.steps` and its kin; in an experiment they come from the stimulus (``digit_world``), and where
        it has none the observer rests.
    max_speed, velocities, channels, kernel, decoder_layers, classes
        See `flowsim.models.fernn`; V is of what moves in the world.

    Raises
    ------
    InputError
        If the world is smaller than a frame, or a velocity or kernel does not fit.
    """
    world = frame_shape if world is None else world
    if world[0] < frame_shape[0] or world[1] < frame_shape[1]:
        raise InputError(
            f"world must be at least as large as a frame, {frame_shape[0]}x{frame_shape[1]} px; got "
            f"{world[0]}x{world[1]}"
        )
    check_kernel(kernel, frame_shape)
    grid = translation_grid(world, max_speed, velocities)
    return SelfMotion(frame_shape, world, grid, Readout(channels, decoder_layers, classes), channels, kernel)
