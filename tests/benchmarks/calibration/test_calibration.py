"""Counts go from a test to the table of docs/calibration.md, with the verdict that the tests give."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.calibration.figure_of_calibration import draw, label
from benchmarks.calibration.table import KEY, counted, judged, read
from flowsim import ideas
from tests.known.calibration import Calibration

DOCS = Path(__file__).parents[3] / "docs"
OUTSIDE = "## What is not as stated"


def counts(count, level=0.05, simulations=200, claim="p", **names):
    named = {"analysis": "a", "variable": "p", "part": "", "null": "noise", "test": "t"} | names
    return {**named, "claim": claim, "level": level, "simulations": simulations, "count": count}


@pytest.mark.parametrize(
    ("count", "level", "verdict"),
    [
        *(
            (10, 0.05, "as stated"),
            (21, 0.05, "as stated"),
            (22, 0.05, "more often"),
            (1, 0.05, "less often"),
        ),
        *((190, 0.95, "as stated"), (178, 0.95, "less often"), (199, 0.95, "more often")),
    ],
)
def test_verdicts_are_those_of_a_binomial(count, level, verdict):
    (row,) = judged(pd.DataFrame([counts(count, level)])).itertuples()
    assert row.verdict == verdict
    assert row.low <= row.rate <= row.high


def test_a_later_count_replaces_an_earlier_one_of_the_same():
    table = judged(pd.DataFrame([counts(1), counts(2, null="other"), counts(3)]))
    assert table[["null", "count"]].values.tolist() == [["noise", 3], ["other", 2]]


def test_counts_come_through_the_report_of_pytest(tmp_path):
    written = []
    calibration = Calibration(lambda name, value: written.append((name, value)))
    p = np.array([[0.01, 0.5], [0.5, np.nan], [0.6, 0.7]])
    calibration.p_values("a", "p", p, "noise", ["one", "two"], levels=(0.05, 0.01))
    calibration.intervals("a", "r_low", [-1, -1, 1], 0, [1, 1, 2], "signal")
    report = tmp_path / "report.xml"
    properties = "".join(f"<property name='{n}' value='{v}'/>" for n, v in written)
    report.write_text(
        f"<x><testcase classname='c' name='n'><properties>{properties}</properties></testcase></x>"
    )
    found = list(counted(report))
    assert [(row["part"], row["level"], row["simulations"], row["count"]) for row in found] == [
        ("one", 0.05, 3, 1),
        ("two", 0.05, 2, 0),
        ("one", 0.01, 3, 1),
        ("two", 0.01, 2, 0),
        ("", 0.95, 3, 2),
    ]
    assert {row["test"] for row in found} == {"c::n"}


def test_claims_that_do_not_hold_are_counted_and_fail():
    written = []
    calibration = Calibration(lambda name, value: written.append(json.loads(value)))
    with pytest.raises(AssertionError, match="'a', 'p', '', 'noise'"):
        calibration.p_values("a", "p", np.full(50, 0.01), "noise")
    with pytest.raises(AssertionError, match="'r_low', 'noise'"):
        calibration.intervals("a", "r_low", np.ones(50), 0, np.full(50, 2), "noise")
    assert [row["count"] for row in written] == [50, 0]


def test_rows_are_called_by_what_they_are_of():
    assert label("r2_low", "roll") == "r2, roll"
    assert label("low", "identity") == label("interval", "identity") == "identity"
    assert label("error_interval", "") == "error"
    assert label("sem_trained", "MSE") == label("low_trained", "MSE") == "trained, MSE"


def test_the_figure_is_that_of_the_table(tmp_path):
    """The same bytes, also when it is drawn again."""
    for name in ("one.svg", "two.svg"):
        draw(read(DOCS / "calibration.csv"), tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    shown = [
        re.findall(r"<text[^>]*>([^<]*)</text>", f.read_text())
        for f in (tmp_path / "one.svg", DOCS / "calibration.svg")
    ]
    assert shown[0] == shown[1]


def is_stated(variable):
    """Whether a variable of results is a p-value, or an end or a half of an interval."""
    if variable.startswith(("chance", "own_chance")):
        return False
    first, last = variable.split("_")[0], variable.split("_")[-1]
    return last in ("p", "low", "interval", "adjusted") or first in ("low", "sem")


@pytest.mark.parametrize("analysis", ideas.names("analysis"))
def test_every_p_value_and_interval_has_its_simulation(analysis, results_of):
    """By its name in the results."""
    table = read(DOCS / "calibration.csv")
    counted_of = set(table.variable[table.analysis == analysis])
    results = results_of(ideas.load("analysis", analysis))
    stated = {name for name in map(str, results.data_vars) if is_stated(name)}
    assert stated <= counted_of


def test_the_page_names_what_is_not_as_stated():
    page = (DOCS / "calibration.md").read_text()
    table = read(DOCS / "calibration.csv")
    section = page.partition(OUTSIDE)[2]
    for row in table[table.verdict != "as stated"].itertuples():
        assert f"`{row.analysis}`" in section, row[: len(KEY) + 1]
        assert f"`{row.variable}`" in section, row[: len(KEY) + 1]
