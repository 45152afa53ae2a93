"""How fast does a network learn? Validation error against the number of sequences it has seen."""

from __future__ import annotations

from decimal import ROUND_CEILING, Context
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from flowsim.figures import plot
from flowsim.files import coordinates
from flowsim.specification import checked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READS = "test"
QUESTION = "How fast does each network learn?"
READING = (
    "Error on validation sequences against the number of training sequences seen: the mean squared error "
    "after the context, over the trained horizon, or the cross-entropy where networks classify. Thick lines "
    "are geometric means over seeds, as far as all were trained, and thin ones are seeds. A network that "
    "needs fewer sequences for the same error learns faster. Dashed, the goal: the lowest error that the "
    "first network reaches, median over its seeds, rounded up, so that up to half of its own seeds miss it. "
    "A run that never reaches the goal has no number of sequences, is counted as such, and then no network "
    "is called the fastest."
)


@checked
def analyse(recording: xr.Dataset) -> xr.Dataset:
    """The learning curve that the recording carries.

    Parameters
    ----------
    recording : Dataset
        With ``curve_sequences`` and ``curve_valid_loss`` (validation).

    Returns
    -------
    Dataset
        ``valid_loss`` (sequences), MSE per pixel, or cross-entropy where the network classifies.

    Raises
    ------
    InputError
        If the recording has no learning curve.
    """
    loss = coordinates.variable(recording, "curve_valid_loss")
    sequences = coordinates.variable(recording, "curve_sequences").values.astype(int)
    measure = "cross-entropy" if recording.attrs.get("task") == "classify" else "MSE per pixel"
    return xr.Dataset(
        {"valid_loss": ("sequences", loss.values, {"units": "1", "long_name": f"validation {measure}"})},
        {"sequences": ("sequences", sequences, {"long_name": "sequences seen"})},
    )


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table: sequences until the goal is reached, NaN where it never is, and
    which runs reach it.

    Fewer sequences are better only where all runs reach the goal: those that do are the best of their
    network.
    """
    goal = _goal(results)
    if not np.isfinite(goal):
        return {}
    measure = results.valid_loss.attrs["long_name"].removesuffix(" per pixel")
    sequences = results.sequences.where(results.valid_loss <= goal).min("sequences")
    reached = sequences.notnull().astype(float).assign_attrs(units="1", better="higher", bounds=(0, 1))
    sequences = sequences.assign_attrs(units="", scale="ratio")
    if bool(reached.all()):
        return {f"sequences seen until {measure} is {goal:g}": sequences.assign_attrs(better="lower")}
    return {
        f"sequences seen until {measure} is {goal:g}, of runs that reach it": sequences,
        f"share of runs that reach {measure} {goal:g}": reached,
    }


def _goal(results: xr.Dataset) -> float:
    """The lowest error of the first network, median over its seeds, rounded up to two digits; NaN if it has
    none.
    """
    of_reference = results.network.values == plot.networks(results)[0]
    best = float(results.valid_loss.isel(run=of_reference).min("sequences").median())
    if not np.isfinite(best):
        return np.nan
    return float(Context(prec=2, rounding=ROUND_CEILING).create_decimal(f"{best:.9g}"))


def figure(results: xr.Dataset) -> Figure:
    """Validation error against sequences seen, and the goal."""
    fig, ax = plot.subplots(figsize=(plot.COLUMN, 2.6 + 0.06 * len(plot.networks(results))))
    plot.lines(results, "valid_loss", "sequences", ax, geometric=True)
    ax.set(xlabel="sequences seen", ylabel=results.valid_loss.attrs["long_name"])
    title = plot.seeds(results)
    goal = _goal(results)
    if np.isfinite(goal):
        reached = int((results.valid_loss <= goal).any("sequences").sum())
        ax.axhline(goal, color="0.5", ls="--", lw=0.8, label=f"goal, {goal:g}")
        title = f"{title}; {reached} of {results.sizes['run']} runs reach the goal"
    plot.logarithmic(ax.yaxis)
    ax.xaxis.get_major_locator().set_params(nbins=5)
    ax.set_title(title, fontsize=8)
    plot.legend_below(results, ax)
    return fig
