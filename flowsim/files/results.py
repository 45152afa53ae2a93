"""Results of one analysis for several runs side by side, from which figures are drawn, and as a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from flowsim.errors import InputError
from flowsim.files.atomic import whole
from flowsim.files.netcdf import load, read


def side_by_side(paths: Sequence[str | Path], analysis: str) -> xr.Dataset:
    """Results of one analysis for several runs, along ``run``, with coordinates ``network``, ``seed`` and
    ``partial``.

    Where the training of one of its seeds was stopped by its budget, a network's name ends in "(partial)" in
    every table and figure; ``partial`` says after how many sequences.

    Parameters
    ----------
    paths : sequence of path
        Results of one run each.
    analysis : str
        Name of the analysis.

    Raises
    ------
    InputError
        If a file is missing, damaged or holds results of another analysis.
    """
    results = []
    for path in paths:
        result = load(read(path, "analysis"), path)
        named_analysis = json.loads(result.attrs.get("specification", "{}")).get("analysis", analysis)
        if named_analysis != analysis:
            raise InputError(f"{path}: expected results of {analysis}; these are of {named_analysis}")
        network = result.attrs.get("network", Path(path).stem)
        seed = result.attrs.get("seed", "")
        coords = {
            "network": ("run", [network]),
            "seed": ("run", [seed]),
            "run": [f"{network}-seed{seed}"],
            "partial": ("run", [result.attrs.get("partial", "")]),
        }
        results.append(result.expand_dims("run").assign_coords(coords))
    together = xr.concat(
        results,
        "run",
        combine_attrs="drop_conflicts",
        join="outer",
        data_vars="all",
        coords="minimal",
        compat="override",
    )
    partial = set(together.network.values[together.partial.values != ""].tolist())
    names = [f"{n} (partial)" if n in partial else n for n in together.network.values.tolist()]
    return together.assign_coords(network=("run", names))


def tidy(results: xr.Dataset, answers: Mapping[str, xr.DataArray] | None = None) -> pd.DataFrame:
    """Results (run) as a table with one row per value.

    Parameters
    ----------
    results : Dataset (run, ...)
    answers : mapping of label to DataArray (run)
        What the report says about each run; a row's ``variable`` is then the label, as in the report.

    Returns
    -------
    DataFrame
        Columns ``run``, ``network``, ``seed``, ``variable``, then every coordinate, ``value`` and ``units``.
        A dimension without a coordinate is numbered from 0; a coordinate that a variable does not have is
        missing in its rows. Missing values (NaN) have no row.
    """
    numbers = {dim: np.arange(size) for dim, size in results.sizes.items() if dim not in results.coords}
    results = results.assign_coords(numbers)
    first = ["run", "network", "seed", "variable"]
    tables = []
    for name, values in results.data_vars.items():
        known = values.rename("value").to_dataframe().reset_index().dropna(subset="value")
        tables.append(known.assign(variable=str(name), units=values.attrs.get("units", "")))
    for label, answer in (answers or {}).items():
        known = answer.rename("value").to_dataframe().reset_index().dropna(subset="value")
        tables.append(known.assign(variable=label, units=answer.attrs.get("units", "")))
    columns = [*first, *(c for c in map(str, results.coords) if c not in first), "value", "units"]
    table = pd.concat(tables, ignore_index=True)
    return table[[c for c in columns if c in table]]


def write_tidy(results: xr.Dataset, path: Path, answers: Mapping[str, xr.DataArray] | None = None) -> None:
    """`tidy` as CSV, with 7 significant digits."""
    with whole(path) as temporary:
        tidy(results, answers).to_csv(temporary, index=False, float_format="%.7g")
