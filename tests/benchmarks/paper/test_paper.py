"""The page of the paper's numbers says of each what the measurements say, and nothing of what was not
measured.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from scipy import stats

from benchmarks.paper import __main__ as command
from benchmarks.paper import page
from benchmarks.paper.collect import collected, final_error, measures, sequences_until
from benchmarks.paper.page import PUBLISHED, write
from benchmarks.paper.verdicts import (
    MULTIPLES,
    SPEED,
    compared,
    growth,
    judged,
    ordering,
    parts,
    ratio,
    reference_of,
    smallest_ratio,
    speed,
    spread,
    stated,
    unlearned,
)
from flowsim import open_recording
from flowsim.__main__ import main
from flowsim.experiment.plan import jobs
from flowsim.measures.predictors import PREDICTORS

ROW = {"what": "w", "network": "fernn", "value": 1.0, "spread": 0.1, "measure": "mse", "better": "lower",
       "experiment": "e"}  # fmt: skip


def table(values, partial=""):
    """Rows from {(network, measure): values over seeds}."""
    about = {"experiment": "e", "sequences": 100, "partial": partial, "minutes": 2.0, "hardware": "2 CPU threads",
             "parameters": 10, "commit": "abc", "date": "2026-01-01"}  # fmt: skip
    return pd.DataFrame(
        {**about, "network": network, "measure": measure, "seed": seed, "value": value}
        for (network, measure), over in values.items()
        for seed, value in enumerate(over)
    )


@pytest.mark.parametrize(
    ("found", "better", "verdict"),
    [
        ([0.8, 0.7], "lower", "beaten"),
        ([0.95, 1.15], "lower", "met"),
        ([1.3, 1.2], "lower", "missed"),
        ([0.8, 0.7], "higher", "missed"),
        ([1.3, 1.2], "higher", "beaten"),
    ],
)
def test_verdict_on_a_number(found, better, verdict):
    row = {**ROW, "better": better}
    assert judged(table({("fernn", "mse"): found}), row)["verdict"] == verdict
    partial = judged(table({("fernn", "mse"): found}, "after 1 of 9 sequences"), row)
    assert partial["verdict"] == f"{verdict} so far: partial, after 1 of 9 sequences"
    assert judged(table({("grnn", "mse"): found}), row)["verdict"] == "not run"
    assert judged(table({("grnn", "mse"): found}), row)["ours"] == ""


def test_verdict_on_an_ordering():
    says = "grnn > fernn"
    good = table({("grnn", "mse"): [3, 4], ("fernn", "mse"): [1, 2]})
    assert ordering(good, "e", says, "mse")["verdict"] == "as published; seeds do not overlap"
    close = table({("grnn", "mse"): [3, 4], ("fernn", "mse"): [1, 3.5]})
    assert ordering(close, "e", says, "mse")["verdict"] == "as published; seeds overlap"
    bad = table({("grnn", "mse"): [1, 2], ("fernn", "mse"): [3, 4]})
    assert ordering(bad, "e", says, "mse")["verdict"].startswith("not as published: fernn > grnn")
    assert ordering(good, "other", says, "mse") is None


def test_a_flow_of_which_a_law_says_nothing_is_not_passed_over():
    """One of two moving flows is covered by transport+shift, and obeys it."""
    error = xr.DataArray(
        [[[0, 0], [1.4, 1.5], [1.3, 1.2]], [[0, 0], [np.nan, np.nan], [0, 0]]],
        {"law": ["invariant", "transport+shift"]},
        ("law", "flow", "time"),
    )
    coverage = xr.DataArray([[1, 1, 1], [1, 0, 0.5]], dims=("law", "flow"))
    found = measures("equivariance_error", xr.Dataset({"error": error, "coverage": coverage}))
    assert np.isnan(found["law_error"])
    assert found["best_law_error"] == 1.5


@pytest.mark.parametrize(
    ("fernn", "grnn", "verdict"),
    [
        ((1, 1.1), (1, 9), "as published: fernn holds, grnn grows"),
        ((1, 3), (1, 9), "not as published: fernn does not hold, grnn grows"),
        ((1, 1.1), (9, 9), "not as published: fernn holds, grnn does not grow"),
        ((5, 5), (2, 4.5), "not as published: fernn holds, grnn grows"),
    ],
)
def test_verdict_on_growth(fernn, grnn, verdict):
    values = {
        (name, m): [v]
        for name, pair in (("fernn", fernn), ("grnn", grnn))
        for m, v in zip("ab", pair, strict=True)
    }
    assert growth(table(values), "e", ["a", "b"])["verdict"].startswith(f"{verdict}; ")
    assert growth(table({k: v for k, v in values.items() if k[0] == "fernn"}), "e", ["a", "b"]) is None


def test_growth_is_judged_of_the_best_fernn():
    """Gates may hold what the plain network does not; at novel velocities, V decides and not the gates."""
    pairs = {"fernn": (1, 3), "fernn_gru": (1, 1.1), "fernn_part": (1, 2), "grnn": (1, 9)}
    found = {(name, m): [v] for name, pair in pairs.items() for m, v in zip("ab", pair, strict=True)}
    assert growth(table(found), "e", ["a", "b"])["verdict"].startswith("as published: fernn_gru holds")
    novel = {(name, "mse_novel" if m == "b" else m): v for (name, m), v in found.items()}
    verdict = growth(table(novel), "e", ["a", "mse_novel"])["verdict"]
    assert verdict.startswith("not as published: fernn does not hold")


def test_where_only_the_gated_fernn_was_run_it_is_the_reference():
    pairs = {"fernn_gru": (1, 1.1), "grnn": (100, 900)}
    found = {(name, m): [v] for name, pair in pairs.items() for m, v in zip("ab", pair, strict=True)}
    assert growth(table(found), "e", ["a", "b"])["verdict"].startswith("as published: fernn_gru holds")
    novel = {(name, "mse_novel" if m == "b" else m): v for (name, m), v in found.items()}
    assert growth(table(novel), "e", ["a", "mse_novel"]) is None
    errors = {
        ("fernn_gru", "mse"): [1.0],
        ("grnn", "mse"): [28.0],
        ("fernn_gru", "mse of last frame"): [140.0],
    }
    assert [reference_of(table(e), "e") for e in (errors, {("grnn", "mse"): [1.0]})] == ["fernn_gru", ""]
    rows = compared(table(errors), "e", [])
    assert [(r["network"], r["ratio"], r["law"], r["best"]) for r in rows] == [
        ("fernn_gru", "1", "", ""), ("grnn", "28", "", ""),
    ]  # fmt: skip
    assert unlearned(table(errors), "e", None)[0]["ratio"] == "140"


def curve(*errors):
    """A learning curve with a validation every 10 sequences."""
    return xr.DataArray(list(errors), {"sequences": 10 * np.arange(1, 1 + len(errors))}, ("sequences",))


def test_sequences_until_the_final_error_of_the_grnn():
    goal = final_error({"a": curve(9, 3, 4), "b": curve(9, 8, 5), "c": curve(9, 9, 9)})
    assert goal == 5
    assert [sequences_until(goal, c) for c in (curve(7, 5, 1), curve(5, 6, 7))] == [20, 10]
    assert np.isnan(sequences_until(goal, curve(9, 6)))
    assert np.isnan(final_error({}))


@pytest.mark.parametrize(
    ("fernn", "verdict"),
    [
        ([10, 20], "as published: grnn needs 6 times the sequences of fernn"),
        ([100, 140], "not as published: grnn needs 0.75 times the sequences of fernn"),
        ([10, float("nan")], "not as published: fernn does not reach it in every seed"),
    ],
)
def test_verdict_on_speed(fernn, verdict):
    found = {("grnn", SPEED): [80, 100], ("fernn", SPEED): fernn}
    assert speed(table(found), "e")["verdict"] == verdict
    assert speed(table({("fernn", SPEED): fernn}), "e") is None


def test_seeds_that_never_reach_the_goal_are_counted():
    nan = float("nan")
    some = speed(table({("grnn", SPEED): [8000, nan], ("fernn", SPEED): [400, 400]}), "e")
    assert some["ours"] == "grnn 8,000 (1 of 2 seeds), fernn 400 (2 seeds)"
    assert some["verdict"] == "as published: grnn needs at least 20 times the sequences of fernn"
    none = speed(table({("grnn", SPEED): [nan], ("fernn", SPEED): [400]}), "e")
    assert none["ours"].startswith("grnn never (0 of 1 seed)")
    assert none["verdict"] == "no verdict: no seed of grnn reaches it"


def test_parts_are_compared_within_their_family():
    errors = {"fernn": 4, "fernn_own": 1, "conv_lstm": 6, "conv_lstm_own": 3}
    found = {(name, m): [v] for name, v in errors.items() for m in ("mse", *(f"mse_{n}h" for n in MULTIPLES))}
    rows = parts(table(found), "e", {"": "nothing", "own": "own predictions"})
    assert [(row["network"], row["adds"], row["ratio"]) for row in rows] == [
        ("fernn", "nothing", "1"),
        ("fernn_own", "own predictions", "0.25"),
        ("conv_lstm", "nothing", "1"),
        ("conv_lstm_own", "own predictions", "0.5"),
    ]
    assert rows[1]["later"] == ["1"] * len(MULTIPLES)
    found |= {("fernn", "mse"): [2.0, 8.0], ("fernn_own", "mse"): [1.0, 1.0]}
    found |= {("conv_lstm", "mse"): [1.0, 1.01], ("conv_lstm_own", "mse"): [0.5, 0.505]}
    of_two = {row["network"]: row["ratio"] for row in parts(table(found), "e", {"": "", "own": ""})}
    assert of_two["fernn_own"].startswith("0.25 (")
    low, high = map(float, of_two["fernn_own"][6:-1].split(" to "))
    assert low < 1 < high  # seeds that differ by four times tell nothing of a difference of four times
    low, high = map(float, of_two["conv_lstm_own"][5:-1].split(" to "))
    assert low <= 0.5 <= high < 1
    found |= {("fernn_own", "mse"): [1.0, np.nan]}
    of_two = {row["network"]: row["ratio"] for row in parts(table(found), "e", {"": "", "own": ""})}
    assert of_two["fernn_own"] == "diverged"  # not a ratio of the seeds that are left
    assert of_two["conv_lstm_own"].startswith("0.5 (")


def test_what_needs_no_learning_stands_beside_the_networks():
    found = table({("fernn", "mse"): [2.0], ("fernn", "mse of last frame"): [6.0], ("grnn", "mse"): [3.0]})
    assert unlearned(found, "e", None) == [{"predictor": "last frame", "mse": "6", "ratio": "3"}]
    of_tracked = unlearned(found, "e", "e")[-1]
    assert of_tracked == {"predictor": "`grnn`, one object tracked (oracle)", "mse": "3", "ratio": "1.5"}


def test_every_network_of_an_ablation_is_said():
    for name, adds in yaml.safe_load(PUBLISHED.read_text())["ablations"].items():
        networks = yaml.safe_load(Path(f"experiments/{name}.yaml").read_text())["networks"]
        assert {end for end in adds if end} == {
            end for end in adds if end and any(network.endswith(f"_{end}") for network in networks)
        }
        plain = [n for n in networks if not any(n.endswith(f"_{end}") for end in adds if end)]
        assert plain == ["fernn", "grnn", "conv_lstm"]


@pytest.mark.parametrize(
    ("mixing", "verdict"),
    [
        ([1.0, 1.02, 0.98], "at least 1.5 times"),
        ([2.0, 2.04, 1.96], "less than 1.5 times; nor that there is any difference"),
        ([1.6, 1.63, 1.57], "less than 1.5 times"),
        ([1.3, 0.9, 1.9], "these seeds do not say whether it is 1.5 times"),
        ([3.0, 3.05, 2.95], "less than 1.5 times"),
    ],
)
def test_verdict_on_a_ratio_is_that_of_its_interval(mixing, verdict):
    found = table({("fernn", "mse"): [2.0, 2.05, 1.95], ("mixing", "mse"): mixing})
    judgement = ratio(found, "e", ["fernn", "mixing"], "mse", 1.5)
    assert judgement["verdict"].startswith(verdict)
    times = np.exp(np.log([2.0, 2.05, 1.95]).mean() - np.log(mixing).mean())
    assert f"ratio {times:.3g} (95 % interval" in judgement["ours"]
    row = {
        "kind": "ratio",
        "over": ["fernn", "mixing"],
        "measure": "mse",
        "at_least": 1.5,
        "experiments": ["e", "f"],
    }
    first, other = stated(found, row)
    assert (first["verdict"], other["verdict"]) == (judgement["verdict"], "not run")
    partial = table({(n, "mse"): [2.0, 2.1] for n in ("fernn", "mixing")}, "after 1 of 9 sequences")
    assert stated(partial, row)[0]["verdict"].endswith("; partial")
    one = table({("fernn", "mse"): [3.0], ("mixing", "mse"): [1.0]})
    one_seed = ratio(one, "e", ["fernn", "mixing"], "mse", 1.5)
    assert one_seed["verdict"] == "these seeds do not say whether it is 1.5 times"
    assert "interval" not in one_seed["ours"]


def test_what_diverged_gets_no_verdict():
    nan = float("nan")
    lost = "no number in 1 of 2 measurements: diverged"
    assert judged(table({("fernn", "mse"): [nan, 0.7]}), ROW)["verdict"] == lost
    found = table({("grnn", "mse"): [nan], ("fernn", "mse"): [1]})
    assert ordering(found, "e", "grnn > fernn", "mse")["verdict"] == lost
    values = {("fernn", "a"): [1], ("fernn", "b"): [1], ("grnn", "a"): [1], ("grnn", "b"): [nan]}
    assert growth(table(values), "e", ["a", "b"])["verdict"] == "no number in 1 of 4 measurements: diverged"


def test_a_network_that_predicts_nothing_is_called_so():
    values = {("fernn", "a"): [1], ("fernn", "b"): [1], ("grnn", "a"): [9], ("grnn", "b"): [12]}
    blank = {("grnn", "mse_mean"): [9.5]}
    assert "the error of the mean frame" in growth(table(values | blank), "e", ["a", "b"])["verdict"]
    assert (
        "mean frame" not in growth(table(values | {("grnn", "mse_mean"): [90]}), "e", ["a", "b"])["verdict"]
    )


def test_accuracies_have_a_table_of_their_own(tmp_path):
    measured = ("accuracy", *(f"accuracy_speed_{s}" for s in (0, 1, 2)))
    write(table({("fernn", m): [0.5, 0.7] for m in measured}), tmp_path / "paper.md")
    assert (
        "| `fernn` | 10 | 0.6 ± 0.1 (2 seeds) | 0.6 | 0.6 | 0.6 | 100" in (tmp_path / "paper.md").read_text()
    )


def test_accuracies_without_motion_have_columns(tmp_path):
    conditions, reads = ["intact", "one_posture"], ["one frame", "frames without order"]
    found = measures(
        "motion_controls",
        xr.Dataset(
            {"accuracy": ("condition", [0.9, 0.5]), "readout": ("reads", [0.6, 0.7])},
            {"condition": conditions, "reads": reads},
        ),
    )
    assert found == {
        "accuracy_intact": 0.9,
        "accuracy_one_posture": 0.5,
        "readout_one_frame": 0.6,
        "readout_frames_without_order": 0.7,
    }
    measured = ("accuracy", *(f"accuracy_speed_{s}" for s in (0, 1, 2)))
    rows = {("fernn", m): [0.5] for m in measured} | {("fernn", m): [v] for m, v in found.items()}
    write(table(rows), tmp_path / "paper.md")
    assert "| `fernn` | 0.9 |  |  | 0.5 |  | 0.6 | 0.7 |" in (tmp_path / "paper.md").read_text()
    write(table({("fernn", m): [0.5] for m in measured}), tmp_path / "without.md")
    assert "motion is taken away" not in (tmp_path / "without.md").read_text()


def test_a_short_rollout_has_no_error_of_the_frames_that_it_lacks():
    error = xr.DataArray(np.arange(24.0), {"ahead": np.arange(1, 25)})
    of_mean = error.expand_dims(predictor=["mean frame"])
    rollout = xr.Dataset({"mse": error, "predictor_mse": of_mean}, attrs={"horizon": 8})
    found = measures("length_generalisation", rollout)
    assert found == {"mse_1h": 7.0, "mse_2h": 15.0, "mse_mean": 15.0}


def test_controls_are_compared_with_the_network_whose_law_they_lack():
    measured = ("mse", "mse_1h", "mse_7h", "best_law_error")
    values = {
        (name, m): [v]
        for name, v in (("fernn", 1.0), ("permuted", 3.0), ("conv_lstm", 0.5))
        for m in measured
    }
    values |= {
        (name, "law_error"): [law]
        for name, law in (("fernn", 0), ("permuted", 1), ("conv_lstm", float("nan")))
    }
    rows = compared(table(values), "e", [{"network": "permuted", "says": "broken"}])
    assert [(r["network"], r["ratio"], r["verdict"], r["law"]) for r in rows] == [
        ("fernn", "1", "", "0"), ("permuted", "3", "far", "1"), ("conv_lstm", "0.5", "better", "no partner"),
    ]  # fmt: skip
    assert rows[1]["says"] == "broken"


def test_ratios_have_the_interval_of_their_seeds():
    """Welch's, of logarithms; what it does not leave out of 1 is said not to be told from it."""
    values = {("fernn", "mse"): [1.0, 1.1, 1.2], ("grnn", "mse"): [3.0, 3.1, 3.2], ("part", "mse"): [1, 3, 9]}
    found = table(values)
    rows = {row["network"]: row for row in compared(found, "e", [])}
    expected = np.exp(
        stats.ttest_ind(np.log([3, 3.1, 3.2]), np.log([1, 1.1, 1.2]), equal_var=False).confidence_interval()
    )
    assert rows["grnn"]["ratio"] == "2.8 ({:.2g} to {:.2g})".format(*expected)
    assert (rows["grnn"]["verdict"], rows["part"]["verdict"]) == ("far", "far, not told from 1")
    spread = np.sqrt(np.mean([np.log(x).var(ddof=1) for x in values.values()]))
    smallest = np.exp(3.507 * spread)  # of three seeds, simulated in the tests of flowsim.effects
    said = smallest_ratio(found, "e")
    assert said.startswith("With 3 seeds the smallest ratio that can be told from 1 is ")
    assert float(said.split(" is ")[1].split()[0]) == pytest.approx(smallest, rel=0.01)
    assert smallest_ratio(table({("fernn", "mse"): [1.0], ("grnn", "mse"): [2.0]}), "e") == ""
    one = compared(table({("fernn", "mse"): [1.0, 2.0], ("grnn", "mse"): [np.nan, 2.0]}), "e", [])[1]
    assert one["verdict"] == "diverged"


