"""The training loop.

Deterministic: the order of the data, the noise and the warm-up follow from the seed and the number of the
step. A training that was killed and resumed from its checkpoint ends with the weights of an undisturbed one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from flowsim.errors import InputError
from flowsim.network import Network
from flowsim.scenes.sequences import Sequences
from flowsim.training import devices
from flowsim.training.objective import Batch, evaluate, losses
from flowsim.training.settings import BudgetBlock, TrainBlock
from flowsim.training.weights import load_checkpoint, save

Report = Callable[[int, float | None, float | None], None]
"""Called with the number of sequences seen, and the training and validation loss, None between validations.
"""


class Source(Protocol):
    """Batches on the device of the network: `flowsim.training.batches.Shuffled` or
    `flowsim.training.batches.Stream`.
    """

    def __getitem__(self, number: int) -> Sequences:
        """Batch number 0, 1, 2, ..."""


@dataclass
class Curve:
    """The learning curve, with an entry per validation.

    Attributes
    ----------
    sequences : list of int
        Sequences seen so far.
    train_loss, valid_loss : list of float
        The `measure` of the task: mean squared error over the horizon, or cross-entropy.
    seconds : list of float
        Time spent so far, over all interruptions.
    """

    sequences: list[int] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    valid_loss: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def train(
    network: Network,
    settings: TrainBlock,
    source: Source,
    valid: Sequences,
    seed: int,
    *,
    checkpoint: Path | None = None,
    identity: str = "",
    report: Report = lambda *_: None,
) -> tuple[Curve, dict[str, Tensor]]:
    """Train ``network`` in place.

    Of several processes (`flowsim.training.devices`) each trains on its part of every batch, and the first
    one writes the checkpoint.

    Parameters
    ----------
    network : Network
    settings : TrainBlock
        A batch that does not fit into the memory of a GPU is split in halves until it does, and the gradients
        of its pieces are added up.
    source : Source
        Batches of sequences at least as long as warm-up, context and horizon.
    valid : Sequences
        What to validate on.
    seed : int
        Decides the noise and the warm-up.
    checkpoint : Path, optional
        Where to store everything that is needed to go on after an interruption, or with a larger budget. It
        is written at each validation; there is one whenever training stops.
    identity : str
        Which training this is; see `flowsim.training.weights.Identity`. A checkpoint of another identity is
        set aside, and training starts anew.
    report : callable (sequences seen, training loss, validation loss)
        Called after every step; both losses are None between validations.

    Returns
    -------
    Curve
    dict of Tensor
        Weights at the lowest validation loss. The network itself holds the last ones.

    Raises
    ------
    InputError
        If a loss becomes NaN or infinite, there are more processes than sequences in a batch, or not even one
        sequence fits into the memory of the GPU.
    """
    if settings.batch < devices.count():
        raise InputError(f"batch must be at least the {devices.count()} processes; got {settings.batch}")
    training = Training(network, settings)
    training.resume(checkpoint, identity)
    started = time.monotonic() - training.seconds
    final_step = last_step(settings)
    validate_every = max(1, round(settings.validate_every / settings.batch))
    losses_since_validation: list[Tensor] = []
    out_of_time = bool(training.step) and is_out_of_time(settings.budget, started)
    while training.step < final_step and not out_of_time:
        done = training.step / total_steps(settings)
        batch = Batch.drawn(source[training.step], settings, seed * 1_000_003 + training.step + 1, done)
        losses_since_validation.append(training.take_step(batch))
        sequences_seen = training.step * settings.batch
        out_of_time = is_out_of_time(settings.budget, started)
        stops_here = training.step == final_step or out_of_time
        if training.step % validate_every and not stops_here:
            report(sequences_seen, None, None)
            continue
        train_loss = torch.stack(losses_since_validation).mean().item()
        losses_since_validation = []
        valid_loss = training.validate(valid)
        training.note(sequences_seen, train_loss, valid_loss, time.monotonic() - started)
        if checkpoint and devices.rank() == 0:
            save(training.content(identity), checkpoint, "checkpoint")
        report(sequences_seen, train_loss, valid_loss)
    return training.curve, training.best


class Training:
    """A training under way: everything that its next step depends on, and that a checkpoint holds.

    Attributes
    ----------
    step : int
        Steps taken so far.
    curve : Curve
    best : dict of Tensor
        Weights at the lowest validation loss so far, on the CPU.
    """

    def __init__(self, network: Network, settings: TrainBlock) -> None:
        steps = total_steps(settings)
        self.network, self.settings = network, settings
        self.optimiser = torch.optim.Adam(network.parameters(), settings.learning_rate)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: relative_learning_rate(settings.schedule, step, steps)
        )
        self.pieces = SplitBatch(settings.micro_batch or settings.batch)
        self.curve = Curve()
        self.best = copy_of_weights(network)
        self.step = 0

    @property
    def seconds(self) -> float:
        """Time spent until the last validation."""
        return self.curve.seconds[-1] if self.curve.seconds else 0

    def resume(self, checkpoint: Path | None, identity: str) -> None:
        """Go on from a checkpoint of this training, if there is one; the same in every process."""
        saved = devices.from_the_first(lambda: load_checkpoint(checkpoint, identity))
        if saved is None:
            return
        try:
            self.network.load_state_dict(saved["best"])
            self.network.load_state_dict(saved["network"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.schedule.load_state_dict(saved["schedule"])
            if saved["schedule"]["last_epoch"] != saved["step"]:
                raise ValueError("steps and learning rate are not of the same moment")
        except Exception as error:  # torch raises many kinds for what is not of this training
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{checkpoint}: expected the checkpoint of this training; it does not fit ({reason}). Move "
                "it away to train from the start"
            ) from None
        self.curve = Curve(**saved["curve"])
        self.best = saved["best"]
        self.step = saved["step"]

    def take_step(self, batch: Batch) -> Tensor:
        """Change the weights by one step; returns the part of the loss that curves show."""
        shown_loss = self.pieces.descend(self.network, self.settings, batch)
        nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip)
        self.optimiser.step()
        self.schedule.step()
        self.step += 1
        return shown_loss

    def validate(self, valid: Sequences) -> float:
        """The measure of the task per sequence, over all processes together."""
        part = valid[devices.own_part(len(valid))]
        total = evaluate(self.network, self.settings, part, self.pieces.size)
        devices.add_up([total])
        return (total / len(valid)).item()

    def note(self, sequences_seen: int, train_loss: float, valid_loss: float, seconds: float) -> None:
        """Add a validation to the curve, and copy the weights if they are the best so far.

        Raises
        ------
        InputError
            If a loss is NaN or infinite.
        """
        if not math.isfinite(train_loss + valid_loss):
            raise InputError(
                f"the training diverged: loss {train_loss} after {sequences_seen} sequences; use a "
                f"learning_rate below {self.settings.learning_rate} or a smaller clip"
            )
        self.curve.sequences.append(sequences_seen)
        self.curve.train_loss.append(train_loss)
        self.curve.valid_loss.append(valid_loss)
        self.curve.seconds.append(seconds)
        if valid_loss <= min(self.curve.valid_loss):
            self.best = copy_of_weights(self.network)

    def content(self, identity: str) -> dict[str, Any]:
        """What a checkpoint holds; `resume` reads it."""
        return {
            "identity": identity,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "curve": vars(self.curve),
            "best": self.best,
            "step": self.step,
        }


def total_steps(settings: TrainBlock) -> int:
    """Steps of the whole training."""
    return math.ceil(settings.sequences / settings.batch)


def last_step(settings: TrainBlock) -> int:
    """The step after which training stops, by its budget of sequences if that comes first."""
    sequences = settings.budget.sequences or settings.sequences
    return min(total_steps(settings), math.ceil(sequences / settings.batch))


def is_out_of_time(budget: BudgetBlock, started: float) -> bool:
    """Whether the minutes of a budget are over; the first of several processes decides for all."""
    if budget.minutes is None:
        return False
    seconds = 60 * budget.minutes
    return devices.from_the_first(lambda: time.monotonic() - started >= seconds)


def relative_learning_rate(schedule: str, step: int, steps: int) -> float:
    """Learning rate relative to its peak: constant, or a short linear rise, then half a cosine down to 0."""
    if schedule == "constant":
        return 1.0
    rise = max(1, steps // 40)
    return min(1.0, (step + 1) / rise) * 0.5 * (1 + math.cos(math.pi * step / steps))


def copy_of_weights(network: Network) -> dict[str, Tensor]:
    """A copy of all weights, on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}


