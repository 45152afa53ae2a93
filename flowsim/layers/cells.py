r"""One step of a recurrence at every velocity at once: rnn, gru and lstm, convolutional.

Each takes the tensors that it carries from frame to frame, already advanced, and a drive, the input from the
frame or the layer below, all (trial, velocity, channel, y, x); a drive of velocity size 1 is the same for all
velocities. Gates, biases and non-linearities act pointwise and the convolutions commute with translation, so
that every cell preserves the law of the tensors it carries.

Sources: Keller (2025) for the rnn; Cho et al. (2014) and Shi et al. (2015) for the gates, with convolutions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import final

import torch
from torch import Tensor, nn

from flowsim.layers.circular import CircularConv2d, convolve

State = tuple[Tensor, ...]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "linear": lambda x: x,
}


def at_every_velocity(convolution: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a map of (trial, channel, y, x) to each velocity of (trial, velocity, channel, y, x).

    Velocity by velocity, as states lie in memory, so that they are not copied.
    """
    trials, velocities = x.shape[:2]
    return convolution(x.transpose(0, 1).flatten(0, 1)).unflatten(0, (velocities, trials)).transpose(0, 1)


class Cell(nn.Module, ABC):
    """A recurrent cell.

    Attributes
    ----------
    gates : int
        Channels of the drive, as a multiple of the state's.
    carried : int
        How many tensors it carries; the first is its state.
    """

    gates: int
    carried: int

    @abstractmethod
    def forward(self, carried: State, drive: Tensor) -> State:
        """The tensors carried after this frame."""

    @property
    @abstractmethod
    def memory(self) -> Tensor:
        """The kernel (channel, channel, y, x) by which a candidate for the next state depends on the last."""


@final
class RNN(Cell):
    """h <- activation(W * h + drive)."""

    gates, carried = 1, 1

    def __init__(self, channels: int, kernel: int, activation: str = "relu") -> None:
        super().__init__()
        self.recurrent = CircularConv2d(channels, channels, kernel)
        self.activation = ACTIVATIONS[activation]

    def forward(self, carried: State, drive: Tensor) -> State:
        return (self.activation(at_every_velocity(self.recurrent, carried[0]) + drive),)

    @property
    def memory(self) -> Tensor:
        return self.recurrent.weight


@final
class GRU(Cell):
    """h <- z h + (1 - z) tanh(W_n * (r h) + drive_n), with gates z, r = sigmoid(W * h + drive)."""

    gates, carried = 3, 1

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.gating = CircularConv2d(channels, 2 * channels, kernel)
        self.recurrent = CircularConv2d(channels, channels, kernel)

    def forward(self, carried: State, drive: Tensor) -> State:
        (h,) = carried
        return (gated(h, self.gating.weight, self.recurrent, drive),)

    @property
    def memory(self) -> Tensor:
        return self.recurrent.weight


def gated(h: Tensor, gating: Tensor, recurrent: Callable[[Tensor], Tensor], drive: Tensor) -> Tensor:
    """The state after a step of `GRU`, from that before it, the kernel of the gates z and r, the convolution
    of the candidate, and the drive of the three.
    """
    drive_z, drive_r, drive_n = drive.chunk(3, 2)
    kernel_z, kernel_r = gating.chunk(2)  # two convolutions, so that no gate is a strided slice
    z = torch.sigmoid(at_every_velocity(partial(convolve, weight=kernel_z), h) + drive_z)
    r = torch.sigmoid(at_every_velocity(partial(convolve, weight=kernel_r), h) + drive_r)
    candidate = torch.tanh(at_every_velocity(recurrent, r * h) + drive_n)
    return torch.lerp(candidate, h, z)


@final
class LSTM(Cell):
    """c <- f c + i tanh(g), h <- o tanh(c), with gates i, f, o = sigmoid(...) and g from W * h + drive.

    Carries h and c.
    """

    gates, carried = 4, 2

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.recurrent = CircularConv2d(channels, 4 * channels, kernel)

    def forward(self, carried: State, drive: Tensor) -> State:
        h, c = carried
        i, f, o, g = (at_every_velocity(self.recurrent, h) + drive).chunk(4, 2)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    @property
    def memory(self) -> Tensor:
        return self.recurrent.weight.chunk(4)[3]


CELLS: dict[str, type[RNN] | type[GRU] | type[LSTM]] = {"rnn": RNN, "gru": GRU, "lstm": LSTM}


def make_cell(kind: str, channels: int, kernel: int, activation: str) -> Cell:
    """A cell of this kind; only the rnn has an activation to choose."""
    return RNN(channels, kernel, activation) if kind == "rnn" else CELLS[kind](channels, kernel)
