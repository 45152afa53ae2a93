"""The paper's tables, with what was measured here beside every published number.

``python -m benchmarks.paper`` collects what the experiments left in ``results/<experiment>`` into
``results/reference/paper.csv``, one row per run and measure, keeps rows of networks that were not trained on
this machine, and writes ``paper.md`` and its figures from that table. ``--possible`` prints the reports that
this machine can make, for ``make reference``.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

import pandas as pd
import torch
import yaml

from benchmarks.paper import page
from benchmarks.paper.collect import collected, read_table

SMALL = [
    *("flowing_mnist_small", "flowing_mnist_velocity_small", "rotating_mnist_small"),
    *("digits", "digits_tracked", "digits_long", "digits_ablation", "actions", "collisions"),
]
PUBLISHED = [
    *("flowing_mnist", "flowing_mnist_velocity", "flowing_mnist_controls"),
    *("rotating_mnist", "rotating_mnist_velocity", "moving_kth", "moving_actions"),
]
FIGURES = (
    *("training_speed", "length_generalisation", "velocity_generalisation"),
    *("classification_accuracy", "motion_controls"),
)


def possible() -> list[str]:
    """Experiments that can be run here: those for a GPU where there is one, KTH's where its videos are."""
    names = SMALL + (PUBLISHED if torch.cuda.is_available() else [])
    data = Path(os.environ.get("FLOWSIM_DATA", ""))
    kth_is_here = any((folder / "00sequences.txt").is_file() for folder in (data, data / "kth"))
    return [name for name in names if name != "moving_kth" or kth_is_here]


def updated(before: Path, results: Path, experiments: list[str]) -> pd.DataFrame:
    """The table in the file ``before``, if there is one; networks that these experiments trained have new
    rows.
    """
    table = pd.DataFrame([row for name in experiments for row in collected(results / name, name)])
    if before.is_file():
        others = read_table(before)
        if not table.empty:
            anew = pd.MultiIndex.from_frame(table[["experiment", "network"]])
            others = others[~pd.MultiIndex.from_frame(others[["experiment", "network"]]).isin(anew)]
        table = pd.concat([others, table], ignore_index=True)
    if table.empty:
        raise SystemExit(
            "expected results of at least one experiment of the paper; run `make reference` first"
        )
    return table.assign(value=pd.to_numeric(table.value))  # text, where the file lacks one


def copy_figures(results: Path, experiments: list[str], into: Path) -> None:
    """Copy those figures of each experiment that the page shows."""
    for name in experiments:
        for figure in FIGURES:
            drawn = results / name / "figures" / f"{figure}.png"
            if drawn.is_file():
                shutil.copyfile(drawn, into / f"{name}-{figure}.png")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--possible", action="store_true", help="print the reports that this machine can make"
    )
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--into", type=Path, default=Path("results/reference"))
    arguments = parser.parse_args()
    results, into = arguments.results, arguments.into
    if arguments.possible:
        print(*(f"{results}/{name}/report.html" for name in possible()))
        return
    into.mkdir(parents=True, exist_ok=True)
    here = [name for name in SMALL + PUBLISHED if (results / name / "report.html").is_file()]
    csv = into / "paper.csv"
    updated(csv, results, here).to_csv(csv, index=False, float_format="%.6g")
    ablations = yaml.safe_load(page.PUBLISHED.read_text(encoding="utf-8"))["ablations"]  # have a table alone
    copy_figures(results, [name for name in here if name not in ablations], into)
    page.write(read_table(csv), into / "paper.md")
    print(f"wrote {csv} and {into / 'paper.md'}, from {', '.join(here) or 'the table alone'}")


if __name__ == "__main__":
    main()
