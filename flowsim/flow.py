r"""How the world moves: psi_t(v) = exp(t v), a one-parameter subgroup acting on frames.

A velocity v is an element of a Lie algebra, here always abelian, written as a tuple of components. For
translation v = (vy, vx) in pixels per frame, positive moves down and right, and

    psi_t(v) f (x) = f(x - t v)

This is the only implementation of "act by a flow": stimuli, networks and analyses all use it.

Source: Keller (2025), Flow Equivariant Recurrent Neural Networks, section 2.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from flowsim.errors import InputError

Velocity = tuple[float, ...]


class FlowGroup(ABC):
    """An abelian Lie group that acts on the last two dimensions (y, x) of a tensor.

    Attributes
    ----------
    name : str
        As written in files and specifications.
    components : tuple of str
        Names of the components of a velocity, in order.
    unit : str
        Unit of every component.
    """

    name: str
    components: tuple[str, ...]
    unit: str

    @abstractmethod
    def act(self, x: Tensor, element: Velocity) -> Tensor:
        """Move ``x`` (..., y, x) by exp(``element``), the element being t v in the unit of the group."""

    @abstractmethod
    def period(self, frame_shape: tuple[int, int]) -> Velocity:
        """Smallest positive displacement along each component that moves nothing, for a frame (y, x)."""

    def velocity(self, value: float | Sequence[float]) -> Velocity:
        """``value`` as a velocity of this group: whole components as int, others as float.

        Raises
        ------
        InputError
            If the number of components is wrong.
        """
        components = tuple(value) if isinstance(value, Sequence) else (value,)
        if len(components) != len(self.components):
            raise InputError(
                f"a velocity of {self.name} has {len(self.components)} component(s) "
                f"{', '.join(self.components)}; got {value!r}"
            )
        return tuple(int(c) if float(c).is_integer() else float(c) for c in components)


@final
@dataclass(frozen=True)
class Translation(FlowGroup):
    """Translation on a torus; velocities (vy, vx) in px/frame, positive down and right.

    Whole-pixel displacements are exact rolls. Others are band-limited shifts (each Fourier mode turned by
    its phase): an exact one-parameter group for any real displacement where a side is odd. On an even side
    the Nyquist mode cannot turn and stay real; it is scaled by cos(pi s) instead, so that there
    psi_s psi_t = psi_(s+t) holds only for what has no energy at Nyquist.
    """

    name = "translation"
    components = ("vy", "vx")
    unit = "px/frame"

    def act(self, x: Tensor, element: Velocity) -> Tensor:
        dy, dx = element
        if float(dy).is_integer() and float(dx).is_integer():
            return torch.roll(x, (int(dy), int(dx)), (-2, -1))
        height, width = x.shape[-2:]
        ky = torch.fft.fftfreq(height, dtype=x.dtype, device=x.device)[:, None]
        kx = torch.fft.rfftfreq(width, dtype=x.dtype, device=x.device)
        phase = -2 * torch.pi * (_turn(ky, dy) + _turn(kx, dx))
        gain = _nyquist_gain(ky, dy) * _nyquist_gain(kx, dx)
        return torch.fft.irfft2(torch.fft.rfft2(x) * torch.polar(gain.expand_as(phase), phase), s=x.shape[-2:])

    def period(self, frame_shape: tuple[int, int]) -> Velocity:
        return tuple(frame_shape)


def _turn(frequency: Tensor, displacement: float) -> Tensor:
    return torch.where(frequency.abs() == 0.5, 0.0, frequency * displacement)


def _nyquist_gain(frequency: Tensor, displacement: float) -> Tensor:
    half_turns = torch.tensor(torch.pi * displacement, dtype=frequency.dtype, device=frequency.device)
    return torch.where(frequency.abs() == 0.5, torch.cos(half_turns), 1.0)


@final
@dataclass(frozen=True)
class Rotation(FlowGroup):
    """Rotation about the image centre; velocity in deg/frame, positive counter-clockwise as displayed.

    Quarter turns of square frames are exact. Others are sampled bilinearly with 0 outside the frame: no
    isometry, and laws hold to a tolerance only. To keep errors from piling up, turn once by t v rather than
    t times by v.
    """

    name = "rotation"
    components = ("omega",)
    unit = "deg/frame"

    def act(self, x: Tensor, element: Velocity) -> Tensor:
        (angle,) = element
        height, width = x.shape[-2:]
        quarters, rest = divmod(angle, 90)
        if rest == 0 and (height == width or quarters % 2 == 0):
            return torch.rot90(x, int(quarters) % 4, (-2, -1))
        turn = torch.deg2rad(torch.tensor(float(angle), dtype=torch.float64))
        cos, sin = torch.cos(turn), torch.sin(turn)
        y = torch.arange(height, dtype=torch.float64)[:, None] - (height - 1) / 2
        x_ = torch.arange(width, dtype=torch.float64) - (width - 1) / 2
        source_x, source_y = cos * x_ - sin * y, sin * x_ + cos * y
        grid = torch.stack([source_x * 2 / width, source_y * 2 / height], -1).to(x)
        images = x.reshape(1, -1, height, width)
        return F.grid_sample(images, grid[None], align_corners=False).reshape(x.shape)

    def period(self, frame_shape: tuple[int, int]) -> Velocity:
        return (360,)


GROUPS: dict[str, FlowGroup] = {group.name: group for group in (Translation(), Rotation())}


@final
@dataclass(frozen=True)
class Flow:
    """The flow psi(v): one group and one velocity.

    Examples
    --------
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
        return self.group.act(x, tuple(t * component for component in self.velocity))

    def transport(self, frames: Tensor, times: Sequence[float] | None = None) -> Tensor:
        """(psi(v) f)_t = psi_t(v) f_t, for frames or states (trial, time, ..., y, x).

        Parameters
        ----------
        frames : Tensor (trial, time, ..., y, x)
        times : sequence of float, optional
            The time of each entry in frames; 0, 1, 2, ... if not given (thinned recordings have gaps).
        """
        return transport(self.act, frames, times)


def transport(act: Callable[[Tensor, float], Tensor], frames: Tensor, times: Sequence[float] | None = None) -> Tensor:
    """Each frame (trial, time, ..., y, x) moved by ``act(frame, t)``; see `Flow.transport`."""
    times = range(frames.shape[1]) if times is None else times
    if len(times) != frames.shape[1]:
        raise InputError(f"transport needs a time for each of {frames.shape[1]} frames; got {len(times)}")
    return torch.stack([act(frames[:, i], t) for i, t in enumerate(times)], 1)
