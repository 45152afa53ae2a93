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


ALIASES = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(8)
)
"""Less than 500 bytes that stand for 9^9 values."""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (ALIASES, "more than 20,000 values, with what its aliases name"),
        ("a: &a [*a]\n", "more than 20,000 values, with what its aliases name"),
        ("[" * 20_000, "a few levels; it is nested too deeply"),
        ("title: a\n" + "".join(f"k{i}: 1\n" for i in range(30_000)), "more than 20,000 values"),
        ("title: " + "a" * 2**20, "an experiment file of at most 1 MB"),
        ("? [1, 2]\n: 3\n", "YAML; while constructing a mapping"),
    ],
)
def test_files_that_would_take_up_the_machine(text, reason, tmp_path):
    (tmp_path / "bomb.yaml").write_text(text)
    with pytest.raises(InputError, match=f"bomb.yaml: expected .*{reason}"):
        read(tmp_path / "bomb.yaml")


def test_an_alias_may_save_repetition(written, tmp_path):
    file = tmp_path / "alias.yaml"
    file.write_text(
        written()
        .read_text()
        .replace("networks:", "networks:\n  first: &first {model: fernn}\n  same: *first", 1)
    )
    assert read(file).networks["same"] == {"model": "fernn"}


def test_more_seeds_than_anybody_trains(written):
    with pytest.raises(InputError, match="seeds: input should be less than or equal to 1000; got 1000000000"):
        read(written("seeds", 10**9))
