"""The page that puts every published number beside what was measured here, with a plain sentence on each."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jinja2 import Environment, StrictUndefined

PUBLISHED = Path(__file__).with_name("published.yaml")
TEMPLATE = Path(__file__).with_name("paper.md.j2")
HOLDS = 1.25
"""An error that grows by less than this factor is said to hold."""
SILENT = 0.9
"""A network whose error is this share of that of the mean frame has predicted nothing."""
FAR = 2.0
"""A control whose error is larger by this factor has lost what the law gives."""


def number(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}"


def spread(values: pd.Series[float]) -> str:
    """Mean and standard deviation over seeds, and how many there are."""
    seeds = f"{len(values)} seed{'s' if len(values) > 1 else ''}"
    return (
        f"{number(values.mean())} ± {values.std():.1g} ({seeds})"
        if len(values) > 1
        else f"{number(values.mean())} ({seeds})"
    )


def of(table: pd.DataFrame, experiment: str, network: str, measure: str) -> pd.DataFrame:
    """The rows of one network in one experiment, of one measure; one per seed."""
    return table[(table.experiment == experiment) & (table.network == network) & (table.measure == measure)]


def diverged(*over: pd.Series[float]) -> str:
    """What is said where runs gave no number; nothing where all did."""
    values = pd.concat(over)
    lost = int((~values.map(math.isfinite)).sum())
    return f"no number in {lost} of {len(values)} measurements: diverged" if lost else ""


def origin(rows: pd.DataFrame) -> dict[str, str]:
    """Where a measurement comes from, in words."""
    seen = sorted(set(rows.sequences))
    return {
        "sequences": " to ".join(f"{n:,}" for n in dict.fromkeys((seen[0], seen[-1]))),
        "partial": "partial" if rows.partial.any() else "",
        "minutes": f"{rows.minutes.astype(float).mean():.0f}",
        "hardware": ", ".join(dict.fromkeys(rows.hardware)),
        "date": max(rows.date),
        "commit": ", ".join(dict.fromkeys(rows.commit)),
    }


def command(experiment: str) -> str:
    """What runs an experiment."""
    return f"snakemake --cores all results/{experiment}/report.html --config data=FOLDER"


def judged(table: pd.DataFrame, row: dict[str, Any]) -> dict[str, Any]:
    """One published number with ours and a verdict."""
    found = of(table, row["experiment"], row["network"], row["measure"])
    published = f"{row['value']:g} ± {row['spread']:g}"
    if found.empty:
        return {**row, "published": published, "ours": "", "from": None, "verdict": "not run"}
    if lost := diverged(found.value):
        return {**row, "published": published, "ours": "", "from": origin(found), "verdict": lost}
    sign = 1 if row["better"] == "lower" else -1
    excess = sign * (found.value.mean() - row["value"])
    verdict = "beaten" if excess < -row["spread"] else "met" if excess <= row["spread"] else "missed"
    if found.partial.any():
        verdict = f"{verdict} so far: partial, {', '.join(dict.fromkeys(filter(None, found.partial)))}"
    return {
        **row,
        "published": published,
        "ours": spread(found.value),
        "from": origin(found),
        "verdict": verdict,
    }


def ordering(table: pd.DataFrame, experiment: str, says: str, measure: str) -> dict[str, str] | None:
    """Whether networks come in the published order; None where they were not run."""
    names = says.split(" > ")
    found = {name: of(table, experiment, name, measure).value for name in names}
    if any(values.empty for values in found.values()):
        return None
    if lost := diverged(*found.values()):
        return {"ours": "", "verdict": lost}
    order = sorted(names, key=lambda name: -found[name].mean())
    apart = all(found[a].min() > found[b].max() for a, b in pairwise(order))
    values = ", ".join(f"{name} {spread(found[name])}" for name in order)
    verdict = "as published" if order == names else f"not as published: {' > '.join(order)}"
    seeds = "; seeds do not overlap" if apart else "; seeds overlap"
    return {"ours": values, "verdict": verdict + seeds * (min(map(len, found.values())) > 1)}


def growth(table: pd.DataFrame, experiment: str, over: list[str]) -> dict[str, str] | None:
    """By which factor each network's error grows from one measure to the other; None where it was not run."""
    names = ["grnn", "fernn_part", "fernn"]
    found = {name: [of(table, experiment, name, m).set_index("seed").value for m in over] for name in names}
    found = {name: pair for name, pair in found.items() if len(pair[0])}
    if not {"grnn", "fernn"} <= set(found):
        return None
    if lost := diverged(*(values for pair in found.values() for values in pair)):
        return {"ours": "", "verdict": lost}
    factor = {name: float((after / before).mean()) for name, (before, after) in found.items()}
    ours = ", ".join(
        f"{n} {number(a.mean())} to {number(b.mean())} (× {factor[n]:.2g})" for n, (a, b) in found.items()
    )
    holds, grows = factor["fernn"] < HOLDS, factor["grnn"] >= HOLDS
    times = found["grnn"][1].mean() / found["fernn"][1].mean()
    verdict = "as published" if holds and grows and times > 1 else "not as published"
    said = f"fernn {'holds' if holds else 'does not hold'}, grnn {'grows' if grows else 'does not grow'}"
    blank = of(table, experiment, "grnn", "mse_mean_70").value.mean()
    if found["grnn"][0].mean() > SILENT * blank:
        said += ", which from the start has the error of the mean frame or nearly"
    return {
        "ours": ours,
        "verdict": f"{verdict}: {said}; at the end grnn has {times:.2g} times the error of fernn",
    }


