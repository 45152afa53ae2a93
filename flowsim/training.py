"""Train a network to predict: see a context, then roll out, and descend the squared error of every prediction.

Deterministic: the order of the data follows from the seed, so a training that was killed and resumed from its
checkpoint ends with the weights of an undisturbed one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from flowsim.errors import InputError
from flowsim.network import Network
from flowsim.weights import load_checkpoint, save

EVALUATION_BATCH = 64


class Settings(Protocol):
    """What `train` needs to know; see `flowsim.experiment.TrainBlock`."""

    context: int
    horizon: int
    sequences: int
    batch: int
    learning_rate: float
    clip: float
    noise: float
    warm_up: int
    validate_every: int


@dataclass
class Curve:
    """Losses (mean squared error over the horizon), one entry per validation."""

    sequences: list[int] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    valid_loss: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def pick_device(name: str = "auto") -> torch.device:
    """The device of this name; for "auto" CUDA where there is one, else Apple's GPU, else the CPU.

    Raises
    ------
    InputError
        If the device asked for is not on this machine.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, there in available.items() if there))
    kind, _, number = name.partition(":")
    if not available.get(kind, False) or (number and not number.isdigit()):
        there = ", ".join(device for device, on in available.items() if on)
        raise InputError(f"device {name!r} is not on this machine; use auto or one of: {there}")
    return torch.device(name)


def train(
    network: Network,
    settings: Settings,
    frames: Tensor,
    valid: Tensor,
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
        Of the experiment's ``train`` block.
    frames, valid : Tensor (trial, time, channel, y, x)
        Sequences to train on, at least warm_up + context + horizon long, and to validate on.
    seed : int
        Decides the order of the sequences.
    checkpoint : Path, optional
        Where to keep everything that is needed to go on after an interruption, written at each validation.
    identity : str
        What this training is. A checkpoint of another identity is not resumed from, but replaced.
    report : callable (sequences seen, training loss, validation loss)
        Told after every step; the validation loss is None between validations.

    Returns
    -------
    Curve
    dict of Tensor
        Weights at the lowest validation loss. The network itself holds the last ones.

    Raises
    ------
    InputError
        If a loss is no longer a number.
    """
    optimiser = torch.optim.Adam(network.parameters(), settings.learning_rate)
    steps = math.ceil(settings.sequences / settings.batch)
    validate_every = max(1, round(settings.validate_every / settings.batch))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
    curve, best, done = Curve(), _weights(network), 0
    saved = load_checkpoint(checkpoint, identity)
    if saved:
        network.load_state_dict(saved["network"])
        optimiser.load_state_dict(saved["optimiser"])
        schedule.load_state_dict(saved["schedule"])
        curve, best, done = Curve(**saved["curve"]), saved["best"], saved["step"]
    started = time.monotonic() - (curve.seconds[-1] if curve.seconds else 0)
    losses: list[Tensor] = []
    for step, chosen in enumerate(_batches(len(frames), settings.batch, steps, seed), start=1):
        if step <= done:
            continue
        batch = frames[chosen.to(frames.device)]
        optimiser.zero_grad()
        loss, horizon_loss = _losses(network, settings, batch, seed * 1_000_003 + step)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
        optimiser.step()
        schedule.step()
        losses.append(horizon_loss.detach())
        if step % validate_every and step < steps:
            report(step * settings.batch, None, None)
            continue
        curve.sequences.append(step * settings.batch)
        curve.train_loss.append(torch.stack(losses).mean().item())
        curve.valid_loss.append(evaluate(network, settings, valid))
        curve.seconds.append(time.monotonic() - started)
        losses = []
        if not math.isfinite(curve.train_loss[-1] + curve.valid_loss[-1]):
            raise InputError(
                f"the training diverged: loss {curve.train_loss[-1]} after {step * settings.batch} sequences; use a "
                f"learning_rate below {settings.learning_rate} or a smaller clip"
            )
        if curve.valid_loss[-1] <= min(curve.valid_loss):
            best = _weights(network)
        if checkpoint:
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


def _rate(step: int, steps: int) -> float:
    """Learning rate relative to its peak: a short linear rise, then half a cosine down to 0."""
    rise = max(1, steps // 40)
    return min(1.0, (step + 1) / rise) * 0.5 * (1 + math.cos(math.pi * step / steps))


def _batches(trials: int, batch: int, steps: int, seed: int) -> Iterator[Tensor]:
    """Indices of each step's sequences: every sequence once per epoch, each epoch in an order of its own."""
    pool, epoch = np.empty(0, np.int64), 0
    for _ in range(steps):
        while len(pool) < batch:
            pool = np.concatenate([pool, np.random.default_rng([seed, epoch]).permutation(trials)])
            epoch += 1
        yield torch.from_numpy(pool[:batch])
        pool = pool[batch:]


def _losses(network: Network, settings: Settings, batch: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """What is descended, and the error over the horizon alone.

    Two things keep long rollouts from drifting, neither of which touches the law. Every frame that the network takes
    in, seen or its own, is disturbed by Gaussian noise, so that it learns to correct small errors instead of adding
    them up. And in every other step the network has been watching for a random while, up to ``warm_up`` frames
    without gradient, when the context begins: a recurrence whose state keeps growing is found out there, which a short
    sequence from rest does not show.
    """
    generator = torch.Generator().manual_seed(seed)
    longest = settings.warm_up if seed % 2 else 0
    warm = int(torch.randint(longest + 1, (), generator=generator))
    first = settings.warm_up - warm
    context, end = warm + settings.context, warm + settings.context + settings.horizon
    batch = batch[:, first : first + end]
    generator = torch.Generator(batch.device).manual_seed(seed)

    def disturb(frame: Tensor) -> Tensor:
        noise = torch.randn(frame.shape, generator=generator, device=frame.device, dtype=frame.dtype)
        return frame + settings.noise * noise

    steps = network.steps(batch[:, :context], settings.horizon, predict_from=warm + 1, disturb=disturb, warm_up=warm)
    predicted = torch.stack([step.prediction for step in steps if step.prediction is not None], 1)
    error = (predicted - batch[:, warm + 1 :]).square().flatten(2).mean((0, 2))
    seen, ahead = error[: -settings.horizon], error[-settings.horizon :].mean()
    return ahead + (0.5 * seen.mean() if len(seen) else 0.0), ahead


@torch.no_grad()
def evaluate(network: Network, settings: Settings, frames: Tensor) -> float:
    """Mean squared error per pixel over the horizon, after the context."""
    context, end = settings.context, settings.context + settings.horizon
    total = torch.zeros((), device=frames.device)
    for batch in frames.split(EVALUATION_BATCH):
        error = network.rollout(batch[:, :context], settings.horizon) - batch[:, context:end]
        total += error.square().mean() * len(batch)
    return (total / len(frames)).item()


def _weights(network: Network) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
