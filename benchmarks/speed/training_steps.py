"""What is timed: training steps of the published recurrence and of flowsim's network, at equal sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from benchmarks.speed.published_recurrence import Reference
from flowsim import build
from flowsim.scenes.sequences import Sequences
from flowsim.training.objective import Batch, losses
from flowsim.training.settings import TrainBlock


@dataclass(frozen=True)
class Size:
    """One training step: ``frames`` seen and as many predicted, of ``pixels`` squared, at V =
    {-speed..speed}^2.
    """

    speed: int
    channels: int
    batch: int
    frames: int = 10
    pixels: int = 28

    @property
    def velocities(self) -> int:
        """Velocities in V."""
        return (2 * self.speed + 1) ** 2

    @property
    def arithmetic(self) -> float:
        """GFLOP of the recurrence's convolutions in one published step: forward, and twice that backward."""
        forward = 2 * self.batch * self.velocities * self.channels**2 * 9 * self.pixels**2
        return 3 * 2 * self.frames * forward / 1e9

    def sequences(self, device: torch.device) -> Tensor:
        """Frames (trial, time, 1, y, x)."""
        generator = torch.Generator().manual_seed(0)
        shape = (self.batch, 2 * self.frames, 1, self.pixels, self.pixels)
        return torch.rand(*shape, generator=generator).to(device)


def reference(size: Size, device: torch.device) -> Callable[[], None]:
    """One published training step: the error over the horizon, backward."""
    torch.manual_seed(0)
    network, frames = Reference(size.speed, size.channels).to(device), size.sequences(device)

    def step() -> None:
        network.zero_grad()
        predicted = network(frames[:, : size.frames], size.frames)
        (predicted - frames[:, size.frames :]).square().mean().backward()

    return step


def flowsim(
    size: Size,
    device: torch.device,
    *,
    recompute: int | None = None,
    precision: Literal["float32", "bfloat16"] = "float32",
) -> Callable[[], None]:
    """The same step by flowsim: with its rollout and loss, of the horizon alone."""
    torch.manual_seed(0)
    shape = (size.pixels, size.pixels)
    network = build("fernn", shape, max_speed=size.speed, channels=size.channels).to(device)
    frames = size.sequences(device)
    settings = TrainBlock(
        context=size.frames,
        horizon=size.frames,
        context_weight=0.0,
        recompute=recompute,
        precision=precision,
    )
    batch = Batch(Sequences(frames), torch.zeros_like(frames), 0)

    def step() -> None:
        network.zero_grad()
        losses(network, settings, batch)[0].backward()

    return step


SUBJECTS = {"reference": reference, "flowsim": flowsim}
