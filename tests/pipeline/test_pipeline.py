"""The pipeline with real Snakemake: a small run, what reruns after which change, and kill -9 at any moment."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from subprocess import PIPE, STDOUT

import numpy as np
import pytest
import torch
import xarray as xr

from flowsim import usage
from flowsim.__main__ import main
from flowsim.files import netcdf
from flowsim.files.atomic import exclusive
from tests.known.small_project import (
    ALL,
    alone,
    command,
    counted,
    jobs,
    planned_here,
    project,
    snakemake,
)

RELATIVE = "relative(sums.by_time, by_time)"
"""The relative error in `analysis.equivariance_error`."""


def numbers(folder):
    """Everything that a run found out: weights and results."""
    results = folder / "results" / "tiny"
    found = {}
    for file in sorted(results.glob("models/*.pt")):
        content = torch.load(file, weights_only=True)
        found |= {f"{file.name} {name}": tensor.numpy() for name, tensor in content["best"].items()}
    for file in sorted(results.glob("analyses/*/*.h5")):
        with xr.open_dataset(file, engine="h5netcdf") as result:
            found |= {
                f"{file.parent.name}/{file.name} {name}": v.values for name, v in result.data_vars.items()
            }
    return found


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name, values in a.items():
        np.testing.assert_array_equal(values, b[name], err_msg=name)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = project(tmp_path_factory.mktemp("finished"))
    status, text = snakemake(folder)
    assert status == 0, text
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run of which code is not edited."""
    folder = alone(tmp_path_factory.mktemp("made"))
    status, text = snakemake(folder, *planned_here(folder))
    assert status == 0, text
    return folder


@pytest.fixture
def edit(finished):
    """Change one file until the end of the test."""
    changed = {}

    def change(name, old, new):
        path = finished / name
        changed.setdefault(path, path.read_text())
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    yield change
    for path, text in changed.items():
        path.write_text(text)


PROBE = "results/tiny/recordings/fernn-seed0/probe.h5"


@pytest.mark.parametrize(("split", "made_first"), [("test", 2), ("probe", None)])
def test_the_recording_that_an_intervention_reads_is_made_first(split, made_first, tmp_path):
    """One that would have to be there before itself is refused."""
    folder = alone(tmp_path)
    file = folder / "experiments/tiny.yaml"
    swapped = f"sites: [state, prediction], intervene: {{swap: {{at: 1, recording: {PROBE}}}}}"
    was = {"test": "sites: [prediction]", "probe": "probe: {}"}[split]
    file.write_text(file.read_text().replace(was, swapped if split == "test" else f"probe: {{{swapped}}}"))
    status, text = snakemake(folder, "--dry-run", target=f"results/tiny/recordings/fernn-seed0/{split}.h5")
    if made_first:
        assert status == 0, text
        assert counted(text)["record"] == made_first
    else:
        assert status != 0
        assert "Cyclic" in text, text


def test_one_command_makes_everything(made):
    results = made / "results" / "tiny"
    names = {
        str(p.relative_to(results)) for p in results.rglob("*") if p.is_file() and not p.name.startswith(".")
    }
    for name in ("stimuli/train.h5", "models/fernn-seed0.pt", "recordings/grnn-seed0/probe.h5", "report.html",
                 "analyses/equivariance_error/fernn-seed0.h5", "figures/prediction_error.svg",
                 "logs/train/fernn-seed0.log"):  # fmt: skip
        assert name in names
    with xr.open_dataset(results / "recordings/fernn-seed0/probe.h5", engine="h5netcdf") as recording:
        for key in (
            "stage",
            "specification",
            "inputs",
            "versions",
            "commit",
            "seed",
            "network",
            "flow_group",
        ):
            assert key in recording.attrs
        assert json.loads(recording.attrs["inputs"]).keys() == {
            "results/tiny/models/fernn-seed0.pt",
            "results/tiny/stimuli/probe.h5",
        }


@pytest.mark.slow
def test_of_two_runs_at_once_one_waits_and_takes_what_the_other_made(tmp_path):
    folder, target = project(tmp_path), "results/tiny/stimuli/valid.h5"
    run = [sys.executable, "-m", "snakemake", "--cores", "1", target]
    runs = [subprocess.Popen(run, cwd=folder, stdout=PIPE, stderr=STDOUT, text=True) for _ in range(2)]
    told = sorted(run.communicate(timeout=300)[0] for run in runs)
    assert [run.returncode for run in runs] == [0, 0], told
    assert sorted("localrule stimulus" in text for text in told) == [False, True]
    (second,) = [text for text in told if "another process is making results/tiny; waiting" in text]
    assert "Nothing to be done" in second
    assert not [*folder.glob("results/.*")]
    with exclusive(folder / "results" / "tiny"):  # who only asks what there is to do does not wait
        assert jobs(folder)["stimulus"] == 3


