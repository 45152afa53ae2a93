"""Devices by name, and freed memory that stays with the process that trains."""

import os
import platform
import subprocess
import sys

import pytest
import torch

from flowsim import InputError
from flowsim.training.devices import hardware, keep_freed_memory, pick_device


def faults(keep):
    """Pages that the system had to give for blocks of 96 MB in all, once as many have been freed."""
    program = f"""
import resource, torch
from flowsim.training.devices import keep_freed_memory
{keep}
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [torch.ones(300_000) for _ in range(80)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    plain = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MALLOC_", "GLIBC_", "LD_PRELOAD"))
    }
    command = [sys.executable, "-c", program]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, env=plain).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_memory_is_kept():
    asked_again = faults("")
    if asked_again < 1000:
        pytest.skip("this system does not count the pages that it gives, or its C library keeps them")
    assert faults("assert keep_freed_memory()") < asked_again / 5


def test_elsewhere_nothing_is_done(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    assert not keep_freed_memory()


def test_devices():
    assert pick_device("cpu").type == "cpu"
    if not torch.cuda.is_available():
        with pytest.raises(
            InputError, match="device 'cuda' is not on this machine; use auto or one of: .*cpu"
        ):
            pick_device("cuda")
    with pytest.raises(InputError, match="device 'tpu' is not on this machine"):
        pick_device("tpu")


def test_hardware_in_words(monkeypatch):
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    assert hardware(torch.device("cpu")) == "1 CPU thread"
    monkeypatch.setattr("torch.get_num_threads", lambda: 4)
    assert hardware(torch.device("cpu")) == "4 CPU threads"
    assert hardware(torch.device("mps")) == "mps"


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    """And the one that is there is taken."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert pick_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(InputError, match="'cuda:3' is not on this machine, which has 1 of that kind"):
        pick_device("cuda:3")
