"""Which activity is recorded, of any torch module: the outputs of named modules, read by hooks that are
always removed.

A module may be called once, with all frames, and give something with an axis "time"; or again and again, by a
loop that the network has of its own, with some frames at a time, or one, which needs no axis "time".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from flowsim.errors import InputError

AXES = ("trial", "time", "channel", "y", "x", "unit")
"""Axes that an output may have; "unit" is for what has no place on the frame."""


@dataclass(frozen=True)
class Site:
    """An output of a network, and what its axes are.

    Parameters
    ----------
    module : str
        Name of the module whose output it is, as `torch.nn.Module.named_modules` has it; "" for the network
        itself.
    axes : tuple of str
        Names of the output's axes, in its order, out of "trial", "time", "channel", "y", "x" and "unit".
    index : tuple of int or str
        Which entry, where the module gives a tuple or a mapping, and of that which, and so on: (0,) for the
        states of all times of `torch.nn.GRU`.
    start : int
        The frame of the first entry, or the first call; NaN is recorded before it. 1 for a readout that gives
        its prediction of frame 1 first.

    Raises
    ------
    InputError
        If an axis is unknown or comes twice, or there is no trial.
    """

    module: str
    axes: tuple[str, ...]
    index: tuple[int | str, ...] = ()
    start: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", tuple(self.axes))
        if (
            not set(self.axes) <= set(AXES)
            or len(set(self.axes)) < len(self.axes)
            or "trial" not in self.axes
        ):
            raise InputError(
                f"axes must be some of {', '.join(AXES)}, each once, with trial; got {self.axes}"
            )
        if "unit" in self.axes and {"channel", "y", "x"} & set(self.axes):
            raise InputError(f"an output has either units or channels, y and x; got the axes {self.axes}")

    @property
    def place(self) -> tuple[str, ...]:
        """Its axes beside trial and time, in the order of a recording."""
        return tuple(axis for axis in AXES[2:] if axis in self.axes)

    def ordered(self, output: Any, name: str) -> Tensor:
        """An output as (trial, time, *place), of one time if it has no such axis.

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
                    f"site {name}: expected outputs with an entry {i!r}; {self.module!r} gives {_told(output)}"
                ) from None
        if not isinstance(output, Tensor) or output.ndim != len(self.axes):
            raise InputError(
                f"site {name}: expected an output with the axes {', '.join(self.axes)}; {self.module!r} gives "
                f"{_told(output)}. Give its axes, or the index of the entry that is meant"
            )
        order = [a for a in ("trial", "time", *self.place) if a in self.axes]
        output = output.detach().permute([self.axes.index(axis) for axis in order])
        return output if "time" in self.axes else output.unsqueeze(1)


def _told(output: Any) -> str:
    if isinstance(output, Tensor):
        return f"a tensor of shape {tuple(output.shape)}"
    if isinstance(output, dict):
        return f"outputs named {', '.join(map(str, output))}"
    if isinstance(output, (tuple, list)):
        return f"{len(output)} outputs: {', '.join(map(_told, output))}"
    return f"a {type(output).__name__}"


Heard = dict[str, list[Tensor]]


@contextmanager
def listening(
    network: nn.Module, sites: Mapping[str, Site], thin: Callable[[str, Tensor], Tensor | None]
) -> Iterator[Heard]:
    """Collect what the modules of some sites give, as `Site.ordered` and then ``thin`` leave it, if it does.

    Raises
    ------
    InputError
        If the network has no module of a name.
    """
    modules = dict(network.named_modules())
    heard: Heard = {name: [] for name in sites}
    with ExitStack() as hooks:
        for name, site in sites.items():
            if site.module not in modules:
                known = ", ".join(n for n in modules if n) or "(none)"
                raise InputError(f"site {name}: the network has no module {site.module!r}; it has {known}")
            handle = modules[site.module].register_forward_hook(partial(_hear, heard[name], site, name, thin))
            hooks.callback(handle.remove)
        yield heard


def _hear(
    into: list[Tensor],
    site: Site,
    name: str,
    thin: Callable[[str, Tensor], Tensor | None],
    _: Any,
    __: Any,
    output: Any,
) -> None:
    kept = thin(name, site.ordered(output, name))
    if kept is not None:
        into.append(kept)


def unfitting(name: str, site: Site, entries: int, frames: int) -> InputError:
    """The error to raise for a site whose entries do not fit the frames."""
    unheard = (
        "" if entries else " (its forward may have been called, but hooks hear calls of the module alone)"
    )
    return InputError(
        f"site {name}: expected an entry for each frame from {site.start} to {frames - 1}; {site.module!r} gave "
        f"{entries}{unheard}. Name a module that is called for every frame once, of a network that goes on to the last "
        "frame, and the frame at which it starts"
    )
