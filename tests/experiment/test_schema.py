"""What an experiment file may contain: each mistake is one line that names the key and says what to do."""

import datetime

import pytest

from flowsim import InputError
from flowsim.experiment.read import read


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("networks", {}, "networks: dictionary should have at least 1 item"),
        ("train.horizon", 0, "train.horizon: input should be greater than or equal to 1; got 0"),
        ("train.learning_rate", -1, "train.learning_rate: input should be greater than 0; got -1"),
        ("train.lr", 0.1, "unknown key 'train.lr'; expected one of: task, stream, context, horizon"),
        ("train.budget", {"minutes": 0}, "train.budget.minutes: input should be greater than 0; got 0"),
        (
            "train.budget",
            {"hours": 1},
            "unknown key 'train.budget.hours'; expected one of: sequences, minutes",
        ),
        (
            "record.test.contxt",
            3,
            r"unknown key 'record.test.contxt'; expected one of: context, sites, .*mean context\?",
        ),
        (
            "record.test.blank",
            {"at": 3, "frame": 2},
            r"unknown key 'record.test.blank.frame'; expected one of: at, frames, by, seed\. .*frames\?",
        ),
        (
            "record.test.intervene",
            {"noise": {"law": [0, 1], "prat": "shift"}},  # a name of the user's, like that of a key
            "unknown key 'record.test.intervene.noise.prat'; expected one of: at, law, part, flow",
        ),
        ("train.schedule", "linear", "train.schedule: input should be 'cosine' or 'constant'; got 'linear'"),
        ("train.horizon", 2.5, "train.horizon: input should be a valid integer"),
        (
            "record.test.sites",
            ["retina"],
            "record.test.sites.0: input should be 'state', 'prediction' or 'logits'; got 'retina'",
        ),
        ("record.holdout", {}, "record.holdout.*: input should be 'test', 'sweep', 'probe' or 'control'"),
        ("seeds", "two", "seeds: input should be a valid integer; got 'two'"),
        ("title", datetime.date(2024, 1, 1), r"expected plain values \(text, numbers, lists\); got datetime"),
        ("train.learning_rate", float("inf"), "train.learning_rate: input should be a"),
        ("title", None, "'title' is missing; add it"),
        ("colour", "red", "unknown key 'colour'; expected one of: title, in_all, stimulus"),
    ],
)
def test_mistakes_of_form(written, place, value, message):
    file = written(place, value)
    with pytest.raises(InputError, match=message) as error:
        read(file)
    assert str(error.value).startswith(f"{file}: ")
    assert "\n" not in str(error.value)


def test_a_misspelt_key_is_named_before_the_one_that_it_leaves_missing(written):
    file = written()
    file.write_text(file.read_text().replace("networks:", "networkz:"))
    with pytest.raises(
        InputError,
        match=r"unknown key 'networkz'; .*\. Did you mean networks\? \(and 1 more\)$",
    ):
        read(file)


def test_a_name_like_no_other_is_not_guessed(written):
    with pytest.raises(InputError, match="unknown key 'colour'") as error:
        read(written("colour", "red"))
    assert "Did you mean" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "number"), [("1e-3", 1e-3), ("2E-4", 2e-4), ("1.5e0", 1.5), (".5e-2", 5e-3)]
)
def test_numbers_may_be_written_as_in_python(written, text, number):
    """YAML 1.1 takes 1e-3 for text."""
    file = written("train.learning_rate", 0.75)
    file.write_text(file.read_text().replace("0.75", text))
    assert read(file).train.learning_rate == number


@pytest.mark.parametrize("text", ["e-3", "1e3 sequences", "3e5a", "1e-3-2"])
def test_text_that_only_looks_like_a_number_stays_text(written, text):
    file = written("title", "seven")
    file.write_text(file.read_text().replace("seven", text))
    assert read(file).title == text
