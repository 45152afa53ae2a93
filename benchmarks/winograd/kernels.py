"""The kernels of winograd.c on tensors.

States are (velocity, trial, y, x, channel) in float32 on a CPU, contiguous; height and width are multiples
of 4 and channels of `BLOCK`. A move is by how many pixels (y, x) a velocity displaces its state before it is
convolved, an origin is a corner (y, x) of a tile of its output.

Source: Lavin and Gray (2016), Fast Algorithms for Convolutional Neural Networks; the points of interpolation
are 0, ±5/8, ±3/2 and infinity, which round half as much as the usual 0, ±1, ±2 and infinity.
"""

from __future__ import annotations

import ctypes
import hashlib
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from flowsim.files.atomic import whole
from flowsim.flows.group import Velocity
from flowsim.scenes.sources.folders import cache

Pairs = Sequence[Velocity]
SOURCE = Path(__file__).with_name("winograd.c")
COMMAND = ["cc", "-O3", "-march=native", "-shared", "-fPIC"]
BLOCK = 16
"""Channels of a vector."""
FORTH, BACK = 14, 28
"""Tiles that are in the cache at a time, forward and backward."""
CHUNK = 2**17
"""Bytes of one velocity of a state that go through a step at a time."""
P, Q = 5 / 8, 3 / 2
"""The points that winograd.c interpolates at, but 0 and infinity."""


def compiled() -> ctypes.CDLL:
    """The library, from the cache if it was compiled on this machine before."""
    about = f"{platform.node()} {COMMAND}".encode() + SOURCE.read_bytes()
    library = cache("compiled") / f"winograd-{hashlib.sha256(about).hexdigest()[:16]}.so"
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        with whole(library) as temporary:
            subprocess.run([*COMMAND, str(SOURCE), "-o", str(temporary)], check=True)
    return ctypes.CDLL(str(library))


LIBRARY = compiled()


class Shape(ctypes.Structure):
    """As in winograd.c."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("velocities", "trials", "height", "width", "inputs", "outputs")),
        ("moves", ctypes.c_void_p),
        ("origins", ctypes.c_void_p),
    )


class Place:
    """A `Shape`, and the arrays that it points to."""

    def __init__(self, like: Tensor, outputs: int, moves: Pairs, origins: Pairs) -> None:
        self._moves, self._origins = _flat(moves), _flat(origins)
        pointers = (ctypes.addressof(array) for array in (self._moves, self._origins))
        self.shape = Shape(*like.shape, outputs, *pointers)

    def by_reference(self) -> ctypes._CArgObject:
        """As an argument."""
        return ctypes.byref(self.shape)


def _flat(pairs: Pairs) -> ctypes.Array[ctypes.c_int]:
    numbers = [int(number) for pair in pairs for number in pair]
    return (ctypes.c_int * len(numbers))(*numbers)


def _powers(at: float, other: float) -> list[float]:
    return [power / (2 * at**2 * (at**2 - other**2)) for power in (1, at, at**2)]


_G = torch.tensor(
    [[1 / (P * Q) ** 2, 0, 0], _powers(P, Q), _powers(-P, Q), _powers(Q, P), _powers(-Q, P), [0, 0, 1]],
    dtype=torch.float64,
)
FREQUENCIES = torch.kron(_G, _G).float()
"""From a kernel's 9 weights to its 36 frequencies."""


