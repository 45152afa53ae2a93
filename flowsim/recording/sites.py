"""Named modules of any torch network whose outputs are recorded, read by hooks that are always removed.

A module may be called once with all frames, and put out something with an axis "time"; or it may be called
again and again by a loop in the network, with a few frames or one at a time, and one needs no axis "time".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from flowsim.errors import InputError

AXES = ("trial", "time", "velocity", "channel", "y", "x", "unit")
"""Axes that an output may have; "unit" is for activity without a place on the frame, and "velocity" for the
state of a network with the attribute ``grid``, a `flowsim.VelocityGrid`.
"""


@dataclass(frozen=True)
class Site:
    """An output of a network, and what its axes are.

    Parameters
    ----------
    module : str
        Name of the module whose output it is, as in `torch.nn.Module.named_modules`; "" for the network
        itself.
    axes : tuple of str
        Names of the output's axes, in its order, out of "trial", "time", "velocity", "channel", "y", "x" and
        "unit".
    index : tuple of int or str
        Where the module puts out a tuple, a mapping, a named tuple or a dataclass: which of its entries (its
        number or its name), then which entry of that, and so on; (0,) for the states of all times of
        `torch.nn.GRU`. A packed sequence counts as a tensor with the axes trial and time; NaN is recorded
        after the end of a trial.
    start : int
        The frame of the first entry along time, or of the first call; NaN is recorded before it. 1 for a
        readout whose first output is its prediction of frame 1.

    Raises
    ------
    InputError
        If an axis is unknown or comes twice, there is no trial, or there are units besides channels, y or x.
    """

    module: str
    axes: tuple[str, ...]
    index: tuple[int | str, ...] = ()
    start: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", tuple(self.axes))
        unknown = not set(self.axes) <= set(AXES)
        repeated = len(set(self.axes)) < len(self.axes)
        if unknown or repeated or "trial" not in self.axes:
            raise InputError(
                f"axes must be some of {', '.join(AXES)}, each once, with trial; got {self.axes}"
            )
        if "unit" in self.axes and {"velocity", "channel", "y", "x"} & set(self.axes):
            raise InputError(f"an output has either units or channels, y and x; got the axes {self.axes}")

    @property
    def activity_axes(self) -> tuple[str, ...]:
        """Its axes beyond trial and time, in the order of a recording."""
        return tuple(axis for axis in AXES[2:] if axis in self.axes)

    def ordered(self, output: Any, name: str) -> Tensor:
        """An output as ``(trial, time, *activity_axes)``, with one time if it has no time axis.

        Parameters
        ----------
        output : Tensor or packed sequence, or what holds one
        name : str
            Of the site, for errors.

        Raises
        ------
        InputError
            If there is no tensor with these axes, or its values are not real numbers.
        """
        for i in self.index:
            try:
                output = entry(output, i)
            except (TypeError, IndexError, KeyError, AttributeError):
                raise InputError(
                    f"site {name}: expected outputs with an entry {i!r}; {self.module!r} gives "
                    f"{_described(output)}"
                ) from None
        if isinstance(output, PackedSequence):
            output = self._padded(output, name)
        if not isinstance(output, Tensor) or output.ndim != len(self.axes):
            raise InputError(
                f"site {name}: expected an output with the axes {', '.join(self.axes)}; "
                f"{self.module!r} gives {_described(output)}. Give its axes, or the index of the entry that "
                "is meant"
            )
        order = [axis for axis in ("trial", "time", *self.activity_axes) if axis in self.axes]
        output = real_values(output, f"site {name}: {self.module!r}").permute(
            [self.axes.index(axis) for axis in order]
        )
        return output if "time" in self.axes else output.unsqueeze(1)

    def replaced(self, output: Any, values: Tensor) -> Any:
        """An output with other values (trial, time, ...), of one time if it has no time axis."""
        present = output
        for i in self.index:
            present = entry(present, i)
        order = [axis for axis in ("trial", "time", *self.activity_axes) if axis in self.axes]
        values = values if "time" in self.axes else values.squeeze(1)
        back = values.permute([order.index(axis) for axis in self.axes])
        return with_entry(output, self.index, back.to(present))

    def _padded(self, output: PackedSequence, name: str) -> Tensor:
        """A packed sequence as a tensor, NaN after the end of each trial."""
        if not {"trial", "time"} <= set(self.axes):
            raise InputError(
                f"site {name}: {self.module!r} gives a packed sequence, which has the axes trial and time; "
                f"got the axes {', '.join(self.axes)}"
            )
        first = self.axes.index("trial") < self.axes.index("time")
        return pad_packed_sequence(output, batch_first=first, padding_value=torch.nan)[0]


def real_values(output: Tensor, whose: str) -> Tensor:
    """An output as floating-point numbers of 16 bits or more: truth values as 0 and 1, whole numbers as they
    are.

    Raises
    ------
    InputError
        If it is complex.
    """
    if output.is_complex():
        raise InputError(
            f"{whose} gives complex numbers, which a recording does not hold; name a module that puts out "
            "real ones, such as their real and imaginary parts as channels"
        )
    output = output.detach()
    if output.is_quantized:
        output = output.dequantize()
    if output.layout != torch.strided:
        output = output.to_dense()
    if not output.is_floating_point():
        return output.to(torch.float64 if output.itemsize > 2 else torch.float32)
    return output.float() if output.itemsize == 1 else output


def entry(output: Any, i: int | str) -> Any:
    """Entry ``i`` of a tuple or mapping, or the field of that name of a named tuple or dataclass."""
    named = is_dataclass(output) or hasattr(output, "_fields")
    if not named or (isinstance(i, int) and not is_dataclass(output)):
        return output[i]
    names = [field.name for field in fields(output)] if is_dataclass(output) else output._fields
    if isinstance(i, int):
        return getattr(output, names[i])
    if i not in names:
        raise KeyError(i)
    return getattr(output, i)


def with_entry(output: Any, path: Sequence[int | str], value: Any) -> Any:
    """An output with another value at the entry that `entry` takes along a path; the output itself stays."""
    if not path:
        return value
    i, *rest = path
    new = with_entry(entry(output, i), rest, value)
    if is_dataclass(output) and not isinstance(output, type):
        return replace(output, **{i if isinstance(i, str) else fields(output)[i].name: new})
    if hasattr(output, "_replace"):
        return output._replace(**{i if isinstance(i, str) else output._fields[i]: new})
    if isinstance(output, Mapping):
        return type(output)({**output, i: new})  # type: ignore[call-arg]
    assert isinstance(i, int)
    entries = list(output)
    entries[i] = new
    return type(output)(entries)


def _described(output: Any) -> str:
    if isinstance(output, Tensor):
        return f"a tensor of shape {tuple(output.shape)}"
    if is_dataclass(output):
        return f"outputs named {', '.join(field.name for field in fields(output))}"
    if hasattr(output, "_fields"):
        return f"outputs named {', '.join(output._fields)}"
    if isinstance(output, dict):
        return f"outputs named {', '.join(map(str, output))}"
    if isinstance(output, (tuple, list)):
        return f"{len(output)} outputs: {', '.join(map(_described, output))}"
    return f"a {type(output).__name__}"


class Compiled(nn.Module):
    """A TorchScript module as an ordinary one, so that its output can be listened to."""

    def __init__(self, compiled: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.compiled = compiled

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """What the module puts out."""
        return self.compiled(*inputs, **named)

    def __getattr__(self, name: str) -> Any:
        """What the compiled module has."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("compiled"), name)

    def named_modules(self, *arguments: Any, **named: Any) -> Any:
        """Its modules by the names that they have in the compiled one, and itself by the empty name."""
        for name, module in super().named_modules(*arguments, **named):
            if name != "compiled":
                yield name.removeprefix("compiled."), module


@contextmanager
def hooked(
    network: nn.Module, sites: Mapping[str, Site], receive: Mapping[str, Callable[[Any], None]]
) -> Iterator[None]:
    """Within the block, call ``receive[name]`` with every output of the module of each site.

    Raises
    ------
    InputError
        If the network has no module of a name, or it cannot be listened to.
    """
    modules = dict(network.named_modules(remove_duplicate=False))
    with ExitStack() as hooks:
        for name, site in sites.items():
            if site.module not in modules:
                known = ", ".join(n for n in modules if n) or "(none)"
                raise InputError(f"site {name}: the network has no module {site.module!r}; it has {known}")
            if isinstance(modules[site.module], torch.jit.ScriptModule):
                raise InputError(
                    f"site {name}: {site.module!r} is compiled by TorchScript, whose modules cannot be "
                    "listened to; record the network before it is compiled, or the output of the whole ('')"
                )
            handle = modules[site.module].register_forward_hook(_hook(receive[name]))
            hooks.callback(handle.remove)
        yield


def _hook(receive: Callable[[Any], None]) -> Callable[[nn.Module, Any, Any], None]:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        receive(output)

    return hook
