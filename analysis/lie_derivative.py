r"""How far from equivariance is a network locally, for slow flows, site by site?

From recordings under the flows u and -u, each pulled back by what a law says (P), the central difference

    L(u, t) = ( P_(-u) h_t[psi(u) f] - P_u h_t[psi(-u) f] ) / 2 |u|

tends to the Lie derivative of the state along the flow as |u|, the ``step``, goes to 0, with an error of the
order of its square; without -u among the flows, the forward difference from the reference, of the order of
|u|. The invariant law pulls nothing back: there L is the plain derivative of the state. The relative error of
a law is its |L| over that one, on the same channels: 0 if the law holds, 1 if it explains nothing. On
whole-pixel probes the step is a pixel per frame and more: a secant, not a tangent; it is taken while t u is
at most a quarter of the period of the torus, beyond which u and -u come to the same place. On small steps no
channel of a velocity grid has a partner and only "transport" speaks. Where pixels are sharp, part of L is how
band-limited or bicubic interpolation of states fails. `flowsim.testing` differentiates a network itself.

Source: Gruver, Finzi, Goldblum & Wilson (2023), The Lie derivative for measuring learned equivariance, arXiv
2210.02984: the Lie derivative; here for flows. Standard errors are jackknifed over trials.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray as xr

from flowsim.errors import InputError
from flowsim.figures import plot
from flowsim.files import coordinates
from flowsim.flows.flow import Flow
from flowsim.flows.law import LAWS, Law
from flowsim.flows.velocity_grid import VelocityGrid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READS = "probe"
QUESTION = "How far from equivariance is each site locally?"
READING = (
    "Lie derivative along the flow, after what a law says was undone, relative to that with nothing undone: 0 if the "
    "site moves by the law, 1 if the law explains nothing. By frame, at the smallest step (speed of the flow), as long "
    "as it has moved by at most a quarter of the frame; below, if there are more than two steps, by step, mean over "
    "frames: towards 0 it is a derivative, at whole pixels a difference. Bands are jackknife standard errors over "
    "trials, thin lines are seeds."
)


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Lie derivatives by law.

    Parameters
    ----------
    recording : Dataset
        With ``state`` (flow, trial, time, ...), and any other site that has the space of the frame, such as
        ``prediction``; flow 0 is the reference.

    Returns
    -------
    Dataset
        Over (site, law, flow, time), flow being one of each pair u, -u: ``derivative``, |L| over the norm of
        the state, per unit of velocity; ``error``, relative, and its standard ``deviation``. ``coverage``
        (site, law, flow) is the share of channels about which the law speaks. NaN where there are none, the
        site does not move at all, or the flow has moved by more than a quarter of its period. ``step``
        (flow), and ``central`` (flow): whether both signs were recorded.

    Raises
    ------
    InputError
        If there is no state, no flow besides the reference, or there are values that are no numbers.
    """
    coordinates.variable(recording, "state")
    sites = ["state", *(str(name) for name in recording.data_vars if _has_space(recording, str(name)))]
    sites = list(dict.fromkeys(sites))
    flows, times, trials = (
        coordinates.flows(recording),
        recording.time.values.tolist(),
        recording.sizes["trial"],
    )
    pairs = _pairs(flows)
    if not pairs:
        raise InputError("lie_derivative needs flows besides the reference; make a probe with some")
    shape = (len(sites), len(LAWS), len(pairs), trials, len(times))
    missed, moved, size = np.full((3, *shape), np.nan)
    coverage = np.zeros(shape[:3])
    for s, site in enumerate(sites):
        laws = LAWS if _has_space(recording, site) else (Law(False, False),)
        for trial in range(trials):
            reference = _load(recording, site, 0, trial)
            for p, (i, j) in enumerate(pairs):
                forth = _load(recording, site, i, trial)
                back = reference if j is None else _load(recording, site, j, trial)
                step = _speed(flows[i]) * (1 if j is None else 2)
                for law in laws:
                    at = s, LAWS.index(law), p
                    lie, said = _difference(
                        law, flows[i], forth, back, j is not None, _grid(recording, site), times
                    )
                    coverage[at] = float(said.flatten(3).any(3).any(1).double().mean())
                    if coverage[at]:
                        plain = forth - back
                        for sums, values in ((missed, lie / step), (moved, plain / step), (size, reference)):
                            sums[(*at, trial)] = _sum(values, said)
    period = flows[0].group.period((recording.sizes["y"], recording.sizes["x"]))
    for p, (i, _) in enumerate(pairs):
        far = [
            any(abs(t * c) > 0.25 * q for c, q in zip(flows[i].velocity, period, strict=True)) for t in times
        ]
        missed[:, :, p, :, far] = np.nan
    error, derivative = _ratio(missed.sum(-2), moved.sum(-2)), _ratio(missed.sum(-2), size.sum(-2))
    without = _ratio(missed.sum(-2, keepdims=True) - missed, moved.sum(-2, keepdims=True) - moved)
    deviation = np.sqrt(max(trials - 1, 0) * without.var(-2)) if trials > 1 else np.full_like(error, np.nan)
    over = ("site", "law", "flow", "time")
    kept = [i for i, _ in pairs]
    coords = {name: c.isel(flow=kept) for name, c in recording.coords.items() if c.dims == ("flow",)}
    group = flows[0].group
    return xr.Dataset(
        {
            "derivative": (
                over,
                derivative,
                {"long_name": "relative Lie derivative", "units": f"1/({group.units[0]})"},
            ),
            "error": (over, error, {"long_name": "relative error", "units": "1"}),
            "deviation": (
                over,
                deviation,
                {"long_name": "standard error of the relative error", "units": "1"},
            ),
            "coverage": (over[:3], coverage, {"long_name": "share of channels with a partner", "units": "1"}),
            "step": (
                "flow",
                [_speed(flows[i]) for i in kept],
                {"long_name": "step", "units": group.units[0]},
            ),
            "central": ("flow", np.array([j is not None for _, j in pairs], np.int8)),
        },
        {"site": sites, "law": [str(law) for law in LAWS], "time": recording.time, **coords},
        {"trials": trials},
    )


