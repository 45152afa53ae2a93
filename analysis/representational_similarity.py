r"""Which geometry do states have: what is near to what?

By frame, distances between states are compared with those that models predict (Spearman's ρₐ, see
`flowsim.measures.rdm`), in two ways:

* correlation: every flow of every trial is a condition, and distances are 1 - Pearson's r. The models are
  identity (do labels of object 0 differ?), velocity (of the flows), position (of object 0, on the torus),
  pixels (of the frames as they are shown) and motion energy (the correlation of the frame before, moved by
  each whole velocity, with the frame); all but the first are Euclidean distances. Only conditions of
  different trials are compared: two flows of one trial are near in most models and, as they share what is
  shown, near in states that know nothing of any model (ρₐ of +0.1 to +0.3).
* crossnobis: flows are conditions, and trials, the only independent measurements of a flow, are their
  repeats. These are unbiased distances of what a flow has in common over all that moves. As things lie
  elsewhere in each trial, it is the mean of each map over space that is compared. Predicted distances are
  taken within each trial and averaged over trials; identity predicts none there.

Maps are read at the coarse grain of `flowsim.measures.coarse_maps`. A pattern that is the same in all units,
such as that of a silent network, has no correlation with any other: it is left out of the correlation
distances of its frame, and counted (``silent``); crossnobis distances take it as it is.

p-values are of permutations of trials and flows in the RDM, corrected over frames; ``null`` is what these
permutations give in the mean. Intervals are over trials: jackknife, with the quantile of Student's t. In
simulations of 4 to 16 trials they held the mean in 95 to 100 % for correlation and in 87 to 100 % for
crossnobis, but for states whose ρₐ is at its ceiling and hardly varies. The noise ceiling is over seeds of
a network.

Sources: Kriegeskorte, Mur and Bandettini (2008); otherwise see `flowsim.measures.rdm`, and
`flowsim.measures.motion_energy` for motion energy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from flowsim import progress
from flowsim.errors import InputError
from flowsim.figures import panels, plot
from flowsim.files import coordinates
from flowsim.measures import coarse_maps, ground_truth, rdm, recorded, statistics
from flowsim.measures.motion_energy import motion_energies
from flowsim.specification import Count, Seed, checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = "probe"
QUESTION = "Which geometry do states have: by identity, velocity, position, pixels or motion energy?"
READING = (
    "Rank correlation between the distances among states and those that each model predicts, frame by frame. "
    "1 is the same order of distances; the dashed line is what flows and trials in random order give, about "
    "0. The noise ceiling (dotted, lower and upper bound, from how much seeds agree) is the most that a "
    "model could reach for what seeds have in common. Thick lines are arithmetic means over seeds, thin ones "
    "are seeds, and bands are 95 % intervals over trials. Top: each flow of each trial is a state of its "
    "own, compared with those of other trials; states that are the same in all units (silent) are left out. "
    "Bottom: distances are between flows, cross-validated over trials."
)
MODELS = ("identity", "velocity", "position", "pixels", "motion energy")
DISTANCES = ("correlation", "crossnobis")
DATA = "drawn"  # what the figure shows of results that hold every distance
REACH = 2
"""Motion energy is taken at whole velocities of at most so many px/frame, or as many as the fastest flow."""


@dataclass(frozen=True)
class Distances:
    """Measured distances between states, and those that models predict.

    A condition is a flow of a trial; conditions are counted as flow * trials + trial.

    Parameters
    ----------
    correlation : array (time, condition, condition)
        NaN between silent conditions and all others.
    crossnobis_terms : array (time, trial, trial, pair of flows)
        The mean over pairs of trials is the distance (`flowsim.measures.rdm.crossnobis`).
    predicted : array (model, time, condition, condition)
    """

    correlation: np.ndarray
    crossnobis_terms: np.ndarray
    predicted: np.ndarray
    flows: int
    trials: int

    def pairs(self, left_out: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Conditions (pair) that are compared, each with those of other trials, but for a trial left out."""
        trial = np.tile(np.arange(self.trials), self.flows)
        one, two = np.triu_indices(self.flows * self.trials, 1)
        compared = trial[one] != trial[two]
        if left_out is not None:
            compared &= (trial[one] != left_out) & (trial[two] != left_out)
        return one[compared], two[compared]

    def crossnobis(self) -> np.ndarray:
        """Crossnobis distances (time, pair of flows) over all trials."""
        return rdm.crossnobis_mean(self.crossnobis_terms, np.ones(self.trials))

    def predicted_within_trials(self) -> np.ndarray:
        """Predicted distances of flows in the same trial (model, time, flow, flow, trial)."""
        flow_and_trial = (self.flows, self.trials)
        blocks = self.predicted.reshape(*self.predicted.shape[:2], *flow_and_trial, *flow_and_trial)
        return np.diagonal(blocks, axis1=3, axis2=5)


