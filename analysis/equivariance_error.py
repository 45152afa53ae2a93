r"""By which law does the state follow when the input flows?

For each law, the state under the flowed input is compared with what the law predicts from the state under the
reference input:

    error(law, u, t) = || h_t[psi(u) f] - law(h_t[f]) || / || h_t[psi(u) f] ||

with norms over trials, channels, pixels and those velocity channels about which the law says something. Their
share is the coverage; where it is 0 there is no error to speak of, and it is NaN, not 0.

Source: Keller (2025), Flow Equivariant Recurrent Neural Networks, theorem 1 (transport+shift).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray as xr

from flowsim import dataset, plot
from flowsim.errors import InputError
from flowsim.grid import LAWS, Law, VelocityGrid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READS = "probe"
FLOOR = 1e-9
QUESTION = "By which law does the state follow when the world flows?"
READING = (
    "Relative distance between the state under the flowed input and what each law predicts from the state "
    "under the unmoved input: 0 means that the law holds, around 1 that it says nothing. Mean over flows; thin "
    "lines are seeds. Below, in the same colours, the share of channels to which the law applies (coverage). A law "
    "with coverage 0 has no error to show, and errors below 1e-9 are drawn there."
)


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Measure all four laws.

    Parameters
    ----------
    recording : Dataset
        With ``state`` (flow, trial, time, velocity, channel, y, x), with orientation after channel if it has some,
        or (flow, trial, time, unit), about which only the invariant law says something; flow 0 is the reference.

    Returns
    -------
    Dataset
        ``error`` (law, flow, time), relative, NaN where ``coverage`` (law, flow) is 0 or the state is silent.

    Raises
    ------
    InputError
        If the recording has no states, or they hold values that are no numbers.
    """
    state = dataset.variable(recording, "state")
    flows, times = dataset.flows(recording), recording.time.values.tolist()
    judged, grid = list(LAWS), None
    if state.dims == dataset.UNITS:
        judged, grid = [Law(False, False)], VelocityGrid(flows[0].group, (flows[0].velocity,))
    else:
        state, grid = dataset.variable(recording, "state", dataset.STATE, dataset.ORIENTED), dataset.grid(recording)
    missed, scale = np.full((2, len(LAWS), len(flows), len(times)), np.nan)
    coverage = np.zeros(missed.shape[:2])
    for law in judged:
        i = LAWS.index(law)
        missed[i], scale[i], coverage[i] = 0, 0, [law.coverage(flow, grid) for flow in flows]
    for trial in range(state.sizes["trial"]):
        reference = _load(state[0, trial])
        for j, flow in enumerate(flows):
            moved = _load(state[j, trial])
            if not moved.isfinite().all():
                raise InputError("states hold values that are no numbers; the network diverged. Train it again")
            for law in judged:
                predicted = law.predict(reference, flow, grid, times)
                said = ~predicted.isnan()
                missed[LAWS.index(law), j] += _sum(moved - predicted, said)
                scale[LAWS.index(law), j] += _sum(moved, said)
    with np.errstate(invalid="ignore"):
        error = np.sqrt(missed / scale)
    flow_coords = {name: c for name, c in recording.coords.items() if c.dims == ("flow",)}
    return xr.Dataset(
        {
            "error": (("law", "flow", "time"), error, {"long_name": "relative error", "units": "1"}),
            "coverage": (
                ("law", "flow"),
                coverage,
                {"long_name": "share of channels with a partner", "units": "1"},
            ),
        },
        {"law": [str(law) for law in LAWS], "time": recording.time, **flow_coords},
    )


def _load(state: xr.DataArray) -> torch.Tensor:
    """One trial as float64 (1, time, velocity, channel, ..., y, x); units without space are channels of one pixel."""
    values = torch.from_numpy(np.asarray(state.values, np.float64))[None]
    return values[:, :, None, :, None, None] if values.ndim == 3 else values


def _sum(values: torch.Tensor, chosen: torch.Tensor) -> np.ndarray:
    """Sum of squares over all but time, of the chosen entries."""
    return values.where(chosen, 0).square().transpose(0, 1).flatten(1).sum(1).numpy()


def summary(results: xr.Dataset) -> xr.Dataset:
    """Per run, the worst error over moving flows and time, by law; NaN where the law covers no channel."""
    moving = results.error.isel(flow=slice(1, None))
    if not moving.sizes["flow"]:
        raise InputError("equivariance_error needs flows besides the reference; make a probe with some")
    return moving.max(("flow", "time"), skipna=True).to_dataset(name="worst")


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table."""
    worst = summary(results).worst
    return {
        "worst error of transport+shift": worst.sel(law="transport+shift"),
        "worst error of the best law that applies": worst.min("law"),
    }


def figure(results: xr.Dataset) -> Figure:
    """Error over time by law (above) and coverage (below)."""
    mean = results.isel(flow=slice(1, None)).mean("flow", skipna=True)
    names, colours = plot.networks(results), plot.palette(results)
    below = 0.3 + 0.17 * len(names)
    fig, axes = plot.subplots(
        2, len(LAWS), figsize=(plot.PAGE, 2.9 + below), sharex="row", sharey="row", height_ratios=[2.2, below]
    )
    drawn = mean.assign(error=mean.error.clip(min=FLOOR))
    for column, law in enumerate(results.law.values):
        top, bottom = axes[:, column]
        plot.lines(drawn.sel(law=law), "error", "time", top)
        top.set(yscale="log", ylim=(FLOOR / 2, 5), title=law, xlabel="frame", ylabel="relative error")
        share = results.coverage.sel(law=law).isel(flow=slice(1, None)).mean("flow").groupby("network").mean()
        bottom.barh(names, [float(share.sel(network=n)) for n in names], color=[colours[n] for n in names])
        bottom.set(xlim=(0, 1), xlabel="coverage")
    axes[1, 0].invert_yaxis()
    fig.suptitle(f"Error of each law, {results.sizes['flow'] - 1} flows, {plot.seeds(results)}", fontsize=9)
    return fig
