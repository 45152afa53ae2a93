r"""What speed is measured against: the published recurrence, plain and readable, written from its equations.

    h_t(v) = relu( psi_1(v) . (W * h_(t-1)(v)) + U * f_t ),     h_(-1) = 0,     for every v in {-n..n}^2

One velocity after the other is taken out of the state, rolled, and all are stacked again; the drive is
expanded to every velocity. Context frames are taken in, then as many are predicted, each from the frame
before it. Nothing here is used by the package.

Source: Keller (2025), Flow Equivariant Recurrent Neural Networks, section 4 and its published training
settings.
"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor, nn


def convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """3x3, circular, without bias."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="circular", bias=False)


class Reference(nn.Module):
    """The published sequence-to-sequence network on frames (trial, time, 1, y, x)."""

    def __init__(self, max_speed: int, channels: int, decoder_layers: int = 4) -> None:
        super().__init__()
        self.velocities = list(product(range(-max_speed, max_speed + 1), repeat=2))
        self.channels = channels
        self.drive = convolution(1, channels)
        self.recurrent = convolution(channels, channels)
        hidden = [m for _ in range(decoder_layers) for m in (convolution(channels, channels), nn.ReLU())]
        self.decoder = nn.Sequential(*hidden, convolution(channels, 1))

    def step(self, state: Tensor, frame: Tensor) -> Tensor:
        """The state (trial, velocity, channel, y, x) after one more frame (trial, 1, y, x)."""
        trials, velocities = state.shape[:2]
        rolled = [torch.roll(state[:, i], v, (-2, -1)) for i, v in enumerate(self.velocities)]
        recurrent = self.recurrent(torch.stack(rolled, 1).flatten(0, 1)).view(state.shape)
        drive = self.drive(frame).unsqueeze(1).expand(trials, velocities, -1, -1, -1)
        return torch.relu(recurrent + drive)

    def forward(self, frames: Tensor, horizon: int) -> Tensor:
        """Predicted frames (trial, horizon, 1, y, x) after the context ``frames``."""
        trials, context, _, height, width = frames.shape
        state = frames.new_zeros(trials, len(self.velocities), self.channels, height, width)
        for time in range(context):
            state = self.step(state, frames[:, time])
        frame, predicted = frames[:, -1], []
        for _ in range(horizon):
            state = self.step(state, frame)
            frame = self.decoder(state.amax(1))
            predicted.append(frame)
        return torch.stack(predicted, 1)
