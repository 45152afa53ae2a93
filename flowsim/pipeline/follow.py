"""What the events of Snakemake and the logs of running jobs say, as changes, in their order."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRESS = re.compile(r"^.*: (?P<done>\d+)/(?P<total>\d+) (?P<rest>\S.*)$")
"""A line of `flowsim.progress.Progress` in a log."""
TAIL = 12
"""Lines of the log of a failed job that are shown."""


TRUST = 0.1
"""How much of all that was thought at first counts as if it had taken just that long."""


@dataclass
class Lines:
    """The whole lines of a file that grows, each once."""

    path: Path
    read: int = 0

    def new(self) -> list[str]:
        """Lines written since the last call."""
        if not self.path.is_file():
            return []
        with self.path.open("rb") as file:
            file.seek(self.read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self.read += len(whole + newline)
        return (whole + newline).decode("utf-8", "replace").splitlines()


@dataclass
class Job:
    """A job that has been started.

    Attributes
    ----------
    name : str
        Its verb, and what it is about: "train fernn-seed0".
    log : path
    started : float
        By `time.monotonic`.
    lines : Lines
        Of its log.
    share : float
        How much of it is done, as its log says; 0 to 1.
    note : str
        The last progress in its log.
    ended : float
        How many seconds it took.
    """

    name: str
    log: Path
    started: float
    lines: Lines
    share: float = 0.0
    note: str = ""
    ended: float = 0.0

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.monotonic() - self.started

    def unjudged(self) -> list[str]:
        """What its log says could not be judged, and why: such a job ends well, with reasons for results."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.is_file() else ""
        return [line for line in text.splitlines() if " could not be judged: " in line]

    def tail(self) -> list[str]:
        """The end of its log that says what went wrong: the line of an error, else the last lines."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.is_file() else ""
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith("$ ")]
        last = lines[-1:] or ["it left no message; the machine may have run out of memory"]
        return last if re.match(r"flowsim \w+: error: ", last[0]) else lines[-TAIL:] or last


@dataclass
class Change:
    """What happened to a job: it is ``started``, has made ``progress``, is ``finished`` or ``failed``."""

    kind: str
    job: Job


@dataclass
class Run:
    """A run of Snakemake, as far as its events say.

    Attributes
    ----------
    events : Lines
    planned : Counter
        How many jobs of each verb there are to do.
    running : dict of int to Job
    finished, failed : list of Job
    """

    events: Lines
    planned: Counter[str] = field(default_factory=Counter)
    running: dict[int, Job] = field(default_factory=dict)
    finished: list[Job] = field(default_factory=list)
    failed: list[Job] = field(default_factory=list)

    @property
    def total(self) -> int:
        """How many jobs there are to do."""
        return self.planned.total()

    def left(self, seconds: Mapping[str, float], cores: int) -> float:
        """Seconds until all jobs are done, from how long each was thought to take and has taken.

        Jobs are taken to run on all ``cores`` all the time. What is done says by how much the machine is
        slower or faster than was thought, the more so the more is done.
        """
        by_verb: dict[str, list[float]] = {}
        for name, each in seconds.items():
            by_verb.setdefault(verb_of(name), []).append(each)
        mean = {verb: sum(each) / len(each) for verb, each in by_verb.items()}
        done = Counter(verb_of(job.name) for job in [*self._begun(), *self.failed])
        waiting = sum((self.planned[verb] - done[verb]) * mean.get(verb, 0) for verb in self.planned)
        pace = self._pace(seconds, waiting)
        under_way = 0.0
        longest = 0.0
        for job in self.running.values():
            rest = max(0.0, seconds.get(job.name, 0) * pace - job.seconds)
            if job.share:
                rest = job.seconds * (1 - job.share) / job.share
            under_way, longest = under_way + rest, max(longest, rest)
        return max(longest, (waiting * pace + under_way) / cores)

    def _pace(self, seconds: Mapping[str, float], waiting: float) -> float:
        """How many times as long as was thought all takes that is done; running jobs count by their share."""
        at_first = TRUST * (waiting + sum(seconds.get(job.name, 0) for job in self._begun()))
        done = [(seconds.get(job.name, 0), job.ended) for job in self.finished]
        done += [(seconds.get(job.name, 0) * job.share, job.seconds) for job in self.running.values()]
        thought = at_first + sum(expected for expected, _ in done)
        return (at_first + sum(took for expected, took in done if expected)) / thought if thought else 1.0

    def _begun(self) -> list[Job]:
        return [*self.finished, *self.running.values()]

    def changes(self) -> Iterator[Change]:
        """What happened since the last call."""
        for line in self.events.new():
            event = json.loads(line)
            ending = self.running.get(event.get("job_id", event.get("jobid", -1)))
            if ending:
                yield from _progress(ending)
            change = self._change(event)
            if change:
                yield change
        for job in self.running.values():
            yield from _progress(job)

    def _change(self, event: Mapping[str, Any]) -> Change | None:
        kind = event["event"]
        if kind == "run_info":
            counts = {verb: int(n) for verb, n in event.get("stats", {}).items() if verb != "total"}
            self.planned = Counter(counts)
        elif kind == "job_info":
            job = _job(event)
            self.running[event["jobid"]] = job
            return Change("started", job)
        elif kind == "job_finished" and event["job_id"] in self.running:
            job = self.running.pop(event["job_id"])
            job.ended = job.seconds
            self.finished.append(job)
            return Change("finished", job)
        elif kind == "job_error" and event["jobid"] in self.running:
            job = self.running.pop(event["jobid"])
            self.failed.append(job)
            return Change("failed", job)
        return None


def verb_of(name: str) -> str:
    """The verb of a job."""
    return name.split()[0]


def _progress(job: Job) -> Iterator[Change]:
    """A change for each line of progress that is new in the log of a job."""
    for line in job.lines.new():
        if match := PROGRESS.match(line):
            done, total = int(match["done"]), int(match["total"])
            job.share = done / total if total else 0.0
            job.note = f"{done}/{total} {match['rest']}"
            yield Change("progress", job)


def _job(event: Mapping[str, Any]) -> Job:
    about = [value for key, value in event["wildcards"].items() if key != "experiment"]
    log = Path(event["log"][0]) if event["log"] else Path()
    return Job(" ".join([event["rule_name"], *about]), log, time.monotonic(), Lines(log))