def _has_space(recording: xr.Dataset, site: str) -> bool:
    dims = recording[site].dims
    return site != "frames" and dims[:3] == ("flow", "trial", "time") and dims[-2:] == ("y", "x")


def _pairs(flows: list[Flow]) -> list[tuple[int, int | None]]:
    """Indices of moving flows and of their opposites, one of each pair; None where there is no opposite."""
    index = {flow.velocity: i for i, flow in enumerate(flows)}
    pairs: list[tuple[int, int | None]] = []
    for i, flow in enumerate(flows):
        opposite = index.get(tuple(-c for c in flow.velocity))
        if any(flow.velocity) and index[flow.velocity] == i and (opposite is None or opposite > i):
            pairs.append((i, opposite))
    return pairs


def _speed(flow: Flow) -> float:
    return float(np.linalg.norm(flow.velocity))


def _load(recording: xr.Dataset, site: str, flow: int, trial: int) -> torch.Tensor:
    """One trial as float64 (1, time, velocity, channel, [orientation,] y, x); units are channels of one
    pixel.
    """
    chosen = recording[site][flow, trial]
    values = torch.from_numpy(np.asarray(chosen.values, np.float64))
    if site == "state" and not values.isfinite().all():
        raise InputError("the state contains NaN or infinity: the network diverged; train it again")
    if not _has_space(recording, site):
        return values.flatten(1)[None, :, None, :, None, None]
    space = -3 if chosen.dims[-3].endswith("orientation") else -2
    velocities = values.shape[1] if "velocity" in chosen.dims else 1
    return values.reshape(1, len(values), velocities, -1, *values.shape[space:])


def _grid(recording: xr.Dataset, site: str) -> VelocityGrid:
    """Velocities of a site; one at rest if it has none."""
    if "velocity" in recording[site].dims:
        return coordinates.grid(recording)
    flow = coordinates.flows(recording)[0]
    return VelocityGrid(flow.group, ((0,) * len(flow.velocity),))


