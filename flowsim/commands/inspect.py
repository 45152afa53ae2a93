"""Print what a file is."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

HELP = (
    "Print what a file is, from what it was made, its size and its law. Reads any file that flowsim writes; "
    "writes none."
)
ECHO = False


def add_arguments(parser: ArgumentParser) -> None:
    """Add the file, and whether to read all of it."""
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument(
        "--check", action="store_true", help="read all of it and compare it with its checksums"
    )


def run(arguments: Namespace) -> None:
    """Print the description."""
    from flowsim.views.inspection import describe

    print(describe(arguments.file, arguments.check))
