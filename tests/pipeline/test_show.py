"""A log gets plain lines: one for the end of each job, its progress, and none of a bar."""

import json

import pytest

from flowsim.pipeline.follow import Lines, Run
from flowsim.pipeline.show import Display


@pytest.fixture
def run(tmp_path):
    events, log = tmp_path / "events", tmp_path / "a.log"
    log.write_text("fernn: 20/80 sequences\n")
    job = {"rule_name": "train", "wildcards": {"run": "fernn-seed0"}, "log": [str(log)]}
    happened = [
        {"event": "run_info", "stats": {"train": 12}},
        {"event": "job_info", "jobid": 1, **job},
        {"event": "job_info", "jobid": 2, **job},
    ]
    events.write_text("".join(json.dumps(event) + "\n" for event in happened))
    return Run(Lines(events))


def test_lines_of_a_log(run, capsys):
    with Display("jobs") as display:
        for change in run.changes():
            display.tell(change, run, 60)
        for event in ({"event": "job_finished", "job_id": 1}, {"event": "job_error", "jobid": 2}):
            with run.events.path.open("a") as file:
                file.write(json.dumps(event) + "\n")
        for change in run.changes():
            display.tell(change, run, 60)
        display.status(run, 60)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "        train fernn-seed0: 20/80 sequences"
    assert lines[2].startswith("[ 1/12] train fernn-seed0: 0 s, about 60 s left")
    assert lines[3].startswith("[ 2/12] train fernn-seed0: failed. Its log, ")
    assert lines[4:] == ["    fernn: 20/80 sequences"]


def test_a_long_silence_is_broken(run, capsys, monkeypatch):
    list(run.changes())
    monkeypatch.setattr("flowsim.pipeline.show.SILENCE", -1)
    with Display("jobs") as display:
        display.status(run, 60)
    assert "running: train fernn-seed0 (0 s), train fernn-seed0" in capsys.readouterr().err