def test_five_seeds_have_an_interquartile_mean():
    assert spread(pd.Series([1.0, 2, 3, 4])) == "2.5 ± 1 (4 seeds)"
    assert spread(pd.Series([1.0, 2, 3, 4, 90])) == "20 ± 4e+01 (5 seeds), interquartile mean 3 (1 to 90)"


def test_published_numbers_point_at_what_exists():
    published = yaml.safe_load(PUBLISHED.read_text())
    known = {path.stem for path in Path("experiments").glob("*.yaml")}
    named = {row["experiment"] for row in published["numbers"]}
    named |= {name for row in published["statements"] for name in row["experiments"]}
    named |= {name for pair in published["tracked"].items() for name in pair}
    assert named | set(command.SMALL) | set(command.PUBLISHED) <= known
    for row in published["numbers"]:
        networks = yaml.safe_load(Path(f"experiments/{row['experiment']}.yaml").read_text())["networks"]
        assert row["network"] in networks


TINY = """
title: Tiny
stimulus:
  family: moving_digits
  all: {height: 9, width: 8, trials: 4, frames: 6, objects: 1}
  test: {frames: 75}
networks:
  fernn: {model: fernn, max_speed: 1, channels: 2, decoder_layers: 1}
seeds: 1
train: {context: 3, horizon: 3, sequences: 8, batch: 4, validate_every: 4, budget: {sequences: 4}}
record:
  test: {context: 3, sites: [prediction]}
  probe: {}
analyse:
  prediction_error: {}
  length_generalisation: {}
  training_speed: {}
  equivariance_error: {}
"""


