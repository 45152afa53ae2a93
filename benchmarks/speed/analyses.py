"""What analyses of long recordings cost: time and memory, from 2 to 20 GB.

``python -m benchmarks.speed.analyses`` writes ``analyses.csv`` and ``analyses.png`` into ``results/benchmarks``. A
FERNN with 25 velocities and 16 channels watches a probe of nine flows, 20 frames of 28x28 px; its states, 225
MB a trial, are repeated over trials as they lie on disk, until there are as many as asked. Sizes are those of
the states before compression. Each analysis reads each recording in a process of its own;
``representational_similarity`` compares the states of eight trials, and reads no others.
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

from benchmarks.speed.time_and_memory import resident
from benchmarks.speed.recording import make
from flowsim import ideas, open_recording
from flowsim.files import netcdf
from flowsim.files.hdf5_chunks import FILTERS
from flowsim.progress import Progress, listening

ANALYSES = ("equivariance_error", "linear_decoding", "representational_similarity")
TRIALS, LIMIT = 9, 3000
"""Trials that are recorded, and MB that an analysis should stay below."""


def repeated(source: Path, trials: int, into: Path) -> None:
    """Write a recording of so many trials, which are those of another over and over."""
    which = np.arange(trials)
    with netcdf.read(source, "recording") as own:
        which %= own.sizes["trial"]
        small = own.drop_vars("state").isel(trial=which)
        small.attrs = {k: v for k, v in own.attrs.items() if not k.startswith("checksum_")}
        small.to_netcdf(into, engine="h5netcdf")
    with h5netcdf.File(source) as old, h5netcdf.File(into, "a") as new:
        taken = old["state"]
        for name, size in zip(taken.dimensions, taken.shape, strict=True):
            if name not in new.dimensions:
                new.dimensions[name] = size
        options = {"chunks": taken.chunks, "fillvalue": np.nan, **FILTERS["gzip"]}
        state = new.create_variable("state", taken.dimensions, taken.dtype, **options)
        stored = taken._h5ds.id
        for i in range(stored.get_num_chunks()):
            first = stored.get_chunk_info(i).chunk_offset
            content = stored.read_direct_chunk(first)[1]
            for trial in np.flatnonzero(which == first[1]):
                state._h5ds.id.write_direct_chunk((first[0], int(trial), *first[2:]), content)


def measured(analysis: str, recording: Path) -> dict[str, Any]:
    """Seconds, peak memory and trials read of one analysis of one recording, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.speed.analyses", "--only", json.dumps([analysis, str(recording)])]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command)} failed; see above")
    idle, peak, seconds, read = map(float, ran.stdout.split())
    memory = {"peak_mb": peak / 1e6, "idle_mb": idle / 1e6}
    return {"analysis": analysis, "trials_read": int(read), "seconds": seconds, **memory}


def only(analysis: str, recording: str) -> None:
    """Do one analysis, with its progress on stderr, and print memory, time and how many trials it used."""
    chosen = ideas.load("analysis", analysis)
    idle, started = resident(), time.perf_counter()
    with open_recording(recording) as opened, Progress(analysis, 1, "blocks") as bar, listening(bar.told):
        results = chosen.analyse(opened).compute()
        read = int(results.trials.max()) if "trials" in results else opened.sizes["trial"]
    print(idle, resident(), time.perf_counter() - started, read)


def draw(table: pd.DataFrame, into: Path) -> None:
    """Time and peak memory against size."""
    mpl.use("agg")
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.5), layout="constrained")
    analyses = table.groupby("analysis")
    for colour, (name, of) in zip(sns.color_palette("colorblind", len(analyses)), analyses, strict=True):
        left.loglog(of.gigabytes, of.seconds, "o-", color=colour, label=name)
        right.semilogx(of.gigabytes, of.peak_mb / 1e3, "o-", color=colour)
        left.plot(
            of.gigabytes, of.seconds.iloc[-1] * of.trials_read / of.trials_read.iloc[-1], ":", color=colour
        )
    right.axhline(LIMIT / 1e3, color="grey", ls="--", lw=0.8)
    left.set(ylabel="time (s)", title="dotted: proportional to what is read")
    right.set(ylabel="peak memory (GB)", ylim=(0, None), title="dashed: the limit")
    for ax in (left, right):
        ax.set(xlabel="states before compression (GB)")
        ax.set_xticks(table.gigabytes.unique(), [f"{size:.3g}" for size in table.gigabytes.unique()])
        ax.minorticks_off()
    left.legend(frameon=False)
    fig.savefig(into, dpi=150)


def main() -> None:
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
    arguments = parser.parse_args()
    if arguments.only:
        only(*json.loads(arguments.only))
        return
    arguments.into.mkdir(parents=True, exist_ok=True)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    where = {"threads": torch.get_num_threads(), "cores": CPU_COUNT, "commit": commit}
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        source, long = Path(name) / "recorded.h5", Path(name) / "long.h5"
        make(TRIALS, source)
        with open_recording(source) as recorded:
            one = recorded.state.nbytes / 1e9 / TRIALS
        for size in arguments.sizes:
            trials = max(2, round(size / one))
            repeated(source, trials, long)
            what = {"gigabytes": trials * one, "trials": trials, "stored_gb": long.stat().st_size / 1e9}
            for analysis in ANALYSES:
                row = {**what, **measured(analysis, long)}
                rows.append(
                    {**row, "mb_per_second": 1e3 * row["trials_read"] * one / row["seconds"], **where}
                )
                table = pd.DataFrame(rows)
                table.to_csv(arguments.into / "analyses.csv", index=False, float_format="%.4g")
            long.unlink()
    draw(table, arguments.into / "analyses.png")
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
