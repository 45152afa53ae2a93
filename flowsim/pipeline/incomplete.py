"""What is missing of an experiment, and why: for the report of what there is, where some jobs failed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from flowsim import ideas
from flowsim.experiment.read import runs
from flowsim.experiment.schema import Experiment
from flowsim.experiment.sweep import points

ERROR = re.compile(r"^flowsim \w+: error: (?P<reason>.*)")
"""The line by which a verb that failed ends its log."""


@dataclass(frozen=True)
class Step:
    """One job on the way to the results of a run: what it makes, from which files, and its log."""

    name: str
    makes: Path
    sources: tuple[Path, ...]
    log: Path

    def is_done(self) -> bool:
        """Whether its file is there, and no older than what it was made from."""
        try:
            made = self.makes.stat().st_mtime_ns
            return all(source.stat().st_mtime_ns <= made for source in self.sources)
        except FileNotFoundError:
            return False

    def why_not(self) -> str:
        """Why it is not done, by the end of its log."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return f"{self.name} was not begun"
        errors = [match["reason"] for line in lines if (match := ERROR.match(line))]
        return f"{self.name} failed: {errors[-1]}" if errors else f"{self.name} did not end, see {self.log}"


def not_made(experiment: Experiment, results: Path) -> dict[str, dict[Path, str]]:
    """Results that are not there, or older than what they are made from, and why, by analysis.

    Parameters
    ----------
    experiment : Experiment
    results : path
        Its folder.
    """
    missing: dict[str, dict[Path, str]] = {name: {} for name in experiment.analyse}
    for point in points(experiment):
        for analysis, found in missing.items():
            for run in runs(point.experiment):
                every = list(steps(results, run, analysis, point.stems))
                undone = next((step for step in every if not step.is_done()), None)
                if undone:
                    found[every[-1].makes] = undone.why_not()
    return missing


def steps(results: Path, run: str, analysis: str, stems: Mapping[str, str] | None = None) -> Iterator[Step]:
    """The jobs from stimuli to the results of one run in one analysis, in their order.

    ``stems`` are the names of stimulus files by split, where they are others, in a sweep.
    """
    split = ideas.load("analysis", analysis).READS
    names = {name: (stems or {}).get(name, name) for name in ("train", "valid", split)}
    stimuli = {name: results / "stimuli" / f"{stem}.h5" for name, stem in names.items()}
    model = results / "models" / f"{run}.pt"
    recording = results / "recordings" / run / f"{names[split]}.h5"
    logs = results / "logs"
    for name, path in stimuli.items():
        yield Step(f"the stimulus {names[name]}", path, (), logs / "stimulus" / f"{names[name]}.log")
    taught = (stimuli["train"], stimuli["valid"])
    yield Step("its training", model, taught, logs / "train" / f"{run}.log")
    log = logs / "record" / f"{run}-{names[split]}.log"
    yield Step(f"its recording of {names[split]}", recording, (model, stimuli[split]), log)
    result = f"{run}{names[split].removeprefix(split)}"
    found = results / "analyses" / analysis / f"{result}.h5"
    yield Step(f"its {analysis}", found, (recording,), logs / "analyse" / f"{analysis}-{result}.log")
