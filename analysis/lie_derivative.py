r"""How far from equivariance is a network locally, for slow flows, site by site?

From recordings under the flows u and -u, each pulled back as a law says (P), the central difference

    L(u, t) = ( P_(-u) h_t[psi(u) f] - P_u h_t[psi(-u) f] ) / 2 |u|

tends to the Lie derivative of the state along the flow as |u|, the ``step``, goes to 0, with an error of the
order of its square; without -u among the flows, the forward difference from the reference, of the order of
|u|. The invariant law pulls nothing back: there L is the plain derivative of the state. The relative error of
a law is its |L| over that one, on the same channels: 0 if the law holds, 1 if it explains nothing. On
whole-pixel probes the step is a pixel per frame and more: a secant, not a tangent; it is taken while t u is
at most a quarter of the period of the torus, beyond which u and -u come to the same place. On small steps no
channel of a velocity grid has a partner and only "transport" speaks. Where pixels are sharp, part of L is how
band-limited or bicubic interpolation of states fails. `flowsim.testing` differentiates a network itself.

Small differences drown in the rounding of states. With a unit in the last place q of the type in which states
were computed and stored, rounding adds q^2 / 12 to the square of each, and so to |L| at least the ``floor``,
sqrt(sum (q_u^2 + q_(-u)^2) / 12) / 2 |u|, relative to the same as the error. Errors near it, or below, cannot
be told from 0.

Source: Gruver, Finzi, Goldblum & Wilson (2023), The Lie derivative for measuring learned equivariance, arXiv
2210.02984: the Lie derivative; here for flows. Intervals are jackknifed over trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from flowsim.figures import panels, plot
from flowsim.files import coordinates
from flowsim.flows.flow import Flow
from flowsim.flows.law import LAWS, Law
from flowsim.flows.velocity_grid import VelocityGrid
from flowsim.measures import recorded, statistics
from flowsim.measures.law_error import Comparison, Moments, eps_of, predicted
from flowsim.specification import checked

if TYPE_CHECKING:
    import torch
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = "probe"
QUESTION = "How far from equivariance is each site locally?"
READING = (
    "Lie derivative of a site along the flow after it was carried back as a law says, relative to the "
    "derivative of the site as recorded: 0 if the site moves by the law, 1 if the law explains nothing. "
    "Above, by frame, at the smallest step (speed of the flow), as long as the flow has moved by at most a "
    "quarter of the frame. Below, if there are more than two steps, by step, mean over frames: small steps "
    "approach a derivative, steps of whole pixels are differences. Dotted lines are what the rounding of "
    "states alone gives: errors near or below them cannot be told from 0, and larger steps or a recording in "
    "float64 are needed. Bands are 95 % intervals (jackknife over trials); thin lines are seeds."
)
DRAWN_LAWS = ("transport", "transport+shift")
"""Laws that the figure shows."""
MANTISSAS = (7, 10, 23, 52)
"""Digits, in bits, of bfloat16, float16, float32 and float64."""
DISTINCT = 256
"""From how many different values on their common digits are those of a type, and not of what was shown."""
QUARTER = 0.25
"""Share of the period of the torus by which a flow may have moved: beyond it u and -u meet again."""


@dataclass(frozen=True)
class Pair:
    """A moving flow and its opposite, by index; without an opposite, differences are from the reference."""

    flow: Flow
    there: int
    back: int | None

    @property
    def central(self) -> bool:
        """Whether the opposite flow was recorded."""
        return self.back is not None

    @property
    def step(self) -> float:
        """Speed of the flow."""
        return float(np.linalg.norm(self.flow.velocity))


@checked
def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Lie derivatives by law.

    Parameters
    ----------
    recording : Dataset
        With ``state`` (flow, trial, time, ...), and any other site that has the space of the frame, such as
        ``prediction``; the reference is the flow at rest.

    Returns
    -------
    Dataset
        Over (site, law, flow, time), flow being one of each pair u, -u: ``derivative``, |L| over the distance
        of the site under the reference from its mean over trials and pixels, per unit of velocity; ``error``,
        relative, the half-width of its ``interval`` (95 %), and its ``floor``, what rounding alone gives.
        ``coverage`` (site, law, flow) is the share of channels about which the law speaks. NaN where there
        are none, the site does not move at all, or the flow has moved by more than a quarter of its period.
        ``constant`` (site, flow): 1 where the site is the same in all pixels and trials under u, or -u; then
        there is no derivative. ``step`` (flow), and ``central`` (flow): whether both signs were recorded.

    Raises
    ------
    InputError
        If there is no state or no moving flow, or the state is the same everywhere or contains NaN or
        infinity.
    """
    coordinates.variable(recording, "state")
    recording = recorded.reference_first(recording)
    pairs = _pairs(coordinates.flows(recording))
    sites = _sites(recording)
    squares = xr.concat([_squares_of_site(recording, site, pairs) for site in sites], "site")
    of_state = squares.isel(site=0)
    recorded.require_varying(bool((of_state["size"] > 0).any() or not of_state.constant.all()))
    squares["missed"] = squares.missed.where(_near(recording, pairs) & (squares.constant == 0))
    return _packed(recording, sites, pairs, squares)


