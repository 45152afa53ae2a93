"""The training loop.

Deterministic: the order of the data, the noise and the warm-up follow from the seed and the number of the
step. A training that was killed and resumed from its checkpoint ends with the weights of an undisturbed one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from flowsim import stopping
from flowsim.errors import InputError
from flowsim.network import Network
from flowsim.scenes.sequences import Sequences
from flowsim.training import processes
from flowsim.training.moments import steps_kept
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
    kept: dict[int, dict[str, Tensor]] | None = None,
) -> tuple[Curve, dict[str, Tensor]]:
    """Train ``network`` in place.

    Of several processes (`flowsim.training.processes`) each trains on its part of every batch, and the first
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
        is written at each validation, and when a signal asks the command to stop (`flowsim.stopping`) or
        another process is lost, as of the last whole step; there is one whenever training stops.
    identity : str
        Which training this is; see `flowsim.training.weights.Identity`. A checkpoint of another identity is
        set aside, and training starts anew.
    report : callable (sequences seen, training loss, validation loss)
        Called after every step; both losses are None between validations.
    kept : dict, optional
        Takes the weights at the moments of ``settings.checkpoints``, on the CPU, by the sequences seen then.

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
    flowsim.training.processes.ProcessLost
        If another process has ended.
    """
    if settings.batch < processes.count():
        raise InputError(f"batch must be at least the {processes.count()} processes; got {settings.batch}")
    training = Training(network, settings)
    training.resume(checkpoint, identity)
    kept_at = training.step
    try:
        for validated in training.steps(source, valid, seed, report):
            if validated and checkpoint and processes.rank() == 0:
                save(training.content(identity), checkpoint, "checkpoint")
                kept_at = training.step
    except BaseException as error:
        to_be_kept = stopping.requested() or isinstance(error, processes.ProcessLost)
        if to_be_kept and checkpoint and processes.rank() == 0 and training.step > kept_at:
            stopping.answer()
            save(training.content(identity), checkpoint, "checkpoint")
        raise
    if kept is not None:
        kept.update(training.checkpoints)
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
    checkpoints : dict
        Weights at the moments of ``settings.checkpoints`` that were reached, on the CPU, by sequences seen.
    losses : list of Tensor
        The loss of each step since the last validation.
    seconds : float
        Time spent until the last whole step, over all interruptions.
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
        self.steps_kept = set(steps_kept(settings.checkpoints, settings.batch, steps))
        self.checkpoints: dict[int, dict[str, Tensor]] = {}
        self.step = 0
        self.losses: list[Tensor] = []
        self.seconds = 0.0

    def resume(self, checkpoint: Path | None, identity: str) -> None:
        """Go on from a checkpoint of this training, if there is one; the same in every process."""
        saved = processes.from_the_first(lambda: load_checkpoint(checkpoint, identity))
        if saved is None:
            return
        try:
            self.network.load_state_dict(saved["best"])
            self.network.load_state_dict(saved["network"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.schedule.load_state_dict(saved["schedule"])
            self.losses = [*saved["losses"].to(next(self.network.parameters()).device)]
            step = saved["step"]
            began = bool(saved["seconds"]) <= bool(step) and len(self.losses) <= step
            if saved["schedule"]["last_epoch"] != step or not began:
                raise ValueError("steps, losses and learning rate are not of the same moment")
        except Exception as error:  # torch raises many kinds for what is not of this training
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{checkpoint}: expected the checkpoint of this training; it does not fit ({reason}). Move "
                "it away to train from the start"
            ) from None
        self.curve = Curve(**saved["curve"])
        self.best = saved["best"]
        self.checkpoints = dict(saved.get("checkpoints", {}))
        self.step = saved["step"]
        self.seconds = saved["seconds"]

    def steps(self, source: Source, valid: Sequences, seed: int, report: Report) -> Iterator[bool]:
        """Train until the end, or until the budget is over; yields whether a step was just validated.

        The first validation may be of a step that was taken before an interruption.
        """
        settings = self.settings
        started = time.monotonic() - self.seconds
        validate_every = max(1, round(settings.validate_every / settings.batch))
        out_of_time = bool(self.step) and is_out_of_time(settings.budget, started)
        while True:
            stops_here = self.step >= last_step(settings) or out_of_time
            sequences_seen = self.step * settings.batch
            if self.step in self.steps_kept:
                self.checkpoints.setdefault(sequences_seen, copy_of_weights(self.network))
            if self.losses and (self.step % validate_every == 0 or stops_here):
                losses = self.validate(valid, sequences_seen)
                yield True
                report(sequences_seen, *losses)
            elif self.losses:
                yield False
                report(sequences_seen, None, None)
            if stops_here:
                return
            done = self.step / total_steps(settings)
            batch = Batch.drawn(source[self.step], settings, seed * 1_000_003 + self.step + 1, done)
            self.take_step(batch, started)
            out_of_time = is_out_of_time(settings.budget, started)

    def take_step(self, batch: Batch, started: float) -> None:
        """Change the weights by one step, all at once: a signal may come before or after it.

        ``started`` is when the training would have started if it had never been interrupted.
        """
        step = self.step
        statistics = [(buffer, buffer.clone()) for buffer in running_statistics(self.network)]
        try:
            shown_loss = self.pieces.descend(self.network, self.settings, batch)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip)
            with stopping.deferred():
                self.optimiser.step()
                self.schedule.step()
                self.step += 1
                self.losses.append(shown_loss)
                self.seconds = time.monotonic() - started
        except BaseException:
            if self.step == step:
                for buffer, before in statistics:
                    buffer.copy_(before)
            raise

    def validate(self, valid: Sequences, sequences_seen: int) -> tuple[float, float]:
        """Training and validation loss, noted in the curve.

        The latter is the measure of the task per sequence, over all processes together.
        """
        train_loss = torch.stack(self.losses).mean().item()
        began = time.monotonic()
        part = valid[processes.own_part(len(valid))]
        total = evaluate(self.network, self.settings, part, self.pieces.size)
        processes.add_up([total])
        valid_loss = (total / len(valid)).item()
        with stopping.deferred():
            self.seconds += time.monotonic() - began
            self.note(sequences_seen, train_loss, valid_loss, self.seconds)
            self.losses = []
        return train_loss, valid_loss

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
            "checkpoints": self.checkpoints,
            "step": self.step,
            "losses": torch.stack(self.losses).cpu() if self.losses else torch.zeros(0),
            "seconds": self.seconds,
        }


def running_statistics(network: nn.Module) -> list[Tensor]:
    """What a forward pass in training changes beside the gradients: the statistics of batch normalisation."""
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    return [
        buffer for module in network.modules() if isinstance(module, kinds) for buffer in module.buffers()
    ]


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
    return processes.from_the_first(lambda: time.monotonic() - started >= seconds)


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
        part = batch.part(processes.own_part(len(batch)))
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
        processes.add_up([shown_loss, *gradients])
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
