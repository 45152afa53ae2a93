"""Train a network to predict or to classify (`flowsim.training.objective`).

Deterministic: the order of the data follows from the seed, so a training that was killed and resumed from its
checkpoint ends with the weights of an undisturbed one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from flowsim.errors import InputError
from flowsim.network import Network
from flowsim.scenes.sequences import Sequences
from flowsim.training import devices, objective
from flowsim.training.objective import Batch, evaluate, losses
from flowsim.training.weights import load_checkpoint, save


class Source(Protocol):
    """Batches on the device of the network: `flowsim.training.batches.Shuffled` or
    `flowsim.training.batches.Stream`.
    """

    def __getitem__(self, number: int) -> Sequences:
        """Batch number 0, 1, 2, ..."""


class Budget(Protocol):
    """Where to stop for now; see `flowsim.training.settings.BudgetBlock`."""

    sequences: int | None
    minutes: float | None


class Settings(objective.Settings, Protocol):
    """What `train` needs to know; see `flowsim.training.settings.TrainBlock`."""

    sequences: int
    batch: int
    learning_rate: float
    schedule: Literal["cosine", "constant"]
    clip: float
    validate_every: int
    micro_batch: int | None

    @property
    def budget(self) -> Budget: ...


@dataclass
class Curve:
    """Losses (mean squared error over the horizon, or cross-entropy), one entry per validation."""

    sequences: list[int] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    valid_loss: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def train(
    network: Network,
    settings: Settings,
    source: Source,
    valid: Sequences,
    seed: int,
    *,
    checkpoint: Path | None = None,
    identity: str = "",
    report: Callable[[int, float | None, float | None], None] = lambda *_: None,
) -> tuple[Curve, dict[str, Tensor]]:
    """Train ``network`` in place.

    Parameters
    ----------
    network : Network
    settings : Settings
        Of the experiment's ``train`` block. A batch that does not fit into the memory of a GPU is split in
        halves until it does, and its gradients are added up.
    source : Source
        What to train on: batches of sequences at least as long as warm-up, context and horizon.
    valid : Sequences
        What to validate on.
    seed : int
        Decides the noise and the warm-up.
    checkpoint : Path, optional
        Where to keep everything that is needed to go on after an interruption, or with a larger budget;
        written at each validation, of which there is one whenever training stops.
    identity : str
        What this training is. A checkpoint of another identity is not resumed from, but replaced.
    report : callable (sequences seen, training loss, validation loss)
        Told after every step; the validation loss is None between validations.

    Of several processes (`flowsim.training.devices`) each trains on its part of every batch, and the first
    one keeps the checkpoint.

    Returns
    -------
    Curve
    dict of Tensor
        Weights at the lowest validation loss. The network itself holds the last ones.

    Raises
    ------
    InputError
        If a loss is no longer a number, there are more processes than sequences in a batch, or not even one
        sequence fits into the memory of the GPU.
    """
    if settings.batch < devices.count():
        raise InputError(f"batch must be at least the {devices.count()} processes; got {settings.batch}")
    optimiser = torch.optim.Adam(network.parameters(), settings.learning_rate)
    steps = math.ceil(settings.sequences / settings.batch)
    last = min(steps, math.ceil((settings.budget.sequences or settings.sequences) / settings.batch))
    validate_every = max(1, round(settings.validate_every / settings.batch))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: _rate(settings.schedule, step, steps)
    )
    curve, best, done = Curve(), _weights(network), 0
    saved = devices.from_the_first(lambda: load_checkpoint(checkpoint, identity))
    if saved:
        network.load_state_dict(saved["network"])
        optimiser.load_state_dict(saved["optimiser"])
        schedule.load_state_dict(saved["schedule"])
        curve, best, done = Curve(**saved["curve"]), saved["best"], saved["step"]
    started = time.monotonic() - (curve.seconds[-1] if curve.seconds else 0)
    recent: list[Tensor] = []
    pieces = SplitBatch(settings.micro_batch or settings.batch)
    step, over = done, bool(done) and _out_of_time(settings.budget, started)
    while step < last and not over:
        step += 1
        batch = Batch.drawn(source[step - 1], settings, seed * 1_000_003 + step)
        horizon_loss = pieces.descend(network, settings, batch)
        nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
        optimiser.step()
        schedule.step()
        recent.append(horizon_loss)
        over = _out_of_time(settings.budget, started)
        if step % validate_every and step < last and not over:
            report(step * settings.batch, None, None)
            continue
        curve.sequences.append(step * settings.batch)
        curve.train_loss.append(torch.stack(recent).mean().item())
        curve.valid_loss.append(_validate(network, settings, valid, pieces.size))
        curve.seconds.append(time.monotonic() - started)
        recent = []
        if not math.isfinite(curve.train_loss[-1] + curve.valid_loss[-1]):
            raise InputError(
                f"the training diverged: loss {curve.train_loss[-1]} after {step * settings.batch} sequences; use a "
                f"learning_rate below {settings.learning_rate} or a smaller clip"
            )
        if curve.valid_loss[-1] <= min(curve.valid_loss):
            best = _weights(network)
        if checkpoint and devices.rank() == 0:
            content = {
                "identity": identity,
                "network": network.state_dict(),
                "optimiser": optimiser.state_dict(),
                "schedule": schedule.state_dict(),
                "curve": vars(curve),
                "best": best,
                "step": step,
            }
            save(content, checkpoint, "checkpoint")
        report(step * settings.batch, curve.train_loss[-1], curve.valid_loss[-1])
    return curve, best


def _out_of_time(budget: Budget, started: float) -> bool:
    """Whether its minutes are over: in the first of several processes, since they must agree."""
    minutes = math.inf if budget.minutes is None else budget.minutes
    return minutes < math.inf and devices.from_the_first(lambda: time.monotonic() - started >= 60 * minutes)


def _rate(schedule: str, step: int, steps: int) -> float:
    """Learning rate relative to its peak: constant, or a short linear rise, then half a cosine down to 0."""
    if schedule == "constant":
        return 1.0
    rise = max(1, steps // 40)
    return min(1.0, (step + 1) / rise) * 0.5 * (1 + math.cos(math.pi * step / steps))


class SplitBatch:
    """Splits each batch into pieces of at most ``size`` sequences, fewer once they turn out not to fit."""

    def __init__(self, size: int) -> None:
        self.size = size

    def descend(self, network: Network, settings: Settings, batch: Batch) -> Tensor:
        """Leave in ``grad`` the gradient of the loss over the whole batch; returns the error over the
        horizon.
        """
        own = batch.part(devices.own_part(len(batch)))
        while True:
            network.zero_grad()
            try:
                ahead = self._accumulate(network, settings, own, len(batch))
                break
            except torch.OutOfMemoryError:
                fitting = min(self.size, len(own))
                if fitting == 1:
                    raise InputError(
                        "not even one sequence fits into the memory of the GPU; shorten context or horizon, use fewer "
                        "channels, or set recompute"
                    ) from None
            self.size = (fitting + 1) // 2  # outside of the handler, which holds on to what did not fit
            torch.cuda.empty_cache()
        devices.add_up([ahead, *(p.grad for p in network.parameters() if p.grad is not None)])
        return ahead

    def _accumulate(self, network: Network, settings: Settings, own: Batch, whole: int) -> Tensor:
        total = torch.zeros((), dtype=own.noise.dtype, device=own.noise.device)
        for first in range(0, len(own), self.size):
            piece = own.part(slice(first, first + self.size))
            loss, ahead = losses(network, settings, piece)
            share = len(piece) / whole
            (loss * share).backward()
            total += ahead.detach() * share
        return total


def _validate(network: Network, settings: Settings, valid: Sequences, at_once: int) -> float:
    """What `flowsim.training.objective.evaluate` gives, per sequence, of all processes together."""
    total = evaluate(network, settings, valid[devices.own_part(len(valid))], at_once)
    devices.add_up([total])
    return (total / len(valid)).item()


def _weights(network: Network) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
