r"""Is the law what the network uses? Move its state by the law, and see whether its prediction moves.

After frame t0 what a network carries, h, was replaced by T_u h, what its law would make of it had the world
flowed by u; then it went on with its own predictions y (`flowsim.recording.interventions`). If the network
uses the law, its prediction goes on flowing by u, though nothing that it sees does:

    error(T, t) = || y_t[T h] - psi_t(u) y_t[h] || / || y_t[h] - m_t ||,     t > t0,

with norms over trials and pixels, relative to the distance of the prediction without intervention from its
mean m_t (`flowsim.measures.law_error`): 0 is a prediction that moved as the law says, 1 what the mean would
get, sqrt(2) what unrelated predictions get. Of a state that was recorded it is h_t against T_u h_t, over the
velocity channels that have a partner. As controls T is each part of the law alone, transport and shift;
"nothing", the run without intervention; and "opposite velocity", T_u h against psi_t(-u) y. A control is left
out at frames where it cannot differ from the law, since on a torus pictures come back: a transport alone
where (t - t0) u moves nothing, say.

``moved`` says the same in one number: the share of the movement that an action makes,

    moved(T) = 1 - sum_t error(T, t)^2 / sum_t error(nothing, t)^2:

1 for an action that moves the prediction as the world would have, 0 for one that is no better than nothing.

"interchange" compares a run that went on with what another one carried, under another flow or in another
trial, with that other run: 0 where the carried is all that decides what follows.

Sources: Keller (2025), Flow Equivariant Recurrent Neural Networks, arXiv 2507.14793 (the law); Geiger et al.
(2021), Causal abstractions of neural networks, arXiv 2106.02997 (interchange interventions).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.figures import panels, plot
from flowsim.files import coordinates
from flowsim.flows.flow import Flow
from flowsim.flows.law import Law
from flowsim.flows.velocity_grid import VelocityGrid
from flowsim.measures import recorded, statistics
from flowsim.measures.law_error import Comparison, Moments, eps_of, missed, relative
from flowsim.specification import checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = "test"
QUESTION = "Is the law what the network uses: does its prediction move if its state is moved by the law?"
READING = (
    "What a network carries was replaced after one frame, and it went on with its own predictions. Error of "
    "the prediction by frame after that, relative to how far predictions are from their mean: 0 means that "
    "the prediction moved as the world would have; 1, that it is as wrong as that mean; unrelated "
    "predictions are at 1.41. The state was moved by the whole law, by its transport alone, or by its shift "
    "alone. Controls: nothing was moved; or the whole law was, and is judged by the opposite velocity "
    "(dotted). An interchange put in what another run carried, and is judged by that run. Movement made: the "
    "share of the movement of the world that the prediction makes after each action, 1 if all of it, 0 if it "
    "is no better than nothing, less if it is worse (below -1 drawn at -1); bars are 95 % intervals over "
    "trials. Thick lines are means over seeds, thin lines and dots are seeds. A law of which no velocity "
    "channel has a partner is not drawn."
)
PARTS = ("transport+shift", "transport", "shift")
ACTIONS = (*PARTS, "nothing", "opposite velocity", "interchange")
SITES = ("prediction", "state")
RELATIVE: Any = {"long_name": "relative error", "units": "1"}
TITLES = {
    "transport+shift": "state moved by the law",
    "transport": "transport alone",
    "shift": "shift alone",
    "nothing": "nothing (opposite: dotted)",
    "interchange": "state of another run",
}


@dataclass(frozen=True)
class Done:
    """One intervention of a recording.

    Attributes
    ----------
    number : int
        Its position along ``intervention``.
    at : int
        The frame t0.
    said : dict
        What the recording says about it.
    """

    number: int
    at: int
    said: dict[str, Any]

    @property
    def part(self) -> str | None:
        """The law, or part of it, that acted; None for another intervention, or where it acted on nothing."""
        velocity = self.said.get("law")
        return self.said["part"] if velocity and any(velocity) and self.said["coverage"] else None

    @property
    def lag(self) -> int:
        """How many predictions after frame t0 had been made before."""
        return self.said.get("prediction_lag", 0)

    def goes_on_by_itself(self, context: int) -> bool:
        """Whether all that the network sees afterwards are its own, new predictions."""
        return self.at >= context - 1 and not self.lag

    def is_shown(self, velocity: list[float], context: int) -> bool:
        """Whether the network is shown the frames of a flow afterwards, until it goes on by itself."""
        return self.at < context - 1 and self.said.get("sees") == velocity

    @property
    def is_interchange(self) -> bool:
        """Whether everything came from another run."""
        limited = {"sites", "channels", "velocities"} & set(self.said)
        return bool({"flow", "trial"} & set(self.said)) and not limited


class Site:
    """A site of a recording with and without interventions, read slice by slice.

    Parameters
    ----------
    recording : Dataset
    name : str
    """

    def __init__(self, recording: xr.Dataset, name: str) -> None:
        self.name = name
        self.before = recorded.TrialByTrial(coordinates.variable(recording, name))
        self.intervened = coordinates.variable(recording, f"intervened_{name}")
        self.times: list[int] = recording["time"].values.tolist()
        self.flows = coordinates.flows(recording)
        self.trials = recording.sizes["trial"]
        if name == "prediction":
            group = self.flows[0].group
            self.grid, self.law = VelocityGrid(group, ((0,) * len(group.components),)), Law(True, False)
            self.oriented = False
        else:
            self.grid, self.law = coordinates.grid(recording), Law(True, True)
            self.oriented = "orientation" in self.before.activity.dims

    def positions(self, one: Done) -> list[int]:
        """Positions of the frames after t0: of a state, from t0 on."""
        first = one.at + 1 + one.lag if self.name == "prediction" else one.at
        return [position for position, time in enumerate(self.times) if time >= first]

    def without(self, flow: int, trial: int, positions: Sequence[int]) -> np.ndarray:
        """The run without intervention, (time, velocity, channel, [orientation,] y, x)."""
        return self.maps(self.before.read(flow, trial), positions)

    def after(self, one: Done) -> recorded.TrialByTrial:
        """The runs with an intervention."""
        return recorded.TrialByTrial(self.intervened.isel(intervention=one.number))

    def maps(self, activity: xr.DataArray, positions: Sequence[int]) -> np.ndarray:
        """Maps (time, velocity, channel, [orientation,] y, x) of one run at some of its frames."""
        maps = recorded.in_float64(activity.isel(time=list(positions)), self.name)
        return maps[:, None, None] if self.name == "prediction" else maps


@dataclass(frozen=True)
class Sums:
    """Squares by ``after`` (after,), summed over flows, velocity channels and pixels: what was ``missed``,
    and the ``spread`` beneath (action, trial, after); ``still`` (part, trial, after), what was missed where
    nothing was done, at the frames of each part.
    """

    after: list[int]
    missed: np.ndarray
    spread: np.ndarray
    still: np.ndarray

    @classmethod
    def nothing(cls, after: list[int], trials: int) -> Sums:
        """Before anything is added."""
        shape = (trials, len(after))
        return cls(
            after,
            np.zeros((len(ACTIONS), *shape)),
            np.zeros((len(ACTIONS), *shape)),
            np.zeros((len(PARTS), *shape)),
        )


@checked
def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Errors by action and by frame after the intervention.

    Parameters
    ----------
    recording : Dataset
        With ``prediction`` or ``state``, the same with interventions, ``intervened_prediction`` or
        ``intervened_state``, and the attribute ``interventions``, as `flowsim.record` writes them.

    Returns
    -------
    Dataset
        ``error`` (site, action, after), relative, by frame after t0, over all interventions of an action, and
        ``error_interval``, half of its 95 % interval (jackknife over trials). ``moved`` (site, action), the
        share of the movement that is made, with ``moved_low`` and ``moved_high``, its 95 % interval over
        trials. ``change`` (site, intervention), how far each intervention leads from the run without,
        relative in the same way. ``coverage`` (action): the mean share of velocity channels that hold
        something after an action of the law. NaN where an action was not taken, or says nothing.

    Raises
    ------
    InputError
        If the recording has no interventions, or no site with them; or values are no numbers.
    """
    done = _interventions(recording)
    sites = [name for name in SITES if _is_recorded(recording, name)]
    if not sites:
        raise InputError(
            "expected intervened_prediction, or intervened_state on the frame, beside the same without "
            f"intervention; the recording holds {', '.join(map(str, recording.data_vars))}"
        )
    measured = [_measured(Site(recording, name), done, recording) for name in sites]
    results = xr.concat(measured, xr.DataArray(sites, dims="site", name="site"), join="outer")
    results = results.reindex(site=list(SITES))
    coverage = [
        np.mean(
            [one.said["coverage"] for one in done if one.said.get("part") == part and any(one.said["law"])]
            or np.nan
        )
        for part in PARTS
    ]
    share = {"long_name": "share of channels with a partner", "units": "1"}
    results["coverage"] = "action", [*coverage, np.nan, np.nan, np.nan], share
    return results.assign(trials=recording.sizes["flow"] * recording.sizes["trial"])


