"""One self-contained page about an experiment: the answer first, then each figure, then where it all comes from."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Collection
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr
from jinja2 import Environment, select_autoescape

from flowsim import dataset, ideas
from flowsim.experiment import Experiment, read, runs
from flowsim.files import existing, whole
from flowsim.results import runs as results_of


def page(experiment_file: str | Path, results: Path, into: Path) -> None:
    """Write the page.

    Parameters
    ----------
    experiment_file : path
    results : path
        The experiment's folder, with its ``analyses``, ``figures`` and ``benchmarks``.
    into : path
        The HTML file; it appears whole or not at all.

    Raises
    ------
    InputError
        If a result or figure is missing.
    """
    experiment = read(experiment_file)
    sections = [_section(name, experiment, results) for name in experiment.analyse]
    provenance = _provenance(experiment, results)
    template = files("flowsim").joinpath("report.html.j2").read_text(encoding="utf-8")
    html = Environment(autoescape=select_autoescape(default_for_string=True)).from_string(template).render(
        title=experiment.title,
        name=Path(experiment_file).stem,
        networks=list(experiment.networks),
        seeds=experiment.seeds,
        sections=sections,
        lead=[row["sentence"] for section in sections for row in section["rows"] if row["sentence"]],
        provenance=provenance,
        specification=Path(experiment_file).read_text(encoding="utf-8"),
        rules=_benchmarks(results / "benchmarks", runs(experiment)),
        date=date.today().isoformat(),
    )  # fmt: skip
    with whole(into) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _section(name: str, experiment: Experiment, results: Path) -> dict[str, Any]:
    """One analysis: its question, its numbers by network, its figure."""
    analysis = ideas.load("analysis", name)
    paths = [results / "analyses" / name / f"{run}.h5" for run in runs(experiment)]
    found = results_of(paths, name)
    rows = [_row(label, values, list(experiment.networks)) for label, values in analysis.answers(found).items()]
    svg = existing(results / "figures" / f"{name}.svg", "a figure").read_bytes()
    return {
        "name": name,
        "question": analysis.QUESTION,
        "reading": analysis.READING,
        "rows": rows,
        "figure": base64.b64encode(svg).decode(),
    }


def _row(label: str, values: xr.DataArray, networks: list[str]) -> dict[str, Any]:
    """One line of the opening table: mean and standard deviation over seeds; lower is better in all of them."""
    by_network = {n: values.values[values["network"].values == n] for n in networks}
    table = pd.DataFrame({n: pd.Series(v, dtype=float) for n, v in by_network.items()})
    mean, spread = table.mean(), table.std()
    known = mean.dropna().to_dict()
    lowest, sentence = min(known.values(), default=math.nan), ""
    if len(known) > 1:
        best, worst = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
        if 1.5 * known[best] < known[worst]:
            times = f"{known[worst] / known[best]:.1f} times " if known[best] > 0 else ""
            sentence = (
                f"{label[0].upper()}{label[1:]}: lowest for {best} ({_number(known[best])}), "
                f"{times}lower than for {worst} ({_number(known[worst])})."
            )
    cells = [{"text": _cell(mean[n], spread[n]), "best": len(known) > 1 and known.get(n) == lowest} for n in networks]
    return {"label": label, "cells": cells, "sentence": sentence}


def _cell(mean: float, spread: float) -> str:
    """Mean to three digits and spread to as many decimals."""
    if math.isnan(mean):
        return "does not apply"
    if math.isnan(spread):
        return _number(mean)
    return f"{_number(mean)} ± {_number(spread, like=mean)}"


def _number(value: float, like: float | None = None) -> str:
    """Three digits, or as many decimals as ``like`` has, without an exponent where that is readable."""
    model = value if like is None else like
    if model == 0 or not 1e-4 <= abs(model) < 1e6:
        return f"{value:.3g}"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(model))))}f}"


def _provenance(experiment: Experiment, results: Path) -> dict[str, Any]:
    """Commits, versions and checksums that the files carry, from stimuli to analyses."""
    carried = [dataset.read(path, "stimulus").attrs for path in sorted(results.glob("stimuli/*.h5"))]
    for run in runs(experiment):
        carried += [dataset.read(results / f"recordings/{run}/{r}.h5", "recording").attrs for r in experiment.record]
        carried += [dataset.read(results / f"analyses/{a}/{run}.h5", "analysis").attrs for a in experiment.analyse]
    checksums: dict[str, str] = {}
    for attrs in carried:
        checksums |= json.loads(attrs.get("inputs", "{}"))
    return {
        "commits": sorted({attrs.get("commit", "") for attrs in carried}),
        "versions": [json.loads(text) for text in sorted({attrs.get("versions", "{}") for attrs in carried})],
        "checksums": checksums,
    }


def _benchmarks(folder: Path, runs_now: Collection[str]) -> list[dict[str, Any]]:
    """Jobs, wall time and peak memory of each rule, from Snakemake's benchmark files of these runs."""
    rules = []
    for rule in sorted(path for path in folder.glob("*") if path.is_dir()):
        files = [p for p in sorted(rule.glob("*.tsv")) if "-seed" not in p.stem or any(r in p.stem for r in runs_now)]
        if not files:
            continue
        table = pd.concat([pd.read_csv(path, sep="\t") for path in files])
        seconds, memory = pd.to_numeric(table["s"]), pd.to_numeric(table["max_rss"], errors="coerce")
        rules.append(
            {
                "rule": rule.name,
                "jobs": len(table),
                "seconds": f"{seconds.sum():.0f}",
                "longest": f"{seconds.max():.0f}",
                "memory": "" if memory.isna().all() else f"{memory.max():.0f}",
            }
        )
    return rules
