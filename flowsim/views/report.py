"""One self-contained page about an experiment: the answer first, then each figure, then where it all comes
from.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
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
from flowsim.files.results import side_by_side

ARROWS = {"lower": "\N{DOWNWARDS ARROW}", "higher": "\N{UPWARDS ARROW}"}
"""What the attribute ``better`` of an answer may say, and the sign for it; an answer without it only
describes.
"""
SUPERLATIVES = {"lower": "lowest", "higher": "highest"}
NOTHING = 1e-9
"""A smaller number counts as 0: rounding of what is exact."""
CLEAR = 1.5
"""Ratio of means from which on a difference is worth a sentence."""


@dataclass(frozen=True)
class TableCell:
    """One network in the opening table; ``best`` if no other is better."""

    text: str
    best: bool


@dataclass(frozen=True)
class SummaryRow:
    """One quantity in the opening table, and a sentence where networks differ clearly ("" elsewhere)."""

    label: str
    cells: list[TableCell]
    sentence: str


@dataclass(frozen=True)
class Estimate:
    """A number and its interval in words; both may be empty."""

    value: str = ""
    interval: str = ""


@dataclass(frozen=True)
class EffectRow:
    """One network: its mean over ``n`` seeds, its effect against the reference, and Hedges' g."""

    network: str
    n: int
    mean: Estimate
    effect: Estimate
    g: Estimate


@dataclass(frozen=True)
class EffectTable:
    """All networks compared with the first in one quantity."""

    label: str
    rows: list[EffectRow]


