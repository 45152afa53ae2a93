r"""If no declared law holds, does a linear operator M_u exist with h(psi_u f) = M_u h(f)?

Operators of four classes, ordered by freedom (`flowsim.measures.operators`: permutation, orthogonal, linear,
convolution, each with a roll), are fitted to some trials and judged on the others:

    R²(u) = 1 - || h_t[psi(u) f] - M_u h_t[f] ||^2 / || h_t[psi(u) f] - mean ||^2

in co-moving coordinates, over frames after the first, pixels and principal components; the mean is that of
the training trials, so that an operator that knows nothing has 0, and a permutation or a turn of noise -1. It
is compared with the same number where the held-out states have exchanged their flow labels, so that the
operator of u has to predict the state under another flow. A state that flows do not change has R² = 1 in
both, and p = 1. The p value is that of the last fold alone: its operators do not depend on the labels that
are permuted there, so its level is exact, whereas folds together, of which each trains the others, would be
called significant too often.

On a grid of velocities that ends, channels whose partner lies outside have no law even where the others have
one: R² over those with a partner is given apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import xarray as xr
from pydantic import Field

from flowsim.errors import InputError
from flowsim.figures import panels, plot
from flowsim.measures import recorded, statistics
from flowsim.measures.comoving import States, channel_partners
from flowsim.measures.operators import (
    OPERATORS,
    FittedOperators,
    blocks_of_trials,
    fit_operators,
    reference_rows,
)
from flowsim.specification import Count, Seed, checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = "probe"
QUESTION = "If no declared law holds, is there a linear operator by which the state follows?"
READING = (
    "The state under a flow is predicted from the state under the unmoved input, by operators that were "
    "fitted to other trials. All of them move with the flow, and they differ in what they do to channels: "
    "exchange them (permutation), rotate them (orthogonal), mix them in any linear way (linear), or mix them "
    "also with those of neighbouring pixels (convolution). R² is the share of the variance that is "
    "predicted: 1 is an exact action, 0 is none. A declared law of shift is a permutation, with R² = 1 for "
    "those channels whose velocity has a partner in the network (open circles). Large dots and thick lines "
    "are arithmetic means over seeds; bars are 95 % intervals over folds of trials, averaged over seeds. A "
    "grey tick is the value that 95 % of draws with shuffled flow labels stay below; shuffling exchanges the "
    "displacements together with the operators, so an R² above its tick means that one of the two, or both, "
    "distinguish the flows. Right: the R² of convolutions by frame; thin lines are seeds. R² is of each "
    "network's own features of a pixel (title: those used, of those recorded): an operator on more features "
    "has more to predict from and more to predict, so that networks with different numbers are not compared "
    "at the same capacity."
)
LOWEST_DRAWN = -1.1
"""R² below this is drawn there."""
SPREAD = 0.7
"""Width over which the networks stand side by side, where the next class of operator is at 1."""


@checked
def analyse(
    recording: xr.Dataset,
    *,
    folds: Annotated[int, Field(ge=2)] = 4,
    components: Count = 64,
    variance: Annotated[float, Field(gt=0, le=1)] = 0.999,
    features: Count = 128,
    pixels: Count = 256,
    permutations: Count = 999,
    seed: Seed = 0,
) -> xr.Dataset:
    """Fit and judge operators.

    Parameters
    ----------
    recording : Dataset
        With ``state`` (flow, trial, time, velocity, channel, y, x), with orientation after channel if it has
        some, or (flow, trial, time, unit), which gets one operator for all frames; the flow at rest is the
        reference.
    folds : int
        At most as many groups of trials, each held out once.
    components, variance
        At most as many principal components, or as many as explain this share of the variance; fitted to the
        training trials.
    features, pixels
        At most as many (velocity, channel) pairs and pixels are used, drawn at random.
    permutations : int
        Draws of flow labels.
    seed : int
        Of all random choices.

    Returns
    -------
    Dataset
        ``r2`` (operator, flow, fold), without the reference; ``r2_time`` (operator, time); ``r2_mean``,
        ``r2_low``, ``r2_high`` (operator): over flows, with a 95 % t interval over folds; ``null``
        (operator), the 95th percentile for shuffled labels, and ``p`` (operator), NaN with one flow;
        ``r2_partner`` (operator), over channels with a partner, and ``coverage`` (flow), their share;
        ``displacement`` (flow, component), of the roll per frame; ``explained`` and ``components`` (fold);
        ``features``, how many (velocity, channel) pairs were used at a pixel, ``features_recorded``, of how
        many, and ``kept``, the share of channels used.

    Raises
    ------
    InputError
        If there are fewer than two trials, no flow at rest, which is the reference, or none besides it, or a
        state that does not vary or contains NaN or infinity.
    """
    recording = recorded.reference_first(recording)
    states = States(recording, features, pixels, seed)
    if states.trials < 2:
        raise InputError(
            "expected at least 2 trials, one to fit and one to judge; the recording has 1. "
            "Make a probe with more"
        )
    has_partner, _ = channel_partners(recording, states)
    held_out = blocks_of_trials(range(states.trials), folds)
    sums = SquaredErrors.zeros(len(held_out), len(states.flows) - 1, len(states.times))
    partner_features = has_partner.repeat(states.features // has_partner.shape[1], axis=1)
    fits = []
    for fold, trials in enumerate(held_out):
        training = [trial for trial in range(states.trials) if trial not in trials]
        fitted = fit_operators(states, training, components, variance)
        for trial in trials:
            _judge(states, fitted, trial, fold, partner_features, sums)
        fits.append(fitted)
    judgement = _judgement(sums, permutations, np.random.default_rng(seed))
    return _packed(recording, states, fits, judgement, has_partner.mean(1))


@dataclass(frozen=True)
class SquaredErrors:
    """Sums of squares of held-out states about their prediction (``missed``) and their mean (``total``).

    ``missed`` (operator, fold, flow, label, time) and ``total`` (fold, flow, label, time): the operator of
    ``flow`` predicts the state under the flow ``label``. ``missed_partner`` (operator) and ``total_partner``
    (): over all flows under their own label, in features that have a partner.
    """

    missed: np.ndarray
    total: np.ndarray
    missed_partner: np.ndarray
    total_partner: np.ndarray

    @classmethod
    def zeros(cls, folds: int, flows: int, times: int) -> SquaredErrors:
        """Sums over nothing."""
        of_fold = (folds, flows, flows, times)
        operators = len(OPERATORS)
        return cls(np.zeros((operators, *of_fold)), np.zeros(of_fold), np.zeros(operators), np.zeros(()))


def _judge(
    states: States,
    fitted: FittedOperators,
    trial: int,
    fold: int,
    partner_features: np.ndarray,
    sums: SquaredErrors,
) -> None:
    """Add the squares of a held-out trial to ``sums``: every operator against the state under every flow."""
    flows, times = len(states.flows) - 1, len(states.times)
    rows, rows_with_neighbours = reference_rows(states, trial, fitted.mean[0], fitted.basis)
    activities = [states.activity(trial, label + 1) for label in range(flows)]
    for flow, roll in enumerate(fitted.rolls):
        predictions = [fitted.predict(operator, flow, rows, rows_with_neighbours) for operator in OPERATORS]
        for label, activity in enumerate(activities):
            moved = states.rows(states.moved_back(activity, roll))
            target = (moved - fitted.mean[flow + 1]) @ fitted.basis
            sums.total[fold, flow, label] += _squares_by_time(target, times)
            for o, predicted in enumerate(predictions):
                sums.missed[o, fold, flow, label] += _squares_by_time(target - predicted, times)
            if label == flow:
                to_partners = fitted.basis[partner_features[flow]].T
                sums.total_partner[...] += ((target @ to_partners) ** 2).sum()
                for o, predicted in enumerate(predictions):
                    sums.missed_partner[o] += (((target - predicted) @ to_partners) ** 2).sum()


def _squares_by_time(rows: np.ndarray, times: int) -> np.ndarray:
    """Sum of squares of rows (time * pixel, component) at each time."""
    return (rows.reshape(times, -1) ** 2).sum(1)


@dataclass(frozen=True)
class OperatorScores:
    """R² by flow (operator, fold, flow), by time (operator, time), in features with a partner, and their
    mean over flows and folds with the half-width of its interval, the 95th percentile under shuffled labels,
    and p (operator).
    """

    by_flow: np.ndarray
    by_time: np.ndarray
    with_partner: np.ndarray
    mean: np.ndarray
    half_width: np.ndarray
    null: np.ndarray
    p: np.ndarray


def _judgement(sums: SquaredErrors, permutations: int, rng: np.random.Generator) -> OperatorScores:
    """R² of all operators, and what it is worth."""
    flow = np.arange(sums.total.shape[1])
    r2 = 1 - recorded.ratio(sums.missed.sum(-1), sums.total.sum(-1))
    missed_at_label = sums.missed[:, :, flow, flow]  # (operator, fold, flow, time)
    total_at_label = sums.total[:, flow, flow]
    by_fold = r2[:, :, flow, flow].mean(-1)
    null, p = _compared_with_shuffled_labels(r2, permutations, rng)
    return OperatorScores(
        by_flow=r2[:, :, flow, flow],
        by_time=1 - recorded.ratio(missed_at_label.sum((1, 2)), total_at_label.sum((0, 1))),
        with_partner=1 - recorded.ratio(sums.missed_partner, sums.total_partner),
        mean=by_fold.mean(1),
        half_width=statistics.cross_validation_interval(by_fold),
        null=null,
        p=p,
    )


def _compared_with_shuffled_labels(
    r2: np.ndarray, permutations: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """95th percentile of R² under shuffled labels, a mean over folds, and p in the last fold, both
    (operator), from R² (operator, fold, flow, label); NaN with one flow.
    """
    operators, _, flows, _ = r2.shape
    if flows < 2:
        unknown = np.full(operators, np.nan)
        return unknown, unknown
    flow = np.arange(flows)
    labels = rng.permuted(np.broadcast_to(flow, (permutations, flows)), axis=-1)
    shuffled = r2[:, :, flow, labels].mean(-1)  # (operator, fold, permutation)
    true = r2[:, :, flow, flow].mean(-1)
    # Labels that are drawn as they were give the same number, but for rounding.
    p = statistics.p_value(true, shuffled, slack=1e-9 * np.abs(true))
    return np.quantile(shuffled, 0.95, axis=-1).mean(-1), p[:, -1]


def _packed(
    recording: xr.Dataset,
    states: States,
    fits: list[FittedOperators],
    judgement: OperatorScores,
    coverage: np.ndarray,
) -> xr.Dataset:
    """The results under their names."""
    r2 = {"units": "1", "long_name": "cross-validated R²"}
    rolls = np.median([fitted.rolls for fitted in fits], 0)
    explained = [fitted.explained for fitted in fits]
    return xr.Dataset(
        {
            "r2": (("operator", "flow", "fold"), judgement.by_flow.transpose(0, 2, 1), r2),
            "r2_time": (("operator", "time"), judgement.by_time, r2),
            "r2_mean": ("operator", judgement.mean, r2),
            "r2_low": ("operator", judgement.mean - judgement.half_width, r2),
            "r2_high": ("operator", judgement.mean + judgement.half_width, r2),
            "null": ("operator", judgement.null, r2),
            "p": ("operator", judgement.p),
            "r2_partner": ("operator", judgement.with_partner, r2),
            "coverage": ("flow", coverage, {"units": "1", "long_name": "share of channels with a partner"}),
            "displacement": (("flow", "component"), rolls, {"long_name": "roll per frame"}),
            "kept": ((), states.channel_share, {"units": "1", "long_name": "share of channels"}),
            "features": ((), states.features, {"units": "1", "long_name": "features of a pixel"}),
            "features_recorded": ((), states.features_recorded, {"units": "1"}),
            "explained": ("fold", explained, {"units": "1", "long_name": "variance in components"}),
            "components": ("fold", [fitted.basis.shape[1] for fitted in fits]),
        },
        {
            "operator": list(OPERATORS),
            "time": np.array(states.times),
            "fold": np.arange(len(fits)),
            "component": list(states.flows[0].group.components),
            **recorded.flow_coords(recording.isel(flow=slice(1, None))),
        },
        {"trials": states.trials},
    )


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table; what is not measurable in any run is left out."""
    permutation = results.sel(operator="permutation", drop=True)
    linear = results.sel(operator="linear", drop=True)
    convolution = results.sel(operator="convolution", drop=True)
    partners = permutation.r2_partner.assign_attrs(better="higher")
    r2 = {
        "R² of an action that permutes channels": permutation.r2_mean.assign_attrs(better="higher"),
        "R² of an action that permutes channels, channels with a partner": partners,
        "R² of any linear action on channels": linear.r2_mean,
        "R² of a linear action on channels and neighbouring pixels": convolution.r2_mean,
        "R² of a linear action on channels and neighbouring pixels, "
        "shuffled flows (95th percentile)": convolution.null,
    }
    numbers = {label: values.assign_attrs(bounds=(-np.inf, 1)) for label, values in r2.items()}
    numbers["features of a pixel that operators act on"] = results.features
    return {label: values for label, values in numbers.items() if values.notnull().any()}


