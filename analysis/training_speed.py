"""How fast does a network learn? Validation error against the number of sequences it has seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

from flowsim.figures import plot
from flowsim.files import coordinates

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READS = "test"
QUESTION = "How fast does each network learn?"
READING = (
    "Error on validation sequences against the number of training sequences seen: the mean squared "
    "error after the context, over the trained horizon, or the cross-entropy where networks classify. "
    "Thin lines are seeds. A network that needs fewer sequences for the same error learns faster."
)


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """The learning curve that the recording carries.

    Parameters
    ----------
    recording : Dataset
        With ``curve_sequences`` and ``curve_valid_loss`` (checkpoint).

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
    """Numbers (run) for the opening table: sequences until the worst network's best error is reached."""
    goal = results.valid_loss.min("sequences").max()
    reached = results.sequences.where(results.valid_loss <= goal).min("sequences")
    measure = results.valid_loss.attrs["long_name"].removesuffix(" per pixel")
    return {f"sequences seen until {measure} is {float(goal):.2g}": reached.assign_attrs(better="lower")}


def figure(results: xr.Dataset) -> Figure:
    """Validation error against sequences seen."""
    fig, ax = plot.subplots(figsize=(plot.COLUMN, 2.6 + 0.06 * len(plot.networks(results))))
    plot.lines(results, "valid_loss", "sequences", ax)
    ax.set(yscale="log", xlabel="sequences seen", ylabel=results.valid_loss.attrs["long_name"])
    ax.set_title(plot.seeds(results), fontsize=8)
    plot.legend_below(results, ax)
    return fig
