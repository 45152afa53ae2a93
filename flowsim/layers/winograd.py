"""Circular 3x3 convolutions of moving states with a quarter of the multiplications, by winograd.c.

States are (velocity, trial, y, x, channel) in float32 on a CPU, contiguous. A move is by how many pixels
(y, x) a velocity displaces its state before it is convolved; an origin is a corner (y, x) of a tile of the
output. What is rounded depends on where in its tile a pixel lies. Tiles that move with the picture keep the
law exact to the bit.

Nothing here is differentiated by itself: `flowsim.layers.fused_recurrence` and
`flowsim.layers.gated_recurrence` do that, and compute the same without this file where `fits` says no.

Source: Lavin and Gray (2016), Fast Algorithms for Convolutional Neural Networks; the points of interpolation
are 0, ±5/8, ±3/2 and infinity, which round half as much as the usual 0, ±1, ±2 and infinity.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual
from torch.utils._python_dispatch import _get_current_dispatch_mode

from flowsim.files.compiled import library
from flowsim.flows.group import Velocity

Pairs = Sequence[Velocity]
TILE = 4
_PROCESS = os.getpid()
LARGEST = 1024
"""Pixels of a side, as in winograd.c."""
CHUNK = 2**17
"""Bytes of one velocity of a state that go through a step at a time."""
P, Q = 5 / 8, 3 / 2
"""The points that winograd.c interpolates at, but 0 and infinity."""


@dataclass(frozen=True)
class Processor:
    """A kind of processor: ``block`` channels of a vector, ``rows`` tiles summed at once, and from how many
    channels on a step is faster.
    """

    block: int
    rows: int
    fewest_channels: int


PROCESSORS = {"AVX512": Processor(16, 14, 16), "AVX2": Processor(8, 12, 16)}
"""By what `torch.backends.cpu.get_cpu_capability` calls it."""


class Shape(ctypes.Structure):
    """As in winograd.c."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("velocities", "trials", "height", "width", "inputs", "outputs")),
        ("moves", ctypes.c_void_p),
        ("origins", ctypes.c_void_p),
    )


def fits(weight: Tensor, *states: Tensor) -> bool:
    """Whether a kernel (output, input, y, x) and states (velocity, trial, y, x, channel) go together here.

    They are in float32 on a processor that gains by it, tiles fill the frame, and nobody counts or imitates
    what torch does.
    """
    outputs, inputs, *size = weight.shape
    ours = processor()
    return (
        ours is not None
        and not torch.jit.is_tracing()
        and size == [3, 3]
        and min(inputs, outputs) >= ours.fewest_channels
        and inputs % ours.block == outputs % ours.block == 0
        and all(side % TILE == 0 and side <= LARGEST for side in states[0].shape[2:4])
        and all(type(x) in (Tensor, torch.nn.Parameter) for x in (weight, *states))
        and all(x.dtype == torch.float32 and x.device.type == "cpu" for x in (weight, *states))
        and 2 * states[0].shape[1] >= torch.get_num_threads()  # which share trials out
        and not torch.is_autocast_enabled("cpu")
        and _get_current_dispatch_mode() is None
        and not torch.compiler.is_compiling()
        and compiled() is not None
    )


