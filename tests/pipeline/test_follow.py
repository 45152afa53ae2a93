"""What the events and the logs of a run say about its jobs."""

import json
import time
from dataclasses import replace

import pytest

from flowsim.pipeline.follow import Lines, Run


@pytest.fixture
def at(tmp_path):
    """A run whose events and log are written by the test."""

    class At:
        log, events = tmp_path / "train.log", tmp_path / "events"
        run = Run(Lines(tmp_path / "events"))

        def happens(self, kind, **fields):
            with self.events.open("a") as file:
                file.write(json.dumps({"event": kind, **fields}) + "\n")

        def changes(self):
            return [(change.kind, change.job.name) for change in self.run.changes()]

    made = At()
    made.happens("run_info", stats={"train": 2, "report": 1, "total": 3})
    made.happens(
        "job_info",
        jobid=7,
        rule_name="train",
        wildcards={"experiment": "tiny", "run": "fernn-seed0"},
        log=[str(made.log)],
    )
    return made


def test_a_job_from_start_to_end(at):
    assert at.changes() == [("started", "train fernn-seed0")]
    assert at.run.total == 3
    at.log.write_text("$ python -m flowsim train\nfernn: 20/80 sequences, 00:10 left\nfernn: 40/80 seq")
    assert at.changes() == [("progress", "train fernn-seed0")]
    assert at.run.running[7].share == 0.25
    assert at.run.running[7].note == "20/80 sequences, 00:10 left"
    with at.log.open("a") as file:
        file.write("uences\n")
    at.happens("job_finished", job_id=7)
    at.happens("job_finished", job_id=7)
    assert at.changes() == [("progress", "train fernn-seed0"), ("finished", "train fernn-seed0")]
    assert at.run.finished[0].note == "40/80 sequences"
    assert not at.run.running


@pytest.mark.parametrize(
    ("text", "tail"),
    [
        ("$ python x\nsome: 1/2 words\nflowsim train: error: too long\n", ["flowsim train: error: too long"]),
        ("$ python x\nTraceback\n  line\nKeyError: 3\n", ["Traceback", "  line", "KeyError: 3"]),
        ("", ["it left no message; the machine may have run out of memory"]),
    ],
)
def test_what_is_shown_of_a_failed_job(at, text, tail):
    at.log.write_text(text)
    at.happens("job_error", jobid=7)
    *_, change = at.run.changes()
    assert change.kind == "failed"
    assert change.job.tail() == tail


def test_time_left_follows_what_jobs_have_taken(at):
    thought = {"train fernn-seed0": 10.0, "train grnn-seed0": 10.0, "report": 4.0}
    list(at.run.changes())
    assert at.run.left(thought, cores=1) == pytest.approx(24, abs=0.5)
    assert at.run.left(thought, cores=2) == pytest.approx(12, abs=0.5)
    at.happens("job_finished", job_id=7)
    list(at.run.changes())
    at.run.finished[0].ended = 30.0
    assert at.run.left(thought, cores=1) == pytest.approx(14 * (30 + 2.4) / (10 + 2.4))


def test_a_slow_start_says_little_and_a_training_under_way_says_more(at):
    """A short job that took ten times as long, and then half a long training that goes as was thought."""
    thought = {"train fernn-seed0": 1000.0, "train grnn-seed0": 1000.0, "report": 1.0}
    list(at.run.changes())
    job = at.run.running[7]
    at.run.finished.append(replace(job, name="report", ended=10.0))
    at.run.planned["report"] += 1
    assert at.run.left(thought, cores=1) == pytest.approx(2000, rel=0.1)
    job.share, job.started = 0.5, time.monotonic() - 1500
    assert at.run.left(thought, cores=1) == pytest.approx(1500 + 1000 * 1711 / 701, rel=0.05)
