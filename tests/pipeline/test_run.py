"""An experiment in any folder, by one command, told in plain lines."""

import json
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from flowsim import InputError
from flowsim.__main__ import main
from flowsim.files.atomic import exclusive
from flowsim.pipeline import run as pipeline
from flowsim.pipeline.follow import Lines, Run
from flowsim.pipeline.shipped import profile
from tests.known.small_project import ALL, EXPERIMENT

JOB = {
    "event": "job_info",
    "jobid": 1,
    "rule_name": "train",
    "wildcards": {"run": "fernn-seed0"},
    "log": ["a.log"],
}
FAILING = """
import json, sys, time
def happens(**event):
    with open(sys.argv[1], "a") as file:
        file.write(json.dumps(event) + "\\n")
happens(event="run_info", stats={"train": 1})
happens(**json.loads(sys.argv[2]))
open("a.log", "w").write("flowsim train: error: too long\\n")
happens(event="job_error", jobid=1)
sys.exit(1)
"""


def followed(folder, monkeypatch, source, *arguments, expected=dict):
    """What is said of a process that takes the place of Snakemake."""
    monkeypatch.chdir(folder)
    events, log = folder / "events", folder / "run.log"
    under_way = Run(Lines(events))
    command = [sys.executable, "-c", source, str(events), *arguments]
    status = pipeline.follow(command, log, under_way, expected, cores=2, dry=False, where="on 2 cores")
    pipeline.explain(status, under_way, log, dry=False)


def test_a_failed_job_is_told_with_the_end_of_its_log(tmp_path, monkeypatch, capsys):
    with pytest.raises(
        InputError, match=r"1 of 1 jobs failed: train fernn-seed0\. Mend .* what is done stays"
    ):
        followed(tmp_path, monkeypatch, FAILING, json.dumps(JOB))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("1 job on 2 cores, estimated at about")
    assert lines[1:] == [
        "[1/1] train fernn-seed0: failed. Its log, a.log, ends with",
        "    flowsim train: error: too long",
    ]


def test_a_second_run_of_an_experiment_waits_for_the_first(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pipeline, "remembered_jobs", lambda file: {})
    began = []
    monkeypatch.setattr(pipeline, "follow", lambda *_: began.append(time.monotonic()) or 0)
    Path("tiny.yaml").write_text(EXPERIMENT)
    second = threading.Thread(target=pipeline.run, args=(Path("tiny.yaml"),))
    with exclusive(Path("results/tiny")):
        second.start()
        time.sleep(0.5)
        assert not began
        ended = time.monotonic()
    second.join(20)
    assert began[0] >= ended
    assert "another process is making results/tiny; waiting for it to end" in capfd.readouterr().err


def test_snakemake_itself_fails(tmp_path, monkeypatch, capsys):
    with pytest.raises(InputError, match=r"expected Snakemake to end well; .* all of it is in .*run.log$"):
        followed(tmp_path, monkeypatch, "import sys; sys.exit('no such rule')")
    assert capsys.readouterr().err.endswith("Snakemake's log ends with\n    no such rule\n")


def test_nothing_to_do(tmp_path, monkeypatch, capsys):
    followed(tmp_path, monkeypatch, "", expected=lambda: pytest.fail("there is nothing to estimate"))
    assert capsys.readouterr().err == "nothing to do: all files are up to date\n"


@pytest.mark.parametrize("cores", ["0", "-1", "many"])
def test_cores_are_a_whole_number(cores, capsys):
    with pytest.raises(SystemExit):
        main(["run", "digits", f"--cores={cores}"])
    assert "expected a whole number from 1; got" in capsys.readouterr().err


def test_an_experiment_that_is_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "none.yaml"]) == 2
    assert "none.yaml: expected an experiment file (YAML), or the name of one" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_paths_are_written_as_seen_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert pipeline.from_here(tmp_path / "a b" / "c.yaml") == Path("a b/c.yaml")
    assert pipeline.from_here(Path("c.yaml")) == Path("c.yaml")
    assert pipeline.from_here(Path("/elsewhere/c.yaml")) == Path("/elsewhere/c.yaml")


