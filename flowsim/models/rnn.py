"""An ordinary RNN (tanh) over flattened frames: the baseline without space. No law; see `flowsim.models.rnn`.

Source: Elman (1990), Finding structure in time.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from flowsim.flows.translation import Translation
from flowsim.flows.velocity_grid import VelocityGrid
from flowsim.layers.readout import class_logits
from flowsim.network import Network, State
from flowsim.specification import Count, FrameShape, checked


@checked
def build(frame_shape: FrameShape, *, units: Count = 128, classes: Count | None = None) -> Network:
    """Build one for frames (y, x), with this many units, and with a readout of ``classes`` if given."""
    return Flattened("rnn", frame_shape, units, classes)


Cell = nn.RNNCell | nn.GRUCell | nn.LSTMCell


CELLS: dict[str, Callable[[int, int], Cell]] = {"rnn": nn.RNNCell, "gru": nn.GRUCell, "lstm": nn.LSTMCell}


class Flattened(Network):
    """A torch cell between a flattened frame and a linear readout of the next one.

    Its state is (trial, 1, unit, 1, 1): units where others have channels, and no space.
    """

    law = None

    def __init__(self, kind: str, frame_shape: tuple[int, int], units: int, classes: int | None) -> None:
        super().__init__()
        pixels = frame_shape[0] * frame_shape[1]
        self.frame_shape, self.units, self.carried = frame_shape, units, 2 if kind == "lstm" else 1
        self.grid = VelocityGrid(Translation(), ((0, 0),), period=frame_shape)
        self.cell = CELLS[kind](pixels, units)
        self.decoder = nn.Linear(units, pixels)
        self.classifier = nn.Linear(units, classes) if classes else None

    def start(self, trials: int) -> State:
        return tuple(self.decoder.weight.new_zeros(trials, 1, self.units, 1, 1) for _ in range(self.carried))

    def advance(self, state: State) -> State:
        return state

    def decode(self, state: State) -> Tensor:
        return self.decoder(state[0].flatten(1)).unflatten(1, (1, *self.frame_shape))

    def update(self, state: State, frame: Tensor) -> State:
        carried = tuple(tensor.flatten(1) for tensor in state)
        updated = self.cell(frame.flatten(1), carried if self.carried == 2 else carried[0])
        return tuple(
            tensor[:, None, :, None, None] for tensor in (updated if self.carried == 2 else (updated,))
        )

    def memory_kernels(self) -> list[tuple[Tensor, Tensor | None]]:
        weight = self.cell.weight_hh
        if isinstance(self.cell, nn.RNNCell):
            return [(weight, None)]
        return [
            (weight[2 * self.units : 3 * self.units], None)
        ]  # of the candidate, the third part of torch's gates

    def logits(self, state: State) -> Tensor:
        return class_logits(self.classifier, state[0].flatten(1))
