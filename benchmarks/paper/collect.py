"""The numbers of the paper's tables, out of what experiments left in ``results/<experiment>``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from analysis import equivariance_error
from flowsim.experiment.read import read, runs
from flowsim.files import netcdf

AHEAD = (10, 70)
"""Predicted frames between which an error may grow: the trained horizon and seven times that."""
SPEEDS = (0, 1, 2)
"""Speeds of the camera at which accuracy is reported, in px/frame."""


def measures(analysis: str, result: xr.Dataset) -> dict[str, float]:
    """The numbers of one analysis of one run that the tables show; none for other analyses."""
    if analysis == "prediction_error":
        return {"mse": float(result.mse.mean())}
    if analysis == "length_generalisation":
        errors = {f"mse_{ahead}": float(result.mse.sel(ahead=ahead)) for ahead in AHEAD}
        mean_frame = result.predictor_mse.sel(predictor="mean frame", ahead=AHEAD[1])
        return {**errors, f"mse_mean_{AHEAD[1]}": float(mean_frame)}
    if analysis == "velocity_generalisation":
        return {name: float(result[name]) for name in ("mse_trained", "mse_novel")}
    if analysis == "equivariance_error":
        worst = equivariance_error.summary(result).worst
        return {"law_error": float(worst.sel(law="transport+shift")), "best_law_error": float(worst.min())}
    if analysis == "classification_accuracy":
        return accuracies(result)
    return {}


def accuracies(result: xr.Dataset) -> dict[str, float]:
    """Accuracy over all velocities of the camera, and at each speed, the larger of abs(vy) and abs(vx)."""
    vy, vx = xr.broadcast(result.vy, result.vx)
    speed = xr.concat([abs(vy), abs(vx)], "component").max("component")
    by_speed = {f"accuracy_speed_{s}": float(result.accuracy.where(speed == s).mean()) for s in SPEEDS}
    return {"accuracy": float(result.accuracy.mean()), **by_speed}


def collected(folder: Path, experiment: str) -> Iterator[dict[str, Any]]:
    """Rows of one experiment whose report is in ``folder``: one per run and measure."""
    block = read(f"experiments/{experiment}.yaml")
    for run, (network, seed) in runs(block).items():
        about = {"experiment": experiment, "network": network, "seed": seed, **about_run(folder, run)}
        for analysis in block.analyse:
            file = folder / f"analyses/{analysis}/{run}.h5"
            for measure, value in measures(analysis, netcdf.read(file, "analysis")).items():
                yield {**about, "measure": measure, "value": value}


def about_run(folder: Path, run: str) -> dict[str, Any]:
    """How one network was trained: on how much, where, when, and by which commit."""
    recording = netcdf.read(folder / f"recordings/{run}/test.h5", "recording").attrs
    curve = netcdf.read(folder / f"analyses/training_speed/{run}.h5", "analysis")
    changed = recording["commit"].endswith("+changes")
    return {
        "sequences": int(curve.sequences[-1]),
        "partial": recording.get("partial", ""),
        "minutes": recording["training_seconds"] / 60,
        "hardware": recording["hardware"],
        "parameters": int(recording["parameters"]),
        "commit": recording["commit"][:9] + ("+changes" if changed else ""),
        "date": date.fromtimestamp((folder / f"models/{run}.pt").stat().st_mtime).isoformat(),
    }


def read_table(path: Path) -> pd.DataFrame:
    """A table of such rows, as it was written."""
    return pd.read_csv(path, keep_default_na=False, dtype={"commit": str})
