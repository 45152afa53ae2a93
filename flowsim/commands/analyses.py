"""Print a table of all analyses, or all about one."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

HELP = (
    "Print every analysis with its question and the recording that it reads. "
    "With a NAME, print all about one: its arguments, their defaults and meanings. "
    "Reads the ideas of the package and of the working directory; writes no file."
)
ECHO = False


def add_arguments(parser: ArgumentParser) -> None:
    """Add the name of one analysis."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="of one analysis; all if not given")


def run(arguments: Namespace) -> None:
    """Print the table, or the page of one."""
    from flowsim.views.idea_page import idea_page
    from flowsim.views.idea_table import idea_table

    print(
        idea_page("analysis", arguments.name)
        if arguments.name
        else idea_table("analysis", "analysis", reads="READS")
    )