def can_hand_back(saved: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> bool:
    """Whether gradients that are computed here are values and no more: nobody differentiates them again or
    along a direction, or maps over them; and what was saved lies as it did.
    """
    given = [*saved, *(gradient for gradient in gradients if gradient is not None)]
    return (
        not torch.is_grad_enabled()
        and not any(is_dual(x) for x in given)
        and all(map(_has_values, given))
        and all(x.is_contiguous() for x in saved)
        and compiled() is not None
    )


def _has_values(x: Tensor) -> bool:
    """Whether it lies somewhere: what a function is mapped over does not."""
    try:
        x.data_ptr()
    except RuntimeError:
        return False
    return True


def is_dual(x: Tensor) -> bool:
    """Whether it is differentiated along a direction, in forward mode."""
    return unpack_dual(x).tangent is not None


@cache
def processor() -> Processor | None:
    """What pays here; None if nothing does."""
    return PROCESSORS.get(torch.backends.cpu.get_cpu_capability())


def compiled() -> ctypes.CDLL | None:
    """winograd.c for this processor; None where there is no compiler."""
    ours = processor()
    source = Path(__file__).with_name("winograd.c")
    return library(source, f"-DBLOCK={ours.block}", f"-DROWS={ours.rows}") if ours else None


@dataclass(frozen=True)
class Way:
    """How the velocities of a state move in a step, and where the tiles of its output lie."""

    moves: Pairs
    origins: Pairs

    @classmethod
    def of_frame(cls, time: Tensor | None, velocities: Pairs, later: int = 0) -> Way:
        """That of the step so many frames after ``time`` (trial,); of an unknown time, as if it were 0."""
        return cls.at(later + (0 if time is None else int(time[0])), velocities)

    @classmethod
    def at(cls, time: int, velocities: Pairs) -> Way:
        """That of the step to the state after frame ``time``: tiles move with the picture."""
        return cls(velocities, [(time * vy % TILE, time * vx % TILE) for vy, vx in velocities])


class _Place:
    """A `Shape`, and the arrays that it points to."""

    def __init__(self, like: Tensor, outputs: int, way: Way) -> None:
        self._moves, self._origins = _flat(way.moves), _flat(way.origins)
        pointers = (ctypes.addressof(array) for array in (self._moves, self._origins))
        self.shape = Shape(*like.shape, outputs, *pointers)

    def by_reference(self) -> Any:
        """As an argument."""
        return ctypes.byref(self.shape)


class _Work:
    """How a step is shared out over threads, and the scratch that they need.

    Parameters
    ----------
    state : Tensor (velocity, trial, y, x, channel)
    tiles : int
        Tiles that are transformed at a time.
    channels : int
        Of the inputs and outputs of the largest convolution together.
    states : int
        How many states of the trials that go through a step at a time lie in the scratch besides.
    """

    def __init__(self, state: Tensor, tiles: int, channels: int, states: int = 0) -> None:
        trials, own = state.shape[1], state[0, 0].numel()
        threads = min(usable_threads(), trials)
        chunk = max(1, min(CHUNK // (own * state.element_size()), -(-trials // threads)))
        room = states * chunk * own + 36 * tiles * channels
        self._scratch = torch.empty(threads * room, dtype=torch.float32, device="cpu")
        self.arguments = (threads, chunk, tiles, _pointer(self._scratch), ctypes.c_ssize_t(room))


def usable_threads() -> int:
    """How many of torch's threads there are; in a child of a fork one, since its parent's are missing."""
    return torch.get_num_threads() if os.getpid() == _PROCESS else 1


def _flat(pairs: Pairs) -> ctypes.Array[ctypes.c_int]:
    numbers = [int(number) for pair in pairs for number in pair]
    return (ctypes.c_int * len(numbers))(*numbers)


def _powers(at: float, other: float) -> list[float]:
    return [power / (2 * at**2 * (at**2 - other**2)) for power in (1, at, at**2)]


_G = torch.tensor(
    [[1 / (P * Q) ** 2, 0, 0], _powers(P, Q), _powers(-P, Q), _powers(Q, P), _powers(-Q, P), [0, 0, 1]],
    dtype=torch.float64,
    device="cpu",
)
FREQUENCIES = torch.kron(_G, _G).float()
"""From a kernel's 9 weights to its 36 frequencies."""


def transformed(weight: Tensor) -> Tensor:
    """A kernel (output, input, 3, 3) as (frequency, block of outputs, input, output in the block)."""
    outputs, inputs = weight.shape[:2]
    block = _ours().block
    rows = weight.detach().reshape(outputs // block, block, inputs, 9).permute(3, 0, 2, 1).reshape(9, -1)
    return (FREQUENCIES @ rows).view(36, outputs // block, inputs, block)


def kernel_gradient(sums: Tensor) -> Tensor:
    """The gradient (output, input, 3, 3) of a kernel, from what `step_back` adds up."""
    _, inputs, outputs, block, _ = sums.shape
    rows = (FREQUENCIES.T @ sums.view(36, -1)).view(9, inputs, outputs, block, block)
    return rows.permute(2, 4, 1, 3, 0).reshape(outputs * block, inputs * block, 3, 3)


def new_sums(weight: Tensor) -> Tensor:
    """Zeros, to which `step_back` adds the gradient of the adjoint of ``weight``; for each thread its own."""
    outputs, inputs = weight.shape[:2]
    block = _ours().block
    shape = (torch.get_num_threads(), 36, outputs // block, inputs // block, block, block)
    return torch.zeros(shape, dtype=torch.float32, device="cpu")


def step(
    state: Tensor,
    kernel: Tensor,
    drive: Tensor,
    way: Way,
    highest: Tensor | None = None,
    winner: Tensor | None = None,
    first: int = 0,
) -> Tensor:
    """relu(kernel * moved state + drive): the state after a step.

    Parameters
    ----------
    state : Tensor (velocity, trial, y, x, channel)
    kernel : Tensor
        See `transformed`.
    drive : Tensor (velocity or 1, trial, y, x, channel)
    way : Way
    highest : Tensor (trial, y, x, channel), optional
        The maximum over velocity of what comes out, moved once more, is taken into it; the velocity 0 begins.
    winner : Tensor (trial, y, x, channel), optional
        In int16: the number of the velocity that holds the maximum, counted from ``first``.
    first : int
    """
    outputs = kernel.shape[1] * kernel.shape[3]
    after = state.new_empty(*state.shape[:4], outputs)
    place = _Place(state, outputs, way)
    tensors = (after, highest, winner, state, kernel, drive)
    work = _Work(state, _ours().rows, channels=state.shape[-1] + outputs)
    _library().step(*map(_pointer, tensors), len(drive), first, place.by_reference(), *work.arguments)
    return after


def step_back(
    gradient: Tensor | None,
    to_highest: Tensor | None,
    winner: Tensor,
    output: Tensor,
    state: Tensor,
    kernel: Tensor,
    way: Way,
    first: int,
    to_drive: Tensor | None,
    sums: Tensor | None,
    to_state: bool = True,
) -> tuple[Tensor | None, Tensor | None]:
    """What a `step` hands back.

    Parameters
    ----------
    gradient : Tensor (velocity, trial, y, x, channel), optional
        Of its output.
    to_highest : Tensor (trial, y, x, channel), optional
        Of the maximum, which ``winner`` held; velocities are counted from ``first``.
    output, state : Tensor (velocity, trial, y, x, channel)
        After the step and before.
    kernel : Tensor
        The adjoint kernel, `transformed`.
    way : Way
        The moves of the step, and the origins of the tiles of ``state``.
    to_drive : Tensor (1, trial, y, x, channel), optional
        The gradient of the input of the ReLU is summed into it over velocities.
    sums : Tensor, optional
        See `new_sums`.
    to_state : bool
        Whether the gradient of the state is wanted.

    Returns
    -------
    Tensor (velocity, trial, y, x, channel) or None
        The gradient of the state.
    Tensor (velocity, trial, y, x, channel) or None
        That of the input of the ReLU; None where it went into ``to_drive``.
    """
    place = _Place(output, state.shape[-1], way)
    before = torch.empty_like(state) if to_state else None
    inner = torch.empty_like(output) if to_drive is None else None
    tensors = (before, sums, to_drive, inner, gradient, to_highest, winner, output, state, kernel)
    work = _Work(output, 2 * _ours().rows, channels=output.shape[-1] + state.shape[-1], states=1)
    _library().step_back(*map(_pointer, tensors), first, place.by_reference(), *work.arguments)
    return before, inner


@dataclass(frozen=True)
class Gates:
    """What a `gru_step` keeps: ``both`` gates (velocity, trial, y, x, z or r, channel), and the ``candidate``
    (velocity, trial, y, x, channel).
    """

    both: Tensor
    candidate: Tensor


def gru_step(
    state: Tensor,
    kernels: tuple[Tensor, Tensor],
    drives: tuple[Tensor, Tensor],
    way: Way,
    highest: Tensor | None = None,
    winner: Tensor | None = None,
) -> tuple[Tensor, Gates]:
    """The state after a step of a GRU that is moved first; see `step`.

    ``kernels`` and ``drives`` are those of the gates z and r together, and of the candidate.
    """
    after = torch.empty_like(state)
    gates = Gates(state.new_empty(*state.shape[:4], 2 * state.shape[-1]), torch.empty_like(state))
    place = _Place(state, state.shape[-1], way)
    tensors = (after, gates.both, gates.candidate, highest, winner, state, *kernels, *drives)
    work = _Work(state, _ours().rows, channels=3 * state.shape[-1], states=2)
    _library().gru_step(*map(_pointer, tensors), len(drives[0]), 0, place.by_reference(), *work.arguments)
    return after, gates


def gru_step_back(
    gradient: Tensor | None,
    to_highest: Tensor | None,
    winner: Tensor,
    gates: Gates,
    state: Tensor,
    kernels: tuple[Tensor, Tensor],
    way: Way,
    to_drives: tuple[Tensor, Tensor],
    sums: tuple[Tensor, Tensor],
) -> Tensor:
    """The gradient of the state before a `gru_step`; see `step_back`.

    ``kernels`` are the adjoints, and gradients of the drives are added to ``to_drives``.
    """
    before = torch.empty_like(state)
    place = _Place(state, state.shape[-1], way)
    of_state = (gradient, to_highest, winner, gates.both, gates.candidate, state)
    tensors = (before, *sums, *to_drives, *of_state, *kernels)
    work = _Work(state, 2 * _ours().rows, channels=3 * state.shape[-1], states=7)
    _library().gru_step_back(
        *map(_pointer, tensors), len(to_drives[0]), 0, place.by_reference(), *work.arguments
    )
    return before


def _library() -> ctypes.CDLL:
    found = compiled()
    assert found is not None  # `fits` said so
    return found


def _ours() -> Processor:
    found = processor()
    assert found is not None  # `fits` said so
    return found


def _pointer(x: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if x is None else x.data_ptr())