Losses = Callable[[Network, TrainBlock, Batch], tuple[Tensor, Tensor]]


class SplitBatch:
    """Splits each batch into pieces of at most ``size`` sequences, and fewer once these turn out not to fit.

    Parameters
    ----------
    size : int
    losses : callable (network, settings, batch)
        See `flowsim.training.objective.losses`.
    """

    def __init__(self, size: int, losses: Losses = losses) -> None:
        self.size = size
        self.losses = losses

    def descend(self, network: Network, settings: TrainBlock, batch: Batch) -> Tensor:
        """Leave in ``grad`` the gradient of the loss over the whole batch.

        Returns the part of the loss that learning curves show.
        """
        part = batch.part(devices.own_part(len(batch)))
        while True:
            network.zero_grad()
            try:
                shown_loss = self._accumulate(network, settings, part, len(batch))
                break
            except torch.OutOfMemoryError:
                size_tried = min(self.size, len(part))
                if size_tried == 1:
                    raise InputError(
                        "not even one sequence fits into the memory of the GPU; shorten context or horizon, "
                        "use fewer channels, or set recompute"
                    ) from None
            # Outside of the handler, which holds on to the tensors that did not fit.
            self.size = (size_tried + 1) // 2
            torch.cuda.empty_cache()
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        devices.add_up([shown_loss, *gradients])
        return shown_loss

    def _accumulate(self, network: Network, settings: TrainBlock, part: Batch, batch_size: int) -> Tensor:
        total = torch.zeros((), dtype=part.noise.dtype, device=part.noise.device)
        for first in range(0, len(part), self.size):
            piece = part.part(slice(first, first + self.size))
            loss, shown_loss = self.losses(network, settings, piece)
            share = len(piece) / batch_size
            (loss * share).backward()
            total += shown_loss.detach() * share
        return total
