"""The hardware that trains: which device, how freed memory is kept, and several processes that train
together.

With ``torchrun -m flowsim train`` several processes train one network. Each draws the whole batch and takes
its part of it; gradients are added up, so that the result is that of one process up to rounding. Without
torchrun there is one process, and the functions for several do nothing.
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
    """Join the processes that torchrun started, if it did; yields the device of this process.

    Raises
    ------
    InputError
        If there are more processes than GPUs, or the device already names one GPU.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    if device.type == "cuda":
        device = _gpu_of_this_process(device)
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield device
    finally:
        dist.destroy_process_group()


def _gpu_of_this_process(device: torch.device) -> torch.device:
    number, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if device.index is not None or number >= gpus:
        raise InputError(
            f"torchrun gives each process a GPU of its own, of {gpus}; start at most so many processes and "
            f"leave the device at auto or cuda; got {device} for process {number}"
        )
    return torch.device("cuda", number)


def rank() -> int:
    """The number of this process; the one with number 0 writes files."""
    return dist.get_rank() if dist.is_initialized() else 0


def count() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def from_the_first(make: Callable[[], Any]) -> Any:
    """What ``make`` returns in the first process, sent to every process, so that all go on from the same."""
    if count() == 1:
        return make()
    shared = [make() if rank() == 0 else None]
    dist.broadcast_object_list(shared, device=torch.device("cpu") if dist.get_backend() == "gloo" else None)
    return shared[0]


def own_part(size: int) -> slice:
    """This process's part of ``size`` things, which are divided as evenly as possible."""
    return slice(size * rank() // count(), size * (rank() + 1) // count())


def add_up(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by its sum over processes."""
    if count() > 1:
        for tensor in tensors:
            dist.all_reduce(tensor)


TRIM_THRESHOLD = -1
"""Parameter of mallopt: how many bytes may lie free at the end of the heap before the system gets them back.
"""

MMAP_THRESHOLD = -3
"""Parameter of mallopt: from which size on a block is mapped separately, and given back when it is freed."""

LARGEST_HEAP_BLOCK = 2**25
"""The largest block that glibc can be told to put on the heap."""


def keep_freed_memory() -> bool:
    """Keep freed memory for the next step instead of giving it back to the system, until this process ends.

    Returns whether that is so; it needs glibc.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(MMAP_THRESHOLD, LARGEST_HEAP_BLOCK) and mallopt(TRIM_THRESHOLD, 2**31 - 1))


def pick_device(name: str = "auto") -> torch.device:
    """The device of this name; for "auto" CUDA if there is such a GPU, else Apple's GPU, else the CPU.

    Raises
    ------
    InputError
        If this machine has no such device.
    """
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available.insert(0, "cuda")
    if name == "auto":
        return torch.device(available[0])
    kind, _, number = name.partition(":")
    if kind not in available or (number and not number.isdigit()):
        raise InputError(
            f"device {name!r} is not on this machine; use auto or one of: {', '.join(available)}"
        )
    gpus = torch.cuda.device_count() if kind == "cuda" else 1
    if number and int(number) >= gpus:
        raise InputError(
            f"device {name!r} is not on this machine, which has {gpus} of that kind, counted from 0; use "
            f"auto or {kind}:{gpus - 1}"
        )
    return torch.device(name)


def hardware(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return device.type
    threads = torch.get_num_threads()
    return "1 CPU thread" if threads == 1 else f"{threads} CPU threads"