@checked
def analyse(
    recording: xr.Dataset,
    *,
    trials: Count = 8,
    pixels: Count = 5,
    permutations: Count = 200,
    seed: Seed = 0,
) -> xr.Dataset:
    """RDMs by frame, and their agreement with models.

    Parameters
    ----------
    recording : Dataset
        With ``state`` of any form under flows, one of them at rest; ``frames`` and what is known
        of object 0 for the models that need them.
    trials : int
        At most so many are used, from the first on.
    pixels : int
        For correlation, maps over space are resampled to this many pixels, squared.
    permutations, seed : int
        The seed is that of the permutations, and of the choice of channels.

    Returns
    -------
    Dataset
        ``rho`` (distance, model, time), with ``low``, ``high``, ``p`` and ``null``, its mean with flows and
        trials in random order; ``correlation`` (time, pair), 1 - r, between conditions ``pair_one`` and
        ``pair_two`` of different trials, counted as flow * trials + trial, and ``crossnobis`` (time,
        flow_pair), in squared standard deviations of the noise, between the flows ``flow_one`` and
        ``flow_two``; ``silent`` (time), how many conditions are the same in all units, so that they have no
        correlation; ``trials``, how many of ``recorded_trials`` were used, and ``kept``, the share of
        channels (`flowsim.measures.coarse_maps.coarse`). Flows are counted with the one at rest in front.
        NaN where nothing can be said: a model in which all distances are the same, correlation with fewer
        than 2 trials, crossnobis with fewer than 4 or without noise, intervals with fewer than 3.

    Raises
    ------
    InputError
        If the recording has no state, the state contains NaN or infinity, no flow or several are at rest, or
        there are fewer than 3 conditions.
    """
    recording = recorded.reference_first(recording)
    state = coarse_maps.coarse(recording, pixels, trials, seed)
    conditions = state.sizes["flow"] * state.sizes["trial"]
    if conditions < 3:
        raise InputError(
            f"expected 3 flows and trials or more to compare distances; the probe has {conditions}"
        )
    distances = _measured(recording, state)
    rho, half_width = _agreement_with_interval(distances)
    in_place, *null = _permuted_agreement(distances, permutations, np.random.default_rng(seed))
    p = statistics.p_value(in_place, np.array(null), axis=0)
    return _packed(recording, state, distances, rho, half_width, p, np.mean(null, 0))


def _measured(recording: xr.Dataset, state: xr.DataArray) -> Distances:
    """Distances of a coarse state (flow, trial, time, ...), and of all models."""
    flows, trials, times = (state.sizes[dim] for dim in ("flow", "trial", "time"))
    means = state.mean(("y", "x")) if "y" in state.dims else state
    by_condition = (_patterns(state, time).reshape(flows * trials, -1) for time in range(times))
    return Distances(
        correlation=np.stack([rdm.correlation(patterns) for patterns in by_condition]),
        crossnobis_terms=np.stack([rdm.crossnobis(_patterns(means, time)) for time in range(times)]),
        predicted=_predicted(recording, trials, times),
        flows=flows,
        trials=trials,
    )


def _patterns(state: xr.DataArray, time: int) -> np.ndarray:
    """Activity (flow, trial, unit) at one frame, in float64."""
    return np.asarray(state.isel(time=time).values, np.float64).reshape(*state.shape[:2], -1)


