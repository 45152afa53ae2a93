"""Print a table of all network models."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

HELP = "Print every network model with its parameters, law and source. Reads and writes no file."
ECHO = False


def add_arguments(parser: ArgumentParser) -> None:
    """Add nothing: the verb has no arguments."""


def run(arguments: Namespace) -> None:
    """Print the table."""
    from flowsim.views.model_table import model_table

    print(model_table())
