r"""Do the operators M_u, fitted with h(psi_u f) = M_u h(f), form a one-parameter group?

For flows u, w and u + w of the probe, with M_u a matrix in co-moving coordinates, with its roll, on the
directions of the state that flows carry along, and X the part of the reference that other flows predict
(`flowsim.measures.operators.fit_unshrunk_operators`; fitted to all trials), so that directions in which no
operator can be known count as little as they matter:

    homomorphism error    || X (M_u M_w - M_{u+w}) || / || X M_{u+w} ||
    inverse error         || X (M_u M_{-u} - 1) || / || X ||
    generator             A_u = log M_u, the principal logarithm; ``turning`` is the share of its squared
                          norm in the antisymmetric part: 1 for a rotation, 0 for pure growth or decay
    eigenphases           phi_j(u), linear in u in a one-parameter group: their slopes, and their linearity,
                          cross-validated over flows (`flowsim.measures.eigenphases`)

Noise must not make a state look less like a group. Operators by least squares would be shrunk by it: an exact
group in noise of 0.05, 0.2, 0.5 and 1 times its variance had errors of 0.05, 0.17, 0.33 and 0.5. These are
not, and what is left, the *floor*, is of sampling: squared errors grow by a term that falls with the number
of trials. The jackknife estimates it, and it is subtracted from the squares, of shuffled flows too.

Unrelated orthogonal matrices have a homomorphism error of sqrt 2. Rolls that do not add up move states apart:
such products are taken as orthogonal. Where V ends, channels at its border have no law and no M_u has an
inverse; the homomorphism error among channels with a partner under w that has one under u is given apart.
Operators that do nothing form a group too: read all this with the R² of `learned_action`. Intervals:
jackknife over groups of trials, of errors on the scale of squares; of linearity, which now and then is much
lower when a mode is taken for another, they hold the median over draws, not the mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import xarray as xr
from pydantic import Field

from flowsim.figures import panels, plot
from flowsim.measures import eigenphases, recorded, statistics
from flowsim.measures.comoving import States, channel_partners
from flowsim.measures.operators import UnshrunkOperators, fit_unshrunk_operators
from flowsim.specification import Count, Seed, checked

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

READS = "probe"
QUESTION = "Do the operators by which states follow form a one-parameter group?"
READING = (
    "M_u is the operator by which the part of the state that flows carry along follows the flow u, fitted to "
    "all trials. Above: how much the flow w and then the flow u (M_u M_w) differ from the flow u + w, and u "
    "and then -u from doing nothing, as a share of the size of that part: 0 is a group, 1.4 is unrelated. "
    "Shown for operators that only rotate the state (orthogonal) and for any linear ones; both are fitted so "
    "that noise does not shrink them. Channels with partners are those about which a law of shift speaks. "
    "Large dots are arithmetic means over seeds, small ones are seeds, and bars are 95 % jackknife intervals "
    "over trials. What a sample of this size adds to the error of an exact group (crosses) is subtracted. "
    "Grey ticks are the same with the operators exchanged among flows while each flow keeps its "
    "displacement: where a tick lies on its dot, the operators do not distinguish the flows. Below: the "
    "linear operators of a group rotate parts of the state by phases that are proportional to velocity; "
    "measured phases are drawn against those expected from the other flows. Larger dots hold more of the "
    "state. Linearity is 1 if all dots lie on the line, and about 0 or less without order. Operators that do "
    "nothing form a group too: see in learned_action how well they predict. Networks differ in how many "
    "features of a pixel an operator acts on (title: those used, of those recorded); errors are shares of "
    "each network's own state."
)
CLASSES = ("orthogonal", "linear")
ERRORS = ("homomorphism", "homomorphism_partner", "inverse")
PANELS = {
    "homomorphism": "u and w against u + w",
    "homomorphism_partner": "... with partners",
    "inverse": "u and -u",
}
SPREAD = 0.6
"""Width over which the networks stand side by side, where the next class of operator is at 1."""
ACROSS = 4
"""Axes of networks in a row, at most."""


@checked
def analyse(
    recording: xr.Dataset,
    *,
    groups: Count = 4,
    components: Count = 128,
    variance: Annotated[float, Field(gt=0, le=1)] = 0.9999,
    features: Count = 128,
    pixels: Count = 256,
    permutations: Count = 20,
    seed: Seed = 0,
) -> xr.Dataset:
    """Fit the operators and compare them with each other.

    Parameters
    ----------
    recording : Dataset
        As for `analysis.learned_action`.
    groups : int
        At most as many groups of trials for the jackknife.
    components, variance, features, pixels
        As for `analysis.learned_action`.
    permutations : int
        Draws of flow labels.
    seed : int
        Of all random choices.

    Returns
    -------
    Dataset
        ``homomorphism``, ``homomorphism_partner``, ``inverse``, ``linearity`` (operator), NaN where no flows
        of the probe add up so, or nothing turns; with ``_low`` and ``_high``, their 95 % interval (NaN with
        one trial), and ``_null``, the median over operators exchanged among flows, without their rolls (NaN
        with one flow). Of errors also ``_floor``, what sampling adds, which is subtracted from the square of
        the error and of its null (NaN with one trial, where nothing is subtracted).
        ``turning`` (operator, flow); ``phase``, ``expected`` (operator, flow, mode) in rad, ``slope``
        (operator, mode, component) in rad per unit of velocity, ``weight`` (operator, mode).
        ``carried``, the share of the variance of the reference that other flows predict (NaN with one flow);
        ``features``, how many (velocity, channel) pairs were used at a pixel, ``features_recorded``, of how
        many, and ``kept``, the share of channels used.

    Raises
    ------
    InputError
        If there is no flow at rest, which is the reference, or none besides it; or the state does not vary
        or contains NaN or infinity.
    """
    recording = recorded.reference_first(recording)
    states = States(recording, features, pixels, seed)
    flows = _probe_flows(recording, states)
    fitted = fit_unshrunk_operators(states, groups, components, variance)
    rng = np.random.default_rng(seed)
    draws = permutations if len(flows.velocities) > 1 else 0
    orders = [rng.permutation(len(flows.velocities)) for _ in range(draws)]
    by_operator = [_describe(operator, fitted, flows, orders, seed) for operator in CLASSES]
    return _packed(recording, states, fitted, by_operator)


@dataclass(frozen=True)
class ProbeFlows:
    """The flows of a probe but the reference, and which of them add up.

    Attributes
    ----------
    velocities : array (flow, component)
    sums : list of (u, w, u + w)
        Indices of flows whose sum is a flow of the probe.
    opposites : list of (u, w)
        Indices of flows whose sum is 0.
    has_partner, partner : array (flow, velocity)
        As from `flowsim.measures.comoving.channel_partners`.
    features_per_velocity : int
    """

    velocities: np.ndarray
    sums: list[tuple[int, int, int]]
    opposites: list[tuple[int, int]]
    has_partner: np.ndarray
    partner: np.ndarray
    features_per_velocity: int

    def chained(self, u: int, w: int) -> np.ndarray:
        """Which features (feature) have a partner under the flow ``w`` that has one under the flow ``u``."""
        has = self.has_partner[w] & self.has_partner[u][self.partner[w]]
        return np.repeat(has, self.features_per_velocity)


def _probe_flows(recording: xr.Dataset, states: States) -> ProbeFlows:
    """Which flows of the probe add up, and which channels have partners under them."""
    velocities = np.array([flow.velocity for flow in states.flows[1:]], float)
    index = {tuple(velocity.round(9)): i for i, velocity in enumerate(velocities)}
    sums = []
    opposites = []
    for u, first in enumerate(velocities):
        for w, second in enumerate(velocities):
            total = tuple((first + second).round(9))
            if not any(total):
                opposites.append((u, w))
            elif total in index:
                sums.append((u, w, index[total]))
    has_partner, partner = channel_partners(recording, states)
    features_per_velocity = states.features // has_partner.shape[1]
    return ProbeFlows(velocities, sums, opposites, has_partner, partner, features_per_velocity)


def _describe(
    operator: str,
    fitted: UnshrunkOperators,
    flows: ProbeFlows,
    orders: Sequence[np.ndarray],
    seed: int,
) -> dict[str, Any]:
    """All results of one class of operators, without the dimension ``operator``."""
    matrices = fitted.matrices[operator]
    without_group = [others[operator] for others in fitted.without_group]
    phase, weight = eigenphases.phases(matrices, fitted.covariance, seed)
    linear, expected = eigenphases.linearity(phase, weight, flows.velocities)
    left_out = [eigenphases.phases(others, fitted.covariance, seed) for others in without_group]
    left_out_linear = np.array([eigenphases.linearity(*of, flows.velocities)[0] for of in left_out])
    half_width = statistics.jackknife_interval(left_out_linear) if without_group else np.nan

    departures = _departures(fitted, matrices, flows)
    departures_without = [_departures(fitted, others, flows) for others in without_group]
    null_errors, null_linear = np.full(len(ERRORS), np.nan), np.nan
    if orders:
        null_errors = np.median(
            [_lengths(_departures(fitted, matrices[order], flows)) for order in orders], 0
        )
        shuffled = [eigenphases.linearity(phase[order], weight, flows.velocities)[0] for order in orders]
        null_linear = float(np.median(shuffled))

    results: dict[str, Any] = {
        "phase": phase,
        "expected": expected,
        "weight": weight,
        "slope": eigenphases.slopes(phase, flows.velocities),
        "turning": [eigenphases.rotation_share(matrix) for matrix in matrices],
        "linearity": linear,
        "linearity_low": linear - half_width,
        "linearity_high": linear + half_width,
        "linearity_null": null_linear,
    }
    for suffix, values in _without_floor(departures, departures_without, null_errors).items():
        results |= {error + suffix: value for error, value in zip(ERRORS, values, strict=True)}
    return results


def _without_floor(
    departures: list[np.ndarray], without_group: list[list[np.ndarray]], null_errors: np.ndarray
) -> dict[str, np.ndarray]:
    """Errors (error) less what sampling adds to their squares, with ends of their interval, null and floor.

    Parameters
    ----------
    departures : list of array
        Of each of the `ERRORS`.
    without_group : list of list of array
        The same without each group of trials; empty where there is one group.
    null_errors : array (error)
    """
    square = _lengths(departures) ** 2
    variance = half_width = np.full(len(ERRORS), np.nan)
    if without_group:
        by_error = [np.array(left_out) for left_out in zip(*without_group, strict=True)]
        known = np.where(np.isfinite(square), 1, np.nan)
        variance = known * [(statistics.jackknife_error(left_out) ** 2).sum() for left_out in by_error]
        left_out_squares = np.array([_lengths(others) for others in without_group]) ** 2
        growth = (len(without_group) - 1) * (left_out_squares.mean(0) - square).clip(0)
        variance = np.minimum(variance, growth)
        half_width = statistics.jackknife_interval(left_out_squares)
    square = square - np.nan_to_num(variance)
    return {
        "": np.sqrt(square.clip(0)),
        "_low": np.sqrt((square - half_width).clip(0)),
        "_high": np.sqrt((square + half_width).clip(0)),
        "_null": np.sqrt((null_errors**2 - np.nan_to_num(variance)).clip(0)),
        "_floor": np.sqrt(variance),
    }


def _departures(fitted: UnshrunkOperators, matrices: np.ndarray, flows: ProbeFlows) -> list[np.ndarray]:
    """For each of the `ERRORS`, a vector of which it is the length, with what sampling adds to it; without
    entries where no flows add up so.

    The ``matrices`` (flow, component, component) may be exchanged among flows, but the rolls stay: exchanged,
    they would hardly ever add up, and the error would be about sqrt 2 whatever the matrices are.
    """
    rolls = np.array(fitted.rolls, float)
    states = _states_with(fitted.covariance)
    homomorphism = []
    with_partners = []
    for u, w, total in flows.sums:
        product = states @ matrices[u] @ matrices[w]
        expected = states @ matrices[total]
        apart = not np.allclose(rolls[u] + rolls[w], rolls[total])
        homomorphism.append(_relative_difference(product, expected, apart))
        to_partners = fitted.basis[flows.chained(u, w)].T
        if to_partners.size:
            with_partners.append(_relative_difference(product @ to_partners, expected @ to_partners, apart))
    inverse = []
    for u, w in flows.opposites:
        product = states @ matrices[u] @ matrices[w]
        inverse.append(_relative_difference(product, states, bool(np.any(rolls[u] + rolls[w]))))
    return [_joined(differences) for differences in (homomorphism, with_partners, inverse)]


def _states_with(covariance: np.ndarray) -> np.ndarray:
    """As many states (state, component) as there are components, with this covariance."""
    values, vectors = np.linalg.eigh(covariance)
    return np.sqrt(values.clip(0))[:, None] * vectors.T


def _relative_difference(product: np.ndarray, expected: np.ndarray, apart: bool) -> np.ndarray:
    """(product - expected) / || expected ||, flat; side by side if they are moved to different places
    (``apart``), so that the length is that of their distance.
    """
    difference = np.concatenate([product, expected]) if apart else product - expected
    return difference.ravel() / np.linalg.norm(expected)


def _joined(differences: list[np.ndarray]) -> np.ndarray:
    """A vector whose length is the root mean square of their lengths."""
    return np.concatenate(differences) / np.sqrt(len(differences)) if differences else np.zeros(0)


def _lengths(departures: list[np.ndarray]) -> np.ndarray:
    """Length of each vector, NaN where it has no entries."""
    return np.array([np.linalg.norm(vector) if vector.size else np.nan for vector in departures])


def _packed(
    recording: xr.Dataset,
    states: States,
    fitted: UnshrunkOperators,
    by_operator: Sequence[dict[str, Any]],
) -> xr.Dataset:
    """The results under their names."""
    dims = {
        "phase": ("flow", "mode"),
        "expected": ("flow", "mode"),
        "weight": ("mode",),
        "slope": ("mode", "component"),
        "turning": ("flow",),
    }
    units = {"phase": "rad", "expected": "rad", "slope": "rad per unit of velocity"}
    variables = {}
    for name in by_operator[0]:
        values = np.array([results[name] for results in by_operator])
        variables[name] = (("operator", *dims.get(name, ())), values, {"units": units.get(name, "1")})
    coords = {
        "operator": list(CLASSES),
        "component": list(states.flows[0].group.components),
        **recorded.flow_coords(recording.isel(flow=slice(1, None))),
        "mode": np.arange(fitted.basis.shape[1]),
    }
    results = xr.Dataset(variables, coords, {"trials": states.trials})
    return results.assign(
        carried=fitted.carried,
        features=states.features,
        features_recorded=states.features_recorded,
        kept=states.channel_share,
    )


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table; what is not measurable in any run is left out."""
    linear = results.sel(operator="linear").drop_vars("operator")
    # Operators that do nothing form a group as well, so less is not better.
    errors = {
        "homomorphism error of linear operators": linear.homomorphism,
        "homomorphism error of linear operators, channels with partners": linear.homomorphism_partner,
        "homomorphism error of linear operators, shuffled flows": linear.homomorphism_null,
    }
    numbers = {label: values.assign_attrs(bounds=(0, np.inf)) for label, values in errors.items()}
    numbers |= {
        "share of the state that flows carry along": results.carried.assign_attrs(bounds=(-np.inf, 1)),
        "features of a pixel that operators act on": results.features,
    }
    return {label: values for label, values in numbers.items() if values.notnull().any()}


