"""What analyses of long recordings cost: time and memory, from 2 to 20 GB.

``python -m benchmarks.speed.analyses`` writes ``analyses.csv`` and ``analyses.png`` into
``results/benchmarks``. A FERNN with 25 velocities and 16 channels watches a probe of nine flows, 20 frames of
28x28 px; its states, 225 MB a trial, are repeated over trials as they lie on disk, up to the size that is
measured. Sizes are those of the states before compression. Each analysis reads each recording in a process of
its own; ``representational_similarity`` compares the states of eight trials, and reads no others.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import h5netcdf
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from dask.system import CPU_COUNT

from benchmarks.speed.recording import CODEC, record_trials
from benchmarks.speed.time_and_memory import ROOT, commit, resident
from flowsim import ideas, open_recording
from flowsim.files import netcdf
from flowsim.progress import Progress, listening

ANALYSES = ("equivariance_error", "linear_decoding", "representational_similarity")
TRIALS = 9
"""Trials that are recorded."""
LIMIT_MB = 3000
"""Memory that an analysis should stay below."""


def repeated(source: Path, trials: int, into: Path) -> None:
    """Write a recording of so many trials, which are those of another over and over."""
    with netcdf.read(source, "recording") as recording:
        which = np.arange(trials) % recording.sizes["trial"]
        rest = recording.drop_vars("state").isel(trial=which)
        rest.attrs = {k: v for k, v in recording.attrs.items() if not k.startswith("checksum_")}
        rest.to_netcdf(into, engine="h5netcdf")
    with h5netcdf.File(source) as old, h5netcdf.File(into, "a") as new:
        state = old["state"]
        for name, size in zip(state.dimensions, state.shape, strict=True):
            if name not in new.dimensions:
                new.dimensions[name] = size
        options = {"chunks": state.chunks, "fillvalue": np.nan, **CODEC}
        longer = new.create_variable("state", state.dimensions, state.dtype, **options)
        copy_chunks(state._h5ds.id, longer._h5ds.id, which)


def copy_chunks(old: Any, new: Any, which: np.ndarray) -> None:
    """Copy compressed chunks as they are; trial n of the new dataset is trial ``which[n]`` of the old."""
    for number in range(old.get_num_chunks()):
        flow, trial, *rest = old.get_chunk_info(number).chunk_offset
        content = old.read_direct_chunk((flow, trial, *rest))[1]
        for copy in np.flatnonzero(which == trial):
            new.write_direct_chunk((flow, int(copy), *rest), content)


def measured(analysis: str, recording: Path) -> dict[str, Any]:
    """Seconds, peak memory and trials read of one analysis of one recording, in a process of its own."""
    argument = json.dumps([analysis, str(recording)])
    command = [sys.executable, "-m", "benchmarks.speed.analyses", "--only", argument]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed; see above")
    idle, peak, seconds, trials = map(float, done.stdout.split())
    memory = {"peak_mb": peak / 1e6, "idle_mb": idle / 1e6}
    return {"analysis": analysis, "trials_read": int(trials), "seconds": seconds, **memory}


def do_one(analysis: str, recording: str) -> None:
    """Do one analysis, with its progress on stderr, and print memory, time and how many trials it used."""
    module = ideas.load("analysis", analysis)
    idle, started = resident(), time.perf_counter()
    with open_recording(recording) as opened, Progress(analysis, 1, "blocks") as bar, listening(bar.listen):
        results = module.analyse(opened).compute()
        trials = int(results.trials.max()) if "trials" in results else opened.sizes["trial"]
    print(idle, resident(), time.perf_counter() - started, trials)


def draw(table: pd.DataFrame, into: Path) -> None:
    """Time and peak memory against size."""
    mpl.use("agg")
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.5), layout="constrained")
    analyses = table.groupby("analysis")
    for colour, (name, rows) in zip(sns.color_palette("colorblind", len(analyses)), analyses, strict=True):
        proportional = rows.seconds.iloc[-1] * rows.trials_read / rows.trials_read.iloc[-1]
        left.loglog(rows.gigabytes, rows.seconds, "o-", color=colour, label=name)
        left.plot(rows.gigabytes, proportional, ":", color=colour)
        right.semilogx(rows.gigabytes, rows.peak_mb / 1e3, "o-", color=colour)
    right.axhline(LIMIT_MB / 1e3, color="grey", ls="--", lw=0.8)
    left.set(ylabel="time (s)", title="dotted: proportional to what is read")
    right.set(ylabel="peak memory (GB)", ylim=(0, None), title="dashed: the limit")
    for ax in (left, right):
        ax.set(xlabel="states before compression (GB)")
        ax.set_xticks(table.gigabytes.unique(), [f"{size:.3g}" for size in table.gigabytes.unique()])
        ax.minorticks_off()
    left.legend(frameon=False)
    fig.savefig(into, dpi=150)


def arguments_from_command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sizes", type=float, nargs="+", default=[2, 6, 20], metavar="GB", help="of the recordings"
    )
    parser.add_argument("--into", type=Path, default=Path("results/benchmarks"))
    parser.add_argument(
        "--folder", type=Path, help="where recordings may lie meanwhile; needs half of the largest size"
    )
    parser.add_argument("--only", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    arguments = arguments_from_command_line()
    if arguments.only:
        do_one(*json.loads(arguments.only))
        return
    arguments.into.mkdir(parents=True, exist_ok=True)
    machine = {"threads": torch.get_num_threads(), "cores": CPU_COUNT, "commit": commit()}
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        source, long = Path(name) / "recorded.h5", Path(name) / "long.h5"
        record_trials(TRIALS, source)
        with open_recording(source) as recorded:
            trial_gb = recorded.state.nbytes / 1e9 / TRIALS
        for size in arguments.sizes:
            trials = max(2, round(size / trial_gb))
            repeated(source, trials, long)
            sizes = {"gigabytes": trials * trial_gb, "trials": trials, "stored_gb": long.stat().st_size / 1e9}
            for analysis in ANALYSES:
                row = {**sizes, **measured(analysis, long)}
                row["mb_per_second"] = 1e3 * row["trials_read"] * trial_gb / row["seconds"]
                rows.append({**row, **machine})
                table = pd.DataFrame(rows)
                table.to_csv(arguments.into / "analyses.csv", index=False, float_format="%.4g")
            long.unlink()
    draw(table, arguments.into / "analyses.png")
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
