"""What recording costs: against h5py writing the same values from memory, how much memory it and its use
take, and how much more time it takes with an intervention.

``python -m benchmarks.speed.recording`` writes ``recording.csv`` into ``results/benchmarks``. A probe of nine
flows is shown to a FERNN with 25 velocities and 16 channels on 28x28 px, whose states are 225 MB a trial;
memory is measured in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import h5py
import numpy as np
import pandas as pd
import torch

from analysis import equivariance_error
from benchmarks.speed.time_and_memory import ROOT, commit, resident
from flowsim import build, open_recording, record
from flowsim.files.hdf5_chunks import CODECS
from stimuli import moving_digits

SMALL, LARGE = 5, 36
"""Trials of recordings of about 1 and 8 GB."""
TRIAL_MB = 225.792
CODEC = CODECS["gzip"].options
"""The default of recordings."""


def record_trials(trials: int, into: Path) -> None:
    """Record so many trials."""
    torch.manual_seed(0)
    network = build("fernn", (28, 28), max_speed=2, channels=16)
    rng = np.random.default_rng(0)
    probe = moving_digits.generate("probe", rng, height=28, width=28, trials=trials, frames=20)
    record(network, probe, into, sites=["state"])


def copy_from_memory(source: Path, into: Path) -> float:
    """Seconds in which h5py writes the states of a recording from memory, with the same chunks and codec."""
    with h5py.File(source) as file:
        state = file["state"]
        values, chunks = state[:], state.chunks
    with h5py.File(into, "w") as file:
        target = file.create_dataset("state", values.shape, values.dtype, chunks=chunks, **CODEC)
        started = time.perf_counter()
        target[...] = values
        file.flush()
        return time.perf_counter() - started


def throughput(folder: Path, repeats: int) -> list[dict[str, Any]]:
    """MB of states per second, in turn."""
    times: dict[str, list[float]] = {"h5py from memory": [], "flowsim": []}
    recorded = folder / "small.h5"
    for repeat in range(repeats + 1):
        started = time.perf_counter()
        record_trials(SMALL, recorded)
        ours = time.perf_counter() - started
        theirs = copy_from_memory(recorded, folder / "copy.h5")
        if repeat:
            times["flowsim"].append(ours)
            times["h5py from memory"].append(theirs)
    with h5py.File(recorded) as file:
        megabytes = file["state"].nbytes / 1e6
    speeds = {name: megabytes / median(seconds) for name, seconds in times.items()}
    return [
        {
            "measure": "throughput",
            "what": name,
            "megabytes": megabytes,
            "mb_per_second": speed,
            "ratio": speed / speeds["h5py from memory"],
        }
        for name, speed in speeds.items()
    ]


def interventions(folder: Path, repeats: int) -> list[dict[str, Any]]:
    """Seconds of a recording with one intervention after half of its frames, and how many times as long as
    without, in turn: two flows of four trials of the default experiment's size.
    """
    torch.manual_seed(0)
    network = build("fernn", (16, 16), max_speed=2, channels=16)
    rng = np.random.default_rng(0)
    probe = moving_digits.generate("probe", rng, height=16, width=16, trials=4, frames=20).isel(flow=[0, 1])
    u = [float(probe.flow_vy[1]), float(probe.flow_vx[1])]
    asked: dict[str, Any] = {"none": None, "law": {"law": u}, "trial": {"trial": 1}, "flow": {"flow": u}}
    seconds: dict[str, list[float]] = {name: [] for name in asked}
    for repeat in range(repeats + 1):
        for name, one in asked.items():
            started = time.perf_counter()
            intervene = {name: one} if one else None
            record(network, probe, folder / "intervened.h5", context=10, intervene=intervene)
            if repeat:
                seconds[name].append(time.perf_counter() - started)
    without = median(seconds["none"])
    return [
        {"measure": "intervention", "what": name, "seconds": median(taken), "ratio": median(taken) / without}
        for name, taken in seconds.items()
    ]


def memory(task: str, *arguments: str | int | Path) -> dict[str, Any]:
    """Peak memory of one task beyond an idle process, and in all, in a process of its own."""
    argument = json.dumps([task, *map(str, arguments)])
    command = [sys.executable, "-m", "benchmarks.speed.recording", "--only", argument]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    idle, peak, seconds = map(float, done.stdout.split())
    return {
        "measure": "memory",
        "what": task,
        "peak_mb": peak / 1e6,
        "idle_mb": idle / 1e6,
        "seconds": seconds,
    }


def do_one(task: str, *arguments: str) -> None:
    """Do one task and print memory and time."""
    torch.nn.functional.conv2d(torch.zeros(1, 1, 3, 3), torch.zeros(1, 1, 3, 3))
    idle, started = resident(), time.perf_counter()
    if task == "record":
        record_trials(int(arguments[0]), Path(arguments[1]))
    elif task == "mean over trial":
        open_recording(arguments[0]).state.mean("trial").isel(flow=0).compute()
    else:
        equivariance_error.analyse(open_recording(arguments[0])).compute()
    print(idle, resident(), time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5, help="recordings of each; the median counts")
    parser.add_argument("--into", type=Path, default=Path("results/benchmarks"))
    parser.add_argument("--only", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        do_one(*json.loads(arguments.only))
        return
    arguments.into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = throughput(folder, arguments.repeats)
        rows += interventions(folder, arguments.repeats)
        for trials in (SMALL, LARGE):
            file = folder / f"{trials}.h5"
            rows.append({**memory("record", trials, file), "megabytes": TRIAL_MB * trials})
            for task in ("mean over trial", "equivariance error"):
                rows.append({**memory(task, file), "megabytes": TRIAL_MB * trials})
    table = pd.DataFrame(rows).assign(threads=torch.get_num_threads(), commit=commit())
    table.to_csv(arguments.into / "recording.csv", index=False, float_format="%.4g")
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
