r"""How alike are the states of networks, and of seeds of one network, under the same stimuli?

Of each run the analysis keeps the centred Gram matrix K of its states x over conditions (flow, trial, time),
all that any of these measures needs, and compares runs pairwise, blind to which unit is which:

    debiased CKA      <K~, L~> / (|K~| |L~|)            K~, L~ U-centred; blind to rotation, reflection and
                                                        isotropic scaling
    Procrustes angle  arccos( |X'Y|_* / (|X| |Y|) )     the same invariances; a metric, in radians
    predictivity      cross-validated R² of y by ridge regression on x, blind to invertible linear maps of x

<K~, L~> is the unbiased estimator of HSIC up to a factor: plain CKA is high for random states of many units,
this one about 0 if conditions are independent. Those of one trial are not, and codes of nothing but time have
a CKA near 1. So what chance gives is measured: all trials of one run are exchanged, flow and time kept
(``null`` and ``p``), and CKA is given above chance, (CKA - null) / (1 - null), with errors of a jackknife
over trials. The Procrustes angle is too small where units are many; its mean with trials exchanged is beside
it (``procrustes_null``).

Regression uses the first 64 principal components of x, takes all of y, and tests on trials that it did not
fit. A run does not predict all of itself so either; R² is given as a share of that with which y predicts
itself (``predicted``). Trials that show the same image of object 0 are left out together, here and in the
jackknife.

Between seeds, each of which is in several pairs, numbers for the report are jackknife pseudo-values
(`flowsim.measures.statistics.pseudovalues_of_pairs`): their mean is that over pairs of seeds, and their error
that over seeds. Two seeds are one pair, which has one value and no error. Numbers to other networks are over
the seeds of a network, for the other networks as they were trained.

Sources: Song et al. (2012), JMLR 13, eq. 5, and Nguyen et al. (2021), arXiv 2010.15327 (unbiased HSIC, in
CKA); Szekely & Rizzo (2014), Ann. Stat. 42 (U-centring); Murphy et al. (2024), arXiv 2405.01012 (bias of
CKA); Williams et al. (2021), arXiv 2110.14739 (angle); Ostrow et al. (2023), arXiv 2306.10168 (`dynamics`, by
the package dsa-metric).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import xarray as xr
from dask.base import tokenize
from pydantic import Field

from flowsim.errors import InputError
from flowsim.figures import plot
from flowsim.files import coordinates
from flowsim.measures import ground_truth, recorded, similarity, statistics
from flowsim.specification import Whole, checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from flowsim.figures.panels import Colour

READS = "probe"
DATA = "summary"  # what the figure shows of results that hold large matrices
QUESTION = "How alike are the states of networks and seeds?"
READING = (
    "Left: debiased CKA of each pair above chance: 1 is the same geometry of states, 0 what exchanged trials "
    "give (runs with nothing in common but a course over time and flows). The tree joins the most similar "
    "runs. A dot marks a pair no more alike than with trials exchanged (corrected p above 0.05). Right: "
    "pairs of seeds of one network, in its colour, and pairs of different networks, in grey; vertical "
    "strokes are arithmetic means over pairs. CKA above chance, with jackknife standard errors over trials; "
    "the Procrustes angle, 0 for the same geometry; and R² of predicting one run from another, as a share of "
    "the R² with which that run predicts itself from as many components. Dashed lines are chance, the mean "
    "with trials exchanged. A share below -0.5 is drawn there. In the table, numbers between seeds are "
    "jackknife pseudo-values: their mean is that over pairs, their spread tells its error over seeds; two "
    "seeds are one pair, with one value and no interval."
)
BLOCK = 2**27
"""Bytes of states, in float64, that are held at once (and once more)."""
CONDITION = ("flow", "trial", "time")
ACROSS = "across"
"""Name of the group of pairs of different networks."""
LOWEST_DRAWN = -0.5
DOUBTFUL = 0.05
"""Pairs with a larger p, corrected, are marked."""
EXCHANGED = 5
"""So many exchanges of trials tell the mean of the Procrustes angle, which hardly varies."""
MEASURES = {
    "above_chance": "CKA above chance",
    "procrustes": "Procrustes (rad)",
    "predicted": "R² / own R²",
}


@checked
def analyse(
    recording: xr.Dataset, *, conditions: Annotated[int, Field(ge=20)] = 500, seed: Whole = 0
) -> xr.Dataset:
    """Gram matrix of the states.

    Parameters
    ----------
    recording : Dataset
        With ``state`` (flow, trial, time, ...), under the flow at rest and any others.
    conditions : int
        At most about so many are kept: of trials, then flows, a random choice, the same in all runs, then
        times evenly.
    seed : int
        Of that choice.

    Returns
    -------
    Dataset
        ``gram`` (condition, other), centred, of trace 1, or 0 where states never change. Over condition:
        ``flow``, in the order of `flowsim.measures.recorded.reference_first`, and its velocity, such as
        ``flow_vy`` and ``flow_vx``; ``trial``, the frame (``time``), ``image``, which trials with the same
        image of object 0 share, and what is known of objects in each trial. Runs that differ in these are not
        compared.

    Raises
    ------
    InputError
        If there are no states, no flow is at rest, there are fewer than 4 conditions, or the state contains
        NaN or infinity.
    """
    recording = recorded.reference_first(recording, moving=0)
    state = coordinates.variable(recording, "state")
    chosen = _chosen_conditions(state, conditions, seed)
    if len(chosen) < 4:
        raise InputError(
            f"model_similarity needs 4 states (flow, trial, time) or more; the recording has {len(chosen)}"
        )
    indices = [np.unique(of_dim, return_inverse=True) for of_dim in chosen.T]  # each with every other
    kept = state.isel(dict(zip(("flow", "trial", "time"), (used for used, _ in indices), strict=True)))
    gram = _centred_to_trace_1(_inner_products(kept, np.stack([place for _, place in indices], 1)))
    attributes = {"units": "1", "long_name": "centred inner product of states"}
    return xr.Dataset({"gram": (("condition", "other"), gram, attributes)}, _conditions(recording, chosen))


def _conditions(recording: xr.Dataset, chosen: np.ndarray) -> dict[str, Any]:
    """Coordinates over condition: the flow, trial and frame of each, and what is known of these."""
    flow, trial, time = chosen.T
    coords: dict[str, Any] = {"flow": flow, "trial": trial, "time": recording.time.values[time]}
    coords |= {str(name): c.values[flow] for name, c in recorded.flow_coords(recording).items()}
    for name, known in recording.coords.items():
        if known.dims in (("trial",), ("trial", "object")) and name not in recording.dims:
            of_object = known.values.reshape(recording.sizes["trial"], -1).T
            coords |= {f"{name}_{i}": values[trial] for i, values in enumerate(of_object)}
    coords["image"] = ground_truth.images(recording)[trial]
    return {name: ("condition", values) for name, values in coords.items()}


def _chosen_conditions(state: xr.DataArray, conditions: int, seed: int) -> np.ndarray:
    """Indices (condition, 3) of flow, trial and time: every chosen one of each with every other, trial by
    trial.
    """
    rng = np.random.default_rng(seed)
    flows, trials, times = state.shape[:3]
    trial_count = min(trials, max(8, conditions // (flows * times)))
    flow_count = min(flows, max(2, conditions // (trial_count * times)))
    time_count = min(times, max(2, conditions // (trial_count * flow_count)))
    chosen_trials = np.sort(rng.permutation(trials)[:trial_count])
    chosen_flows = np.sort(rng.permutation(flows)[:flow_count])
    chosen_times = np.linspace(0, times - 1, time_count).round().astype(int)
    trial, flow, time = np.meshgrid(chosen_trials, chosen_flows, chosen_times, indexing="ij")
    return np.stack([flow.ravel(), trial.ravel(), time.ravel()], 1)


def _inner_products(state: xr.DataArray, chosen: np.ndarray) -> np.ndarray:
    """Inner products (condition, condition) of the chosen states, of which no more than `BLOCK` bytes, twice,
    are in memory at once in float64, beside what `flowsim.measures.recorded.TrialByTrial` keeps.
    """
    count = len(chosen)
    bytes_per_condition = 8 * int(np.prod(state.shape[3:]))
    per_block = max(1, BLOCK // bytes_per_condition)
    blocks = [slice(first, min(first + per_block, count)) for first in range(0, count, per_block)]
    products = np.empty((count, count))
    by_trial = recorded.TrialByTrial(state)
    for i, rows in enumerate(blocks):
        row_states = _states(by_trial, chosen[rows])
        products[rows, rows] = row_states @ row_states.T
        for columns in blocks[i + 1 :]:
            products[rows, columns] = row_states @ _states(by_trial, chosen[columns]).T
            products[columns, rows] = products[rows, columns].T
    return products


def _states(by_trial: recorded.TrialByTrial, chosen: np.ndarray) -> np.ndarray:
    """States (condition, unit) in float64."""
    blocks = []
    for flow, trial in dict.fromkeys(map(tuple, chosen[:, :2].tolist())):
        times = chosen[(chosen[:, 0] == flow) & (chosen[:, 1] == trial), 2]
        activity = recorded.in_float64(by_trial.read(flow, trial).isel(time=times))
        blocks.append(activity.reshape(len(times), -1))
    return np.concatenate(blocks)


def _centred_to_trace_1(products: np.ndarray) -> np.ndarray:
    """Gram matrix about the mean state, of trace 1; 0 where states never change."""
    size = products.trace()
    centred = products - products.mean(0)
    centred -= centred.mean(1, keepdims=True)
    silent = centred.trace() <= 1e-12 * size
    return centred * (0 if silent else 1 / centred.trace())


_last_summary: dict[str, xr.Dataset] = {}
"""By what identifies its results; one at most."""


def summary(results: xr.Dataset) -> xr.Dataset:
    """Every measure for every pair of runs, from (run) to (other).

    Returns
    -------
    Dataset
        ``above_chance``, CKA above what exchanged trials give, with its jackknife ``error`` over trials;
        ``cka`` and ``null``, of which it is made, and ``p`` (of a CKA as high, uncorrected); ``procrustes``
        in radians, and ``procrustes_null`` with trials exchanged; ``predicted``, the R² of predicting the
        other from the run, as a share of the R² with which the other predicts itself, and ``predictivity``,
        that R². NaN where a state never changes, or trials are too few: one, and two (of different images)
        for ``predictivity`` and ``error``; and where a run has no R² above 0 by which to divide.

    Raises
    ------
    InputError
        If runs were recorded under different conditions.
    """
    token = tokenize(results)
    if token not in _last_summary:  # answers and figure are asked of the same results, one after the other
        table = _summary(results)
        _last_summary.clear()
        _last_summary[token] = table
    return _last_summary[token].copy(deep=True)


def _summary(results: xr.Dataset) -> xr.Dataset:
    """See `summary`."""
    grams = results.gram.values
    if not np.isfinite(grams).all():
        raise InputError(
            "expected the same flows, trials and times in all runs; some have fewer. Record all runs alike"
        )
    runs = results.sizes["run"]
    trial, image = _of_first_run(results, "trial"), _of_first_run(results, "image")
    names = ("above_chance", "error", "cka", "null", "p", "procrustes", "procrustes_null", "predictivity")
    table = {name: np.full((runs, runs), np.nan) for name in names}

    alive = [i for i in range(runs) if grams[i].trace() > 0]
    centred = {i: similarity.u_centred(grams[i]) for i in alive}
    points = {i: similarity.scores(grams[i]) for i in alive}
    orders = similarity.exchanges(trial)
    for i in alive:
        table["cka"][i, i] = similarity.cka(centred[i], centred[i])
        table["above_chance"][i, i] = similarity.above_chance(centred[i], centred[i], trial)
        table["procrustes"][i, i] = 0.0
    for i, j in combinations(alive, 2):
        symmetric = _cka_against_chance(centred[i], centred[j], orders)
        symmetric |= _procrustes_against_chance(points[i], points[j], orders)
        symmetric["above_chance"] = similarity.above_chance(centred[i], centred[j], trial)
        symmetric["null"] = similarity.chance(centred[i], centred[j], trial)
        symmetric["error"] = similarity.above_chance_error(grams[i], grams[j], trial, image)
        for name, value in symmetric.items():
            table[name][i, j] = value
            table[name][j, i] = value
    for i in alive:
        table["predictivity"][i, alive] = similarity.predictivity(points[i], list(points.values()), image)
    table["predicted"] = table["predictivity"] / _positive(table["predictivity"].diagonal())
    coords = {"run": results["run"], "network": results["network"], "other": results["run"].values}
    return xr.Dataset({name: (("run", "other"), values) for name, values in table.items()}, coords)


def _of_first_run(results: xr.Dataset, name: str) -> np.ndarray:
    """What is known of each condition, the same in all runs."""
    return results[name].isel(run=0, missing_dims="ignore").values


def _positive(values: np.ndarray) -> np.ndarray:
    """NaN in the place of what is not positive."""
    return np.where(values > 0, values, np.nan)


def _cka_against_chance(one: np.ndarray, two: np.ndarray, orders: Sequence[np.ndarray]) -> dict[str, float]:
    """CKA of two U-centred Gram matrices, and p against the conditions of the second in other orders, where
    there are any.
    """
    cka = similarity.cka(one, two)
    if not orders:
        return {"cka": cka}
    shuffled = [similarity.cka(one, two[np.ix_(order, order)]) for order in orders]
    return {"cka": cka, "p": statistics.p_value(cka, np.array(shuffled), slack=0.0)}


def _procrustes_against_chance(
    one: np.ndarray, two: np.ndarray, orders: Sequence[np.ndarray]
) -> dict[str, float]:
    """Procrustes angle of two configurations (condition, component), and its mean with the conditions of the
    second in other orders, where there are any.
    """
    angle = similarity.procrustes(one, two)
    if not orders:
        return {"procrustes": angle}
    shuffled = [similarity.procrustes(one, two[order]) for order in orders[:EXCHANGED]]
    return {"procrustes": angle, "procrustes_null": float(np.mean(shuffled))}


def dynamics(results: xr.Dataset, components: int = 10, **settings: Any) -> xr.DataArray:
    """Dynamical similarity (run, other) of the paths of the first principal components; see
    `flowsim.measures.similarity.dynamical`.

    No part of the figure: it needs the package dsa-metric, depends on its settings, and may take minutes.
    """
    trials, flows, times = (len(np.unique(results[dim])) for dim in ("trial", "flow", "time"))
    paths = []
    for gram in results.gram.values:
        points = similarity.scores(gram)[:, :components]
        paths.append(points.reshape(trials * flows, times, -1))
    distance = similarity.dynamical(paths, **settings)
    names = results["run"].values
    return xr.DataArray(distance, {"run": names, "other": names}, ("run", "other"))


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table, as far as they can be known: between seeds of a network,
    pseudo-values (see above), and to other networks the mean over their runs.
    """
    table = summary(results)
    network = table["network"].values
    other_network = xr.DataArray(network[:, None] != network, dims=("run", "other"))
    dissimilarity = 1 - table.above_chance
    unpredicted = 1 - table.predicted
    numbers = {
        "1 - CKA above chance, between seeds": _between_seeds(dissimilarity, 1.0),
        "1 - CKA above chance, to other networks": dissimilarity.where(other_network).mean("other"),
        "Procrustes angle between seeds, as a share of chance": _between_seeds(
            table.procrustes / table.procrustes_null, 1.0
        ),
        "self-predicted variance of a seed not predicted by others": _between_seeds(
            (unpredicted + unpredicted.values.T) / 2
        ),
    }
    numbers["1 - CKA above chance, to other networks"].attrs |= {"chance": 1.0, "bounds": (0.0, np.inf)}
    return {label: values for label, values in numbers.items() if values.notnull().any()}


