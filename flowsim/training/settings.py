"""What may be set of a training: the block ``train`` of an experiment file."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from flowsim.specification import Block, Count, Positive, Settings, Whole
from flowsim.training.task import TASKS, Task


def _known_task(name: str) -> str:
    if name not in TASKS:
        expected = " or ".join(repr(task) for task in TASKS)
        raise PydanticCustomError("unknown_task", "Input should be {expected}", {"expected": expected})
    return name


FIRST_WITHOUT_OWN = 0.1
"""Share of the training without own predictions before those that are learned from; a network that does not
predict yet has nothing to learn from them.
"""


class BudgetBlock(Block):
    """Where a training stops for now: after so many sequences, or so many minutes, whichever comes first.

    Both count from the first start of the training, over all interruptions. The weights that it leaves are
    marked as partial. With a larger budget, or none, the training goes on from there.
    """

    sequences: Count | None = None
    minutes: Positive | None = None


class TrainBlock(Block):
    """How every network is trained.

    ``task`` is one of `flowsim.training.task.TASKS`: to predict ``horizon`` frames after ``context`` frames,
    or to classify, that is, to name the label of object 0 after ``context`` frames. With ``stream`` every
    batch is generated anew, by the specification of the stimulus file and on the device that trains, instead
    of being read from the file.

    The network sees ``sequences`` in all, ``batch`` at a time. ``clip`` is the largest norm of a gradient,
    ``noise`` the standard deviation of what is added to every frame that the network takes in, and
    ``warm_up`` the largest number of frames that it watches before the context. The error of predictions made
    within the context counts ``context_weight`` times that over the horizon; with 0, as published, none are
    made. Once `FIRST_WITHOUT_OWN` of the training is over, every other step has the network first predict up
    to ``own_predictions`` frames by itself, and learns from the horizon after them: from what a long rollout
    meets. The learning rate rises briefly and then falls to 0 along half a ``cosine`` over all ``sequences``,
    or is ``constant``, as published. A ``budget`` stops before the end.

    Three settings trade time for memory, or precision for speed. ``micro_batch`` splits each batch into
    pieces of at most so many sequences, with the same result up to rounding (on a GPU with too little memory
    this happens by itself). ``recompute`` stores the state of every so many frames only, and computes the
    others again in the backward pass. ``precision`` bfloat16 computes in bfloat16 (torch.autocast) and stores
    weights in float32.
    """

    task: Annotated[str, AfterValidator(_known_task)] = "predict"
    stream: bool = False
    context: Count = 6
    horizon: Count = 6
    sequences: Count = 16000
    batch: Count = 16
    learning_rate: Positive = 1e-3
    schedule: Literal["cosine", "constant"] = "cosine"
    clip: Positive = 1.0
    noise: Annotated[float, Field(ge=0)] = 0.0
    warm_up: Whole = 0
    own_predictions: Whole = 0
    context_weight: Annotated[float, Field(ge=0)] = 0.5
    validate_every: Count = 1600
    micro_batch: Count | None = None
    recompute: Count | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    budget: BudgetBlock = BudgetBlock()

    @model_validator(mode="after")
    def _own_predictions_are_predicted(self) -> Self:
        if self.own_predictions and self.task != "predict":
            raise PydanticCustomError("no_predictions", "own_predictions need task predict; leave them out")
        return self


class OwnTrainBlock(Block):
    """What one network may set for its own training, as its key ``train``; the rest is common to all
    networks.
    """

    learning_rate: Positive | None = None
    own_predictions: Whole | None = None
    budget: BudgetBlock | None = None


class RunBlock(Block):
    """One training: the name of the network, its ``model`` with the arguments of its ``build``, and how it is
    trained.
    """

    network: Settings = {"model": "fernn"}
    name: str = ""
    train: TrainBlock = TrainBlock()

    def decisive(self) -> dict[str, Any]:
        """The specification without `SAME_RESULT`: what decides the weights at the end."""
        return self.model_dump(exclude=SAME_RESULT)


SAME_RESULT = {"train": {"micro_batch", "recompute", "budget"}}
"""Settings that may change between an interruption and resuming: the steps are the same up to rounding."""


def task_of(settings: TrainBlock) -> Task:
    """The task of a training."""
    return TASKS[settings.task](settings.context, settings.horizon, settings.context_weight)


def lengths_needed(settings: TrainBlock) -> dict[str, int]:
    """How many frames a training sequence needs, by the sums of settings that ask for them."""
    task = task_of(settings)
    return {
        f"warm_up {settings.warm_up} + {task.frames_in_words}": settings.warm_up + task.frames,
        f"own_predictions {settings.own_predictions} + {task.frames_in_words}": settings.own_predictions
        + task.frames,
    }
