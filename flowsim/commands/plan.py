"""Print the jobs of an experiment."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace

from flowsim.commands.parser import add_data, add_experiment

HELP = "Check an experiment file and print its jobs as JSON, for the Snakefile. Reads the file only."
ECHO = False


def add_arguments(parser: ArgumentParser) -> None:
    """Add the experiment."""
    add_experiment(parser)
    add_data(parser)


def run(arguments: Namespace) -> None:
    """Print the jobs."""
    from flowsim.experiment.plan import jobs

    print(json.dumps(jobs(arguments.experiment)))
