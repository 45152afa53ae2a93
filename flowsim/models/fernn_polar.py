r"""A flow-equivariant RNN for rotation and expansion, in log-polar coordinates.

There both are translations (`flowsim.flows.log_polar`), so on (rho, theta) the recurrence is that of the
FERNN,

    h_t(v) = relu( psi_1(v) . (W * h_(t-1)(v)) + U * f_t ),     h_(-1) = 0,     for every v in V,

with psi_1(v) a shift by whole angles and rings: the state is never interpolated, and a kernel's orientation
follows its place, so that there is no orientation axis. `Network.top` maps the state back to pixels. Law:
transport+shift, to the tolerance of the sampling (tests/models/test_fernn_rotation.py holds the table by
resolution); where V has expansions, only for what neither leaves the frame nor enters it.

Sources: Keller (2025), Flow Equivariant Recurrent Neural Networks; Schwartz (1977), Spatial mapping in the
primate sensory projection.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from flowsim.errors import InputError
from flowsim.flows.flow import Flow
from flowsim.flows.group import Velocity
from flowsim.flows.law import Law
from flowsim.flows.log_polar import LogPolar
from flowsim.flows.spiral import Spiral
from flowsim.flows.translation import Translation
from flowsim.flows.velocity_grid import VelocityGrid, rotation_grid
from flowsim.layers.cells import at_every_velocity
from flowsim.layers.readout import class_logits
from flowsim.layers.velocity_channels import lift, pool_max
from flowsim.network import Network, State, acted
from flowsim.specification import Amount, Count, Few, FewOrNone, FrameShape, Positive, Whole, checked


class PolarConv(nn.Conv2d):
    """A convolution over (rho, theta): circular in theta, the last ring repeated beyond the rim and the
    centre.
    """

    def forward(self, x: Tensor) -> Tensor:
        side = self.kernel_size[0] // 2
        around = F.pad(x, (side, side, 0, 0), mode="circular")
        return super().forward(F.pad(around, (0, 0, side, side), mode="replicate"))


class FERNNPolar(Network):
    """See the module. Carried is h (trial, velocity, channel, rho, theta)."""

    law = Law(transport=True, shift=True)

    def __init__(
        self,
        polar: LogPolar,
        grid: VelocityGrid,
        shifts: list[tuple[int, int]],
        channels: int,
        kernel: int,
        decoder_layers: int,
        classes: int | None,
    ) -> None:
        super().__init__()
        self.frame_shape = polar.frame_shape
        self.polar = polar
        self.grid = grid
        self.shifts = shifts
        self.channels = channels
        self.recurrent = PolarConv(channels, channels, kernel, bias=False)
        self.encoder = PolarConv(1, channels, kernel, bias=False)
        hidden = [
            layer
            for _ in range(decoder_layers)
            for layer in (PolarConv(channels, channels, 3, bias=False), nn.ReLU())
        ]
        self.decoder = nn.Sequential(*hidden, PolarConv(channels, 1, 3, bias=False))
        self.classifier = nn.Linear(channels, classes) if classes else None

    def start(self, trials: int) -> State:
        shape = (trials, len(self.grid), self.channels, self.polar.rings, self.polar.angles)
        return (self.encoder.weight.new_zeros(shape),)

    def advance(self, state: State) -> State:
        moved = [
            self.polar.expand(Flow(Translation(), (0, angles)).act(h), rings)
            for (rings, angles), h in zip(self.shifts, state[0].unbind(1), strict=True)
        ]
        return (torch.stack(moved, 1),)

    def top(self, state: State) -> Tensor:
        """h on pixels, (trial, velocity, channel, y, x)."""
        return self.polar.to_pixels(state[0])

    def parts(self, state: State) -> dict[str, Tensor]:
        return {"state": self.top(state)}

    def with_parts(self, state: State, parts: Mapping[str, Tensor]) -> State:
        """What is replaced is sampled on rings and angles; the rest stays as it is."""
        return (state[0] + self.polar.from_pixels(parts["state"] - self.top(state)),)

    def acted(self, state: State, law: Law, flow: Flow, time: int) -> State:
        """On rings and angles a law moves by whole steps, and is exact."""
        u = self.grid.velocity_of(flow)
        steps = None if u is None else self._steps(u, time)
        if steps is None:
            return super().acted(state, law, flow, time)
        h = acted(state[0], Law(False, law.shift), flow, self.grid, time)
        if law.transport:
            rings, angles = steps
            h = self.polar.expand(Flow(Translation(), (0, angles)).act(h), rings)
        return (h,)

    def _steps(self, u: Velocity, time: int) -> tuple[int, int] | None:
        """By how many rings and angles a velocity moves in some frames; None unless by whole ones."""
        *expansion, omega = u
        rings = time * expansion[0] / math.log(self.polar.growth) if expansion else 0.0
        steps = (rings, time * omega / 360 * self.polar.angles)
        whole = (round(steps[0]), round(steps[1]))
        return whole if all(abs(a - b) < 1e-9 for a, b in zip(steps, whole, strict=True)) else None

    def decode(self, state: State) -> Tensor:
        return self.polar.to_pixels(self.decoder(pool_max(state[0])))

    def update(self, state: State, frame: Tensor) -> State:
        drive = lift(self.encoder(self.polar.from_pixels(frame)))
        return (torch.relu(at_every_velocity(self.recurrent, state[0]) + drive),)

    def memory_kernels(self) -> list[tuple[Tensor, Tensor | None]]:
        return [(self.recurrent.weight, None)]

    def logits(self, state: State) -> Tensor:
        return class_logits(self.classifier, pool_max(state[0]).mean((-2, -1)))


@checked
def build(
    frame_shape: FrameShape,
    *,
    max_speed: Amount = 40,
    step: Positive = 10,
    velocities: list[float] | Literal["closed"] | None = None,
    max_rings: Whole = 0,
    rings: Annotated[int, Field(ge=2)] = 20,
    angles: Annotated[int, Field(ge=2)] = 36,
    channels: Count = 16,
    kernel: Few = 3,
    decoder_layers: FewOrNone = 4,
    classes: Count | None = None,
) -> Network:
    """Build one for frames (y, x).

    Parameters
    ----------
    max_speed, step, velocities
        Angular velocities, in deg/frame; see `flowsim.models.fernn_rotation`. They must be whole numbers of
        angles.
    max_rings : int
        Combined with every expansion by {-max_rings..max_rings} rings per frame; with 0, V is of rotations
        only.
    rings, angles : int
        Size of the log-polar grid.
    channels, kernel, decoder_layers, classes
        See `flowsim.models.fernn`.

    Raises
    ------
    InputError
        If velocities are no whole numbers of angles, or the kernel does not fit.
    """
    if kernel % 2 == 0 or kernel // 2 > min(rings, angles):
        raise InputError(
            f"kernel must be odd and, on {rings} rings and {angles} angles, at most "
            f"{2 * min(rings, angles) + 1}; got {kernel}"
        )
    polar = LogPolar(frame_shape, rings, angles)
    turning = rotation_grid(max_speed, step, velocities)
    turns = [omega / 360 * angles for (omega,) in turning.velocities]
    if any(abs(turn - round(turn)) > 1e-9 for turn in turns):
        raise InputError(
            f"velocities must be multiples of {360 / angles:g} deg/frame, a whole number of the {angles} "
            f"angles; got {', '.join(f'{omega:g}' for (omega,) in turning.velocities)}"
        )
    shifts = list(product(range(-max_rings, max_rings + 1), map(round, turns)))
    grid = turning
    if max_rings:
        per_ring = math.log(polar.growth)
        spirals = tuple((n * per_ring, turn * 360 / angles) for n, turn in shifts)
        grid = VelocityGrid(Spiral(), spirals, period=Spiral().period(frame_shape))
    return FERNNPolar(polar, grid, shifts, channels, kernel, decoder_layers, classes)
