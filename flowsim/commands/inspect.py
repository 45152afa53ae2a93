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
    """Add the files, and whether to read all of them."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument(
        "--check", action="store_true", help="read all of them and compare them with their checksums"
    )


def run(arguments: Namespace) -> None:
    """Print the description of each file; those that cannot be read do not keep others from being read."""
    from flowsim.errors import InputError
    from flowsim.output import one_line
    from flowsim.views.inspection import describe

    wrong: list[InputError] = []
    for file in arguments.files:
        try:
            print(describe(file.expanduser(), arguments.check))
        except InputError as error:
            wrong.append(error)
            if len(arguments.files) > 1:
                print(one_line(str(error)))
    if len(arguments.files) == 1 and wrong:
        raise wrong[0]
    if wrong:
        raise InputError(f"{len(wrong)} of {len(arguments.files)} files cannot be used; see above")
