"""An experiment file is checked as a whole, and each mistake is one line that says what to do."""

import datetime
import json
from pathlib import Path

import pytest
import yaml

from flowsim import InputError, ideas
from flowsim.experiment.check import _kind, checked
from flowsim.experiment.plan import jobs
from flowsim.experiment.read import network, runs, splits

EXPERIMENTS = sorted(Path("experiments").glob("*.yaml"))
DATA = Path(__file__).parents[3] / "shared" / "data"
SMALL = """
title: Small
stimulus:
  family: moving_digits
  all: {height: 8, width: 9}
  train: {frames: 6}
  valid: {frames: 6}
  test: {frames: 9}
networks:
  fernn: {model: fernn, max_speed: 1}
  grnn: {model: fernn, max_speed: 0}
train: {context: 3, horizon: 3}
record:
  test: {context: 3}
  probe: {}
analyse:
  prediction_error: {}
  equivariance_error: {}
"""


@pytest.fixture
def written(tmp_path):
    """Write the small experiment with one place changed: "train.horizon", 0."""

    def write(place=None, value=None):
        content = yaml.safe_load(SMALL)
        if place:
            *path, last = place.split(".")
            block = content
            for part in path:
                block = block[part]
            if value is None:
                del block[last]
            else:
                block[last] = value
        file = tmp_path / "small.yaml"
        file.write_text(yaml.safe_dump(content, sort_keys=False))
        return file

    return write


LIKE_ANOTHER = (
    "flowing_mnist_velocity",
    "flowing_mnist_velocity_small",
    "rotating_mnist_velocity",
    "moving_actions",
)
"""Experiments that differ from another in a number or a stimulus, and are checked with the long tests."""


@pytest.mark.parametrize(
    "file",
    [pytest.param(f, id=f.stem, marks=[pytest.mark.slow] * (f.stem in LIKE_ANOTHER)) for f in EXPERIMENTS],
)
def test_shipped_experiments_are_valid(file, monkeypatch, request):
    content = file.read_text()
    if "source: mnist" in content:
        if not (DATA / "mnist").is_dir():
            pytest.skip("MNIST is not in ../shared/data")
        monkeypatch.setenv("FLOWSIM_DATA", str(DATA))
    if "family: moving_kth" in content:
        folder = request.getfixturevalue("kth_folder")
        monkeypatch.setenv("FLOWSIM_DATA", str(folder))
        monkeypatch.setenv("FLOWSIM_CACHE", str(folder.parent / "cache"))
    if "source: mnist" in content or "family: moving_kth" in content:
        assert not yaml.safe_load(content)["in_all"]
    assert jobs(file)["runs"]


def test_a_network_may_have_a_training_of_its_own(written):
    own = {"model": "fernn", "train": {"learning_rate": 0.25, "budget": {"minutes": 2}}}
    plan = jobs(written("networks.grnn", own))
    common, changed = (json.loads(plan["runs"][run]["spec"]) for run in ("fernn-seed0", "grnn-seed0"))
    assert "train" not in changed["network"]
    assert changed["train"]["learning_rate"] == 0.25
    assert changed["train"]["budget"] == {"sequences": None, "minutes": 2}
    same = {k: v for k, v in common["train"].items() if k not in ("learning_rate", "budget")}
    assert same.items() <= changed["train"].items()


def test_the_default_experiment_is_as_promised():
    experiment = checked("experiments/digits.yaml")
    assert {n: s["max_speed"] for n, s in experiment.networks.items()} == {
        "fernn": 2,
        "fernn_part": 1,
        "grnn": 0,
    }
    assert experiment.seeds >= 2
    asked = {"prediction_error", "length_generalisation", "velocity_generalisation", "training_speed"}
    assert (
        asked | {"equivariance_error", "stabilised_maps"}
        <= set(experiment.analyse)
        <= set(ideas.names("analysis"))
    )


