"""Frames as tensors, with the label of each trial and the actions of its observer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from flowsim.errors import InputError
from flowsim.scenes.frame_values import checked_values

ACTIONS = ("action_vy", "action_vx")
"""Coordinates (trial, time) of a stimulus with an observer who moves."""


@dataclass(frozen=True)
class Sequences:
    """Some trials.

    Attributes
    ----------
    frames : Tensor (trial, time, channel, y, x)
    label : Tensor (trial,), optional
        Of object 0, as integers from 0.
    actions : Tensor (trial, time, component), optional
        How far the observer moved since the frame before, in px. It always stays on the CPU, where networks
        need it.
    """

    frames: Tensor
    label: Tensor | None = None
    actions: Tensor | None = None

    @classmethod
    def of(cls, stimulus: xr.Dataset) -> Sequences:
        """All trials of a stimulus, whose frames (trial, time, y, x) may be of any type of real numbers.

        Raises
        ------
        InputError
            If there are no trials, frames are not luminance in [0, 1], or labels are not whole numbers.
        """
        frames = torch.from_numpy(checked_values(stimulus.frames.values)).float()
        return cls(frames[:, :, None], class_labels(stimulus), observer_actions(stimulus))

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, chosen: slice | Tensor) -> Sequences:
        chosen_on_cpu = chosen.cpu() if isinstance(chosen, Tensor) else chosen
        label = None if self.label is None else self.label[chosen]
        actions = None if self.actions is None else self.actions[chosen_on_cpu]
        return Sequences(self.frames[chosen], label, actions)

    def between(self, first: int, end: int) -> Sequences:
        """Frames ``first`` to ``end`` - 1."""
        actions = None if self.actions is None else self.actions[:, first:end]
        return Sequences(self.frames[:, first:end], self.label, actions)

    def to(self, device: torch.device) -> Sequences:
        """The same, with frames and labels on a device."""
        label = None if self.label is None else self.label.to(device)
        return Sequences(self.frames.to(device), label, self.actions)


def class_labels(stimulus: xr.Dataset) -> Tensor | None:
    """The label of object 0 (trial,), or None if the stimulus has no labels.

    Raises
    ------
    InputError
        If labels are not whole numbers.
    """
    if "label" not in stimulus.coords:
        return None
    first = stimulus.label.isel(object=0) if "object" in stimulus.label.dims else stimulus.label
    labels = first.values
    real = labels.dtype.kind in "iufb" and bool(np.isfinite(labels).all())
    if not real or (labels % 1 != 0).any():
        raise InputError(f"expected labels that are whole numbers; got {np.unique(labels)[:5].tolist()}")
    return torch.from_numpy(labels.astype(np.int64))


def observer_actions(stimulus: xr.Dataset) -> Tensor | None:
    """The observer's actions (trial, time, component), or None if the stimulus has none.

    Raises
    ------
    InputError
        If they are not over trial and time, or one is NaN or infinite.
    """
    if not all(name in stimulus.coords for name in ACTIONS):
        return None
    for name in ACTIONS:
        if set(stimulus[name].dims) != {"trial", "time"}:
            got = ", ".join(map(str, stimulus[name].dims))
            raise InputError(f"expected {name} (trial, time), the motion of the observer; got ({got})")
    by_name = [stimulus[name].transpose("trial", "time").values for name in ACTIONS]
    actions = np.stack(by_name, -1).astype(np.float32)
    if not np.isfinite(actions).all():
        trial, time, _ = np.argwhere(~np.isfinite(actions))[0]
        raise InputError(
            f"expected the motion of the observer ({', '.join(ACTIONS)}) at every frame; it is NaN or "
            f"infinite in trial {trial}, frame {time}. Give the motion of every frame, or leave out the trial"
        )
    return torch.from_numpy(actions)