def _sites(recording: xr.Dataset) -> list[str]:
    """The state, and all other sites that have the space of the frame, under the stimulus as it is."""
    as_shown = [str(name) for name, values in recording.data_vars.items() if "condition" not in values.attrs]
    others = [name for name in as_shown if _has_space(recording, name)]
    return list(dict.fromkeys(["state", *others]))


def _has_space(recording: xr.Dataset, site: str) -> bool:
    """Whether a recorded variable is activity over the space of the frame."""
    dims = recording[site].dims
    return site != "frames" and dims[:3] == ("flow", "trial", "time") and dims[-2:] == ("y", "x")


def _pairs(flows: list[Flow]) -> list[Pair]:
    """Moving flows with their opposites; of each pair the flow that was recorded first."""
    index = {flow.velocity: i for i, flow in enumerate(flows)}
    pairs = []
    for i, flow in enumerate(flows):
        opposite = index.get(_opposite(flow).velocity)
        if any(flow.velocity) and index[flow.velocity] == i and (opposite is None or opposite > i):
            pairs.append(Pair(flow, i, opposite))
    return pairs


def _opposite(flow: Flow) -> Flow:
    """The flow that goes back."""
    return Flow(flow.group, tuple(-component for component in flow.velocity))


def _squares_of_site(recording: xr.Dataset, site: str, pairs: list[Pair]) -> xr.Dataset:
    """Sums of squares over one site.

    Returns
    -------
    Dataset
        ``missed``, ``moved``, ``rounded`` (law, flow, trial, time): of the derivative after a law was undone,
        of that of the site as recorded, and of what rounding makes of it; ``size`` (law, flow, time), of the
        distance of the site under the reference from its mean. All on the channels about which the law
        speaks, NaN where there are none; their share is ``coverage`` (law, flow). ``constant`` (flow). Flow
        is one of each pair.
    """
    laws = LAWS if _has_space(recording, site) else (Law(False, False),)
    grid = _grid(recording, site)
    times = recording.time.values.tolist()
    trials = recording.sizes["trial"]
    missed = np.full((len(LAWS), len(pairs), trials, len(times)), np.nan)
    moved, rounded = np.full_like(missed, np.nan), np.full_like(missed, np.nan)
    coverage = np.zeros((len(LAWS), len(pairs)))
    lost = _lost_digits(recording[site][0, 0].values)
    moments: list[Moments | None] = [None] * (2 * len(pairs) + 1)

    def gathered(index: int, values: torch.Tensor) -> None:
        here, earlier = Moments.of(values[None].numpy()), moments[index]
        moments[index] = earlier.with_those_of(here) if earlier else here

    for trial in range(trials):
        reference, reference_last = _load(recording, site, 0, trial, lost)
        gathered(0, reference)
        for p, pair in enumerate(pairs):
            there, there_last = _load(recording, site, pair.there, trial, lost)
            back, back_last = reference, reference_last
            if pair.back is not None:
                back, back_last = _load(recording, site, pair.back, trial, lost)
            gathered(2 * p + 1, there)
            gathered(2 * p + 2, back)
            span = pair.step * (2 if pair.central else 1)
            rounding = (there_last**2 + back_last**2).div(12).sqrt() / span
            for law in laws:
                here = LAWS.index(law), p
                derivative = _difference(law, pair, there, back, grid, times) / span
                known = ~derivative.isnan()
                coverage[here] = _share_of_channels(known)
                if coverage[here]:
                    missed[here][trial] = _sum_of_squares(derivative, known)
                    moved[here][trial] = _sum_of_squares((there - back) / span, known)
                    rounded[here][trial] = _sum_of_squares(rounding, known)
    eps = eps_of(recording[site].dtype)
    over = ("law", "flow", "trial", "time")
    return xr.Dataset(
        {
            "missed": (over, missed),
            "moved": (over, moved),
            "rounded": (over, rounded),
            "size": (("law", "flow", "time"), _size(moments[0], laws, pairs, grid, eps)),
            "coverage": (("law", "flow"), coverage),
            "constant": ("flow", _constant(moments[1:], eps)),
        }
    )


