"""What of an activity is kept: some channels, a random subset of its units, or a random projection of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from flowsim.errors import InputError


@dataclass(frozen=True)
class Units:
    """So many units of each site, by a seed.

    Parameters
    ----------
    count : int
    by : {"subset", "projection"}
        The activity of ``count`` units drawn without replacement, in their order; or ``count`` sparse random
        sums of all units (Li, Hastie and Church 2006, by `sklearn.random_projection.SparseRandomProjection`),
        which keep distances.
    seed : int
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
class Thinned:
    """How one site is thinned.

    Attributes
    ----------
    axes : tuple of str
        Beside trial and time.
    sizes : tuple of int
        Of the whole activity.
    """

    axes: tuple[str, ...]
    sizes: tuple[int, ...]
    channels: int | None
    units: Units | None

    def __post_init__(self) -> None:
        if (
            self.units is not None
            and self.units.by == "subset"
            and self.units.count > math.prod(self.kept_sizes)
        ):
            raise InputError(
                f"units: expected at most the {math.prod(self.kept_sizes)} units that there are; got {self.units.count}"
            )

    @property
    def first(self) -> str | None:
        """The axis of which only the first ``channels`` entries are kept."""
        return next((axis for axis in ("channel", "unit") if axis in self.axes), None)

    @property
    def kept_sizes(self) -> tuple[int, ...]:
        """Sizes after ``channels``, before ``units``."""
        most = self.channels or max(self.sizes, default=1)
        return tuple(
            min(most, s) if a == self.first else s for a, s in zip(self.axes, self.sizes, strict=True)
        )

    @property
    def dims(self) -> dict[str, int]:
        """Axes and sizes of what is kept."""
        if self.units is not None:
            return {"unit": self.units.count}
        return dict(zip(self.axes, self.kept_sizes, strict=True))

    @cached_property
    def chosen(self) -> np.ndarray:
        """Which units a subset holds."""
        assert self.units is not None
        rng = np.random.default_rng(self.units.seed)
        return np.sort(rng.choice(math.prod(self.kept_sizes), self.units.count, replace=False))

    @cached_property
    def projection(self) -> Any:
        """The sums, as a sparse matrix (unit of the activity, unit)."""
        from sklearn.random_projection import SparseRandomProjection

        assert self.units is not None
        shape = np.zeros((1, math.prod(self.kept_sizes)), np.float32)
        fitted = SparseRandomProjection(self.units.count, random_state=self.units.seed).fit(shape)
        return fitted.components_.T.tocsr().astype(np.float32)

    def __call__(self, values: Tensor) -> Tensor:
        """What is kept of an activity (..., *axes), on the CPU: a copy, since a network may go on to change
        its own.
        """
        leading = values.shape[: values.ndim - len(self.axes)]
        if self.first is not None:
            axis = len(leading) + self.axes.index(self.first)
            values = values.narrow(axis, 0, min(values.shape[axis], self.channels or values.shape[axis]))
        values = values.float() if values.dtype == torch.bfloat16 else values  # which numpy does not know
        if self.units is None:
            return values.clone(memory_format=torch.contiguous_format).cpu()
        flat = values.reshape(math.prod(leading), -1)
        if self.units.by == "subset":
            kept = flat[:, torch.from_numpy(self.chosen).to(flat.device)].cpu()
        else:
            kept = torch.from_numpy(flat.cpu().numpy() @ self.projection)
        return kept.reshape(*leading, self.units.count)

    def places(self) -> dict[str, np.ndarray]:
        """Where each unit of a subset was: index along every axis."""
        if self.units is None or self.units.by == "projection":
            return {}
        return dict(zip(self.axes, np.unravel_index(self.chosen, self.kept_sizes), strict=True))
