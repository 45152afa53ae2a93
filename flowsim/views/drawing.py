"""The figure of one analysis of several runs, as SVG, PNG and the table of what it shows.

Where no run could be judged, the figure says why; so it does where an analysis of the user's fails.
"""

from __future__ import annotations

import textwrap
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import matplotlib as mpl
from matplotlib.figure import Figure

from flowsim import ideas
from flowsim.errors import CannotJudge, InputError
from flowsim.figures import plot
from flowsim.files.atomic import whole
from flowsim.files.results import answers_of, side_by_side, write_tidy

NAMED = 3
"""Runs without results that a figure names, at most; the report names all."""
LETTERS_PER_INCH = 14
"""Of what is written above a figure."""


def draw(name: str, paths: Sequence[Path], into: Path, not_made: Mapping[Path, str] | None = None) -> str:
    """Draw the figure and write it, and the numbers in it.

    Parameters
    ----------
    name : str
        The analysis.
    paths : sequence of path
        Results of one run each.
    into : path
        The SVG; the PNG and the CSV are written beside it.
    not_made : mapping of path to str, optional
        Those of the paths that are not there, and why.

    Returns
    -------
    str
        Why the figure shows no results; "" where it does.

    Raises
    ------
    InputError
        If results are missing, damaged or not of this analysis.
    """
    mpl.use("agg")
    analysis = ideas.load("analysis", name)
    with mpl.rc_context(plot.STYLE):
        try:
            with ideas.blamed(analysis.__file__):
                _draw(analysis, name, paths, into, not_made)
        except CannotJudge as error:
            write_reason(str(error), into)
            return str(error)
        except InputError as error:
            if not ideas.is_own(str(analysis.__file__)):
                raise
            traceback.print_exception(error)
            write_reason(str(error), into)
            return str(error)
    return ""


def _draw(
    analysis: ModuleType, name: str, paths: Sequence[Path], into: Path, not_made: Mapping[Path, str] | None
) -> None:
    results = side_by_side(paths, name, not_made)
    plotted = getattr(analysis, analysis.DATA)(results) if hasattr(analysis, "DATA") else results
    write_tidy(plotted, into.with_suffix(".csv"), answers_of(name, results))
    figure = analysis.figure(results)
    if not isinstance(figure, Figure):
        raise InputError(
            f"{ideas.file_of(analysis)}: expected figure(results) to return a Figure of matplotlib; got "
            f"{type(figure).__name__}"
        )
    if results.attrs["refused"]:
        say_missing(figure, list(results.attrs["refused"]))
    plot.save(figure, into.with_suffix(".png"))
    plot.save(figure, into)


def say_missing(figure: Figure, runs: Sequence[str]) -> None:
    """Name above a figure, below its title, the runs that are not in it, in lines no wider than it."""
    title = figure.get_suptitle()
    width = int(LETTERS_PER_INCH * figure.get_figwidth())
    missing = textwrap.fill(f"without results: {_some(runs)}", width, break_on_hyphens=False)
    figure.suptitle(f"{title}\n{missing}" if title else missing, fontsize=8)


def _some(runs: Sequence[str]) -> str:
    """Names of runs, of which a line above a figure has room for few."""
    if len(runs) <= NAMED:
        return ", ".join(runs)
    return f"{', '.join(runs[:NAMED])} and {len(runs) - NAMED} more"


def write_reason(reason: str, into: Path) -> None:
    """A figure that says why there is none, and a table without rows."""
    figure, ax = plot.subplots(figsize=(plot.PAGE, 1.0))
    ax.axis("off")
    ax.text(0, 0.5, textwrap.fill(reason, 100), va="center", fontsize=8)
    for suffix in (".png", ".svg"):
        plot.save(figure, into.with_suffix(suffix))
    with whole(into.with_suffix(".csv")) as temporary:
        temporary.write_text("run,network,seed,variable,value,units\n", encoding="utf-8")
