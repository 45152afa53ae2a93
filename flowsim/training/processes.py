"""Several processes that train one network, on one machine or on several.

With ``torchrun -m flowsim train`` each process draws the whole batch and takes its part of it; gradients are
added up, so that the result is that of one process up to rounding. Without torchrun there is one process, and
these functions do nothing.

No process waits for ever for one that has ended: what they do together raises `ProcessLost`.
"""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from flowsim import torchrun
from flowsim.errors import InputError

JOINING = timedelta(minutes=5)
"""How long a process waits for the others to start."""
PATIENCE = timedelta(hours=2)
"""How long a process waits for one that is not known to have ended: longer than any one step, writing and
validation included.
"""
OFTEN = 0.1
"""Seconds between two looks at whether the others have started."""
Made = TypeVar("Made")


class ProcessLost(InputError):
    """Another of the processes that train together has ended, or cannot be reached."""


@contextmanager
def joined(device: torch.device) -> Iterator[torch.device]:
    """Join the processes that torchrun started, if it did; yields the device of this process.

    Raises
    ------
    InputError
        If there are more processes than GPUs, or the device already names one GPU.
    ProcessLost
        If one of them does not start.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    if device.type == "cuda":
        device = _gpu_of_this_process(device)
        torch.cuda.set_device(device)
    with _none_lost():
        store, number, processes = next(dist.rendezvous("env://", timeout=JOINING))
        attempt = dist.PrefixStore(attempt_of(store, number, processes, JOINING), store)
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, store=attempt, rank=number, world_size=processes, timeout=PATIENCE)
    try:
        yield device
    except BaseException:
        torchrun.speaks()  # before the others notice that this process leaves them
        raise
    finally:
        dist.destroy_process_group()


def _gpu_of_this_process(device: torch.device) -> torch.device:
    number, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if device.index is not None or max(number + 1, processes) > gpus:
        raise InputError(
            f"torchrun gives each process a GPU of its own, of {gpus}; start at most so many processes and "
            f"leave the device at auto or cuda; got {device} for {processes} processes"
        )
    return torch.device("cuda", number)


def attempt_of(store: dist.Store, number: int, processes: int, patience: timedelta) -> str:
    """A name that all processes have in common, and only those that live now.

    torchrun keeps one store for all that it starts, so that after a restart the store also holds what
    processes wrote that have ended. Each process therefore calls the first one by a name that is its own; the
    first one answers with the name of its attempt, until all have said that they take part in it.

    Parameters
    ----------
    store : torch.distributed.Store
    number : int
        The number of this process; the first has 0.
    processes : int
    patience : timedelta

    Raises
    ------
    TimeoutError
        If not all have come in that time.
    """
    until = time.monotonic() + patience.total_seconds()
    name = uuid.uuid4().hex
    others = range(1, processes)
    if number:
        store.set(f"flowsim/calls/{number}", name)
    while time.monotonic() < until:
        if number and store.check([f"flowsim/answer/{name}"]):
            attempt = store.get(f"flowsim/answer/{name}").decode()
            store.set(f"flowsim/{attempt}/{number}", "")
            if store.check([f"flowsim/{attempt}/all"]):
                return f"flowsim/{attempt}"
        elif not number:
            for other in others:
                if store.check([f"flowsim/calls/{other}"]):
                    caller = store.get(f"flowsim/calls/{other}").decode()
                    store.set(f"flowsim/answer/{caller}", name)
            if store.check([f"flowsim/{name}/{other}" for other in others]):
                store.set(f"flowsim/{name}/all", "")
                return f"flowsim/{name}"
        time.sleep(OFTEN)
    raise TimeoutError(f"not all have started within {patience.total_seconds():.0f} s")


@contextmanager
def _none_lost() -> Iterator[None]:
    """Raise ProcessLost where torch says that the processes could not do something together."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TimeoutError) as error:
        said = re.sub(r"^\[\S*\] *", "", " ".join(str(error).split()))  # without the place in torch's sources
        reason = re.split(r"\. |Exception raised", said)[0][:160].strip()
        raise ProcessLost(
            f"expected {os.environ.get('WORLD_SIZE')} processes to train together; one has ended, or cannot "
            f"be reached ({reason}). Run the same command again: it goes on from the checkpoint"
        ) from None


def rank() -> int:
    """The number of this process; the one with number 0 writes files."""
    return dist.get_rank() if dist.is_initialized() else 0


def count() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def from_the_first(make: Callable[[], Any]) -> Any:
    """What ``make`` returns in the first process, sent to every process, so that all go on from the same.

    Raises
    ------
    InputError
        In all processes, if ``make`` raises one.
    """
    if count() == 1:
        return make()
    shared = list(_made_or_mistaken(make)) if rank() == 0 else [None, None]
    device = torch.device("cpu") if dist.get_backend() == "gloo" else None
    with _none_lost():
        dist.broadcast_object_list(shared, device=device)
    made, mistake = shared
    if mistake is not None:
        raise InputError(mistake)
    return made


def in_each(make: Callable[[], Made]) -> Made:
    """What ``make`` returns in this process, once it has returned in every process.

    Raises
    ------
    InputError
        In all processes, that of the first in which ``make`` raises one.
    """
    if count() == 1:
        return make()
    made, mistake = _made_or_mistaken(make)
    mistakes: list[str | None] = [None] * count()
    with _none_lost():
        dist.all_gather_object(mistakes, mistake)
    for other in mistakes:
        if other is not None:
            raise InputError(other)
    return made  # type: ignore[return-value]


def _made_or_mistaken(make: Callable[[], Made]) -> tuple[Made | None, str | None]:
    """What ``make`` returns, or else what its InputError says."""
    try:
        return make(), None
    except InputError as error:
        return None, str(error)


def own_part(size: int) -> slice:
    """This process's part of ``size`` things, which are divided as evenly as possible."""
    return slice(size * rank() // count(), size * (rank() + 1) // count())


def add_up(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by its sum over processes."""
    if count() > 1:
        with _none_lost():
            for tensor in tensors:
                dist.all_reduce(tensor)
