r"""The networks as they were released with the paper, for replication: same operations in the same order.

Translation, sequence to sequence: h_t(v) = relu( psi_1(v) . (W * h_(t-1)(v)) + U * f_t ). Its rollout feeds
the last seen frame a second time, unshifted, and decodes the state after that update; from then on it feeds
what it predicted. The state therefore obeys transport+shift while frames are seen, and nothing in a rollout:
no law is declared.

Action classifier: a three-layer encoder that pads with zeros, tanh, and transport by one-pixel kernels that
are applied by cross-correlation, so that a published channel v moves by -v; `grid` holds how channels really
move. In its variant G-RNN+ these kernels are learned.

Source: Keller (2025), and the reference states of the released networks in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from flowsim.errors import InputError
from flowsim.flows.flow import Flow
from flowsim.flows.law import Law
from flowsim.flows.translation import Translation
from flowsim.flows.velocity_grid import VelocityGrid
from flowsim.layers.cells import at_every_velocity
from flowsim.layers.circular import CircularConv2d, convolve_each
from flowsim.layers.fused_recurrence import recur
from flowsim.layers.padded_gather import joined
from flowsim.layers.velocity_channels import lift, pool_max
from flowsim.network import Network, State, Step, within_range
from flowsim.specification import Count, Few, FewOrNone, FrameShape, WholeSpeed, checked

ENCODER = (32, 64)
"""Channels of the action classifier's first two encoding layers."""


class ReleasedTranslation(Network):
    """The sequence-to-sequence network; parameters have their published names."""

    law = None

    def __init__(
        self, frame_shape: tuple[int, int], max_speed: int, channels: int, kernel: int, decoder_layers: int
    ) -> None:
        super().__init__()
        self.frame_shape = frame_shape
        self.grid = VelocityGrid(Translation(), published_velocities(max_speed), period=frame_shape)
        self.cell = nn.Module()
        self.cell.conv_u = CircularConv2d(1, channels, kernel)
        self.cell.conv_h = CircularConv2d(channels, channels, kernel)
        hidden = [
            layer
            for _ in range(decoder_layers)
            for layer in (CircularConv2d(channels, channels, 3), nn.ReLU())
        ]
        self.decoder_conv = nn.Sequential(*hidden, CircularConv2d(channels, 1, 3))

    def start(self, trials: int) -> State:
        conv_h: Any = self.cell.conv_h
        weight = conv_h.weight
        rest = weight.new_zeros(()).expand(trials, 1, weight.shape[0], 1, 1)
        return (
            rest,
            torch.zeros(trials, dtype=torch.int64, device="cpu"),
            weight.new_zeros(trials, 1, *self.frame_shape),
        )

    def top(self, state: State) -> Tensor:
        return joined(state[:-2]).expand(-1, len(self.grid), -1, *self.frame_shape)

    def parts(self, state: State) -> dict[str, Tensor]:
        """The state; the last frame, which is carried too, is moved by `acted` alone."""
        return {"state": self.top(state)}

    def with_parts(self, state: State, parts: Mapping[str, Tensor]) -> State:
        return parts["state"], *state[-2:]

    def acted(self, state: State, law: Law, flow: Flow, time: int) -> State:
        *moved, count, frame = super().acted(state, law, flow, time)
        return *moved, count, flow.act(frame, time) if law.transport else frame

    def advance(self, state: State) -> State:
        return state  # `recur` moves it on its way

    def update(self, state: State, frame: Tensor) -> State:
        conv_h: Any = self.cell.conv_h
        conv_u: Any = self.cell.conv_u
        drive = lift(conv_u(frame))
        *groups, time, _ = state
        after, _ = recur(groups, conv_h.weight, [drive], self.grid.velocities, "relu", time=time)
        return *after, time + 1, frame

    def decode(self, state: State) -> Tensor:
        return self.decoder_conv(pool_max(self.top(state)))

    def memory_kernels(self) -> list[tuple[Tensor, Tensor | None]]:
        conv_h: Any = self.cell.conv_h
        return [(conv_h.weight, None)]

    def logits(self, state: State) -> Tensor:
        raise InputError(
            "the released translation network predicts frames; build it with classes=n to classify"
        )

    def resume(
        self,
        state: State,
        times: Iterable[int],
        frames: Tensor,
        predict_from: int = 1,
        actions: Tensor | None = None,
        disturb: Callable[[Tensor, int], Tensor] | None = None,
    ) -> Iterator[Step]:
        """See `Network.resume`. Carried is the last frame, too; frames are taken in undisturbed, as
        published.
        """
        if actions is not None:
            self.move(state, actions)
        for time in times:
            decoded, prediction, seen = None, None, time < frames.shape[1]
            if not seen or time >= max(predict_from, 1):
                ahead = self.update(state, state[-1])  # the frame before, once more
                decoded = self.decode(ahead)
                prediction = within_range(decoded) if self.bounded else decoded
            state = (
                self.update(state, frames[:, time])
                if seen or prediction is None
                else (*ahead[:-1], prediction)
            )
            yield Step(time, prediction, partial(tuple, state), self.top, decoded)


