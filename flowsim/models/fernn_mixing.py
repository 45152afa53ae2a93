r"""A FERNN whose velocity channels talk to each other: the full flow convolution.

    h_t(v) = relu( psi_1(v) . sum_w W(w - v) * h_(t-1)(w) + U * f_t )

Needed where objects change velocity, as in collisions: what is known about an object must then pass from one
channel to another. W depends on the difference of velocities only, so the law is that of the FERNN,
transport+shift, exact on a grid closed under addition. On a truncated grid channels near its edge miss
partners to mix with, the error enters from there by one radius of W per frame, and no law is declared.

Source: Keller (2025), Flow Equivariant Recurrent Neural Networks, the full flow convolution.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from flowsim.flows.group import Velocity
from flowsim.flows.law import Law
from flowsim.flows.velocity_grid import VelocityGrid, translation_grid
from flowsim.layers.circular import CircularConv2d, check_kernel, convolve
from flowsim.layers.readout import Readout
from flowsim.layers.velocity_channels import advance, lift
from flowsim.network import Network, State
from flowsim.specification import Count, Few, FewOrNone, FrameShape, Whole, WholeSpeed, checked


class FERNNMixing(Network):
    """See the module. The flow convolution is part of `advance`, so that predictions see mixed channels.

    W(0) starts as the kernel of a FERNN and all others at 0: mixing is learned from none. What is learned of
    the others counts 1/|V|: there are so many of them, and Adam moves each as fast as W(0).
    """

    index: Tensor
    gain: Tensor

    def __init__(
        self,
        frame_shape: tuple[int, int],
        grid: VelocityGrid,
        readout: Readout,
        channels: int,
        kernel: int,
        radius: int | None,
    ) -> None:
        super().__init__()
        self.frame_shape, self.grid, self.channels = frame_shape, grid, channels
        differences, index = kernel_index(grid, radius)
        kernels = torch.zeros(len(differences), channels, channels, kernel, kernel)
        self.own = differences.index((0, 0))
        kernels[self.own] = CircularConv2d(channels, channels, kernel).weight.detach()
        self.kernels = nn.Parameter(kernels)
        gain = torch.full((len(differences), 1, 1, 1, 1), 1 / len(grid))
        gain[self.own] = 1
        self.register_buffer("gain", gain, persistent=False)
        self.register_buffer("index", index, persistent=False)
        self.encoder = CircularConv2d(1, channels, kernel)
        self.readout = readout
        closed = all(grid.coverage(v) == 1 for v in grid.velocities)
        self.law = Law(transport=True, shift=True) if closed else None

    def start(self, trials: int) -> State:
        return (self.kernels.new_zeros(trials, len(self.grid), self.channels, *self.frame_shape),)

    def advance(self, state: State) -> State:
        return (advance(self.mix(state[0]), self.grid),)

    def mix(self, state: Tensor) -> Tensor:
        """sum_w W(w - v) * h(w): one convolution from all (velocity, channel) to all."""
        kernels = self.kernels * self.gain
        bank = torch.cat([kernels, torch.zeros_like(kernels[:1])])  # the last: no kernel, out of radius
        weight = bank[self.index].transpose(1, 2).flatten(2, 3).flatten(0, 1)  # (v channel, w channel, y, x)
        return convolve(state.flatten(1, 2), weight).view_as(state)

    def decode(self, state: State) -> Tensor:
        return self.readout(torch.relu(state[0]))

    def update(self, state: State, frame: Tensor) -> State:
        return (torch.relu(state[0] + lift(self.encoder(frame))),)

    def memory_kernels(self) -> list[tuple[Tensor, Tensor | None]]:
        return [(self.kernels[self.own], None)]

    def logits(self, state: State) -> Tensor:
        return self.readout.logits(state[0])


def kernel_index(grid: VelocityGrid, radius: int | None) -> tuple[list[Velocity], Tensor]:
    """The differences w - v that have a kernel, and (v, w) the index of each pair's, their number where it
    has none.
    """
    pairs = [[nearest(w, v, grid.period) for w in grid.velocities] for v in grid.velocities]
    every = sorted({d for row in pairs for d in row if radius is None or max(map(abs, d)) <= radius})
    place = {d: i for i, d in enumerate(every)}
    return every, torch.tensor([[place.get(d, len(every)) for d in row] for row in pairs])


def nearest(w: Velocity, v: Velocity, period: Velocity | None) -> Velocity:
    """w - v, on a torus the smallest that moves the same."""
    difference = [a - b for a, b in zip(w, v, strict=True)]
    if period is not None:
        difference = [(d + (p - 1) // 2) % p - (p - 1) // 2 for d, p in zip(difference, period, strict=True)]
    return tuple(difference)


@checked
def build(
    frame_shape: FrameShape,
    *,
    max_speed: WholeSpeed = 1,
    velocities: list[tuple[float, float]] | Literal["closed"] | None = None,
    radius: Whole | None = None,
    channels: Count = 16,
    kernel: Few = 3,
    decoder_layers: FewOrNone = 4,
    classes: Count | None = None,
) -> Network:
    """Build one for frames (y, x).

    Parameters
    ----------
    radius : int, optional
        Channels mix if their velocities differ by at most this in each component; all do if not given.
    velocities : list of (vy, vx), or "closed"
        V, as in `flowsim.models.fernn`.
    max_speed, channels, kernel, decoder_layers, classes
        See `flowsim.models.fernn`.

    Raises
    ------
    InputError
        If a velocity or kernel does not fit on the frame, or a kernel is even.
    """
    check_kernel(kernel, frame_shape)
    grid = translation_grid(frame_shape, max_speed, velocities)
    readout = Readout(channels, decoder_layers, classes)
    return FERNNMixing(frame_shape, grid, readout, channels, kernel, radius)