def _size(
    reference: Moments | None, laws: Sequence[Law], pairs: list[Pair], grid: VelocityGrid, eps: float
) -> np.ndarray:
    """Sum of squares (law, flow, time) of the reference about its mean, on the channels of each law."""
    assert reference is not None  # there are trials
    covered = Comparison.of([pair.flow for pair in pairs], laws, grid).covered
    size = np.full((len(LAWS), len(pairs), len(reference.mean[0])), np.nan)
    of_laws = np.einsum("lfv,tvc->lft", covered.astype(float), reference.spread(eps))
    size[[LAWS.index(law) for law in laws]] = of_laws
    return np.where(size > 0, size, np.nan)


def _constant(of_pairs: Sequence[Moments | None], eps: float) -> np.ndarray:
    """1 for each pair of which the first or the second site is constant (pair); 0 where that is unknown."""
    same = [float(moments is not None and (moments.constant(eps) == 1).all()) for moments in of_pairs]
    return np.maximum(same[::2], same[1::2])


def _lost_digits(values: np.ndarray) -> int:
    """How many bits at the end of all these numbers are 0, as they were computed in a coarser type than they
    are stored in.
    """
    if values.dtype.kind != "f" or np.unique(values).size <= DISTINCT:
        return 0
    mantissa = np.finfo(values.dtype).nmant
    whole_numbers = np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")
    used = int(np.bitwise_or.reduce(whole_numbers, axis=None)) & ((1 << mantissa) - 1)
    needed = mantissa - ((used & -used).bit_length() - 1) if used else 0
    return mantissa - min(bits for bits in (*MANTISSAS, mantissa) if bits >= needed)


