"""Time and memory of one training step, as rows of a tidy table: ratios in one run, medians, never a timed
test.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.speed.training_steps import SUBJECTS, Size

Row = dict[str, Any]
Case = tuple[Size, str, Mapping[str, Any]]
"""How large a step, a subject's name and its options."""
ROOT = Path(__file__).parents[2]


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(step: Callable[[], None], device: torch.device) -> float:
    """Seconds that a step takes."""
    synchronise(device)
    started = time.perf_counter()
    step()
    synchronise(device)
    return time.perf_counter() - started


def medians(steps: Sequence[Callable[[], None]], repeats: int, device: torch.device) -> list[float]:
    """Median time of each step, after one warm-up.

    Steps are taken in turn, so that what else the machine does falls on all alike.
    """
    rounds = [[seconds_of(step, device) for step in steps] for _ in range(repeats + 1)]
    return [median(times) for times in zip(*rounds[1:], strict=True)]


def compare(measure: str, cases: Sequence[Case], repeats: int, device: torch.device) -> list[Row]:
    """A row for each case; the first is what ``speedup`` and ``memory`` of the others are relative to.

    All are timed in turn.
    """
    peaks = [peak(case, device) for case in cases]  # first: steps that are kept take memory
    steps = [SUBJECTS[name](size, device, **options) for size, name, options in cases]
    times = medians(steps, repeats, device)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return [
        {
            "measure": measure,
            "implementation": " ".join([name, *(f"{k}={v}" for k, v in options.items())]),
            **asdict(size),
            "velocities": size.velocities,
            "seconds": seconds,
            "speedup": times[0] / seconds,
            "gflops": size.arithmetic / seconds,
            "peak_mb": peak_bytes / 1e6,
            "memory": peak_bytes / peaks[0] if peaks[0] else float("nan"),
        }
        for (size, name, options), seconds, peak_bytes in zip(cases, times, peaks, strict=True)
    ]


def peak(case: Case, device: torch.device) -> float:
    """Bytes of memory that two steps take: on a GPU of what is allocated there, else beyond an idle process,
    in a process of their own.
    """
    size, name, options = case
    if device.type == "cuda":
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        step = SUBJECTS[name](size, device, **options)
        for _ in range(2):
            step()
        return torch.cuda.max_memory_allocated(device) - before
    argument = json.dumps([asdict(size), name, options, str(device)])
    command = [sys.executable, "-m", "benchmarks.speed.time_and_memory", argument]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return float(done.stdout)


def resident() -> int:
    """Most bytes that this process ever held in memory."""
    status = Path("/proc/self/status")  # of Linux, whose getrusage remembers the parent's memory
    peaks = re.findall(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else []
    if peaks:
        return 1024 * int(peaks[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def commit() -> str:
    """The commit that is measured, shortened; "" without git."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def main(argument: str) -> None:
    """Measure the peak of one case and print it."""
    fields, name, options, device_name = json.loads(argument)
    size, device = Size(**fields), torch.device(device_name)  # any but a GPU of NVIDIA
    load_what_every_training_loads()
    idle = resident()
    step = SUBJECTS[name](size, device, **options)
    for _ in range(2):
        step()
    print(resident() - idle)


def load_what_every_training_loads() -> None:
    """Use a convolution and Adam once, so that their libraries count as idle memory."""
    weight = torch.zeros(1, 1, 3, 3, requires_grad=True)
    torch.nn.functional.conv2d(torch.zeros(1, 1, 3, 3), weight).backward()
    torch.optim.Adam([weight]).step()


if __name__ == "__main__":
    main(sys.argv[1])
