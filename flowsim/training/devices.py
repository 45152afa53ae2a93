"""Several processes that train one network together, each on its part of every batch (``torchrun -m flowsim
train``).

Every process draws the whole batch and takes its own part; gradients are added up, so that the result is that
of one process to rounding. Without torchrun there is one process and nothing here does anything.
"""

from __future__ import annotations

import ctypes
import os
import sys
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


TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Of mallopt: bytes that may lie free at the end of the heap, and from which on a block is a mapping of its
own.
"""


LARGEST = 2**25
"""The largest block that glibc lets be part of the heap."""


def keep_freed_memory() -> bool:
    """For the rest of this process; whether the allocator took it."""
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return bool(mallopt and mallopt(MMAP_THRESHOLD, LARGEST) and mallopt(TRIM_THRESHOLD, 2**31 - 1))


def pick_device(name: str = "auto") -> torch.device:
    """The device of this name; for "auto" CUDA where there is one, else Apple's GPU, else the CPU.

    Raises
    ------
    InputError
        If the device asked for is not on this machine.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, there in available.items() if there))
    kind, _, number = name.partition(":")
    if not available.get(kind, False) or (number and not number.isdigit()):
        there = ", ".join(device for device, on in available.items() if on)
        raise InputError(f"device {name!r} is not on this machine; use auto or one of: {there}")
    return torch.device(name)


def hardware(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{threads} CPU thread{'s' if threads > 1 else ''}" if device.type == "cpu" else device.type
