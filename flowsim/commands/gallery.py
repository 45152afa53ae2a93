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
    from flowsim.files.outputs import protect
    from flowsim.views.gallery import write

    if arguments.into.suffix != ".md":
        raise InputError(f"--into: expected a file ending in .md; got {arguments.into}")
    into, names = arguments.into, ideas.names("stimuli")
    animations = [(into.with_suffix("") / f"{name}.gif", "an animation (GIF)") for name in names]
    protect(
        (into, "a page of stimuli"), *([] if into.exists() else animations)
    )  # those of a page are its own
    write(names, into)
    print(f"wrote {into}", file=sys.stderr)
