"""What the jobs of an experiment took, beside what they asked for before.

``python -m benchmarks.speed.resources digits`` reads the logs that jobs left when the
experiment ran in this folder, and writes ``resources.csv`` into ``results/benchmarks``: a row for each rule,
with

jobs                          how many of its jobs were measured
mb_used, mb_asked             peak memory of the job that came closest to what it asked for
minutes_used, minutes_asked   the same of time
seconds_used                  of a processor, of all its jobs
seconds_expected              the same as the plan says, of one core

Several experiments may be named. Memory and time are those that `flowsim.experiment.costs` works out.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from flowsim import usage
from flowsim.experiment.remembered import remembered_jobs
from flowsim.pipeline.shipped import experiment_file


def job(plan: dict[str, Any], results: Path, name: str) -> dict[str, Any] | None:
    """One job, as it was and as planned; None if its log does not tell."""
    rule, *about = name.split()
    used = usage.read(results / "logs" / rule / f"{'-'.join(about)}.log")
    if used is None or used.megabytes is None:
        return None
    cost = plan["costs"][name]
    return {
        "rule": rule,
        "mb_used": float(used.megabytes),
        "mb_asked": cost["mem_mb"],
        "minutes_used": used.seconds / 60,
        "minutes_asked": cost["runtime"],
        "seconds_used": used.cpu_seconds,
        "seconds_expected": cost["seconds"],
    }


def by_rule(jobs: pd.DataFrame) -> pd.DataFrame:
    """A row for each rule; of memory and of time, the job that used most of what it asked for."""
    rows = []
    for rule, group in jobs.groupby("rule", sort=False):
        row: dict[str, Any] = {"rule": rule, "jobs": len(group)}
        for unit in ("mb", "minutes"):
            used, asked = f"{unit}_used", f"{unit}_asked"
            closest = group.iloc[int((group[used] / group[asked]).argmax())]
            row |= {used: closest[used], asked: closest[asked]}
        totals = group[["seconds_used", "seconds_expected"]].sum()
        rows.append({**row, **totals})
    return pd.DataFrame(rows)


def table(experiment: str, results: Path) -> pd.DataFrame:
    """Rows of one experiment.

    Raises
    ------
    SystemExit
        If no log tells of a job.
    """
    plan = remembered_jobs(experiment_file(Path(experiment)))
    folder = results / Path(experiment).stem
    jobs = [found for name in plan["costs"] if (found := job(plan, folder, name)) is not None]
    if not jobs:
        raise SystemExit(f"{folder} has no logs that say what jobs took; run the experiment here first")
    rows = by_rule(pd.DataFrame(jobs))
    rows.insert(0, "experiment", Path(experiment).stem)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiments", nargs="+", help="experiment files, or names of those of flowsim")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--into", type=Path, default=Path("results/benchmarks"))
    arguments = parser.parse_args()
    found = pd.concat([table(name, arguments.results) for name in arguments.experiments])
    arguments.into.mkdir(parents=True, exist_ok=True)
    found.to_csv(arguments.into / "resources.csv", index=False, float_format="%.4g")
    print(found.to_string(index=False, float_format="{:.4g}".format))


if __name__ == "__main__":
    main()
