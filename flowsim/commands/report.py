"""Write the page of one experiment."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from flowsim.commands.parser import add_data, add_experiment, add_into

HELP = "Put an experiment on one self-contained page. Reads its analyses, figures and logs; writes HTML."


def add_arguments(parser: ArgumentParser) -> None:
    """Add the experiment, the folder of its results and the file to write."""
    add_experiment(parser)
    add_data(parser)
    parser.add_argument("--results", required=True, type=Path, metavar="FOLDER", help="results/<experiment>")
    parser.add_argument(
        "--incomplete",
        action="store_true",
        help="some jobs failed: draw the figures of what there is first, and say what is missing",
    )
    add_into(parser, "page (.html)")


def run(arguments: Namespace) -> None:
    """Write the page."""
    from flowsim.experiment.read import read
    from flowsim.files.atomic import exclusive
    from flowsim.files.outputs import protect
    from flowsim.views import report, sweep_report

    protect((arguments.into, "a report"), read=[arguments.experiment])
    page = report.page if read(arguments.experiment).sweep is None else sweep_report.page
    with exclusive(arguments.into):
        missing = _drawn_without_missing(arguments) if arguments.incomplete else {}
        page(arguments.experiment, arguments.results, arguments.into, missing)
    print(f"wrote {arguments.into}", file=sys.stderr)


def _drawn_without_missing(arguments: Namespace) -> dict[str, dict[Path, str]]:
    """Draw every figure again, of the runs that there are; returns what is missing."""
    from flowsim.errors import InputError
    from flowsim.experiment.read import read
    from flowsim.experiment.sweep import results_of
    from flowsim.files.atomic import exclusive
    from flowsim.pipeline.incomplete import not_made
    from flowsim.views import drawing, sweep_figure, sweep_table

    experiment, results = read(arguments.experiment), arguments.results
    missing = not_made(experiment, results)
    every = {name: results_of(experiment, name, results) for name in missing}
    if missing and all(len(paths) == len(every[name]) for name, paths in missing.items()):
        reasons = [f"{path.stem}: {why}" for paths in missing.values() for path, why in paths.items()]
        raise InputError(f"{results}: expected the results of one run at least; {reasons[0]}")
    for name, paths in missing.items():
        figure = results / "figures" / f"{name}.svg"
        with exclusive(figure):
            if experiment.sweep is None:
                drawing.draw(name, every[name], figure, paths)
            else:
                sweep_figure.draw(experiment, name, results, figure, paths)
    if experiment.sweep is not None:
        sweep_table.write(sweep_table.collected(experiment, results), results / "sweep.csv")
    return missing
