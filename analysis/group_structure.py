r"""Do the operators M_u, fitted with h(psi_u f) = M_u h(f), form a one-parameter group?

For flows u, w and u + w of the probe, with M_u a matrix on principal components in co-moving coordinates,
with its roll (`flowsim.measures.operators`; fitted to all trials), and X the states under the reference, so
that directions in which states hardly vary, where no operator can be known, count as little as they matter:

    homomorphism error    || X (M_u M_w - M_{u+w}) || / || X M_{u+w} ||
    inverse error         || X (M_u M_{-u} - 1) || / || X ||
    generator             A_u = log M_u, the principal logarithm; ``turning`` is the share of its squared norm
    in the
                          antisymmetric part: 1 for a rotation, 0 for pure growth or decay
    eigenphases           phi_j(u), linear in u in a one-parameter group: their slopes, and their linearity,
                          cross-validated over flows (`flowsim.measures.eigenphases`)

Unrelated orthogonal matrices have a homomorphism error of sqrt 2; ridge operators of a state with no law are
near 0 and have one of about 1. Rolls that do not add up move states apart: such products are taken as
orthogonal. Where V ends, channels at its border have no law and no M_u has an inverse; the homomorphism error
among channels with a partner under w that has one under u is given apart. Operators that do nothing form a
group too: read all this with the R^2 of `learned_action`. Intervals: jackknife over groups of trials; of
linearity, which now and then is much lower when a mode is taken for another, they hold the median over draws,
not the mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import numpy as np
import xarray as xr
from pydantic import Field

from flowsim.figures import panels, plot
from flowsim.files import coordinates
from flowsim.measures.comoving import States
from flowsim.measures.eigenphases import linearity, phases, slopes, turning
from flowsim.measures.operators import Fitted, fit, split

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READS = "probe"
QUESTION = "Do the operators by which states follow form a one-parameter group?"
READING = (
    "M_u is the operator by which the state follows the flow u, fitted to all trials. Above: by how much doing w and "
    "then u (M_u M_w) differs from the flow u + w, and u and then -u from nothing, as a share of the states: 0 is a "
    "group, 1.4 is unrelated; for operators that only turn the state, and for any linear ones. Channels with partners "
    "are those about which a law of shift speaks. Large dots are means over seeds, small ones seeds, bars 95 % "
    "jackknife intervals over trials, grey ticks the same with the operators exchanged among flows, each flow keeping "
    "its displacement: where a tick lies on its dot, the operators do not tell flows apart. Below: linear operators of "
    "a group turn parts of the state by phases proportional to velocity; measured phases, against those expected from "
    "the other flows. Larger dots hold more of the state, and linearity is 1 if all lie on the line, about 0 or less "
    "without order. Operators that do nothing form a group too: see how well they predict."
)
CLASSES = ("orthogonal", "linear")
MEASURES = ("homomorphism", "homomorphism_partner", "inverse", "linearity")
SHOWN = {
    "homomorphism": "u and w against u + w",
    "homomorphism_partner": "... with partners",
    "inverse": "u and -u",
}
Chain = Callable[[int, int], np.ndarray]
Count = Annotated[int, Field(ge=1)]


def analyse(
    recording: xr.Dataset,
    *,
    groups: Count = 4,
    components: Count = 128,
    variance: Annotated[float, Field(gt=0, le=1)] = 0.9999,
    features: Count = 128,
    pixels: Count = 256,
    permutations: Count = 20,
    seed: int = 0,
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

    Returns
    -------
    Dataset
        ``homomorphism``, ``homomorphism_partner``, ``inverse``, ``linearity`` (operator), NaN where no flows
        of the probe add up so, or nothing turns; with ``_half``, the half-width of their 95 % interval (NaN
        with one trial), and ``_null``, the median over operators exchanged among flows, without their rolls
        (NaN with one flow). ``turning`` (operator, flow); ``phase``, ``expected`` (operator, flow, mode) in
        rad, ``slope`` (operator, mode, component) in rad per unit of velocity, ``weight`` (operator, mode);
        ``explained``; ``kept``, the share of channels used.

    Raises
    ------
    InputError
        If there is no flow besides the reference, or the state does not vary.
    """
    states = States(recording, features, pixels, seed)
    velocities = np.array([flow.velocity for flow in states.flows[1:]], float)
    trials = range(states.trials)
    parts = split(trials, groups)
    everything = fit(states, trials, components, variance, convolution=False)
    left_out = [
        fit(states, [t for t in trials if t not in part], components, variance, convolution=False)
        for part in (parts if len(parts) > 1 else [])
    ]
    chain, found = _chain(recording, states), {}
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(velocities)) for _ in range(permutations if len(velocities) > 1 else 0)]
    for operator in CLASSES:
        phase, weight = phases(everything.matrices[operator], everything.covariance, seed)
        linear, expected = linearity(phase, weight, velocities)
        numbers = [*_errors(everything, operator, velocities, chain), linear]
        without = []
        for other in left_out:
            of = phases(other.matrices[operator], other.covariance, seed)
            without.append([*_errors(other, operator, velocities, chain), linearity(*of, velocities)[0]])
        half = _jackknife(np.array(without)) if left_out else np.full(len(MEASURES), np.nan)
        shuffled = [
            [*_errors(everything, operator, velocities, chain, o), linearity(phase[o], weight, velocities)[0]]
            for o in orders
        ]
        null = np.median(shuffled, 0) if orders else np.full(len(MEASURES), np.nan)
        of_operator = {
            "phase": phase,
            "expected": expected,
            "weight": weight,
            "slope": slopes(phase, velocities),
        }
        of_operator["turning"] = [turning(matrix) for matrix in everything.matrices[operator]]
        for suffix, values in (("", numbers), ("_half", half), ("_null", null)):
            of_operator |= dict(zip([name + suffix for name in MEASURES], values, strict=True))
        for name, value in of_operator.items():
            found.setdefault(name, []).append(value)
    dims = {"turning": ["flow"], "weight": ["mode"], "slope": ["mode", "component"]}
    dims |= {"phase": ["flow", "mode"], "expected": ["flow", "mode"]}
    units = {"phase": "rad", "expected": "rad", "slope": "rad per unit of velocity"}
    names = {"operator": list(CLASSES), "component": list(states.flows[0].group.components)}
    names |= {k: c[1:] for k, c in recording.coords.items() if c.dims == ("flow",)}
    names["mode"] = np.arange(everything.basis.shape[1])
    result = xr.Dataset(
        {
            k: (["operator", *dims.get(k, [])], np.array(v), {"units": units.get(k, "1")})
            for k, v in found.items()
        },
        names,
        {"trials": states.trials},
    )
    return result.assign(explained=everything.explained, kept=states.kept)


