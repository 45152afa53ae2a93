"""An experiment is checked as a whole: everything that would fail later on is found before anything runs."""

import pytest
import yaml

from flowsim import InputError, ideas
from flowsim.experiment.check import check_name_of_experiment, checked, kind_of
from flowsim.experiment.plan import jobs
from flowsim.network import build_from_settings


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
        (
            "networks",
            {"a-seed0": {"model": "fernn"}},
            "a name must be at most 60 letters, digits, '_' and '.'; got 'a-seed0'",
        ),
        (
            "record.test.checkpoints",
            True,
            "record.test: checkpoints needs weights that the training keeps; set checkpoints in train",
        ),
        (
            "train.checkpoints",
            [0, 10**6],
            "checkpoints should be at most the 16000 sequences of the training; got 1000000",
        ),
        (
            "record.probe.blank",
            {"at": 50},
            "record.probe: blank: expected the first frame that is withheld at",
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
            "unknown analysis 'equivariance'; expected one of: .*classification_accuracy, equivariance_error",
        ),
        ("analyse.equivariance_error", {"laws": 3}, "analyse.equivariance_error: unknown key 'laws'"),
        ("analyse.velocity_generalisation", {}, "reads recordings of sweep; add sweep to record"),
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
        (
            "train.own_predictions",
            4,
            r"own_predictions 4 \+ context 3 \+ horizon 3 must fit in the 6 frames of stimulus.train",
        ),
        (
            "networks.grnn.train",
            {"own_predictions": 4},
            r"own_predictions 4 \+ context 3 \+ horizon 3 must fit in the 6 frames of stimulus.train",
        ),
        (
            "networks.grnn.train",
            {"warm_up": 2},
            r"warm_up 2 \+ context 3 \+ horizon 3 must fit in the 6 frames of stimulus.train",
        ),
        (
            "networks.grnn.train",
            {"horizon": 2},
            "networks.grnn.train: unknown key 'horizon'; expected one of: learning_rate, warm_up, "
            "own_predictions, budget",
        ),
        (
            "record.test.context",
            20,
            "record.test: context must be at most the 9 frames of the stimulus; got 20",
        ),
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
            "analyse.equivariance_error: expected 1 or more flows that move",
        ),
    ],
)
def test_mistakes(written, place, value, message):
    file = written(place, value)
    with pytest.raises(InputError, match=message) as error:
        checked(file)
    assert str(error.value).startswith(f"{file}: ")
    assert "\n" not in str(error.value)


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
    kinds = {kind_of(build_from_settings(settings, (8, 9))) for settings in experiment.networks.values()}
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
        InputError,
        match="train: classification needs labels; random_dots has none. Use another stimulus, or task",
    ):
        checked(file)


def test_what_cannot_be_classified(written):
    file = classifying(written(), fernn={"model": "fernn", "classes": 10})
    content = yaml.safe_load(file.read_text())
    content["stimulus"]["all"]["objects"] = 2
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(
        InputError, match="classification needs one object, whose label is meant; moving_digits shows 2"
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


def test_what_is_worked_out_of_networks(written):
    """What an analysis needs of recording is found missing before anything runs."""
    asked = {"relative_fixed_points": {}, "tangent_exponents": {}}
    with pytest.raises(
        InputError, match="analyse.relative_fixed_points: expected the recording to hold 'fixed_po"
    ):
        checked(written("analyse", asked))
    file = written("analyse", asked)
    content = yaml.safe_load(file.read_text())
    content["record"] = {
        "test": {"context": 3, "exponents": {"rollout": 10_000}},
        "probe": {"fixed_points": {"watch": 100_000, "trials": 2}},
    }
    file.write_text(yaml.safe_dump(content))
    experiment = checked(file)
    assert experiment.record["probe"].fixed_points.watch == 100_000
    content["record"]["probe"]["fixed_points"] = {"watching": 3}
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(
        InputError, match="record.probe.fixed_points: unknown key 'watching'|unknown key 'record"
    ):
        checked(file)


@pytest.mark.parametrize("name", ["two digits", "a[1]", "ä", "a;b"])
def test_names_that_commands_cannot_carry_are_refused(name):
    with pytest.raises(InputError, match="expected a name of at most 60 letters, digits.*Rename the file"):
        check_name_of_experiment(f"experiments/{name}.yaml")
    check_name_of_experiment("experiments/two_digits-1.b.yaml")


def test_interventions_are_tried_with_few_trials_and_channels(written):
    """Also those that need more of either, or a recording that is not there yet."""
    asked = {
        "law": {"law": [0, 1]},
        "trial": {"trial": 2},
        "channels": {"zeros": True, "channels": [9]},
        "other": {"recording": "not_yet.h5"},
    }
    file = written("record.test.intervene", asked)
    content = yaml.safe_load(file.read_text())
    content["analyse"]["causal_law"] = {}
    file.write_text(yaml.safe_dump(content))
    assert set(checked(file).record["test"].intervene) == set(asked)
    content["record"]["test"]["intervene"]["law"] = {"law": [1]}
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=r"record.test: intervene.law: law: a velocity of translation has 2"):
        checked(file)
