"""The points of a sweep: which there are, how their files are called, and what is refused."""

import json
import re

import pytest
import yaml

from flowsim import InputError
from flowsim.experiment.check import checked
from flowsim.experiment.plan import jobs
from flowsim.experiment.read import read, runs
from flowsim.experiment.schema import MOST_POINTS, Experiment
from flowsim.experiment.sweep import axes, points, results_of, short_names, word


@pytest.fixture
def swept(written):
    """The small experiment with this sweep, as it is read."""
    return lambda sweep, **others: read(with_sweep(written, sweep, **others))


def with_sweep(written, sweep, **others):
    file = written()
    content = yaml.safe_load(file.read_text()) | {"sweep": sweep} | others
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


def test_an_experiment_without_a_sweep_is_one_point_with_plain_names(written):
    experiment = read(written())
    (point,) = points(experiment)
    assert (point.name, point.place, axes(experiment)) == ("", (), [])
    assert list(runs(point.experiment)) == ["fernn-seed0", "fernn-seed1", "grnn-seed0", "grnn-seed1"]
    assert point.stems == {name: name for name in ("train", "valid", "test", "probe")}


def test_keys_are_crossed_and_the_last_varies_fastest(swept):
    sweep = {"networks.fernn.max_speed": [0, 1], "train.noise": [0, 0.1]}
    experiment = swept(sweep)
    found = points(experiment)
    assert [point.name for point in found] == [
        "max_speed=0,noise=0",
        "max_speed=0,noise=0.1",
        "max_speed=1,noise=0",
        "max_speed=1,noise=0.1",
    ]
    assert [point.place for point in found] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [axis.name for axis in axes(experiment)] == ["max_speed", "noise"]
    assert all(axis.is_numeric for axis in axes(experiment))
    one = found[1].experiment
    assert (one.networks["fernn@max_speed=0,train.noise=0.1"]["max_speed"], one.train.noise) == (0, 0.1)


def test_a_network_that_does_not_depend_on_what_is_swept_is_trained_once(swept):
    found = points(swept({"networks.fernn.max_speed": [0, 1, 2]}))
    assert [list(point.networks) for point in found] == [
        ["fernn@max_speed=0", "grnn"],
        ["fernn", "grnn"],
        ["fernn@max_speed=2", "grnn"],
    ]
    assert [point.networks["grnn"] for point in found] == ["grnn"] * 3


def test_a_point_where_nothing_differs_has_the_names_of_the_experiment(swept):
    """So that what a plain run has made is not made again when a sweep is added."""
    plain, noisy = points(swept({"train.noise": [0, 0.1]}))
    assert list(plain.networks) == ["fernn", "grnn"]
    assert list(noisy.networks) == ["fernn@train.noise=0.1", "grnn@train.noise=0.1"]


def test_a_network_with_a_setting_of_its_own_does_not_depend_on_that_of_all(written):
    own = {"model": "fernn", "max_speed": 0, "train": {"learning_rate": 0.25}}
    file = written("networks.grnn", own)
    content = yaml.safe_load(file.read_text()) | {"sweep": {"train.learning_rate": [0.1, 0.2]}}
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    assert [list(point.networks)[1] for point in points(read(file))] == ["grnn", "grnn"]


def test_only_stimuli_that_differ_have_a_name_of_their_own(swept):
    experiment = swept({"stimulus.test.objects": [1, 3]})
    found = points(experiment)
    assert [point.stems["test"] for point in found] == ["test@objects=1", "test@objects=3"]
    assert {(point.stems["train"], point.stems["probe"]) for point in found} == {("train", "probe")}
    assert {tuple(point.networks) for point in found} == {("fernn", "grnn")}
    assert found[0].result("fernn-seed0", "test") == "fernn-seed0@objects=1"
    assert found[0].result("fernn-seed0", "probe") == "fernn-seed0"


def test_a_stimulus_of_training_is_in_the_name_of_the_training(swept):
    for key, name in (
        ("stimulus.all.objects", "fernn@stimulus.objects=3"),
        ("stimulus.train.trials", "fernn@stimulus.train.trials=3"),
        ("stimulus.valid.trials", "fernn@stimulus.valid.trials=3"),
    ):
        (point,) = points(swept({key: [3]}))
        assert next(iter(point.networks)) == name
        assert point.stems["train"] == ("train" if "valid" in key else f"train@{key.split('.')[-1]}=3")