def _predicted(recording: xr.Dataset, trials: int, times: int) -> np.ndarray:
    """Distances (model, time, condition, condition) that each model predicts; NaN for those of which the
    recording does not hold what they need.
    """
    velocity = ground_truth.flow_velocities(recording)
    conditions = len(velocity) * trials
    frames = recording.get("frames")
    shown = None if frames is None else np.asarray(frames[:, :trials].values, np.float64)
    predicted = {
        "identity": _identity_distances(recording, trials),
        "velocity": _euclidean(np.repeat(velocity, trials, 0)),
        "position": _position_distances(recording, trials),
        "pixels": None if shown is None else _pixel_distances(shown),
        "motion energy": None if shown is None else _motion_energy_distances(recording, shown),
    }
    distances = np.full((len(MODELS), times, conditions, conditions), np.nan)
    for by_time, model in zip(distances, MODELS, strict=True):
        if predicted[model] is not None:
            by_time[:] = predicted[model]
    return distances


def _identity_distances(recording: xr.Dataset, trials: int) -> np.ndarray | None:
    """Whether labels of object 0 differ (condition, condition)."""
    labels = ground_truth.labels(recording, trials)
    if labels is None:
        return None
    by_condition = np.tile(labels, recording.sizes["flow"])
    return by_condition[:, None] != by_condition


def _position_distances(recording: xr.Dataset, trials: int) -> np.ndarray | None:
    """Distances of object 0 on the torus (time, condition, condition), in px."""
    phase = ground_truth.positions(recording, trials)
    if phase is None:
        return None
    sides = np.array([recording.sizes["y"], recording.sizes["x"]])
    distances = []
    for t in range(phase.shape[2]):
        by_condition = phase[:, :, t].reshape(-1, 2)
        shortest = np.angle(np.exp(1j * (by_condition[:, None] - by_condition)))
        distances.append(np.linalg.norm(shortest * sides / (2 * np.pi), axis=-1))
    return np.stack(distances)


def _pixel_distances(shown: np.ndarray) -> np.ndarray:
    """Distances (time, condition, condition) of frames (flow, trial, time, y, x)."""
    conditions = shown.shape[0] * shown.shape[1]
    return np.stack([_euclidean(shown[:, :, t].reshape(conditions, -1)) for t in range(shown.shape[2])])


def _motion_energy_distances(recording: xr.Dataset, shown: np.ndarray) -> np.ndarray:
    """Distances (time, condition, condition) of the motion energies between each frame and the one before.

    NaN at the first frame. Frames are (flow, trial, time, y, x).
    """
    conditions, times = shown.shape[0] * shown.shape[1], shown.shape[2]
    reach = REACH
    displacement = coordinates.group(recording, "flow").displacement(
        ground_truth.flow_velocities(recording).T
    )
    if displacement is not None:
        reach = max(REACH, int(np.ceil(np.abs(displacement).max())))
    distances = np.full((times, conditions, conditions), np.nan)
    for t in range(1, times):
        gap = int(recording.time.values[t] - recording.time.values[t - 1])
        energies = motion_energies(shown[:, :, t - 1], shown[:, :, t], reach, gap)
        distances[t] = _euclidean(energies.reshape(conditions, -1))
    return distances


def _euclidean(patterns: np.ndarray) -> np.ndarray:
    """Euclidean distances (condition, condition) of patterns (condition, unit)."""
    from scipy.spatial.distance import cdist

    return cdist(patterns, patterns)


def _agreement_with_interval(distances: Distances) -> tuple[np.ndarray, np.ndarray]:
    """ρₐ (distance, model, time), and the half-width of its interval over trials (jackknife)."""
    within = distances.predicted_within_trials()
    rho = _agreement_without(distances, within, None)
    trials = distances.trials
    if trials < 3:
        return rho, np.full(rho.shape, np.nan)
    left_out = progress.steps(range(trials), trials, "trials left out")
    without = np.array([_agreement_without(distances, within, trial) for trial in left_out])
    return rho, statistics.jackknife_interval(without)


def _agreement_without(distances: Distances, within: np.ndarray, left_out: int | None) -> np.ndarray:
    """ρₐ (distance, model, time) without one trial, or of all.

    ``within`` are the predicted distances within trials (model, time, flow, flow, trial).
    """
    one, two = distances.pairs(left_out)
    measured, predicted = distances.correlation[:, one, two], distances.predicted[..., one, two]
    flow_one, flow_two = np.triu_indices(distances.flows, 1)
    weights = (np.arange(distances.trials) != left_out).astype(float)
    unbiased = rdm.crossnobis_mean(distances.crossnobis_terms, weights)
    predicted_of_flows = within[..., weights > 0].mean(-1)[..., flow_one, flow_two]
    return np.stack([rdm.agreement(measured, predicted), rdm.agreement(unbiased, predicted_of_flows)])


