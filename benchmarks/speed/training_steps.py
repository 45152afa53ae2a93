"""What is timed: steps of the published recurrence and of flowsim's networks, at equal sizes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Literal

import torch
from torch import Tensor

from benchmarks.speed.published_recurrence import Reference
from flowsim import Network, VelocityGrid, build
from flowsim.files.compiled import SWITCH
from flowsim.layers.readout import Readout
from flowsim.models.fernn import FERNN
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
    compiled: bool = True,
    cell: Literal["rnn", "gru"] = "rnn",
    half_pixels: bool = False,
    plain: bool = False,
) -> Callable[[], None]:
    """The same step by flowsim: with its rollout and loss, of the horizon alone.

    ``compiled`` allows code in C, ``half_pixels`` halves all velocities, and ``plain`` moves the state in a
    step of its own.
    """
    settings = TrainBlock(
        context=size.frames,
        horizon=size.frames,
        context_weight=0.0,
        recompute=recompute,
        precision=precision,
    )
    step = learned_from(fernn(size, cell, half_pixels, plain).to(device), size.sequences(device), settings)
    return step if compiled else without_c(step)


def learned_from(network: Network, frames: Tensor, settings: TrainBlock) -> Callable[[], None]:
    """The loss of a network on frames (trial, time, 1, y, x), backward."""
    batch = Batch(Sequences(frames), torch.zeros_like(frames), 0)

    def step() -> None:
        network.zero_grad()
        losses(network, settings, batch)[0].backward()

    return step


def states(size: Size, device: torch.device, *, compiled: bool = True) -> Callable[[], None]:
    """States of all seen frames without gradient, as when they are recorded."""
    network, frames = fernn(size).to(device), size.sequences(device)[:, : size.frames]

    @torch.no_grad()
    def step() -> None:
        for _ in network.steps(frames, predict_from=size.frames):
            pass

    return step if compiled else without_c(step)


def fernn(
    size: Size, cell: Literal["rnn", "gru"] = "rnn", half_pixels: bool = False, plain: bool = False
) -> Network:
    """The network of a size; see `flowsim`."""
    torch.manual_seed(0)
    shape = (size.pixels, size.pixels)
    speeds = range(-size.speed, size.speed + 1)
    velocities = [(vy / 2, vx / 2) for vy in speeds for vx in speeds] if half_pixels else None
    network = build(
        "fernn", shape, max_speed=size.speed, velocities=velocities, channels=size.channels, cell=cell
    )
    if not plain:
        return network
    grid: VelocityGrid = network.grid
    moved = FERNN(shape, grid, Readout(size.channels, 4, None), size.channels, 3, kind=cell)
    moved.load_state_dict(network.state_dict())
    return moved


def without_c(step: Callable[[], None]) -> Callable[[], None]:
    """A step that uses no code in C."""

    @wraps(step)
    def switched_off() -> None:
        before = os.environ.get(SWITCH)
        os.environ[SWITCH] = "0"
        try:
            step()
        finally:
            os.environ.pop(SWITCH)
            if before is not None:
                os.environ[SWITCH] = before

    return switched_off


def fernn_rotation(size: Size, device: torch.device) -> Callable[[], None]:
    """A training step of the network for rotation, with nine angular velocities and 12 orientations, in as
    many channels as ``size`` has; its velocities are its own.
    """
    torch.manual_seed(0)
    network = build("fernn_rotation", (size.pixels, size.pixels), channels=size.channels).to(device)
    settings = TrainBlock(context=size.frames, horizon=size.frames, context_weight=0.0)
    return learned_from(network, size.sequences(device), settings)


SUBJECTS: dict[str, Callable[..., Callable[[], None]]] = {
    "reference": reference,
    "flowsim": flowsim,
    "states": states,
    "fernn_rotation": fernn_rotation,
}
