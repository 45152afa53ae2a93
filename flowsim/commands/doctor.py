"""Print what works on this machine."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

HELP = (
    "Print what works on this machine: versions, GPU, threads, disk, and packages that only some work needs. "
    "Reads and writes no file."
)
ECHO = False


def add_arguments(parser: ArgumentParser) -> None:
    """Add nothing: the verb has no arguments."""


def run(arguments: Namespace) -> None:
    """Print one line for each thing."""
    from flowsim.views.machine import describe

    print(describe())