def transformed(weight: Tensor) -> Tensor:
    """A kernel (output, input, 3, 3) as (frequency, block of outputs, input, output in the block)."""
    outputs, inputs = weight.shape[:2]
    rows = weight.detach().reshape(outputs // BLOCK, BLOCK, inputs, 9).permute(3, 0, 2, 1).reshape(9, -1)
    return (FREQUENCIES @ rows).view(36, outputs // BLOCK, inputs, BLOCK)


def new_sums(inputs: int, outputs: int) -> Tensor:
    """Zeros, to which `convolve_back` adds the gradient of a kernel."""
    return torch.zeros(36, inputs // BLOCK, outputs // BLOCK, BLOCK, BLOCK)


def kernel_gradient(sums: Tensor) -> Tensor:
    """The gradient (output, input, 3, 3) of the kernel that `convolve_back` was given, from its sums."""
    _, inputs, outputs = sums.shape[:3]
    rows = (FREQUENCIES.T @ sums.view(36, -1)).view(9, inputs, outputs, BLOCK, BLOCK)
    return rows.permute(2, 4, 1, 3, 0).reshape(outputs * BLOCK, inputs * BLOCK, 3, 3)


def _pointer(x: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(0 if x is None else x.data_ptr())


def _scratch(channels: int, tiles: int, more: int = 0) -> Tensor:
    return torch.empty(36 * tiles * channels + more)


def convolve_moved(
    state: Tensor, kernel: Tensor, drive: Tensor, moves: Pairs, origins: Pairs, relu: bool = True
) -> Tensor:
    """activation(kernel * moved state + drive), for a `transformed` kernel."""
    inputs, outputs = state.shape[-1], kernel.shape[1] * BLOCK
    out = state.new_empty(*state.shape[:4], outputs)
    place, scratch = Place(state, outputs, moves, origins), _scratch(inputs + outputs, FORTH)
    LIBRARY.convolve_moved(
        *map(_pointer, (out, state, kernel, drive)),
        *(len(drive), int(relu), place.by_reference(), FORTH, _pointer(scratch)),
    )
    return out


def convolve_back(
    gradient: Tensor, state: Tensor, kernel: Tensor, moves: Pairs, origins: Pairs, sums: Tensor
) -> Tensor:
    """Gradient of a state from that of the activation's input; adds to ``sums``.

    ``kernel`` is that of the adjoint, and ``moves`` lead back.
    """
    out = torch.empty_like(state)
    place = Place(gradient, state.shape[-1], moves, origins)
    scratch = _scratch(gradient.shape[-1] + state.shape[-1], BACK)
    LIBRARY.convolve_back(
        *map(_pointer, (out, sums, gradient, state, kernel)),
        *(place.by_reference(), BACK, _pointer(scratch)),
    )
    return out


def _chunk(state: Tensor) -> int:
    """Trials that go through a step at a time."""
    return max(1, min(state.shape[1], CHUNK // (state[0, 0].numel() * 4)))


def step(
    state: Tensor,
    kernel: Tensor,
    drive: Tensor,
    moves: Pairs,
    origins: Pairs,
    highest: Tensor | None = None,
    winner: Tensor | None = None,
    first: int = 0,
) -> Tensor:
    """The state after a step with ReLU.

    Its moved maximum over velocity is taken into ``highest`` (trial, y, x, channel), and the number of the
    velocity that holds it into ``winner``, counted from ``first``; the velocity 0 begins both.
    """
    outputs = kernel.shape[1] * BLOCK
    after = state.new_empty(*state.shape[:4], outputs)
    place, scratch = Place(state, outputs, moves, origins), _scratch(state.shape[-1] + outputs, FORTH)
    LIBRARY.step(
        *map(_pointer, (after, highest, winner, state, kernel, drive)),
        *(
            len(drive),
            first,
            place.by_reference(),
            0,
            state.shape[1],
            _chunk(state),
            FORTH,
            _pointer(scratch),
        ),
    )
    return after


def step_back(
    gradient: Tensor | None,
    to_highest: Tensor | None,
    winner: Tensor,
    output: Tensor,
    state: Tensor,
    kernel: Tensor,
    moves: Pairs,
    origins: Pairs,
    first: int,
    sums: Tensor,
    drive: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    """Gradient of the state before a step, and of its activation's input; adds to ``sums``.

    Where ``drive`` (1, trial, y, x, channel) is given, the second is summed into it over velocities instead.
    """
    place = Place(output, state.shape[-1], moves, origins)
    to_state, inner = torch.empty_like(state), None if drive is not None else torch.empty_like(output)
    chunk = _chunk(state)
    scratch = _scratch(output.shape[-1] + state.shape[-1], BACK, chunk * output[0, 0].numel())
    LIBRARY.step_back(
        *map(_pointer, (to_state, sums, drive, inner, gradient, to_highest, winner, output, state, kernel)),
        *(first, place.by_reference(), 0, state.shape[1], chunk, BACK, _pointer(scratch)),
    )
    return to_state, inner
