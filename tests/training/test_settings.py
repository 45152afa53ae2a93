"""Settings of a training: what may be set, and what decides its result."""

import pytest

from flowsim import InputError, specification
from flowsim.training.settings import SAME_RESULT, RunBlock, TrainBlock, task_of
from flowsim.training.task import Classify, Predict


def test_the_task_of_settings():
    assert task_of(TrainBlock(context=4, horizon=3, context_weight=0.25)) == Predict(4, 3, 0.25)
    assert isinstance(task_of(TrainBlock(task="classify")), Classify)


def test_an_unknown_task():
    with pytest.raises(
        InputError, match=r"train: task: input should be 'predict' or 'classify'; got 'guess'$"
    ):
        specification.validate(TrainBlock, {"task": "guess"}, "train")


def test_own_predictions_need_predictions():
    with pytest.raises(InputError, match=r"train: own_predictions need task predict; leave them out"):
        specification.validate(TrainBlock, {"task": "classify", "own_predictions": 3}, "train")


def test_what_decides_a_result():
    block = RunBlock(name="a", train=TrainBlock(batch=4, micro_batch=2))
    decisive = block.decisive()
    assert decisive["train"]["batch"] == 4
    assert not SAME_RESULT["train"] & set(decisive["train"])
    assert {**block.model_dump()["train"], **decisive["train"]} == block.model_dump()["train"]
