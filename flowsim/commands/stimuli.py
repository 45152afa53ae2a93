"""Print a table of all stimuli, or all about one."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

HELP = (
    "Print every family of stimuli with what it shows. "
    "With a NAME, print all about one: its arguments, their defaults and meanings. "
    "Reads the ideas of the package and of the working directory; writes no file."
)
ECHO = False


def add_arguments(parser: ArgumentParser) -> None:
    """Add the name of one stimulus."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="of one stimulus; all if not given")


def run(arguments: Namespace) -> None:
    """Print the table, or the page of one."""
    from flowsim.views.idea_page import idea_page
    from flowsim.views.idea_table import idea_table

    print(idea_page("stimuli", arguments.name) if arguments.name else idea_table("stimuli", "stimulus"))
