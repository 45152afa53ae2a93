"""Write the page of all stimuli."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from flowsim.commands.parser import add_into

HELP = (
    "Make the page of all stimuli. Reads nothing; writes Markdown and, in a folder of the same name beside "
    "it, an animation (.gif) of each."
)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the file."""
    add_into(parser, "page (.md)")


def run(arguments: Namespace) -> None:
    """Write the page and its pictures."""
    from flowsim import ideas
    from flowsim.errors import InputError
    from flowsim.views.gallery import write

    if arguments.into.suffix != ".md":
        raise InputError(f"--into: expected a file ending in .md; got {arguments.into}")
    write(ideas.names("stimuli"), arguments.into)
    print(f"wrote {arguments.into}", file=sys.stderr)