def _load(
    recording: xr.Dataset, site: str, flow: int, trial: int, lost: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """One trial in float64 (1, time, velocity, channel, [orientation,] y, x), and the unit in the last place
    of each value, of which so many digits are lost.

    A unit without space is a channel of one pixel. Only the state must be finite: a prediction is NaN
    where there was none.
    """
    import torch

    chosen = recording[site][flow, trial].load()
    values = torch.from_numpy(
        recorded.in_float64(chosen) if site == "state" else np.asarray(chosen.values, np.float64)
    )
    stored = chosen.values if chosen.dtype.kind == "f" else np.asarray(chosen.values, np.float64)
    with np.errstate(invalid="ignore"):  # a prediction that is NaN
        last = torch.from_numpy(2.0**lost * np.spacing(np.abs(stored)).astype(np.float64))
    if not _has_space(recording, site):
        return values.flatten(1)[None, :, None, :, None, None], last.flatten(1)[None, :, None, :, None, None]
    oriented = str(chosen.dims[-3]).endswith("orientation")
    space = values.shape[-3:] if oriented else values.shape[-2:]
    shape = (1, len(values), chosen.sizes.get("velocity", 1), -1, *space)
    return values.reshape(shape), last.reshape(shape)


def _grid(recording: xr.Dataset, site: str) -> VelocityGrid:
    """Velocities of a site; one at rest if it has none."""
    if "velocity" in recording[site].dims:
        return coordinates.grid(recording)
    flow = coordinates.flows(recording)[0]
    return VelocityGrid(flow.group, ((0,) * len(flow.velocity),))


def _difference(
    law: Law, pair: Pair, there: torch.Tensor, back: torch.Tensor, grid: VelocityGrid, times: Sequence[float]
) -> torch.Tensor:
    """The state under the flow less that under the opposite one, each carried back as the law says.

    Without an opposite, ``back`` is the state under the reference, which stays as it is. NaN where the law
    says nothing.
    """
    carried = predicted(law, there, _opposite(pair.flow), grid, times)
    return carried - (predicted(law, back, pair.flow, grid, times) if pair.central else back)


def _share_of_channels(known: torch.Tensor) -> float:
    """Share of (velocity, channel) of which something is known (1, time, velocity, channel, ...)."""
    return float(known.flatten(3).any(3).any(1).double().mean())


def _sum_of_squares(values: torch.Tensor, chosen: torch.Tensor) -> np.ndarray:
    """Sum of squares (time) of the chosen entries."""
    return values.where(chosen, 0).square().transpose(0, 1).flatten(1).sum(1).numpy()


def _near(recording: xr.Dataset, pairs: list[Pair]) -> xr.DataArray:
    """Whether each flow has moved by at most a quarter of its period (flow, time)."""
    period = pairs[0].flow.group.period((recording.sizes["y"], recording.sizes["x"]))
    near = [
        [
            not any(
                abs(time * speed) > QUARTER * whole
                for speed, whole in zip(pair.flow.velocity, period, strict=True)
            )
            for time in recording.time.values.tolist()
        ]
        for pair in pairs
    ]
    return xr.DataArray(near, dims=("flow", "time"))


def _root_ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Ratio of norms, from sums of squares."""
    return np.sqrt(recorded.ratio(numerator, denominator))


def _interval(squares: xr.Dataset) -> np.ndarray:
    """Half-width of the interval (site, law, flow, time) of the relative error, jackknifed over trials; NaN
    for one.
    """
    trial = squares.missed.get_axis_num("trial")
    missed = squares.missed.values
    moved = squares.moved.values
    left_out = _root_ratio(missed.sum(trial, keepdims=True) - missed, moved.sum(trial, keepdims=True) - moved)
    if squares.sizes["trial"] == 1:
        return np.full_like(left_out.squeeze(trial), np.nan)
    return statistics.jackknife_interval(left_out, trial)


def _packed(recording: xr.Dataset, sites: list[str], pairs: list[Pair], squares: xr.Dataset) -> xr.Dataset:
    """The results as a dataset."""
    total = squares[["missed", "moved", "rounded"]].sum("trial", skipna=False)
    derivative = _root_ratio(total.missed.values, squares["size"].values)
    error = _root_ratio(total.missed.values, total.moved.values)
    floor = np.where(np.isnan(error), np.nan, _root_ratio(total.rounded.values, total.moved.values))
    over = ("site", "law", "flow", "time")
    unit = pairs[0].flow.group.units[0]
    of_pairs = [pair.there for pair in pairs]
    flow_coords = {name: c.isel(flow=of_pairs) for name, c in recorded.flow_coords(recording).items()}
    return xr.Dataset(
        {
            "derivative": (
                over,
                derivative,
                {"long_name": "relative Lie derivative", "units": f"1/({unit})"},
            ),
            "error": (over, error, {"long_name": "relative error", "units": "1"}),
            "interval": (
                over,
                _interval(squares),
                {"long_name": "half-width of the interval of the relative error", "units": "1"},
            ),
            "floor": (over, floor, {"long_name": "relative error by rounding alone", "units": "1"}),
            "constant": (
                ("site", "flow"),
                squares.constant.values.astype(np.int8),
                {"long_name": "site is constant", "units": "1"},
            ),
            "coverage": (
                ("site", "law", "flow"),
                squares.coverage.values,
                {"long_name": "share of channels with a partner", "units": "1"},
            ),
            "step": ("flow", [pair.step for pair in pairs], {"long_name": "step", "units": unit}),
            "central": ("flow", np.array([pair.central for pair in pairs], np.int8)),
        },
        {"site": sites, "law": [str(law) for law in LAWS], "time": recording.time, **flow_coords},
        {"trials": recording.sizes["trial"]},
    )


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table: mean relative error at the smallest step, and what rounding
    gives.
    """
    step = float(_steps(results).min())
    laws = [str(law) for law in LAWS if law.transport or law.shift]
    mean = _at_step(results, step)[["error", "floor"]].sel(law=laws).mean("time")
    best = mean.isel(law=mean.error.fillna(np.inf).argmin("law"))
    numbers = {}
    for site in results.site.values:
        of_site = best.sel(site=site).drop_vars(["site", "law"])
        if of_site.error.notnull().any():
            what = f"of {site}, best law, step {step:.2g}"
            numbers[f"relative Lie derivative {what}"] = of_site.error.assign_attrs(bounds=(0.0, np.inf))
            numbers[f"rounding alone, {what}"] = of_site.floor.assign_attrs(bounds=(0.0, np.inf))
    return numbers


def _steps(results: xr.Dataset) -> np.ndarray:
    """Step of each flow, the same in all runs."""
    step = results.step.isel(run=0) if "run" in results.step.dims else results.step
    return step.values.round(9)


def _at_step(results: xr.Dataset, step: float) -> xr.Dataset:
    """Mean over the flows of one step."""
    return results[["error", "interval", "floor"]].isel(flow=_steps(results) == step).mean("flow")


def figure(results: xr.Dataset) -> Figure:
    """Error by site and law over time, at the smallest step, and below, where there are more than two, by
    step.
    """
    steps = np.unique(_steps(results))
    by_time = _at_step(results, steps[0])
    rows = {"time": by_time}
    if len(steps) > 2:
        means = [_at_step(results, step).mean("time") for step in steps]
        rows["step"] = xr.concat(means, xr.DataArray(steps, dims="step", name="step"))
    columns = _columns(results)
    fig, axes = plot.subplots(
        len(rows),
        max(1, len(columns)),
        figsize=(plot.PAGE, 0.6 + 1.9 * len(rows)),
        sharey=True,
        squeeze=False,
    )
    top = _top(by_time, columns)
    unit = results.step.attrs.get("units", "")
    for row_of_axes, (x, drawn) in zip(axes, rows.items(), strict=True):
        for ax, (site, law) in zip(row_of_axes, columns, strict=False):
            _draw_error(ax, drawn.sel(site=site, law=law), x)
            ax.set(title=f"{site}: {law}", xlabel="frame", ylabel="relative error", ylim=(-0.05, top))
            if x == "step":
                ax.set(title="", xlabel=f"step ({unit})")
                _steps_on_log_axis(ax, steps)
            else:
                ax.xaxis.get_major_locator().set_params(integer=True)
    plot.legend(results, axes[0, -1], loc="upper left", bbox_to_anchor=(1, 1))
    kind = "central" if bool((results.central == 1).all()) else "partly forward"
    step = f"{kind} differences, step {steps[0]:.2g} {unit}"
    title = f"{step}, {results.attrs['trials']} trials, {plot.seeds(results)}"
    constant = int((results.constant.sel(site="state") == 1).any("run").sum())
    if constant:
        title += f"\nthe state is constant under {constant} flows or their opposites, which have no error"
    fig.suptitle(title, fontsize=9)
    return fig


def _columns(results: xr.Dataset) -> list[tuple[str, str]]:
    """Sites and laws of which something is known."""
    return [
        (site, law)
        for site in results.site.values
        for law in DRAWN_LAWS
        if results.error.sel(site=site, law=law).notnull().any()
    ]


def _top(by_time: xr.Dataset, columns: list[tuple[str, str]]) -> float:
    """Upper end of the axes: above the largest error, but from 1.2 to 3."""
    largest = [by_time.error.sel(law=law).max() for _, law in columns] or [1]
    return float(np.clip(np.nanmax(largest) * 1.05, 1.2, 3))


def _draw_error(ax: Axes, error: xr.Dataset, x: str) -> None:
    """Error of one site and law, with intervals, and dotted what rounding gives; a line at 1, where the law
    explains nothing.
    """
    plot.lines(error, "error", x, ax)
    for _, colour, runs in panels.each_network(error):
        mean = runs.mean("run")
        panels.band(ax, mean[x], mean.error - mean.interval, mean.error + mean.interval, colour)
        ax.plot(mean[x], mean.floor, color=colour, ls=":", lw=1)
    ax.axhline(1, color="0.6", lw=0.8)


def _steps_on_log_axis(ax: Axes, steps: np.ndarray) -> None:
    """A logarithmic axis with ticks at the smallest and the largest step."""
    ends = steps[[0, -1]]
    ax.set_xscale("log")
    ax.set_xticks(ends, [f"{step:.2g}" for step in ends])
    ax.minorticks_off()
