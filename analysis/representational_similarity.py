r"""Which geometry do states have: what is near to what?

By frame, distances between states are compared with those of models (Spearman's rho_a, see
`flowsim.measures.rdm`), in two ways:

* correlation: every flow of every trial is a condition, at the distance 1 - Pearson's r. The models are
  identity (the label of object 0 differs), velocity (of the flows), position (of object 0, on the torus),
  pixels (frames as they are shown) and motion energy (the correlation of a frame, moved by each whole
  velocity, with the next one); all but the first are Euclidean distances.
* crossnobis: flows are conditions, and trials, the only independent measurements of a flow, are their
  repeats: unbiased distances of what flows have in common over all that moves. As things lie elsewhere in
  each trial, it is the mean of each map over space that is compared. Models are averaged over trials, within
  each; identity is none.

Maps are read at the coarse grain of `flowsim.measures.coarse_maps`. p-values are of permutations of trials
and flows in the RDM, corrected over frames. Intervals are +-1.96 standard deviations of a bootstrap over
trials; a state drawn twice is not compared with itself, nor repeats of crossnobis within a part. The noise
ceiling is over seeds of a network.

Sources: Kriegeskorte, Mur and Bandettini (2008); otherwise see `flowsim.measures.rdm`, and
`flowsim.measures.motion_energy` for motion energy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
import xarray as xr
from pydantic import Field

from flowsim import progress
from flowsim.errors import InputError
from flowsim.figures import panels, plot
from flowsim.measures import coarse_maps, ground_truth, rdm, statistics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READS = "probe"
QUESTION = "Which geometry do states have: by identity, velocity, position, pixels or motion energy?"
READING = (
    "Rank correlation between the distances among states and those of each model, frame by frame: 0 is none, the noise "
    "ceiling (dotted, lower and upper, by how much seeds agree) is the most that a model could reach. Bands are 95 % "
    "intervals over trials, thin lines seeds. Above, each flow of each trial is a state of its own; below, distances "
    "are between flows, cross-validated over trials."
)
MODELS = ("identity", "velocity", "position", "pixels", "motion energy")
DISTANCES = ("correlation", "crossnobis")
REACH = 2
"""Motion energy is taken at whole velocities of at most so many px/frame, or as many as the fastest flow."""


def analyse(
    recording: xr.Dataset,
    *,
    trials: Annotated[int, Field(ge=1)] = 8,
    pixels: Annotated[int, Field(ge=1)] = 5,
    permutations: Annotated[int, Field(ge=1)] = 200,
    bootstraps: Annotated[int, Field(ge=2)] = 100,
    seed: int = 0,
) -> xr.Dataset:
    """RDMs by frame, and their agreement with models.

    Parameters
    ----------
    recording : Dataset
        With ``state`` of any form; ``frames`` and what it tells of object 0 for the models that need them.
    trials : int
        At most so many are used, from the first on.
    pixels : int
        For correlation, maps over space are resampled to this many pixels, squared.
    permutations, bootstraps, seed : int

    Returns
    -------
    Dataset
        ``rho`` (distance, model, time), with ``low``, ``high`` and ``p``; ``correlation`` (time, pair), 1 -
        r, between conditions ``pair_one`` and ``pair_two`` counted as flow * trials + trial, and
        ``crossnobis`` (time, flow_pair), in squared standard deviations of the noise, between the flows
        ``flow_one`` and ``flow_two``; ``trials``, how many of ``recorded_trials`` were used, and ``kept``,
        the share of channels (`flowsim.measures.coarse_maps.coarse`). NaN where nothing can be said: a model
        that tells no conditions apart, crossnobis with fewer than 4 trials, intervals with fewer than 3.

    Raises
    ------
    InputError
        If the recording has no states, they hold values that are no numbers, or it has fewer than 3
        conditions.
    """
    state = coarse_maps.coarse(recording, pixels, trials, seed)
    flows, trials, times = (state.sizes[d] for d in ("flow", "trial", "time"))
    if flows * trials < 3:
        raise InputError(
            f"expected 3 flows and trials or more to compare distances; the probe has {flows * trials}"
        )
    means = state.mean(("y", "x")) if "y" in state.dims else state
    own = np.stack([rdm.correlation(_patterns(state, t).reshape(flows * trials, -1)) for t in range(times)])
    terms = np.stack([rdm.crossnobis(_patterns(means, t)) for t in range(times)])
    between = _models(recording, trials, times)
    within = np.einsum("ktfmgm->ktfgm", between.reshape(len(MODELS), times, *(flows, trials) * 2))
    rng = np.random.default_rng(seed)
    one, two = np.triu_indices(flows * trials, 1)
    flow_one, flow_two = np.triu_indices(flows, 1)
    shape = (len(DISTANCES), len(MODELS), times)
    drawn = [rng.integers(trials, size=trials) for _ in range(bootstraps)] if trials > 2 else []
    samples = progress.steps([np.arange(trials), *drawn], 1 + len(drawn), "samples")
    rho, *resampled = (_agreements(own, between, terms, within, draw) for draw in samples)
    spread = np.full(shape, np.nan)
    if drawn:  # some draws of crossnobis may lie in one part
        spread = 1.96 * xr.DataArray(np.array(resampled)).std("dim_0", skipna=True, ddof=1).values
    unbiased = rdm.mean_of(terms, np.ones(trials))
    full = rdm.square(np.concatenate([own[None, :, one, two], between[..., one, two]]), flows * trials)
    of_flows = rdm.square(np.concatenate([unbiased[None], within.mean(-1)[..., flow_one, flow_two]]), flows)
    null = np.empty((permutations, *shape))
    for i in progress.steps(range(permutations), permutations, "permutations"):
        by_flow = rng.permutation(flows)
        order = (by_flow[:, None] * trials + rng.permutation(trials)).ravel()
        null[i] = _permuted(full, order), _permuted(of_flows, by_flow)
    p = np.where(np.isfinite(rho), (1 + (null >= rho - 1e-12).sum(0)) / (1 + permutations), np.nan)
    names = ("distance", "model", "time")
    return xr.Dataset(
        {
            "rho": (names, rho, {"units": "1", "long_name": "rank correlation rho_a"}),
            "low": (names, rho - spread),
            "high": (names, rho + spread),
            "p": (names, np.apply_along_axis(statistics.false_discovery, -1, p)),
            "correlation": (("time", "pair"), own[:, one, two], {"units": "1"}),
            "crossnobis": (("time", "flow_pair"), unbiased, {"units": "1"}),
            "trials": trials,
            "recorded_trials": recording.sizes["trial"],
            "kept": state.attrs.pop("kept"),
        },
        {"distance": list(DISTANCES), "model": list(MODELS), "time": recording.time}
        | {"pair_one": ("pair", one), "pair_two": ("pair", two)}
        | {"flow_one": ("flow_pair", flow_one), "flow_two": ("flow_pair", flow_two)},
        state.attrs,
    )


def _patterns(state: xr.DataArray, time: int) -> np.ndarray:
    """(flow, trial, unit) in float64."""
    return np.asarray(state[:, :, time].values, np.float64).reshape(*state.shape[:2], -1)


def _agreements(
    own: np.ndarray, between: np.ndarray, terms: np.ndarray, within: np.ndarray, drawn: np.ndarray
) -> np.ndarray:
    """rho_a (distance, model, time) of a sample of trials."""
    flows, trials = within.shape[2], len(drawn)
    which = (np.arange(flows)[:, None] * trials + drawn).ravel()
    copy = np.tile(np.arange(trials), flows)
    one, two = np.triu_indices(flows * trials, 1)
    compared = (copy[one] == copy[two]) | (drawn[copy[one]] != drawn[copy[two]])
    one, two = which[one[compared]], which[two[compared]]
    unbiased = rdm.mean_of(terms, np.bincount(drawn, minlength=trials))
    models = within[..., drawn].mean(-1)[..., *np.triu_indices(flows, 1)]
    return np.stack(
        [rdm.agreement(own[:, one, two], between[..., one, two]), rdm.agreement(unbiased, models)]
    )


def _permuted(ranked: np.ndarray, order: np.ndarray) -> np.ndarray:
    """rho_a (model, time) of the first RDM, its conditions in another order, with all others."""
    return np.einsum("tij,ktij->kt", ranked[0][:, order[:, None], order], ranked[1:])


def _models(recording: xr.Dataset, trials: int, times: int) -> np.ndarray:
    """Distances (model, time, condition, condition) that each model predicts; NaN for what the recording
    lacks.
    """
    velocity, label = ground_truth.velocities(recording), ground_truth.labels(recording, trials)
    phase = ground_truth.positions(recording, trials)
    flows = len(velocity)
    n = flows * trials
    result = np.full((len(MODELS), times, n, n), np.nan)
    if label is not None:
        result[0] = np.tile(label, flows)[:, None] != np.tile(label, flows)
    result[1] = _distances(np.repeat(velocity, trials, 0))
    frames = recording.get("frames")
    shown = None if frames is None else np.asarray(frames[:, :trials].values, np.float64)
    for t in range(times):
        if phase is not None:
            around = np.angle(np.exp(1j * (phase[:, :, t].reshape(n, 1, 2) - phase[:, :, t].reshape(n, 2))))
            sides = np.array([recording.sizes["y"], recording.sizes["x"]])
            result[2, t] = np.linalg.norm(around * sides / (2 * np.pi), axis=-1)
        if shown is not None:
            result[3, t] = _distances(shown[:, :, t].reshape(n, -1))
        if shown is not None and t:
            gap = int(recording.time.values[t] - recording.time.values[t - 1])
            reach = max(REACH, int(np.ceil(abs(velocity).max()))) if "flow_vy" in recording.coords else REACH
            energy = motion_energies(shown[:, :, t - 1], shown[:, :, t], reach, gap)
            result[4, t] = _distances(energy.reshape(n, -1))
    return result


def _distances(x: np.ndarray) -> np.ndarray:
    from scipy.spatial.distance import cdist

    return cdist(x, x)


def motion_energies(before: np.ndarray, after: np.ndarray, reach: int, gap: int = 1) -> np.ndarray:
    """`flowsim.measures.motion_energy.motion_energy` of two frames (..., y, x), ``gap`` apart, at each
    velocity of {-reach..reach}^2.

    Returns
    -------
    array (..., 2 reach + 1, 2 reach + 1)
    """
    first, second = np.fft.fft2(before), np.fft.fft2(after)
    first[..., 0, 0] = second[..., 0, 0] = 0
    power = (abs(first) ** 2 + abs(second) ** 2).mean((-2, -1), keepdims=True) / 2
    moved = np.fft.ifft2(second * first.conj()).real / np.where(power > 0, power, 1)
    steps = np.arange(-reach, reach + 1) * gap
    return moved[..., steps[:, None] % moved.shape[-2], steps % moved.shape[-1]]


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table, of the second half of the frames; what could not be asked is left
    out.
    """
    late = results.rho.isel(time=slice(results.sizes["time"] // 2, None)).mean("time")
    asked = {
        f"rho_a of {distance} distances with {model}": late.sel(distance=distance, model=model, drop=True)
        for distance, model in (*(("correlation", m) for m in MODELS), ("crossnobis", "velocity"))
    }
    return {name: values for name, values in asked.items() if values.notnull().any()}


def figure(results: xr.Dataset) -> Figure:
    """Agreement with each model by frame, for both distances."""
    names, colours = plot.networks(results), plot.palette(results)
    fig, axes = plot.subplots(2, len(MODELS), figsize=(plot.PAGE, 4.6), sharex=True, sharey=True)
    time = results.time.values
    for row, distance in zip(axes, DISTANCES, strict=True):
        for ax, model in zip(row, MODELS, strict=True):
            one = results.sel(distance=distance, model=model)
            if (distance, model) == ("crossnobis", "identity"):
                ax.axis("off")
                plot.legend(results, ax, loc="center", fontsize=8)
                continue
            ax.axhline(0, color="0.7", lw=0.6)
            ax.set(xlabel="frame", ylabel=f"rho_a, {distance}", ylim=(-0.5, 1.05), title=model)
            if not bool(one.rho.notnull().any()):
                ax.text(0.5, 0.5, "cannot be\nasked", transform=ax.transAxes, ha="center", va="center")
                continue
            for name in names:
                of = one.isel(run=one["network"].values == name)
                band = of[["low", "high"]].mean("run")
                ax.fill_between(time, band.low, band.high, color=colours[name], alpha=0.15, lw=0)
                ceiling = rdm.ceiling(of[distance].transpose("run", "time", ...).values)
                ax.fill_between(time, *ceiling, facecolor="none", edgecolor=colours[name], ls=":", lw=0.9)
            plot.lines(one, "rho", "time", ax)
    for ax in (axes[0, 0], axes[1, 1]):  # beside and below what is left out
        ax.tick_params(labelleft=True, labelbottom=True)
        ax.set(xlabel="frame", ylabel=f"rho_a, {DISTANCES[int(ax is axes[1, 1])]}")
    for ax in (*axes[0, 1:], *axes[1, 2:]):
        ax.set(ylabel="", xlabel="" if ax in axes[0] else "frame")
    n, flows = int(results.trials.max()), 1 + int(results.flow_two.max()) if results.sizes["flow_pair"] else 1
    of = "" if n == int(results.recorded_trials.max()) else f" of {int(results.recorded_trials.max())}"
    title = f"Distances among {flows} flows of {n}{of} trials, {plot.seeds(results)}{panels.share_of_channels(results)}"
    fig.suptitle(title, fontsize=9)
    return fig
