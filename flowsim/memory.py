"""Asking for more memory than the machine has is an error in one line, and not a machine that stops answering
until the system kills a process.
"""

from __future__ import annotations

import os
from pathlib import Path

CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux says how much memory a container, or a job of a queue, may use."""
NVIDIA = Path("/dev/nvidiactl")
REFUSED = ("can't allocate memory", "not enough memory", "bad_alloc", "Cannot allocate memory")
"""What torch and other libraries write in an error that is none of Python's MemoryError."""


def available() -> int | None:
    """Bytes of memory that this process may use at most; None where the system does not say."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in CGROUPS:
        try:
            sizes.append(int(path.read_text(encoding="ascii")))
        except (OSError, ValueError):  # not of this version, or "max"
            continue
    return min(size for size in sizes if size > 0)


def limit() -> None:
    """Let this process, and those that it starts, each have at most `available` bytes, where the system can.

    Not beside a GPU of NVIDIA, whose driver reserves far more addresses than it uses.
    """
    size = available()
    try:
        import resource
    except ImportError:  # Windows
        return
    if size is None or NVIDIA.exists() or not hasattr(resource, "RLIMIT_DATA"):
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bounds = [size, *(bound for bound in (soft, hard) if bound != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(bounds), hard))


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out."""
    return isinstance(error, MemoryError) or any(text in str(error) for text in REFUSED)