def test_plan(written):
    plan = jobs(written())
    assert list(plan["runs"]) == ["fernn-seed0", "fernn-seed1", "grnn-seed0", "grnn-seed1"]
    assert list(plan["stimuli"]) == ["train", "valid", "test", "probe"]
    assert plan["analyses"]["equivariance_error"]["reads"] == "probe"
    experiment = checked(written())
    assert runs(experiment)["grnn-seed1"] == ("grnn", 1)
    assert splits(experiment) == ["train", "valid", "test", "probe"]


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (
            "networks.grnn.model",
            "grnnn",
            r"networks.grnn: unknown network model 'grnnn'; expected one of: .*fernn",
        ),
        ("networks.grnn.model", None, r"networks.grnn: 'model' must name one of: .*fernn.*; got None"),
        (
            "networks.grnn.chanels",
            3,
            "networks.grnn: network fernn: unknown key 'chanels'; expected one of: .*channels",
        ),
        (
            "networks.fernn.max_speed",
            4,
            r"networks.fernn: the velocity grid \{-4..4\}\^2 is too large for frames of 8x9",
        ),
        ("networks.fernn.max_speed", "fast", "max_speed: input should be a valid integer; got 'fast'"),
        ("networks", {}, "networks: dictionary should have at least 1 item"),
        (
            "networks",
            {"a-seed0": {"model": "fernn"}},
            "a name must be letters, digits, '_' and '.'; got 'a-seed0'",
        ),
        (
            "stimulus.family",
            "moving_stars",
            "unknown stimulus 'moving_stars'; expected one of: .*moving_digits",
        ),
        (
            "stimulus.train.frames",
            "six",
            "stimulus.train: frames: input should be a valid integer; got 'six'",
        ),
        ("stimulus.all.heigth", 3, "stimulus.train: unknown key 'heigth'; expected one of: source, height"),
        ("stimulus.all.height", 4, "frames of at least 8x8 px; got 4x9"),
        (
            "analyse.equivariance",
            {},
            "unknown analysis 'equivariance'; expected one of: classification_accuracy, equivariance_error",
        ),
        ("analyse.equivariance_error", {"laws": 3}, "analyse.equivariance_error: unknown key 'laws'"),
        ("analyse.velocity_generalisation", {}, "reads recordings of sweep; add sweep to record"),
        ("train.horizon", 0, "train.horizon: input should be greater than or equal to 1; got 0"),
        (
            "train.horizon",
            4,
            r"warm_up 0 \+ context 3 \+ horizon 4 must fit in the 6 frames of stimulus.train",
        ),
        (
            "train.warm_up",
            2,
            r"warm_up 2 \+ context 3 \+ horizon 3 must fit in the 6 frames of stimulus.train",
        ),
        ("train.learning_rate", -1, "train.learning_rate: input should be greater than 0; got -1"),
        ("train.lr", 0.1, "unknown key 'train.lr'; expected one of: task, stream, context, horizon"),
        ("train.budget", {"minutes": 0}, "train.budget.minutes: input should be greater than 0; got 0"),
        (
            "train.budget",
            {"hours": 1},
            "unknown key 'train.budget.hours'; expected one of: sequences, minutes",
        ),
        ("train.schedule", "linear", "train.schedule: input should be 'cosine' or 'constant'; got 'linear'"),
        (
            "networks.grnn.train",
            {"horizon": 2},
            "networks.grnn.train: unknown key 'horizon'; expected one of: learning_rate, budget",
        ),
        ("train.horizon", 2.5, "train.horizon: input should be a valid integer"),
        (
            "record.test.context",
            20,
            "record.test: context must be at most the 9 frames of the stimulus; got 20",
        ),
        (
            "record.test.sites",
            ["retina"],
            "record.test.sites.0: input should be 'state', 'prediction' or 'logits'; got 'retina'",
        ),
        ("record.holdout", {}, "record.holdout.*: input should be 'test', 'sweep' or 'probe'"),
        ("seeds", "two", "seeds: input should be a valid integer; got 'two'"),
        ("title", datetime.date(2024, 1, 1), r"expected plain values \(text, numbers, lists\); got datetime"),
        (
            "networks.grnn.frame_shape",
            [3, 3],
            "networks.grnn: unknown key 'frame_shape'; it follows from the stimulus",
        ),
        (
            "stimulus.train.trials",
            "many",
            "stimulus.train: trials: input should be a valid integer; got 'many'",
        ),
        ("stimulus.test.height", 12, "stimulus.test: frames must be 8x9 as in train; got 12x9"),
        ("record.test", {}, "analyse.prediction_error: expected frames after the context of 9"),
        (
            "record.probe",
            {"sites": ["prediction"]},
            "analyse.equivariance_error: expected the recording to hold 'state'",
        ),
        (
            "stimulus.probe",
            {"probe_speed": 0},
            "analyse.equivariance_error: .* needs flows besides the reference",
        ),
        ("train.learning_rate", float("inf"), "train.learning_rate: input should be a"),
        ("title", None, "'title' is missing; add it"),
        ("colour", "red", "unknown key 'colour'; expected one of: title, in_all, stimulus"),
    ],
)
def test_mistakes(written, place, value, message):
    file = written(place, value)
    with pytest.raises(InputError, match=message) as error:
        checked(file)
    assert str(error.value).startswith(f"{file}: ")
    assert "\n" not in str(error.value)


