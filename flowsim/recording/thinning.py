"""How recorded activity is reduced: to the first channels, to a random subset of units, or to random
projections.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from flowsim.errors import InputError


@dataclass(frozen=True)
class Units:
    """So many units of each site, chosen by a seed.

    Parameters
    ----------
    count : int
    by : {"subset", "projection"}
        The activity of ``count`` units drawn without replacement, in their order; or ``count`` sparse random
        sums of all units (Li, Hastie and Church 2006, by `sklearn.random_projection.SparseRandomProjection`),
        which keep distances.
    seed : int

    Raises
    ------
    InputError
        If the count is below 1 or ``by`` is neither.
    """

    count: int
    by: Literal["subset", "projection"] = "subset"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.by not in ("subset", "projection") or self.count < 1:
            raise InputError(
                f"units: expected a count from 1 and by subset or projection; got {self.count}, {self.by!r}"
            )


@dataclass(frozen=True)
class Thinning:
    """How the activity at one site is reduced; call it to do so.

    Parameters
    ----------
    axes : tuple of str
        Of the activity, beyond trial and time.
    sizes : tuple of int
        Of the whole activity, along ``axes``.
    channels : int, optional
        Keep the first so many channels, or units where there is no channel axis.
    units : Units, optional
        Then keep so many units.

    Raises
    ------
    InputError
        If a subset has more units than there are.
    """

    axes: tuple[str, ...]
    sizes: tuple[int, ...]
    channels: int | None
    units: Units | None

    def __post_init__(self) -> None:
        available = math.prod(self.limited_sizes)
        if self.units is not None and self.units.by == "subset" and self.units.count > available:
            raise InputError(
                f"units: expected at most the {available} units that there are; got {self.units.count}"
            )

    @property
    def limited_axis(self) -> str | None:
        """The axis that ``channels`` limits."""
        return next((axis for axis in ("channel", "unit") if axis in self.axes), None)

    @property
    def limited_sizes(self) -> tuple[int, ...]:
        """Sizes after ``channels``, before ``units``."""
        sizes: Mapping[str, int] = dict(zip(self.axes, self.sizes, strict=True))
        return tuple(
            min(size, self.channels) if self.channels and axis == self.limited_axis else size
            for axis, size in sizes.items()
        )

    @property
    def dims(self) -> dict[str, int]:
        """Axes and sizes of the reduced activity."""
        if self.units is not None:
            return {"unit": self.units.count}
        return dict(zip(self.axes, self.limited_sizes, strict=True))

    @cached_property
    def subset(self) -> np.ndarray:
        """Numbers of the units of a subset, in increasing order, (unit,)."""
        assert self.units is not None
        rng = np.random.default_rng(self.units.seed)
        return np.sort(rng.choice(math.prod(self.limited_sizes), self.units.count, replace=False))

    @cached_property
    def projection(self) -> Any:
        """The random sums, as a sparse matrix (unit of the activity, unit)."""
        from sklearn.random_projection import SparseRandomProjection

        assert self.units is not None
        shape = np.zeros((1, math.prod(self.limited_sizes)), np.float32)
        fitted = SparseRandomProjection(self.units.count, random_state=self.units.seed).fit(shape)
        return fitted.components_.T.tocsr().astype(np.float32)

    def __call__(self, activity: Tensor) -> Tensor:
        """The reduced activity (..., *dims) of activity (..., *axes), on the CPU.

        It is a copy, since a network may go on to change its own tensor.
        """
        leading = activity.shape[: activity.ndim - len(self.axes)]
        if self.limited_axis is not None and self.channels:
            axis = len(leading) + self.axes.index(self.limited_axis)
            activity = activity.narrow(axis, 0, min(activity.shape[axis], self.channels))
        if activity.dtype == torch.bfloat16:  # which numpy does not have
            activity = activity.float()
        if self.units is None:
            return activity.clone(memory_format=torch.contiguous_format).cpu()
        flat = activity.reshape(math.prod(leading), -1)
        if self.units.by == "subset":
            reduced = flat[:, torch.from_numpy(self.subset).to(flat.device)].cpu()
        else:
            reduced = torch.from_numpy(flat.cpu().numpy() @ self.projection)
        return reduced.reshape(*leading, self.units.count)

    def unit_indices(self) -> dict[str, np.ndarray]:
        """Where each unit of a subset was: its index along every axis, (unit,); empty for no subset."""
        if self.units is None or self.units.by == "projection":
            return {}
        return dict(zip(self.axes, np.unravel_index(self.subset, self.limited_sizes), strict=True))
