r"""A flow-equivariant RNN with the trivial lift; with max_speed 0, the ordinary G-RNN.

    h_t(v) = relu( psi_1(v) . (W * h_(t-1)(v)) + U * f_t ),     h_(-1) = 0,     for every v in V

with circular convolutions on a torus. W commutes with psi_1(v), so the state is advanced first and convolved
when the next frame comes. Gated cells do the same with everything that they carry, and a second layer takes
the state of the first, velocity by velocity, as its drive. Law: transport+shift, exact to rounding.

Source: Keller (2025), Flow Equivariant Recurrent Neural Networks: the FERNN with the trivial lift.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn

from flowsim.flows.group import Velocity
from flowsim.flows.law import Law
from flowsim.flows.velocity_grid import VelocityGrid, translation_grid
from flowsim.layers.cells import CELLS, GRU, at_every_velocity, make_cell
from flowsim.layers.circular import CircularConv2d, check_kernel
from flowsim.layers.fused_recurrence import maximum_when_advanced, members, recur, uniform
from flowsim.layers.gated_recurrence import recur_gated
from flowsim.layers.padded_gather import joined
from flowsim.layers.readout import Readout
from flowsim.layers.velocity_channels import advance, lift, moved, shifted
from flowsim.network import Network, State
from flowsim.specification import Count, Few, FewOrNone, FrameShape, WholeSpeed, checked


class FERNN(Network):
    """See the module; ``build`` gives the arguments."""

    law: Law | None = Law(transport=True, shift=True)

    def __init__(
        self,
        frame_shape: tuple[int, int],
        grid: VelocityGrid,
        readout: Readout,
        channels: int,
        kernel: int,
        *,
        kind: str = "rnn",
        activation: str = "relu",
        layers: int = 1,
        encoder: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.frame_shape, self.grid, self.channels = frame_shape, grid, channels
        self.carried, gates = CELLS[kind].carried, CELLS[kind].gates
        self.cells = nn.ModuleList(make_cell(kind, channels, kernel, activation) for _ in range(layers))
        hidden = [
            layer
            for seen, wide in pairwise((1, *encoder))
            for layer in (CircularConv2d(seen, wide, kernel), nn.ReLU())
        ]
        into = [encoder[-1] if encoder else 1, *[channels] * (layers - 1)]
        drives = [CircularConv2d(inputs, gates * channels, kernel, bias=gates > 1) for inputs in into]
        first = nn.Sequential(*hidden, drives[0]) if hidden else drives[0]
        self.encoders = nn.ModuleList([first, *drives[1:]])
        self.readout = readout

    def start(self, trials: int) -> State:
        shape = (trials, len(self.grid), self.channels, *self.frame_shape)
        weight = next(self.parameters())
        return tuple(weight.new_zeros(shape) for _ in range(len(self.cells) * self.carried))

    def advance(self, state: State) -> State:
        return tuple(advance(tensor, self.grid) for tensor in state)

    def top(self, state: State) -> Tensor:
        """State of the last layer."""
        return state[-self.carried]

    def decode(self, state: State) -> Tensor:
        return self.readout(self.top(state))

    def update(self, state: State, frame: Tensor) -> State:
        updated: State = ()
        below = lift(frame)
        for layer, (cell, encoder) in enumerate(zip(self.cells, self.encoders, strict=True)):
            before = state[layer * self.carried : (layer + 1) * self.carried]
            after = cell(before, at_every_velocity(encoder, below))
            below = after[0]
            updated = (*updated, *after)
        return updated

    def parts(self, state: State) -> dict[str, Tensor]:
        """State of the last layer; of the layers below, as ``layer_0``, ...; and what an lstm remembers
        beside each, as ``<name>_memory``.
        """
        return dict(zip(self._names_of_parts(), state, strict=True))

    def _names_of_parts(self) -> list[str]:
        """In the order in which they are carried."""
        names = [*(f"layer_{number}" for number in range(len(self.cells) - 1)), "state"]
        return [f"{name}{part}" for name in names for part in ("", "_memory")[: self.carried]]

    def memory_kernels(self) -> list[tuple[Tensor, Tensor | None]]:
        cells: Any = self.cells
        return [(cell.memory, None) for cell in cells]

    def logits(self, state: State) -> Tensor:
        return self.readout.logits(self.top(state))


class FusedFERNN(FERNN):
    """The same network with rnn or gru cells, fast.

    By whole pixels its state is never moved in memory: that part of `advance` is folded into the step that
    follows it, in `flowsim.layers.fused_recurrence` and for the gru in `flowsim.layers.gated_recurrence`, so
    that between the two the state is that of the frame before, but for what is left of a velocity that is no
    whole number. At the start it is 0 everywhere, which its size of 1 along velocity, y and x stands for.

    Carried are, layer by layer, the state in groups of velocities; the maximum over velocity of the top layer
    once it is advanced, from which the prediction is decoded, empty after `absorb` and where not all
    velocities are whole; and last (trial,) how many frames were taken in, by which the tiles of convolutions
    move.
    """

    plain_form: type[FERNN] = FERNN
    """The same in plain operations; see `plain`."""

    def __init__(self, *arguments: Any, activation: str = "relu", **named: Any) -> None:
        super().__init__(*arguments, activation=activation, **named)
        self.activation = activation
        self.on_the_way, self.moved_first = parted(self.grid.velocities)

    def start(self, trials: int) -> State:
        zero = next(self.parameters()).new_zeros(())
        layer = zero.expand(trials, 1, self.channels, 1, 1)
        highest = zero.expand(trials, self.channels, *self.frame_shape)
        return *(layer for _ in self.cells), highest, torch.zeros(trials, dtype=torch.int64, device="cpu")

    def plain(self) -> FERNN:
        """The same network, with the same weights, as a `FERNN`."""
        plain = self.plain_form.__new__(self.plain_form)
        plain.__dict__.update(self.__dict__)
        return plain

    def groups(self, state: State, layer: int | None = None) -> State:
        """State of a layer, of the top one if none is given, in groups of velocities."""
        groups_per_layer = (len(state) - 2) // len(self.cells)
        layer = len(self.cells) - 1 if layer is None else layer
        first = layer * groups_per_layer
        return state[first : first + groups_per_layer]

    def top(self, state: State) -> Tensor:
        return joined(self.groups(state)).expand(-1, len(self.grid), -1, *self.frame_shape)

    def advance(self, state: State) -> State:
        if self.moved_first is None:
            return state
        *groups, highest, time = state
        if uniform(groups[0]):
            return state  # highest is that of the start
        if len(groups) == len(self.cells):  # one for each layer, which may be the same at every velocity
            groups = [group.expand(-1, len(self.grid), -1, -1, -1) for group in groups]
        of_layers = members([group.shape[1] for group in groups], self.moved_first * len(self.cells))
        later = (shifted(group, own) for group, own in zip(groups, of_layers, strict=True))
        return *later, highest, time

    def parts(self, state: State) -> dict[str, Tensor]:
        layers = (joined(self.groups(state, layer)) for layer in range(len(self.cells)))
        whole = (layer.expand(-1, len(self.grid), -1, *self.frame_shape) for layer in layers)
        return dict(zip(self._names_of_parts(), whole, strict=True))

    def with_parts(self, state: State, parts: Mapping[str, Tensor]) -> State:
        """The next step splits layers into groups as pays; the maximum is taken again when it is needed."""
        *_, time = state
        return (
            *parts.values(),
            time.new_empty(0, dtype=parts["state"].dtype, device=parts["state"].device),
            time,
        )

    def decode(self, state: State) -> Tensor:
        if not self.readout.pools_by_maximum:
            return self.readout(moved(self.top(state), self.on_the_way))
        highest = state[-2]
        if not highest.numel():
            highest = maximum_when_advanced(self.groups(state), self.on_the_way)
        return self.readout.decoder(highest)

    def update(self, state: State, frame: Tensor) -> State:
        return self.updated(state, frame, pooled=self.readout.pools_by_maximum)

    def absorb(self, state: State, frame: Tensor) -> State:
        return self.updated(state, frame, pooled=False)

    def updated(self, state: State, frame: Tensor, pooled: bool) -> State:
        """`update`, or with ``pooled`` false `absorb`, which does not take the maximum over velocity."""
        after: State = ()
        below: State = (lift(frame),)
        time = state[-1]
        for layer, (cell, encoder) in enumerate(zip(self.cells, self.encoders, strict=True)):
            drive = [at_every_velocity(encoder, group) for group in below]
            before = self.groups(state, layer)
            pools = pooled and layer == len(self.cells) - 1 and self.moved_first is None
            if watched(self.cells):
                h = joined(before).expand(-1, len(self.grid), -1, *self.frame_shape)
                below = cell((moved(h, self.on_the_way),), joined(drive))
                highest = frame.new_empty(0)
            elif isinstance(cell, GRU):
                h, highest = recur_gated(before[0], cell, drive[0], self.on_the_way, pools, time)
                below = (h,)
            else:
                recurrent: Any = cell.recurrent
                below, highest = recur(
                    before,
                    recurrent.weight,
                    drive,
                    self.on_the_way,
                    self.activation,
                    pools,
                    time,
                )
            after = (*after, *below)
        return *after, highest, time + 1


def parted(velocities: Sequence[Velocity]) -> tuple[tuple[Velocity, ...], tuple[Velocity, ...] | None]:
    """Velocities as the nearest whole ones, and what is left of each; None if nothing is left of any."""
    whole = tuple((round(vy), round(vx)) for vy, vx in velocities)
    left = tuple((vy - y, vx - x) for (vy, vx), (y, x) in zip(velocities, whole, strict=True))
    return whole, left if any(map(any, left)) else None


def watched(cells: nn.Module) -> bool:
    """Whether somebody hears what modules in here return: all of them are called then."""
    return any(cell._forward_hooks or cell._forward_pre_hooks for cell in cells.modules())


@checked
def build(
    frame_shape: FrameShape,
    *,
    max_speed: WholeSpeed = 2,
    velocities: list[tuple[float, float]] | Literal["closed"] | None = None,
    cell: Literal["rnn", "gru", "lstm"] = "rnn",
    activation: Literal["relu", "tanh", "linear"] = "relu",
    layers: Few = 1,
    encoder: list[Count] | None = None,
    pool: Literal["max", "mean", "sum"] = "max",
    channels: Count = 16,
    kernel: Few = 3,
    decoder_layers: FewOrNone = 4,
    classes: Count | None = None,
) -> Network:
    """Build one for frames (y, x).

    Parameters
    ----------
    max_speed : int
        V = {-max_speed..max_speed}^2, in px/frame. 0 makes it the G-RNN.
    velocities : list of (vy, vx), or "closed"
        V as listed instead (real-valued velocities move by band-limited shifts), or every whole velocity of
        the torus, so that every channel has a partner under every flow.
    cell : {"rnn", "gru", "lstm"}
    activation : {"relu", "tanh", "linear"}
        Of the rnn.
    layers : int
        Recurrent layers; the state is that of the last.
    encoder : list of int
        Channels of convolutions with ReLU that a frame goes through before U; none, as in the published
        prediction.
    pool : {"max", "mean", "sum"}
        Over v, before the readout.
    channels : int
        Of the state, at each velocity.
    kernel : int
        Odd size of the kernels W and U, in px.
    decoder_layers : int
        Hidden layers of the decoder.
    classes : int, optional
        Adds the readout for classification: pooled over v, averaged over space, linear.

    Raises
    ------
    InputError
        If a velocity or kernel does not fit on the frame, or a kernel is even.
    """
    check_kernel(kernel, frame_shape)
    grid = translation_grid(frame_shape, max_speed, velocities)
    readout = Readout(channels, decoder_layers, classes, pool)
    network_type = FERNN if cell == "lstm" else FusedFERNN
    return network_type(
        frame_shape,
        grid,
        readout,
        channels,
        kernel,
        kind=cell,
        activation=activation,
        layers=layers,
        encoder=encoder or (),
    )
