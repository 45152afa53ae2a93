"""Training sequences without end, made where the network trains: the same specification as a file, drawn on and on.

The truth is drawn on the CPU, a few thousand trials at a time, and frames are rendered on the device, batch by batch.
For the same random state they are those of a file (`flowsim.scenes.scene`). A stimulus without ``render``, of a user's
own, makes its frames itself, and they are carried to the device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from flowsim import ideas
from flowsim.scenes.scene import Scene
from flowsim.scenes.sequences import Sequences, actions, labels

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

    def __init__(self, family: str, spec: Mapping[str, Any], seed: int, batch: int, device: torch.device) -> None:
        self.family = family
        self.module, self.seed, self.batch, self.device = ideas.load("stimuli", family), seed, batch, device
        self.at_once = max(1, POOL // batch)
        self.spec = {**spec, "trials": self.at_once * batch}
        self.pool: tuple[int, Callable[[slice], Tensor], Tensor | None, Tensor | None] | None = None

    def __getitem__(self, number: int) -> Sequences:
        pool, within = divmod(number, self.at_once)
        if self.pool is None or self.pool[0] != pool:
            made = self.module.generate("train", np.random.default_rng(random_state(self.seed, pool)), **self.spec)
            self.pool = (pool, self._rendering(made), labels(made), actions(made))
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