def figure(results: xr.Dataset) -> Figure:
    """R² by class of operator, and by frame."""
    fig, (by_class, by_frame) = plot.subplots(
        1, 2, figsize=(plot.PAGE, 3.6), width_ratios=[1.9, 1], sharey=True
    )
    _draw_classes(by_class, results)
    freest = OPERATORS[-1]
    plot.lines(results.sel(operator=freest), "r2_time", "time", by_frame)
    by_frame.xaxis.get_major_locator().set_params(integer=True)
    by_frame.set(xlabel="frame", ylabel="", title=freest)
    for ax in (by_class, by_frame):
        ax.axhline(0, color="0.8", lw=0.8, zorder=0)
    plot.legend(results, by_frame, fontsize=8, loc="center", bbox_to_anchor=(0.5, 0.5))
    counts = (
        f"{results.sizes['flow']} flows",
        f"{results.attrs['trials']} trials in {results.sizes['fold']} folds",
        plot.seeds(results),
    )
    fig.suptitle(", ".join(counts) + f"\n{panels.features_used(results)}", fontsize=9)
    return fig


def _draw_classes(ax: Axes, results: xr.Dataset) -> None:
    """R² of each class of operator; the networks side by side within each."""
    lowest = min(-0.05, float(results.r2_low.min()), float(results.null.fillna(0).min()))
    floor = max(LOWEST_DRAWN, lowest - 0.05)
    names = plot.networks(results)
    for i, (_, colour, runs) in enumerate(panels.each_network(results)):
        x = np.arange(len(OPERATORS)) + SPREAD * ((i + 0.5) / len(names) - 0.5)
        _draw_network(ax, x, runs, colour, floor)
    ax.legend(handles=_keys(), fontsize=7, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.3))
    ax.set_xticks(range(len(OPERATORS)), OPERATORS, fontsize=8)
    ax.set(ylim=(floor, 1.05), ylabel="R² on held-out trials", xlabel="freedom of the operator →")


