"""Print a table of all network models, or all about one."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

HELP = (
    "Print every network model with its parameters, law and source. "
    "With a NAME, print all about one: its arguments, their defaults and meanings. "
    "Reads the ideas of the package and of the working directory; writes no file."
)
ECHO = False


def add_arguments(parser: ArgumentParser) -> None:
    """Add the name of one network model."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="of one network model; all if not given")


def run(arguments: Namespace) -> None:
    """Print the table, or the page of one."""
    from flowsim.views.idea_page import idea_page
    from flowsim.views.model_table import model_table

    print(idea_page("flowsim.models", arguments.name) if arguments.name else model_table())
