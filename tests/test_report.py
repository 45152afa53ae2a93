"""The report opens with the numbers, names the best, and needs nothing from outside."""

import numpy as np
import pytest
import xarray as xr

from flowsim import InputError
from flowsim.report import _benchmarks, _cell, _number, _row, page


def values(**by_network):
    names = [name for name, numbers in by_network.items() for _ in numbers]
    return xr.DataArray(np.concatenate(list(by_network.values())), dims="run", coords={"network": ("run", names)})


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.00912, "0.00912"), (0.1, "0.100"), (12.34, "12.3"), (9600, "9,600"), (1.234e-7, "1.23e-07")],
)
def test_numbers(value, text):
    assert _number(value) == text


def test_cells_give_mean_and_spread():
    assert _cell(0.5, 0.1) == "0.500 ± 0.100"
    assert _cell(0.5, np.nan) == "0.500"
    assert _cell(np.nan, np.nan) == "does not apply"


def test_the_best_is_marked_and_the_difference_told():
    row = _row("test MSE", values(a=[1.0, 3.0], b=[8.0, 12.0], c=[np.nan, np.nan]), ["a", "b", "c"])
    assert [cell["text"] for cell in row["cells"]] == ["2.00 ± 1.41", "10.0 ± 2.8", "does not apply"]
    assert [cell["best"] for cell in row["cells"]] == [True, False, False]
    assert row["sentence"] == "Test MSE: lowest for a (2.00), 5.0 times lower than for b (10.0)."


def test_ties_are_all_best_and_small_differences_are_not_told():
    row = _row("error", values(a=[0.0], b=[0.0], c=[1.0]), ["a", "b", "c"])
    assert [cell["best"] for cell in row["cells"]] == [True, True, False]
    assert row["sentence"] == "Error: lowest for a (0), lower than for c (1.00)."
    assert _row("error", values(a=[1.0], b=[1.2]), ["a", "b"])["sentence"] == ""
    alone = _row("error", values(a=[1.0]), ["a"])
    assert not alone["cells"][0]["best"]


def test_benchmarks_are_summed_by_rule(tmp_path):
    for run, seconds in (("a", 10), ("b", 30)):
        (tmp_path / "train").mkdir(exist_ok=True)
        (tmp_path / "train" / f"{run}.tsv").write_text(
            f"s\th:m:s\tmax_rss\n{seconds}\t0:00:{seconds}\t{seconds * 10}.0\n"
        )
    assert _benchmarks(tmp_path, ["a", "b"]) == [
        {"rule": "train", "jobs": 2, "seconds": "40", "longest": "30", "memory": "300"}
    ]
    assert _benchmarks(tmp_path / "none", []) == []


def test_missing_results_are_told(tmp_path):
    with pytest.raises(InputError, match=r"fernn-seed0.h5: expected a file of stage analysis, found no such file"):
        page("experiments/digits.yaml", tmp_path, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()
