"""Results of one analysis for several runs side by side, from which figures are drawn, and as a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from flowsim import ideas
from flowsim.errors import CannotJudge, InputError
from flowsim.files.atomic import whole
from flowsim.files.netcdf import load, read, read_attributes

PROVENANCE = {
    *("stage", "format", "specification", "inputs", "versions", "commit"),
    *("network", "seed", "partial", "refused", "stimulus"),
}
"""Attributes that say where results come from; the others are of the analysis."""


def results_of(analysis: ModuleType, recording: xr.Dataset, arguments: dict[str, Any]) -> xr.Dataset:
    """What ``analyse`` makes of a recording, computed, and without saying that it is a recording: xarray may
    have passed on the attributes.

    Raises
    ------
    InputError
        If it is no Dataset, or has a variable that no file can hold.
    """
    results = analysis.analyse(recording, **arguments)
    if not isinstance(results, xr.Dataset):
        raise InputError(
            f"{ideas.file_of(analysis)}: expected analyse to return an xarray.Dataset; got "
            f"{type(results).__name__}"
        )
    objects = [str(name) for name, values in results.data_vars.items() if values.dtype.kind == "O"]
    if objects:
        raise InputError(
            f"{ideas.file_of(analysis)}: expected results of numbers or text; got objects of Python in "
            f"{', '.join(objects)}"
        )
    own = {key: value for key, value in results.attrs.items() if key not in PROVENANCE}
    return results.drop_attrs(deep=False).assign_attrs(own).compute()


def side_by_side(
    paths: Sequence[str | Path], analysis: str, not_made: Mapping[Path, str] | None = None
) -> xr.Dataset:
    """Results of one analysis for several runs, along ``run``, with coordinates ``network``, ``seed`` and
    ``partial``.

    Where the training of one of its seeds was stopped by its budget, a network's name ends in "(partial)" in
    every table and figure; ``partial`` says after how many sequences. Along dimensions that number what a
    network has, such as its units, runs with fewer have NaN. An attribute of the analysis that differs is a
    coordinate over ``run`` too, and as an attribute a text that names all its values; see `shared`. Runs that
    could not be judged are left out; the attribute ``refused`` is a mapping of their names to the reasons.

    Parameters
    ----------
    paths : sequence of path
        Results of one run each.
    analysis : str
        Name of the analysis.
    not_made : mapping of path to str, optional
        Those of the paths that are not there, and why; such a run counts as one that could not be judged.

    Raises
    ------
    CannotJudge
        If no run could be judged.
    InputError
        If a file is missing, damaged or holds results of another analysis, or what stands at one place is not
        the same thing in all runs: sizes, flows, trials or units differ.
    """
    results = []
    for path in paths:
        if Path(path) in (not_made or {}):
            results.append(xr.Dataset())
            continue
        result = load(read(path, "analysis"), path)
        named_analysis = json.loads(result.attrs.get("specification", "{}")).get("analysis", analysis)
        if named_analysis != analysis:
            raise InputError(f"{path}: expected results of {analysis}; these are of {named_analysis}")
        results.append(result)
    _check_different(results, paths)
    every = every_run(paths, not_made)
    judged = np.flatnonzero(every.refused.values == "")
    refused = {
        str(run): str(why) for run, why in zip(every.run.values, every.refused.values, strict=True) if why
    }
    if not judged.size:
        whys = "; ".join(f"{run}: {why}" for run, why in refused.items())
        raise CannotJudge(f"no run could be judged by {analysis}. {whys}")
    known = every.isel(run=judged).drop_vars("refused")
    results = [
        results[i].expand_dims("run").assign_coords(known.isel(run=[n]).coords) for n, i in enumerate(judged)
    ]
    for other in results[1:]:
        _check_alike(results[0], other, analysis)
    together = xr.concat(
        results,
        "run",
        combine_attrs="drop_conflicts",
        join="outer",
        data_vars="all",
        coords="different",
        compat="equals",
    )
    together = together.assign_coords({n: ("run", v) for n, v in _differing(results).items()})
    for name, values in _differing(results).items():
        together.attrs[name] = ", ".join(dict.fromkeys(map(str, values)))
    together.attrs["refused"] = refused
    return together


def _check_different(results: Sequence[xr.Dataset], paths: Sequence[str | Path]) -> None:
    """Raise an error unless these are of different runs, asked the same under the same stimulus, as far as
    they say so.
    """
    runs: dict[tuple[str, str], str | Path] = {}
    recordings: dict[str, str | Path] = {}
    there = [(path, result.attrs) for path, result in zip(paths, results, strict=True) if result.attrs]
    for path, attrs in there:
        if {"network", "seed"} <= set(attrs):
            other = runs.setdefault((attrs["network"], attrs["seed"]), path)
            if other is not path:
                raise InputError(
                    f"{path}: expected results of another run than {other}; both are of "
                    f"{attrs['network']}-seed{attrs['seed']}. Give each run once"
                )
        recorded = str(attrs.get("inputs", "{}"))
        sums = [value for name, value in json.loads(recorded).items() if not str(name).endswith(".py")]
        same = recordings.setdefault(sums[0], path) if len(sums) == 1 else path
        if same is not path:
            raise InputError(
                f"{path}: expected results of another recording than {same}; both name the same (sha256 "
                f"{sums[0][:16]}). Give each recording once"
            )
        for name in ("specification", "stimulus"):
            expected = there[0][1].get(name)
            if None not in (expected, attrs.get(name)) and attrs[name] != expected:
                raise InputError(
                    f"{path}: expected the same {name} as of {there[0][0]}; it has {attrs[name]}, the other "
                    f"{expected}. Record and analyse all runs alike"
                )


def every_run(paths: Sequence[str | Path], not_made: Mapping[Path, str] | None = None) -> xr.Dataset:
    """Names of the runs whose results these are, as coordinates over ``run``: ``network``, ``seed``,
    ``partial``, and ``refused``, why a run could not be judged; "" where it was. A run that is ``not_made``
    is named by its path.
    """
    rows = []
    for path in paths:
        if Path(path) in (not_made or {}):
            name, _, number = Path(path).stem.rpartition("-seed")
            rows.append((Path(path).stem, name, number, "", (not_made or {})[Path(path)]))
            continue
        attrs = read_attributes(path, "analysis")
        network, seed = attrs.get("network", Path(path).stem), attrs.get("seed", "")
        rows.append(
            (f"{network}-seed{seed}", network, seed, attrs.get("partial", ""), attrs.get("refused", ""))
        )
    run, network, seed, partial, refused = (list(column) for column in zip(*rows, strict=True))
    stopped = {name for name, text in zip(network, partial, strict=True) if text}
    of_runs = {
        "network": [f"{name} (partial)" if name in stopped else name for name in network],
        "seed": seed,
        "partial": partial,
        "refused": refused,
    }
    return xr.Dataset(coords={"run": run, **{name: ("run", values) for name, values in of_runs.items()}})


def _check_alike(first: xr.Dataset, other: xr.Dataset, analysis: str) -> None:
    """Raise an error if values at the same place of two results are not of the same thing.

    Places along a dimension with an index are found by their labels, all others by their number.
    """
    one, two = (str(result.run.values[0]) for result in (first, other))
    advice = f"Record and analyse all runs of {analysis} alike"
    for dim in set(first.sizes) & set(other.sizes) - {"run"}:
        sizes = first.sizes[dim], other.sizes[dim]
        if dim not in first.indexes and sizes[0] != sizes[1]:
            raise InputError(
                f"expected the same number of {dim} entries in all runs; {one} has {sizes[0]}, "
                f"{two} {sizes[1]}. {advice}"
            )
    for name, coordinate in first.coords.items():
        placed = coordinate.dims and not {"run", *first.indexes} & set(coordinate.dims)
        if placed and name in other.coords and not coordinate.variable.equals(other[name].variable):
            raise InputError(f"expected the same {name} in all runs; {one} and {two} differ. {advice}")
    for name, values in first.data_vars.items():
        for attribute in ("units", "long_name"):
            meant = values.attrs.get(attribute), other[name].attrs.get(attribute) if name in other else None
            if name in other and meant[0] != meant[1]:
                raise InputError(
                    f"expected the same {attribute} of {name} in all runs; {one} has {meant[0]}, "
                    f"{two} {meant[1]}"
                )


def _differing(results: Sequence[xr.Dataset]) -> dict[str, list[Any]]:
    """Attributes of the analysis that are not the same in all runs, with their values (run)."""
    names = dict.fromkeys(name for result in results for name in result.attrs)
    values = {name: [result.attrs.get(name, "") for result in results] for name in names}
    return {
        name: of_runs
        for name, of_runs in values.items()
        if name not in PROVENANCE and len(set(map(str, of_runs))) > 1
    }


def shared(results: xr.Dataset, name: str) -> Any:
    """An attribute of the analysis that has to be the same in all runs to compare them.

    Raises
    ------
    InputError
        If it differs.
    """
    if name in results.coords:
        raise InputError(
            f"expected runs with the same {name}; they have {results.attrs[name]}. Compare them apart"
        )
    return results.attrs[name]


def numbers_of(analysis: str, recording: xr.Dataset, settings: Mapping[str, Any]) -> dict[str, float]:
    """The numbers that an analysis gives to the opening table, of one recording alone, by their labels.

    Empty where the network cannot be judged: it diverged, or is dead.

    Raises
    ------
    InputError
        If there is no such analysis, or it cannot use the recording or the settings.
    """
    module = ideas.load("analysis", analysis)
    try:
        results = results_of(module, recording, dict(settings))
    except CannotJudge:
        return {}
    except InputError as error:
        raise InputError(f"{analysis}: {error}") from None
    names = {"network": ("run", ["network"]), "seed": ("run", ["0"])}
    of_run = answers_of(analysis, results.expand_dims(run=["network-seed0"]).assign_coords(names))
    return {label: float(values.values[0]) for label, values in of_run.items()}


def answers_of(analysis: str, results: xr.Dataset) -> dict[str, xr.DataArray]:
    """The numbers (run) that an analysis gives to the opening table of the report, by their labels.

    Raises
    ------
    InputError
        If they are no numbers over ``run`` and nothing else, or say ``better`` and mean neither "lower" nor
        "higher"; for an analysis of the user's, for any error in it.
    """
    module = ideas.load("analysis", analysis)
    with ideas.blamed(module.__file__):
        answers = module.answers(results)
    expected = f"{ideas.file_of(module)}: expected answers(results) to return"
    if not isinstance(answers, Mapping):
        raise InputError(f"{expected} a mapping of labels to numbers (run); got {type(answers).__name__}")
    for label, values in answers.items():
        is_array = isinstance(values, xr.DataArray)
        if (
            not is_array
            or dict(values.sizes) != {"run": results.sizes["run"]}
            or values.dtype.kind not in "biuf"
        ):
            got = f"{values.dtype} {dict(values.sizes)}" if is_array else type(values).__name__
            raise InputError(
                f"{expected} numbers over run, and over nothing else; got {got} for {label!r}. Average over "
                "the other dimensions"
            )
        if values.attrs.get("better") not in (None, "lower", "higher"):
            raise InputError(
                f"{expected} numbers whose attribute better is 'lower' or 'higher', or absent; got "
                f"{values.attrs['better']!r} for {label!r}"
            )
    of_run = {name: coord for name, coord in results.coords.items() if coord.dims == ("run",)}
    return {
        str(label): values.assign_coords({n: c for n, c in of_run.items() if n not in values.coords})
        for label, values in answers.items()
    }


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