def test_the_report_is_self_contained(made):
    html = (made / "results/tiny/report.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:|#|figures/)', html)
    assert html.count('<svg role="img" aria-labelledby=') == 2
    assert html.index("test MSE over the trained horizon") < html.index('<svg role="img" aria-labelledby=')
    for link in re.findall(r'href="(figures/[^"]+)"', html):
        assert (made / "results/tiny" / link).exists()
    for text in (
        "Tiny",
        "1 seed each",
        "peak memory",
        "torch 2",
        "horizon: 3",
        "recordings/grnn-seed0/probe.h5",
    ):
        assert text in html


def test_what_a_budget_stopped_is_called_partial_everywhere(made):
    results = made / "results/tiny"
    html = (results / "report.html").read_text()
    assert "grnn-seed0 after 32 of 64 sequences." in html
    assert "<th>grnn (partial)</th>" in html
    assert "fernn (partial)" not in html
    for file in (*results.glob("figures/*.svg"), *results.glob("figures/*.csv")):
        assert "grnn (partial)" in file.read_text(), file
        assert "fernn (partial)" not in file.read_text(), file


def test_a_log_repeats_its_job(made, tmp_path):
    """By itself, and to the same result; in the pipeline, on Linux, it was a fork that had nothing to import."""
    log = made / "results/tiny/logs/analyse/equivariance_error-fernn-seed0.log"
    line = log.read_text().splitlines()[0].removeprefix("$ python ")
    line = line.replace("--into results/tiny/analyses/equivariance_error", f"--into {tmp_path}")
    with (tmp_path / "log").open("w") as own:
        subprocess.run(f"{sys.executable} {line}", shell=True, cwd=made, check=True, stderr=own)
    if sys.platform == "linux":
        assert usage.read(log).cpu_seconds < 0.5 * usage.read(tmp_path / "log").cpu_seconds
    with (
        xr.open_dataset(tmp_path / "fernn-seed0.h5", engine="h5netcdf") as again,
        xr.open_dataset(
            made / "results/tiny/analyses/equivariance_error/fernn-seed0.h5", engine="h5netcdf"
        ) as first,
    ):
        xr.testing.assert_equal(again, first)


@pytest.mark.slow
def test_unchanged_reruns_nothing(finished):
    assert jobs(finished) == {}


@pytest.mark.slow
def test_a_scheduler_is_handed_on_to_analyses_and_makes_nothing_anew(finished):
    cluster = ("--config", "scheduler=tcp://node1:8786", "--dry-run", "--printshellcmds")
    status, text = snakemake(finished, *cluster)
    assert status == 0, text
    assert "Nothing to be done" in text
    _, text = snakemake(finished, *cluster, "--forcerun", "analyse")
    commands = [line for line in text.splitlines() if " -m flowsim " in line]
    assert sum("flowsim analyse" in line for line in commands) == 4
    for line in commands:
        assert ("--scheduler tcp://node1:8786 " in line) == ("flowsim analyse" in line)


@pytest.mark.slow
def test_a_learning_rate_reruns_training_and_what_follows(finished, edit):
    edit("experiments/tiny.yaml", "learning_rate: 0.001", "learning_rate: 0.002")
    assert jobs(finished) == {k: n for k, n in ALL.items() if k != "stimulus"}


@pytest.mark.slow
def test_a_setting_of_one_network_reruns_that_network(finished, edit):
    edit("experiments/tiny.yaml", "fernn: {model: fernn, max_speed: 1", "fernn: {model: fernn, max_speed: 2")
    assert jobs(finished) == {"train": 1, "record": 2, "analyse": 2, "figure": 2, "report": 1}


@pytest.mark.slow
def test_an_edited_analysis_reruns_itself_and_its_figure(finished, edit):
    edit("analysis/equivariance_error.py", RELATIVE, f"2 * {RELATIVE}")
    assert jobs(finished) == {"analyse": 2, "figure": 1, "report": 1}


@pytest.mark.slow
def test_a_comment_reruns_nothing(finished, edit):
    edit("analysis/equivariance_error.py", RELATIVE, f"(  # relative\n        {RELATIVE}\n    )")
    edit("flowsim/models/fernn.py", "class FERNN", "# a comment\nclass FERNN")
    edit("flowsim/training/train.py", '"""Learning rate relative', '"""The learning rate relative')
    edit("experiments/tiny.yaml", "seeds: 1", "seeds: 1  # a comment")
    assert jobs(finished) == {}


@pytest.mark.slow
def test_an_edited_network_reruns_its_training(finished, edit):
    edit(
        "flowsim/models/fernn.py",
        "at_every_velocity(encoder, below)",
        "at_every_velocity(encoder, 2 * below)",
    )
    assert jobs(finished) == {k: n for k, n in ALL.items() if k != "stimulus"}


@pytest.mark.slow
def test_an_edited_stimulus_reruns_everything(finished, edit):
    edit("stimuli/moving_digits.py", "position + time * velocity", "position + 2 * time * velocity")
    assert jobs(finished) == ALL


def test_a_network_that_cannot_be_judged_does_not_stop_the_report(made, tmp_path, monkeypatch):
    """As one of them is silent: the others are reported, and the run is named with the reason."""
    folder = tmp_path / "copy"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    results, analysis = Path("results/tiny"), "equivariance_error"
    recording = results / "recordings/grnn-seed0/probe.h5"
    with xr.open_dataset(recording, engine="h5netcdf") as opened:
        silent = opened.load().assign(state=opened.state * 0)
        attrs = {name: value for name, value in opened.attrs.items() if not name.startswith("sha256")}
    netcdf.write(silent.assign_attrs({}), recording, attrs)
    into = [str(results / "analyses" / analysis / f"{run}-seed0.h5") for run in ("fernn", "grnn")]
    drawn = results / "figures" / f"{analysis}.svg"
    for arguments in (
        ["analyse", analysis, "--recording", str(recording), "--into", into[1]],
        ["figure", analysis, "--results", *into, "--into", str(drawn)],
        [
            "report",
            "experiments/tiny.yaml",
            "--results",
            str(results),
            "--into",
            str(results / "report.html"),
        ],
    ):
        assert main(arguments) == 0
    html = (results / "report.html").read_text()
    assert "Could not be judged" in html
    assert "grnn-seed0 (expected states that vary" in html
    assert "fernn-seed0 (" not in html
    assert "without results: grnn-seed0" in drawn.read_text()
    assert "Could not be judged" not in (made / "results/tiny/report.html").read_text()


def killed(folder, moment, group=True):
    """Run until ``moment`` of the folder is true, then kill -9, all processes or Snakemake alone."""
    process = subprocess.Popen(
        command(), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not moment(folder / "results" / "tiny") and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.poll() is None, "the run ended before it could be killed"
    if group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


MOMENTS = {
    "stimulus": lambda at: (at / "logs/stimulus/train.log").exists(),
    "train": lambda at: any(at.glob("models/*.ckpt")),
    "record": lambda at: any(at.glob("recordings/*/.*.tmp")) or any(at.glob("recordings/*/*.h5")),
    "analyse": lambda at: any(at.glob("analyses/*/*.h5")),
    "figure": lambda at: any(at.glob("figures/*.png")),
}


MADE_BY = {
    "stimulus": "stimuli",
    "train": "models",
    "record": "recordings",
    "analyse": "analyses",
    "figure": "figures",
}


def finished_before(stage, finished, folder):
    """A copy of the finished project, without what this stage and those after it made."""
    shutil.copytree(finished, folder)
    results, stages = folder / "results" / "tiny", list(MADE_BY)
    for later in stages[stages.index(stage) :]:
        shutil.rmtree(results / MADE_BY[later])
        shutil.rmtree(results / "logs" / later)
    (results / "report.html").unlink()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("stage", MOMENTS)
def test_kill_9_and_the_same_command_again(finished, tmp_path, stage):
    folder = finished_before(stage, finished, tmp_path / "project")
    killed(folder, MOMENTS[stage])
    status, text = snakemake(folder)
    assert status == 0, text
    assert_same(numbers(folder), numbers(finished))
    assert not list((folder / "results").rglob("*.tmp"))


@pytest.mark.slow
def test_kill_9_of_snakemake_alone(finished, tmp_path):
    """Its jobs live on as orphans; the next run waits for what they hold and ends the same."""
    folder = finished_before("train", finished, tmp_path / "project")
    killed(folder, MOMENTS["train"], group=False)
    status, text = snakemake(folder)
    assert status == 0, text
    assert_same(numbers(folder), numbers(finished))
