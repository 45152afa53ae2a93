"""Does a network predict velocities on which it was never trained?

Mean squared error as a function of the velocity of one object, while the others move as in training.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import numpy as np
import xarray as xr
from pydantic import Field

from flowsim import dataset, plot
from flowsim.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READS = "sweep"
QUESTION = "Does the prediction hold at velocities never trained on?"
READING = (
    "Mean squared error over the predicted frames, by the velocity of one of the objects; the others move at trained "
    "velocities. The white frame holds the trained velocities. Darker is better; mean over seeds."
)


def analyse(recording: xr.Dataset, *, trained_speed: Annotated[int, Field(ge=0)] = 1) -> xr.Dataset:
    """Error by velocity.

    Parameters
    ----------
    recording : Dataset
        With ``prediction`` and ``frames`` (flow, trial, time, y, x) and ``object_velocity_vy``, ``object_velocity_vx``
        (trial, object), of which object 0 is the one that varies.
    trained_speed : int
        Velocities in {-trained_speed..trained_speed}^2 were trained on.

    Returns
    -------
    Dataset
        ``mse`` (vy, vx); ``mse_trained``, ``mse_novel``: means over trials at and beyond trained velocities,
        with ``sem_trained``, ``sem_novel`` over trials.

    Raises
    ------
    InputError
        If the recording has no predictions after the context.
    """
    error, _ = dataset.scored(recording)
    horizon = int(recording.attrs.get("horizon", error.sizes["time"]))
    by_trial = error.isel(time=(error.ahead <= horizon).values).mean(("flow", "time", "y", "x")).compute()
    if "object_velocity_vy" not in recording.coords:
        raise InputError("velocity_generalisation needs the velocity of each object (object_velocity_vy, _vx)")
    velocity = {c: recording[f"object_velocity_{c}"].isel(object=0).values for c in ("vy", "vx")}
    table = by_trial.to_dataframe("mse").reset_index(drop=True)[["mse"]].assign(**velocity)
    grid = table.groupby(["vy", "vx"]).mse.mean().unstack("vx")
    novel = np.maximum(abs(table.vy), abs(table.vx)) > trained_speed
    attrs = {"units": "px/frame"}
    result = xr.Dataset(
        {"mse": (("vy", "vx"), grid.to_numpy(), {"units": "1", "long_name": "MSE per pixel"})},
        {"vy": ("vy", grid.index.to_numpy(), attrs), "vx": ("vx", grid.columns.to_numpy(), attrs)},
        {"trained_speed": trained_speed},
    )
    for name, chosen in (("trained", ~novel), ("novel", novel)):
        result[f"mse_{name}"], result[f"sem_{name}"] = table.mse[chosen].mean(), table.mse[chosen].sem()
    return result


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table."""
    return {
        "MSE at trained velocities": results.mse_trained,
        "MSE at novel velocities": results.mse_novel,
    }


def figure(results: xr.Dataset) -> Figure:
    """One heat map over the velocity plane per network, on a common logarithmic scale."""
    import seaborn as sns
    from matplotlib.colors import LogNorm
    from matplotlib.patches import Rectangle

    names = plot.networks(results)
    mean = results.mse.groupby("network").mean()
    norm = LogNorm(float(mean.min()), float(mean.max()))
    across = min(len(names), 4)
    down = math.ceil(len(names) / across)
    fig, axes = plot.subplots(
        down, across, figsize=(plot.PAGE, 2.2 * down + 0.4), squeeze=False, sharex=True, sharey=True
    )
    for ax in axes.flat[len(names) :]:
        ax.axis("off")
    speed = results.attrs["trained_speed"]
    for ax, name in zip(axes.flat, names, strict=False):
        table = mean.sel(network=name).to_pandas()
        sns.heatmap(
            table, ax=ax, norm=norm, cmap="viridis", square=True, cbar=False, annot=table * 1e3, fmt=".0f",
            annot_kws={"size": 6 if down > 1 else 7},
        )  # fmt: skip
        low = [int(np.searchsorted(table.axes[i], -speed)) for i in (0, 1)]
        ax.add_patch(Rectangle((low[1], low[0]), 2 * speed + 1, 2 * speed + 1, fill=False, ec="white", lw=2))
        ax.set(title=name, xlabel="", ylabel="")
    fig.supxlabel("vx (px/frame, right)", fontsize=9)
    fig.supylabel("vy (px/frame, down)", fontsize=9)
    fig.colorbar(axes.flat[0].collections[0], ax=axes, label="MSE per pixel", shrink=0.8)
    fig.suptitle(f"MSE x 1000, {plot.seeds(results)}", fontsize=9)
    return fig
