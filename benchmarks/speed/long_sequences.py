"""Inference: the states of a long sequence, one after the other, take the memory of one."""

from __future__ import annotations

import subprocess
import sys
import time

import torch

from benchmarks.speed.time_and_memory import ROOT, Row, resident
from flowsim import build

LENGTHS = (10, 1000)


def memory_of_long_sequences(device: torch.device) -> list[Row]:
    """Peak memory beyond an idle process by length of the sequence, each in a process of its own."""
    peaks, times = [], []
    for length in LENGTHS:
        command = [sys.executable, "-m", "benchmarks.speed.long_sequences", str(length), str(device)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        peak_bytes, seconds = map(float, done.stdout.split())
        peaks.append(peak_bytes)
        times.append(seconds)
    return [
        {
            "measure": "states of a long sequence",
            "implementation": "flowsim",
            "velocities": 25,
            "channels": 16,
            "batch": 1,
            "frames": length,
            "pixels": 28,
            "seconds": seconds,
            "speedup": 1.0,
            "peak_mb": peak_bytes / 1e6,
            "memory": peak_bytes / peaks[0],
        }
        for length, peak_bytes, seconds in zip(LENGTHS, peaks, times, strict=True)
    ]


@torch.no_grad()
def main(length: int, device: torch.device) -> None:
    """Go through one sequence and print bytes and seconds."""
    network = build("fernn", (28, 28), max_speed=2, channels=16).to(device)
    frames = torch.rand(1, length, 1, 28, 28, device=device)
    list(network.steps(frames[:, :2], 1))
    idle, started = resident(), time.perf_counter()
    for step in network.steps(frames, predict_from=length):
        step.state.sum()
    peak_bytes = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else resident() - idle
    print(peak_bytes, time.perf_counter() - started)


if __name__ == "__main__":
    main(int(sys.argv[1]), torch.device(sys.argv[2]))
