"""The page that puts every published number beside what was measured here, with a plain sentence on each."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import yaml
from jinja2 import Environment, StrictUndefined

from benchmarks.paper.verdicts import (
    CONTROLS,
    FAR,
    HOLDS,
    accuracies,
    compared,
    judged,
    origin,
    parts,
    reference_of,
    rows_of,
    smallest_ratio,
    stated,
    unlearned,
)

PUBLISHED = Path(__file__).with_name("published.yaml")
TEMPLATE = Path(__file__).with_name("paper.md.j2")
EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def command(experiment: str) -> str:
    """What runs an experiment."""
    return f"snakemake --cores all results/{experiment}/report.html --config data=FOLDER"


def not_trained(table: pd.DataFrame, experiment: str) -> list[str]:
    """Networks of an experiment that lack seeds in the table, in words; its file says how many it has."""
    file = EXPERIMENTS / f"{experiment}.yaml"
    if not file.is_file():
        return []
    asked = yaml.safe_load(file.read_text(encoding="utf-8"))
    made = table[table.experiment == experiment].groupby("network").seed.nunique()
    return [
        f"`{network}` ({asked['seeds'] - made.get(network, 0)} of {asked['seeds']} seeds)"
        for network in asked["networks"]
        if made.get(network, 0) < asked["seeds"]
    ]


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
    ablations = {name: row for name, row in published["ablations"].items() if name in experiments}
    predicting = [name for name in experiments if name not in ablations and reference_of(table, name)]
    classifying = [name for name in experiments if not rows_of(table, name, "fernn", "accuracy").empty]
    page = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string(
        TEMPLATE.read_text(encoding="utf-8")
    )
    text = page.render(
        numbers=[judged(table, row) for row in published["numbers"]],
        statements=[judgement for row in published["statements"] for judgement in stated(table, row)],
        parts={name: parts(table, name, adds) for name, adds in ablations.items()},
        unlearned={name: unlearned(table, name, published["tracked"].get(name)) for name in predicting},
        accuracies={name: accuracies(table, name) for name in classifying},
        origins={name: origin(table[table.experiment == name]) for name in experiments},
        compared={name: compared(table, name, published["controls"]) for name in predicting},
        not_trained={name: not_trained(table, name) for name in predicting},
        references={name: reference_of(table, name) for name in predicting},
        smallest={name: smallest_ratio(table, name) for name in predicting},
        figures={
            name: sorted(path.name for path in into.parent.glob(f"{name}-*.png")) for name in experiments
        },
        command=command,
        holds=HOLDS,
        far=FAR,
        control_columns=CONTROLS,
    )
    into.write_text(text, encoding="utf-8")
