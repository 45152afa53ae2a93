"""Draw a few trials of a stimulus."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from flowsim.commands.parser import add_data, add_into, add_seed, add_spec, add_split

HELP = (
    "Look at a stimulus: a few trials, or the flows of a probe, with their ground truth. Reads at most an "
    "experiment file; writes a contact sheet (.png) and, beside it, an animation (.gif)."
)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the stimulus, the split, the settings, the seed and the file."""
    parser.add_argument(
        "stimulus", metavar="SPEC", help="a file in stimuli/, such as moving_digits, or an experiment (.yaml)"
    )
    add_split(parser, default="test")
    add_spec(parser, "arguments of its generate, before those of the experiment")
    add_seed(parser)
    add_data(parser)
    add_into(parser, "contact sheet (.png)")


def run(arguments: Namespace) -> None:
    """Draw the contact sheet and the animation."""
    from flowsim import specification
    from flowsim.errors import InputError
    from flowsim.files.outputs import protect
    from flowsim.views import preview

    split, into = arguments.split, arguments.into
    if into.suffix != ".png":
        raise InputError(f"--into: expected a file ending in .png (a .gif is written beside it); got {into}")
    written = ((into, "a picture (PNG)"), (into.with_suffix(".gif"), "an animation (GIF)"))
    protect(*written, read=[Path(arguments.stimulus)])
    family, settings = preview.family_and_spec(arguments.stimulus, split)
    settings = {**settings, **specification.from_json(arguments.spec)}
    preview.write(preview.sample(family, split, settings, arguments.seed), into)
    print(f"wrote {into} and .gif", file=sys.stderr)
