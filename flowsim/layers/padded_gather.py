"""Frames moved over the torus and padded circularly in one copy, and convolutions of these copies.

A circular convolution copies its input into a padded one in any case; one gather can move it as well. Memory
is laid out with the channel last, (velocity, trial, y, x, channel), so that whole pixels are copied.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

import torch
import torch.nn.functional as F
from torch import Tensor

from flowsim.flows.group import Velocity

TABLE_BYTES = 2**29
"""Bytes of index tables that are held."""
Key = tuple[tuple[int, int, int], tuple[Velocity, ...], int, torch.device]


class IndexTables:
    """Index tables by what they are for, as many as fit: the least recently used go first.

    Parameters
    ----------
    limit : int
        Bytes that all tables together may take. The last one is held even if it alone takes more.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self._tables: OrderedDict[Key, Tensor] = OrderedDict()
        self._lock = Lock()  # the backward pass may run in a thread of its own

    def __len__(self) -> int:
        return len(self._tables)

    def get(
        self, shape: tuple[int, int, int], velocities: tuple[Velocity, ...], side: int, device: torch.device
    ) -> Tensor:
        """The `index_table` for these arguments on a device, made if it is not at hand."""
        key = (shape, velocities, side, device)
        with self._lock:
            table = self._tables.get(key)
            if table is None:
                table = index_table(shape, velocities, side).to(device)
                self._hold(key, table)
            else:
                self._tables.move_to_end(key)
        return table

    def _hold(self, key: Key, table: Tensor) -> None:
        self._tables[key] = table
        self.bytes += table.nbytes
        while self.bytes > self.limit and len(self._tables) > 1:
            _, oldest = self._tables.popitem(last=False)
            self.bytes -= oldest.nbytes


def index_table(shape: tuple[int, int, int], velocities: tuple[Velocity, ...], side: int) -> Tensor:
    """Where everything comes from when frames are moved and padded circularly.

    Parameters
    ----------
    shape : (int, int, int)
        Trials, and size (y, x) of a frame.
    velocities : tuple of (int, int)
        By which frames move, in px.
    side : int
        Padding on each side of a frame, in px.

    Returns
    -------
    Tensor (velocity trial padded-y padded-x,)
        The index into (velocity trial y x,) of each entry of what is moved and padded.
    """
    trials, height, width = shape
    pixels = height * width
    first_of_trial = torch.arange(trials)[:, None] * pixels
    tables = []
    for number, (vy, vx) in enumerate(velocities):
        from_y = (torch.arange(-side, height + side) - int(vy)) % height
        from_x = (torch.arange(-side, width + side) - int(vx)) % width
        within_frame = (from_y[:, None] * width + from_x).flatten()
        tables.append((number * trials * pixels + first_of_trial + within_frame).flatten())
    return torch.cat(tables)


TABLES = IndexTables(TABLE_BYTES)


def outward(x: Tensor) -> Tensor:
    """(trial, velocity, channel, y, x) as it lies in memory, (velocity, trial, y, x, channel)."""
    return x.permute(1, 0, 3, 4, 2).contiguous()


def inward(x: Tensor) -> Tensor:
    """The reverse of `outward`: (velocity, trial, y, x, channel) as (trial, velocity, channel, y, x)."""
    return x.permute(1, 0, 4, 2, 3)


def joined(groups: Sequence[Tensor]) -> Tensor:
    """Groups of velocities (trial, velocity, channel, y, x) as one, laid out in memory as they are."""
    return groups[0] if len(groups) == 1 else inward(torch.cat([outward(group) for group in groups]))


def gathered(state: Tensor, velocities: tuple[Velocity, ...], side: int) -> Tensor:
    """A state (velocity, trial, y, x, channel) moved and padded by ``side`` px, as images (velocity trial,
    channel, y, x).
    """
    _, trials, height, width, channels = state.shape
    places = TABLES.get((trials, height, width), velocities, side, state.device)
    moved = state.view(-1, channels).index_select(0, places)
    return moved.view(-1, height + 2 * side, width + 2 * side, channels).permute(0, 3, 1, 2)


def convolved(images: Tensor, weight: Tensor) -> Tensor:
    """Padded images (image, channel, y, x) through a kernel (output, input, y, x): (image, y, x, channel)."""
    return F.conv2d(images, weight.contiguous(memory_format=torch.channels_last)).permute(0, 2, 3, 1)


def adjoint(weight: Tensor) -> Tensor:
    """The kernel of the adjoint convolution, which takes gradients from the output back to the input."""
    return weight.transpose(0, 1).flip(2, 3)


def weight_gradient(images: Tensor, gradient: Tensor, weight: Tensor) -> Tensor:
    """Gradient with respect to a kernel, from its padded input and the gradient (image, y, x, channel) of its
    output.
    """
    _, of_weight, _ = torch.ops.aten.convolution_backward(
        gradient.permute(0, 3, 1, 2),
        images,
        weight,
        bias_sizes=None,
        stride=(1, 1),
        padding=(0, 0),
        dilation=(1, 1),
        transposed=False,
        output_padding=(0, 0),
        groups=1,
        output_mask=(False, True, False),
    )
    return of_weight


def as_autocast(*tensors: Tensor) -> tuple[Tensor, ...]:
    """In the precision of torch.autocast where it is on, as in torch's convolutions; float64 stays."""
    kind = tensors[0].device.type
    exempt = tensors[0].dtype == torch.float64 or not torch.amp.is_autocast_available(kind)
    if exempt or not torch.is_autocast_enabled(kind):
        return tensors
    return tuple(tensor.to(torch.get_autocast_dtype(kind)) for tensor in tensors)