def _between_seeds(pairs: xr.DataArray, chance: float | None = None) -> xr.DataArray:
    """Pseudo-values (run) of pairs (run, other) of seeds of the same network."""
    network = pairs["network"].values
    values = np.full(len(network), np.nan)
    for name in np.unique(network):
        seeds = np.flatnonzero(network == name)
        values[seeds] = statistics.pseudovalues_of_pairs(pairs.values[np.ix_(seeds, seeds)])
    between = pairs.isel(other=0, drop=True).copy(data=values)
    between.attrs = {} if chance is None else {"chance": chance}
    return between


def figure(results: xr.Dataset) -> Figure:
    """CKA above chance of all pairs, clustered (left); the measures within and across networks (right)."""
    table = summary(results)
    colours = plot.palette(results)
    height = max(3.0, 1.2 + 0.2 * results.sizes["run"])
    fig = plot.figure(figsize=(plot.PAGE, height))
    grid = fig.add_gridspec(2, 4, height_ratios=[0.5, height - 0.5], width_ratios=[3.2, 1.6, 1.6, 1.6])
    tree = fig.add_subplot(grid[0, 0])
    heat_map = fig.add_subplot(grid[1, 0])
    order = _draw_tree(tree, table)
    _draw_heat_map(heat_map, table, order, colours)
    for column, (measure, label) in enumerate(MEASURES.items(), start=1):
        ax = fig.add_subplot(grid[:, column])
        _draw_pairs(ax, table, measure, colours)
        ax.set_title(label, fontsize=9)
        if column > 1:
            ax.set_yticklabels([])
    counts = f"{results.sizes['condition']} states in {len(np.unique(results.trial))} trials"
    fig.suptitle(f"{counts}, {plot.seeds(results)}", fontsize=9)
    return fig


