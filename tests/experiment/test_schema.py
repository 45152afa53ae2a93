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
