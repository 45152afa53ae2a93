"""TODO"""

from __future__ import annotations

import sys
from argparse import Namespace

from flowsim import ideas
from flowsim.errors import InputError
from flowsim.files.atomic import exclusive
from flowsim.files.results import side_by_side, write_tidy


def figure(a: Namespace) -> None:
    """Draw one analysis of several runs."""
    import matplotlib as mpl

    from flowsim.figures import plot

    if a.into.suffix != ".svg":
        raise InputError(
            f"--into: expected a file ending in .svg (.png and .csv are written beside it); got {a.into}"
        )
    mpl.use("agg")
    analysis = ideas.load("analysis", a.analysis)
    with exclusive(a.into), mpl.rc_context(plot.STYLE):
        results = side_by_side(a.results, a.analysis)
        data = getattr(analysis, analysis.DATA)(results) if hasattr(analysis, "DATA") else results
        write_tidy(data, a.into.with_suffix(".csv"))
        drawn = analysis.figure(results)
        for path in (a.into.with_suffix(".png"), a.into):
            plot.save(drawn, path)
    print(f"wrote {a.into}, .png and .csv", file=sys.stderr)
