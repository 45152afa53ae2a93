"""What it costs to plan a sweep of many trainings, and to plan it again after one change.

``python -m benchmarks.speed.planning`` writes ``planning.csv`` into ``results/benchmarks``: a row for each
number of trainings, with the seconds and the peak memory of

check   the experiment is checked at every point and cut into jobs (`flowsim plan`, nothing remembered)
dry     Snakemake plans all jobs of an empty folder (`snakemake -n`, the plan remembered)
again   the same where all files are there, and nothing has changed
change  the same after one of the two speeds was changed, with the number of jobs that are to be done

Seconds of a processor stand beside seconds of a clock, for a machine that does other things too. Before
the last two all jobs are run, but only make their files, empty. There is one analysis, so that a training is
three jobs (train, record, analyse).
"""

from __future__ import annotations

import argparse
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.speed.time_and_memory import commit
from flowsim.experiment.read import read
from flowsim.experiment.sweep import points
from flowsim.pipeline.shipped import home, profile

EXPERIMENT = """
title: Planned
stimulus:
  family: moving_digits
  all: {{height: 8, width: 9, trials: 4}}
  train: {{frames: 6, trials: 16}}
  valid: {{frames: 6}}
  test: {{frames: 12}}
networks:
  fernn: {{model: fernn, max_speed: 1, channels: 3, decoder_layers: 1}}
seeds: {seeds}
train: {{context: 3, horizon: 3, sequences: 64, batch: 4, validate_every: 16}}
sweep:
  networks.fernn.max_speed: [0, 1]
  train.noise: {{first: 0, last: 1.5, count: {count}}}
record:
  test: {{context: 3, sites: [prediction]}}
analyse:
  prediction_error: {{}}
"""
SEEDS = 10
REPORT = "results/planned/report.html"
Row = dict[str, Any]


def experiment(trainings: int) -> str:
    """An experiment of about so many trainings: one network, 10 seeds, and a grid of two settings."""
    return EXPERIMENT.format(seeds=SEEDS, count=max(2, math.ceil(trainings / SEEDS / 2)))


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock and of a processor, and the largest memory of one process, in MB."""

    seconds: float
    cpu: float
    mb: float


def named(what: str, cost: Cost) -> Row:
    """A cost as cells of a row."""
    return {f"{what}_{name}": value for name, value in asdict(cost).items()}


def measured(command: list[str], folder: Path) -> tuple[Cost, str]:
    """What a command costs, with all that it starts, and what it prints."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "FLOWSIM_CACHE": str(folder / "cache"),
    }
    with (folder / "printed").open("w+b") as output:
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {text[-2000:]}")
    megabyte = 2**20 if sys.platform == "darwin" else 2**10
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / megabyte), text


def snakemake(folder: Path, *arguments: str) -> tuple[Cost, str]:
    """What Snakemake costs, and what it prints."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", "Snakefile"]
    command += ["--workflow-profile", str(profile()), "--quiet", "rules", *arguments, "--", REPORT]
    return measured(command, folder)


def jobs_in(text: str) -> int:
    """How many jobs there are to do, as Snakemake says it."""
    found = re.search(r"^total +(\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else 0


def pretended() -> str:
    """The Snakefile with jobs that only make their files, empty."""
    text = (home() / "Snakefile").read_text(encoding="utf-8")
    text = re.sub(r'(    shell:\n)((?:        ".*"\n)+)', r'\1        "touch {output:q}"\n', text)
    return re.sub(r"    log:\n.*\n", "", text)


def row(trainings: int, change: bool) -> Row:
    """All measurements of one number of trainings."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "experiments" / "planned.yaml"
        file.parent.mkdir()
        file.write_text(experiment(trainings), encoding="utf-8")
        (folder / "Snakefile").write_text(pretended(), encoding="utf-8")
        found: Row = {"trainings": len(points(read(file))) * SEEDS}
        plan = [sys.executable, "-m", "flowsim", "plan", "experiments/planned.yaml"]
        found |= named("check", measured(plan, folder)[0])
        cost, text = snakemake(folder, "-n")
        found |= named("dry", cost) | {"jobs": jobs_in(text)}
        if change:
            snakemake(folder, "--scheduler", "greedy")
            cost, text = snakemake(folder, "-n")
            found |= named("again", cost) | {"again_jobs": jobs_in(text)}
            text = file.read_text(encoding="utf-8").replace("max_speed: [0, 1]", "max_speed: [0, 2]")
            file.write_text(text, encoding="utf-8")
            cost, text = snakemake(folder, "-n")
            found |= named("change", cost) | {"change_jobs": jobs_in(text)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trainings", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--empty", action="store_true", help="leave out what needs all jobs to have been run")
    parser.add_argument("--into", type=Path, default=Path("results/benchmarks"))
    arguments = parser.parse_args()
    arguments.into.mkdir(parents=True, exist_ok=True)
    table: list[Row] = []
    for trainings in arguments.trainings:
        table.append({**row(trainings, not arguments.empty), "commit": commit()})
        pd.DataFrame(table).to_csv(arguments.into / "planning.csv", index=False, float_format="%.4g")
        print(table[-1], flush=True)


if __name__ == "__main__":
    main()