def _draw_pairs(ax: Axes, table: xr.Dataset, measure: str, colours: dict[str, Colour]) -> None:
    """One measure of all pairs of runs, a row for each network and one for pairs of different networks."""
    pairs = _pairs_of_runs(table, both_ways=measure == "predicted")
    for y, (group, (runs, others)) in enumerate(pairs.items()):
        values = table[measure].values[runs, others]
        drawn = values.clip(min=LOWEST_DRAWN)
        errors = table.error.values[runs, others] if measure == "above_chance" and runs else None
        side_by_side = y + np.linspace(-0.2, 0.2, len(values)) * (len(values) > 1)
        colour = colours.get(group, "0.55")
        ax.errorbar(drawn, side_by_side, xerr=errors, fmt="o", ms=3, lw=0.8, color=colour)
        mean = np.mean(values) if runs else np.nan  # nothing is drawn where it is unknown
        ax.vlines(np.maximum(mean, LOWEST_DRAWN), y - 0.35, y + 0.35, color="black", lw=1.2, zorder=3)
    chance = {"above_chance": 0.0, "procrustes": float(table.procrustes_null.mean())}
    if measure in chance:
        ax.axvline(chance[measure], color="0.4", ls="--", lw=0.8)
    ax.set_ylim(len(pairs) - 0.5, -0.5)
    ax.locator_params("x", nbins=2)
    ax.set_yticks(range(len(pairs)), list(pairs))
    ax.tick_params("y", length=0)


