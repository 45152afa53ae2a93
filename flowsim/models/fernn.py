r"""A flow-equivariant RNN with the trivial lift; with max_speed 0, the ordinary G-RNN.

    h_t(v) = relu( psi_1(v) . (W * h_(t-1)(v)) + U * f_t ),     h_(-1) = 0,     for every v in V

with circular convolutions on a torus. W commutes with psi_1(v), so the state is advanced first and convolved
when the next frame comes. Law: transport+shift, exact to rounding.

Source: Keller (2025), Flow Equivariant Recurrent Neural Networks, section 4 (FERNN) and its decoder: the
maximum over v, `decoder_layers` 3x3 convolutions with ReLU and one to the image, no biases.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from flowsim.errors import InputError
from flowsim.flow import Translation
from flowsim.grid import Law, VelocityGrid
from flowsim.lift import advance, lift, pool
from flowsim.network import Network, State

Count = Annotated[int, Field(ge=1)]


class FERNN(Network):
    """See the module; ``build`` gives the arguments."""

    law = Law(transport=True, shift=True)

    def __init__(
        self,
        frame_shape: tuple[int, int],
        grid: VelocityGrid,
        channels: int,
        kernel: int,
        decoder_layers: int,
        classes: int | None,
    ) -> None:
        super().__init__()
        self.frame_shape, self.grid, self.channels = frame_shape, grid, channels
        self.recurrent = circular(channels, channels, kernel)
        self.encoder = circular(1, channels, kernel)
        hidden = [layer for _ in range(decoder_layers) for layer in (circular(channels, channels, 3), nn.ReLU())]
        self.decoder = nn.Sequential(*hidden, circular(channels, 1, 3))
        self.classifier = nn.Linear(channels, classes) if classes else None

    def start(self, trials: int) -> State:
        shape = (trials, len(self.grid), self.channels, *self.frame_shape)
        return (self.recurrent.weight.new_zeros(shape),)

    def advance(self, state: State) -> State:
        return (advance(state[0], self.grid),)

    def decode(self, state: State) -> Tensor:
        return self.decoder(pool(state[0]))

    def update(self, state: State, frame: Tensor) -> State:
        advanced = state[0]
        recurrent = self.recurrent(advanced.flatten(0, 1)).view_as(advanced)
        return (torch.relu(recurrent + lift(self.encoder(frame))),)

    def logits(self, state: State) -> Tensor:
        if self.classifier is None:
            raise InputError("this network has no classes; build it with classes=n")
        return self.classifier(pool(state[0]).mean((-2, -1)))


def circular(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    """A convolution on the torus, without bias."""
    return nn.Conv2d(inputs, outputs, kernel, padding="same", padding_mode="circular", bias=False)


def build(
    frame_shape: tuple[int, int],
    *,
    max_speed: Annotated[int, Field(ge=0)] = 2,
    closed: bool = False,
    channels: Count = 16,
    kernel: Count = 3,
    decoder_layers: Annotated[int, Field(ge=0)] = 4,
    classes: Count | None = None,
) -> Network:
    """Build one for frames (y, x).

    Parameters
    ----------
    max_speed : int
        V = {-max_speed..max_speed}^2, in px/frame. 0 makes it the G-RNN.
    closed : bool
        V is every velocity of the torus instead, so that every channel has a partner under every flow.
    channels, kernel, decoder_layers : int
        Width of the state, odd size of the kernels W and U, hidden layers of the decoder.
    classes : int, optional
        Adds the readout for classification: maximum over v, average over space, linear.

    Raises
    ------
    InputError
        If a velocity or kernel does not fit on the frame, or a kernel is even.
    """
    height, width = frame_shape
    if kernel % 2 == 0 or kernel > min(frame_shape):
        raise InputError(f"kernel must be odd and at most the frame's {frame_shape}; got {kernel}")
    if closed:
        grid = VelocityGrid.closed(Translation(), frame_shape)
    elif 2 * max_speed + 1 > min(frame_shape):
        raise InputError(
            f"the velocity grid {{-{max_speed}..{max_speed}}}^2 is too large for frames of {height}x{width} pixels; "
            f"use max_speed at most {(min(frame_shape) - 1) // 2} or larger frames"
        )
    else:
        grid = VelocityGrid.box(Translation(), max_speed, period=frame_shape)
    return FERNN(frame_shape, grid, channels, kernel, decoder_layers, classes)
