"""What was found at every point of a sweep, as one table: a row for each answer of each run.

Beside the columns of every table of results (``run``, ``network``, ``seed``, ``variable``, that is, the label
of the answer, ``value``, ``units``), a row has the analysis and what the report needs to know of the answer
(``better``, ``scale``, ``low`` and ``high``, its bounds), the name of the ``point``, its place on each axis
(``level_0``, ...), and a column for each setting that is swept. A result that could not be judged is a row
without a variable that says why.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from flowsim import ideas
from flowsim.effects import UNBOUNDED, differences
from flowsim.errors import CannotJudge, InputError
from flowsim.experiment.read import runs
from flowsim.experiment.schema import Experiment
from flowsim.experiment.sweep import Axis, Point, axes, points
from flowsim.files.atomic import existing, whole
from flowsim.files.results import answers_of, every_run, side_by_side
from flowsim.views.words import NOTHING

ABOUT = ("run", "network", "seed", "variable", "analysis", "point")
OF_ANSWER = ("units", "better", "scale", "low", "high")
OF_RESULT = ("partial", "unjudged")
TEXTS = ("run", "variable", "analysis", "point", "units", "better", "scale", *OF_RESULT)


def table_of(
    experiment: Experiment, analysis: str, results: Path, not_made: Mapping[Path, str] | None = None
) -> pd.DataFrame:
    """The answers of one analysis at every point.

    Parameters
    ----------
    experiment : Experiment
        With a sweep.
    analysis : str
    results : path
        The experiment's folder.
    not_made : mapping of path to str, optional
        Results that are not there, and why.

    Returns
    -------
    DataFrame
        See the docstring of this file.

    Raises
    ------
    InputError
        If another result is missing or damaged, or those of one point do not go together.
    """
    split = ideas.load("analysis", analysis).READS
    swept = axes(experiment)
    rows: list[dict[str, Any]] = []
    found: dict[tuple[Path, ...], list[dict[str, Any]]] = {}
    for point in points(experiment):
        about = {"analysis": analysis, "point": point.name, **placed(swept, point)}
        names = [point.result(run, split) for run in runs(point.experiment)]
        paths = tuple(results / "analyses" / analysis / f"{name}.h5" for name in names)
        if paths not in found:
            found[paths] = _found(analysis, paths, point, not_made or {})
        rows += [row | about for row in found[paths]]
    return pd.DataFrame(rows, columns=columns_of(swept))


def of_nothing(experiment: Experiment, analysis: str, reason: str) -> pd.DataFrame:
    """A table whose only row says why an analysis of the user's gives no answers."""
    row = dict.fromkeys(TEXTS, "") | {"run": analysis, "analysis": analysis, "unjudged": reason}
    return pd.DataFrame([row], columns=columns_of(axes(experiment)))


def placed(swept: Sequence[Axis], point: Point) -> dict[str, Any]:
    """Where a point is on each axis, and what is set there."""
    found: dict[str, Any] = {}
    for number, (axis, level) in enumerate(zip(swept, point.place, strict=True)):
        found[f"level_{number}"] = level
        for path, value in axis.levels[level].settings.items():
            found[path] = value if isinstance(value, int | float | str) else json.dumps(value)
    return found


def columns_of(swept: Sequence[Axis]) -> list[str]:
    """Names of all columns."""
    paths = dict.fromkeys(path for axis in swept for level in axis.levels for path in level.settings)
    levels = [f"level_{number}" for number in range(len(swept))]
    return [*ABOUT, *levels, *paths, "value", *OF_ANSWER, *OF_RESULT]


