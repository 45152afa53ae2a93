"""Every published number and statement against what was measured: met, missed, or not run."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from flowsim.effects import ROBUST, differences, interquartile_interval, interquartile_mean, smallest_effect
from flowsim.measures.predictors import PREDICTORS

HOLDS = 1.25
"""An error that grows by less than this factor is said to hold."""
SILENT = 0.9
"""A network whose error is this share of that of the mean frame has predicted nothing."""
MULTIPLES = (1, 2, 4, 7, 10)
"""Multiples of the trained horizon at which the error of a rollout is reported, as far as it goes."""
SPEED = "sequences_to_grnn"
"""Measure of how many sequences a network needs for the G-RNN's final error."""
NOVEL = "mse_novel"
"""Measure of the error at velocities that were not trained."""
FAR = 2.0
"""A control whose error is larger by this factor has lost what the law gives."""
CONTROLS = {
    "accuracy_intact": "by motion and posture",
    "accuracy_reversed": "postures reversed",
    "accuracy_shuffled": "postures shuffled",
    "accuracy_one_posture": "one posture, the camera moves",
    "accuracy_one_frame": "one frame",
    "readout_one_frame": "a linear readout of one frame",
    "readout_frames_without_order": "of frames without order",
}
"""Accuracies where motion is taken away, and their columns."""
STATED = ("grnn", "grnn_gru", "fernn_part", "fernn", "fernn_gru")
"""Networks that published statements are about, and the same with gates."""


def number(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}"


def as_factor(value: float) -> str:
    """Two digits, and no power of ten."""
    return f"{value:.2g}" if value < 100 else f"{value:.0f}"


def measured(value: float) -> str:
    """Three digits, or nothing where an experiment does not measure it."""
    return number(value) if math.isfinite(value) else ""


def spread(values: pd.Series[float]) -> str:
    """Mean and standard deviation over seeds, how many there are, and from five on the interquartile mean."""
    if len(values) == 1:
        return f"{number(values.mean())} (1 seed)"
    text = f"{number(values.mean())} ± {values.std():.1g} ({len(values)} seeds)"
    known = values.to_numpy()
    if len(known) < ROBUST or not np.isfinite(known).all() or np.ptp(known) == 0:
        return text
    low, high = interquartile_interval(known)
    return f"{text}, interquartile mean {number(interquartile_mean(known))} ({number(low)} to {number(high)})"


def over_seeds(table: pd.DataFrame, experiment: str, measure: str) -> xr.DataArray:
    """Values (run) of all networks of an experiment, with their ``network`` and ``seed``."""
    rows = table[(table.experiment == experiment) & (table.measure == measure)]
    coords = {"network": ("run", rows.network.to_numpy()), "seed": ("run", rows.seed.to_numpy())}
    return xr.DataArray(rows.value.to_numpy(float), coords, "run")


def rows_of(table: pd.DataFrame, experiment: str, network: str, measure: str) -> pd.DataFrame:
    """The rows of one network in one experiment, of one measure; one per seed."""
    return table[(table.experiment == experiment) & (table.network == network) & (table.measure == measure)]


def reference_of(table: pd.DataFrame, experiment: str) -> str:
    """The network that others are compared with: the FERNN, or that with gates if it alone was run; or ""."""
    run = (name for name in ("fernn", "fernn_gru") if not rows_of(table, experiment, name, "mse").empty)
    return next(run, "")


def diverged(*measurements: pd.Series[float]) -> str:
    """A verdict on runs of which some gave no number; "" where all did."""
    values = pd.concat(measurements)
    lost = int((~values.map(math.isfinite)).sum())
    return f"no number in {lost} of {len(values)} measurements: diverged" if lost else ""


def origin(rows: pd.DataFrame) -> dict[str, str]:
    """Where a measurement comes from, in words."""
    fewest, most = min(rows.sequences), max(rows.sequences)
    return {
        "sequences": f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}",
        "partial": "partial" if rows.partial.any() else "",
        "minutes": f"{rows.minutes.astype(float).mean():.0f}",
        "hardware": ", ".join(dict.fromkeys(rows.hardware)),
        "date": max(rows.date),
        "commit": ", ".join(dict.fromkeys(rows.commit)),
    }


