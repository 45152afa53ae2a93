"""Write a working skeleton of an experiment, a stimulus, a network or an analysis, with its test."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

HELP = (
    "Begin an idea of your own. Reads what is in the working directory; writes a working file into its "
    "folder (experiments/, stimuli/, models/ or analysis/), and a test into tests/. Nothing is overwritten."
)
ECHO = False
NEXT = {
    "experiment": "flowsim validate experiments/{name}.yaml",
    "stimulus": "flowsim preview {name} --into {name}.png",
    "network": "flowsim models {name}",
    "analysis": "flowsim analyses {name}",
}
"""What to try next."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the kind and the name."""
    parser.add_argument("kind", choices=list(NEXT))
    parser.add_argument("name", help="how the command line and experiments will call it")


def run(arguments: Namespace) -> None:
    """Write the files and say what to do with them."""
    from flowsim.skeletons.write import write

    for path in write(arguments.kind, arguments.name):
        print(f"wrote {path}")
    print(f"next:  {NEXT[arguments.kind].format(name=arguments.name)}")
    print(f"test:  python -m pytest tests/test_{arguments.kind}_{arguments.name}.py   (pip install pytest)")