def test_files_that_are_no_experiments(tmp_path):
    with pytest.raises(InputError, match="expected an experiment file .*, found no such file"):
        checked(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1, 2")
    with pytest.raises(InputError, match="bad.yaml: expected YAML; while parsing a flow sequence"):
        checked(tmp_path / "bad.yaml")
    (tmp_path / "twice.yaml").write_text("train: {}\ntrain: {}\n")
    with pytest.raises(
        InputError, match="twice.yaml: expected YAML; the key 'train' comes twice in .* line 1"
    ):
        checked(tmp_path / "twice.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(InputError, match="list.yaml: input should be an object"):
        checked(tmp_path / "list.yaml")


def test_questions_that_one_network_cannot_be_asked(written):
    """A state without space is rehearsed too, although the smallest network has one with space."""
    file = written("networks.rnn", {"model": "rnn"})
    assert list(checked(file).networks) == ["fernn", "grnn", "rnn"]
    file.write_text(file.read_text().replace("equivariance_error:", "stabilised_maps:"))
    with pytest.raises(
        InputError, match=r"analyse.stabilised_maps: expected state .* has state \(flow, trial, time, unit\)"
    ):
        checked(file)


def test_networks_that_differ_to_a_question_are_all_rehearsed(written):
    """A network without a channel at rest, although the smallest one has one; and one with orientations."""
    file = written("networks.fernn", {"model": "fernn", "velocities": [[0, -1], [0, 1]]})
    file.write_text(file.read_text().replace("equivariance_error:", "stabilised_maps:"))
    with pytest.raises(InputError, match="stabilised_maps needs a network with a channel for velocity 0"):
        checked(file)
    turning = {
        "model": "fernn_rotation",
        "max_speed": 10,
        "orientations": 4,
        "channels": 1,
        "decoder_layers": 0,
    }
    experiment = checked(written("networks.fernn", turning))
    kinds = {_kind(network(dict(settings), (8, 9), "here")) for settings in experiment.networks.values()}
    assert len(kinds) == 2


def classifying(file, **networks):
    """The small experiment as one that classifies."""
    content = yaml.safe_load(file.read_text())
    content["networks"] = networks
    content["stimulus"]["all"]["objects"] = 1
    content["train"] = {"task": "classify", "context": 6, "horizon": 99}
    content["record"] = {"sweep": {"sites": ["logits"]}, "test": {"sites": ["logits"]}}
    content["analyse"] = {"classification_accuracy": {}, "training_speed": {}}
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


def test_an_experiment_that_classifies(written):
    """A network that predicts nothing too; the horizon does not matter."""
    networks = {"fernn": {"model": "fernn", "classes": 10}, "conv3d": {"model": "conv3d"}}
    assert len(jobs(classifying(written(), **networks))["runs"]) == 4
    with pytest.raises(
        InputError, match="networks.fernn: this network has no classes; build it with classes=n"
    ):
        checked(classifying(written(), fernn={"model": "fernn"}))
    file = classifying(written(), fernn={"model": "fernn", "classes": 10})
    unlabelled = yaml.safe_load(file.read_text()) | {"stimulus": {"family": "random_dots"}}
    file.write_text(yaml.safe_dump(unlabelled))
    with pytest.raises(
        InputError, match="train: to classify needs labels; random_dots has none. Use another, or task"
    ):
        checked(file)


def test_what_cannot_be_classified(written):
    file = classifying(written(), fernn={"model": "fernn", "classes": 10})
    content = yaml.safe_load(file.read_text())
    content["stimulus"]["all"]["objects"] = 2
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(
        InputError, match="to classify needs one object, whose label is meant; moving_digits shows 2"
    ):
        checked(file)


def test_a_map_must_be_as_large_as_the_world(written):
    content = yaml.safe_load(written().read_text()) | {"networks": {"a": {"model": "self_motion"}}}
    content["stimulus"] = {"family": "digit_world", "test": {"frames": 9}}
    content["record"] = {"test": {"context": 3}}
    content["analyse"] = {"prediction_error": {}}
    file = written()
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(
        InputError, match=r"networks.a: the world of the stimulus is 24x24 px; set world: \[24, 24\]"
    ):
        checked(file)
    content["networks"]["a"]["world"] = [24, 24]
    file.write_text(yaml.safe_dump(content))
    assert checked(file)


def test_sites_that_a_network_has_not(written):
    with pytest.raises(InputError, match="record.test: this network has no classes"):
        checked(written("record.test", {"sites": ["prediction", "logits"], "context": 3}))


def test_a_stream_makes_its_stimulus_part_of_the_training(written):
    """Its code is in the hash of the run, so that a change of it trains again."""
    plain = jobs(written())["runs"]["grnn-seed0"]
    streamed = jobs(written("train", {"context": 3, "horizon": 3, "stream": True}))["runs"]["grnn-seed0"]
    assert plain["code"] != streamed["code"]
