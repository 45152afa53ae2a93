"""The numbers of the paper's tables, out of what experiments left in ``results/<experiment>``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from analysis import equivariance_error
from benchmarks.paper.verdicts import MULTIPLES, SPEED
from flowsim.experiment.read import read, runs
from flowsim.files import netcdf
from flowsim.measures import predictors
from flowsim.pipeline.incomplete import not_made

SPEEDS = (0, 1, 2)
"""Speeds of the camera at which accuracy is reported, in px/frame."""


def measures(analysis: str, result: xr.Dataset) -> dict[str, float]:
    """The numbers of one analysis of one run that the tables show; none for other analyses."""
    if analysis == "prediction_error":
        unlearned = predictors.means(result.predictor_mse)
        return {"mse": float(result.mse.mean()), **{f"mse of {name}": e for name, e in unlearned.items()}}
    if analysis == "length_generalisation":
        within = [n for n in MULTIPLES if n * result.horizon in result.ahead]
        errors = {f"mse_{n}h": float(result.mse.sel(ahead=n * result.horizon)) for n in within}
        last = result.predictor_mse.sel(ahead=within[-1] * result.horizon)
        return {**errors, "mse_mean": predictors.means(last).get("mean frame", np.nan)}
    if analysis == "velocity_generalisation":
        return {name: float(result[name]) for name in ("mse_trained", "mse_novel")}
    if analysis == "equivariance_error":
        worst = equivariance_error.summary(result).worst
        return {"law_error": float(worst.sel(law="transport+shift")), "best_law_error": float(worst.min())}
    if analysis == "classification_accuracy":
        return accuracies(result)
    if analysis == "motion_controls":
        return controls(result)
    return {}


def accuracies(result: xr.Dataset) -> dict[str, float]:
    """Accuracy over all velocities of the camera, and at each speed, the larger of abs(vy) and abs(vx)."""
    vy, vx = xr.broadcast(result.vy, result.vx)
    speed = xr.concat([abs(vy), abs(vx)], "component").max("component")
    by_speed = {f"accuracy_speed_{s}": float(result.accuracy.where(speed == s).mean()) for s in SPEEDS}
    return {"accuracy": float(result.accuracy.mean()), **by_speed}


def controls(result: xr.Dataset) -> dict[str, float]:
    """Accuracy under each condition in which motion is taken away, and that of readouts of frames."""
    under = {
        f"accuracy_{name}": float(result.accuracy.sel(condition=name)) for name in result.condition.values
    }
    read = {f"readout_{name}": float(result.readout.sel(reads=name)) for name in result.reads.values}
    return {name.replace(" ", "_"): value for name, value in {**under, **read}.items()}


def collected(folder: Path, experiment: str) -> Iterator[dict[str, Any]]:
    """Rows of one experiment whose report is in ``folder``: one per run and measure.

    Runs that are not made yet, and the analyses that are not, have none.
    """
    block = read(f"experiments/{experiment}.yaml")
    missing = not_made(block, folder)
    lost = {path.stem for path in missing["training_speed"]}
    made = {run: of for run, of in runs(block).items() if run not in lost}
    curves = {run: learning_curve(folder, run) for run in made}
    goal = final_error({run: curves[run] for run, (network, _) in made.items() if network == "grnn"})
    for run, (network, seed) in made.items():
        about = {"experiment": experiment, "network": network, "seed": seed, **about_run(folder, run)}
        for analysis in block.analyse:
            file = folder / f"analyses/{analysis}/{run}.h5"
            if file in missing[analysis]:
                continue
            for measure, value in measures(analysis, netcdf.read(file, "analysis")).items():
                yield {**about, "measure": measure, "value": value}
        if np.isfinite(goal):
            yield {**about, "measure": SPEED, "value": sequences_until(goal, curves[run])}


def learning_curve(folder: Path, run: str) -> xr.DataArray:
    """Validation error (sequences) of one run."""
    return netcdf.read(folder / f"analyses/training_speed/{run}.h5", "analysis").valid_loss.load()


def final_error(curves: Mapping[str, xr.DataArray]) -> float:
    """The lowest validation error that a network reaches, median over its seeds; NaN if it has none."""
    return float(np.median([curve.min() for curve in curves.values()])) if curves else np.nan


def sequences_until(goal: float, curve: xr.DataArray) -> float:
    """Sequences seen at the first validation with an error of ``goal`` or less; NaN if there is none."""
    return float(curve.sequences.where(curve <= goal).min())


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
