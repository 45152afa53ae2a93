r"""By how much do networks differ, and how certain is that, given the seeds that were trained?

A seed is one draw of first weights and order of training: the unit over which a statement about a network is
to hold. A network a and the reference r, with values x over n_a and n_r seeds, are compared by

    d = mean(x_a) - mean(x_r),    d +- t(0.975, nu) sqrt(s_a^2 / n_a + s_r^2 / n_r)

with the degrees of freedom nu of Welch (1947), Biometrika 34, who does not assume equal variances. Errors
differ by factors: x is then their logarithm, and exp(d) the ratio of geometric means.

Welch's interval holds the difference of networks with two seeds in 96 to 98 % of simulations of normal and of
heavy-tailed seeds (three: 95 to 98 %), so that it is given from two seeds on, wide as it is. Where seeds are
log-normal with a spread of 1, are compared by difference all the same, and one network has three times the
values of the other, it is 94 % with two, 89 % with three and 87 % with four.

The same seed gives two networks the same order of training and, if their weights have the same shapes, the
same first weights, so their values may be correlated (log validation MSE of a small FERNN and G-RNN over 8
seeds: r = 0.58, with a 95 % interval of -0.21 to 0.91). With `PAIRED` or more common seeds, the interval is
therefore that of the paired differences; with fewer, their n - 1 degrees of freedom cost more than pairing
gains, and Welch's interval errs on the wide side.

The interval of the mean of a quantity that cannot leave [low, high] is symmetric around the logit of the mean
(or its logarithm, where there is one bound), with a standard error by the delta method, and so stays within.
For 4, 8 and 16 values from beta distributions with means of 0.5 to 0.98 it held the mean in 93 to 96 % of
20,000 simulations, where an interval cut off at the bounds held it in 88 to 95 %, and one for the mean of
logits in 66 to 95 %. Differences are cut off at what is possible.

Comparisons that are made together are one family (`corrected`): a p-value by Holm (1979), Scand. J. Stat. 6,
and with it the interval at the level at which Holm's procedure tests that comparison. With equal networks,
whatever their number and that of the quantities, any of these intervals leaves out "no effect" in at most 5 %
of families.

The standardised effect is Hedges' g, with s the pooled standard deviation:

    g = J(m) d / s,    J(m) = Gamma(m / 2) / (sqrt(m / 2) Gamma((m - 1) / 2)),    m = n_a + n_r - 2

Its interval inverts the noncentral t distribution (Hedges 1981, Journal of Educational Statistics 6; Steiger
& Fouladi 1997): exact for independent normal values of equal variance. Where one of the two networks has no
spread, one standard deviation for both has no meaning, and g is undefined. Below `STANDARDISED` seeds there
is no g: its unit is a spread that so few seeds do not tell.

From `ROBUST` seeds on, the interquartile mean (Agarwal et al. 2021, Deep reinforcement learning at the edge
of the statistical precipice, NeurIPS 34) stands beside the mean, of logarithms for a ratio: one seed that
failed does not move it. It does not replace the mean, which the comparison is of: where seeds are normal its
standard deviation is 1.07 times the mean's, where their tails are Student's with 2 degrees of freedom, half.
Its bootstrap resamples seeds within each task (one task in a row of a report), with 9,999 draws. The paper
takes the quantiles of 2.5 and 97.5 %. Over normal, log-normal and heavy-tailed seeds, and seeds of which one
in ten fails, those hold the interquartile mean of all seeds that might have been trained in 90 to 91 % of
simulations with five seeds and 93 to 94 % with eight; the quantiles here, widened for few seeds (Hesterberg
2015, The American Statistician 69, "expanded percentile"), in 93 to 95 % with five, 94 to 96 % with six and
seven, and 96 to 98 % with eight to sixteen. With five they are the least and the largest seed, and no
bootstrap, whose means lie between seeds, can hold the middle of a symmetric distribution more often than
these: in 1 - 2^(1 - n) of cases, or 93.75 %. Student's interval of the mean, for comparison, holds it in 82
to 83 % of cases where seeds are log-normal with a spread of 1, and in 70 to 76 % where one in ten fails by 10
spreads.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import xarray as xr
from scipy import optimize, special, stats

from flowsim.errors import InputError

LEVEL = 0.95
"""Level of every interval: of each comparison by itself, or of all of a family (`corrected`)."""
PAIRED = 5
"""With this many common seeds or more, the interval is that of paired differences. It is then a fifth wider
than Welch's where seeds are unrelated, and narrower where they are correlated.
"""
STANDARDISED = 4
"""Fewest seeds of each of two networks that are compared in units of their spread (Hedges' g)."""
ROBUST = 5
"""Fewest seeds that have an interquartile mean: of fewer, no quarter is left out."""
POWER = 0.8
"""Share of experiments in which `smallest_effect` is told from none."""
NODES = 2000
"""Quantiles over which `noncentrality` takes a mean."""
VARIANCES = 400
"""Quantiles of each of two estimated variances over which `smallest_effect` takes a mean."""
ROUNDING = 1e-9
"""Seeds that differ by less have no spread: a share of the largest value, or of themselves for a ratio."""
UNBOUNDED = (-np.inf, np.inf)
Quantity = TypeVar("Quantity", bound=Hashable)


def compare(
    values: xr.DataArray, reference: str, ratio: bool, bounds: tuple[float, float] = UNBOUNDED
) -> pd.DataFrame:
    """Every network's mean over seeds, and how it differs from the reference.

    Name the reference before you see the data: a comparison with whichever network came out best would take
    the luck of its seeds for an effect.

    Parameters
    ----------
    values : DataArray
        (run), with coordinates ``network`` and ``seed``; a run whose value is NaN does not count.
    reference : str
        One of the networks.
    ratio : bool
        Compare by ratio, and take geometric means; for positive quantities that differ by factors, such as
        errors.
    bounds : tuple of float
        The least and the largest value that the quantity can have.

    Returns
    -------
    DataFrame
        By network, what `differences` gives; Hedges' ``g`` (of logarithms, for a ratio) with ``g_low``,
        ``g_high``: NaN where one of the two networks has fewer than `STANDARDISED` seeds or no spread; and
        ``middle``, the interquartile mean, with ``middle_low``, ``middle_high``: NaN where there are fewer
        than `ROBUST` seeds, and the interval also where they have no spread.

    Raises
    ------
    InputError
        If no run is of the reference, values to be compared by ratio are not positive, or values are out of
        bounds.
    """
    compared = differences(values, reference, ratio, bounds)
    known, rounding = _by_network(values, ratio)
    g = pd.DataFrame(
        [_NO_G if n == reference else _standardised(x, known[reference], rounding) for n, x in known.items()],
        index=pd.Index(list(known)),
    )
    middle = pd.DataFrame(
        [_middle(x, rounding) for x in known.values()], index=pd.Index(list(known)), dtype=float
    )
    return compared.join(g).join(middle.apply(np.exp) if ratio else middle)


def differences(
    values: xr.DataArray, reference: str, ratio: bool, bounds: tuple[float, float] = UNBOUNDED
) -> pd.DataFrame:
    """What `compare` gives, without g.

    Returns
    -------
    DataFrame
        By network: ``n`` seeds; ``mean`` with ``mean_low``, ``mean_high``; ``effect``, the difference from
        the reference or ratio to it, with ``effect_low``, ``effect_high``; ``p``, of no effect (two-sided);
        ``paired``; and what intervals at other levels need: ``error`` and ``freedom``, the standard error of
        the effect (of its logarithm, for a ratio) and its degrees of freedom, ``ratio``, and ``least``,
        ``most``, the bounds of the effect. Intervals hold `LEVEL`, each by itself. They and p are NaN where a
        network has one seed, or where neither has any spread; effects are for the reference itself.
    """
    _check(values, reference, ratio, bounds)
    known, rounding = _by_network(values, ratio)
    nothing = dict.fromkeys(("effect", "error", "freedom"), np.nan) | {"paired": False}
    rows = {
        n: _mean(x, rounding) | (nothing if n == reference else _difference(x, known[reference], rounding))
        for n, x in known.items()
    }
    compared = pd.DataFrame.from_dict(rows, orient="index").rename_axis("network")
    with np.errstate(invalid="ignore"):
        compared["p"] = 2 * stats.t.sf(abs(compared.effect) / compared.error, compared.freedom)
    if ratio:
        columns = ["mean", "mean_low", "mean_high", "effect"]
        compared[columns] = np.exp(compared[columns])
    low, high = bounds
    if not ratio:
        compared["mean_low"], compared["mean_high"] = _bounded_interval(compared, low, high)
    compared = compared.drop(columns=["half"]).assign(
        ratio=ratio, least=0.0 if ratio else low - high, most=np.inf if ratio else high - low
    )
    compared["effect_low"], compared["effect_high"] = _interval(compared, 1 - LEVEL)
    return compared


def corrected(family: Mapping[Quantity, pd.DataFrame]) -> dict[Quantity, pd.DataFrame]:
    """Comparisons of several quantities, as they hold together.

    Parameters
    ----------
    family : mapping of quantity to DataFrame
        Of `differences` or `compare`.

    Returns
    -------
    dict of quantity to DataFrame
        The same, with ``p_holm``, and ``effect_low_holm``, ``effect_high_holm``: the interval that leaves out
        "no effect" if ``p_holm`` is below 1 - `LEVEL`.
    """
    if not family:
        return {}
    every = pd.concat(dict(enumerate(family.values())))
    every["p_holm"] = holm(every.p.to_numpy())
    share = (every.p / every.p_holm).where(every.p > 0, 1 / max(1, every.p.notna().sum()))
    every["effect_low_holm"], every["effect_high_holm"] = _interval(every, (1 - LEVEL) * share)
    return {quantity: every.loc[[i]].droplevel(0) for i, quantity in enumerate(family)}


def best(values: xr.DataArray, better: str, ratio: bool) -> tuple[list[str], float]:
    """Which network has the best mean, and is that more than luck?

    Parameters
    ----------
    values, ratio
        As of `compare`.
    better : str
        "lower" or "higher".

    Returns
    -------
    networks : list of str
        One, or several that have the same value in all their seeds.
    p : float
        Probability, at most, with which networks would come out so far before all others if they were equal:
        the largest p of a comparison with another network, times half the number of networks, since any of
        them might have been best (Bonferroni). NaN if some comparison has none, or there is no other network.
    """
    known, rounding = _by_network(values, ratio)
    means = pd.Series({n: x.mean() for n, x in known.items() if len(x)}, dtype=float)
    if len(means) < 2:
        return list(means.index), np.nan
    first = str(means.idxmin() if better == "lower" else means.idxmax())
    same = [str(n) for n in means.index if n == first or _equal(known[n], known[first], rounding)]
    others = [n for n in means.index if n not in same]
    if not others:
        return same, np.nan
    p = []
    for a in same:
        for r in others:
            found = _difference(known[a], known[r], rounding)
            p.append(2 * stats.t.sf(abs(found["effect"]) / found["error"], found["freedom"]))
    return same, float(np.minimum(1, max(1, len(means) / 2) * np.max(p)))


def holm(p: np.ndarray) -> np.ndarray:
    """p-values (test) of one family, adjusted so that any false finding is rare; NaN is no member of it.

    A step-down Bonferroni correction: valid however the tests depend on each other (Holm 1979).
    """
    adjusted = np.array(p, np.float64)
    known = np.flatnonzero(np.isfinite(adjusted))
    order = known[np.argsort(adjusted[known], kind="stable")]
    steps = adjusted[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def interquartile_mean(*tasks: np.ndarray) -> float:
    """Mean of the values of all tasks together, without the quarter at either end (Agarwal et al. 2021).

    Parameters
    ----------
    *tasks : arrays (seed)
        As many seeds in each. A quarter is rounded down: of five values, three are left.
    """
    return float(stats.trim_mean(np.concatenate(tasks), 0.25))


def interquartile_interval(*tasks: np.ndarray) -> tuple[float, float]:
    """Lower and upper end of the bootstrap interval of `interquartile_mean`, stratified by task.

    Quantiles are those of a normal distribution at as many standard errors as Student's interval of n seeds
    has, times sqrt(n / (n - 1)), since a bootstrap divides variances by n (Hesterberg 2015). Draws are the
    same in every call. How often it holds the truth is in the docstring of this file.
    """
    seeds = min(len(task) for task in tasks)
    reach = np.sqrt(seeds / (seeds - 1)) * stats.t.ppf((1 + LEVEL) / 2, seeds - 1)
    found = stats.bootstrap(
        tasks,
        lambda *drawn, axis: stats.trim_mean(np.concatenate(drawn, axis), 0.25, axis),
        confidence_level=1 - 2 * stats.norm.sf(reach),
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def smallest_effect(values: xr.DataArray, reference: str, ratio: bool, comparisons: int = 1) -> float:
    """The smallest effect that seeds such as these tell from none in `POWER` of experiments.

    If networks truly differ by so much, and seeds spread as they do here, then in `POWER` of experiments with
    as many seeds p of `differences` is at most (1 - `LEVEL`) / ``comparisons``. The spread is the pooled
    standard deviation of all networks whose seeds differ at all, or, where seeds are paired, that of paired
    differences: an estimate, from few seeds a rough one. Of
    normal values with equal spread, 79.7 to 80.1 % of 100,000 simulated experiments tell it; where the spread
    of two networks with three seeds differs by a factor of 3, 70 % do.

    Parameters
    ----------
    values, reference, ratio
        As of `compare`.
    comparisons : int
        How many are made together. Holm's procedure finds at least what Bonferroni's does, so that a sentence
        of a family needs no more than this, whatever the other comparisons give.

    Returns
    -------
    float
        Of the network for which it is largest: a difference, or a ratio above 1, which stands for its inverse
        too. NaN where no network can be compared.
    """
    known, rounding = _by_network(values, ratio)
    alpha = (1 - LEVEL) / comparisons
    r = known.pop(reference)
    paired = {n: a - r for n, a in known.items() if _paired(a, r)}
    alone, together = _pooled([r, *known.values()], rounding), _pooled(list(paired.values()), rounding)
    effects = [
        together * _shift_of_pairs(len(a), alpha)
        if n in paired
        else alone * _shift_of_two(len(a), len(r), alpha)
        for n, a in known.items()
        if min(len(a), len(r)) > 1
    ]
    largest = float(np.max(effects)) if effects else np.nan
    with np.errstate(over="ignore"):
        return float(np.exp(largest)) if ratio else largest


_NO_G = dict.fromkeys(("g", "g_low", "g_high"), np.nan)


def _check(values: xr.DataArray, reference: str, ratio: bool, bounds: tuple[float, float]) -> None:
    names = list(dict.fromkeys(values["network"].values.tolist()))
    if reference not in names:
        raise InputError(
            f"expected the reference to be one of the networks {', '.join(names)}; got {reference}"
        )
    if ratio and not (values.isnull() | (values > 0)).all():
        raise InputError(
            f"a ratio needs positive values; got {float(values.min()):.3g}. Compare by difference"
        )
    low, high = bounds
    slack = ROUNDING * max(1.0, *(abs(b) for b in bounds if np.isfinite(b)), 1.0)
    if ((values < low - slack) | (values > high + slack)).any():
        raise InputError(
            f"expected values from {low:g} to {high:g}; got {float(values.min()):.3g} to "
            f"{float(values.max()):.3g}. Correct the bounds of the quantity"
        )


def _by_network(values: xr.DataArray, ratio: bool) -> tuple[dict[str, Any], float]:
    """Known values by network and seed, as logarithms for a ratio, and what is no spread among them."""
    table = values.to_series().astype(float)
    table.index = pd.MultiIndex.from_arrays([values["network"].values, values["seed"].values])
    if ratio:
        table = table.apply(np.log)
    names = list(dict.fromkeys(values["network"].values.tolist()))
    rounding = ROUNDING if ratio else ROUNDING * float(np.nan_to_num(abs(table).max()))
    return {n: table[n].dropna() for n in names}, rounding


def _mean(x: pd.Series[float], rounding: float) -> dict[str, float]:
    mean, error = float(x.mean()), np.sqrt(_squared_error(x, rounding))
    half = stats.t.ppf((1 + LEVEL) / 2, len(x) - 1) * error if error > 0 else np.nan
    return {"n": len(x), "mean": mean, "half": half, "mean_low": mean - half, "mean_high": mean + half}


def _bounded_interval(compared: pd.DataFrame, low: float, high: float) -> tuple[pd.Series, pd.Series]:
    """Ends of the intervals of arithmetic means, within bounds; of a scale without bounds, mean -+ half."""
    mean, half = compared["mean"], compared["half"]
    above, below = mean - low, high - mean
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        if np.isfinite(low) and np.isfinite(high):
            odds, factor = above / below, np.exp(half * (high - low) / (above * below))
            return high - (high - low) / (1 + odds / factor), high - (high - low) / (1 + odds * factor)
        if np.isfinite(low):
            return low + above * np.exp(-half / above), low + above * np.exp(half / above)
        if np.isfinite(high):
            return high - below * np.exp(half / below), high - below * np.exp(-half / below)
    return mean - half, mean + half


def _difference(a: pd.Series[float], r: pd.Series[float], rounding: float) -> dict[str, float]:
    """Difference between two networks, its standard error and degrees of freedom.

    Both are NaN where seeds do not differ, which does not prove that none would.
    """
    n_a, n_r = len(a), len(r)
    paired = _paired(a, r)
    error_a, error_r = _squared_error(a, rounding), _squared_error(r, rounding)
    error, freedom = np.nan, np.nan
    if paired:
        error, freedom = np.sqrt(_squared_error(a - r, rounding)), n_a - 1
    elif error_a + error_r > 0:
        error = np.sqrt(error_a + error_r)
        freedom = (error_a + error_r) ** 2 / (error_a**2 / (n_a - 1) + error_r**2 / (n_r - 1))
    if not error > 0:
        error, freedom, paired = np.nan, np.nan, False
    return {"effect": float(a.mean() - r.mean()), "error": error, "freedom": freedom, "paired": paired}


def _paired(a: pd.Series[float], r: pd.Series[float]) -> bool:
    return len(a) >= PAIRED and set(a.index) == set(r.index)


def _pooled(samples: list[pd.Series[float]], rounding: float) -> float:
    """Standard deviation within samples that have any; NaN if none has."""
    spread = [x for x in samples if _squared_error(x, rounding) > 0]
    squares, freedom = sum(float(x.var()) * (len(x) - 1) for x in spread), sum(len(x) - 1 for x in spread)
    return float(np.sqrt(squares / freedom)) if freedom else np.nan


@functools.cache
def _shift_of_pairs(seeds: int, alpha: float) -> float:
    """Difference, in standard deviations of paired ones, that their t test finds in `POWER` of cases."""
    bar = stats.t.isf(alpha / 2, seeds - 1)
    found = optimize.brentq(lambda nc: stats.nct.sf(bar, seeds - 1, nc) - POWER, 0, 10 * bar + 10)
    return float(found / np.sqrt(seeds))


@functools.cache
def _shift_of_two(n_a: int, n_r: int, alpha: float) -> float:
    """Difference, in standard deviations of one seed, that Welch's test finds in `POWER` of cases.

    A t of estimated variances is above its bar with a normal probability, given these; taken over quantiles
    of both, since the bar's degrees of freedom depend on them.
    """
    quantiles = (np.arange(VARIANCES) + 0.5) / VARIANCES
    error_a, error_r = np.meshgrid(
        *(stats.chi2.ppf(quantiles, n - 1) / (n - 1) / n for n in (n_a, n_r)), indexing="ij"
    )
    freedom = (error_a + error_r) ** 2 / (error_a**2 / (n_a - 1) + error_r**2 / (n_r - 1))
    error = np.sqrt(1 / n_a + 1 / n_r)
    bar = stats.t.isf(alpha / 2, freedom) * np.sqrt(error_a + error_r) / error
    found = optimize.brentq(lambda nc: special.ndtr(nc - bar).mean() - POWER, 0, bar.max() + 10)
    return float(found * error)


def _middle(x: pd.Series[float], rounding: float) -> dict[str, float]:
    """The interquartile mean and its interval."""
    middle, low, high = np.nan, np.nan, np.nan
    if len(x) >= ROBUST:
        middle = interquartile_mean(x.to_numpy())
        if _squared_error(x, rounding) > 0:
            low, high = interquartile_interval(x.to_numpy())
    return {"middle": middle, "middle_low": low, "middle_high": high}


def _standardised(a: pd.Series[float], r: pd.Series[float], rounding: float) -> dict[str, float]:
    """Hedges' g and its interval."""
    n_a, n_r = len(a), len(r)
    if min(n_a, n_r) < STANDARDISED or not (
        _squared_error(a, rounding) > 0 and _squared_error(r, rounding) > 0
    ):
        return _NO_G
    m = n_a + n_r - 2
    d = float(a.mean() - r.mean())
    pooled = np.sqrt((a.var(ddof=0) * n_a + r.var(ddof=0) * n_r) / m)
    scale = float(np.sqrt(1 / n_a + 1 / n_r))
    low, high = noncentrality(float(d / pooled / scale), m)
    correction = np.exp(special.gammaln(m / 2) - special.gammaln((m - 1) / 2)) / np.sqrt(m / 2)
    return {"g": float(correction * d / pooled), "g_low": low * scale, "g_high": high * scale}


def _squared_error(x: pd.Series[float], rounding: float) -> float:
    """Squared standard error of the mean: 0 without spread, NaN below two values."""
    if len(x) < 2:
        return np.nan
    return float(x.var()) / len(x) if x.max() - x.min() > rounding else 0.0


def _equal(a: pd.Series[float], b: pd.Series[float], rounding: float) -> bool:
    """Whether all seeds of both have one value."""
    return max(a.max(), b.max()) - min(a.min(), b.min()) <= rounding


def _interval(compared: pd.DataFrame, alpha: float | pd.Series[float]) -> tuple[pd.Series, pd.Series]:
    """Ends of the intervals of effects that leave out the truth with probability ``alpha``."""
    half = stats.t.isf(alpha / 2, compared.freedom) * compared.error
    linear = compared.effect.where(~compared.ratio, np.log(compared.effect.where(compared.ratio, 1.0)))
    ends = []
    for end in (linear - half, linear + half):
        on_scale = end.where(~compared.ratio, np.exp(end.where(compared.ratio, 0.0)))
        ends.append(on_scale.clip(compared.least, compared.most))
    return ends[0], ends[1]


def noncentrality(t: float, freedom: float) -> tuple[float, float]:
    """Noncentralities for which a t at least, or at most, as large as the observed one has probability
    (1 - `LEVEL`) / 2.

    P(T <= t) is the mean, over the distribution of the pooled variance, of a normal probability; taken at
    `NODES` of its quantiles it is within 1 / (2 `NODES`), also where t is so large that scipy's noncentral t
    gives no number.
    """
    tail = (1 - LEVEL) / 2
    spread = np.sqrt(stats.chi2.ppf((np.arange(NODES) + 0.5) / NODES, freedom) / freedom)
    reach = 10 + abs(t) * spread[-1]
    low, high = (
        optimize.brentq(lambda nc, p=p: special.ndtr(t * spread - nc).mean() - p, -reach, reach)
        for p in (1 - tail, tail)
    )
    return float(low), float(high)
