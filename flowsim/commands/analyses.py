"""Print a table of all analyses."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

HELP = "Print every analysis with its question and the recording that it reads. Reads and writes no file."
ECHO = False


def add_arguments(parser: ArgumentParser) -> None:
    """Add nothing: the verb has no arguments."""


def run(arguments: Namespace) -> None:
    """Print the table."""
    from flowsim.views.idea_table import idea_table

    print(idea_table("analysis", "analysis", reads="READS"))
