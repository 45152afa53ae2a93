"""Collect what was found at all points of a sweep."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from flowsim.commands.parser import add_experiment, add_into

HELP = (
    "Collect the answers of all points of a sweep in one table. Reads the tables of its figures; writes CSV, "
    "a row for each answer of each run."
)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the experiment, the folder of its results and the file to write."""
    add_experiment(parser)
    parser.add_argument("--results", required=True, type=Path, metavar="FOLDER", help="results/<experiment>")
    add_into(parser, "table (.csv)")


def run(arguments: Namespace) -> None:
    """Write the table."""
    from flowsim.experiment.read import read
    from flowsim.files.atomic import exclusive
    from flowsim.files.outputs import protect
    from flowsim.views.sweep_table import collected, write

    protect((arguments.into, "a table (CSV)"), read=[arguments.experiment])
    experiment = read(arguments.experiment)
    with exclusive(arguments.into):
        table = collected(experiment, arguments.results)
        write(table, arguments.into)
    print(f"wrote {arguments.into}: {len(table):,} rows", file=sys.stderr)
