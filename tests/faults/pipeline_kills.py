"""Kill whole pipelines at random moments and let them go on: ``python -m tests.faults.pipeline_kills``.

A small experiment runs with real Snakemake and is stopped after some seconds, then again, until it gets to its
end; then it begins anew, until all kills are made. What a kill did is one of

harmless    every finished file is what an undisturbed run makes, bit for bit, and none that was there is lost
lost        a finished file of before is gone, which no job of this run was to make anew
silent      a finished file is not what it should be
traceback   something printed one
hang        the processes did not end, or the run that follows does not
failed      the run that follows ends with an error
left        a run that went on to its end left something behind beside what it should make
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.faults.kills import content, listen_to_interrupts
from tests.faults.tally import Tally
from tests.known.small_project import command, project

OUTCOMES = ("harmless", "lost", "silent", "traceback", "hang", "failed", "left")
WAYS = ("SIGKILL to all", "SIGKILL to Snakemake", "SIGTERM to all", "SIGINT to all", "SIGTERM to Snakemake")
LONGEST = 600.0
"""Seconds after which a run hangs."""
STAGES = ("stimuli", "models", "recordings", "analyses", "figures")
ENDINGS = {".h5", ".pt", ".svg", ".png", ".csv"}


def finished_files(folder: Path) -> dict[str, object]:
    """What is in every file of every stage that has its final name."""
    results = folder / "results" / "tiny"
    files = (path for stage in STAGES for path in results.glob(f"{stage}/**/*") if path.suffix in ENDINGS)
    return {
        str(path.relative_to(results)): _without_times(content(path)) for path in files if path.name[0] != "."
    }


def _without_times(made: object) -> object:
    """What a file holds, but for the seconds that a training took."""
    return (
        {name: v for name, v in made.items() if name != "curve_seconds"} if isinstance(made, dict) else made
    )


def names(folder: Path) -> set[str]:
    """Every file beside the code, hidden ones too, but those that Snakemake keeps for itself."""
    files = (path.relative_to(folder) for path in (folder / "results").rglob("*") if path.is_file())
    return {str(path) for path in files}


class Run:
    """One run of the pipeline, in a group of processes of its own, that has begun: Snakemake, interrupted while
    it is imported, prints a traceback.
    """

    def __init__(self, folder: Path) -> None:
        self.said = folder / "said.txt"
        with self.said.open("wb") as file:
            self.process = subprocess.Popen(
                command(),
                cwd=folder,
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        while not self.text and not self.ends_within(0.05):
            pass

    def ends_within(self, seconds: float) -> bool:
        """Whether it comes to its end by itself."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.returncode is not None

    def stop(self, way: str) -> bool:
        """Send a signal, and wait for the end; whether it came."""
        number, whom = way.split(" to ")
        send = os.killpg if whom == "all" else os.kill
        send(self.process.pid, getattr(signal, number))
        ended = self.ends_within(LONGEST)
        if not ended:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        return ended

    @property
    def text(self) -> str:
        """What was printed."""
        return self.said.read_text(encoding="utf-8", errors="replace")


def _compared(
    before: dict[str, object], now: dict[str, object], undisturbed: dict[str, object], text: str = ""
) -> tuple[str, str]:
    """The outcome of a kill, by the files before and after it, and which files are not as they should be.

    Snakemake takes away what a job is to make anew, as after a kill that came before it had noted the job's end.
    """
    anew = ", ".join(re.findall(r"^ +output: (.*)$", text, re.MULTILINE)).split(", ")
    if lost := before.keys() - now.keys() - {path.removeprefix("results/tiny/") for path in anew}:
        return "lost", f"lost: {sorted(lost)}"
    wrong = sorted(name for name, made in now.items() if undisturbed.get(name) != made)
    return ("silent", f"not as undisturbed: {wrong}") if wrong else ("harmless", "")


def kills(
    folder: Path, whole: Path, count: int, seed: int, longest: float
) -> Iterator[tuple[str, str, str, str]]:
    """Run in a copy of a project, kill, go on.

    Parameters
    ----------
    folder : path
        Where to run; it is made.
    whole : path
        A project that ran undisturbed.
    count : int
        How many kills.
    seed : int
        Of moments and signals.
    longest : float
        Seconds within which a kill comes.

    Yields
    ------
    (name of the try, way, outcome, what it said)
    """
    chance = random.Random(seed)
    undisturbed, expected = finished_files(whole), names(whole)
    project(folder)
    number, before, last = 0, {}, ""
    while number < count:
        way, moment = chance.choice(WAYS), chance.uniform(0.2, longest)
        run = Run(folder)
        if run.ends_within(moment):
            outcome, why = _end(run, finished_files(folder), undisturbed, names(folder) - expected)
            if outcome != "harmless":
                yield f"seed {seed}, end after kill {number}", last, outcome, f"{run.text}\n{why}"
            shutil.rmtree(folder / "results")
            before = {}
            continue
        number, last = number + 1, way
        ended = run.stop(way)
        now = finished_files(folder)
        outcome, why = _compared(before, now, undisturbed, run.text)
        if not ended or "Traceback (most recent call last)" in run.text:
            outcome = "traceback" if ended else "hang"
        yield f"seed {seed}, kill {number}", way, outcome, f"after {moment:.2f} s\n{run.text}\n{why}"
        before = now
    run = Run(folder)
    if not run.ends_within(LONGEST):
        run.stop("SIGKILL to all")
        yield f"seed {seed}, last run", last, "hang", run.text
        return
    outcome, why = _end(run, finished_files(folder), undisturbed, names(folder) - expected)
    if outcome != "harmless":
        yield f"seed {seed}, last run", last, outcome, f"{run.text}\n{why}"


def _end(
    run: Run, made: dict[str, object], undisturbed: dict[str, object], stray: set[str]
) -> tuple[str, str]:
    """The outcome of a run that came to its end, and what is wrong with what it made."""
    if run.process.returncode:
        return "failed", ""
    outcome, why = _compared(undisturbed, made, undisturbed)
    return ("left", f"left: {sorted(stray)}") if outcome == "harmless" and stray else (outcome, why)


def main() -> int:
    """The whole driver; the exit status is 1 if there was a fault."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, help="gets a line for each try")
    arguments = parser.parse_args()
    listen_to_interrupts()
    tally = Tally(OUTCOMES, arguments.log)
    with tempfile.TemporaryDirectory() as temporary:
        whole = project(Path(temporary) / "whole")
        began = time.monotonic()
        run = Run(whole)
        assert run.ends_within(LONGEST), "the undisturbed run does not end"
        assert run.process.returncode == 0, run.text
        takes = time.monotonic() - began
        for one in kills(Path(temporary) / "killed", whole, arguments.kills, arguments.seed, takes / 2):
            tally.note(*one)
    print(tally)
    return int(tally.faults > 0)


if __name__ == "__main__":
    sys.exit(main())
