"""How frames go into a network of one's own, and which of its outputs are its state and its prediction.

A `Way` is what a network is called with; `Calls` is a way with what is carried from frame to frame and what
each output is. `flowsim.recording.find_calls` finds them by trying.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from flowsim.errors import InputError
from flowsim.recording.sites import entry, real_values, with_entry

Carried = Literal["nothing", "last", "all"]
"""What of an output is given to the next call: nothing, its last entry, or all of it."""
ONLY_SHOWN = (
    "this network is shown frames only as long as there are some; to record what it predicts after "
    "the context, give `feed`, a function (network, frames, horizon) that goes on for so many frames"
)


@dataclass(frozen=True)
class Way:
    """What a network is called with: the names of its axes, in order.

    Without "time" the network is called once for every frame.
    """

    axes: tuple[str, ...]

    def shaped(self, frames: Tensor) -> Tensor:
        """Frames (trial, time, channel, y, x) with these axes; of one frame if there is no axis time."""
        if "unit" in self.axes:
            frames = frames.flatten(2)
        if "time" not in self.axes:
            return frames[:, 0]
        return frames.transpose(0, 1) if self.axes[0] == "time" else frames

    def time_first(self) -> Way:
        """The same for a network without ``batch_first``."""
        return Way(("time", "trial", *self.axes[2:]))

    def __str__(self) -> str:
        return f"({', '.join(self.axes)})"


WAYS = (
    Way(("trial", "time", "channel", "y", "x")),
    Way(("trial", "time", "unit")),
    Way(("trial", "channel", "y", "x")),
    Way(("trial", "unit")),
)
"""In the order in which they are tried."""


@dataclass(frozen=True)
class Entry:
    """A tensor in what a network puts out.

    Attributes
    ----------
    path : tuple of int or str
        The number or name of the entry, then that of the entry in it, and so on.
    trial, time : int
        Which axes are these; None where there is no time.
    rest : tuple of int
        Sizes of the other axes, in order.
    """

    path: tuple[int | str, ...]
    trial: int
    time: int | None
    rest: tuple[int, ...]

    def taken(self, output: Any) -> Tensor:
        """Its values (trial, time, *rest), with one time if it has no axis time."""
        for i in self.path:
            output = entry(output, i)
        values = real_values(output, str(self))
        if self.time is None:
            return values.movedim(self.trial, 0).unsqueeze(1)
        return values.movedim((self.trial, self.time), (0, 1))

    def replaced(self, output: Any, values: Tensor) -> Any:
        """An output with other values (trial, time, *rest) at this entry."""
        present = output
        for i in self.path:
            present = entry(present, i)
        if self.time is None:
            back = values.squeeze(1).movedim(0, self.trial)
        else:
            back = values.movedim((0, 1), (self.trial, self.time))
        return with_entry(output, self.path, back.to(present))

    def shows(self, frame_shape: tuple[int, int]) -> bool:
        """Whether it has a value for each pixel of a frame and nothing else."""
        height, width = frame_shape
        return self.rest in ((height, width), (1, height, width), (height * width,))

    def __str__(self) -> str:
        axes = ["trial", *([] if self.time is None else ["time"]), *map(str, self.rest)]
        where = "".join(f"[{i!r}]" for i in self.path)
        return f"output{where} ({', '.join(axes)})"


@dataclass(frozen=True)
class Output:
    """One or several entries of what a network puts out, beside each other, as a site of a recording.

    Attributes
    ----------
    entries : tuple of Entry
    axes : tuple of str
        Beyond trial and time.
    sizes : tuple of int
        Of each entry, along ``axes``; -1 along the axis along which they are put together.
    start : int
        The frame of the first value: 1 for a prediction, which is of the frame that follows.
    """

    entries: tuple[Entry, ...]
    axes: tuple[str, ...]
    sizes: tuple[int, ...]
    start: int = 0

    def taken(self, output: Any) -> Tensor:
        """Values (trial, time, *axes)."""
        parts = [of_one.taken(output) for of_one in self.entries]
        shaped = [part.reshape(*part.shape[:2], *self.sizes) for part in parts]
        return shaped[0] if len(shaped) == 1 else torch.cat(shaped, 2 + self.sizes.index(-1))

    def replaced(self, output: Any, values: Tensor) -> Any:
        """An output with other values (trial, time, *axes) at its entries."""
        parts = [values]
        if len(self.entries) > 1:
            axis = self.sizes.index(-1)
            wide = [math.prod(e.rest) // -math.prod(self.sizes) for e in self.entries]
            parts = list(values.split(wide, 2 + axis))
        for of_one, part in zip(self.entries, parts, strict=True):
            output = of_one.replaced(output, part.reshape(*part.shape[:2], *of_one.rest))
        return output

    def __str__(self) -> str:
        return f"{' and '.join(map(str, self.entries))} as ({', '.join(('trial', 'time', *self.axes))})"


Receive = Callable[[Tensor], None]
"""Takes values (trial, time, ...) of the next frames."""


@dataclass(frozen=True)
class Calls:
    """Shows frames to a network, and hands on its outputs; a feed of `flowsim.record`.

    Attributes
    ----------
    way : Way
    carried : {"nothing", "last", "all"}
        What of an output is the second argument of the next call.
    begins_with_none : bool
        Whether the first call has None for a second argument, since there is no default.
    by_frame : bool
        Whether the network is called once for every frame; with an axis time it is then a sequence of one.
    goes_on : bool
        Whether the network has a parameter ``horizon``, and goes on by itself for so many frames.
    outputs : mapping of name to Output
        The sites that are outputs of the network.
    """

    way: Way
    carried: Carried = "nothing"
    begins_with_none: bool = False
    by_frame: bool = False
    goes_on: bool = False
    outputs: Mapping[str, Output] = field(default_factory=dict)

    def __call__(
        self, network: nn.Module, frames: Tensor, horizon: int, receive: Mapping[str, Receive] | None = None
    ) -> None:
        """Show ``frames`` (trial, time, channel, y, x), then go on for ``horizon`` frames.

        Raises
        ------
        InputError
            If the network is to go on after the frames, and predicts none.
        """
        if self.goes_on:
            self._hand_on(network(self.way.shaped(frames), horizon=horizon), receive)
            return
        if horizon and "prediction" not in self.outputs:
            raise InputError(ONLY_SHOWN)
        if self.by_frame:
            self._frame_by_frame(network, frames, horizon, receive)
            return
        output = network(self.way.shaped(frames))
        self._hand_on(output, receive)
        for _ in range(horizon):
            frames = torch.cat([frames, self._predicted(output, frames)], 1)
            output = network(self.way.shaped(frames))
            self._hand_on(output, receive, last=True)

    def _frame_by_frame(
        self, network: nn.Module, frames: Tensor, horizon: int, receive: Mapping[str, Receive] | None
    ) -> None:
        carried: Any = None
        first, output = True, None
        for t in range(frames.shape[1] + horizon):
            frame = frames[:, t : t + 1] if t < frames.shape[1] else self._predicted(output, frames)
            given = () if first and not self.begins_with_none else (carried,)
            output = network(self.way.shaped(frame), *(given if self.carried != "nothing" else ()))
            carried = _last(output) if self.carried == "last" else output
            self._hand_on(output, receive)
            first = False

    def _predicted(self, output: Any, frames: Tensor) -> Tensor:
        """The frame that was predicted last, (trial, 1, channel, y, x)."""
        prediction = self.outputs["prediction"].taken(output)[:, -1:]
        return prediction.unsqueeze(2).to(frames.dtype)

    def _hand_on(self, output: Any, receive: Mapping[str, Receive] | None, last: bool = False) -> None:
        for name, take in (receive or {}).items():
            values = self.outputs[name].taken(output)
            take(values[:, -1:] if last else values)

    def __str__(self) -> str:
        how = "one frame at a time, as" if self.by_frame else "all frames at once, as"
        memory = "" if self.carried == "nothing" else f", with its {self.carried} output as second argument"
        sites = [f"; {name}: {output}" for name, output in self.outputs.items()]
        return f"{how} {self.way}{memory}{''.join(sites)}"


def _last(output: Any) -> Any:
    """The last of several outputs.

    Raises
    ------
    TypeError
        If there is only one, whose last entry would be a trial.
    """
    if not isinstance(output, (tuple, list)):
        raise TypeError(
            f"expected several outputs, the last of them the state; got one {type(output).__name__}"
        )
    return output[-1]
