"""Several processes that train one network together, each on its part of every batch (``torchrun -m flowsim train``).

Every process draws the whole batch and takes its own part; gradients are added up, so that the result is that of one
process to rounding. Without torchrun there is one process and nothing here does anything.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from flowsim.errors import InputError

PATIENCE = timedelta(hours=2)
"""How long a process waits for the others: longer than any one step, writing and validation included."""


@contextmanager
def processes(device: torch.device) -> Iterator[torch.device]:
    """Join the processes that torchrun started, if it did; the device of this one."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    own = device
    if device.type == "cuda":
        place = int(os.environ.get("LOCAL_RANK", "0"))
        if device.index is not None or place >= torch.cuda.device_count():
            raise InputError(
                f"torchrun gives each process a GPU of its own, of {torch.cuda.device_count()}; start at most so many "
                f"processes and leave the device at auto or cuda; got {device} for process {place}"
            )
        own = torch.device("cuda", place)
        torch.cuda.set_device(own)
    dist.init_process_group("nccl" if own.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield own
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """The number of this process; 0 is the one that writes."""
    return dist.get_rank() if dist.is_initialized() else 0


def count() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def from_the_first(make: Callable[[], Any]) -> Any:
    """What ``make`` returns in the first process, in every process, so that all go on from the same."""
    if count() == 1:
        return make()
    shared = [make() if rank() == 0 else None]
    dist.broadcast_object_list(shared, device=torch.device("cpu") if dist.get_backend() == "gloo" else None)
    return shared[0]


def own_part(size: int) -> slice:
    """This process's part of ``size`` things, as even as can be."""
    return slice(size * rank() // count(), size * (rank() + 1) // count())


def add_up(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by its sum over processes."""
    if count() > 1:
        for tensor in tensors:
            dist.all_reduce(tensor)