def _pairs_of_runs(table: xr.Dataset, both_ways: bool) -> dict[str, tuple[list[int], list[int]]]:
    """Indices (runs, others) of the pairs of seeds of each network, and of those of different networks."""
    network = table["network"].values
    names = plot.networks(table)
    groups = [*names, ACROSS] if len(names) > 1 else names
    pairs: dict[str, tuple[list[int], list[int]]] = {}
    for group in groups:
        runs = []
        others = []
        for i, j in combinations(range(len(network)), 2):
            if (network[i] if network[i] == network[j] else ACROSS) == group:
                runs.append(i)
                others.append(j)
        pairs[group] = (runs + others, others + runs) if both_ways else (runs, others)
    return pairs


def _draw_tree(ax: Axes, table: xr.Dataset) -> list[int]:
    """Average-linkage tree of 1 - CKA above chance, and the order in which its leaves come."""
    from scipy.cluster.hierarchy import dendrogram, linkage
    from scipy.spatial.distance import squareform

    ax.axis("off")
    runs = table.sizes["run"]
    if runs < 2:
        return [0]
    distance = (1 - np.nan_to_num(table.above_chance.values)) * ~np.eye(runs, dtype=bool)
    tree = linkage(squareform(distance.clip(min=0), checks=False), "average")
    drawn = dendrogram(tree, ax=ax, color_threshold=0, above_threshold_color="0.5", no_labels=True)
    ax.axis("off")
    leaves: list[int] = drawn["leaves"]
    return leaves


