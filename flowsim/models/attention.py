"""Causal attention over space-time patches: the baseline that remembers frames instead of a state. No law.

A frame is cut into patches; each becomes a token with learned embeddings of its place and its age. Tokens
attend to all tokens of their own and earlier frames. The last frame's tokens, after the last layer, are the
state, and each is read out as the same patch of the next frame.

Source: Vaswani et al. (2017); patches as in Dosovitskiy et al. (2021), divided space and time as one
sequence.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from flowsim.errors import InputError
from flowsim.flows.translation import Translation
from flowsim.flows.velocity_grid import VelocityGrid
from flowsim.layers.readout import class_logits
from flowsim.network import Network, State
from flowsim.specification import Count, Few, FrameShape, checked


class Attention(Network):
    """See the module. Carries the outputs of the last frame, and the patches of every frame within
    ``memory``.
    """

    law = None

    def __init__(
        self,
        frame_shape: tuple[int, int],
        patch: int,
        channels: int,
        heads: int,
        layers: int,
        memory: int,
        classes: int | None,
    ) -> None:
        super().__init__()
        self.frame_shape, self.patch, self.channels, self.memory = frame_shape, patch, channels, memory
        self.grid = VelocityGrid(Translation(), ((0, 0),), period=frame_shape)
        self.size = (frame_shape[0] // patch, frame_shape[1] // patch)
        self.embed = nn.Conv2d(1, channels, patch, stride=patch)
        self.place = nn.Parameter(0.5 * torch.randn(self.size[0] * self.size[1], channels))
        self.age = nn.Parameter(0.5 * torch.randn(memory, 1, channels))
        layer = nn.TransformerEncoderLayer(
            channels, heads, 4 * channels, 0.0, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.decoder = nn.ConvTranspose2d(channels, 1, patch, stride=patch)
        self.classifier = nn.Linear(channels, classes) if classes else None

    def start(self, trials: int) -> State:
        tokens = self.place.new_zeros(trials, 0, *self.place.shape)
        return (self.place.new_zeros(trials, 1, self.channels, *self.size), tokens)

    def parts(self, state: State) -> dict[str, Tensor]:
        """The outputs, and the tokens of the frames that are remembered, (trial, frame, channel, y, x)."""
        return {"state": state[0], "tokens": state[1].transpose(2, 3).unflatten(3, self.size)}

    def with_parts(self, state: State, parts: Mapping[str, Tensor]) -> State:
        return parts["state"], parts["tokens"].flatten(3).transpose(2, 3)

    def advance(self, state: State) -> State:
        return state

    def decode(self, state: State) -> Tensor:
        return self.decoder(state[0][:, 0])

    def update(self, state: State, frame: Tensor) -> State:
        token = self.embed(frame).flatten(2).transpose(1, 2)
        tokens = torch.cat([state[1], token[:, None]], 1)[:, -self.memory :]
        frames, places = tokens.shape[1:3]
        aged = tokens + self.place + self.age[:frames].flip(0)
        when = torch.arange(frames, device=frame.device).repeat_interleave(places)
        later = when[None, :] > when[:, None]
        seen = self.encoder(aged.flatten(1, 2), mask=later)[:, -places:]
        return (seen.transpose(1, 2).unflatten(2, self.size)[:, None], tokens)

    def logits(self, state: State) -> Tensor:
        return class_logits(self.classifier, state[0][:, 0].mean((-2, -1)))


@checked
def build(
    frame_shape: FrameShape,
    *,
    patch: Count = 4,
    channels: Count = 32,
    heads: Few = 4,
    layers: Few = 2,
    memory: Count = 16,
    classes: Count | None = None,
) -> Network:
    """Build one for frames (y, x).

    Parameters
    ----------
    patch : int
        Side of a patch in px; divides the frame.
    channels, heads, layers : int
        Width of a token, attention heads (which divide it), layers.
    memory : int
        Frames that are remembered.
    classes : int, optional
        Adds the readout for classification.

    Raises
    ------
    InputError
        If the patches do not tile the frame, or the heads do not divide the channels.
    """
    if frame_shape[0] % patch or frame_shape[1] % patch:
        raise InputError(
            f"patch must divide the frame's {frame_shape[0]}x{frame_shape[1]} pixels; got {patch}"
        )
    if channels % heads:
        raise InputError(f"heads must divide the {channels} channels; got {heads}")
    return Attention(frame_shape, patch, channels, heads, layers, memory, classes)
