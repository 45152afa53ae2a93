r"""How alike are the states of networks, and of seeds of one network, under the same stimuli?

Of each run the analysis keeps the centred Gram matrix K of its states x over conditions (flow, trial, time),
all that any of these measures needs, and compares runs pairwise, blind to which unit is which:

    debiased CKA      <K~, L~> / (|K~| |L~|)    K~ U-centred; blind to rotation, reflection and isotropic
    scaling Procrustes angle  arccos( |X'Y|_* / (|X| |Y|) )          the same invariances; a metric, in
    radians predictivity      cross-validated R^2 of y by ridge regression on x, blind to invertible linear
    maps of x

<K~, L~> is the unbiased estimator of HSIC up to a factor: plain CKA is high for random states of many units,
this one about 0. Conditions within a trial are not independent, so that what chance gives is measured: all
trials of one run are exchanged, flow and time kept (``null`` and ``p``), and errors are jackknifed over
trials. The Procrustes angle has no such correction; it is too small where units are many. Regression uses the
first 64 principal components of x, takes all of y, and tests on trials that it did not fit.

Sources: Song et al. (2012), JMLR 13, eq. 5, and Nguyen et al. (2021), arXiv 2010.15327 (unbiased HSIC, in
CKA); Szekely & Rizzo (2014), Ann. Stat. 42 (U-centring); Murphy et al. (2024), arXiv 2405.01012 (bias of
CKA); Williams et al. (2021), arXiv 2110.14739 (angle); Ostrow et al. (2023), arXiv 2306.10168 (`dynamics`, by
the package dsa-metric).
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import xarray as xr
from pydantic import Field

from flowsim.errors import InputError
from flowsim.figures import plot
from flowsim.files import coordinates
from flowsim.measures.similarity import (
    centre,
    cka,
    dynamical,
    exchanges,
    jackknife,
    predictivity,
    procrustes,
    scores,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READS = "probe"
DATA = "summary"  # what the figure shows of results that hold large matrices
QUESTION = "How alike are the states of networks and seeds?"
READING = (
    "Left: debiased CKA of each pair of runs, clustered; 1 is the same geometry of states, 0 no common one; the tree "
    "joins the most alike. A dot marks pairs no more alike than with trials exchanged (corrected p above 0.05). Right: "
    "pairs of seeds of one network, in its colour, and pairs of different networks, grey; the dashed line is the mean "
    "CKA with trials exchanged, bars are jackknife errors over trials, strokes means; lower R^2 is drawn at -0.5."
)
BLOCK = 2**27
"""Bytes of states, in float64, that are held at once (and once more)."""


def analyse(
    recording: xr.Dataset, *, conditions: Annotated[int, Field(ge=20)] = 500, seed: int = 0
) -> xr.Dataset:
    """Gram matrix of the states.

    Parameters
    ----------
    recording : Dataset
        With ``state`` (flow, trial, time, ...).
    conditions : int
        At most about so many are kept: of trials, then flows, a random choice, the same in all runs, then
        times evenly.
    seed : int
        Of that choice.

    Returns
    -------
    Dataset
        ``gram`` (condition, other), centred, of trace 1, or 0 where states never change; ``flow``, ``trial``,
        ``time`` over condition.

    Raises
    ------
    InputError
        If there are no states, fewer than 4 conditions, or values that are no numbers.
    """
    state = coordinates.variable(recording, "state")
    chosen = _thinned(state, conditions, seed)
    n = len(chosen)
    if n < 4:
        raise InputError(
            f"model_similarity needs 4 states (flow, trial, time) or more; the recording has {n}"
        )
    gram = np.empty((n, n))
    per = max(1, BLOCK // (8 * int(np.prod(state.shape[3:]))))
    blocks = [slice(first, min(first + per, n)) for first in range(0, n, per)]
    for i, rows in enumerate(blocks):
        own = _load(state, chosen[rows])
        for columns in blocks[i:]:
            gram[rows, columns] = own @ (own if columns == rows else _load(state, chosen[columns])).T
            gram[columns, rows] = gram[rows, columns].T
    size = gram.trace()
    gram -= gram.mean(0)
    gram -= gram.mean(1, keepdims=True)
    silent = gram.trace() <= 1e-12 * size
    where = {d: ("condition", index) for d, index in zip(("flow", "trial", "time"), chosen.T, strict=True)}
    attributes = {"units": "1", "long_name": "centred inner product of states"}
    return xr.Dataset(
        {"gram": (("condition", "other"), gram * (0 if silent else 1 / gram.trace()), attributes)}, where
    )


def _thinned(state: xr.DataArray, conditions: int, seed: int) -> np.ndarray:
    """Indices (condition, 3) of flow, trial and time: every chosen one of each with every other, trial by
    trial.
    """
    rng, (flows, trials, times) = np.random.default_rng(seed), state.shape[:3]
    some = min(trials, max(8, conditions // (flows * times)))
    few = min(flows, max(2, conditions // (some * times)))
    instants = min(times, max(2, conditions // (some * few)))
    of = np.sort(rng.permutation(trials)[:some]), np.sort(rng.permutation(flows)[:few])
    at = np.linspace(0, times - 1, instants).round().astype(int)
    trial, flow, time = (index.ravel() for index in np.meshgrid(*of, at, indexing="ij"))
    return np.stack([flow, trial, time], 1)


def _load(state: xr.DataArray, chosen: np.ndarray) -> np.ndarray:
    """States (condition, unit) in float64."""
    loaded = []
    for flow, trial in dict.fromkeys(map(tuple, chosen[:, :2].tolist())):
        times = chosen[(chosen[:, 0] == flow) & (chosen[:, 1] == trial), 2]
        loaded.append(np.asarray(state[flow, trial, times].values, np.float64).reshape(len(times), -1))
    values = np.concatenate(loaded)
    if not np.isfinite(values).all():
        raise InputError("the state contains NaN or infinity: the network diverged; train it again")
    return values


def summary(results: xr.Dataset) -> xr.Dataset:
    """Every measure for every pair of runs, from (run) to (other).

    Returns
    -------
    Dataset
        ``cka`` with its jackknife ``error`` over trials, ``null`` (mean with trials exchanged) and ``p`` (of
        a CKA as high, uncorrected); ``procrustes`` in radians; ``predictivity`` of the other by the run. NaN
        where a state never changes, or trials are too few: one for ``predictivity``, ``null`` and ``p``, two
        for ``error``.
    """
    grams, runs = results.gram.values, results.sizes["run"]
    trial = (results.trial.isel(run=0) if "run" in results.trial.dims else results.trial).values
    names = ("cka", "error", "null", "p", "procrustes", "predictivity")
    found = {name: np.full((runs, runs), np.nan) for name in names}
    alive = [i for i in range(runs) if grams[i].trace() > 0]
    centred, points = {i: centre(grams[i]) for i in alive}, {i: scores(grams[i]) for i in alive}
    orders = exchanges(trial)
    for i, j in [*((i, i) for i in alive), *combinations(alive, 2)]:
        pair = {"cka": cka(centred[i], centred[j]), "procrustes": 0.0}
        if i != j:
            pair["procrustes"] = procrustes(points[i], points[j])
            pair["error"] = jackknife(grams[i], grams[j], trial)
            shuffled = [cka(centred[i], centred[j][np.ix_(order, order)]) for order in orders]
            if shuffled:
                pair["null"] = np.mean(shuffled)
                pair["p"] = (1 + np.sum(np.array(shuffled) >= pair["cka"])) / (1 + len(shuffled))
        for name, value in pair.items():
            found[name][i, j] = found[name][j, i] = value
        for source, target in {(i, j), (j, i)}:
            found["predictivity"][source, target] = predictivity(points[source], points[target], trial)
    coords = {"run": results["run"], "network": results["network"], "other": results["run"].values}
    return xr.Dataset({name: (("run", "other"), values) for name, values in found.items()}, coords)


def dynamics(results: xr.Dataset, components: int = 10, **settings: Any) -> xr.DataArray:
    """Dynamical similarity (run, other) of the paths of the first principal components; see
    `flowsim.measures.similarity`.

    No part of the figure: it needs the extra "dsa", depends on its settings, and may take minutes.
    """
    shape = [len(np.unique(results[d])) for d in ("trial", "flow", "time")]
    paths = [
        scores(gram)[:, :components].reshape(shape[0] * shape[1], shape[2], -1)
        for gram in results.gram.values
    ]
    names = results["run"].values
    return xr.DataArray(dynamical(paths, **settings), {"run": names, "other": names}, ("run", "other"))


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table: means over the other seeds of the same network, and over other
    networks.
    """
    found = summary(results)
    same = found["network"].values[:, None] == found["network"].values
    other = xr.DataArray(same & ~np.eye(len(same), dtype=bool), dims=("run", "other"))
    return {
        "1 - debiased CKA between seeds": (1 - found.cka).where(other).mean("other"),
        "1 - debiased CKA to other networks": (1 - found.cka)
        .where(~xr.DataArray(same, dims=other.dims))
        .mean("other"),
        "Procrustes angle between seeds (rad)": found.procrustes.where(other).mean("other"),
        "variance of other seeds not predicted": (1 - found.predictivity).where(other).mean("other"),
    }


