"""A small experiment, alone or in a copy of the project in which code can be edited, and real Snakemake on it."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from flowsim.experiment import plan

ROOT = Path(__file__).parents[2]
EXPERIMENT = """
title: Tiny
stimulus:
  family: moving_digits
  all: {height: 8, width: 9, trials: 4}
  train: {frames: 6, trials: 16}
  valid: {frames: 6}
  test: {frames: 12}
networks:
  fernn: {model: fernn, max_speed: 1, channels: 3, decoder_layers: 1}
  grnn: {model: fernn, max_speed: 0, channels: 3, decoder_layers: 1, train: {budget: {sequences: 32}}}
seeds: 1
train: {context: 3, horizon: 3, sequences: 64, batch: 4, validate_every: 16, learning_rate: 0.001}
record:
  test: {context: 3, sites: [prediction]}
  probe: {}
analyse:
  prediction_error: {}
  equivariance_error: {}
"""
ALL = {"stimulus": 4, "train": 2, "record": 4, "analyse": 4, "figure": 2, "report": 1}


TARGET = "results/tiny/report.html"


def command(*arguments, target=TARGET):
    return [sys.executable, "-m", "snakemake", "--cores", "2", target, *arguments]


def snakemake(folder, *arguments, target=TARGET):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    done = subprocess.run(
        command(*arguments, target=target),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    return done.returncode, done.stdout + done.stderr


def planned_here(folder):
    """Arguments of Snakemake that hand it the plan, as `flowsim run` does: it is made in this process, and not in
    one of its own. The folder has to be `alone`.
    """
    with contextlib.chdir(folder):
        (folder / "plan.json").write_text(json.dumps(plan.jobs("experiments/tiny.yaml")))
    return "--config", "experiment=experiments/tiny.yaml", "plan=plan.json"


def jobs(folder, *arguments):
    """What a run would do now, by rule."""
    status, text = snakemake(folder, "--dry-run", *arguments)
    assert status == 0, text
    return counted(text)


def counted(text):
    """Jobs by rule, of what Snakemake says that it would do."""
    return {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", text, re.MULTILINE) if rule != "total"}


def alone(folder):
    """The Snakefile and the small experiment in a folder of their own; the code is that of the project."""
    shutil.copytree(ROOT / "profiles", folder / "profiles")
    shutil.copy(ROOT / "Snakefile", folder)
    (folder / "experiments").mkdir()
    (folder / "experiments" / "tiny.yaml").write_text(EXPERIMENT)
    return folder


def project(folder):
    """A copy of the whole project, with one small experiment, in which code can be edited."""
    for name in ("flowsim", "stimuli", "analysis"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return alone(folder)
