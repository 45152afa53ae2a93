"""Print a table of all stimuli."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

HELP = "Print every family of stimuli with what it shows. Reads and writes no file."
ECHO = False


def add_arguments(parser: ArgumentParser) -> None:
    """Add nothing: the verb has no arguments."""


def run(arguments: Namespace) -> None:
    """Print the table."""
    from flowsim.views.idea_table import idea_table

    print(idea_table("stimuli", "stimulus"))