def stated(table: pd.DataFrame, row: dict[str, Any]) -> list[dict[str, Any]]:
    """One published statement, judged in each experiment that asks it."""
    judged = []
    for experiment in row["experiments"]:
        if row["kind"] == "ordering":
            found = ordering(table, experiment, row["says"], row["measure"])
        else:
            found = growth(table, experiment, row["over"])
        rows = table[(table.experiment == experiment) & table.network.isin(["grnn", "fernn_part", "fernn"])]
        partial = "; partial" if found and rows.partial.any() else ""
        judged.append(
            {**row, "experiment": experiment, "ours": found["ours"] if found else "",
             "verdict": found["verdict"] + partial if found else "not run"}
        )  # fmt: skip
    return judged


def compared(table: pd.DataFrame, experiment: str, controls: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Every network of an experiment against fernn, on its own sequences seen."""
    reference = of(table, experiment, "fernn", "mse")
    told = {row["network"]: row["says"] for row in controls}
    rows = []
    for name in dict.fromkeys(table[table.experiment == experiment].network):
        found = {
            m: of(table, experiment, name, m)
            for m in ("mse", "mse_10", "mse_70", "law_error", "best_law_error")
        }
        ratio = found["mse"].value.mean() / reference.value.mean()
        verdict = "" if name == "fernn" else "better" if ratio < 1 else "close" if ratio < FAR else "far"
        if not math.isfinite(ratio):
            verdict = "diverged"
        elif set(found["mse"].sequences) != set(reference.sequences):
            verdict += ", on other sequences seen"
        law, best = (found[m].value.astype(float).mean() for m in ("law_error", "best_law_error"))
        rows.append(
            {
                "network": name,
                "says": told.get(name, ""),
                "parameters": f"{int(found['mse'].parameters.iloc[0]):,}",
                "mse": spread(found["mse"].value),
                "ratio": f"{ratio:.2g}",
                "mse_10": number(found["mse_10"].value.mean()),
                "mse_70": number(found["mse_70"].value.mean()),
                "law": "no partner" if math.isnan(law) else number(law),
                "best": number(best),
                "verdict": verdict,
                "from": origin(found["mse"]),
            }
        )
    return rows


def accuracies(table: pd.DataFrame, experiment: str) -> list[dict[str, Any]]:
    """Every network of an experiment that names actions: accuracy in all, and by speed of the camera."""
    rows = []
    for name in dict.fromkeys(table[table.experiment == experiment].network):
        found = of(table, experiment, name, "accuracy")
        speeds = [of(table, experiment, name, f"accuracy_speed_{s}").value for s in (0, 1, 2)]
        row = {"network": name, "parameters": f"{int(found.parameters.iloc[0]):,}", "from": origin(found)}
        rows.append(
            {**row, "accuracy": spread(found.value), "speeds": [number(values.mean()) for values in speeds]}
        )
    return rows


def write(table: pd.DataFrame, into: Path) -> None:
    """Write the page.

    Parameters
    ----------
    table : DataFrame
        As `benchmarks.paper` collects it: one row per experiment, network, seed and measure.
    into : path
        The Markdown file; figures lie beside it.
    """
    published = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))
    table = table.assign(value=pd.to_numeric(table.value, errors="coerce"))
    experiments = list(dict.fromkeys(table.experiment))
    page = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string(
        TEMPLATE.read_text(encoding="utf-8")
    )
    text = page.render(
        numbers=[judged(table, row) for row in published["numbers"]],
        statements=[found for row in published["statements"] for found in stated(table, row)],
        accuracies={
            name: accuracies(table, name)
            for name in experiments
            if not of(table, name, "fernn", "accuracy").empty
        },
        origins={name: origin(table[table.experiment == name]) for name in experiments},
        compared={
            name: compared(table, name, published["controls"])
            for name in experiments
            if not of(table, name, "fernn", "mse").empty
        },
        figures={
            name: sorted(path.name for path in into.parent.glob(f"{name}-*.png")) for name in experiments
        },
        command=command,
        holds=HOLDS,
        far=FAR,
    )
    into.write_text(text, encoding="utf-8")