def _difference(
    law: Law,
    flow: Flow,
    forth: torch.Tensor,
    back: torch.Tensor,
    central: bool,
    grid: VelocityGrid,
    times: list[float],
) -> tuple[torch.Tensor, torch.Tensor]:
    """State under the flow less that under the opposite one, or under none, pulled back; and where both are
    known.
    """
    opposite = Flow(flow.group, tuple(-c for c in flow.velocity))
    undone = law.predict(forth, opposite, grid, times) - (
        law.predict(back, flow, grid, times) if central else back
    )
    return undone, ~undone.isnan()


def _sum(values: torch.Tensor, chosen: torch.Tensor) -> np.ndarray:
    """Sum of squares over all but time, of the chosen entries."""
    return values.where(chosen, 0).square().transpose(0, 1).flatten(1).sum(1).numpy()


def _ratio(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Root of a quotient, NaN where the second is 0 or nothing is known."""
    return np.sqrt(np.divide(one, two, out=np.full_like(one, np.nan), where=two > 0))


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table: mean relative error at the smallest step."""
    step = _steps(results).min()
    mean = _at(results, float(step)).sel(law=[str(law) for law in LAWS[1:]]).mean("time").min("law")
    known = [site for site in results.site.values if mean.error.sel(site=site).notnull().any()]
    return {
        f"relative Lie derivative of {site}, best law, step {step:.2g}": mean.error.sel(site=site)
        for site in known
    }


def _steps(results: xr.Dataset) -> np.ndarray:
    """Steps of the flows, the same in all runs."""
    step = results.step.isel(run=0) if "run" in results.step.dims else results.step
    return step.values.round(9)


def _at(results: xr.Dataset, step: float) -> xr.Dataset:
    """Mean over the flows of one step."""
    return results[["error", "deviation"]].isel(flow=_steps(results) == step).mean("flow")


def figure(results: xr.Dataset) -> Figure:
    """Error by site and law over time, at the smallest step, and below, where there are more than two, by
    step.
    """
    steps = np.unique(_steps(results))
    rows = [(_at(results, steps[0]), "time")]
    if len(steps) > 2:
        by_step = [_at(results, step).mean("time") for step in steps]
        rows.append((xr.concat(by_step, xr.DataArray(steps, dims="step", name="step")), "step"))
    columns = [
        (site, law)
        for site in results.site.values
        for law in ("transport", "transport+shift")
        if results.error.sel(site=site, law=law).notnull().any()
    ]
    size = {"figsize": (plot.PAGE, 0.6 + 1.9 * len(rows)), "sharey": True, "squeeze": False}
    fig, axes = plot.subplots(len(rows), max(1, len(columns)), **size)
    top = float(
        np.clip(np.nanmax([rows[0][0].error.sel(law=law).max() for _, law in columns] or [1]) * 1.05, 1.2, 3)
    )
    units = results.step.attrs.get("units", "")
    labels = {"time": "frame", "step": f"step ({units})"}
    for row, (drawn, x) in zip(axes, rows, strict=True):
        for ax, (site, law) in zip(row, columns, strict=False):
            own = drawn.sel(site=site, law=law)
            plot.lines(own, "error", x, ax)
            for network, colour in plot.palette(results).items():
                mean = own.isel(run=own["network"].values == network).mean("run")
                low, high = mean.error - mean.deviation, mean.error + mean.deviation
                ax.fill_between(mean[x], low, high, color=colour, alpha=0.2, lw=0)
            ax.axhline(1, color="0.6", lw=0.8)
            ax.set(title=f"{site}: {law}", xlabel=labels[x], ylabel="relative error", ylim=(-0.05, top))
            if x == "step":
                ax.set(xscale="log", title="")
                ax.set_xticks(steps[[0, -1]], [f"{step:.2g}" for step in steps[[0, -1]]])
                ax.minorticks_off()
            else:
                ax.xaxis.get_major_locator().set_params(integer=True)
    plot.legend(results, axes[0, -1], loc="upper left", bbox_to_anchor=(1, 1))
    kind = "central" if bool((results.central == 1).all()) else "partly forward"
    title = f"{kind} differences, step {steps[0]:.2g} {units}, {results.attrs['trials']} trials, {plot.seeds(results)}"
    fig.suptitle(title, fontsize=9)
    return fig
