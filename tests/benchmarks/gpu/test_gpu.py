"""The command for a GPU does all its steps at toy size on a CPU, and goes on where it was."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from benchmarks.gpu.__main__ import PUBLISHED, SHARES, table_1
from flowsim.experiment.read import read, train_block


def test_budgets_of_table_1_share_the_time_and_add_up(tmp_path):
    assert sum(SHARES.values()) == pytest.approx(1)
    first = table_1(8, toy=False)
    second = table_1(3, toy=False, before=first)
    file = tmp_path / "table_1.yaml"
    file.write_text(yaml.safe_dump(second))
    experiment = read(file)
    published = read(PUBLISHED)
    assert list(SHARES) == list(published.networks)
    minutes = {name: train_block(experiment, name).budget.minutes for name in SHARES}
    assert minutes == pytest.approx({name: 11 * share for name, share in SHARES.items()}, abs=0.05)
    same = {"sequences", "batch", "learning_rate", "context", "horizon", "stream", "schedule"}
    assert experiment.train.model_dump(include=same) == published.train.model_dump(include=same)
    assert experiment.stimulus == published.stimulus


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(torch.cuda.is_available(), reason="would measure on the GPU for ten minutes")
def test_the_whole_command_at_toy_size(tmp_path):
    command = [sys.executable, "-m", "benchmarks.gpu", "--minutes", "60", "--into", str(tmp_path)]
    root = Path(__file__).parents[3]
    ran = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "no GPU here" in ran.stdout
    assert "passed" in (tmp_path / "tests.log").read_text()
    assert set(pd.read_csv(tmp_path / "speed.csv").implementation) >= {"reference", "flowsim"}
    assert (tmp_path / "speed.png").is_file()
    assert (tmp_path / "shares.csv").is_file()
    report = tmp_path / "results/table_1/report.html"
    assert all(name in report.read_text() for name in SHARES)
    again = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "tests: done before" in again.stdout
    assert "speed: done before" in again.stdout
