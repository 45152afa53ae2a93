r"""By how much do networks differ, and how certain is that, given the seeds that were trained?

A seed is one draw of first weights and order of training: the unit over which a statement about a network is
to hold. A network a and the reference r, with values x over n_a and n_r seeds, are compared by

    d = mean(x_a) - mean(x_r),    d +- t(0.975, nu) sqrt(s_a^2 / n_a + s_r^2 / n_r)

with the degrees of freedom nu of Welch (1947), Biometrika 34, who does not assume equal variances. Errors
differ by factors: x is then their logarithm, and exp(d) the ratio of geometric means.

The same seed gives two networks the same order of training and, if their weights have the same shapes, the
same first weights, so their values may be correlated (log validation MSE of a small FERNN and G-RNN over 8
seeds: r = 0.58, with a 95 % interval of -0.21 to 0.91). With `PAIRED` or more common seeds, the interval is
therefore that of the paired differences; with fewer, their n - 1 degrees of freedom cost more than pairing
gains, and Welch's interval errs on the wide side.

The standardised effect is Hedges' g, with s the pooled standard deviation:

    g = J(m) d / s,    J(m) = Gamma(m / 2) / (sqrt(m / 2) Gamma((m - 1) / 2)),    m = n_a + n_r - 2

Its interval inverts the noncentral t distribution (Hedges 1981, Journal of Educational Statistics 6; Steiger
& Fouladi 1997): exact for independent normal values of equal variance.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from scipy import optimize, special, stats

from flowsim.errors import InputError

LEVEL = 0.95
"""Level of every interval; of each comparison by itself, not corrected for how many there are."""
PAIRED = 5
"""With this many common seeds or more, the interval is that of paired differences. It is then a fifth wider
than Welch's where seeds are unrelated, and narrower where they are correlated.
"""
NODES = 2000
"""Quantiles over which `noncentrality` takes a mean."""


def compare(values: xr.DataArray, reference: str, ratio: bool) -> pd.DataFrame:
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

    Returns
    -------
    DataFrame
        By network: ``n`` seeds; ``mean`` with ``mean_low``, ``mean_high``; ``effect``, the difference from
        the reference or ratio to it, with ``effect_low``, ``effect_high``; Hedges' ``g`` (of logarithms, for
        a ratio) with ``g_low``, ``g_high``; ``paired``. The bounds hold `LEVEL`. They and g are NaN where a
        network has one seed, or where seeds do not differ at all; effects are for the reference itself.

    Raises
    ------
    InputError
        If no run is of the reference, or values to be compared by ratio are not positive.
    """
    names = list(dict.fromkeys(values["network"].values.tolist()))
    if reference not in names:
        raise InputError(
            f"expected the reference to be one of the networks {', '.join(names)}; got {reference}"
        )
    if ratio and not (values.isnull() | (values > 0)).all():
        raise InputError(
            f"a ratio needs positive values; got {float(values.min()):.3g}. Compare by difference"
        )
    table = values.to_series().astype(float)
    table.index = pd.MultiIndex.from_arrays([values["network"].values, values["seed"].values])
    known = {n: np.log(table[n].dropna()) if ratio else table[n].dropna() for n in names}
    rows = {
        n: _mean(x) | (_NONE if n == reference else _effect(x, known[reference])) for n, x in known.items()
    }
    compared = pd.DataFrame.from_dict(rows, orient="index").rename_axis("network")
    if ratio:
        logarithms = compared.columns[compared.columns.str.match("mean|effect")]
        compared[logarithms] = np.exp(compared[logarithms])
    return compared


_NONE = dict.fromkeys(("effect", "effect_low", "effect_high", "g", "g_low", "g_high"), np.nan) | {
    "paired": False
}


def _mean(x: pd.Series[float]) -> dict[str, float]:
    mean = float(x.mean())
    half = _half_width(np.sqrt(_squared_error(x)), len(x) - 1)
    return {"n": len(x), "mean": mean, "mean_low": mean - half, "mean_high": mean + half}


def _effect(a: pd.Series[float], r: pd.Series[float]) -> dict[str, float]:
    """Difference between a network and the reference, with intervals and g."""
    n_a, n_r = len(a), len(r)
    m = n_a + n_r - 2
    d = float(a.mean() - r.mean())
    error_a, error_r = _squared_error(a), _squared_error(r)
    if not error_a + error_r > 0:
        return _NONE | {"effect": d}
    paired = n_a >= PAIRED and set(a.index) == set(r.index)
    if paired:
        half = _half_width(np.sqrt(_squared_error(a - r)), n_a - 1)
    else:
        freedom = (error_a + error_r) ** 2 / (error_a**2 / (n_a - 1) + error_r**2 / (n_r - 1))
        half = _half_width(np.sqrt(error_a + error_r), freedom)
    pooled = np.sqrt((a.var(ddof=0) * n_a + r.var(ddof=0) * n_r) / m)
    scale = float(np.sqrt(1 / n_a + 1 / n_r))
    low, high = noncentrality(float(d / pooled / scale), m)
    correction = np.exp(special.gammaln(m / 2) - special.gammaln((m - 1) / 2)) / np.sqrt(m / 2)
    g = {"g": float(correction * d / pooled), "g_low": low * scale, "g_high": high * scale}
    return {"effect": d, "effect_low": d - half, "effect_high": d + half, **g, "paired": paired}


def _squared_error(x: pd.Series[float]) -> float:
    """Squared standard error of the mean; NaN below two values."""
    return float(x.var()) / max(1, len(x))


def _half_width(error: float, freedom: float) -> float:
    """Half the width of an interval; NaN where seeds do not differ, which does not prove that none would."""
    return float(stats.t.ppf((1 + LEVEL) / 2, freedom) * error) if error > 0 else np.nan


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