def figure(results: xr.Dataset) -> Figure:
    """Errors by network, and phases against what is expected from the other flows."""
    rows = math.ceil(len(plot.networks(results)) / ACROSS)
    heights = [2.5, 2.0 * rows]
    fig = plot.figure(figsize=(plot.PAGE, sum(heights)))
    above, below = fig.subfigures(2, 1, height_ratios=heights)
    _draw_errors(above, results)
    _draw_phases(below, results)
    counts = f"{results.sizes['flow']} flows, {results.attrs['trials']} trials, {plot.seeds(results)}"
    fig.suptitle(f"Operators of {counts}\n{panels.features_used(results)}", fontsize=9)
    return fig


def _draw_errors(part: SubFigure, results: xr.Dataset) -> None:
    """Each error on an axis, the networks side by side within each class of operator."""
    names = plot.networks(results)
    axes = part.subplots(1, len(PANELS), sharey=True)
    for ax, (measure, title) in zip(axes, PANELS.items(), strict=True):
        for i, (_, colour, runs) in enumerate(panels.each_network(results)):
            x = np.arange(len(CLASSES)) + SPREAD * ((i + 0.5) / len(names) - 0.5)
            means = runs.mean("run")
            ends = means[measure] - means[f"{measure}_low"], means[f"{measure}_high"] - means[measure]
            ax.errorbar(x, means[measure], np.clip(ends, 0, None), fmt="o", ms=4, color=colour)
            ax.plot(x, means[f"{measure}_floor"], "x", color="0.4", ms=3)
            by_seed = runs[measure].transpose("run", "operator")
            x_of_seeds = np.broadcast_to(x + 0.06, by_seed.shape)
            ax.plot(x_of_seeds, by_seed, ".", ms=3, color=colour, alpha=0.6)
            ax.plot(x, means[f"{measure}_null"], "_", color="0.4", ms=7, mew=1.5)
        ax.set_xticks(range(len(CLASSES)), CLASSES)
        ax.set(title=title, xlim=(-0.5, len(CLASSES) - 0.5), ylim=(0, 1.6))
    part.supylabel("relative error", fontsize=9)