def figure(results: xr.Dataset) -> Figure:
    """CKA of all pairs, clustered (left); the three measures within and across networks (right)."""
    found, names, colours = summary(results), plot.networks(results), plot.palette(results)
    pairs = list(combinations(range(results.sizes["run"]), 2))
    height = max(3.0, 1.2 + 0.2 * results.sizes["run"])
    fig, empty = plot.subplots(figsize=(plot.PAGE, height))
    empty.remove()
    grid = fig.add_gridspec(2, 4, height_ratios=[0.5, height - 0.5], width_ratios=[3.2, 1.6, 1.6, 1.6])
    _clustered(found, colours, fig.add_subplot(grid[0, 0]), fig.add_subplot(grid[1, 0]))
    of = found["network"].values
    groups = [*names, "across"] if len(names) > 1 else names
    measures = {"cka": "debiased CKA", "procrustes": "Procrustes (rad)", "predictivity": "R$^2$ predicted"}
    for column, (measure, label) in enumerate(measures.items(), start=1):
        ax = fig.add_subplot(grid[:, column])
        for y, group in enumerate(groups):
            chosen = [(i, j) for i, j in pairs if (of[i] if of[i] == of[j] else "across") == group]
            if measure == "predictivity":
                chosen += [(j, i) for i, j in chosen]
            values = found[measure].values[tuple(zip(*chosen, strict=True))] if chosen else np.empty(0)
            drawn = values.clip(min=-0.5)
            at = y + np.linspace(-0.2, 0.2, len(values)) * (len(values) > 1)
            error = (
                found.error.values[tuple(zip(*chosen, strict=True))] if chosen and measure == "cka" else None
            )
            ax.errorbar(drawn, at, xerr=error, fmt="o", ms=3, lw=0.8, color=colours.get(group, "0.55"))
            ax.vlines(
                np.mean(drawn) if chosen else np.nan, y - 0.35, y + 0.35, color="black", lw=1.2, zorder=3
            )
        if measure == "cka":
            ax.axvline(float(found.null.mean()), color="0.4", ls="--", lw=0.8)
        ax.set(title=label, ylim=(len(groups) - 0.5, -0.5))
        ax.locator_params("x", nbins=2)
        ax.set_yticks(range(len(groups)), groups if column == 1 else [])
        ax.tick_params("y", length=0)
    trials = len(np.unique(results.trial))
    fig.suptitle(f"{results.sizes['condition']} states in {trials} trials, {plot.seeds(results)}", fontsize=9)
    return fig


