"""Results of one analysis for several runs, side by side: what a figure is drawn from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import xarray as xr

from flowsim.dataset import load, read
from flowsim.errors import InputError


def runs(paths: Sequence[str | Path], analysis: str) -> xr.Dataset:
    """Results of one analysis for several runs, along ``run``, with coordinates ``network`` and ``seed``.

    Raises
    ------
    InputError
        If a file is missing, damaged or holds results of another analysis.
    """
    results = []
    for path in paths:
        result = load(read(path, "analysis"), path)
        of = json.loads(result.attrs.get("specification", "{}")).get("analysis", analysis)
        if of != analysis:
            raise InputError(f"{path}: expected results of {analysis}; these are of {of}")
        network, seed = result.attrs.get("network", Path(path).stem), result.attrs.get("seed", "")
        run = {"network": ("run", [network]), "seed": ("run", [seed]), "run": [f"{network}-seed{seed}"]}
        results.append(result.expand_dims("run").assign_coords(run))
    return xr.concat(
        results, "run", combine_attrs="drop_conflicts", join="outer", data_vars="all", coords="minimal",
        compat="override",
    )  # fmt: skip
