"""One self-contained page about a sweep: which settings matter more than seeds do, then every answer over the
swept axes, then where it all comes from.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from flowsim import ideas
from flowsim.experiment.chain import require_chain
from flowsim.experiment.read import read, runs
from flowsim.experiment.schema import Experiment
from flowsim.experiment.sweep import Axis, Point, axes, points, results_of
from flowsim.files import netcdf
from flowsim.files.atomic import existing, whole
from flowsim.views.inline_svg import inlined, width_in_inches
from flowsim.views.report import (
    ARROWS,
    COLUMN_INCHES,
    OPEN_SECTIONS,
    SEEDS_SHOWN,
    missing_in_words,
    template,
    used_by_rules,
)
from flowsim.views.sweep_effects import comparisons, lead, level_of, sizes
from flowsim.views.sweep_table import by_ratio, known, summary
from flowsim.views.sweep_table import read as read_table
from flowsim.views.words import number, sign

STRIP = 4
"""Effects that the page opens with, as numbers."""
ROWS = 100
"""Points of a table, at most; the file has all."""


@dataclass(frozen=True)
class SweptAxis:
    """A row of the table of what was swept."""

    name: str
    levels: str
    reference: str
    count: int


@dataclass(frozen=True)
class Section:
    """One analysis: its figure, and the mean of each answer at every point, ``rows`` of ``columns``."""

    name: str
    question: str
    figure: str
    wide: bool
    columns: list[str]
    rows: list[tuple[str, str, list[tuple[str, str, float]]]]
    left_out: int
    unjudged: dict[str, str]
    command: str


def page(
    experiment_file: str | Path,
    results: Path,
    into: Path,
    not_made: Mapping[str, Mapping[Path, str]] | None = None,
) -> None:
    """Write the page.

    Parameters
    ----------
    experiment_file : path
        With a sweep.
    results : path
        The experiment's folder, with ``sweep.csv``, ``figures`` and ``logs``.
    into : path
        The HTML file; it appears whole or not at all.
    not_made : mapping of analysis to mapping of path to str, optional
        Results that are not there, and why.

    Raises
    ------
    InputError
        If a figure or the table is missing, or a file was made from other files than those that are there.
    """
    experiment = read(experiment_file)
    missing = {path: why for of_analysis in (not_made or {}).values() for path, why in of_analysis.items()}
    require_chain(experiment, results, missing)
    swept, every = axes(experiment), points(experiment)
    table = read_table(results / "sweep.csv")
    found = comparisons(table, experiment, swept)
    beyond = [one for one in found if one.is_beyond_seeds]
    html = template("sweep_report.html.j2").render(
        title=experiment.title,
        name=Path(experiment_file).stem,
        networks=list(experiment.networks),
        points=len(every),
        swept=[_axis(experiment, axis) for axis in swept],
        counted=counts(experiment, every),
        lead=lead(found, swept),
        strip=sorted(beyond, key=lambda one: one.p)[:STRIP],
        beyond=beyond,
        comparisons=len(found),
        sizes=[_size(row, swept) for row in sizes(table, swept)],
        axes=[axis.name for axis in swept],
        few=max(table.groupby(["variable", "network", "point"]).seed.nunique(), default=0) <= SEEDS_SHOWN,
        sections=[
            _section(name, table[table.analysis == name], results, experiment_file)
            for name in experiment.analyse
        ],
        partial=partial_runs(table),
        missing=missing_in_words(missing),
        provenance=provenance_of(experiment, results, missing),
        rules=used_by_rules(results / "logs", {run for point in every for run in runs(point.experiment)}),
        specification=Path(experiment_file).read_text(encoding="utf-8"),
        open_sections=OPEN_SECTIONS,
        date=date.today().isoformat(),
        sign=sign,
    )
    with whole(into) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _axis(experiment: Experiment, axis: Axis) -> SweptAxis:
    paths = list(dict.fromkeys(path for level in axis.levels for path in level.settings))
    labels = ", ".join(level.label for level in axis.levels)
    reference = axis.levels[level_of(experiment, axis)].label
    return SweptAxis(", ".join(paths), labels, reference, len(axis.levels))


def counts(experiment: Experiment, every: Sequence[Point]) -> dict[str, int]:
    """How many stimulus files and trainings the points have together, and how many they would if none were
    shared.
    """
    trainings = [run for point in every for run in runs(point.experiment)]
    stimuli = [stem for point in every for stem in point.stems.values()]
    return {
        "trainings": len(set(trainings)),
        "trainings_alone": len(trainings),
        "stimuli": len(set(stimuli)),
        "stimuli_alone": len(stimuli),
    }


def _size(row: Mapping[str, Any], swept: Sequence[Axis]) -> dict[str, Any]:
    """How far settings move a quantity, in words."""
    ratio = bool(row["ratio"])
    mark = sign(2.0, ratio) if ratio else ""

    def words(value: float) -> str:
        return "" if math.isnan(value) else f"{mark}{number(value)}"

    moved = [row["moved"][axis.name] for axis in swept]
    return {
        "answer": row["answer"],
        "network": row["network"],
        "cells": [(words(value), value) for value in [*moved, row["seeds"]]],
    }


def _section(name: str, table: pd.DataFrame, results: Path, experiment_file: str | Path) -> Section:
    analysis = ideas.load("analysis", name)
    picture = existing(results / "figures" / f"{name}.svg", "a figure").read_text(encoding="utf-8")
    valued = known(table)
    labels = list(dict.fromkeys(valued.variable))
    summaries: dict[Any, Any] = {
        key: summary(rows).to_dict("index")
        for key, rows in valued.groupby(["variable", "network"], sort=False)
    }
    places = list(valued[["point", "network"]].drop_duplicates().itertuples(index=False, name=None))
    rows = []
    for point, network in places[:ROWS]:
        cells = [_cell(summaries.get((label, network), {}), point) for label in labels]
        rows.append((point, network, cells))
    unjudged = table[table.unjudged != ""].drop_duplicates("run")
    return Section(
        name=name,
        question=analysis.QUESTION,
        figure=inlined(picture, name, analysis.QUESTION, analysis.READING),
        wide=width_in_inches(picture) > COLUMN_INCHES,
        columns=[_heading(label, valued[valued.variable == label]) for label in labels],
        rows=rows,
        left_out=max(0, len(places) - ROWS),
        unjudged=dict(zip(unjudged.run, unjudged.unjudged, strict=True)),
        command=f"python -m flowsim figure {name} --results {results.as_posix()} --sweep {experiment_file} "
        f"--into {results.as_posix()}/figures/{name}.svg",
    )


def _heading(label: str, rows: pd.DataFrame) -> str:
    arrow = ARROWS.get(rows.better.iloc[0], "")
    mean = ", geometric mean" if by_ratio(rows) else ""
    return f"{label}{mean}\N{NO-BREAK SPACE}{arrow}".strip()


def _cell(found: Mapping[str, Mapping[str, Any]], point: str) -> tuple[str, str, float]:
    """A mean, its interval in words, and the mean as it sorts."""
    if point not in found:
        return "", "", math.nan
    mean, low, high = (float(found[point][name]) for name in ("mean", "mean_low", "mean_high"))
    interval = "" if math.isnan(low) else f"{number(low, 2)} to {number(high, 2)}"
    return number(mean), interval, mean


def partial_runs(table: pd.DataFrame) -> dict[str, str]:
    """Runs that a budget stopped, and after what."""
    stopped = table[table.partial != ""].drop_duplicates("run")
    return dict(zip(stopped.run, stopped.partial, strict=True))


def provenance_of(experiment: Experiment, results: Path, not_made: Mapping[Path, str]) -> dict[str, Any]:
    """Commits and versions in the results of all points."""
    paths = [path for name in experiment.analyse for path in results_of(experiment, name, results)]
    attributes = [netcdf.read_attributes(path, "analysis") for path in paths if path not in not_made]
    return {
        "commits": sorted({attrs.get("commit", "") for attrs in attributes}),
        "versions": [
            json.loads(text) for text in sorted({attrs.get("versions", "{}") for attrs in attributes})
        ],
    }
