"""Outputs of a network's modules, replaced or kept in one frame by hooks that are always removed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from flowsim.errors import InputError
from flowsim.recording.calls import Output
from flowsim.recording.sites import Site

Parts = dict[str, Tensor]
"""What is carried, by name, as (trial, velocity, channel, [orientation,] y, x)."""


class ReplacedOutput:
    """A hook that replaces the output of one site in frame t0, or keeps it.

    Parameters
    ----------
    name : str
        Of the site.
    site : Site or Output
        Where the values are in what the module puts out.
    at : int
        The frame t0.
    by : Tensor (trial, velocity, channel, y, x), or mapping
        What replaces the values; or where they are kept by name, and left as they are.
    """

    def __init__(self, name: str, site: Site | Output, at: int, by: Tensor | Parts) -> None:
        self.name, self.site, self.at, self.by = name, site, at, by
        self.next_frame = site.start
        self.reached = False

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        """What the module puts out instead; None if that is as it was."""
        values = (
            self.site.ordered(output, self.name) if isinstance(self.site, Site) else self.site.taken(output)
        )
        first, count = self.next_frame, values.shape[1]
        self.next_frame += count
        if not first <= self.at < self.next_frame:
            return None
        if count > 1:
            raise InputError(
                f"intervene: expected site {self.name} to be put out for one frame at a time, so that the "
                f"network goes on from what replaces it; it is put out for {count} frames at once. Name a "
                "module that is called once for every frame"
            )
        self.reached = True
        if isinstance(self.by, dict):
            axes = self.site.activity_axes if isinstance(self.site, Site) else self.site.axes
            self.by[self.name] = with_state_axes(values[:, 0].clone(), axes)
            return None
        return self.site.replaced(output, self.by.reshape(values.shape))


def with_state_axes(values: Tensor, axes: Sequence[str]) -> Tensor:
    """Values (trial, *axes) as (trial, velocity, channel, y, x); units are channels of one pixel."""
    if "unit" in axes:
        return values[:, None, :, None, None]
    sizes = dict(zip(axes, values.shape[1:], strict=True))
    return values.reshape(len(values), *(sizes.get(axis, 1) for axis in ("velocity", "channel", "y", "x")))


@contextmanager
def replacing(network: nn.Module, hooks: Iterable[ReplacedOutput]) -> Iterator[None]:
    """Within the block, replace outputs of a network's modules; whatever fails, the hooks are removed.

    Raises
    ------
    InputError
        If a module is missing, cannot be listened to, or was not called for frame t0.
    """
    modules = dict(network.named_modules(remove_duplicate=False))
    hooks = list(hooks)
    with ExitStack() as stack:
        for hook in hooks:
            module = hook.site.module if isinstance(hook.site, Site) else ""
            if module not in modules or isinstance(modules[module], torch.jit.ScriptModule):
                raise InputError(
                    f"intervene: expected site {hook.name} to be of a module of the network, not compiled; "
                    f"got {module!r}"
                )
            stack.callback(modules[module].register_forward_hook(hook).remove)
        yield
    for hook in hooks:
        if not hook.reached:
            raise InputError(f"intervene: site {hook.name} was not put out for frame {hook.at}")