def _interventions(recording: xr.Dataset) -> list[Done]:
    """What was done, as the recording says."""
    if "intervention" not in recording.coords or "interventions" not in recording.attrs:
        raise InputError(
            "expected a recording with interventions; it has none. Record with intervene, such as {law: "
            "{law: [0, 1]}, transport: {law: [0, 1], part: transport}, other trial: {trial: 1}}"
        )
    said = json.loads(recording.attrs["interventions"])
    names = np.atleast_1d(recording.intervention.values).tolist()
    return [Done(number, said[name]["at"], said[name]) for number, name in enumerate(names)]


def _is_recorded(recording: xr.Dataset, name: str) -> bool:
    """Whether a site has been recorded with and without interventions, and has a place on the frame."""
    both = name in recording and f"intervened_{name}" in recording
    return both and recording[name].dims[-2:] == ("y", "x")


def _measured(site: Site, done: Sequence[Done], recording: xr.Dataset) -> xr.Dataset:
    """Everything about one site."""
    context = int(recording.attrs.get("context", 0))
    trials = site.trials
    spreads = _spread(site)
    after = sorted({site.times[p] - one.at for one in done for p in site.positions(one)})
    sums = Sums.nothing(after, trials)
    change = np.zeros((2, len(done)))
    for one in done:
        positions = site.positions(one)
        columns = [after.index(site.times[p] - one.at) for p in positions]
        after_it = site.after(one)
        for trial, flow in np.ndindex(trials, len(site.flows)):
            own = site.without(flow, trial, positions)
            new = site.maps(after_it.read(flow, trial), positions)
            spread = spreads[flow, trial, positions]
            change[0, one.number] += ((new - own) ** 2).sum()
            change[1, one.number] += spread.sum()
            if one.part is not None and _goes_on(one, site, flow, context):
                _add_law(sums, site, one, (own, new), spread, trial, positions, columns)
            if one.is_interchange and (other := _other_run(one, site, flow, trial, context)):
                _add(
                    sums,
                    "interchange",
                    trial,
                    columns,
                    _squares(new - site.without(*other, positions)),
                    spread,
                )
    return _packed(sums, change, recording)


