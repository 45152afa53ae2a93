"""One self-contained page about an experiment: the answer first, then each figure, then where it all comes
from.
"""

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

from flowsim import ideas
from flowsim.effects import compare
from flowsim.experiment.read import read, runs
from flowsim.experiment.schema import Experiment
from flowsim.files import netcdf
from flowsim.files.atomic import existing, whole
from flowsim.files.results import side_by_side as results_of

BETTER = {"lower": "\N{DOWNWARDS ARROW}", "higher": "\N{UPWARDS ARROW}"}
"""What the attribute ``better`` of an answer may say, and the sign for it; an answer without it only
describes.
"""
NOTHING = 1e-9
"""What is smaller counts as 0: rounding of what is exact."""


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
    template = files("flowsim.views").joinpath("report.html.j2").read_text(encoding="utf-8")
    html = Environment(autoescape=select_autoescape(default_for_string=True)).from_string(template).render(
        title=experiment.title,
        name=Path(experiment_file).stem,
        networks=sections[0]["networks"] if sections else list(experiment.networks),
        partial=sections[0]["partial"] if sections else {},
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
    answers, networks = analysis.answers(found), list(dict.fromkeys(found.network.values.tolist()))
    csv = existing(results / "figures" / f"{name}.csv", "the data of a figure")
    svg = existing(results / "figures" / f"{name}.svg", "a figure").read_bytes()
    return {
        "name": name,
        "question": analysis.QUESTION,
        "reading": analysis.READING,
        "rows": [_row(label, values, networks) for label, values in answers.items()],
        "effects": [_effects(label, values, networks) for label, values in answers.items()],
        "data": f"figures/{csv.name}",
        "networks": networks,
        "partial": {r: t for r, t in zip(found.run.values, found.partial.values, strict=True) if t},
        "figure": base64.b64encode(svg).decode(),
    }


def _row(label: str, values: xr.DataArray, networks: list[str]) -> dict[str, Any]:
    """One line of the opening table: mean and standard deviation over seeds, and a sentence where networks
    differ.
    """
    by_network = {n: values.values[values["network"].values == n] for n in networks}
    table = pd.DataFrame({n: pd.Series(v, dtype=float) for n, v in by_network.items()})
    mean, spread, better = table.mean(), table.std(), values.attrs.get("better")
    counted = table.where(abs(table) >= NOTHING, 0).where(table.notna())
    known: dict[str, float] = {str(n): float(v) for n, v in counted.mean().dropna().items()}
    chosen, sentence = math.nan, ""
    if len(known) > 1 and better:
        low, high = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
        best, worst = (low, high) if better == "lower" else (high, low)
        chosen = known[best]
        below, above = (counted[[n for n in known if known[n] == known[end]]].stack() for end in (low, high))
        if (
            not (counted.to_numpy() < 0).any()
            and below.max() < above.min()
            and known[high] >= 1.5 * known[low]
        ):
            times = f"{known[high] / known[low]:.1f} times " if known[low] > 0 else ""
            sentence = (
                f"{label[0].upper()}{label[1:]}: {better.replace('er', 'est')} for {_tied(best, known)} "
                f"({_number(chosen)}), {times}{better} than for {_tied(worst, known)} ({_number(known[worst])})."
            )
    cells = [{"text": _cell(mean[n], spread[n]), "best": known.get(n) == chosen} for n in networks]
    return {"label": _marked(label, values), "cells": cells, "sentence": sentence}


def _tied(name: str, known: dict[str, float]) -> str:
    """The networks whose number is that of the one named."""
    *others, last = [n for n in known if known[n] == known[name]]
    return f"{', '.join(others)} and {last}" if others else last


def _marked(label: str, values: xr.DataArray) -> str:
    """A label with an arrow that says which way is better, if one is."""
    return f"{label} {BETTER.get(values.attrs.get('better', ''), '')}".strip()


def _effects(label: str, values: xr.DataArray, networks: list[str]) -> dict[str, Any]:
    """Each network's mean and its difference from the first network, with intervals over seeds; errors by
    ratio.
    """
    ratio = values.attrs.get("better") == "lower" and bool((values.isnull() | (values >= NOTHING)).all())
    table: Any = compare(values, networks[0], ratio).to_dict("index")
    rows: list[dict[str, Any]] = []
    for n in networks:
        row, cells = table[n], []
        both = min(row["n"], table[networks[0]]["n"])
        sign = "\N{MULTIPLICATION SIGN} " if ratio else "+" if row["effect"] > 0 else ""
        for name, before, seeds in (("mean", "", row["n"]), ("effect", sign, both), ("g", "", both)):
            known = not math.isnan(row[name])
            cells.append((before + _number(row[name]), _bounds(row, name, seeds)) if known else ("", ""))
        cells[0] = cells[0] if row["n"] else ("does not apply", "")
        rows.append({"network": n, "n": row["n"], "cells": cells})
    rows[0]["cells"][1] = ("reference", "")
    return {"label": _marked(label, values), "rows": rows}


def _bounds(row: dict[str, Any], name: str, seeds: int) -> str:
    """An interval in words, or why there is none."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if math.isnan(low):
        return "1 seed: no interval" if seeds < 2 else "no spread over seeds"
    paired = ", paired" if name == "effect" and row["paired"] else ""
    return f"{_number(low, digits=2)} to {_number(high, digits=2)}{paired}"


def _cell(mean: float, spread: float) -> str:
    """Mean to three digits and spread to as many decimals."""
    if math.isnan(mean):
        return "does not apply"
    if math.isnan(spread):
        return _number(mean)
    return f"{_number(mean)} ± {_number(spread, like=mean)}"


def _number(value: float, like: float | None = None, digits: int = 3) -> str:
    """So many digits, or as many decimals as ``like`` has, without an exponent where that is readable."""
    model = value if like is None else like
    if model == 0 or not 1e-4 <= abs(model) < 1e6:
        return f"{value:.{digits}g}"
    return f"{value:,.{max(0, digits - 1 - math.floor(math.log10(abs(model))))}f}"


def _provenance(experiment: Experiment, results: Path) -> dict[str, Any]:
    """Commits, versions and checksums that the files carry, from stimuli to analyses."""
    carried = [netcdf.read(path, "stimulus").attrs for path in sorted(results.glob("stimuli/*.h5"))]
    for run in runs(experiment):
        carried += [
            netcdf.read(results / f"recordings/{run}/{r}.h5", "recording").attrs for r in experiment.record
        ]
        carried += [
            netcdf.read(results / f"analyses/{a}/{run}.h5", "analysis").attrs for a in experiment.analyse
        ]
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
        files = [
            p
            for p in sorted(rule.glob("*.tsv"))
            if "-seed" not in p.stem or any(r in p.stem for r in runs_now)
        ]
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