@dataclass(frozen=True)
class Section:
    """One analysis: its question, its numbers by network, its figure (SVG in base 64)."""

    name: str
    question: str
    reading: str
    rows: list[SummaryRow]
    effects: list[EffectTable]
    data: str
    networks: list[str]
    partial: dict[str, str]
    figure: str


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
    template = files("flowsim.views").joinpath("report.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=select_autoescape(default_for_string=True))
    html = environment.from_string(template).render(
        title=experiment.title,
        name=Path(experiment_file).stem,
        networks=sections[0].networks if sections else list(experiment.networks),
        partial=sections[0].partial if sections else {},
        seeds=experiment.seeds,
        sections=sections,
        lead=[row.sentence for section in sections for row in section.rows if row.sentence],
        provenance=collected_provenance(experiment, results),
        specification=Path(experiment_file).read_text(encoding="utf-8"),
        rules=benchmarks(results / "benchmarks", runs(experiment)),
        date=date.today().isoformat(),
    )
    with whole(into) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _section(name: str, experiment: Experiment, results: Path) -> Section:
    analysis = ideas.load("analysis", name)
    paths = [results / "analyses" / name / f"{run}.h5" for run in runs(experiment)]
    of_all_runs = side_by_side(paths, name)
    networks = list(dict.fromkeys(of_all_runs.network.values.tolist()))
    answers = analysis.answers(of_all_runs)
    data = existing(results / "figures" / f"{name}.csv", "the data of a figure")
    picture = existing(results / "figures" / f"{name}.svg", "a figure").read_bytes()
    budgets = zip(of_all_runs.run.values, of_all_runs.partial.values, strict=True)
    return Section(
        name=name,
        question=analysis.QUESTION,
        reading=analysis.READING,
        rows=[summary_row(label, values, networks) for label, values in answers.items()],
        effects=[effect_table(label, values, networks) for label, values in answers.items()],
        data=f"figures/{data.name}",
        networks=networks,
        partial={run: text for run, text in budgets if text},
        figure=base64.b64encode(picture).decode(),
    )


def summary_row(label: str, values: xr.DataArray, networks: list[str]) -> SummaryRow:
    """One line of the opening table: mean and standard deviation over seeds.

    Parameters
    ----------
    label : str
        Names the quantity.
    values : DataArray (run)
        With the coordinate ``network``, and the attribute ``better`` ("lower" or "higher") if one is better.
    networks : list of str
        Those of the columns, in order.
    """
    of_network = {n: values.values[values["network"].values == n] for n in networks}
    table = pd.DataFrame({n: pd.Series(numbers, dtype=float) for n, numbers in of_network.items()})
    mean, spread = table.mean(), table.std()
    rounded = table.where(abs(table) >= NOTHING, 0).where(table.notna())
    means: dict[str, float] = {str(n): float(v) for n, v in rounded.mean().dropna().items()}
    best, sentence = math.nan, ""
    better = values.attrs.get("better")
    if len(means) > 1 and better:
        best = min(means.values()) if better == "lower" else max(means.values())
        sentence = _sentence(label, better, rounded, means)
    cells = [TableCell(mean_and_spread(mean[n], spread[n]), means.get(n) == best) for n in networks]
    return SummaryRow(_with_arrow(label, values), cells, sentence)


def _sentence(label: str, better: str, table: pd.DataFrame, means: Mapping[str, float]) -> str:
    """Which networks are best and which worst, where the difference is clear; elsewhere "".

    It is clear if all values are positive (or 0), no seed of the lowest networks reaches one of the highest,
    and the means differ by the factor `CLEAR`.
    """
    low, high = min(means.values()), max(means.values())
    lowest, highest = _networks_with(low, means), _networks_with(high, means)
    apart = table[lowest].stack().max() < table[highest].stack().min()
    if (table.to_numpy() < 0).any() or not apart or high < CLEAR * low:
        return ""
    best, worst = (lowest, highest) if better == "lower" else (highest, lowest)
    best_mean, worst_mean = number(means[best[0]]), number(means[worst[0]])
    times = f"{high / low:.1f} times " if low > 0 else ""
    return (
        f"{label[0].upper()}{label[1:]}: {SUPERLATIVES[better]} for {_enumerated(best)} ({best_mean}), "
        f"{times}{better} than for {_enumerated(worst)} ({worst_mean})."
    )


def _networks_with(mean: float, means: Mapping[str, float]) -> list[str]:
    return [network for network, value in means.items() if value == mean]


def _enumerated(names: list[str]) -> str:
    """Names as one writes them: a, b and c."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _with_arrow(label: str, values: xr.DataArray) -> str:
    """A label with an arrow that says which way is better, if one is."""
    return f"{label} {ARROWS.get(values.attrs.get('better', ''), '')}".strip()


def effect_table(label: str, values: xr.DataArray, networks: list[str]) -> EffectTable:
    """Each network's mean and its difference from the first network, with intervals over seeds.

    Errors are compared by ratio, other quantities by difference. Parameters as of `summary_row`, with the
    coordinate ``seed`` too.
    """
    reference = networks[0]
    positive = bool((values.isnull() | (values >= NOTHING)).all())
    ratio = values.attrs.get("better") == "lower" and positive
    compared: Any = compare(values, reference, ratio).to_dict("index")
    rows = []
    for network in networks:
        numbers = compared[network]
        common = min(numbers["n"], compared[reference]["n"])
        mean = _estimate(numbers, "mean", numbers["n"]) if numbers["n"] else Estimate("does not apply")
        effect = _estimate(numbers, "effect", common, _sign(numbers["effect"], ratio))
        if network == reference:
            effect = Estimate("reference")
        rows.append(EffectRow(network, numbers["n"], mean, effect, _estimate(numbers, "g", common)))
    return EffectTable(_with_arrow(label, values), rows)


def _sign(effect: float, ratio: bool) -> str:
    if ratio:
        return "\N{MULTIPLICATION SIGN} "
    return "+" if effect > 0 else ""


def _estimate(numbers: Mapping[str, Any], name: str, seeds: int, sign: str = "") -> Estimate:
    """A number of `flowsim.effects.compare`, and its interval or why there is none."""
    if math.isnan(numbers[name]):
        return Estimate()
    value = sign + number(numbers[name])
    low, high = numbers[f"{name}_low"], numbers[f"{name}_high"]
    if math.isnan(low):
        return Estimate(value, "1 seed: no interval" if seeds < 2 else "no spread over seeds")
    paired = ", paired" if name == "effect" and numbers["paired"] else ""
    return Estimate(value, f"{number(low, digits=2)} to {number(high, digits=2)}{paired}")


def mean_and_spread(mean: float, spread: float) -> str:
    """Mean to three digits and spread to as many decimals."""
    if math.isnan(mean):
        return "does not apply"
    if math.isnan(spread):
        return number(mean)
    return f"{number(mean)} ± {number(spread, like=mean)}"


def number(value: float, like: float | None = None, digits: int = 3) -> str:
    """So many digits, or as many decimals as ``like`` has, without an exponent where that is readable."""
    model = value if like is None else like
    if model == 0 or not 1e-4 <= abs(model) < 1e6:
        return f"{value:.{digits}g}"
    magnitude = math.floor(math.log10(abs(model)))
    return f"{value:,.{max(0, digits - 1 - magnitude)}f}"


def collected_provenance(experiment: Experiment, results: Path) -> dict[str, Any]:
    """Commits, versions and checksums in the files of an experiment, from stimuli to analyses.

    A recording that no analysis reads is left out: no job makes it.
    """
    read_by_analyses = {ideas.load("analysis", name).READS for name in experiment.analyse}
    attributes = [netcdf.read(path, "stimulus").attrs for path in sorted(results.glob("stimuli/*.h5"))]
    for run in runs(experiment):
        for split in experiment.record:
            if split in read_by_analyses:
                path = results / "recordings" / run / f"{split}.h5"
                attributes.append(netcdf.read(path, "recording").attrs)
        for name in experiment.analyse:
            path = results / "analyses" / name / f"{run}.h5"
            attributes.append(netcdf.read(path, "analysis").attrs)
    checksums: dict[str, str] = {}
    for attrs in attributes:
        checksums |= json.loads(attrs.get("inputs", "{}"))
    versions = sorted({attrs.get("versions", "{}") for attrs in attributes})
    return {
        "commits": sorted({attrs.get("commit", "") for attrs in attributes}),
        "versions": [json.loads(text) for text in versions],
        "checksums": checksums,
    }


def benchmarks(folder: Path, current_runs: Collection[str]) -> list[dict[str, Any]]:
    """Jobs, wall time and peak memory of each rule, from Snakemake's benchmark files.

    Files of runs that the experiment no longer has are left out.
    """
    rules = []
    for rule in sorted(path for path in folder.glob("*") if path.is_dir()):
        paths = [
            path
            for path in sorted(rule.glob("*.tsv"))
            if "-seed" not in path.stem or any(run in path.stem for run in current_runs)
        ]
        if not paths:
            continue
        table = pd.concat([pd.read_csv(path, sep="\t") for path in paths])
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