def _spread(site: Site) -> np.ndarray:
    """Squares (flow, trial, time, velocity, channel) about the mean over flows, trials and pixels; 0 where
    nothing varies.
    """
    every = range(len(site.times))
    runs = list(np.ndindex(len(site.flows), site.trials))
    each = [Moments.of(_known(site, flow, trial, every)[None, None]) for flow, trial in runs]
    together = each[0]
    for moments in each[1:]:
        together = together.with_those_of(moments)
    varies = together.spread(eps_of(site.before.activity.dtype)) > 0
    recorded.require_varying(bool(varies.any()))
    squares = [one.squares[0] + one.count * (one.mean[0] - together.mean[0]) ** 2 for one in each]
    return (np.stack(squares) * varies).reshape(len(site.flows), site.trials, *varies.shape)


def _known(site: Site, flow: int, trial: int, positions: Sequence[int]) -> np.ndarray:
    """The run without intervention; frames that were not predicted as 0."""
    values = np.array(site.before.read(flow, trial)[list(positions)].values, np.float64)
    values = values[:, None, None] if site.name == "prediction" else values
    missing = np.isnan(values).all(tuple(range(1, values.ndim)))
    values[missing] = 0
    return values


def _goes_on(one: Done, site: Site, flow: int, context: int) -> bool:
    """Whether what a network sees after the intervention is what it would see had the world flowed by u: its
    own predictions, or frames that flow by u.
    """
    at_rest = not any(site.flows[flow].velocity)
    return one.goes_on_by_itself(context) or (at_rest and one.is_shown(one.said["law"], context))