def test_collecting_what_an_experiment_left(tmp_path, monkeypatch):
    """From the commands of each stage to the page."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    Path("experiments/tiny.yaml").write_text(TINY)
    at, plan = tmp_path / "results/tiny", jobs("experiments/tiny.yaml")
    for split, job in plan["stimuli"].items():
        main(
            ["stimulus", "moving_digits", split, "--spec", job["spec"], "--into", f"{at}/stimuli/{split}.h5"]
        )
    data = ["--train", f"{at}/stimuli/train.h5", "--valid", f"{at}/stimuli/valid.h5", "--device", "cpu"]
    model = f"{at}/models/fernn-seed0.pt"
    main(["train", "--spec", plan["runs"]["fernn-seed0"]["spec"], *data, "--into", model])
    for split, job in plan["recordings"].items():
        stimulus, into = f"{at}/stimuli/{split}.h5", f"{at}/recordings/fernn-seed0/{split}.h5"
        main(["record", "--spec", job["spec"], "--model", model, "--stimulus", stimulus, "--into", into])
    for name, job in plan["analyses"].items():
        recording = f"{at}/recordings/fernn-seed0/{job['reads']}.h5"
        main(["analyse", name, "--recording", recording, "--into", f"{at}/analyses/{name}/fernn-seed0.h5"])
    rows = pd.DataFrame(collected(at, "tiny"))
    later = {f"mse_{n}h" for n in MULTIPLES}
    unlearned = {name for name in rows.measure if name.startswith("mse of ")}
    assert set(rows.measure) == {"mse", *later, "mse_mean", "law_error", "best_law_error"} | unlearned
    assert unlearned == {f"mse of {name}" for name in PREDICTORS if "layers" not in name}
    assert set(rows.partial) == {"after 4 of 8 sequences"}
    assert set(rows.sequences) == {4}
    assert rows.set_index("measure").value["law_error"] < 1e-5
    recording = open_recording(at / "recordings/fernn-seed0/test.h5")
    error = ((recording.prediction - recording.frames) ** 2).isel(time=slice(3, 6)).mean()
    assert rows.set_index("measure").value["mse"] == pytest.approx(float(error), rel=1e-5)
    monkeypatch.setattr(command, "SMALL", ["tiny"])
    monkeypatch.setattr("sys.argv", ["paper", "--into", "reference"])
    (at / "report.html").touch()
    command.main()
    kept, page = pd.read_csv("reference/paper.csv"), Path("reference/paper.md").read_text()
    assert len(kept) == len(rows)
    assert "partial" in page
    assert "| moved copy (true velocity) | 0 | 0 |" in page
    assert "not run" in page
    (at / "report.html").unlink()  # measured elsewhere: the table keeps it
    command.main()
    pd.testing.assert_frame_equal(pd.read_csv("reference/paper.csv"), kept)


def test_networks_that_were_not_trained_anew_keep_their_rows(tmp_path, monkeypatch):
    """All seeds of one that was are replaced, those of other networks and experiments are not."""

    def row(experiment, network, seed, value):
        return {"experiment": experiment, "network": network, "seed": seed, "commit": "a1", "value": value}

    before = [row("tiny", "fernn", 0, 1), row("tiny", "fernn", 1, 2), row("tiny", "grnn", 0, np.nan)]
    pd.DataFrame([*before, row("other", "fernn", 0, 4)]).to_csv(tmp_path / "paper.csv", index=False)
    monkeypatch.setattr(command, "collected", lambda folder, name: [row(name, "fernn", 0, 5)])
    found = command.updated(tmp_path / "paper.csv", tmp_path, ["tiny"])
    np.testing.assert_array_equal(found.value, [np.nan, 4, 5])
    assert found.value.dtype == float  # so that it is rounded when it is written
    np.testing.assert_array_equal(
        command.updated(tmp_path / "paper.csv", tmp_path, []).value, [1, 2, np.nan, 4]
    )


def test_accuracy_by_speed():
    speeds = [-2, -1, 0, 1, 2]
    accuracy = xr.DataArray(np.zeros((5, 5)), {"vy": speeds, "vx": speeds}, ("vy", "vx"))
    accuracy = accuracy + (abs(accuracy.vy) <= 1) * (abs(accuracy.vx) <= 1)
    found = measures("classification_accuracy", xr.Dataset({"accuracy": accuracy}))
    assert found == {"accuracy": 9 / 25, "accuracy_speed_0": 1, "accuracy_speed_1": 1, "accuracy_speed_2": 0}


def test_nothing_measured(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["paper"])
    with pytest.raises(SystemExit, match="expected results of at least one experiment"):
        command.main()


def test_what_this_machine_can_run(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert command.possible() == command.SMALL
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setenv("FLOWSIM_DATA", str(tmp_path))
    assert "moving_kth" not in command.possible()
    (tmp_path / "00sequences.txt").touch()
    assert "moving_kth" in command.possible()


def test_a_page_from_a_table_alone(tmp_path):
    values = {
        (n, m): [1.0, 1.1]
        for n in ("fernn", "grnn")
        for m in ("mse", "mse_1h", "mse_7h", "law_error", "best_law_error")
    }
    write(table(values), tmp_path / "paper.md")
    assert "| `grnn` |" in (tmp_path / "paper.md").read_text()


def test_networks_without_their_seeds_are_named(tmp_path, monkeypatch):
    (tmp_path / "small.yaml").write_text("networks: {fernn: {}, grnn: {}, gated: {}}\nseeds: 2\n")
    monkeypatch.setattr(page, "EXPERIMENTS", tmp_path)
    made = pd.DataFrame(
        [("small", "fernn", 0), ("small", "fernn", 1), ("small", "grnn", 1)],
        columns=["experiment", "network", "seed"],
    )
    assert page.not_trained(made, "small") == ["`grnn` (1 of 2 seeds)", "`gated` (2 of 2 seeds)"]
    assert (
        page.not_trained(
            pd.concat([made, made.assign(network="gated"), made.assign(network="grnn")]), "small"
        )
        == []
    )
    assert page.not_trained(made, "of which there is no file") == []