class ReleasedActions(Network):
    """The action classifier; parameters have their published names. ``learned`` makes it the G-RNN+."""

    law = None

    def __init__(
        self,
        frame_shape: tuple[int, int],
        max_speed: int,
        channels: int,
        kernel: int,
        classes: int,
        learned: bool,
    ) -> None:
        super().__init__()
        self.frame_shape, self.channels = frame_shape, channels
        published = published_velocities(max_speed)
        self.grid = VelocityGrid(Translation(), tuple((-vy, -vx) for vy, vx in published), period=frame_shape)
        widths, layers = (1, *ENCODER, channels), []
        for inputs, outputs, size in zip(widths[:-1], widths[1:], (5, 3, 3), strict=True):
            convolution = nn.Conv2d(inputs, outputs, size, padding="same", bias=False)
            layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
        side = 2 * max_speed + 1
        self.lstm = nn.Module()
        if learned:
            self.lstm.learned_kernels = nn.Parameter(torch.randn(len(published), 1, side, side) / side)
        else:
            kernels = torch.zeros(len(published), 1, side, side)
            for i, (vy, vx) in enumerate(published):
                kernels[i, 0, vy + max_speed, vx + max_speed] = 1
            self.lstm.register_buffer("shift_kernels", kernels)
        self.lstm.conv_u_first = nn.Sequential(*layers)
        self.lstm.conv_h_layers = nn.ModuleList([nn.Sequential(CircularConv2d(channels, channels, kernel))])
        self.fc = nn.Linear(channels, classes)

    def start(self, trials: int) -> State:
        return (self.fc.weight.new_zeros(trials, len(self.grid), self.channels, *self.frame_shape),)

    def advance(self, state: State) -> State:
        kernels: Any = getattr(self.lstm, "learned_kernels", None)
        kernels = self.lstm.shift_kernels if kernels is None else kernels
        return (convolve_each(state[0], kernels),)

    def update(self, state: State, frame: Tensor) -> State:
        lstm: Any = self.lstm
        drive = lift(lstm.conv_u_first(frame))
        return (torch.tanh(at_every_velocity(lstm.conv_h_layers[0], state[0]) + drive),)

    def decode(self, state: State) -> Tensor:
        raise InputError("the released action classifier predicts no frames; it only classifies")

    def memory_kernels(self) -> list[tuple[Tensor, Tensor | None]]:
        layers: Any = self.lstm.conv_h_layers
        return [(layers[0][0].weight, None)]

    def logits(self, state: State) -> Tensor:
        return self.fc(pool_max(state[0]).mean((-2, -1)))

    def steps(
        self, frames: Tensor, horizon: int = 0, predict_from: int = 1, actions: Tensor | None = None
    ) -> Iterator[Step]:
        """See `Network.steps`; it predicts nothing."""
        return super().steps(frames, horizon, max(predict_from, frames.shape[1]), actions)


def published_velocities(max_speed: int) -> tuple[tuple[int, int], ...]:
    """{-n..n}^2 as (vy, vx) in the order of the released channels: vx outer, vy inner."""
    speeds = range(-max_speed, max_speed + 1)
    return tuple((vy, vx) for vx, vy in product(speeds, repeat=2))


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
    """Build one for frames (y, x): the translation network, or with ``classes`` the action classifier.

    Parameters
    ----------
    max_speed : int
        V = {-max_speed..max_speed}^2, in px/frame.
    channels, kernel, decoder_layers : int
        Width of the state, odd size of the kernels, hidden layers of the decoder.
    classes : int, optional
    """
    if classes:
        return ReleasedActions(frame_shape, max_speed, channels, kernel, classes, learned=False)
    return ReleasedTranslation(frame_shape, max_speed, channels, kernel, decoder_layers)


def from_released(
    state_dict: Mapping[str, Tensor], height: int, width: int, max_speed: int = 1
) -> ReleasedTranslation | ReleasedActions:
    """A network with weights that were trained with the released code, told apart by their names.

    Parameters
    ----------
    state_dict : mapping of published name to Tensor
    height, width : int
        Size of a frame.
    max_speed : int
        The n of V = {-n..n}^2. The translation network's weights do not tell it; the classifier's do, and
        this is ignored there.

    Raises
    ------
    InputError
        If these are not weights of a released network.
    """
    network: ReleasedTranslation | ReleasedActions
    if "cell.conv_h.weight" in state_dict:
        channels, _, kernel, _ = state_dict["cell.conv_h.weight"].shape
        layers = sum(name.startswith("decoder_conv.") for name in state_dict) - 1
        network = ReleasedTranslation((height, width), max_speed, channels, kernel, layers)
        dtype = state_dict["cell.conv_h.weight"].dtype
    elif "lstm.conv_h_layers.0.0.weight" in state_dict:
        channels, _, kernel, _ = state_dict["lstm.conv_h_layers.0.0.weight"].shape
        learned = "lstm.learned_kernels" in state_dict
        kernels = state_dict["lstm.learned_kernels" if learned else "lstm.shift_kernels"]
        max_speed, classes = kernels.shape[-1] // 2, len(state_dict["fc.bias"])
        network = ReleasedActions((height, width), max_speed, channels, kernel, classes, learned)
        dtype = kernels.dtype
    else:
        names = ", ".join(list(state_dict)[:3])
        raise InputError(
            f"expected weights of a released network (cell.conv_h.weight, lstm. ...); got {names}, ..."
        )
    network.to(dtype)
    try:
        network.load_state_dict(state_dict)
    except RuntimeError as error:
        raise InputError(f"expected weights of a released network; {' '.join(str(error).split())}") from None
    return network.eval()
