"""Compare the results of two experiments."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

HELP = (
    "Compare every answer of two experiments that were run, or of two folders of results, such as those of "
    "two commits, and say what moved beyond its interval over seeds. Reads their analyses; prints a table, "
    "and writes it as CSV where --into names a file."
)
ECHO = False


def add_arguments(parser: ArgumentParser) -> None:
    """Add the two experiments and the table to write."""
    for name, words in (("a", "the first"), ("b", "the second")):
        parser.add_argument(
            name,
            type=Path,
            metavar=name.upper(),
            help=f"{words}: an experiment file (.yaml) or a folder results/<experiment>",
        )
    parser.add_argument("--into", type=Path, metavar="FILE", help="table (.csv) to write")


def run(arguments: Namespace) -> None:
    """Print the comparison, and write it if asked to."""
    from flowsim.files.atomic import exclusive
    from flowsim.files.outputs import protect
    from flowsim.views.comparison import as_csv, compared, folder_of, in_words, side
    from flowsim.views.sweep_table import write

    if arguments.into:
        protect((arguments.into, "a comparison (CSV)"), read=[arguments.a, arguments.b])
    a, b = side(folder_of(arguments.a)), side(folder_of(arguments.b))
    found = compared(a, b)
    print(in_words(a, b, found))
    if arguments.into:
        with exclusive(arguments.into):
            write(as_csv(found), arguments.into)
        print(f"wrote {arguments.into}", file=sys.stderr)