def judged(table: pd.DataFrame, row: dict[str, Any]) -> dict[str, Any]:
    """One published number with ours and a verdict."""
    measured = rows_of(table, row["experiment"], row["network"], row["measure"])
    about = {**row, "published": f"{row['value']:g} ± {row['spread']:g}", "ours": "", "from": None}
    if measured.empty:
        return {**about, "verdict": "not run"}
    about["from"] = origin(measured)
    if lost := diverged(measured.value):
        return {**about, "verdict": lost}
    sign = 1 if row["better"] == "lower" else -1
    excess = sign * (measured.value.mean() - row["value"])
    if excess < -row["spread"]:
        verdict = "beaten"
    elif excess <= row["spread"]:
        verdict = "met"
    else:
        verdict = "missed"
    if measured.partial.any():
        verdict += f" so far: partial, {', '.join(dict.fromkeys(filter(None, measured.partial)))}"
    return {**about, "ours": spread(measured.value), "verdict": verdict}


def ordering(table: pd.DataFrame, experiment: str, says: str, measure: str) -> dict[str, str] | None:
    """Whether networks come in the published order; None where they were not run."""
    names = says.split(" > ")
    values = {name: rows_of(table, experiment, name, measure).value for name in names}
    if any(over_seeds.empty for over_seeds in values.values()):
        return None
    if lost := diverged(*values.values()):
        return {"ours": "", "verdict": lost}
    order = sorted(names, key=lambda name: -values[name].mean())
    verdict = "as published" if order == names else f"not as published: {' > '.join(order)}"
    if any(len(over_seeds) > 1 for over_seeds in values.values()):
        apart = all(values[worse].min() > values[better].max() for worse, better in pairwise(order))
        verdict += "; seeds do not overlap" if apart else "; seeds overlap"
    return {"ours": ", ".join(f"{name} {spread(values[name])}" for name in order), "verdict": verdict}


def growth(table: pd.DataFrame, experiment: str, over: list[str]) -> dict[str, str] | None:
    """By which factor each network's error grows from one measure to the other; None where it was not run.

    Judged is the FERNN with the lower error at the end, with gates or without, against the G-RNN.
    """
    first, second = over
    before, after = (
        {name: rows_of(table, experiment, name, measure).set_index("seed").value for name in STATED}
        for measure in (first, second)
    )
    names = [name for name in STATED if len(before[name]) and len(after[name])]
    # at novel velocities the plain one alone: the velocities of a part are not those beyond it
    candidates = [name for name in names if name == "fernn" or (name.startswith("fernn") and second != NOVEL)]
    if "grnn" not in names or not candidates:
        return None
    if lost := diverged(*(values[name] for name in names for values in (before, after))):
        return {"ours": "", "verdict": lost}
    factor = {name: float((after[name] / before[name]).mean()) for name in names}
    ours = [
        f"{name} {number(before[name].mean())} to {number(after[name].mean())} (× {factor[name]:.2g})"
        for name in names
    ]
    best = min(candidates, key=lambda name: after[name].mean())
    holds, grows = factor[best] < HOLDS, factor["grnn"] >= HOLDS
    times = after["grnn"].mean() / after[best].mean()
    verdict = "as published" if holds and grows and times > 1 else "not as published"
    verdict += (
        f": {best} {'holds' if holds else 'does not hold'}, grnn {'grows' if grows else 'does not grow'}"
    )
    mean_frame = rows_of(table, experiment, "grnn", "mse_mean").value.mean()
    if before["grnn"].mean() > SILENT * mean_frame:
        verdict += ", which from the start has the error of the mean frame or nearly"
    verdict += f"; at the end grnn has {times:.2g} times the error of {best}"
    return {"ours": ", ".join(ours), "verdict": verdict}


def speed(table: pd.DataFrame, experiment: str) -> dict[str, str] | None:
    """How many sequences each network needs for the G-RNN's final error; None where it was not run."""
    needed = {name: rows_of(table, experiment, name, SPEED).value for name in STATED}
    names = [name for name in STATED if len(needed[name])]
    if not {"grnn", "fernn"} <= set(names):
        return None
    ours = ", ".join(f"{name} {_reached(needed[name])}" for name in names)
    if needed["fernn"].isna().any():
        return {"ours": ours, "verdict": "not as published: fernn does not reach it in every seed"}
    if needed["grnn"].isna().all():
        return {"ours": ours, "verdict": "no verdict: no seed of grnn reaches it"}
    times = needed["grnn"].mean() / needed["fernn"].mean()
    at_least = "at least " if needed["grnn"].isna().any() else ""
    verdict = "as published" if times > 1 else "not as published"
    return {
        "ours": ours,
        "verdict": f"{verdict}: grnn needs {at_least}{times:.2g} times the sequences of fernn",
    }


