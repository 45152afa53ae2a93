"""The paper's tables, with what was measured here beside every published number.

``python -m benchmarks.paper`` collects what the experiments left in ``results/<experiment>`` into
``results/reference/paper.csv``, one row per run and measure, keeps rows of experiments that are not on this
machine, and writes ``paper.md`` and its figures from that table. ``--possible`` prints the reports that this
machine can make, for ``make reference``.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import xarray as xr

from benchmarks.paper.page import write
from flowsim.experiment.read import read, runs
from flowsim.files import netcdf

SMALL = ["flowing_mnist_small", "flowing_mnist_velocity_small"]
PUBLISHED = [
    *("flowing_mnist", "flowing_mnist_velocity", "flowing_mnist_controls"),
    *("rotating_mnist", "rotating_mnist_velocity", "moving_kth", "moving_actions"),
]
FIGURES = ("training_speed", "length_generalisation", "velocity_generalisation", "classification_accuracy")
AHEAD = (10, 70)
"""Predicted frames between which an error may grow: the trained horizon and seven times that."""


def measures(analysis: str, result: xr.Dataset) -> dict[str, float]:
    """The numbers that are kept of one analysis of one run."""
    if analysis == "prediction_error":
        return {"mse": float(result.mse.mean())}
    if analysis == "length_generalisation":
        at = {f"mse_{ahead}": float(result.mse.sel(ahead=ahead)) for ahead in AHEAD}
        return {**at, f"mse_mean_{AHEAD[1]}": float(result.mse_mean.sel(ahead=AHEAD[1]))}
    if analysis == "velocity_generalisation":
        return {name: float(result[name]) for name in ("mse_trained", "mse_novel")}
    if analysis == "equivariance_error":
        moving = result.error.isel(flow=slice(1, None)).max(("flow", "time"))
        return {"law_error": float(moving.sel(law="transport+shift")), "best_law_error": float(moving.min())}
    if analysis == "classification_accuracy":
        speed = abs(xr.concat([result.vy + 0 * result.vx, result.vx + 0 * result.vy], "component")).max(
            "component"
        )
        by = {f"accuracy_speed_{s}": float(result.accuracy.where(speed == s).mean()) for s in (0, 1, 2)}
        return {"accuracy": float(result.accuracy.mean()), **by}
    return {}


def collected(folder: Path, experiment: str) -> Iterator[dict[str, Any]]:
    """Rows of one experiment whose report is in ``folder``."""
    block = read(f"experiments/{experiment}.yaml")
    for run, (network, seed) in runs(block).items():
        recording = netcdf.read(folder / f"recordings/{run}/test.h5", "recording").attrs
        curve = netcdf.read(folder / f"analyses/training_speed/{run}.h5", "analysis")
        about = {
            "experiment": experiment,
            "network": network,
            "seed": seed,
            "sequences": int(curve.sequences[-1]),
            "partial": recording.get("partial", ""),
            "minutes": recording["training_seconds"] / 60,
            "hardware": recording["hardware"],
            "parameters": int(recording["parameters"]),
            "commit": recording["commit"][:9] + "+changes" * recording["commit"].endswith("+changes"),
            "date": date.fromtimestamp((folder / f"models/{run}.pt").stat().st_mtime).isoformat(),
        }
        for analysis in block.analyse:
            file = folder / f"analyses/{analysis}/{run}.h5"
            for measure, value in measures(analysis, netcdf.read(file, "analysis")).items():
                yield {**about, "measure": measure, "value": value}


def read_table(path: Path) -> pd.DataFrame:
    """The table as it was written."""
    return pd.read_csv(path, keep_default_na=False, dtype={"commit": str})


def possible() -> list[str]:
    """Experiments that can be run here: those for a GPU where there is one, KTH's where its videos are."""
    names = SMALL + (PUBLISHED if torch.cuda.is_available() else [])
    kth = Path(os.environ.get("FLOWSIM_DATA", ""))
    there = any((folder / "00sequences.txt").is_file() for folder in (kth, kth / "kth"))
    return [name for name in names if name != "moving_kth" or there]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--possible", action="store_true", help="print the reports that this machine can make"
    )
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--into", type=Path, default=Path("results/reference"))
    arguments = parser.parse_args()
    if arguments.possible:
        print(*(f"{arguments.results}/{name}/report.html" for name in possible()))
        return
    arguments.into.mkdir(parents=True, exist_ok=True)
    here = [name for name in SMALL + PUBLISHED if (arguments.results / name / "report.html").is_file()]
    rows = [row for name in here for row in collected(arguments.results / name, name)]
    table, kept = pd.DataFrame(rows), arguments.into / "paper.csv"
    if kept.is_file():
        before = read_table(kept)
        table = pd.concat([before[~before.experiment.isin(here)], table], ignore_index=True)
    if table.empty:
        raise SystemExit(
            "expected results of at least one experiment of the paper; run `make reference` first"
        )
    table.to_csv(kept, index=False, float_format="%.4g")
    for name in here:
        for figure in FIGURES:
            drawn = arguments.results / name / "figures" / f"{figure}.png"
            if drawn.is_file():
                shutil.copyfile(drawn, arguments.into / f"{name}-{figure}.png")
    write(read_table(kept), arguments.into / "paper.md")
    print(f"wrote {kept} and {arguments.into / 'paper.md'}, from {', '.join(here) or 'the table alone'}")


if __name__ == "__main__":
    main()
