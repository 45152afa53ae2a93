"""One flow, psi_t(v), on frames, states and sequences of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from flowsim.errors import InputError
from flowsim.flows.group import FlowGroup, Velocity

if TYPE_CHECKING:
    from torch import Tensor


@final
@dataclass(frozen=True)
class Flow:
    """The flow psi(v): one group and one velocity.

    Examples
    --------
    >>> import torch
    >>> from flowsim import Translation
    >>> frame = torch.tensor([[1.0, 0.0, 0.0]])
    >>> Flow(Translation(), (0, 1)).act(frame, 2)
    tensor([[0., 0., 1.]])
    """

    group: FlowGroup
    velocity: Velocity

    def __post_init__(self) -> None:
        object.__setattr__(self, "velocity", self.group.velocity(self.velocity))

    def act(self, x: Tensor, t: float = 1) -> Tensor:
        """psi_t(v) x on the last two dimensions (..., y, x)."""
        return self.group.act(x, self._element(t))

    def act_oriented(self, x: Tensor, t: float = 1) -> Tensor:
        """psi_t(v) x on the last three dimensions (..., orientation, y, x)."""
        return self.group.act_oriented(x, self._element(t))

    def _element(self, t: float) -> Velocity:
        return tuple(t * component for component in self.velocity)

    def transport(self, frames: Tensor, times: Sequence[float] | None = None) -> Tensor:
        """(psi(v) f)_t = psi_t(v) f_t, for frames or states (trial, time, ..., y, x).

        Parameters
        ----------
        frames : Tensor (trial, time, ..., y, x)
        times : sequence of float, optional
            The time of each entry in frames; 0, 1, 2, ... if not given (thinned recordings have gaps).
        """
        return transport(self.act, frames, times)


def transport(
    act: Callable[[Tensor, float], Tensor], frames: Tensor, times: Sequence[float] | None = None
) -> Tensor:
    """Each frame (trial, time, ..., y, x) moved by ``act(frame, t)``; see `Flow.transport`."""
    import torch

    times = range(frames.shape[1]) if times is None else times
    if len(times) != frames.shape[1]:
        raise InputError(f"transport needs a time for each of {frames.shape[1]} frames; got {len(times)}")
    return torch.stack([act(frames[:, i], t) for i, t in enumerate(times)], 1)