def _other_run(one: Done, site: Site, flow: int, trial: int, context: int) -> tuple[int, int] | None:
    """Flow and trial of the run that everything was carried in; None if that is the run itself, or it went on
    with other frames.
    """
    alone = one.goes_on_by_itself(context)
    if "flow" in one.said:
        velocities = [each.velocity for each in site.flows]
        other = velocities.index(site.flows[0].group.velocity(one.said["flow"]))
        return (
            (other, trial) if other != flow and (alone or one.is_shown(one.said["flow"], context)) else None
        )
    return (flow, (trial + one.said["trial"]) % site.trials) if alone else None


def _add_law(
    sums: Sums,
    site: Site,
    one: Done,
    runs: tuple[np.ndarray, np.ndarray],
    spread: np.ndarray,
    trial: int,
    positions: Sequence[int],
    columns: Sequence[int],
) -> None:
    """Add what an action of the law, or of a part, missed in one trial, and its controls."""
    own, new = runs
    assert one.part is not None
    u = tuple(one.said["law"])
    times = [site.times[p] for p in positions]
    flows = [Flow(site.flows[0].group, u), Flow(site.flows[0].group, tuple(-c for c in u))]
    comparison = Comparison.of(flows, [site.law], site.grid, site.oriented)
    squares = missed(np.stack([new, new])[:, None], own[None], times, comparison)[0].sum((2, 3))
    still = missed(
        own[None, None], own[None], times, Comparison.of(flows[:1], [site.law], site.grid, site.oriented)
    )
    still = still[0, 0].sum((1, 2))
    covered = comparison.covered[0].astype(float)
    beneath = np.einsum("tvc,fv->ft", spread, covered)
    shape = own.shape[-2:]
    moves = np.array([not _same(flows[0], time, shape) for time in times])
    differs = {
        "transport+shift": np.ones(len(times), bool),
        "transport": np.array([not _same(flows[0], time - one.at, shape) for time in times]),
        "shift": np.full(len(times), not _same(flows[0], one.at, shape)),
    }[one.part]
    _add(sums, one.part, trial, columns, squares[0] * differs, beneath[0] * differs)
    row = PARTS.index(one.part)
    sums.still[row, trial, columns] += still * differs
    if one.part == "transport+shift":
        apart = np.array([not _same(flows[0], 2 * time, shape) for time in times])
        _add(sums, "opposite velocity", trial, columns, squares[1] * apart, beneath[1] * apart)
    _add(sums, "nothing", trial, columns, still * moves, beneath[0] * moves)


def _add(
    sums: Sums,
    action: str,
    trial: int,
    columns: Sequence[int],
    squares: np.ndarray,
    spread: np.ndarray,
) -> None:
    row = ACTIONS.index(action)
    sums.missed[row, trial, columns] += squares
    sums.spread[row, trial, columns] += spread if spread.ndim == 1 else spread.sum((1, 2))


def _squares(values: np.ndarray) -> np.ndarray:
    """Sum of squares (time)."""
    return (values**2).reshape(len(values), -1).sum(1)