def _draw_phases(part: SubFigure, results: xr.Dataset) -> None:
    """Phases of linear operators on an axis for each network; larger dots hold more of the state."""
    linear = results.sel(operator="linear")
    half_turn = [-np.pi, np.pi]
    axes = panels.network_axes(part, plot.networks(results), most=ACROSS)
    for ax, (name, colour, runs) in zip(axes, panels.each_network(linear), strict=True):
        size = (runs.weight / runs.weight.max("mode")).fillna(0).broadcast_like(runs.phase)
        ax.plot(half_turn, half_turn, color="0.7", lw=0.8)
        ax.scatter(runs.expected, runs.phase, s=12 * size, color=colour, alpha=0.5, lw=0, rasterized=True)
        ax.set_xticks([-np.pi, 0, np.pi], ["-π", "0", "π"])
        ax.set_yticks([-np.pi, 0, np.pi], ["-π", "0", "π"])
        ax.set_title(name, color=colour, fontweight="bold")
        by_seed = ", ".join("none" if np.isnan(value) else f"{value:.1f}" for value in runs.linearity.values)
        shuffled = float(runs.linearity_null.mean())
        ax.set_xlabel(f"linearity {by_seed} (shuffled {shuffled:.1f})", fontsize=7)
    part.supxlabel("phase expected from the other flows (rad)", fontsize=9)
    part.supylabel("phase (rad)", fontsize=9)