def _clustered(found: xr.Dataset, colours: dict[str, Any], above: Any, ax: Any) -> None:
    """Heat map of CKA, in the order of an average-linkage tree of 1 - CKA drawn above it."""
    from scipy.cluster.hierarchy import dendrogram, linkage
    from scipy.spatial.distance import squareform
    from scipy.stats import false_discovery_control

    runs, order = found.sizes["run"], [0]
    above.axis("off")
    if runs > 1:
        distance = (1 - np.nan_to_num(found.cka.values)) * ~np.eye(runs, dtype=bool)
        tree = linkage(squareform(distance.clip(min=0), checks=False), "average")
        drawn = dendrogram(tree, ax=above, color_threshold=0, above_threshold_color="0.5", no_labels=True)
        above.axis("off")
        order = drawn["leaves"]
    values = found.cka.values[np.ix_(order, order)]
    ax.imshow(values, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    for (y, x), value in np.ndenumerate(values.round(2) + 0.0):
        look = {
            "ha": "center",
            "va": "center",
            "color": "black" if value > 0.6 else "white",
            "fontsize": 60 / (runs + 4),
        }
        ax.text(x, y, f"{value:.2f}".replace("0.", "."), **look)
    upper = np.triu_indices(runs, 1)
    p = found.p.values[upper]
    known = ~np.isnan(p)
    doubtful = np.zeros((runs, runs), bool)
    doubtful[tuple(index[known] for index in upper)] = (
        false_discovery_control(p[known]) > 0.05 if known.any() else []
    )
    y, x = np.nonzero((doubtful | doubtful.T)[np.ix_(order, order)])
    ax.plot(x, y + 0.35, "o", color="white", mec="black", ms=2.5, lw=0)
    labels = [str(found["run"].values[i]).replace("-seed", " ") for i in order]
    ax.yaxis.tick_right()
    ax.set_xticks([])
    ax.set_yticks(range(runs), labels, fontsize=7)
    ax.tick_params(length=0)
    ax.set_xlabel("debiased CKA", fontsize=9)
    for text, i in zip(ax.get_yticklabels(), order, strict=True):
        text.set_color(colours[str(found["network"].values[i])])
