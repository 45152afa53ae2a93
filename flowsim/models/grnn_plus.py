r"""As many state channels as a FERNN, but transport is learned instead of known (G-RNN+).

    h_t(v) = relu( k_v * (W * h_(t-1)(v)) + U * f_t )

with one learned kernel k_v for each v, large enough to hold the shift by v. It has the capacity of the FERNN
and could learn its law, but does not promise it.

Source: Keller (2025), the G-RNN+ control.
"""

from __future__ import annotations

import torch
from torch import nn

from flowsim.flows.velocity_grid import translation_grid
from flowsim.layers.circular import check_kernel, convolve_each
from flowsim.layers.readout import Readout
from flowsim.models.fernn import FERNN
from flowsim.network import Network, State
from flowsim.specification import Count, Few, FewOrNone, FrameShape, WholeSpeed, checked


class GRNNPlus(FERNN):
    """See the module."""

    law = None

    def __init__(
        self, frame_shape: tuple[int, int], max_speed: int, readout: Readout, channels: int, kernel: int
    ) -> None:
        super().__init__(
            frame_shape, translation_grid(frame_shape, max_speed, None), readout, channels, kernel
        )
        side = 2 * max_speed + 1
        self.transport = nn.Parameter(torch.randn(len(self.grid), 1, side, side) / side)

    def advance(self, state: State) -> State:
        return tuple(convolve_each(tensor, self.transport) for tensor in state)


@checked
def build(
    frame_shape: FrameShape,
    *,
    max_speed: WholeSpeed = 2,
    channels: Count = 16,
    kernel: Few = 3,
    decoder_layers: FewOrNone = 4,
    classes: Count | None = None,
) -> Network:
    """Build one for frames (y, x); for the arguments see `flowsim.models.fernn`."""
    check_kernel(kernel, frame_shape)
    return GRNNPlus(frame_shape, max_speed, Readout(channels, decoder_layers, classes), channels, kernel)