def _found(
    analysis: str, paths: Sequence[Path], point: Point, not_made: Mapping[Path, str]
) -> list[dict[str, Any]]:
    """A row for each answer of each run at one point."""
    every = every_run(paths, not_made)
    of_run = []
    for number, (variant, seed) in enumerate(runs(point.experiment).values()):
        of_run.append(
            {
                "network": point.networks[variant],
                "seed": seed,
                "run": paths[number].stem,
                "partial": str(every.partial.values[number]),
                "unjudged": str(every.refused.values[number]),
            }
        )
    nothing = dict.fromkeys(("variable", "units", "better", "scale"), "") | {"value": math.nan}
    unjudged = [row | nothing for row in of_run if row["unjudged"]]
    try:
        answers = answers_of(analysis, side_by_side(paths, analysis, not_made))
    except CannotJudge:
        return unjudged
    rows = []
    for label, values in answers.items():
        by_run = dict(zip(values.run.values.tolist(), values.values.tolist(), strict=True))
        about = about_answer(values)
        for name, row in zip(every.run.values.tolist(), of_run, strict=True):
            if not row["unjudged"]:
                rows.append(row | about | {"variable": label, "value": float(by_run[name])})
    return rows + unjudged


def about_answer(values: xr.DataArray) -> dict[str, Any]:
    """What the report has to know of an answer."""
    low, high = values.attrs.get("bounds", UNBOUNDED)
    return {
        "units": values.attrs.get("units", ""),
        "better": values.attrs.get("better", ""),
        "scale": values.attrs.get("scale", ""),
        "low": float(low),
        "high": float(high),
    }


def write(table: pd.DataFrame, into: Path) -> None:
    """A table as CSV, with 7 significant digits; a setting that is missing at a point is an empty cell."""
    with whole(into) as temporary:
        table.to_csv(temporary, index=False, float_format="%.7g")


def read(path: Path) -> pd.DataFrame:
    """A table that was written.

    Raises
    ------
    InputError
        If it is not there, or has other columns.
    """
    texts = dict.fromkeys(TEXTS, str)
    try:
        table = pd.read_csv(
            existing(path, "the table of a sweep"), keep_default_na=False, na_values=[""], dtype=texts
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected the table of a sweep; {error}. Make it again") from None
    lacking = [name for name in (*ABOUT, "value", *OF_ANSWER, *OF_RESULT) if name not in table]
    if lacking:
        raise InputError(
            f"{path}: expected the table of a sweep; it has no column {lacking[0]!r}. Make it again"
        )
    return table.fillna(dict.fromkeys(TEXTS, ""))


def collected(experiment: Experiment, results: Path) -> pd.DataFrame:
    """The tables of all analyses in the folder of figures, one below the other."""
    tables = [read(results / "figures" / f"{name}.csv") for name in experiment.analyse]
    return pd.concat(tables, ignore_index=True)


def known(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that have a value, answers in the order of the table."""
    rows = table[table.variable != ""]
    order = {label: place for place, label in enumerate(dict.fromkeys(rows.variable))}
    return rows.dropna(subset="value").sort_values("variable", key=lambda v: v.map(order), kind="stable")


def by_ratio(rows: pd.DataFrame) -> bool:
    """Whether an answer has geometric means and ratios: its ``scale`` says so, and no value is 0."""
    return bool((rows.scale == "ratio").all() and not (rows.value < NOTHING).any())


def as_runs(rows: pd.DataFrame, groups: Sequence[Any]) -> xr.DataArray:
    """Values of an answer as `flowsim.effects` takes them: (run), with what is compared as ``network``."""
    return xr.DataArray(
        rows.value.to_numpy(float),
        dims="run",
        coords={
            "run": np.arange(len(rows)),
            "network": ("run", np.array([str(group) for group in groups], dtype=object)),
            "seed": ("run", rows.seed.to_numpy()),
        },
    )


def bounds_of(rows: pd.DataFrame) -> tuple[float, float]:
    """The least and the largest value that an answer can have."""
    return float(rows.low.iloc[0]), float(rows.high.iloc[0])


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds of one answer of one network at each point, with an interval.

    Returns
    -------
    DataFrame
        By point: ``n`` seeds, ``mean`` (geometric where the answer is compared by ratio), ``mean_low``,
        ``mean_high``: NaN for one seed, and where seeds have no spread.
    """
    names = list(dict.fromkeys(rows.point))
    ratio = by_ratio(rows)
    found = differences(as_runs(rows, rows.point.tolist()), names[0], ratio, bounds_of(rows))
    return found.loc[names, ["n", "mean", "mean_low", "mean_high"]].rename_axis("point")
