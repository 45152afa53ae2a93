"""One experiment, from its file to its report, by Snakemake in a process of its own, told in plain lines."""

from __future__ import annotations

import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from urllib.parse import quote

import yaml

from flowsim.errors import InputError
from flowsim.experiment.remembered import remembered_jobs
from flowsim.files.atomic import exclusive
from flowsim.pipeline.estimate import seconds_expected
from flowsim.pipeline.follow import Lines, Run
from flowsim.pipeline.group import running
from flowsim.pipeline.shipped import experiment_file, home, profile
from flowsim.pipeline.show import Display
from flowsim.progress import counted, duration

EVERY = 0.2
"""Seconds between two looks at a run."""


def run(given: Path, cores: int | None = None, dry: bool = False, profile_given: str = "default") -> Path:
    """Run an experiment; its files go to ``results/<name>/`` of the working directory.

    Where another `run` is at it, this one waits, and takes what that one has made.

    Parameters
    ----------
    given : path
        An experiment file, or the name of one that comes with flowsim.
    cores : int, optional
        How many to use; else all.
    dry : bool
        Say what there is to do, and do nothing.
    profile_given : str
        A profile of Snakemake: the name of one that comes with flowsim, or a folder.

    Returns
    -------
    path
        The report, which a dry run does not make.

    Raises
    ------
    InputError
        If the experiment would fail, or a job did.
    KeyboardInterrupt
        If this process is asked to end (Ctrl-C, SIGTERM, SIGHUP); all jobs have then ended too.
    """
    file, folder_of_profile = experiment_file(given), profile(profile_given)
    elsewhere = jobs_elsewhere(folder_of_profile)
    check_name_is_its_own(file, Path("results") / file.stem)
    print(f"checking {file}", file=sys.stderr, flush=True)
    plan = remembered_jobs(file)
    report = Path("results") / file.stem / "report.html"
    alone = nullcontext() if dry else exclusive(report.parent)  # the second then finds what the first made
    with alone, tempfile.TemporaryDirectory() as folder:
        logs, events = Path(folder) if dry else report.parent / "logs", Path(folder) / "events"
        planned = (logs if elsewhere else Path(folder)) / "plan.json"  # where jobs on other machines find it
        planned.parent.mkdir(parents=True, exist_ok=True)
        planned.write_text(json.dumps(plan), encoding="utf-8")
        log = logs / "run.log"
        command = [
            *(sys.executable, "-m", "flowsim.pipeline.events", str(events)),
            *arguments(file, planned, cores, dry, folder_of_profile),
            str(report.as_posix()),
        ]
        expected = cache(lambda: seconds_expected(plan, report.parent)[0])
        used = elsewhere or cores or available_cores()
        where = f"at most {used} at a time" if elsewhere else f"on {counted(used, 'core')}"
        under_way = Run(Lines(events))
        began = time.time_ns()
        status = follow(command, log, under_way, expected, used, dry, where)
        is_new = report.is_file() and report.stat().st_mtime_ns > began
        explain(status, under_way, log, dry, report if is_new else None)
    if dry:
        print_dry_run(under_way, expected, used, where)
    return report


def check_name_is_its_own(file: Path, results: Path) -> None:
    """Raise InputError if results of this name are those of another experiment file that still exists."""
    try:
        with (results / "logs" / "report.log").open(encoding="utf-8", errors="replace") as log:
            words = shlex.split(log.readline())
        other = Path(words[words.index("report") + 1])
        same = not other.is_file() or other.read_bytes() == file.read_bytes()
    except (OSError, ValueError, IndexError):
        return
    if not same and other.resolve() != file.resolve():
        raise InputError(
            f"{file}: expected a name of its own; {results} has the results of {other}. Rename one of the "
            "two files, or work in another folder"
        )


def jobs_elsewhere(folder: Path) -> int:
    """How many jobs a profile lets run at a time on other machines, as by Slurm; 0 if they run on this one.

    Raises
    ------
    InputError
        If the profile is no YAML with options of Snakemake, or its jobs do not see the working directory.
    """
    try:
        options = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")) or {}
        in_storage = "default-storage-provider" in options
        jobs = 0 if options.get("executor", "local") == "local" else int(options.get("jobs", 1))
    except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(
            f"{folder / 'config.yaml'}: expected a profile, YAML with options of Snakemake; {reason}"
        ) from None
    if in_storage:
        raise InputError(
            f"--profile {folder.name}: expected a profile whose jobs see this folder; those of this one see "
            "a storage, and what git keeps. In a clone of flowsim, call snakemake --workflow-profile instead"
        )
    return jobs


