r"""A flow-equivariant RNN for rotation about the centre, with an orientation axis.

In the co-moving frame, g_t(w) = psi_(-t)(w) . h_t(w), the recurrence runs on copies of the input that turn
along,

    g_t(w) = relu( W * g_(t-1)(w) + U * psi_(-t)(w) . f_t ),   g_(-1) = 0,   for every angular velocity w in V

with steerable convolutions over space and orientations, within the largest disc of the frame. Over
orientations, g is a Fourier series up to the angular frequency K (`flowsim.layers.steerable`): a turn by any
angle is exact there, and relu, taken at N orientations, is kept up to K. Every frame is turned once and the
state never; `Network.top` turns it once to the static frame, where the law is transport+shift and transport
turns the maps and shifts the orientations. A frame is interpolated, and so the law holds to a tolerance:
tests/models/test_fernn_rotation.py holds the table by resolution.

Source: Keller (2025), Flow Equivariant Recurrent Neural Networks: rotating MNIST (C_36, 10 deg/frame; all 36
orientations there have weights of their own).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from flowsim.flows.flow import Flow
from flowsim.flows.law import Law
from flowsim.flows.velocity_grid import VelocityGrid, rotation_grid
from flowsim.layers.circular import check_kernel
from flowsim.layers.readout import class_logits
from flowsim.layers.steerable import Angles, SteerableConv
from flowsim.network import Network, State, acted
from flowsim.specification import Amount, Count, Few, FewOrNone, FrameShape, Positive, checked

RIM = 2.0
"""Over this many px the edge of the disc fades; a sharp one would turn raggedly."""


class FERNNRotation(Network):
    """See the module. Carried are g (trial, velocity, channel, coefficient, y, x) and the time t of its last
    frame.
    """

    law = Law(transport=True, shift=True)
    disc: Tensor

    def __init__(
        self,
        frame_shape: tuple[int, int],
        grid: VelocityGrid,
        angles: Angles,
        channels: int,
        kernel: int,
        decoder_layers: int,
        classes: int | None,
    ) -> None:
        super().__init__()
        self.frame_shape = frame_shape
        self.grid = grid
        self.channels = channels
        self.angles = angles
        highest = angles.frequencies
        self.recurrent = SteerableConv(channels, channels, kernel, highest, highest)
        self.encoder = SteerableConv(1, channels, kernel, 0, highest)
        hidden = [SteerableConv(channels, channels, 3, highest, highest) for _ in range(decoder_layers)]
        self.decoder = nn.ModuleList([*hidden, SteerableConv(channels, 1, 3, highest, 0)])
        self.classifier = nn.Linear(channels, classes) if classes else None
        self.register_buffer("disc", disc(frame_shape).to(torch.get_default_dtype()), persistent=False)

    def start(self, trials: int) -> State:
        coefficients = 2 * self.angles.frequencies + 1
        shape = (trials, len(self.grid), self.channels, coefficients, *self.frame_shape)
        return self.disc.new_zeros(shape), torch.tensor(-1)

    def advance(self, state: State) -> State:
        comoving, time = state
        return comoving, time + 1

    def top(self, state: State) -> Tensor:
        """h = psi_t(w) . g at N orientations, (trial, velocity, channel, orientation, y, x)."""
        comoving, time = state
        turned = [
            self.angles.sample(flow.act(g, int(time)), int(time) * flow.velocity[0])
            for flow, g in zip(self.flows, comoving.unbind(1), strict=True)
        ]
        return torch.stack(turned, 1)

    def parts(self, state: State) -> dict[str, Tensor]:
        return {"state": self.top(state)}

    def with_parts(self, state: State, parts: Mapping[str, Tensor]) -> State:
        """What is replaced is turned to the co-moving frame, interpolated once; the rest stays as it is."""
        comoving, time = state
        change = (parts["state"] - self.top(state)).unbind(1)
        turned = [
            flow.act(self.angles.coefficients(x, int(time) * flow.velocity[0]), -int(time))
            for flow, x in zip(self.flows, change, strict=True)
        ]
        return comoving + torch.stack(turned, 1), time

    def acted(self, state: State, law: Law, flow: Flow, time: int) -> State:
        """In the co-moving frame transport+shift is a shift alone, and exact; the others turn g once."""
        u = self.grid.velocity_of(flow)
        if u is None:
            return super().acted(state, law, flow, time)
        comoving, last = state
        if law.shift:
            comoving = acted(comoving, Law(False, True), flow, self.grid, time)
        turns = (law.transport - law.shift) * time
        if turns:
            turned = flow.act(comoving, turns)
            comoving = self.angles.coefficients(self.angles.sample(turned, turns * u[0]))
        return comoving, last

    @property
    def flows(self) -> list[Flow]:
        """The flow of each channel."""
        return [Flow(self.grid.group, v) for v in self.grid.velocities]

    def decode(self, state: State) -> Tensor:
        x = self.angles.coefficients(self.top(state).amax(1))
        *hidden, last = self.decoder
        for layer in hidden:
            x = self.angles.relu(layer(x)) * self.disc
        return last(x).squeeze(2)

    def update(self, state: State, frame: Tensor) -> State:
        comoving, time = state
        stabilised = torch.stack([flow.act(frame, -int(time)) for flow in self.flows], 1) * self.disc
        drive = self.encoder(stabilised.flatten(0, 1).unsqueeze(1))
        recurrent = self.recurrent(comoving.flatten(0, 1))
        return (self.angles.relu(recurrent + drive) * self.disc).view_as(comoving), time

    def memory_kernels(self) -> list[tuple[Tensor, Tensor | None]]:
        return [self.recurrent.memory]

    def logits(self, state: State) -> Tensor:
        return class_logits(self.classifier, self.top(state).amax(1).mean((-3, -2, -1)))


def disc(frame_shape: tuple[int, int]) -> Tensor:
    """The largest disc in a frame (y, x): 1 within, 0 outside, fading linearly over the last `RIM` px."""
    rows, columns = (torch.arange(size, dtype=torch.float64) - (size - 1) / 2 for size in frame_shape)
    rho = torch.hypot(rows[:, None], columns)
    return ((min(frame_shape) / 2 - rho) / RIM).clamp(0, 1)


@checked
def build(
    frame_shape: FrameShape,
    *,
    max_speed: Amount = 40,
    step: Positive = 10,
    velocities: list[float] | Literal["closed"] | None = None,
    orientations: Count = 12,
    channels: Count = 4,
    kernel: Few = 3,
    decoder_layers: FewOrNone = 4,
    classes: Count | None = None,
) -> Network:
    """Build one for frames (y, x).

    Parameters
    ----------
    max_speed, step : float
        V = {-max_speed, ..., -step, 0, step, ..., max_speed}, in deg/frame. max_speed 0 makes it the G-RNN.
    velocities : list of float, or "closed"
        V as listed instead, or every multiple of step on the circle.
    orientations : int
        N, at which relu acts and the state is recorded. It holds angular frequencies up to K = N // 4 (3 of
        12). With multiples of 4 quarter turns are exact.
    channels : int
        Each a function of the orientation.
    kernel, decoder_layers, classes : int
        See `flowsim.models.fernn`.

    Raises
    ------
    InputError
        If the steps or the kernel do not fit.
    """
    check_kernel(kernel, frame_shape)
    grid = rotation_grid(max_speed, step, velocities)
    angles = Angles(orientations, orientations // 4)
    return FERNNRotation(frame_shape, grid, angles, channels, kernel, decoder_layers, classes)
