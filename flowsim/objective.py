"""What training descends: see a context, then roll out; the squared error of every prediction, those made within the
context weighing less.

Two things keep long rollouts from drifting, neither of which touches the law. Every frame that the network takes in,
seen or its own, is disturbed by Gaussian noise, so that it learns to correct small errors instead of adding them up.
And in every other step the network has been watching for a random while, up to ``warm_up`` frames without gradient,
when the context begins: a recurrence whose state keeps growing is found out there, which a short sequence from rest
does not show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from flowsim.network import Network, State


class Settings(Protocol):
    """What a loss needs to know; see `flowsim.experiment.TrainBlock`."""

    context: int
    horizon: int
    noise: float
    warm_up: int
    context_weight: float
    recompute: int | None
    precision: Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Batch:
    """Sequences of one training step, with what was drawn for them.

    Attributes
    ----------
    frames : Tensor (trial, time, channel, y, x)
        As long as warm-up, context and horizon.
    noise : Tensor of the same shape
        Of unit variance.
    warm : int
        How many frames are watched before the context.
    """

    frames: Tensor
    noise: Tensor
    warm: int

    @classmethod
    def drawn(cls, frames: Tensor, settings: Settings, seed: int) -> Batch:
        """Draw noise and warm-up, the same for the same seed however the batch is split afterwards."""
        longest = settings.warm_up if seed % 2 else 0
        warm = int(torch.randint(longest + 1, (), generator=torch.Generator().manual_seed(seed)))
        first, end = settings.warm_up - warm, settings.warm_up + settings.context + settings.horizon
        frames = frames[:, first:end]
        generator = torch.Generator(frames.device).manual_seed(seed)
        noise = torch.empty_like(frames)
        for time in range(end - first):
            noise[:, time] = noise.new_empty(frames[:, time].shape).normal_(generator=generator)
        return cls(frames, noise, warm)

    def __len__(self) -> int:
        return len(self.frames)

    def part(self, chosen: slice) -> Batch:
        """Some of the sequences."""
        return Batch(self.frames[chosen], self.noise[chosen], self.warm)


def losses(network: Network, settings: Settings, batch: Batch) -> tuple[Tensor, Tensor]:
    """What is descended, and the error over the horizon alone; means over the batch."""
    warm, end = batch.warm, batch.frames.shape[1]
    seen = batch.frames[:, : warm + settings.context]
    predict_from = warm + 1 if settings.context_weight else end - settings.horizon

    def disturb(frame: Tensor, time: int) -> Tensor:
        return frame + settings.noise * batch.noise[:, time]

    def run(times: Sequence[int], *state: Tensor) -> tuple[list[Tensor], State]:
        predicted = []
        for step in network.resume(state, times, seen, predict_from, disturb=disturb):
            predicted += [] if step.prediction is None else [step.prediction]
        return predicted, step.carried if step.time < end - 1 else ()

    def shorter() -> torch.autocast:
        return torch.autocast(batch.frames.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16")

    state = network.start(len(batch))
    with torch.no_grad(), shorter():  # not that of below, which keeps weights cast without gradient
        for step in network.resume(state, range(warm), seen, end, disturb=disturb):
            state = step.carried
    with shorter():
        predicted: list[Tensor] = []
        at_once = settings.recompute or end - warm
        for first in range(warm, end, at_once):
            times = range(first, min(first + at_once, end))
            if settings.recompute:
                more, state = checkpoint(run, times, *state, use_reentrant=False, preserve_rng_state=False)
            else:
                more, state = run(times, *state)
            predicted += more
    shown = batch.frames[:, -len(predicted) :]
    error = (torch.stack(predicted, 1).to(shown.dtype) - shown).square().flatten(2).mean((0, 2))
    before, ahead = error[: -settings.horizon], error[-settings.horizon :].mean()
    return ahead + (settings.context_weight * before.mean() if len(before) else 0.0), ahead


@torch.no_grad()
def evaluate(network: Network, settings: Settings, frames: Tensor, at_once: int) -> Tensor:
    """Sum over sequences (trial, time, channel, y, x) of the mean squared error per pixel over the horizon.

    ``at_once`` are evaluated together.
    """
    context, end = settings.context, settings.context + settings.horizon
    total = torch.zeros((), dtype=frames.dtype, device=frames.device)
    for batch in frames.split(at_once) if len(frames) else ():
        error = network.rollout(batch[:, :context], settings.horizon) - batch[:, context:end]
        total += error.square().mean() * len(batch)
    return total
