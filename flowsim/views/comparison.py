"""What differs between the results of two experiments, or of one at two commits, beyond the luck of seeds?

Every answer of every network that both have is compared over seeds (`flowsim.effects`): by ratio where errors
differ by factors, paired from five common seeds on. All comparisons are one family (Holm): were the two alike
but for their seeds, anything would move in at most 5 % of cases.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flowsim.effects import LEVEL, corrected, differences
from flowsim.errors import CannotJudge, InputError
from flowsim.experiment.chain import difference
from flowsim.experiment.places import from_json, run_in
from flowsim.files.netcdf import read_attributes
from flowsim.files.results import answers_of, every_run, side_by_side
from flowsim.views.sweep_table import about_answer, as_runs, bounds_of, by_ratio
from flowsim.views.words import NOTHING, number, sign

MOVED = ("better", "worse", "moved")
COLUMNS = ("analysis", "answer", "network", "n_a", "n_b", "a", "b", "effect", "low", "high", "p", "verdict")


@dataclass(frozen=True)
class Side:
    """The results in one folder.

    Attributes
    ----------
    folder : Path
    table : DataFrame
        A row for each answer of each run: ``analysis``, ``answer``, ``network``, ``seed``, ``value`` and what
        `flowsim.views.sweep_table` says of an answer.
    settings : dict of str to dict
        Specification and stimulus of each analysis.
    unjudged : dict of str to str
        Results that could not be judged, and why.
    origin : str
        Commits and version of flowsim.
    """

    folder: Path
    table: pd.DataFrame
    settings: dict[str, dict[str, Any]]
    unjudged: dict[str, str]
    origin: str


def folder_of(given: Path) -> Path:
    """The folder of results that a person means: itself, or that of an experiment file.

    Raises
    ------
    InputError
        If it holds no results.
    """
    folder = given if given.is_dir() else Path("results") / given.stem
    if not any(folder.glob("analyses/*/*.h5")):
        raise InputError(
            f"{given}: expected an experiment that was run, or a folder of results (results/<experiment>); "
            f"{folder} has no analyses. Run it, or check the path"
        )
    return folder


def side(folder: Path) -> Side:
    """Read all answers in a folder of results.

    Raises
    ------
    InputError
        If results are damaged, or those of one analysis do not go together.
    """
    rows: list[dict[str, Any]] = []
    settings: dict[str, dict[str, Any]] = {}
    unjudged: dict[str, str] = {}
    origins: dict[str, None] = {}
    for of_analysis in sorted(path for path in (folder / "analyses").iterdir() if path.is_dir()):
        analysis = of_analysis.name
        by_stimulus: dict[str, list[Path]] = {}
        for path in sorted(of_analysis.glob("*.h5")):
            by_stimulus.setdefault(path.stem.removeprefix(run_in(path.stem)), []).append(path)
        for shown, paths in by_stimulus.items():
            every = every_run(paths)
            for path, why in zip(paths, every.refused.values.tolist(), strict=True):
                unjudged |= {f"{analysis} of {path.stem}": why} if why else {}
                attrs = read_attributes(path, "analysis")
                settings.setdefault(f"{analysis}{shown}", _settings(attrs))
                origins[_origin(attrs)] = None
            try:
                answers = answers_of(analysis, side_by_side(paths, analysis))
            except CannotJudge:
                continue
            for label, values in answers.items():
                about = about_answer(values) | {"analysis": analysis, "answer": label}
                for network, seed, value in zip(
                    values["network"].values, values["seed"].values, values.values, strict=True
                ):
                    rows.append(
                        about | {"network": f"{network}{shown}", "seed": str(seed), "value": float(value)}
                    )
    columns = ["analysis", "answer", "network", "seed", "value", "units", "better", "scale", "low", "high"]
    first, *others = sorted(origins)
    origin = f"{first}, and {len(others)} other{'s' * (len(others) > 1)}" if others else first
    return Side(folder, pd.DataFrame(rows, columns=columns), settings, unjudged, origin)


def _settings(attrs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: from_json(attrs.get(name)) for name in ("specification", "stimulus")}


def _origin(attrs: Mapping[str, Any]) -> str:
    """Commit and version of flowsim that made a file."""
    commit = str(attrs.get("commit", "")) or "unknown"
    version = from_json(attrs.get("versions")).get("flowsim", "")
    return f"commit {commit[:12]}{', dirty' * commit.endswith('dirty')}, flowsim {version}"


def compared(a: Side, b: Side) -> pd.DataFrame:
    """Every answer of both, in the order of the first.

    Returns
    -------
    DataFrame
        ``analysis``, ``answer``, ``network``; ``n_a``, ``n_b`` seeds; means ``a``, ``b`` (geometric where
        compared by ratio); ``effect`` of the second against the first, with ``low``, ``high`` and ``p`` of
        all comparisons together; and the ``verdict``.
    """
    key = ["analysis", "answer", "network"]
    both = pd.concat([a.table.assign(side="a"), b.table.assign(side="b")]).dropna(subset="value")
    family: dict[tuple[str, str, str], pd.DataFrame] = {}
    values: dict[tuple[str, str, str], pd.DataFrame] = {}
    for name, rows in both.groupby(key, sort=False):
        analysis, answer, network = (str(part) for part in name)
        rows = rows.assign(value=rows.value.where(rows.value.abs() >= NOTHING, 0.0))
        values[analysis, answer, network] = rows
        if rows.side.nunique() == 2 and not _is_as_before(rows):
            family[analysis, answer, network] = differences(
                as_runs(rows, rows.side.tolist()), "a", by_ratio(rows), bounds_of(rows)
            )
    judged = corrected(family)
    found = []
    for of, rows in values.items():
        row: dict[str, Any] = dict(zip(key, of, strict=True))
        for one in ("a", "b"):
            own = rows[rows.side == one].value.to_numpy()
            row |= {f"n_{one}": len(own), one: _mean(own, by_ratio(rows))}
        if of in judged:
            numbers: Any = judged[of].to_dict("index")["b"]
            row |= {"effect": numbers["effect"], "p": numbers["p_holm"], "ratio": numbers["ratio"]}
            row |= {"low": numbers["effect_low_holm"], "high": numbers["effect_high_holm"]}
        row["verdict"] = _verdict(rows, row)
        found.append(row)
    return pd.DataFrame(found, columns=[*COLUMNS, "ratio"])


def _mean(values: np.ndarray, ratio: bool) -> float:
    if not len(values):
        return math.nan
    return float(np.exp(np.log(values).mean()) if ratio else values.mean())


def _verdict(rows: pd.DataFrame, row: Mapping[str, Any]) -> str:
    """What is said of an answer: "better", "worse" or "moved" beyond its interval, "as before" to rounding,
    "not told apart" from the luck of seeds, "differs" without seeds that could tell, or only on one side.
    """
    if not row["n_a"] or not row["n_b"]:
        return f"only in {'A' if row['n_a'] else 'B'}"
    if _is_as_before(rows):
        return "as before"
    if not math.isfinite(row["p"]):
        return "differs (no seeds to tell)"
    if row["p"] > 1 - LEVEL:
        return "not told apart"
    better = rows.better.iloc[0]
    is_lower = row["effect"] < (1 if row["ratio"] else 0)
    return "moved" if not better else "better" if is_lower == (better == "lower") else "worse"


def _is_as_before(rows: pd.DataFrame) -> bool:
    """Whether both have the same seeds, with the same values to rounding."""
    by_seed: list[dict[str, float]] = [
        dict(zip(rows.seed[rows.side == one], rows.value[rows.side == one], strict=True))
        for one in ("a", "b")
    ]
    first, second = by_seed
    return first.keys() == second.keys() and all(
        math.isclose(first[seed], second[seed], rel_tol=NOTHING) for seed in first
    )


def mismatches(a: Side, b: Side) -> list[str]:
    """A line for each thing in which the two are not of the same kind."""
    lines = []
    for name in dict.fromkeys([*a.settings, *b.settings]):
        if name not in a.settings or name not in b.settings:
            lines.append(f"{name} is only in {'A' if name in a.settings else 'B'}")
            continue
        for what, words in (("specification", "settings"), ("stimulus", "stimuli")):
            differs = difference(a.settings[name][what], b.settings[name][what])
            if differs:
                lines.append(f"{words} of {name} differ in B: {differs}")
    for label, one in (("A", a), ("B", b)):
        if one.unjudged:
            first, why = next(iter(one.unjudged.items()))
            others = f", and {len(one.unjudged) - 1} more" if len(one.unjudged) > 1 else ""
            lines.append(f"could not be judged in {label}: {first} ({why}){others}")
    return lines


def in_words(a: Side, b: Side, found: pd.DataFrame) -> str:
    """The comparison as text for a terminal: where it is from, a table, and what moved."""
    lines = [f"A: {a.folder.as_posix()} ({a.origin})", f"B: {b.folder.as_posix()} ({b.origin})"]
    lines += mismatches(a, b)
    cells = [["analysis", "answer", "network", "A", "B", "B against A", ""]]
    cells += [_cells(row) for row in found.to_dict("records")]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines.append("")
    lines += [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    return "\n".join([*lines, "", conclusion(found)])


def _cells(row: Mapping[Any, Any]) -> list[str]:
    means = [number(row[one]) if row[f"n_{one}"] else "-" for one in ("a", "b")]
    effect = ""
    if math.isfinite(row["effect"]):
        effect = f"{sign(row['effect'], bool(row['ratio']))}{number(row['effect'])}"
        if math.isfinite(row["low"]):
            effect += f" ({number(row['low'])} to {number(row['high'])})"
    return [row["analysis"], row["answer"], row["network"], *means, effect, row["verdict"]]


def conclusion(found: pd.DataFrame) -> str:
    """How many answers moved, in a sentence."""
    common = found[~found.verdict.str.startswith("only")]
    if common.empty:
        return "Nothing can be compared: no answer of a network is in both."
    moved = int(common.verdict.isin(MOVED).sum())
    same, differing = (
        int((common.verdict == word).sum()) for word in ("as before", "differs (no seeds to tell)")
    )
    parts = [f"{moved} of {len(common)} answers moved beyond the interval of all comparisons together"]
    parts += [
        f"{same} are as before" * bool(same),
        f"{differing} differ without seeds to tell" * bool(differing),
    ]
    return f"{'; '.join(part for part in parts if part)}."


def as_csv(found: pd.DataFrame) -> pd.DataFrame:
    """The columns that a file has."""
    return found[[*COLUMNS]]
