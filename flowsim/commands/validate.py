"""Check an experiment file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from flowsim.commands.parser import add_data, add_experiment

HELP = (
    "Check an experiment file and say how many jobs it has, how long they take and how large their files "
    "get. Reads the file, and logs of earlier runs in results/; writes nothing."
)
ECHO = False


def add_arguments(parser: ArgumentParser) -> None:
    """Add the experiment."""
    add_experiment(parser)
    add_data(parser)


def run(arguments: Namespace) -> None:
    """Check the experiment and print two lines: its jobs, and what they cost."""
    from collections import Counter
    from pathlib import Path

    from flowsim.experiment.plan import jobs
    from flowsim.pipeline.estimate import cost_in_words
    from flowsim.pipeline.shipped import experiment_file

    file = experiment_file(arguments.experiment)
    plan = jobs(file)
    counts = Counter(name.split()[0] for name in plan["costs"])
    each = ", ".join(f"{verb} {count}" for verb, count in counts.items())
    print(f"{arguments.experiment} is valid: {counts.total()} jobs ({each})")
    print(cost_in_words(plan, Path("results") / file.stem))
