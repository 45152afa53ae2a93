"""What training descends. To predict: see a context, then roll out; the squared error of every prediction,
those made within the context weighing less. To classify: the cross-entropy of the class after the last frame
of the context.

Two things keep long rollouts from drifting, neither of which touches the law. Every frame that the network
takes in, seen or its own, is disturbed by Gaussian noise, so that it learns to correct small errors instead
of adding them up. And in every other step the network has been watching for a random while, up to ``warm_up``
frames without gradient, when the context begins: a recurrence whose state keeps growing is found out there,
which a short sequence from rest does not show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from flowsim.errors import InputError
from flowsim.network import Network, State
from flowsim.scenes.sequences import Sequences


class Settings(Protocol):
    """What a loss needs to know; see `flowsim.training.settings.TrainBlock`."""

    task: Literal["predict", "classify"]
    context: int
    horizon: int
    noise: float
    warm_up: int
    context_weight: float
    recompute: int | None
    precision: Literal["float32", "bfloat16"]


def end_of(settings: Settings) -> int:
    """How many frames are needed after the warm-up."""
    return settings.context + (settings.horizon if settings.task == "predict" else 0)


@dataclass(frozen=True)
class Batch:
    """Sequences of one training step, with what was drawn for them.

    Attributes
    ----------
    sequences : Sequences
        As long as warm-up, context and horizon.
    noise : Tensor (trial, time, channel, y, x)
        Of unit variance.
    warm : int
        How many frames are watched before the context.
    """

    sequences: Sequences
    noise: Tensor
    warm: int

    @classmethod
    def drawn(cls, sequences: Sequences, settings: Settings, seed: int) -> Batch:
        """Draw noise and warm-up, the same for the same seed however the batch is split afterwards."""
        longest = settings.warm_up if seed % 2 else 0
        warm = int(torch.randint(longest + 1, (), generator=torch.Generator().manual_seed(seed)))
        sequences = sequences.between(settings.warm_up - warm, settings.warm_up + end_of(settings))
        frames = sequences.frames
        generator = torch.Generator(frames.device).manual_seed(seed)
        noise = torch.empty_like(frames)
        for time in range(frames.shape[1]):
            noise[:, time] = noise.new_empty(frames[:, time].shape).normal_(generator=generator)
        return cls(sequences, noise, warm)

    def __len__(self) -> int:
        return len(self.sequences)

    def part(self, chosen: slice) -> Batch:
        """Some of the sequences."""
        return Batch(self.sequences[chosen], self.noise[chosen], self.warm)


def losses(network: Network, settings: Settings, batch: Batch) -> tuple[Tensor, Tensor]:
    """What is descended, and the part that curves show, the error over the horizon alone; means over the
    batch.
    """
    frames, warm = batch.sequences.frames, batch.warm
    end, actions = frames.shape[1], _given(network, batch.sequences)
    classify = settings.task == "classify"
    seen = frames[:, : warm + settings.context]
    predict_from = warm + 1 if settings.context_weight else end - settings.horizon
    if classify:
        predict_from = end

    def disturb(frame: Tensor, time: int) -> Tensor:
        return frame + settings.noise * batch.noise[:, time]

    def run(times: Sequence[int], *state: Tensor) -> tuple[list[Tensor], State]:
        predicted = []
        for step in network.resume(state, times, seen, predict_from, actions, disturb):
            predicted += [] if step.prediction is None else [step.prediction]
        return predicted, step.carried if classify or step.time < end - 1 else ()

    def shorter() -> torch.autocast:
        return torch.autocast(frames.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16")

    state = network.start(len(batch))
    with torch.no_grad(), shorter():  # not that of below, which keeps weights cast without gradient
        for step in network.resume(state, range(warm), seen, end, actions, disturb):
            state = step.carried
    with shorter():
        predicted: list[Tensor] = []
        at_once = settings.recompute or end - warm
        for first in range(warm, end, at_once):
            times = range(first, min(first + at_once, end))
            if (
                times[-1] < end - 1
            ):  # to stop the recomputation early would leave what it made to the garbage collector
                more, state = checkpoint(
                    run, times, *state, use_reentrant=False, preserve_rng_state=False, early_stop=False
                )
            else:  # what comes last is needed at once
                more, state = run(times, *state)
            predicted += more
        if classify:
            loss = F.cross_entropy(network.logits(state).to(frames.dtype), _labels(batch.sequences))
            return loss, loss
    shown = frames[:, -len(predicted) :]
    error = (torch.stack(predicted, 1).to(shown.dtype) - shown).square().flatten(2).mean((0, 2))
    before, ahead = error[: -settings.horizon], error[-settings.horizon :].mean()
    return ahead + (settings.context_weight * before.mean() if len(before) else 0.0), ahead


@torch.no_grad()
def evaluate(network: Network, settings: Settings, sequences: Sequences, at_once: int) -> Tensor:
    """Sum over sequences of what `losses` shows: mean squared error per pixel over the horizon, or
    cross-entropy.

    ``at_once`` are evaluated together.
    """
    context, frames = settings.context, sequences.frames
    total = torch.zeros((), dtype=frames.dtype, device=frames.device)
    for first in range(0, len(sequences), at_once):
        part = sequences[first : first + at_once].between(0, end_of(settings))
        seen, actions = part.frames[:, :context], _given(network, part)
        if settings.task == "classify":
            total += F.cross_entropy(network.classify(seen, actions), _labels(part), reduction="sum")
        else:
            error = network.rollout(seen, settings.horizon, actions) - part.frames[:, context:]
            total += error.square().mean() * len(part)
    return total


def _given(network: Network, sequences: Sequences) -> Tensor | None:
    """The observer's actions, for a network that takes them."""
    return sequences.actions if network.observes else None


def _labels(sequences: Sequences) -> Tensor:
    if sequences.label is None:
        raise InputError(
            "to classify needs labels; the stimulus has no coordinate label. Use another, or task predict"
        )
    return sequences.label
