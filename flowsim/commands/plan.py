"""Print the jobs of an experiment."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace

from flowsim.commands.parser import add_data, add_experiment

HELP = (
    "Check an experiment file and print its jobs as JSON, for the Snakefile. Reads the file; writes the jobs "
    "to the cache, and takes them from there as long as nothing changes."
)
ECHO = False


def add_arguments(parser: ArgumentParser) -> None:
    """Add the experiment."""
    add_experiment(parser)
    add_data(parser)


def run(arguments: Namespace) -> None:
    """Print the jobs."""
    from flowsim.experiment.remembered import remembered_jobs

    print(json.dumps(remembered_jobs(arguments.experiment)))
