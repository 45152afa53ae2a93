"""Draw one analysis of several runs.

Where no run could be judged, the figure says why; so it does where an analysis of the user's fails.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from flowsim.commands.parser import add_into

HELP = "Draw one analysis of several runs. Reads its results; writes SVG and, beside it, PNG and CSV."


def add_arguments(parser: ArgumentParser) -> None:
    """Add the analysis, the results of its runs and the file to write."""
    parser.add_argument("analysis", help="a file in analysis/")
    parser.add_argument(
        "--results", required=True, nargs="+", type=Path, metavar="FILE", help="results of each run (.h5)"
    )
    add_into(parser, "figure (.svg)")


def run(arguments: Namespace) -> None:
    """Draw the figure and write it, and the numbers in it."""
    from flowsim.errors import InputError
    from flowsim.files.atomic import exclusive
    from flowsim.files.outputs import protect
    from flowsim.views.drawing import draw

    into = arguments.into
    if into.suffix != ".svg":
        raise InputError(
            f"--into: expected a file ending in .svg (.png and .csv are written beside it); got {into}"
        )
    written = ((into, "a drawing (SVG)"), (into.with_suffix(".png"), "a picture (PNG)"))
    protect(*written, (into.with_suffix(".csv"), "a table (CSV)"), read=arguments.results)
    with exclusive(into):
        reason = draw(arguments.analysis, arguments.results, into)
    print(f"wrote {into}, .png and .csv{': ' * bool(reason)}{reason}", file=sys.stderr)