def _draw_network(ax: Axes, x: np.ndarray, runs: xr.Dataset, colour: panels.Colour, floor: float) -> None:
    """R² of the runs of one network at the places ``x`` (operator), nothing below the ``floor``."""
    # Runs of one network are alike in folds, so their intervals are averaged, not narrowed.
    means = runs.mean("run").clip(min=floor)
    mean = means.r2_mean.values
    ax.errorbar(
        x, mean, [mean - means.r2_low.values, means.r2_high.values - mean], fmt="o", ms=4, color=colour
    )
    for by_class in runs.r2_mean.clip(min=floor).transpose("run", "operator").values:
        ax.plot(x + 0.07, by_class, ".", ms=3, color=colour, alpha=0.6)
    ax.plot(x, means.r2_partner, "o", ms=6, mfc="none", color=colour)
    ax.plot(x, means.null, "_", color="0.4", ms=8, mew=1.5)


def _keys() -> list[Any]:
    """What the marks of `_draw_network` stand for, in grey."""
    from matplotlib.lines import Line2D

    marks = {
        "all channels, 95 % interval": {"marker": "o", "ms": 4},
        "a seed": {"marker": ".", "ms": 3},
        "channels with a partner": {"marker": "o", "ms": 6, "mfc": "none"},
        "flows shuffled": {"marker": "_", "ms": 8, "mew": 1.5},
    }
    return [Line2D([], [], ls="", color="0.4", label=label, **mark) for label, mark in marks.items()]