def _errors(
    fitted: Fitted, operator: str, velocities: np.ndarray, chain: Chain, order: np.ndarray | None = None
) -> list[float]:
    """Homomorphism error, that with partners, and inverse error; with matrices, not rolls, in another
    ``order``.
    """
    order = np.arange(len(velocities)) if order is None else order
    # Rolls stay: exchanged, they would hardly ever add up, and the error be about sqrt 2 whatever the
    # matrices are.
    matrices, rolls = fitted.matrices[operator][order], np.array(fitted.rolls, float)
    values, vectors = np.linalg.eigh(fitted.covariance)
    states = (
        np.sqrt(values.clip(0))[:, None] * vectors.T
    )  # as many as there are components, with the same covariance
    index = {tuple(v.round(9)): i for i, v in enumerate(velocities)}
    found: tuple[list[float], ...] = ([], [], [])
    for u, a in enumerate(velocities):
        for w, b in enumerate(velocities):
            total = tuple((a + b).round(9) + 0.0)
            product, roll = states @ matrices[u] @ matrices[w], rolls[u] + rolls[w]
            if not any(total):
                found[2].append(_distance(product, states, bool(np.any(roll))))
            elif total in index:
                expected, apart = states @ matrices[index[total]], not np.allclose(roll, rolls[index[total]])
                found[0].append(_distance(product, expected, apart))
                kept = fitted.basis[chain(u, w)].T
                if kept.size:
                    found[1].append(_distance(product @ kept, expected @ kept, apart))
    return [float(np.mean(values)) if values else np.nan for values in found]


