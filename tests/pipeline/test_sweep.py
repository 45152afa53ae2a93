"""A sweep with real Snakemake: what is planned again after which change, and one run from end to end."""

import json
import re
import subprocess
import sys

import pandas as pd
import pytest
import yaml

from tests.known.small_project import EXPERIMENT, alone, jobs, planned_here, project, snakemake

SWEEP = {"networks.fernn.max_speed": [1, 2], "stimulus.test.objects": [1, 2]}


def with_sweep(folder, sweep, **others):
    """The small project, whose experiment has this sweep."""
    content = yaml.safe_load(EXPERIMENT) | {"sweep": sweep} | others
    (folder / "experiments" / "tiny.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def pretend(folder):
    """Let every job only make its files, empty."""
    file = folder / "Snakefile"
    file.write_text(
        re.sub(r'(    shell:\n)((?:        ".*"\n)+)', r'\1        "touch {output:q}"\n', file.read_text())
    )


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """The small project with a sweep that was run."""
    folder = alone(tmp_path_factory.mktemp("planned"))
    with_sweep(folder, SWEEP)
    pretend(folder)
    status, text = snakemake(folder, *planned_here(folder))
    assert status == 0, text
    return folder


@pytest.fixture
def replanned(planned):
    """What a run would do after a change of the sweep, or of the experiment."""

    def change(sweep=SWEEP, **others):
        with_sweep(planned, sweep, **others)
        return jobs(planned, *planned_here(planned))

    yield change
    with_sweep(planned, SWEEP)


ENDING = {"figure": 2, "sweep": 1, "report": 1}


def test_nothing_is_to_be_done_again(replanned):
    assert replanned() == {}


def test_a_value_more_is_trained_recorded_and_analysed_and_nothing_else(replanned):
    """One network, with each of two stimuli of split test, and with the only one of split probe."""
    sweep = SWEEP | {"networks.fernn.max_speed": [0, 1, 2]}
    assert replanned(sweep) == {"train": 1, "record": 3, "analyse": 3, **ENDING}


def test_a_value_changed_costs_what_depends_on_it(replanned):
    """A stimulus, shown to three networks."""
    sweep = SWEEP | {"stimulus.test.objects": [1, 3]}
    changed = {"stimulus": 1, "record": 3, "analyse": 3, "figure": 2, "sweep": 1, "report": 1}
    assert replanned(sweep) == changed


def test_a_value_less_costs_figures_and_the_report(replanned):
    assert replanned(SWEEP | {"networks.fernn.max_speed": [2]}) == ENDING


def test_an_axis_more_keeps_what_is_as_it_was(replanned):
    """Only the noisy half is new: 3 trainings, each with 3 recordings."""
    assert replanned(SWEEP | {"train.noise": [0, 0.1]}) == {"train": 3, "record": 9, "analyse": 9, **ENDING}


def test_without_the_sweep_the_experiment_is_made_of_the_same_files(replanned):
    """Its own stimulus of split test is of two objects, which is the default: it has to be named plainly."""
    done = replanned({"networks.fernn.max_speed": [1]})
    assert done == {"stimulus": 1, "record": 2, "analyse": 2, **ENDING}


def test_a_network_whose_code_has_changed_is_trained_again(planned):
    """Which edits change the hash of code is what tests/files/test_code_hash.py is about."""
    arguments = planned_here(planned)
    plan = json.loads((planned / "plan.json").read_text())
    (run,) = [run for run in plan["runs"] if run.startswith("grnn")]
    plan["runs"][run]["code"] = "another"
    (planned / "plan.json").write_text(json.dumps(plan))
    assert jobs(planned, *arguments) == {"train": 1, "record": 3, "analyse": 3, **ENDING}


def test_a_mistake_is_told_before_the_first_job(replanned, planned):
    with_sweep(planned, {"networks.fern.max_speed": [1]})
    status, text = snakemake(planned, "--dry-run")
    assert status
    (line,) = [line for line in text.splitlines() if "networks.fern.max_speed is no setting" in line]
    assert line.endswith("Did you mean networks.fernn.max_speed?")


def flowsim(folder, *arguments):
    command = [sys.executable, "-m", "flowsim", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_sweep_from_its_file_to_its_report(tmp_path):
    folder = project(tmp_path)
    with_sweep(folder, SWEEP, seeds=2)
    status, text = snakemake(folder)
    assert status == 0, text
    results = folder / "results" / "tiny"
    assert sorted(path.stem for path in (results / "models").glob("*.pt")) == [
        *("fernn-seed0", "fernn-seed1", "fernn@max_speed=2-seed0", "fernn@max_speed=2-seed1"),
        *("grnn-seed0", "grnn-seed1"),
    ]
    assert {path.stem for path in (results / "stimuli").iterdir() if path.suffix == ".h5"} == {
        *("train", "valid", "probe", "test@objects=1", "test@objects=2"),
    }
    table = pd.read_csv(results / "sweep.csv")
    assert set(table["networks.fernn.max_speed"]) == {1, 2}
    assert set(table.analysis) == {"prediction_error", "equivariance_error"}
    assert len(table[table.variable == table.variable.iloc[0]]) == 4 * 2 * 2
    assert set(table.network[table.value.isna()]) == {"grnn"}  # to which the law does not apply
    assert table.unjudged.isna().all()
    page = (results / "report.html").read_text()
    assert "6 trainings in place of 16" in page
    assert re.search(r"Beyond what seeds do|comparisons, none is larger|cannot be said", page)
    assert jobs(folder) == {}
    same = flowsim(folder, "compare", "experiments/tiny.yaml", "results/tiny", "--into", "moved.csv")
    assert re.search("^0 of .* are as before", same, re.MULTILINE)
    assert set(pd.read_csv(folder / "moved.csv").verdict) == {"as before"}
    flowsim(folder, "validate", "experiments/tiny.yaml")
    (results / "models" / "fernn-seed0.pt").write_bytes(b"")
    (results / "analyses" / "prediction_error" / "fernn-seed0@objects=1.h5").unlink()
    command = ["report", "experiments/tiny.yaml", "--results", "results/tiny", "--incomplete", "--into"]
    flowsim(folder, *command, "results/tiny/report.html")
    page = (results / "report.html").read_text()
    assert re.search("Incomplete..*fernn-seed0@objects=1", page, re.DOTALL)