def gpus() -> int:
    """How many GPUs this machine has."""
    import torch

    return torch.cuda.device_count()


def arguments(file: Path, planned: Path, cores: int | None, dry: bool, folder: Path) -> list[str]:
    """The arguments of Snakemake but its target; ``folder`` is that of its profile."""
    is_for_gpus = folder == home() / "profiles" / "gpu"
    return [
        *("--snakefile", str(home() / "Snakefile"), "--workflow-profile", str(folder)),
        *(("--cores", str(cores)) if cores else ()),
        *(("--resources", f"gpu={max(1, gpus())}") if is_for_gpus else ()),
        *(("--dry-run",) if dry else ()),
        *("--config", f"experiment={quote(str(from_here(file)))}", f"plan={quote(str(planned))}"),
        "--",
    ]


def from_here(file: Path) -> Path:
    """A path as one would write it in the working directory: relative if it lies there."""
    absolute, here = file.absolute(), Path.cwd()
    return absolute.relative_to(here) if absolute.is_relative_to(here) else absolute


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def follow(
    command: list[str],
    log: Path,
    under_way: Run,
    expected: Callable[[], Mapping[str, float]],
    cores: int,
    dry: bool,
    where: str,
) -> int:
    """Run Snakemake, whose own output goes to ``log``, and tell what it does; returns its exit status.

    What the jobs are expected to take is asked for only if there are any; ``where`` says on what they run.
    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        output = log.open("w", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"cannot write {log}: {error.strerror}; work in a folder that can be written to"
        ) from None
    with output, Display("jobs") as display, running(command, output) as process:
        ended, announced = False, dry
        while not ended:
            ended = process.poll() is not None
            for change in under_way.changes():
                if not announced:
                    left = under_way.left(expected(), cores)
                    display.line(start_in_words(under_way, left, where, log))
                    announced = True
                if not dry:
                    display.tell(change, under_way, under_way.left(expected(), cores))
            if announced and not dry:
                display.status(under_way, under_way.left(expected(), cores))
            time.sleep(0 if ended else EVERY)
    return process.returncode


def start_in_words(under_way: Run, seconds: float, where: str, log: Path) -> str:
    """How many jobs there are, on what they run, for about how long."""
    jobs = f"{counted(under_way.total, 'job')} {where}"
    return f"{jobs}, estimated at about {duration(seconds)}; the full log is {log}"


def explain(status: int, under_way: Run, log: Path, dry: bool, incomplete: Path | None = None) -> None:
    """Raise InputError if a run did not end well; ``incomplete`` is then the report of what there is."""
    if under_way.failed:
        names = ", ".join(job.name for job in under_way.failed)
        others = f". Of what there is: {incomplete.absolute().as_uri()}" if incomplete else ""
        raise InputError(
            f"{len(under_way.failed)} of {under_way.total} jobs failed: {names}. Mend what they say and run "
            f"the same command: what is done stays done{others}"
        )
    if status:
        text = [line for line in log.read_text(encoding="utf-8").splitlines() if line.strip()][-8:]
        print("Snakemake's log ends with", *(f"    {line}" for line in text), sep="\n", file=sys.stderr)
        where = "" if dry else f"; all of it is in {log}"
        raise InputError(f"expected Snakemake to end well; its log ends as above{where}")
    if not under_way.total:
        print("nothing to do: all files are up to date", file=sys.stderr)


def print_dry_run(
    under_way: Run, expected: Callable[[], Mapping[str, float]], cores: int, where: str
) -> None:
    """Print what there is to do, on stdout."""
    if not under_way.total:
        return
    counts = ", ".join(f"{verb} {count}" for verb, count in under_way.planned.items())
    under_way.running.clear()
    left = under_way.left(expected(), cores)
    print(f"{counted(under_way.total, 'job')} to do ({counts}), estimated at about {duration(left)} {where}")