def _chain(recording: xr.Dataset, states: States) -> Chain:
    """A function of two flows: the features that have a partner under the second, which has one under the
    first.
    """
    if not states.spatial:
        return lambda u, w: np.zeros(states.features, bool)
    grid = coordinates.grid(recording)
    velocities = [grid.velocity_of(flow) for flow in states.flows[1:]]
    partners = [(None,) * len(grid) if v is None else grid.partner(v) for v in velocities]

    def chain(u: int, w: int) -> np.ndarray:
        has = [p is not None and partners[u][p] is not None for p in partners[w]]
        return np.repeat(has, states.features // len(grid))

    return chain


def _distance(product: np.ndarray, expected: np.ndarray, apart: bool) -> float:
    """|| product - expected || / || expected ||, the two moved to different places if ``apart``."""
    square = (product**2).sum() + (expected**2).sum() if apart else ((product - expected) ** 2).sum()
    return float(np.sqrt(square / (expected**2).sum()))


def _jackknife(without: np.ndarray) -> np.ndarray:
    """Half-width of the 95 % interval of numbers (group left out, measure)."""
    from scipy.stats import t

    n = len(without)
    return t.ppf(0.975, n - 1) * np.sqrt((n - 1) * without.var(0))


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table; what could not be asked is left out."""
    linear = results.sel(operator="linear").drop_vars("operator")
    found = {
        "homomorphism error of linear operators": linear.homomorphism.assign_attrs(better="lower"),
        "homomorphism error, channels with partners": linear.homomorphism_partner.assign_attrs(
            better="lower"
        ),
        "homomorphism error, shuffled flows": linear.homomorphism_null,
    }
    return {label: values for label, values in found.items() if values.notnull().any()}


def figure(results: xr.Dataset) -> Figure:
    """Errors by network, and phases against what is expected from the other flows."""
    names, colours = plot.networks(results), plot.palette(results)
    across = min(max(len(names), 2), 4)
    rows = -(-len(names) // across)
    fig = plot.subplots(figsize=(plot.PAGE, 2.5 + 2.0 * rows))[0]
    fig.clear()
    above, below = fig.subfigures(2, 1, height_ratios=[2.5, 2.0 * rows])
    for ax, (measure, title) in zip(above.subplots(1, len(SHOWN), sharey=True), SHOWN.items(), strict=True):
        for i, name in enumerate(names):
            of = results.isel(run=(results["network"] == name).values)
            x = np.arange(len(CLASSES)) + 0.6 * ((i + 0.5) / len(names) - 0.5)
            mean, half = of[measure].mean("run"), of[f"{measure}_half"].mean("run")
            ax.errorbar(x, mean, half, fmt="o", ms=4, color=colours[name])
            seeds = np.broadcast_to(x + 0.06, of[measure].shape)
            ax.plot(seeds, of[measure], ".", ms=3, color=colours[name], alpha=0.6)
            ax.plot(x, of[f"{measure}_null"].mean("run"), "_", color="0.4", ms=7, mew=1.5)
        ax.set_xticks(range(len(CLASSES)), CLASSES)
        ax.set(title=title, xlim=(-0.5, len(CLASSES) - 0.5), ylim=(0, 1.6))
    above.supylabel("relative error", fontsize=9)
    for ax in (axes := below.subplots(rows, across, squeeze=False, sharex=True, sharey=True)).flat[
        len(names) :
    ]:
        ax.axis("off")
    for ax, name in zip(axes.flat, names, strict=False):
        of = results.sel(operator="linear").isel(run=(results["network"] == name).values)
        size = (of.weight / of.weight.max("mode")).fillna(0).broadcast_like(of.phase)
        ax.plot([-np.pi, np.pi], [-np.pi, np.pi], color="0.7", lw=0.8)
        ax.scatter(of.expected, of.phase, s=12 * size, color=colours[name], alpha=0.5, lw=0)
        ax.set_xticks([-np.pi, 0, np.pi], ["-π", "0", "π"])
        ax.set_yticks([-np.pi, 0, np.pi], ["-π", "0", "π"])
        ax.set_title(name, color=colours[name], fontweight="bold")
        told = ", ".join("none" if np.isnan(v) else f"{v:.1f}" for v in of.linearity.values)
        ax.set_xlabel(f"linearity {told} (shuffled {float(of.linearity_null.mean()):.1f})", fontsize=7)
    below.supxlabel("phase expected from the other flows (rad)", fontsize=9)
    below.supylabel("phase (rad)", fontsize=9)
    title = (
        f"Operators of {results.sizes['flow']} flows, {results.attrs['trials']} trials, {plot.seeds(results)}"
    )
    title += panels.share_of_channels(results)
    fig.suptitle(title, fontsize=9)
    return fig
