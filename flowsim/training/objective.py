"""One batch through a network: noise, warm-up, context and horizon, and the loss that its task defines.

Three things keep long rollouts from drifting. None touches the law.

- Gaussian noise is added to every frame that the network takes in, whether seen or predicted, so that it
  learns to correct small errors instead of adding them up.
- In every other step the network has already watched a random number of frames, up to ``warm_up`` and without
  gradient, when the context begins. A recurrence whose state keeps growing shows there, but not in a short
  sequence from rest.
- In the other steps, once the training is on its way, the network has already predicted a random number of
  frames, up to ``own_predictions`` and without gradient, from its own predictions, when the horizon that it
  learns from begins. It learns from what a long rollout meets, at the cost of a short one (Bengio et al. 2015
  mix true and predicted frames at random; here they are all predicted, as in a rollout).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from flowsim.network import Network, State, Step
from flowsim.scenes.sequences import Sequences
from flowsim.training.settings import FIRST_WITHOUT_OWN, TrainBlock, task_of
from flowsim.training.task import actions_for


@dataclass(frozen=True)
class Batch:
    """Sequences of one training step, with the noise and the warm-up drawn for them.

    Attributes
    ----------
    sequences : Sequences
        As long as warm-up, context, own predictions and horizon together.
    noise : Tensor (trial, time, channel, y, x)
        Of unit variance.
    warm : int
        How many frames are watched before the context.
    own : int
        How many frames are predicted before the horizon.
    """

    sequences: Sequences
    noise: Tensor
    warm: int
    own: int = 0

    @classmethod
    def drawn(cls, sequences: Sequences, settings: TrainBlock, seed: int, done: float = 0) -> Batch:
        """Draw noise, warm-up and own predictions: the same for the same seed, however the batch is split
        afterwards. ``done`` is the share of the training that is over.
        """
        longest = settings.warm_up if seed % 2 else 0
        most_own = 0 if seed % 2 or done < FIRST_WITHOUT_OWN else settings.own_predictions
        generator = torch.Generator().manual_seed(seed)
        warm = int(torch.randint(longest + 1, (), generator=generator))
        own = int(torch.randint(most_own + 1, (), generator=generator))
        first = settings.warm_up - warm if warm else max(0, settings.warm_up - own)
        sequences = sequences.between(first, first + warm + own + task_of(settings).frames)
        frames = sequences.frames
        generator = torch.Generator(frames.device).manual_seed(seed)
        noise = torch.empty_like(frames)
        for time in range(frames.shape[1]):
            noise[:, time] = noise.new_empty(frames[:, time].shape).normal_(generator=generator)
        return cls(sequences, noise, warm, own)

    def __len__(self) -> int:
        return len(self.sequences)

    def part(self, chosen: slice) -> Batch:
        """Some of the sequences."""
        return Batch(self.sequences[chosen], self.noise[chosen], self.warm, self.own)


def losses(network: Network, settings: TrainBlock, batch: Batch) -> tuple[Tensor, Tensor]:
    """What is minimised, and the part of it that learning curves show; means over the batch.

    See `flowsim.training.task.Task.loss`.
    """
    task = task_of(settings)
    passage = Passage(network, settings, batch)
    end = batch.sequences.frames.shape[1]
    begin = settings.context + batch.own if batch.own else batch.warm
    state = network.start(len(batch))
    # An autocast of its own: it keeps the weights that it casts, and those cast here have no gradient.
    with torch.no_grad(), passage.autocast():
        for step in passage.steps(state, range(begin), settings.context if batch.own else end):
            state = step.carried
    with passage.autocast():
        predictions, state = passage.run(state, range(begin, end))
        output = task.output(network, predictions, state)
    return task.loss(output, batch.sequences)


@dataclass(frozen=True)
class Passage:
    """The way of one batch through a network."""

    network: Network
    settings: TrainBlock
    batch: Batch

    def autocast(self) -> torch.autocast:
        """Compute in the precision of the training."""
        reduced = self.settings.precision == "bfloat16"
        return torch.autocast(self.batch.noise.device.type, torch.bfloat16, enabled=reduced)

    def steps(self, state: State, times: Sequence[int], predict_from: int) -> Iterator[Step]:
        """Go through ``times``, with noise on each frame that is taken in; see `Network.resume`."""
        sequences, warm = self.batch.sequences, self.batch.warm
        visible = sequences.frames[:, : warm + self.settings.context]
        actions = actions_for(self.network, sequences)

        def disturb(frame: Tensor, time: int) -> Tensor:
            return frame + self.settings.noise * self.batch.noise[:, time]

        return self.network.resume(state, times, visible, predict_from, actions, disturb)

    def run(self, state: State, times: range) -> tuple[list[Tensor], State]:
        """Predictions made at ``times``, and what is carried afterwards if the task reads it.

        With ``recompute``, all but the last so many frames are computed again in the backward pass instead of
        being stored; the last ones are needed there at once.
        """
        at_once = self.settings.recompute or len(times)
        predictions: list[Tensor] = []
        for first in range(times.start, times.stop, at_once):
            piece = range(first, min(first + at_once, times.stop))
            if piece.stop < times.stop:
                # Stopping the recomputation early would leave its tensors to the garbage collector.
                more, state = checkpoint(
                    self._run_piece,
                    piece,
                    *state,
                    use_reentrant=False,
                    preserve_rng_state=False,
                    early_stop=False,
                )
            else:
                more, state = self._run_piece(piece, *state)
            predictions += more
        return predictions, state

    def _run_piece(self, times: range, *state: Tensor) -> tuple[list[Tensor], State]:
        task = task_of(self.settings)
        end = self.batch.sequences.frames.shape[1]
        own = self.batch.own
        first = self.settings.context + own if own else task.first_prediction(self.batch.warm)
        predictions = []
        for step in self.steps(state, times, first):
            if step.decoded is not None:
                predictions.append(step.decoded)
        carries_on = task.reads_last_state or times.stop < end
        return predictions, step.carried if carries_on else ()


@torch.no_grad()
def evaluate(network: Network, settings: TrainBlock, sequences: Sequences, at_once: int) -> Tensor:
    """What validation reports, summed over sequences: the `measure` of the task.

    ``at_once`` sequences are evaluated together.
    """
    task, frames = task_of(settings), sequences.frames
    total = torch.zeros((), dtype=frames.dtype, device=frames.device)
    for first in range(0, len(sequences), at_once):
        part = sequences[first : first + at_once].between(0, task.frames)
        total += task.validation_error(network, part)
    return total
