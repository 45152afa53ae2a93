"""Freed memory stays with the process that trains: pages are not asked for, and cleared, again at each step."""

import platform
import subprocess
import sys

import pytest

from flowsim.allocation import keep_freed_memory


def faults(keep):
    """Pages that the system had to give for blocks of 96 MB in all, once as many have been freed."""
    program = f"""
import resource, torch
from flowsim.allocation import keep_freed_memory
{keep}
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [torch.ones(300_000) for _ in range(80)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    return int(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_memory_is_kept():
    assert faults("") > 10_000
    assert faults("assert keep_freed_memory()") < 5_000


def test_elsewhere_nothing_is_done(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    assert not keep_freed_memory()
