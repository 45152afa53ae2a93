"""Write the page of one experiment."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from flowsim.commands.parser import add_data, add_experiment, add_into

HELP = (
    "Put an experiment on one self-contained page. Reads its analyses, figures and benchmarks; writes HTML."
)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the experiment, the folder of its results and the file to write."""
    add_experiment(parser)
    add_data(parser)
    parser.add_argument("--results", required=True, type=Path, metavar="FOLDER", help="results/<experiment>")
    add_into(parser, "page (.html)")


def run(arguments: Namespace) -> None:
    """Write the page."""
    from flowsim.files.atomic import exclusive
    from flowsim.files.outputs import protect
    from flowsim.views.report import page

    protect((arguments.into, "a report"), read=[arguments.experiment])
    with exclusive(arguments.into):
        page(arguments.experiment, arguments.results, arguments.into)
    print(f"wrote {arguments.into}", file=sys.stderr)