def _draw_heat_map(ax: Axes, table: xr.Dataset, order: list[int], colours: dict[str, Colour]) -> None:
    """CKA above chance of all pairs of runs, in this order; a dot marks those that may be alike by chance."""
    runs = table.sizes["run"]
    ordered = table.isel(run=order, other=order)
    ax.imshow(ordered.above_chance.values, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    for (y, x), value in np.ndenumerate(ordered.above_chance.values.round(2) + 0.0):
        words = f"{value:.2f}".replace("0.", ".")
        colour = "black" if value > 0.6 else "white"
        ax.text(x, y, words, ha="center", va="center", color=colour, fontsize=60 / (runs + 4))
    y, x = np.nonzero(_doubtful(table)[np.ix_(order, order)])
    ax.plot(x, y + 0.35, "o", color="white", mec="black", ms=2.5, lw=0)
    ax.yaxis.tick_right()
    ax.set_xticks([])
    labels = [str(run).replace("-seed", " ") for run in ordered["run"].values]
    ax.set_yticks(range(runs), labels, fontsize=7)
    ax.tick_params(length=0)
    ax.set_xlabel("debiased CKA above chance", fontsize=9)
    for text, network in zip(ax.get_yticklabels(), ordered["network"].values, strict=True):
        text.set_color(colours[str(network)])


def _doubtful(table: xr.Dataset) -> np.ndarray:
    """Which pairs (run, other) are no more alike than with trials exchanged, corrected for all pairs."""
    runs = table.sizes["run"]
    upper = np.triu_indices(runs, 1)
    doubtful = np.zeros((runs, runs), bool)
    doubtful[upper] = statistics.false_discovery(table.p.values[upper]) > DOUBTFUL
    return doubtful | doubtful.T
