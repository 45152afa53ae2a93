"""Trials are recorded apart from each other, and the network is left as it was.

Networks are shown many trials at once. What is recorded of one of them must not depend on the others, nor on
what was shown before: batch normalisation in training mode, a recurrence over the wrong axis, or a memory
that is kept from call to call would mix them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from flowsim.errors import InputError

QUANTISED = 1 / 16
"""Largest share of the largest value by which companions change a trial in a quantised network: it scales
all trials that it is shown at once together.
"""


class Kept:
    """The parameters and buffers of a network as they were.

    Raises
    ------
    InputError
        If some have no size yet.
    """

    def __init__(self, network: nn.Module) -> None:
        self.entries: list[tuple[Any, dict[str, Any]]] = []
        for module in network.modules():
            self.entries += [(of, dict(of.items())) for of in (module._parameters, module._buffers)]
        tensors = [t for _, named in self.entries for t in named.values() if t is not None]
        if any(is_lazy(tensor) for tensor in tensors):
            raise InputError(
                "expected a network whose parameters have their sizes; it has lazy modules that were never "
                "called. Call it once"
            )
        self.values = [(tensor, tensor.detach().clone()) for tensor in tensors]

    @torch.no_grad()
    def restore(self) -> None:
        """Undo what the network changed."""
        for present, named in self.entries:
            for name in [name for name in present.keys() if name not in named]:  # noqa: SIM118
                del present[name]
            for name, tensor in named.items():
                if present[name] is not tensor:
                    present[name] = tensor
        for tensor, value in self.values:
            if tensor.shape != value.shape:
                tensor.data = value.clone()
            elif not torch.equal(tensor, value):
                tensor.copy_(value)


def check_modules(network: nn.Module) -> None:
    """Raise an error if a module that mixes trials or draws at random in training mode is in that mode."""
    for name, module in network.named_modules():
        kind = getattr(module, "original_name", type(module).__name__)
        share = getattr(module, "p" if "Dropout" in kind else "dropout", 0)
        draws = isinstance(share, float) and share > 0
        if module.training and (kind.startswith(("BatchNorm", "SyncBatch")) or draws):
            raise InputError(
                f"expected a network that computes each trial by itself; its module {name!r} ({kind}) is in "
                "training mode, where it does not. Call eval() before recording"
            )


def random_states(device: torch.device) -> tuple[Tensor, Tensor | None]:
    """States of torch's random numbers, on the CPU and on the network's device."""
    on_device = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return torch.get_rng_state(), on_device


def set_random_states(states: tuple[Tensor, Tensor | None], device: torch.device) -> None:
    """Go on with random numbers from some `random_states`."""
    torch.set_rng_state(states[0])
    if states[1] is not None:
        torch.cuda.set_rng_state(states[1], device)


def tolerance(network: nn.Module, dtype: torch.dtype) -> float:
    """By which share of the largest value the activity of a trial may differ if it is shown otherwise."""
    quantised = any("quantized" in type(module).__module__ for module in network.modules())
    return max(torch.finfo(dtype).eps ** 0.5, QUANTISED if quantised else 0)


def differing(
    one: Mapping[str, Tensor], other: Mapping[str, Tensor], share: float
) -> tuple[str, float] | None:
    """The first site at which activity differs by more than rounding, and by which share; None if none."""
    for name, values in one.items():
        first, second = values.double(), other[name].double()
        if first.shape != second.shape:
            return name, float("inf")
        scale = torch.nan_to_num(torch.stack([first, second]), 0, 0, 0).abs().max()
        same = (first == second) | (first.isnan() & second.isnan())
        error = torch.where(same, 0, (first - second).abs())
        worst = torch.nan_to_num(error, float("inf")).max()
        if worst > share * scale:
            return name, float(worst / scale)
    return None


def mixing(name: str, share: float) -> InputError:
    """The error to raise for a network that mixes trials."""
    return InputError(
        f"site {name}: expected activity of a trial that does not depend on the other trials; with others "
        f"beside or before it, it differs by {share:.2g} of its largest value. Common reasons: a recurrence "
        "over trials instead of time (batch_first), a memory that is kept from call to call (reset it in "
        "`feed`), normalisation over trials, random numbers that are not torch's"
    )