def test_a_name_stays_when_values_or_axes_are_added(swept):
    few = points(swept({"networks.fernn.max_speed": [0, 2]}))
    many = points(swept({"networks.fernn.max_speed": [3, 2, 0], "train.noise": [0.1, 0]}))
    named = {name for point in many for name in point.networks}
    assert {name for point in few for name in point.networks} <= named


def test_zip_and_points_are_axes(swept):
    sweep = {
        "zip": {"networks.fernn.max_speed": [1, 2], "networks.grnn.channels": [2, 4]},
        "points": [{"train.noise": 0.1}, {"train.clip": 2.0, "train.noise": 0.2}],
    }
    experiment = swept(sweep)
    assert [(axis.name, len(axis.levels)) for axis in axes(experiment)] == [
        ("max_speed, channels", 2),
        ("noise, clip", 2),
    ]
    assert not any(axis.is_numeric for axis in axes(experiment))
    assert [point.name for point in points(experiment)] == [
        "max_speed=1,channels=2,noise=0.1",
        "max_speed=1,channels=2,clip=2.0,noise=0.2",
        "max_speed=2,channels=4,noise=0.1",
        "max_speed=2,channels=4,clip=2.0,noise=0.2",
    ]


def test_seeds_may_be_swept_and_runs_are_shared(swept):
    found = points(swept({"seeds": [1, 3]}))
    assert [len(runs(point.experiment)) for point in found] == [2, 6]
    assert set(runs(found[0].experiment)) < set(runs(found[1].experiment))


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ({"first": 0, "last": 3, "step": 1}, [0, 1, 2, 3]),
        ({"first": 0, "last": 0.3, "step": 0.1}, [0, 0.1, 0.2, 0.3]),
        ({"first": 3, "last": 0, "step": -2}, [3, 1]),
        ({"first": 0, "last": 1, "count": 5}, [0, 0.25, 0.5, 0.75, 1]),
        ({"first": 0.001, "last": 0.1, "count": 3, "scale": "log"}, [0.001, 0.01, 0.1]),
    ],
)
def test_ranges(given, values, swept):
    (axis,) = axes(swept({"train.noise": given}))
    found = [level.settings["train.noise"] for level in axis.levels]
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values] or 0 in values


def test_whole_numbers_of_a_range_fit_settings_that_are_whole(swept):
    found = points(swept({"networks.fernn.channels": {"first": 2, "last": 8, "step": 2}}))
    assert [next(iter(p.experiment.networks.values()))["channels"] for p in found] == [2, 4, 6, 8]


@pytest.mark.parametrize(
    ("sweep", "error"),
    [
        ({"networks.fern.max_speed": [1]}, "networks.fern.max_speed is no setting .*Did you mean networks.fernn.max_speed"),
        ({"train.nois": [1]}, "train.nois is no setting of this experiment.*Did you mean train.noise"),
        ({"stimulus.all.object": [1]}, r"Did you mean stimulus.all.objects\?"),
        ({"record.test.every": [1, 2]}, r"expected stimulus.<all or split>.<argument>"),
        ({"train.task": ["predict", "classify"]}, "train.task cannot be swept: each task"),
        ({}, "expected a setting to vary"),
        ({"train.noise": []}, "sweep.train.noise: .*at least 1"),
        ({"train.noise": [0, 0.1, 0]}, "sweep.train.noise: expected different values; 0 comes twice"),
        ({"train.noise": {"first": 0, "last": 1}}, "one of step and count"),
        ({"train.noise": {"first": 0, "last": 1, "step": -1}}, "a step that leads from first to last"),
        ({"train.noise": {"first": 0, "last": 1, "count": 3, "scale": "log"}}, "ends above 0"),
        ({"train.noise": {"first": 0, "last": 1, "step": 1e-6}}, "at most 10,000 values in a range"),
        ({"zip": {"train.noise": [0, 1], "train.clip": [1, 2, 3]}}, "as many values.*train.noise 2, train.clip 3"),
        ({"train.noise": [0], "zip": {"train.noise": [1]}}, "expected train.noise in one place; it is in zip too"),
        ({"zip": {"train.noise": [1]}, "points": [{"train.noise": 2}]}, "in zip and in points"),
        ({"points": [{"train.noise": 2}, {"train.noise": 2}]}, "sweep.points: expected different values"),
        ({"train.noise": {"first": 0, "last": 1, "count": 200}, "train.clip": {"first": 1, "last": 2, "count": 200}},
         f"at most {MOST_POINTS:,} points; got 40,000"),
        ({"train.noise": [-1]}, "sweep, at noise=-1: train.noise: .*greater than or equal to 0; got -1"),
    ],
)  # fmt: skip
def test_what_cannot_be_swept_is_refused_in_one_line(sweep, error, written):
    with pytest.raises(InputError, match=error) as refused:
        points(read(with_sweep(written, sweep)))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("sweep", "error"),
    [
        ({"networks.fernn.max_speed": [1, "two"]}, "sweep, at max_speed=two: networks.fernn@max_speed=two: .*max_speed"),
        ({"stimulus.all.height": [8, 4000000]}, "sweep, at height=4000000: stimulus.train: height"),
        ({"train.horizon": [3, 30]}, "sweep, at horizon=30: train: .*must fit in the 6 frames"),
        ({"networks.grnn.train.learning_rate": [0.1, -1]}, "sweep, at learning_rate=-1: networks.grnn.train"),
    ],
)  # fmt: skip
def test_every_point_is_checked_like_an_experiment(sweep, error, written):
    with pytest.raises(InputError, match=error):
        checked(with_sweep(written, sweep))


