"""The report opens with the numbers, names the best, and needs nothing from outside."""

import numpy as np
import pytest
import xarray as xr

from flowsim import InputError
from flowsim.experiment.schema import Experiment
from flowsim.files import netcdf
from flowsim.views.report import (
    Estimate,
    benchmarks,
    collected_provenance,
    effect_table,
    mean_and_spread,
    number,
    page,
    summary_row,
)


def values(better="lower", **by_network):
    names = [name for name, numbers in by_network.items() for _ in numbers]
    seeds = [str(i) for numbers in by_network.values() for i in range(len(numbers))]
    coords = {"network": ("run", names), "seed": ("run", seeds)}
    numbers = np.concatenate(list(by_network.values()))
    return xr.DataArray(numbers, coords, "run", attrs={"better": better} if better else {})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.00912, "0.00912"),
        (0.1, "0.100"),
        (12.34, "12.3"),
        (9600, "9,600"),
        (1.234e-7, "1.23e-07"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


def test_cells_give_mean_and_spread():
    assert mean_and_spread(0.5, 0.1) == "0.500 ± 0.100"
    assert mean_and_spread(0.5, np.nan) == "0.500"
    assert mean_and_spread(np.nan, np.nan) == "does not apply"


def test_the_best_is_marked_and_a_sentence_gives_the_difference():
    row = summary_row("test MSE", values(a=[1.0, 3.0], b=[8.0, 12.0], c=[np.nan, np.nan]), ["a", "b", "c"])
    assert [cell.text for cell in row.cells] == ["2.00 ± 1.41", "10.0 ± 2.8", "does not apply"]
    assert [cell.best for cell in row.cells] == [True, False, False]
    assert row.sentence == "Test MSE: lowest for a (2.00), 5.0 times lower than for b (10.0)."
    assert row.label == "test MSE \u2193"


def test_the_answer_says_what_is_better():
    row = summary_row("accuracy", values("higher", a=[0.2, 0.2], b=[0.8, 0.8]), ["a", "b"])
    assert [cell.best for cell in row.cells] == [False, True]
    assert row.sentence == "Accuracy: highest for b (0.800), 4.0 times higher than for a (0.200)."
    assert row.label == "accuracy \u2191"
    row = summary_row("dimensions", values(None, a=[1.0, 2.0], b=[8.0, 8.0]), ["a", "b"])
    assert [cell.best for cell in row.cells] == [False, False]
    assert (row.label, row.sentence) == ("dimensions", "")


def test_errors_are_compared_by_ratio_with_intervals():
    rows = effect_table("MSE", values(a=[1.0, 2.0], b=[4.0, 8.0]), ["a", "b"]).rows
    assert [row.network for row in rows] == ["a", "b"]
    assert [row.n for row in rows] == [2, 2]
    reference, other = rows
    assert (reference.effect, reference.g) == (Estimate("reference"), Estimate())
    assert other.mean.value == "5.66"
    assert other.effect.value == "\N{MULTIPLICATION SIGN} 4.00"
    assert other.effect.interval == "0.49 to 33"  # Welch on logarithms: exp(log(4) -+ 4.303 log(2) / sqrt(2))
    assert other.g.value == "1.60"


def test_other_quantities_and_zeros_are_compared_by_difference():
    accuracy = values("higher", a=[0.1, 0.2, 0.3], b=[0.6, 0.7, 0.8], c=[0.0, 0.1, 0.2])
    rows = effect_table("R^2", accuracy, ["a", "b", "c"]).rows
    assert [row.effect.value for row in rows] == ["reference", "+0.500", "-0.100"]
    exact = effect_table("error", values(a=[0.0, 0.0], b=[0.5, 0.7], c=[0.0, 0.0]), ["a", "b", "c"]).rows
    assert exact[0].mean == Estimate("0", "no spread over seeds")
    assert exact[1].effect == Estimate("+0.600", "-0.67 to 1.9")
    assert (exact[2].effect, exact[2].g) == (Estimate("0", "no spread over seeds"), Estimate())


def test_one_seed_has_no_interval_and_five_are_paired(rng):
    first, second, third = effect_table("MSE", values(a=[1.0], b=[3.0], c=[np.nan]), ["a", "b", "c"]).rows
    assert first.mean == Estimate("1.00", "1 seed: no interval")
    assert second.mean == Estimate("3.00", "1 seed: no interval")
    assert second.effect == Estimate("\N{MULTIPLICATION SIGN} 3.00", "1 seed: no interval")
    assert second.g == Estimate()
    assert third.n == 0
    assert (third.mean, third.effect, third.g) == (Estimate("does not apply"), Estimate(), Estimate())
    many = effect_table("MSE", values(a=rng.random(5), b=rng.random(5)), ["a", "b"]).rows
    assert many[1].effect.interval.endswith(", paired")


def test_ties_are_all_best_and_small_differences_have_no_sentence():
    row = summary_row("error", values(a=[0.0], b=[0.0], c=[1.0]), ["a", "b", "c"])
    assert [cell.best for cell in row.cells] == [True, True, False]
    assert row.sentence == "Error: lowest for a and b (0), lower than for c (1.00)."
    assert summary_row("error", values(a=[1.0], b=[1.2]), ["a", "b"]).sentence == ""
    alone = summary_row("error", values(a=[1.0]), ["a"])
    assert not alone.cells[0].best


def test_what_is_smaller_than_rounding_is_nothing():
    rounded = values(a=[1e-16, 3e-15], b=[0.0, 0.0], c=[0.5, 0.7])
    row = summary_row("error", rounded, ["a", "b", "c"])
    assert [cell.best for cell in row.cells] == [True, True, False]
    assert row.sentence == "Error: lowest for a and b (0), lower than for c (0.600)."
    assert effect_table("error", rounded, ["a", "b", "c"]).rows[2].effect.value == "+0.600"
    assert summary_row("error", values(a=[1e-16], b=[1e-12]), ["a", "b"]).sentence == ""


def test_only_clear_differences_have_a_sentence():
    """No sentence where seeds overlap, or a ratio has no meaning."""
    assert summary_row("error", values(a=[1.0, 3.0], b=[2.9, 9.0]), ["a", "b"]).sentence == ""
    assert summary_row("error", values(a=[1.0, 2.8], b=[2.9, 9.0]), ["a", "b"]).sentence != ""
    assert summary_row("R2", values("higher", a=[-0.1], b=[0.8]), ["a", "b"]).sentence == ""
    assert summary_row("error", values(a=[-0.01, 0.1], b=[0.8, 0.9]), ["a", "b"]).sentence == ""
    assert summary_row("error", values(a=[2.0], b=[3.0]), ["a", "b"]).sentence.startswith(
        "Error: lowest for a (2.00), 1.5"
    )


def test_benchmarks_are_summed_by_rule(tmp_path):
    for run, seconds in (("a", 10), ("b", 30)):
        (tmp_path / "train").mkdir(exist_ok=True)
        (tmp_path / "train" / f"{run}.tsv").write_text(
            f"s\th:m:s\tmax_rss\n{seconds}\t0:00:{seconds}\t{seconds * 10}.0\n"
        )
    assert benchmarks(tmp_path, ["a", "b"]) == [
        {"rule": "train", "jobs": 2, "seconds": "40", "longest": "30", "memory": "300"}
    ]
    assert benchmarks(tmp_path / "none", []) == []


def test_missing_results_are_an_error(tmp_path):
    with pytest.raises(
        InputError, match=r"fernn-seed0.h5: expected a file of stage analysis, found no such file"
    ):
        page("experiments/digits.yaml", tmp_path, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_recording_that_no_analysis_reads_is_not_needed(tmp_path):
    """The pipeline does not make it."""
    stimulus = {"family": "moving_digits"}
    experiment = Experiment.model_validate(
        {
            "title": "One analysis",
            "stimulus": stimulus,
            "networks": {"fernn": {"model": "fernn"}},
            "seeds": 1,
            "record": {"test": {}, "probe": {}},
            "analyse": {"prediction_error": {}},
        }
    )
    for stage, place in (
        ("recording", "recordings/fernn-seed0/test.h5"),
        ("analysis", "analyses/prediction_error/fernn-seed0.h5"),
    ):
        attrs = {"stage": stage, "commit": stage, "inputs": f'{{"from {stage}": "sum"}}', "versions": "{}"}
        netcdf.write(xr.Dataset({"x": ("x", [1.0])}), tmp_path / place, attrs)
    provenance = collected_provenance(experiment, tmp_path)
    assert provenance["commits"] == ["analysis", "recording"]
    assert provenance["checksums"] == {"from recording": "sum", "from analysis": "sum"}
