"""Write the JSON schema of experiment files."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from flowsim.commands.parser import add_into

HELP = (
    "Write the JSON schema of experiment files, with the arguments of all stimuli, networks and analyses, "
    "yours included, for editors. Reads no file; writes JSON. An experiment names it in a comment: "
    "# yaml-language-server: $schema=experiment.schema.json"
)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the file to write."""
    add_into(parser, "schema (.json)")


def run(arguments: Namespace) -> None:
    """Write the schema."""
    from flowsim.files.outputs import protect
    from flowsim.skeletons.write import write_schema

    protect((arguments.into, "a schema"))
    write_schema(arguments.into)
    print(f"wrote {arguments.into}", file=sys.stderr)
