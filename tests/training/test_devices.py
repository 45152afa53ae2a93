"""Freed memory stays with the process that trains: pages are not asked for, and cleared, again at each step."""

import os
import platform
import subprocess
import sys

import pytest

from flowsim.training.devices import keep_freed_memory


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
