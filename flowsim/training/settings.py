"""What may be set of a training: the block ``train`` of an experiment file."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from flowsim.specification import AboveZero, Block, Count, Settings, Whole
from flowsim.training.task import TASKS, Task


def _known_task(name: str) -> str:
    if name not in TASKS:
        expected = " or ".join(repr(task) for task in TASKS)
        raise PydanticCustomError("unknown_task", "Input should be {expected}", {"expected": expected})
    return name


Moments = Annotated[int, Field(ge=2, le=100)]
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
    """Sequences seen; no such bound if not given."""
    minutes: AboveZero | None = None
    """Minutes of training; no such bound if not given."""


class TrainBlock(Block):
    """How every network is trained.

    Three settings trade time for memory, or precision for speed: ``micro_batch``, ``recompute`` and
    ``precision``.
    """

    task: Annotated[str, AfterValidator(_known_task)] = "predict"
    """One of `flowsim.training.task.TASKS`: "predict" ``horizon`` frames after ``context`` frames, or
    "classify", that is, name the label of object 0 after ``context`` frames.
    """
    stream: bool = False
    """Whether every batch is generated anew, by the specification of the stimulus file and on the device that
    trains, instead of being read from the file.
    """
    context: Count = 6
    """Frames that a network sees."""
    horizon: Count = 6
    """Frames that it then predicts by itself."""
    sequences: Count = 16000
    """How many it sees in all."""
    batch: Count = 16
    """How many of them at a time."""
    learning_rate: AboveZero = 1e-3
    """The largest, of Adam."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """The learning rate rises briefly and then falls to 0 along half a cosine over all sequences, or is
    constant, as published.
    """
    clip: AboveZero = 1.0
    """The largest norm of a gradient."""
    noise: Annotated[float, Field(ge=0)] = 0.0
    """Standard deviation of what is added to every frame that the network takes in."""
    warm_up: Whole = 0
    """The largest number of frames that it watches before the context."""
    own_predictions: Whole = 0
    """Once `FIRST_WITHOUT_OWN` of the training is over, every other step has the network first predict up to
    so many frames by itself, and learn from the horizon after them: from what a long rollout meets.
    """
    context_weight: Annotated[float, Field(ge=0)] = 0.5
    """The error of predictions made within the context counts so many times that over the horizon; with 0, as
    published, none are made.
    """
    validate_every: Count = 1600
    """Sequences between two validations, at each of which the training can go on after an interruption."""
    checkpoints: Annotated[list[Whole], Field(min_length=1, max_length=100)] | Moments | None = None
    """When weights are kept, so that recordings can follow what is learned: sequences seen, or how many
    moments, from before the first to the last, the others spaced logarithmically.
    """
    micro_batch: Count | None = None
    """Splits each batch into pieces of at most so many sequences, with the same result up to rounding (on a
    GPU with too little memory this happens by itself).
    """
    recompute: Count | None = None
    """Stores the state of every so many frames only, and computes the others again in the backward pass."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 computes in bfloat16 (torch.autocast) and stores weights in float32."""
    budget: BudgetBlock = BudgetBlock()
    """Where the training stops before the end."""

    @model_validator(mode="after")
    def _own_predictions_are_predicted(self) -> Self:
        if self.own_predictions and self.task != "predict":
            raise PydanticCustomError("no_predictions", "own_predictions need task predict; leave them out")
        return self

    @model_validator(mode="after")
    def _checkpoints_are_reached(self) -> Self:
        if isinstance(self.checkpoints, list) and max(self.checkpoints) > self.sequences:
            raise PydanticCustomError(
                "not_reached",
                "checkpoints should be at most the {sequences} sequences of the training; got {last}",
                {"sequences": self.sequences, "last": max(self.checkpoints)},
            )
        return self


class OwnTrainBlock(Block):
    """What one network may set for its own training, as its key ``train``; the rest is common to all
    networks.
    """

    learning_rate: AboveZero | None = None
    """The largest, of Adam."""
    warm_up: Whole | None = None
    """As for all networks."""
    own_predictions: Whole | None = None
    """As for all networks."""
    budget: BudgetBlock | None = None
    """Where its training stops before the end."""


class RunBlock(Block):
    """One training: the name of the network, its ``model`` with the arguments of its ``build``, and how it is
    trained.
    """

    network: Settings = {"model": "fernn"}
    """The model, and arguments of its ``build``."""
    name: str = ""
    """Of the network, in the experiment."""
    train: TrainBlock = TrainBlock()
    """How it is trained."""

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