def flowsim(folder, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "flowsim", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.slow
def test_one_command_from_an_empty_folder_to_the_report(tmp_path):
    """Its name has spaces, as has that of the folder of the experiment; the second time there is nothing to do."""
    here, elsewhere = tmp_path / "my work", tmp_path / "my: own 'experiments'"
    here.mkdir()
    elsewhere.mkdir()
    file = elsewhere / "tiny.yaml"
    file.write_text(EXPERIMENT)
    planned, _ = flowsim(here, "run", str(file), "-n")
    assert planned.startswith(f"{sum(ALL.values())} jobs to do (")
    assert not (here / "results").exists()
    out, err = flowsim(here, "run", str(file), "--cores", "2")
    report = here / "results" / "tiny" / "report.html"
    assert out == f"report: {report.as_uri()}\n"
    assert report.is_file()
    assert "[17/17] report: " in err
    assert "  train fernn-seed0: 64/64 sequences" in err
    assert (here / "results" / "tiny" / "logs" / "run.log").read_text()
    again, err = flowsim(here, "run", str(file))
    assert again == out
    assert "nothing to do: all files are up to date" in err


def test_what_could_not_be_judged_is_told(tmp_path, monkeypatch, capsys):
    """Such a job ends well: its results are the reason."""
    reason = "a/probe.h5 could not be judged: analysis/mine.py, line 7: KeyError: 'mine'"
    source = (
        FAILING.replace("job_error", "job_finished").replace("jobid=1", "job_id=1").replace("sys.exit(1)", "")
    )
    job = {**JOB, "rule_name": "analyse", "wildcards": {"analysis": "mine", "run": "fernn-seed0"}}
    followed(
        tmp_path,
        monkeypatch,
        source.replace("flowsim train: error: too long", reason),
        json.dumps(job),
    )
    assert f"    {reason}" in capsys.readouterr().err.splitlines()


def test_two_experiments_of_one_name_do_not_share_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (Path(), Path("x")):
        folder.mkdir(exist_ok=True)
        (folder / "tiny.yaml").write_text(f"title: in {folder}\n")
    logs = Path("results/tiny/logs")
    pipeline.check_name_is_its_own(Path("tiny.yaml"), logs.parent)  # nothing is there yet
    logs.mkdir(parents=True)
    (logs / "report.log").write_text(
        "$ python -m flowsim report tiny.yaml --results results/tiny --into a.html\n"
    )
    pipeline.check_name_is_its_own(tmp_path / "tiny.yaml", logs.parent)
    with pytest.raises(
        InputError, match=r"^x/tiny.yaml: .*results/tiny has the results of tiny.yaml\. Rename"
    ):
        pipeline.check_name_is_its_own(Path("x/tiny.yaml"), logs.parent)
    Path("tiny.yaml").rename("moved.yaml")
    pipeline.check_name_is_its_own(Path("x/tiny.yaml"), logs.parent)
    (logs / "report.log").write_text("no command")
    pipeline.check_name_is_its_own(Path("x/tiny.yaml"), logs.parent)


def test_where_jobs_run_is_what_the_profile_says(tmp_path):
    assert [pipeline.jobs_elsewhere(profile(name)) for name in ("default", "gpu", "slurm")] == [0, 0, 100]
    with pytest.raises(
        InputError, match=r"--profile kubernetes: expected a profile whose jobs see this folder"
    ):
        pipeline.jobs_elsewhere(profile("kubernetes"))


@pytest.mark.parametrize("text", ["- a list", "a: [", "executor: slurm\njobs: many", "1"])
def test_a_profile_is_yaml_with_options(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(
        InputError, match=r"config.yaml: expected a profile, YAML with options of Snakemake; .+"
    ):
        pipeline.jobs_elsewhere(tmp_path)


def test_the_profile_for_gpus_uses_all_that_there_are(tmp_path, monkeypatch):
    for there, used in ((4, "gpu=4"), (0, "gpu=1")):
        monkeypatch.setattr("torch.cuda.device_count", lambda there=there: there)
        given = pipeline.arguments(Path("a.yaml"), Path("plan"), None, False, profile("gpu"))
        assert given[given.index("--resources") + 1] == used
    assert "--resources" not in pipeline.arguments(Path("a.yaml"), Path("plan"), None, False, tmp_path)


@pytest.mark.slow
def test_a_dry_run_by_another_profile(tmp_path):
    (tmp_path / "tiny.yaml").write_text(EXPERIMENT)
    planned, _ = flowsim(tmp_path, "run", "tiny.yaml", "-n", "--profile", "gpu")
    assert planned.startswith(f"{sum(ALL.values())} jobs to do (")
    if find_spec("snakemake_executor_plugin_slurm"):
        planned, _ = flowsim(tmp_path, "run", "tiny.yaml", "-n", "--profile", "slurm")
        assert planned.endswith("at most 100 at a time\n")
    assert not (tmp_path / "results").exists()
