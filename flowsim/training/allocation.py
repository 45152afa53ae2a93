"""Memory that is freed is kept for what comes next, instead of going back to the operating system.

A training step frees as much as the next one asks for at once, and each page that comes back from the system is cleared
first. Only glibc is told, the allocator of most Linux systems; others do as they do.
"""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Of mallopt: bytes that may lie free at the end of the heap, and from which on a block is a mapping of its own."""
LARGEST = 2**25
"""The largest block that glibc lets be part of the heap."""


def keep_freed_memory() -> bool:
    """For the rest of this process; whether the allocator took it."""
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return bool(mallopt and mallopt(MMAP_THRESHOLD, LARGEST) and mallopt(TRIM_THRESHOLD, 2**31 - 1))