def _same(flow: Flow, time: float, shape: Sequence[int]) -> bool:
    """Whether a flow brings everything back to its place in some time."""
    periods = flow.group.period((shape[0], shape[1]))
    return all(_is_multiple(time * c, p) for c, p in zip(flow.velocity, periods, strict=True))


def _is_multiple(displacement: float, period: float) -> bool:
    turns = displacement if math.isinf(period) else displacement / period
    return abs(turns - (0 if math.isinf(period) else round(turns))) < 1e-9


def _packed(sums: Sums, change: np.ndarray, recording: xr.Dataset) -> xr.Dataset:
    """Errors and their intervals as a dataset."""
    error = relative(sums.missed.sum(1), sums.spread.sum(1))
    interval = np.full_like(error, np.nan)
    trials = sums.missed.shape[1]
    if trials > 1:
        without = [
            relative(sums.missed.sum(1) - sums.missed[:, i], sums.spread.sum(1) - sums.spread[:, i])
            for i in range(trials)
        ]
        interval = statistics.jackknife_interval(np.stack(without))
    moved = np.full((3, len(ACTIONS)), np.nan)
    for row, part in enumerate(PARTS):
        action = ACTIONS.index(part)
        beneath = sums.spread[action].sum(0)
        scale = np.divide(1, beneath, out=np.zeros_like(beneath), where=beneath > 0)  # frames count alike
        total = (sums.still[row] * scale).sum(1)
        if total.sum() > 0:
            explained = total - (sums.missed[action] * scale).sum(1)
            moved[0, row] = explained.sum() / total.sum()
            if trials > 1:
                moved[1:, row] = statistics.explained_interval(explained, total)
    share = {"long_name": "share of the movement that is made", "units": "1"}
    frames = {"units": "frame", "long_name": "frames after the intervention"}
    return xr.Dataset(
        {
            "error": (("action", "after"), error, RELATIVE),
            "error_interval": (("action", "after"), interval, RELATIVE),
            "moved": ("action", moved[0], share),
            "moved_low": ("action", moved[1], share),
            "moved_high": ("action", moved[2], share),
            "change": (
                "intervention",
                relative(*change),
                {**RELATIVE, "long_name": "change by the intervention"},
            ),
        },
        {
            "action": list(ACTIONS),
            "after": ("after", sums.after, frames),
            "intervention": np.atleast_1d(recording.intervention.values).astype(str),
        },
    )


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table."""
    site = "prediction" if bool(results.error.sel(site="prediction").notnull().any()) else "state"
    of_site = results.sel(site=site, drop=True)
    share = {"better": "higher", "bounds": (-np.inf, 1.0)}
    names = {
        "transport+shift": f"movement of the {site} made by moving the state by the law",
        "transport": f"movement of the {site} made by transport alone",
        "shift": f"movement of the {site} made by shift alone",
    }
    numbers = {
        label: of_site.moved.sel(action=part, drop=True).assign_attrs(share)
        for part, label in names.items()
        if bool(of_site.moved.sel(action=part).notnull().any())
    }
    exchanged = of_site.error.sel(action="interchange", drop=True).max("after")
    if bool(exchanged.notnull().any()):
        attrs = {"better": "lower", "bounds": (0.0, np.inf)}
        numbers["largest error after an interchange of all that is carried"] = exchanged.assign_attrs(attrs)
    return numbers


def finding(results: xr.Dataset) -> list[str]:
    """What the numbers support, in a sentence: whether moving the state by the law, or by its transport alone
    where no law applies, moves what follows. It does where the interval over trials of every seed lies above
    a half of the movement, does not where every one lies below, and is left open otherwise.
    """
    site = "prediction" if bool(results.error.sel(site="prediction").notnull().any()) else "state"
    of_site = results.sel(site=site, drop=True)
    said = [
        _said(of_site.sel(action=action), f"{words} {verdict} the {site} of", moves)
        for action, words in FOUND.items()
        for moves, verdict in (("yes", "moves"), ("no", "does not move"), ("open", "may move"))
    ]
    said = [sentence for sentence in said if sentence]
    if not said:
        return []
    text = "; ".join(said)
    return [f"{text[0].upper()}{text[1:]}."]


FOUND = {"transport+shift": "moving the state by the law", "transport": "moving it in space alone"}
"""Actions of which `finding` says what they do."""
HALF = 0.5
"""Of the movement: more counts as moved."""


def _said(runs: xr.Dataset, begins: str, moves: str) -> str:
    """A clause about those networks of which an action moves the site, or not, or may; empty if none is."""
    named = []
    for name, of_network in runs.groupby("network"):
        known = of_network.where(of_network.moved_low.notnull(), drop=True)
        if not known.sizes["run"]:
            continue
        above, below = bool((known.moved_low > HALF).all()), bool((known.moved_high < HALF).all())
        if moves == ("yes" if above else "no" if below else "open"):
            named.append(f"{name} ({float(known.moved.mean()):.0%} of the movement)")
    if not named:
        return ""
    *others, last = named
    names = " and ".join([", ".join(others), last]) if others else last
    return " ".join([begins, names])


def figure(results: xr.Dataset) -> Figure:
    """Error by frame after each action, and the share of the movement that each makes."""
    site = "prediction" if bool(results.error.sel(site="prediction").notnull().any()) else "state"
    of_site = results.sel(site=site, drop=True)
    fig = plot.figure(figsize=(plot.PAGE, 4.6))
    axes = fig.subplots(2, 3)
    drawn = list(zip(axes.flat, TITLES, strict=False))
    for ax, action in drawn:
        _draw_error(ax, of_site, action)
    highest = max(ax.get_ylim()[1] for ax, _ in drawn)
    for ax, _ in drawn:
        ax.set(ylim=(-0.02 * highest, highest), xlabel="", ylabel="")
    for ax in axes[:, 0]:
        ax.set_ylabel(f"relative error of the {site}", fontsize=8)
    for ax in [*axes[1, :2], axes[0, 2]]:
        ax.set_xlabel("frames after the intervention", fontsize=8)
    _draw_moved(axes[1, 2], of_site)
    plot.legend_below(results, axes[0, 0])
    fig.suptitle(f"n = {plot.trials(results)}, {plot.seeds(results)}", fontsize=8)
    return fig


def _draw_error(ax: Axes, results: xr.Dataset, action: str) -> None:
    """Error by frame of one action; for "nothing", of the opposite velocity too."""
    panels.lines_or_note(results.sel(action=action), "error", "after", ax)
    if action == "nothing":
        opposite = plot.mean_over_seeds(results.error.sel(action="opposite velocity"))
        for name, colour in plot.palette(results).items():
            ax.plot(results.after, opposite.sel(network=name), color=colour, ls=":", lw=1)
    ax.axhline(1, color="0.7", lw=0.6, zorder=0)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_title(TITLES[action], fontsize=8, loc="left")


def _draw_moved(ax: Axes, results: xr.Dataset) -> None:
    """The share of the movement that each action makes, of each run, with its interval."""
    count = len(plot.networks(results))
    for position, part in enumerate(PARTS):
        for row, (_, colour, runs) in enumerate(panels.each_network(results.sel(action=part))):
            across = position + (row - (count - 1) / 2) * 0.7 / count
            apart = across + np.linspace(-0.05, 0.05, runs.sizes["run"]) * (runs.sizes["run"] > 1)
            shown = runs.moved.clip(-1)
            bars = np.stack([shown - runs.moved_low.clip(-1), runs.moved_high.clip(-1) - shown])
            ax.errorbar(apart, shown, yerr=np.nan_to_num(bars).clip(0), fmt="o", ms=3, lw=0.8, color=colour)
    ax.axhline(0, color="0.7", lw=0.6, zorder=0)
    ax.set_xticks(range(len(PARTS)), ["law", "transport", "shift"])
    ax.set(ylim=(-1.08, 1.08), xlim=(-0.6, len(PARTS) - 0.4))
    ax.set_title("movement made", fontsize=8, loc="left")
