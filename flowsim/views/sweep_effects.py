"""Which settings of a sweep matter more than seeds do?

Each level of a swept axis is compared with one that is named before the results are seen: the level that the
experiment itself has, or else the first. A seed's value at a level is its mean over all levels of the other
axes (of logarithms, for a quantity that is compared by ratio), so that a comparison is of seeds, as in
`flowsim.effects`, and says what a setting does on average over the other ones. Where there are several
networks, each is compared with the first in the same way, over all points. All comparisons of all quantities
that have a better side are one family (Holm): where nothing matters, a sentence stands in at most 5 % of
reports.

A network that does not depend on a setting, and shows the same runs at two levels, is not compared there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from flowsim.effects import LEVEL, corrected, differences
from flowsim.experiment.schema import Experiment
from flowsim.experiment.sweep import Axis
from flowsim.views.sweep_table import as_runs, bounds_of, by_ratio, known
from flowsim.views.words import NOTHING, capital, enumerated, number, sign

NETWORKS = "the choice of network"
"""What is compared where it is no swept axis."""


@dataclass(frozen=True)
class Compared:
    """One comparison.

    Attributes
    ----------
    analysis, answer : str
    factor : str
        The name of an axis, or `NETWORKS`.
    network : str
        In which network the levels of an axis are compared.
    level, reference : str
    better : bool
    ratio : bool
    effect, low, high, p : float
        With the interval and p of all comparisons together; NaN where seeds do not tell.
    seeds : int
    averaged : bool
        Whether it is a mean over levels of other axes.
    """

    analysis: str
    answer: str
    factor: str
    network: str
    level: str
    reference: str
    better: bool
    ratio: bool
    effect: float
    low: float
    high: float
    p: float
    seeds: int
    averaged: bool

    @property
    def is_beyond_seeds(self) -> bool:
        """Whether it is larger than what seeds do."""
        return self.p <= 1 - LEVEL

    @property
    def sentence(self) -> str:
        """The comparison in words."""
        side = "better" if self.better else "worse"
        if self.factor == NETWORKS:
            what = f"{self.level} is {side} than {self.reference}"
        else:
            what = f"{self.network} is {side} at {self.factor} {self.level} than at {self.reference}"
        average = ", on average over the other settings" if self.averaged else ""
        return (
            f"{capital(self.answer)}: {what}, {sign(self.effect, self.ratio)}{number(self.effect)} "
            f"({number(self.low)} to {number(self.high)}, {self.seeds} seeds{average})."
        )


def comparisons(table: pd.DataFrame, experiment: Experiment, swept: Sequence[Axis]) -> list[Compared]:
    """Every comparison that seeds can judge, as all hold together.

    Parameters
    ----------
    table : DataFrame
        See `flowsim.views.sweep_table`.
    experiment : Experiment
    swept : sequence of Axis
    """
    judged = known(table[table.better != ""])
    networks = [name for name in experiment.networks if (judged.network == name).any()]
    family: dict[tuple[str, str, str, str], pd.DataFrame] = {}
    about: dict[tuple[str, str, str, str], tuple[pd.DataFrame, str, bool]] = {}
    for (analysis, answer), rows in judged.groupby(["analysis", "variable"], sort=False):
        rows = rows.assign(value=rows.value.where(rows.value.abs() >= NOTHING, 0.0))
        for axis_number, axis in enumerate(swept):
            reference = axis.levels[level_of(experiment, axis)].label
            for network in networks if _is_setting(axis) else []:
                found = at_levels(rows[rows.network == network], axis, axis_number, reference)
                key = (str(analysis), str(answer), axis.name, network)
                _compare(family, about, key, found, reference, len(swept) > 1)
        if len(networks) > 1:
            found = _over_points(rows, rows.network.tolist(), rows.point)
            key = (str(analysis), str(answer), NETWORKS, "")
            _compare(family, about, key, found, networks[0], True)
    every = []
    for key, numbers in corrected(family).items():
        rows, reference, averaged = about[key]
        for level, row in numbers.iterrows():
            if math.isfinite(row["p_holm"]):
                every.append(_compared(key, str(level), reference, row, str(rows.better.iloc[0]), averaged))
    return every


def _compare(
    family: dict[Any, pd.DataFrame],
    about: dict[Any, tuple[pd.DataFrame, str, bool]],
    key: tuple[str, str, str, str],
    rows: pd.DataFrame,
    reference: str,
    averaged: bool,
) -> None:
    """Add what is compared with the reference, if there is something."""
    groups = set(rows.group)
    if reference not in groups or len(groups) < 2:
        return
    family[key] = differences(as_runs(rows, rows.group.tolist()), reference, by_ratio(rows), bounds_of(rows))
    about[key] = rows, reference, averaged


def _is_setting(axis: Axis) -> bool:
    """Whether an axis sets more than how many seeds there are, which no run depends on."""
    return any(path != "seeds" for level in axis.levels for path in level.settings)


def level_of(experiment: Experiment, axis: Axis) -> int:
    """The level at which everything is as in the experiment without its sweep, or else the first."""
    content = experiment.model_dump()
    for place, level in enumerate(axis.levels):
        if all(_is_set(content, path, value) for path, value in level.settings.items()):
            return place
    return 0


def _is_set(block: Any, path: str, value: Any) -> bool:
    if not path:
        return json.dumps(block) == json.dumps(value) or (
            isinstance(block, int | float) and isinstance(value, int | float) and block == value
        )
    if not isinstance(block, Mapping):
        return False
    names = [name for name in block if path == name or path.startswith(f"{name}.")]
    return any(_is_set(block[name], path[len(name) + 1 :], value) for name in names)


def at_levels(rows: pd.DataFrame, axis: Axis, number: int, reference: str) -> pd.DataFrame:
    """One value for each seed at each level of an axis, of one answer of one network.

    Levels at which the same runs stand as at the reference are left out.
    """
    column = f"level_{number}"
    labels = rows[column].astype(int).map(lambda level: axis.levels[level].label)
    others = [name for name in rows if str(name).startswith("level_") and name != column]
    other = rows[others].astype(str).apply(",".join, axis=1) if others else pd.Series("", index=rows.index)
    runs = {label: set(zip(other[part.index], part.run, strict=True)) for label, part in rows.groupby(labels)}
    same = [label for label in runs if label != reference and runs[label] == runs.get(reference)]
    keep = ~labels.isin(same)
    return _over_points(rows[keep], labels[keep].tolist(), other[keep])


def _over_points(rows: pd.DataFrame, groups: Sequence[str], places: pd.Series[Any]) -> pd.DataFrame:
    """The mean of each seed in each group over places; of a seed that lacks one of them, nothing."""
    if rows.empty:
        return rows.assign(group=[])
    ratio = by_ratio(rows)
    values = np.log(rows.value) if ratio else rows.value
    by_seed = rows.assign(group=list(groups), place=list(places), value=values).groupby(
        ["group", "seed"], sort=False
    )
    found = by_seed.agg(
        value=("value", "mean"),
        places=("place", "nunique"),
        **{name: (name, "first") for name in ("better", "scale", "low", "high")},
    ).reset_index()
    found = found[found.places == found.groupby("group").places.transform("max")]
    return found.assign(value=np.exp(found.value) if ratio else found.value)


def _compared(
    key: tuple[str, str, str, str], level: str, reference: str, row: Any, better: str, averaged: bool
) -> Compared:
    analysis, answer, factor, network = key
    ratio, effect = bool(row["ratio"]), float(row["effect"])
    is_lower = effect < (1 if ratio else 0)
    return Compared(
        analysis=analysis,
        answer=answer,
        factor=factor,
        network=network,
        level=level,
        reference=reference,
        better=is_lower == (better == "lower"),
        ratio=ratio,
        effect=effect,
        low=float(row["effect_low_holm"]),
        high=float(row["effect_high_holm"]),
        p=float(row["p_holm"]),
        seeds=int(row["n"]),
        averaged=averaged,
    )


def lead(found: Sequence[Compared], swept: Sequence[Axis]) -> str:
    """What a report on a sweep opens with: which settings matter in how many quantities, and which do not."""
    if not found:
        return (
            "Which settings matter more than seeds do cannot be said: no quantity that has a better side has "
            "two seeds that differ, at two levels of a setting."
        )
    parts, without = [], []
    for factor in [*(axis.name for axis in swept), NETWORKS]:
        own = [one for one in found if one.factor == factor]
        if not own:
            continue
        asked = {(one.analysis, one.answer) for one in own}
        moved = {(one.analysis, one.answer) for one in own if one.is_beyond_seeds}
        if moved:
            networks = dict.fromkeys(one.network for one in own if one.is_beyond_seeds and one.network)
            of_which = f" ({enumerated(list(networks))})" if networks else ""
            parts.append(f"{factor} matters in {len(moved)} of {len(asked)} quantities{of_which}")
        else:
            without.append(factor)
    count = sum(one.is_beyond_seeds for one in found)
    same = f"{enumerated(without)} cannot be told from what seeds do" if without else ""
    if not parts:
        return f"Of {len(found)} comparisons, none is larger than what seeds do: {same}."
    ending = f"; {same}" if same else ""
    return (
        f"Beyond what seeds do, {enumerated(parts)}{ending}. {count} of {len(found)} comparisons, tested "
        f"together, {'is' if count == 1 else 'are'} larger."
    )


def sizes(table: pd.DataFrame, swept: Sequence[Axis]) -> list[dict[str, Any]]:
    """How far each setting moves each quantity of each network, beside what seeds do: a description.

    Returns
    -------
    list of dict
        ``answer``, ``network``, ``moved`` (by axis: the largest mean over the smallest for a ratio, or else
        their difference) and ``seeds`` (the factor, or the amount, of one standard deviation over seeds,
        pooled over points; NaN for one seed).
    """
    rows_of: list[dict[str, Any]] = []
    for (analysis, answer, network), rows in known(table).groupby(
        ["analysis", "variable", "network"], sort=False
    ):
        ratio = by_ratio(rows)
        values = np.log(rows.value) if ratio else rows.value
        within = values.groupby(rows.point, sort=False)
        freedom = (within.count() - 1).sum()
        spread = math.sqrt(((within.var() * (within.count() - 1)).sum()) / freedom) if freedom else math.nan
        moved = {}
        for number_of_axis, axis in enumerate(swept):
            means = values.groupby(rows[f"level_{number_of_axis}"]).mean()
            moved[axis.name] = float(means.max() - means.min())
        back = math.exp if ratio else float
        rows_of.append(
            {
                "analysis": str(analysis),
                "answer": str(answer),
                "network": str(network),
                "ratio": ratio,
                "moved": {name: back(value) for name, value in moved.items()},
                "seeds": back(spread) if math.isfinite(spread) else math.nan,
            }
        )
    return rows_of
