"""Batches of training sequences: those of a file in a new order each epoch, or a stream that never repeats.

A stream draws on and on by the specification of a file. The truth is drawn on the CPU, a few thousand trials
at a time, and frames are rendered on the device, batch by batch; for the same random state they are those of
a file (`flowsim.scenes.scene`). A user's own stimulus without ``render`` makes its frames itself, and they
are copied to the device.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from flowsim import ideas
from flowsim.errors import InputError
from flowsim.files import netcdf
from flowsim.scenes.scene import Scene
from flowsim.scenes.sequences import Sequences, class_labels, observer_actions
from flowsim.training.settings import TrainBlock, lengths_needed

POOL = 2048
"""Trials drawn at once, at least a batch."""

FRAMES = {"frames": ("trial", "time", "y", "x")}
"""Dimensions of the frames of a stimulus without flows."""


def random_state(seed: int, pool: int) -> list[int]:
    """The random state that draws the trials of a pool.

    No file has the same: files are drawn by a single number, and numpy ignores zeros at the end of a list.
    """
    return [seed, pool, 1]


@dataclass(frozen=True)
class Pool:
    """Trials that were drawn together.

    Attributes
    ----------
    number : int
    render : callable
        Frames (trial, time, y, x) of a slice of the trials, on the device.
    label : Tensor (trial,) or None
    actions : Tensor (trial, time, component) or None
    """

    number: int
    render: Callable[[slice], Tensor]
    label: Tensor | None
    actions: Tensor | None


class Stream:
    """Batches number 0, 1, 2, ... of a stimulus.

    Parameters
    ----------
    family : str
        A file in ``stimuli/``.
    spec : mapping
        Arguments of its ``generate``; ``trials`` does not matter.
    seed : int
        Batch number n is the same for the same seed, whichever batches were drawn before.
    batch : int
        Trials in each.
    device : torch.device
    stimulus : module, optional
        What is used instead of the file of that name.
    """

    def __init__(
        self,
        family: str,
        spec: Mapping[str, Any],
        seed: int,
        batch: int,
        device: torch.device,
        stimulus: ModuleType | None = None,
    ) -> None:
        self.family, self.seed, self.batch, self.device = family, seed, batch, device
        self.stimulus = stimulus or ideas.load("stimuli", family)
        self.batches_per_pool = max(1, POOL // batch)
        self.spec = {**spec, "trials": self.batches_per_pool * batch}
        self.pool: Pool | None = None

    def __getitem__(self, number: int) -> Sequences:
        pool_number, within = divmod(number, self.batches_per_pool)
        if self.pool is None or self.pool.number != pool_number:
            self.pool = self._draw(pool_number)
        pool, chosen = self.pool, slice(within * self.batch, (within + 1) * self.batch)
        frames = pool.render(chosen)[:, :, None]
        label = None if pool.label is None else pool.label[chosen].to(self.device)
        actions = None if pool.actions is None else pool.actions[chosen]
        return Sequences(frames, label, actions)

    def _draw(self, number: int) -> Pool:
        rng = np.random.default_rng(random_state(self.seed, number))
        drawn = self.stimulus.generate("train", rng, **self.spec)
        return Pool(number, self._renderer(drawn), class_labels(drawn), observer_actions(drawn))

    def _renderer(self, drawn: xr.Dataset) -> Callable[[slice], Tensor]:
        if hasattr(self.stimulus, "render"):
            scene = Scene.of(drawn)
            return lambda chosen: self.stimulus.render(scene.part(chosen), self.device)
        return lambda chosen: torch.from_numpy(drawn.frames[chosen].values).to(self.device)


class Shuffled:
    """Batches number 0, 1, 2, ...: every sequence once per epoch, each epoch in an order of its own.

    A batch may reach from one epoch into the next.
    """

    def __init__(self, sequences: Sequences, batch: int, seed: int) -> None:
        self.sequences, self.batch, self.seed = sequences, batch, seed
        self.orders: dict[int, np.ndarray] = {}

    def __getitem__(self, number: int) -> Sequences:
        return self.sequences[self.chosen(number).to(self.sequences.frames.device)]

    def chosen(self, number: int) -> Tensor:
        """Indices of the sequences of one batch."""
        trials = len(self.sequences)
        first = number * self.batch
        last = first + self.batch - 1
        epochs = range(first // trials, last // trials + 1)
        self.orders = {epoch: self._order(epoch) for epoch in epochs}
        order = np.concatenate(list(self.orders.values()))
        start = first - epochs[0] * trials
        return torch.from_numpy(order[start : start + self.batch])

    def _order(self, epoch: int) -> np.ndarray:
        if epoch in self.orders:
            return self.orders[epoch]
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.sequences))


def training_source(path: Path, settings: TrainBlock, seed: int, device: torch.device) -> Shuffled | Stream:
    """What to train on: the sequences of a stimulus file, or a stream by its specification.

    Parameters
    ----------
    path : Path
        A stimulus file.
    settings : TrainBlock
    seed : int
        Decides the order, or what the stream draws.
    device : torch.device
        Where the batches are needed.

    Raises
    ------
    InputError
        If the file cannot be read or its sequences are too short; to stream, if it does not say how it was
        made, or not by split train.
    """
    frames_needed = max(lengths_needed(settings).values())
    if settings.stream:
        return stream_like(path, frames_needed, seed, settings.batch, device)
    return Shuffled(sequences_of(path, frames_needed).to(device), settings.batch, seed)


def stream_like(path: Path, frames_needed: int, seed: int, batch: int, device: torch.device) -> Stream:
    """A stream by the specification of a stimulus file.

    Raises
    ------
    InputError
        See `training_source`.
    """
    stimulus = netcdf.read(path, "stimulus", FRAMES)
    check_length(path, stimulus, frames_needed)
    try:
        spec = json.loads(stimulus.attrs["specification"])
        family = spec.pop("family")
    except (KeyError, ValueError):
        raise InputError(
            f"{path}: to stream, expected a file by `flowsim stimulus`, with its specification; set stream "
            "false"
        ) from None
    if spec.pop("split", "train") != "train":
        raise InputError(
            f"{path}: to stream, expected a file of split train, whose specification says how to draw more"
        )
    return Stream(family, spec, seed, batch, device)


def sequences_of(path: Path, frames_needed: int) -> Sequences:
    """All sequences of a stimulus file.

    Raises
    ------
    InputError
        If the file cannot be read, or its sequences are shorter than ``frames_needed``.
    """
    stimulus = netcdf.load(netcdf.read(path, "stimulus", FRAMES), path)
    check_length(path, stimulus, frames_needed)
    try:
        return Sequences.of(stimulus)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def check_length(path: Path, stimulus: xr.Dataset, frames_needed: int) -> None:
    """Raise InputError if the sequences of a stimulus are shorter than ``frames_needed``."""
    if stimulus.sizes["time"] < frames_needed:
        raise InputError(
            f"{path}: expected at least {frames_needed} frames (warm_up or own_predictions + context + "
            f"horizon); it has {stimulus.sizes['time']}"
        )
