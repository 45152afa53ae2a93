"""A run that failed costs the experiment that run, and not its report."""

import os
import re
from pathlib import Path

import pytest
from snakemake.scheduling import job_scheduler

from flowsim.experiment.schema import Experiment
from flowsim.pipeline.incomplete import not_made, steps
from tests.known.small_project import EXPERIMENT, ROOT, jobs, project, snakemake

RUNS = ("a-seed0", "b-seed0")


@pytest.fixture
def experiment():
    return Experiment.model_validate(
        {
            "title": "two",
            "stimulus": {"family": "moving_digits"},
            "networks": {"a": {"model": "fernn"}, "b": {"model": "fernn"}},
            "seeds": 1,
            "train": {"context": 2, "horizon": 2, "sequences": 8},
            "record": {"test": {"sites": ["prediction"]}, "probe": {}},
            "analyse": {"prediction_error": {}, "equivariance_error": {}},
        }
    )


@pytest.fixture
def results(tmp_path):
    """The files of all jobs, each a second newer than those of the step before."""
    for run in RUNS:
        for analysis in ("prediction_error", "equivariance_error"):
            for number, step in enumerate(steps(tmp_path, run, analysis)):
                step.makes.parent.mkdir(parents=True, exist_ok=True)
                step.log.parent.mkdir(parents=True, exist_ok=True)
                step.makes.write_text("made")
                os.utime(step.makes, (1000 + number, 1000 + number))
    return tmp_path


def lost(experiment, results):
    """Runs without results by analysis, and the reasons."""
    missing = not_made(experiment, results)
    return {name: {path.stem: why for path, why in paths.items()} for name, paths in missing.items()}


def test_nothing_is_missing_where_all_is_made(experiment, results):
    assert lost(experiment, results) == {"prediction_error": {}, "equivariance_error": {}}


def test_a_training_that_failed_costs_every_analysis_of_its_run(experiment, results):
    (results / "models" / "a-seed0.pt").unlink()
    log = results / "logs" / "train" / "a-seed0.log"
    log.write_text("$ command\n  a: 4/64 sequences\nflowsim train: error: the training diverged: loss nan\n")
    why = {"a-seed0": "its training failed: the training diverged: loss nan"}
    assert lost(experiment, results) == {"prediction_error": why, "equivariance_error": why}


def test_a_recording_that_failed_costs_the_analyses_of_its_split(experiment, results):
    (results / "recordings" / "b-seed0" / "probe.h5").unlink()
    log = results / "logs" / "record" / "b-seed0-probe.log"
    log.write_text("$ command\n")
    why = {"b-seed0": f"its recording of probe did not end, see {log}"}
    assert lost(experiment, results) == {"prediction_error": {}, "equivariance_error": why}


def test_what_is_older_than_its_source_is_not_made(experiment, results):
    """A network was trained again, and then the pipeline stopped: what was recorded of the old one is old."""
    os.utime(results / "models" / "a-seed0.pt", (2000, 2000))
    why = {"a-seed0": "its recording of test was not begun"}
    assert lost(experiment, results)["prediction_error"] == why


def test_snakemake_says_that_it_was_told_to_end_in_the_words_that_are_looked_for():
    """Else a report would be made for somebody who stops a run."""
    words = re.search(r'^STOPPED = \((".*")\)$', (ROOT / "Snakefile").read_text(), re.MULTILINE)[1]
    said = Path(job_scheduler.__file__).read_text()
    assert [text in said for text in re.findall(r'"(.*?)"', words)] == [True, True]


@pytest.mark.slow
def test_a_training_that_diverges_leaves_a_report_of_the_others(tmp_path):
    folder = project(tmp_path)
    file = folder / "experiments" / "tiny.yaml"
    bad = "  bad: {model: fernn, max_speed: 0, channels: 3, train: {learning_rate: 1.0e+30}}\nseeds: 1"
    file.write_text(EXPERIMENT.replace("seeds: 1", bad))
    status, text = snakemake(folder, "--keep-going")
    assert status != 0
    page = folder / "results" / "tiny" / "report.html"
    assert page.is_file(), text
    html = page.read_text(encoding="utf-8")
    assert "<b>Incomplete.</b>" in html
    assert "bad-seed0: its training failed: the training diverged: loss nan" in html
    for name in ("prediction_error", "equivariance_error"):
        assert "bad-seed0" not in (folder / "results" / "tiny" / "figures" / f"{name}.csv").read_text()

    file.write_text(EXPERIMENT.replace("seeds: 1", bad.replace("1.0e+30", "1.0e-3")))
    assert jobs(folder) == {"train": 1, "record": 2, "analyse": 2, "figure": 2, "report": 1}
    status, text = snakemake(folder, "--keep-going")
    assert status == 0, text
    html = page.read_text(encoding="utf-8")
    assert "Incomplete" not in html
    assert "bad-seed0" in (folder / "results" / "tiny" / "figures" / "prediction_error.csv").read_text()