def _permuted_agreement(distances: Distances, permutations: int, rng: np.random.Generator) -> np.ndarray:
    """ρₐ (1 + permutation, distance, model, time), flows and trials of measured RDMs in place and then
    in random order.

    Silent conditions have the mean rank here: they move with the others, and models are ranked once for all.
    """
    flows, trials = distances.flows, distances.trials
    one, two = distances.pairs()
    flow_one, flow_two = np.triu_indices(flows, 1)
    predicted_of_flows = distances.predicted_within_trials().mean(-1)[..., flow_one, flow_two]
    of_conditions = rdm.rank_matrices(distances.correlation[:, one, two], one, two, flows * trials)
    of_flows = rdm.rank_matrices(distances.crossnobis(), flow_one, flow_two, flows)
    models_of_conditions = rdm.rank_matrices(distances.predicted[..., one, two], one, two, flows * trials)
    models_of_flows = rdm.rank_matrices(predicted_of_flows, flow_one, flow_two, flows)
    agreement = np.empty((1 + permutations, len(DISTANCES), *distances.predicted.shape[:2]))
    for i in progress.steps(range(1 + permutations), 1 + permutations, "permutations"):
        flow_order, trial_order = np.arange(flows), np.arange(trials)
        if i:
            flow_order, trial_order = rng.permutation(flows), rng.permutation(trials)
        condition_order = (flow_order[:, None] * trials + trial_order).ravel()
        agreement[i, 0] = _reordered_agreement(of_conditions, models_of_conditions, condition_order)
        agreement[i, 1] = _reordered_agreement(of_flows, models_of_flows, flow_order)
    return agreement


def _reordered_agreement(measured: np.ndarray, models: np.ndarray, order: np.ndarray) -> np.ndarray:
    """ρₐ (model, time) of ranked RDMs (time, condition, condition), in another order of conditions, with
    those of models (model, time, condition, condition).
    """
    return np.einsum("tij,ktij->kt", measured[:, order[:, None], order], models)


