"""Draw one analysis of several runs.

Where no run could be judged, the figure says why; so it does where an analysis of the user's fails.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from flowsim.commands.parser import add_into

HELP = (
    "Draw one analysis of several runs, or of all points of a sweep. Reads its results; writes SVG and, "
    "beside it, PNG and CSV."
)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the analysis, the results of its runs and the file to write."""
    parser.add_argument("analysis", help="a file in analysis/")
    parser.add_argument(
        "--results",
        required=True,
        nargs="+",
        type=Path,
        metavar="FILE",
        help="results of each run (.h5); of a sweep, results/<experiment>",
    )
    parser.add_argument(
        "--sweep",
        type=Path,
        metavar="FILE",
        help="an experiment (.yaml) with a sweep, to draw all its points",
    )
    add_into(parser, "figure (.svg)")


def run(arguments: Namespace) -> None:
    """Draw the figure and write it, and the numbers in it."""
    from flowsim.errors import InputError
    from flowsim.experiment.places import require_place, said_by
    from flowsim.files import netcdf
    from flowsim.files.atomic import exclusive
    from flowsim.files.outputs import protect
    from flowsim.views.drawing import draw

    into = arguments.into
    if into.suffix != ".svg":
        raise InputError(
            f"--into: expected a file ending in .svg (.png and .csv are written beside it); got {into}"
        )
    written = ((into, "a drawing (SVG)"), (into.with_suffix(".png"), "a picture (PNG)"))
    protect(*written, (into.with_suffix(".csv"), "a table (CSV)"), read=arguments.results)
    if arguments.sweep:
        reason = _draw_sweep(arguments)
    else:
        for path in arguments.results:
            with netcdf.read(path, "analysis") as results:
                require_place(path, said_by(results.attrs))
        with exclusive(into):
            reason = draw(arguments.analysis, arguments.results, into)
    print(f"wrote {into}, .png and .csv{': ' * bool(reason)}{reason}", file=sys.stderr)


def _draw_sweep(arguments: Namespace) -> str:
    """Draw one analysis of all points of a sweep; returns why there is nothing to see, if so."""
    from flowsim.errors import InputError
    from flowsim.experiment.read import read
    from flowsim.files.atomic import exclusive
    from flowsim.views.sweep_figure import draw

    experiment = read(arguments.sweep)
    if experiment.sweep is None or arguments.analysis not in experiment.analyse:
        lacks = "no sweep" if experiment.sweep is None else f"no analysis {arguments.analysis}"
        raise InputError(
            f"--sweep: expected an experiment with a sweep and this analysis; {arguments.sweep} has {lacks}"
        )
    if len(arguments.results) != 1 or not arguments.results[0].is_dir():
        raise InputError(
            f"--results: expected the folder of the sweep's results; got {arguments.results[0]}"
            f"{' and more' * (len(arguments.results) > 1)}. Give results/<experiment>"
        )
    with exclusive(arguments.into):
        return draw(experiment, arguments.analysis, arguments.results[0], arguments.into)
