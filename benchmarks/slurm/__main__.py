"""One experiment on this machine and on a Slurm of two nodes: the same results, job by job?

``python -m benchmarks.slurm digits`` runs the experiment twice, in ``results/slurm/local`` and
``results/slurm/cluster``, there by ``profiles/slurm``, and writes ``results/slurm/jobs.csv``: for each job
whether its file holds the same values, and how long it took and how much memory, here, there, and by what it
asked for. ``--install`` first installs Debian's packages. The same command again does only what is still to
do.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr

from benchmarks.slurm.cluster import Cluster, install, missing, two_nodes
from benchmarks.speed.time_and_memory import ROOT
from flowsim import usage
from flowsim.pipeline.shipped import experiment_file

HASTE = {
    "slurm-init-seconds-before-status-checks": "2",
    "seconds-between-status-checks": "2",
    "slurm-status-command": "squeue",
}
"""A Slurm of one's own may be asked often, and keeps no accounts."""
TIMES = "curve_seconds"
"""How long a training took until each validation, in recordings: no two trainings take as long."""
RESULTS = {"stimulus": "stimuli/*.h5", "train": "models/*.pt", "record": "recordings/*/*.h5"}
RESULTS |= {"analyse": "analyses/*/*.h5", "figure": "figures/*.csv"}


def command(experiment: Path, target: str, profile: str) -> list[str]:
    """Snakemake with a profile of flowsim, in any folder."""
    return [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
        *("--workflow-profile", str(ROOT / "profiles" / profile)),
        *("--config", f"experiment={experiment}", "--", target),
    ]


def on_cluster(experiment: Path, target: str) -> list[str]:
    """The same on a `Cluster`."""
    flags = [word for name, value in HASTE.items() for word in (f"--{name}", value)]
    line = command(experiment, target, "slurm")
    return [*line[:-2], "--slurm-no-account", *flags, *line[-2:]]


def run(line: list[str], folder: Path, cluster: Cluster | None = None) -> None:
    """Run Snakemake in a folder, with its log in it.

    Raises
    ------
    SystemExit
        If it fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "snakemake.log"
    with log.open("w", encoding="utf-8") as file:
        environment = None if cluster is None else dict(cluster.environment)
        done = subprocess.run(line, cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT)
    if done.returncode:
        raise SystemExit(f"{' '.join(line)} failed; see {log}")


def content(file: Path) -> dict[str, np.ndarray]:
    """What a file of results says, without how and when it was made."""
    if file.suffix == ".pt":
        weights: Mapping[str, Any] = torch.load(file, weights_only=True)
        return {name: tensor.numpy() for name, tensor in weights["best"].items()}
    if file.suffix == ".csv":
        return {"table": np.array(file.read_text(encoding="utf-8"))}
    with xr.open_dataset(file, engine="h5netcdf") as data:
        return {str(name): v.values for name, v in data.variables.items() if name != TIMES}


def same(one: Path, other: Path) -> bool:
    """Whether two files of results hold the same values, to the last bit."""
    if not (one.is_file() and other.is_file()):
        return False
    a, b = content(one), content(other)
    return a.keys() == b.keys() and all(
        np.array_equal(values, b[name], equal_nan=values.dtype.kind in "fc") for name, values in a.items()
    )


def measured(results: Path, job: str) -> tuple[float, float]:
    """Seconds and megabytes of a job, "rule/name", as its log says; NaN if it does not."""
    used = usage.read(results / "logs" / f"{job}.log")
    if used is None:
        return np.nan, np.nan
    return used.seconds, np.nan if used.megabytes is None else used.megabytes


def asked(log: Path) -> dict[str, dict[str, int]]:
    """Resources that jobs asked for, by the path of their log, as Snakemake's log says."""
    found = {}
    text = log.read_text(encoding="utf-8")
    for path, words in re.findall(r"^ +log: (\S+)\n(?:.*\n)*? +resources: (.*)$", text, re.MULTILINE):
        found[path] = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", words)}
    return found


def table(local: Path, cluster: Path, log: Path) -> pd.DataFrame:
    """A row for each file of results: is it the same, and what did its job take, of what it asked for?"""
    resources = asked(log)
    rows = []
    for rule, pattern in RESULTS.items():
        for file in sorted(local.glob(pattern)):
            name = "-".join(file.relative_to(local / Path(pattern).parts[0]).with_suffix("").parts)
            here, there = measured(local, f"{rule}/{name}"), measured(cluster, f"{rule}/{name}")
            of_job = resources.get(f"results/{cluster.name}/logs/{rule}/{name}.log", {})
            rows.append(
                {
                    "rule": rule,
                    "job": name,
                    "same": same(file, cluster / file.relative_to(local)),
                    "seconds_local": here[0],
                    "seconds_cluster": there[0],
                    "minutes_asked": of_job.get("runtime"),
                    "mb_local": here[1],
                    "mb_cluster": there[1],
                    "mb_asked": of_job.get("mem_mb"),
                }
            )
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment", type=Path, help="an experiment file, or the name of one of flowsim")
    parser.add_argument("--into", type=Path, default=Path("results/slurm"))
    parser.add_argument("--install", action="store_true", help="install Debian's slurm-wlm and munge first")
    arguments = parser.parse_args()
    if arguments.install:
        install()
    if missing():
        raise SystemExit(
            f"expected Debian's slurm-wlm and munge, and root; missing: {', '.join(missing())}. Call again "
            "with --install, as root"
        )
    file, into = experiment_file(arguments.experiment).absolute(), arguments.into.absolute()
    target = f"results/{file.stem}/report.html"
    run(command(file, target, "default"), into / "local")
    with two_nodes(into / "nodes", cores=2) as cluster:
        run(on_cluster(file, target), into / "cluster", cluster)
    results = [into / name / "results" / file.stem for name in ("local", "cluster")]
    jobs = table(results[0], results[1], into / "cluster" / "snakemake.log")
    jobs.to_csv(into / "jobs.csv", index=False, float_format="%.4g")
    print(f"{int(jobs.same.sum())} of {len(jobs)} files are the same; wrote {into / 'jobs.csv'}")
    if not jobs.same.all():
        raise SystemExit(f"they differ: {', '.join(jobs[~jobs.same].job)}")


if __name__ == "__main__":
    main()