def _packed(
    recording: xr.Dataset,
    state: xr.DataArray,
    distances: Distances,
    rho: np.ndarray,
    half_width: np.ndarray,
    p: np.ndarray,
    null: np.ndarray,
) -> xr.Dataset:
    """All results with their coordinates and units; no end of an interval is beyond -1 or 1."""
    one, two = distances.pairs()
    flow_one, flow_two = np.triu_indices(distances.flows, 1)
    silent = np.isnan(np.diagonal(distances.correlation, axis1=1, axis2=2)).sum(-1)
    dims = ("distance", "model", "time")
    return xr.Dataset(
        {
            "rho": (dims, rho, {"units": "1", "long_name": "rank correlation ρₐ"}),
            "low": (dims, np.maximum(rho - half_width, -1)),
            "high": (dims, np.minimum(rho + half_width, 1)),
            "null": (dims, null, {"units": "1", "long_name": "ρₐ with flows and trials in random order"}),
            "p": (dims, np.apply_along_axis(statistics.false_discovery, -1, p)),
            "correlation": (("time", "pair"), distances.correlation[:, one, two], {"units": "1"}),
            "crossnobis": (("time", "flow_pair"), distances.crossnobis(), {"units": "1"}),
            "silent": ("time", silent, {"long_name": "conditions that are the same in all units"}),
            "trials": distances.trials,
            "recorded_trials": recording.sizes["trial"],
            "kept": state.attrs["kept"],
        },
        {
            "distance": list(DISTANCES),
            "model": list(MODELS),
            "time": recording.time,
            "pair_one": ("pair", one),
            "pair_two": ("pair", two),
            "flow_one": ("flow_pair", flow_one),
            "flow_two": ("flow_pair", flow_two),
        },
        {name: value for name, value in state.attrs.items() if name != "kept"},
    )


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table, of the second half of the frames, as far as they were measured."""
    late = results.rho.isel(time=slice(results.sizes["time"] // 2, None)).mean("time")
    compared = [("correlation", model) for model in MODELS] + [("crossnobis", "velocity")]
    numbers = {}
    for distance, model in compared:
        values = late.sel(distance=distance, model=model, drop=True)
        values.attrs = {"bounds": (-1.0, 1.0), "chance": 0.0}
        numbers[f"ρₐ of {distance} distances with {model}"] = values
    return {label: values for label, values in numbers.items() if values.notnull().any()}


def drawn(results: xr.Dataset) -> xr.Dataset:
    """Agreement as in ``results``, and for all distances in them the noise ceiling of each run's network.

    Returns
    -------
    Dataset
        ``ceiling`` (run, bound, distance, time), with the bounds ``lower`` and ``upper``; NaN for a network
        with one seed (`flowsim.measures.rdm.noise_ceiling`).
    """
    dims = ("run", "bound", "distance", "time")
    bounds = xr.DataArray(
        np.full((results.sizes["run"], 2, len(DISTANCES), results.sizes["time"]), np.nan),
        {"run": results.run, "bound": ["lower", "upper"], "distance": list(DISTANCES), "time": results.time},
        dims,
    )
    for _, _, runs in panels.each_network(results):
        for distance in DISTANCES:
            lower_and_upper = rdm.noise_ceiling(runs[distance].transpose("run", "time", ...).values)
            bounds.loc[runs.run.values, :, distance] = np.stack(lower_and_upper)
    of_pairs = [name for name, c in results.coords.items() if {"pair", "flow_pair"} & set(c.dims)]
    return results.drop_vars([*DISTANCES, *of_pairs]).assign(ceiling=bounds)


def figure(results: xr.Dataset) -> Figure:
    """Agreement with each model by frame, for both distances."""
    shown = drawn(results)
    fig, axes = plot.subplots(len(DISTANCES), len(MODELS), figsize=(plot.PAGE, 4.6), sharex=True, sharey=True)
    for row, distance in zip(axes, DISTANCES, strict=True):
        for ax, model in zip(row, MODELS, strict=True):
            if (distance, model) == ("crossnobis", "identity"):
                ax.axis("off")
                plot.legend(results, ax, loc="center", fontsize=8)
            else:
                _draw_agreement(ax, shown.sel(distance=distance, model=model), distance)
                ax.set_title(model)
    _label_outside(axes)
    fig.suptitle(_title(results), fontsize=9)
    return fig


def _draw_agreement(ax: Axes, agreement: xr.Dataset, distance: str) -> None:
    """Agreement with one model by frame, with intervals and the noise ceiling of each network."""
    ax.set(xlabel="frame", ylabel=f"ρₐ, {distance}", ylim=(-0.5, 1.05))
    if not bool(agreement.rho.notnull().any()):
        panels.not_measurable(ax)
        return
    for _, colour, runs in panels.each_network(agreement):
        interval = runs[["low", "high"]].mean("run")
        panels.band(ax, runs.time, interval.low, interval.high, colour, alpha=0.15)
        lower, upper = runs.ceiling.isel(run=0).transpose("bound", "time").values
        ax.fill_between(runs.time, lower, upper, facecolor="none", edgecolor=colour, ls=":", lw=0.9)
    ax.plot(agreement.time, agreement.null.mean("run"), color="0.4", ls="--", lw=0.8)
    plot.lines(agreement, "rho", "time", ax)


def _label_outside(axes: np.ndarray) -> None:
    """Keep the labels of the leftmost and the lowest axes; the first of the second row is left out."""
    first_above, first_below = axes[0, 0], axes[1, 1]
    for ax in (first_above, first_below):
        ax.tick_params(labelleft=True, labelbottom=True)
    for ax in axes[0, 1:]:
        ax.set(xlabel="", ylabel="")
    for ax in axes[1, 2:]:
        ax.set_ylabel("")


def _title(results: xr.Dataset) -> str:
    trials, recorded_trials = plot.span(results.trials), plot.span(results.recorded_trials)
    flows = 1 + int(results.flow_two.max()) if results.sizes["flow_pair"] else 1
    share = "" if trials == recorded_trials else f" of {recorded_trials}"
    silent = int(results.silent.sum())
    left_out = f", {silent} silent states left out" if silent else ""
    return (
        f"Distances among {flows} flows of {trials}{share} trials, {plot.seeds(results)}"
        f"{left_out}{panels.share_of_channels(results)}"
    )
