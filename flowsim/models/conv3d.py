"""A 3D-CNN that classifies: kernels over space and time, no recurrence. The published baseline on actions; no
law.

Its state at time t is the output of its last layer at t, which depends on no later frame. It predicts no
frames.

Source: Keller (2025), the 3D-CNN baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowsim.errors import InputError
from flowsim.flows.translation import Translation
from flowsim.flows.velocity_grid import VelocityGrid
from flowsim.layers.readout import class_logits
from flowsim.network import Network, State, Step
from flowsim.specification import Count, Few, FrameShape, checked


class Conv3D(Network):
    """The network that the module describes."""

    law = None

    def __init__(
        self, frame_shape: tuple[int, int], channels: int, kernel: int, layers: int, classes: int
    ) -> None:
        super().__init__()
        self.frame_shape, self.channels, self.kernel = frame_shape, channels, kernel
        self.grid = VelocityGrid(Translation(), ((0, 0),), period=frame_shape)
        self.layers = nn.ModuleList(nn.Conv3d(channels if i else 1, channels, kernel) for i in range(layers))
        self.classifier = nn.Linear(channels, classes)

    def start(self, trials: int) -> State:
        return (self.classifier.weight.new_zeros(trials, 1, self.channels, *self.frame_shape),)

    def resume(
        self,
        state: State,
        times: Iterable[int],
        frames: Tensor,
        predict_from: int = 1,
        actions: Tensor | None = None,
        disturb: Callable[[Tensor, int], Tensor] | None = None,
    ) -> Iterator[Step]:
        """See `Network.resume`; from all frames at once, whatever ``state`` is, and without predictions."""
        if disturb is not None:
            frames = torch.stack([disturb(frame, time) for time, frame in enumerate(frames.unbind(1))], 1)
        x = frames.transpose(1, 2)
        side = self.kernel // 2
        around, before = (side, side, side, side, 0, 0), (0, 0, 0, 0, self.kernel - 1, 0)
        for layer in self.layers:
            padded = F.pad(F.pad(x, around, mode="circular"), before)
            x = F.relu(layer(padded))
        for time in times:
            if time >= frames.shape[1]:
                raise self._no_frames()
            yield Step(time, None, partial(tuple, (x[:, None, :, time],)), self.top)

    def logits(self, state: State) -> Tensor:
        return class_logits(self.classifier, state[0][:, 0].mean((-2, -1)))

    def parts(self, state: State) -> dict[str, Tensor]:
        raise InputError(
            "conv3d carries nothing from frame to frame that could be replaced; it has no recurrence"
        )

    def _no_frames(self) -> InputError:
        return InputError("conv3d predicts no frames; it only classifies")

    def advance(self, state: State) -> State:
        raise self._no_frames()

    def decode(self, state: State) -> Tensor:
        raise self._no_frames()

    def update(self, state: State, frame: Tensor) -> State:
        raise self._no_frames()


@checked
def build(
    frame_shape: FrameShape,
    *,
    channels: Count = 16,
    kernel: Few = 3,
    layers: Few = 3,
    classes: Count = 10,
) -> Network:
    """Build one for frames (y, x), with odd kernels of the same size in time and space.

    Raises
    ------
    InputError
        If the kernel is even.
    """
    if kernel % 2 == 0:
        raise InputError(f"kernel must be odd; got {kernel}")
    return Conv3D(frame_shape, channels, kernel, layers, classes)
