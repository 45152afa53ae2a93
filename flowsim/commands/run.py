"""Run an experiment."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser, Namespace

from flowsim.commands.parser import add_data, add_experiment

HELP = (
    "Run an experiment, from its stimuli to its report. Reads an experiment file; writes "
    "results/<its name>/ in the working directory. The same command again does only what is still to do."
)
ECHO = False


def add_arguments(parser: ArgumentParser) -> None:
    """Add the experiment, the number of cores, and whether to say only what there is to do."""
    add_experiment(parser)
    add_data(parser)
    parser.add_argument("--cores", type=_cores, metavar="N", help="how many to use; if not given, all")
    parser.add_argument(
        "--profile",
        default="default",
        metavar="NAME",
        help="where jobs run: default (this machine), gpu, slurm, or a folder with a profile of Snakemake",
    )
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help="say what there is to do, and do nothing"
    )


def run(arguments: Namespace) -> None:
    """Run the experiment and print where its report is."""
    from flowsim.pipeline.run import run

    report = run(arguments.experiment, arguments.cores, arguments.dry_run, arguments.profile)
    if report.is_file() and not arguments.dry_run:
        print(f"report: {report.absolute().as_uri()}")


def _cores(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1; got {text!r}")
    return int(text)
