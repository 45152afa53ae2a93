"""The hardware that trains: which device, and how freed memory is kept."""

from __future__ import annotations

import ctypes
import sys

import torch

from flowsim.errors import InputError
from flowsim.training.free_gpu import take

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

    "auto:free" and "cuda:free" are the same, but of several GPUs one that no other command with such a device
    has; it waits until there is one, and keeps it until this process ends.

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
    kind, _, number = name.partition(":")
    if kind == "auto" and number in ("", "free"):
        kind = available[0]
    if kind not in available or not (number in ("", "free") or number.isdigit()):
        raise InputError(
            f"device {name!r} is not on this machine; use auto or one of: {', '.join(available)}"
        )
    if number == "free":
        return _free_gpu() if kind == "cuda" else torch.device(kind)
    gpus = torch.cuda.device_count() if kind == "cuda" else 1
    if number and int(number) >= gpus:
        raise InputError(
            f"device {name!r} is not on this machine, which has {gpus} of that kind, counted from 0; use "
            f"auto or {kind}:{gpus - 1}"
        )
    return torch.device(f"{kind}:{number}" if number else kind)


def _free_gpu() -> torch.device:
    cards = [str(torch.cuda.get_device_properties(n).uuid) for n in range(torch.cuda.device_count())]
    device = torch.device("cuda", take(cards))
    torch.cuda.set_device(device)  # also for what names no number
    return device


def hardware(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return device.type
    threads = torch.get_num_threads()
    return "1 CPU thread" if threads == 1 else f"{threads} CPU threads"
