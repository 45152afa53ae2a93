"""Draw one analysis of several runs.

Where no run could be judged, the figure says why; so it does where an analysis of the user's fails.
"""

from __future__ import annotations

import sys
import traceback
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from flowsim.commands.parser import add_into

HELP = "Draw one analysis of several runs. Reads its results; writes SVG and, beside it, PNG and CSV."


def add_arguments(parser: ArgumentParser) -> None:
    """Add the analysis, the results of its runs and the file to write."""
    parser.add_argument("analysis", help="a file in analysis/")
    parser.add_argument(
        "--results", required=True, nargs="+", type=Path, metavar="FILE", help="results of each run (.h5)"
    )
    add_into(parser, "figure (.svg)")


def run(arguments: Namespace) -> None:
    """Draw the figure and write it, and the numbers in it."""
    import matplotlib as mpl

    from flowsim import ideas
    from flowsim.errors import CannotJudge, InputError
    from flowsim.figures import plot
    from flowsim.files.atomic import exclusive
    from flowsim.files.outputs import protect

    into = arguments.into
    if into.suffix != ".svg":
        raise InputError(
            f"--into: expected a file ending in .svg (.png and .csv are written beside it); got {into}"
        )
    written = ((into, "a drawing (SVG)"), (into.with_suffix(".png"), "a picture (PNG)"))
    protect(*written, (into.with_suffix(".csv"), "a table (CSV)"), read=arguments.results)
    mpl.use("agg")
    analysis = ideas.load("analysis", arguments.analysis)
    with exclusive(into), mpl.rc_context(plot.STYLE):
        try:
            with ideas.blamed(analysis.__file__):
                _draw(analysis, arguments.analysis, arguments.results, into)
        except CannotJudge as error:
            _write_reason(str(error), into)
        except InputError as error:
            if not ideas.is_own(str(analysis.__file__)):
                raise
            traceback.print_exception(error)
            _write_reason(str(error), into)
        else:
            print(f"wrote {into}, .png and .csv", file=sys.stderr)


def _draw(analysis: ModuleType, name: str, paths: Sequence[Path], into: Path) -> None:
    """Write the figure, and the numbers in it."""
    from matplotlib.figure import Figure

    from flowsim import ideas
    from flowsim.errors import InputError
    from flowsim.figures import plot
    from flowsim.files.results import answers_of, side_by_side, write_tidy

    results = side_by_side(paths, name)
    plotted = getattr(analysis, analysis.DATA)(results) if hasattr(analysis, "DATA") else results
    write_tidy(plotted, into.with_suffix(".csv"), answers_of(name, results))
    figure = analysis.figure(results)
    if not isinstance(figure, Figure):
        raise InputError(
            f"{ideas.file_of(analysis)}: expected figure(results) to return a Figure of matplotlib; got "
            f"{type(figure).__name__}"
        )
    if results.attrs["refused"]:
        title = figure.get_suptitle()
        not_judged = f"could not be judged: {', '.join(results.attrs['refused'])}"
        figure.suptitle(f"{title}\n{not_judged}" if title else not_judged, fontsize=8)
    plot.save(figure, into.with_suffix(".png"))
    plot.save(figure, into)


def _write_reason(reason: str, into: Path) -> None:
    """A figure that says why there is none, and a table without rows."""
    import textwrap

    from flowsim.figures import plot
    from flowsim.files.atomic import whole

    figure, ax = plot.subplots(figsize=(plot.PAGE, 1.0))
    ax.axis("off")
    ax.text(0, 0.5, textwrap.fill(reason, 100), va="center", fontsize=8)
    for suffix in (".png", ".svg"):
        plot.save(figure, into.with_suffix(suffix))
    with whole(into.with_suffix(".csv")) as temporary:
        temporary.write_text("run,network,seed,variable,value,units\n", encoding="utf-8")
    print(f"wrote {into}, .png and .csv: {reason}", file=sys.stderr)
