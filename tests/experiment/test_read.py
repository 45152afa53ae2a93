"""From a YAML file to the blocks of an experiment, and what follows from them."""

import pytest

from flowsim import InputError
from flowsim.experiment.read import read, runs, splits, train_block


def test_files_that_are_no_experiments(tmp_path):
    with pytest.raises(InputError, match="expected an experiment file .*, found no such file"):
        read(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1, 2")
    with pytest.raises(InputError, match="bad.yaml: expected YAML; while parsing a flow sequence"):
        read(tmp_path / "bad.yaml")
    (tmp_path / "twice.yaml").write_text("train: {}\ntrain: {}\n")
    with pytest.raises(
        InputError, match="twice.yaml: expected YAML; the key 'train' comes twice in .* line 1"
    ):
        read(tmp_path / "twice.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(InputError, match="list.yaml: input should be an object"):
        read(tmp_path / "list.yaml")


def test_runs_and_splits(written):
    experiment = read(written())
    assert list(runs(experiment)) == ["fernn-seed0", "fernn-seed1", "grnn-seed0", "grnn-seed1"]
    assert runs(experiment)["grnn-seed1"] == ("grnn", 1)
    assert splits(experiment) == ["train", "valid", "test", "probe"]


def test_sites_that_are_not_named_are_those_of_the_task(written):
    predicting = read(written("record.test", {"sites": ["state"]}))
    assert predicting.record["test"].sites == ["state"]
    assert predicting.record["probe"].sites == ["state", "prediction"]
    classifying = read(written("train", {"task": "classify"}))
    assert classifying.record["probe"].sites == ["state", "logits"]


def test_a_network_changes_its_own_training_only(written):
    experiment = read(written("networks.grnn", {"model": "fernn", "train": {"learning_rate": 0.25}}))
    assert train_block(experiment, "fernn") == experiment.train
    assert train_block(experiment, "grnn") == experiment.train.model_copy(update={"learning_rate": 0.25})
    refused = read(written("networks.grnn.train", {"horizon": 2}))
    with pytest.raises(
        InputError, match="networks.grnn.train: unknown key 'horizon'; expected one of: learning_rate"
    ):
        train_block(refused, "grnn")