def _reached(sequences: pd.Series[float]) -> str:
    """Mean of the sequences that seeds needed, and how many of them reached the goal."""
    known = sequences.dropna()
    of = f"{len(known)} of {len(sequences)}" if len(known) < len(sequences) else f"{len(known)}"
    seeds = "seed" if len(sequences) == 1 else "seeds"
    return f"{known.mean():,.0f} ({of} {seeds})" if len(known) else f"never (0 of {len(sequences)} {seeds})"


def ratio(
    table: pd.DataFrame, experiment: str, over: list[str], measure: str, at_least: float
) -> dict[str, str] | None:
    """Whether the error of the first network is so many times that of the second, by the interval of the
    ratio of geometric means over seeds; None where they were not run.
    """
    first, second = over
    rows = [rows_of(table, experiment, name, measure) for name in over]
    if any(of_network.empty for of_network in rows):
        return None
    if lost := diverged(*(of_network.value for of_network in rows)):
        return {"ours": "", "verdict": lost}
    both = pd.concat(rows)
    values = xr.DataArray(
        both.value.to_numpy(float),
        {"network": ("run", both.network.to_numpy()), "seed": ("run", both.seed.to_numpy())},
        dims="run",
    )
    found = differences(values, second, ratio=True).loc[[first]].iloc[0].to_dict()
    times, low, high = (found[name] for name in ("effect", "effect_low", "effect_high"))
    ours = [f"{name} {spread(of_network.value)}" for name, of_network in zip(over, rows, strict=True)]
    interval = "" if math.isnan(low) else f" (95 % interval {number(low)} to {number(high)})"
    if low >= at_least:
        verdict = f"at least {at_least:g} times"
    elif high < at_least:
        verdict = f"less than {at_least:g} times"
    else:
        verdict = f"these seeds do not say whether it is {at_least:g} times"
    if low <= 1 <= high:
        verdict += "; nor that there is any difference"
    return {"ours": f"{', '.join(ours)}; ratio {number(times)}{interval}", "verdict": verdict}


def stated(table: pd.DataFrame, row: dict[str, Any]) -> list[dict[str, Any]]:
    """One published statement, judged in each experiment that asks it."""
    judgements = []
    networks = row["over"] if row["kind"] == "ratio" else STATED
    for experiment in row["experiments"]:
        if row["kind"] == "ordering":
            judgement = ordering(table, experiment, row["says"], row["measure"])
        elif row["kind"] == "speed":
            judgement = speed(table, experiment)
        elif row["kind"] == "ratio":
            judgement = ratio(table, experiment, row["over"], row["measure"], row["at_least"])
        else:
            judgement = growth(table, experiment, row["over"])
        if judgement is None:
            judgement = {"ours": "", "verdict": "not run"}
        elif table[(table.experiment == experiment) & table.network.isin(networks)].partial.any():
            judgement["verdict"] += "; partial"
        judgements.append({**row, "experiment": experiment, **judgement})
    return judgements


