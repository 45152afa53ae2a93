"""A copy of the project with one small experiment, in which code can be edited, and real Snakemake on it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

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


def command(*arguments):
    return [sys.executable, "-m", "snakemake", "--cores", "2", "results/tiny/report.html", *arguments]


def snakemake(folder, *arguments):
    done = subprocess.run(command(*arguments), cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def jobs(folder):
    """What a run would do now, by rule."""
    status, text = snakemake(folder, "--dry-run")
    assert status == 0, text
    return {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", text, re.MULTILINE) if rule != "total"}


def project(folder):
    """A copy of the whole project, with one small experiment, in which code can be edited."""
    for name in ("flowsim", "stimuli", "analysis", "profiles"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", folder)
    (folder / "experiments").mkdir()
    (folder / "experiments" / "tiny.yaml").write_text(EXPERIMENT)
    return folder
