"""Named modules of any torch network whose outputs are recorded, read by hooks that are always removed.

A module may be called once with all frames, and put out something with an axis "time"; or it may be called
again and again by a loop in the network, with a few frames or one at a time, and one needs no axis "time".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from flowsim.errors import InputError

AXES = ("trial", "time", "channel", "y", "x", "unit")
"""Axes that an output may have; "unit" is for activity without a place on the frame."""


@dataclass(frozen=True)
class Site:
    """An output of a network, and what its axes are.

    Parameters
    ----------
    module : str
        Name of the module whose output it is, as in `torch.nn.Module.named_modules`; "" for the network
        itself.
    axes : tuple of str
        Names of the output's axes, in its order, out of "trial", "time", "channel", "y", "x" and "unit".
    index : tuple of int or str
        Where the module puts out a tuple or a mapping: which of its entries, then which entry of that, and so
        on; (0,) for the states of all times of `torch.nn.GRU`.
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
        if "unit" in self.axes and {"channel", "y", "x"} & set(self.axes):
            raise InputError(f"an output has either units or channels, y and x; got the axes {self.axes}")

    @property
    def activity_axes(self) -> tuple[str, ...]:
        """Its axes beyond trial and time, in the order of a recording."""
        return tuple(axis for axis in AXES[2:] if axis in self.axes)

    def ordered(self, output: Any, name: str) -> Tensor:
        """An output as (trial, time, *activity_axes), with one time if it has no time axis.

        Parameters
        ----------
        output : Tensor, or tuples and mappings that hold one
        name : str
            Of the site, for errors.

        Raises
        ------
        InputError
            If there is no tensor with these axes.
        """
        for i in self.index:
            try:
                output = output[i]
            except (TypeError, IndexError, KeyError):
                raise InputError(
                    f"site {name}: expected outputs with an entry {i!r}; {self.module!r} gives "
                    f"{_described(output)}"
                ) from None
        if not isinstance(output, Tensor) or output.ndim != len(self.axes):
            raise InputError(
                f"site {name}: expected an output with the axes {', '.join(self.axes)}; "
                f"{self.module!r} gives {_described(output)}. Give its axes, or the index of the entry that "
                "is meant"
            )
        order = [axis for axis in ("trial", "time", *self.activity_axes) if axis in self.axes]
        output = output.detach().permute([self.axes.index(axis) for axis in order])
        return output if "time" in self.axes else output.unsqueeze(1)


def _described(output: Any) -> str:
    if isinstance(output, Tensor):
        return f"a tensor of shape {tuple(output.shape)}"
    if isinstance(output, dict):
        return f"outputs named {', '.join(map(str, output))}"
    if isinstance(output, (tuple, list)):
        return f"{len(output)} outputs: {', '.join(map(_described, output))}"
    return f"a {type(output).__name__}"


@contextmanager
def hooked(
    network: nn.Module, sites: Mapping[str, Site], receive: Mapping[str, Callable[[Any], None]]
) -> Iterator[None]:
    """Within the block, call ``receive[name]`` with every output of the module of each site.

    Raises
    ------
    InputError
        If the network has no module of a name.
    """
    modules = dict(network.named_modules())
    with ExitStack() as hooks:
        for name, site in sites.items():
            if site.module not in modules:
                known = ", ".join(n for n in modules if n) or "(none)"
                raise InputError(f"site {name}: the network has no module {site.module!r}; it has {known}")
            handle = modules[site.module].register_forward_hook(_hook(receive[name]))
            hooks.callback(handle.remove)
        yield


def _hook(receive: Callable[[Any], None]) -> Callable[[nn.Module, Any, Any], None]:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        receive(output)

    return hook
