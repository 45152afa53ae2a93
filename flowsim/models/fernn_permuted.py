r"""The FERNN with its velocities permuted wrongly: the law broken, the capacity kept. A control.

    h_t(v) = g_t(p(v)),     g_t(v) = relu( psi_1(v) . (W * h_(t-1)(v)) + U * f_t ),     h_(-1) = 0

After every frame each channel hands its state to another, along one cycle p through all of V that is drawn
with the initial weights. What moves at v for a frame moves at another velocity in the next, so that no state
follows anything that moves at a constant velocity, though every velocity is there, and parameters and
arithmetic are those of the FERNN. If the FERNN predicts well because of its law, this network must not. It is
to be read against the G-RNN: at its level the velocities are worth nothing without their law; if worse they
harm, since what rests is carried about as well.

Source: the recurrence is that of Keller (2025), Flow Equivariant Recurrent Neural Networks; the permutation
is a control of flowsim's own.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from flowsim.flows.velocity_grid import translation_grid
from flowsim.layers.circular import check_kernel
from flowsim.layers.padded_gather import inward, joined, outward
from flowsim.layers.readout import Readout
from flowsim.models.fernn import FERNN, FusedFERNN
from flowsim.network import Network, State
from flowsim.specification import Count, Few, FewOrNone, FrameShape, checked


class PlainPermutedFERNN(FERNN):
    """The same in plain operations; see `flowsim.network.Network.plain`."""

    law = None
    handed: Tensor

    def update(self, state: State, frame: Tensor) -> State:
        (after,) = super().update(state, frame)
        return (after[:, self.handed],)


class PermutedFERNN(FusedFERNN):
    """See the module; ``handed`` (velocity,) is p, by position in the grid, and saved with the weights."""

    law = None
    handed: Tensor
    plain_form = PlainPermutedFERNN

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        cycle = torch.randperm(len(self.grid))
        handed = torch.empty_like(cycle)
        handed[cycle] = cycle.roll(1)
        self.register_buffer("handed", handed)

    def updated(self, state: State, frame: Tensor, pooled: bool) -> State:
        *groups, empty, time = super().updated(state, frame, pooled=False)
        if len(groups) == 1 and groups[0].shape[1] == 1:
            return *groups, empty, time  # the same at every velocity
        sizes = [group.shape[1] for group in groups]
        # as the state lies in memory, velocity first, so that whole blocks are copied
        after = inward(outward(joined(groups))[self.handed])
        return *after.split(sizes, 1), empty, time


@checked
def build(
    frame_shape: FrameShape,
    *,
    max_speed: Annotated[int, Field(ge=1, le=32)] = 2,
    channels: Count = 16,
    kernel: Few = 3,
    decoder_layers: FewOrNone = 4,
    classes: Count | None = None,
) -> Network:
    """Build one for frames (y, x); for the arguments see `flowsim.models.fernn`.

    Raises
    ------
    InputError
        If the velocities or the kernel do not fit on the frame.
    """
    check_kernel(kernel, frame_shape)
    grid = translation_grid(frame_shape, max_speed, None)
    return PermutedFERNN(frame_shape, grid, Readout(channels, decoder_layers, classes), channels, kernel)