def compared(table: pd.DataFrame, experiment: str, controls: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Every network of an experiment against `reference_of` it, with the sequences that each has seen."""
    first = reference_of(table, experiment)
    reference = rows_of(table, experiment, first, "mse")
    finite = over_seeds(table, experiment, "mse")
    effects = differences(finite.where(np.isfinite(finite)), first, ratio=True)
    says = {row["network"]: row["says"] for row in controls}
    rows = []
    for name in dict.fromkeys(table[table.experiment == experiment].network):
        errors = rows_of(table, experiment, name, "mse")
        means = {
            measure: rows_of(table, experiment, name, measure).value.astype(float).mean()
            for measure in ("mse_1h", "mse_7h", "law_error", "best_law_error")
        }
        law = means["law_error"]
        no_probe = rows_of(table, experiment, name, "best_law_error").empty
        effect = effects.loc[name]
        ratio = 1.0 if name == first else effect.effect if np.isfinite(errors.value).all() else math.nan
        verdict = "" if name == first else against_reference(ratio)
        if math.isfinite(effect.effect_low) and effect.effect_low <= 1 <= effect.effect_high:
            verdict += ", not told from 1"
        if math.isfinite(ratio) and set(errors.sequences) != set(reference.sequences):
            verdict += ", on other sequences seen"
        rows.append(
            {
                "network": name,
                "says": says.get(name, ""),
                "parameters": f"{int(errors.parameters.iloc[0]):,}",
                "mse": spread(errors.value),
                "ratio": f"{ratio:.2g}{interval_of(effect)}",
                "mse_1h": measured(means["mse_1h"]),
                "mse_7h": measured(means["mse_7h"]),
                "law": "" if no_probe else "no partner" if math.isnan(law) else number(law),
                "best": measured(means["best_law_error"]),
                "verdict": verdict if math.isfinite(ratio) else "diverged",
                "from": origin(errors),
            }
        )
    return rows


def unlearned(table: pd.DataFrame, experiment: str, tracked: str | None) -> list[dict[str, str]]:
    """Errors over the trained horizon of what learns nothing, and how many times that of the reference.

    Also of the G-RNN of the experiment ``tracked``, before whom one object stands still.
    """
    first = reference_of(table, experiment)
    reference = rows_of(table, experiment, first, "mse").value.mean()
    errors = {name: rows_of(table, experiment, first, f"mse of {name}").value for name in PREDICTORS}
    if tracked:
        errors["`grnn`, one object tracked (oracle)"] = rows_of(table, tracked, "grnn", "mse").value
    return [
        {"predictor": name, "mse": number(over.mean()), "ratio": as_factor(over.mean() / reference)}
        for name, over in errors.items()
        if len(over)
    ]


def parts(table: pd.DataFrame, experiment: str, adds: dict[str, str]) -> list[dict[str, Any]]:
    """What each part of a training does, network by network; the first name of a family has none of them.

    ``adds`` says what is added, by the ending of a network's name; a family is what is before it.
    """
    values = over_seeds(table, experiment, "mse")
    finite = values.where(np.isfinite(values))
    rows = []
    for name in dict.fromkeys(table[table.experiment == experiment].network):
        errors = rows_of(table, experiment, name, "mse")
        ending = next((end for end in adds if end and name.endswith(f"_{end}")), "")
        plain = name.removesuffix(f"_{ending}")
        if name == plain:
            ratio = "1"
        elif not np.isfinite([*errors.value, *rows_of(table, experiment, plain, "mse").value]).all():
            ratio = "diverged"
        else:
            effect = differences(finite, plain, ratio=True).loc[name]
            ratio = f"{effect.effect:.2g}{interval_of(effect)}"
        later = [rows_of(table, experiment, name, f"mse_{n}h").value.astype(float).mean() for n in MULTIPLES]
        rows.append(
            {
                "network": name,
                "adds": adds[ending],
                "mse": spread(errors.value),
                "ratio": ratio,
                "later": [number(mean) for mean in later],
                "minutes": origin(errors)["minutes"],
            }
        )
    return rows


def smallest_ratio(table: pd.DataFrame, experiment: str) -> str:
    """Which ratio of test MSE to that of the reference the seeds can tell from 1; "" if none."""
    values = over_seeds(table, experiment, "mse")
    known = values.where(np.isfinite(values))
    ratio = smallest_effect(known, reference_of(table, experiment), ratio=True)
    if math.isnan(ratio):
        return ""
    counts = known.groupby("network").count().values
    several = sorted({int(n) for n in counts if n > 1})
    seeds = str(several[0]) if len(several) == 1 else f"{several[0]} to {several[-1]}"
    return (
        f"With {seeds} seeds the smallest ratio that can be told from 1 is {ratio:.3g} or {1 / ratio:.3g} "
        "(Welch's test at 5 %, in 80 % of experiments whose seeds spread as these)."
    )


def interval_of(effect: pd.Series) -> str:
    """The interval of a ratio in brackets, "" if too few seeds have none."""
    if not math.isfinite(effect.effect_low):
        return ""
    return f" ({effect.effect_low:.2g} to {effect.effect_high:.2g})"


def against_reference(ratio: float) -> str:
    """A word for so many times the error of the reference."""
    if ratio < 1:
        return "better"
    return "close" if ratio < FAR else "far"


def accuracies(table: pd.DataFrame, experiment: str) -> list[dict[str, Any]]:
    """Every network of an experiment that names actions: accuracy in all, and by speed of the camera."""
    rows = []
    for name in dict.fromkeys(table[table.experiment == experiment].network):
        accuracy = rows_of(table, experiment, name, "accuracy")
        by_speed = [rows_of(table, experiment, name, f"accuracy_speed_{s}").value.mean() for s in (0, 1, 2)]
        rows.append(
            {
                "network": name,
                "parameters": f"{int(accuracy.parameters.iloc[0]):,}",
                "from": origin(accuracy),
                "accuracy": spread(accuracy.value),
                "speeds": [number(mean) for mean in by_speed],
                "controls": {
                    measure: measured(rows_of(table, experiment, name, measure).value.astype(float).mean())
                    for measure in CONTROLS
                },
            }
        )
    return rows
