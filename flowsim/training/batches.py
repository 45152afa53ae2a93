"""Training sequences without end, made where the network trains: the same specification as a file, drawn on
and on.

The truth is drawn on the CPU, a few thousand trials at a time, and frames are rendered on the device, batch
by batch. For the same random state they are those of a file (`flowsim.scenes.scene`). A stimulus without
``render``, of a user's own, makes its frames itself, and they are carried to the device.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from flowsim import ideas
from flowsim.errors import InputError
from flowsim.files import netcdf
from flowsim.scenes.scene import Scene
from flowsim.scenes.sequences import Sequences, labels, observer_actions
from flowsim.training.objective import end_of
from flowsim.training.settings import TrainBlock

POOL = 2048
"""Trials drawn at once, at least a batch."""


def random_state(seed: int, pool: int) -> list[int]:
    """What the trials of a pool are drawn by: files have one number, and numpy ignores zeros at the end."""
    return [seed, pool, 1]


class Stream:
    """Batches number 0, 1, 2, ... of a stimulus.

    Parameters
    ----------
    family : str
        A file in ``stimuli/``.
    spec : mapping
        Arguments of its ``generate``; ``trials`` does not matter.
    seed : int
        Batch number n is the same for the same seed, whatever was asked for before.
    batch : int
        Trials in each.
    device : torch.device
    """

    def __init__(
        self, family: str, spec: Mapping[str, Any], seed: int, batch: int, device: torch.device
    ) -> None:
        self.family = family
        self.module, self.seed, self.batch, self.device = ideas.load("stimuli", family), seed, batch, device
        self.at_once = max(1, POOL // batch)
        self.spec = {**spec, "trials": self.at_once * batch}
        self.pool: tuple[int, Callable[[slice], Tensor], Tensor | None, Tensor | None] | None = None

    def __getitem__(self, number: int) -> Sequences:
        pool, within = divmod(number, self.at_once)
        if self.pool is None or self.pool[0] != pool:
            made = self.module.generate(
                "train", np.random.default_rng(random_state(self.seed, pool)), **self.spec
            )
            self.pool = (pool, self._rendering(made), labels(made), observer_actions(made))
        _, frames_of, label, steps = self.pool
        chosen = slice(within * self.batch, (within + 1) * self.batch)
        frames = frames_of(chosen)
        label, steps = (None if values is None else values[chosen] for values in (label, steps))
        return Sequences(frames[:, :, None], None if label is None else label.to(self.device), steps)

    def _rendering(self, made: xr.Dataset) -> Callable[[slice], Tensor]:
        """Frames (trial, time, y, x) of some trials, on the device."""
        if hasattr(self.module, "render"):
            scene = Scene.of(made)
            return lambda chosen: self.module.render(scene.part(chosen), self.device)
        return lambda chosen: torch.from_numpy(made.frames[chosen].values).to(self.device)


class Shuffled:
    """Batches number 0, 1, 2, ...: every sequence once per epoch, each epoch in an order of its own."""

    def __init__(self, sequences: Sequences, batch: int, seed: int) -> None:
        self.sequences, self.batch, self.seed = sequences, batch, seed
        self.orders: dict[int, np.ndarray] = {}

    def chosen(self, number: int) -> Tensor:
        """Indices of the sequences of one batch."""
        trials, first = len(self.sequences), number * self.batch
        epochs = range(first // trials, (first + self.batch - 1) // trials + 1)
        self.orders = {epoch: self._order(epoch) for epoch in epochs}
        start = first - epochs[0] * trials
        return torch.from_numpy(np.concatenate([*self.orders.values()])[start : start + self.batch])

    def _order(self, epoch: int) -> np.ndarray:
        kept = self.orders.get(epoch)
        return (
            np.random.default_rng([self.seed, epoch]).permutation(len(self.sequences))
            if kept is None
            else kept
        )

    def __getitem__(self, number: int) -> Sequences:
        return self.sequences[self.chosen(number).to(self.sequences.frames.device)]


FRAMES = {"frames": ("trial", "time", "y", "x")}


def _source(a: Namespace, settings: TrainBlock, device: torch.device) -> Shuffled | Stream:
    """What to train on: the file's sequences, or new ones by the file's specification."""
    needed = settings.warm_up + end_of(settings)
    if not settings.stream:
        return Shuffled(_sequences(a.train, needed).to(device), settings.batch, a.seed)
    made = netcdf.read(a.train, "stimulus", FRAMES)
    _enough(a.train, made, needed)
    try:
        spec = json.loads(made.attrs["specification"])
        family = spec.pop("family")
    except (KeyError, ValueError):
        raise InputError(
            f"{a.train}: to stream, expected a file by `flowsim stimulus`, with its specification; set stream false"
        ) from None
    if spec.pop("split", "train") != "train":
        raise InputError(
            f"{a.train}: to stream, expected a file of split train, whose specification says how"
        )
    return Stream(family, spec, a.seed, settings.batch, device)


def _sequences(path: Path, needed: int) -> Sequences:
    """The sequences of a stimulus file."""
    made = netcdf.load(netcdf.read(path, "stimulus", FRAMES), path)
    _enough(path, made, needed)
    return Sequences.of(made)


def _check_labels(a: Namespace, valid: Sequences, classes: int) -> None:
    """On the CPU, since a GPU only crashes on a label that there is not."""
    for path, label in ((a.train, labels(netcdf.read(a.train, "stimulus", FRAMES))), (a.valid, valid.label)):
        if label is None:
            raise InputError(f"{path}: to classify needs labels; the file has no coordinate label")
        if len(label) and not 0 <= int(label.min()) <= int(label.max()) < classes:
            raise InputError(
                f"{path}: expected labels from 0 to {classes - 1}, since the network has {classes} classes; they go "
                f"from {int(label.min())} to {int(label.max())}. Build it with more classes"
            )


def _enough(path: Path, made: xr.Dataset, needed: int) -> None:
    if made.sizes["time"] < needed:
        raise InputError(
            f"{path}: expected at least {needed} frames (warm_up + context + horizon); it has {made.sizes['time']}"
        )
