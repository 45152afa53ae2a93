"""Check an experiment file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from flowsim.commands.parser import add_data, add_experiment

if TYPE_CHECKING:
    from flowsim.experiment.schema import Experiment

HELP = "Check an experiment file and say how many jobs it has. Reads the file only; writes nothing."
ECHO = False


def add_arguments(parser: ArgumentParser) -> None:
    """Add the experiment."""
    add_experiment(parser)
    add_data(parser)


def run(arguments: Namespace) -> None:
    """Check the experiment and print one line."""
    from flowsim.experiment.check import checked

    counts = job_counts(checked(arguments.experiment))
    each = ", ".join(f"{verb} {count}" for verb, count in counts.items())
    print(f"{arguments.experiment} is valid: {sum(counts.values())} jobs ({each})")


def job_counts(experiment: Experiment) -> dict[str, int]:
    """How many jobs of each verb lead to the report of an experiment."""
    from flowsim import ideas
    from flowsim.experiment.read import runs

    run_count, analysis_count = len(runs(experiment)), len(experiment.analyse)
    recorded = {ideas.load("analysis", name).READS for name in experiment.analyse}
    return {
        "stimulus": len({"train", "valid"} | recorded) if analysis_count else 0,
        "train": run_count if analysis_count else 0,
        "record": run_count * len(recorded),
        "analyse": run_count * analysis_count,
        "figure": analysis_count,
        "report": 1,
    }
