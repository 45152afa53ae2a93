"""What a command took of the machine: the last line of the log of a job."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

LINE = re.compile(
    r"^took (\d+\.\d+) s, (\d+\.\d+) s of processors, (\d+|unknown) MB of memory$", re.MULTILINE
)


@dataclass(frozen=True)
class Usage:
    """``seconds`` by the clock, ``cpu_seconds`` of processors, and the most ``megabytes`` at a time; None
    where the system does not tell.
    """

    seconds: float
    cpu_seconds: float
    megabytes: int | None = None

    def __str__(self) -> str:
        memory = "unknown" if self.megabytes is None else self.megabytes
        return f"took {self.seconds:.2f} s, {self.cpu_seconds:.2f} s of processors, {memory} MB of memory"


@contextmanager
def said() -> Iterator[None]:
    """Say on stderr what was used within this context, if it ends without an error.

    Memory is the most that the process had until then.
    """
    seconds, cpu_seconds = time.monotonic(), _cpu_seconds()
    yield
    used = Usage(time.monotonic() - seconds, _cpu_seconds() - cpu_seconds, _megabytes())
    print(used, file=sys.stderr)


def read(log: Path) -> Usage | None:
    """What the job with this log took; None if it has not ended well."""
    with suppress(OSError):
        found = LINE.findall(log.read_text(encoding="utf-8", errors="replace"))
        if found:
            seconds, cpu_seconds, memory = found[-1]
            return Usage(float(seconds), float(cpu_seconds), None if memory == "unknown" else int(memory))
    return None


def _cpu_seconds() -> float:
    """Of this process and of the children that have ended."""
    try:
        import resource
    except ImportError:  # Windows
        return time.process_time()
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def _megabytes() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    largest = max(
        resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return round(largest / (2**20 if sys.platform == "darwin" else 2**10))