def test_what_points_have_in_common_is_rehearsed_once(written, monkeypatch):
    recorded = []

    def rehearse(rehearsal):
        recorded.append(len(rehearsal.networks))

    monkeypatch.setattr("flowsim.experiment.check.rehearse", rehearse)
    checked(with_sweep(written, {"train.noise": {"first": 0, "last": 1, "count": 20}}))
    assert recorded == [40]
    recorded.clear()
    checked(with_sweep(written, {"stimulus.test.objects": [1, 2], "train.noise": [0, 1]}))
    assert len(recorded) == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (0.1, "0.1"),
        (True, "true"),
        (None, "null"),
        ("relu", "relu"),
        ([-1, 2.5], "-1_2.5"),
    ],
)
def test_values_in_names(value, text):
    assert word(value) == text


@pytest.mark.parametrize(
    "value", ["a/b", "../x", "a b", "", "$(touch x)", "x" * 300, [[0, 1]], ["a", "b"], {"a": 1}]
)
def test_what_a_name_cannot_hold_is_hashed(value):
    assert re.fullmatch(r"[A-Za-z0-9_.+-]*-[0-9a-f]{8}", word(value))
    assert len(word(value)) < 60
    assert word("a/b") != word("a b")


def test_long_names_are_cut_and_stay_apart(swept):
    keys = ("noise", "clip", "learning_rate", "context_weight", "warm_up", "validate_every", "sequences")
    sweep = {f"train.{key}": [1, 2] for key in keys}
    names = [name for point in points(swept(sweep)) for name in point.networks]
    assert len(set(names)) == len(names) == 2**7 * 2
    assert max(map(len, names)) < 120


def test_short_names_tell_paths_apart():
    assert short_names(["networks.a.max_speed", "networks.b.max_speed", "train.noise"]) == {
        "networks.a.max_speed": "a.max_speed",
        "networks.b.max_speed": "b.max_speed",
        "train.noise": "noise",
    }


def test_the_plan_has_each_job_once(written):
    sweep = {"networks.fernn.max_speed": [0, 1], "stimulus.test.objects": [1, 3]}
    plan = jobs(with_sweep(written, sweep, seeds=1))
    assert list(plan["runs"]) == ["fernn@max_speed=0-seed0", "grnn-seed0", "fernn-seed0"]
    assert list(plan["stimuli"]) == ["train", "valid", "test@objects=1", "probe", "test@objects=3"]
    assert json.loads(plan["stimuli"]["test@objects=3"]["spec"])["objects"] == 3
    spec = json.loads(plan["runs"]["fernn@max_speed=0-seed0"]["spec"])
    assert (spec["name"], spec["network"]["max_speed"]) == ("fernn@max_speed=0", 0)
    assert len(plan["analyses"]["prediction_error"]["results"]) == 6
    assert plan["analyses"]["equivariance_error"]["results"] == list(plan["runs"])


def test_results_of_all_points_come_once(swept, tmp_path):
    found = results_of(swept({"networks.fernn.max_speed": [0, 1]}, seeds=1), "prediction_error", tmp_path)
    assert [path.stem for path in found] == ["fernn@max_speed=0-seed0", "grnn-seed0", "fernn-seed0"]


def test_a_sweep_goes_to_json_and_back(swept):
    experiment = swept({"train.noise": {"first": 0, "last": 1, "count": 3}, "points": [{"seeds": 1}]})
    again = Experiment.model_validate_json(experiment.model_dump_json())
    assert [point.name for point in points(again)] == [point.name for point in points(experiment)]
