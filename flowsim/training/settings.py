"""What may be set of a training: the block ``train`` of an experiment file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flowsim.specification import Block, Count, Positive, Settings


class BudgetBlock(Block):
    """Where a training stops for now: after so many sequences seen, or so many minutes spent on it, in all
    sittings together, whichever comes first. What it then leaves is partial, and labelled so; with a larger
    budget, or none, it goes on from there.
    """

    sequences: Count | None = None
    minutes: Positive | None = None


class TrainBlock(Block):
    """How every network is trained: to predict ``horizon`` frames after seeing ``context`` frames, or
    (``task`` classify) to name the label of object 0 after ``context`` frames. With ``stream`` every batch is
    made anew instead of taken from the file, by the file's specification, on the device that trains.

    ``sequences`` in all are seen, ``batch`` at a time; ``clip`` is the largest norm of a gradient, ``noise``
    the standard deviation of what is added to every frame that is taken in, and ``warm_up`` the most frames
    that are watched before the context. The error of predictions made within the context counts
    ``context_weight`` times that over the horizon; 0, as published, does not make any. The learning rate
    rises shortly and falls to 0 along half a ``cosine`` over all ``sequences``, or is ``constant``, as
    published. A ``budget`` stops before the end.

    Three settings trade time for memory, or speed for precision: ``micro_batch`` splits each batch into
    pieces of at most so many sequences, with the same result to rounding (on a GPU without enough memory this
    is done without being asked); ``recompute`` keeps the state of every so many frames only, and computes the
    others again in the backward pass; ``precision`` bfloat16 computes in that (torch.autocast), and keeps
    weights in float32.
    """

    task: Literal["predict", "classify"] = "predict"
    stream: bool = False
    context: Count = 6
    horizon: Count = 6
    sequences: Count = 16000
    batch: Count = 16
    learning_rate: Positive = 1e-3
    schedule: Literal["cosine", "constant"] = "cosine"
    clip: Positive = 1.0
    noise: Annotated[float, Field(ge=0)] = 0.0
    warm_up: Annotated[int, Field(ge=0)] = 0
    context_weight: Annotated[float, Field(ge=0)] = 0.5
    validate_every: Count = 1600
    micro_batch: Count | None = None
    recompute: Count | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    budget: BudgetBlock = BudgetBlock()


class OwnTrainBlock(Block):
    """What a network may have of its own in its training, as its key ``train``; the rest is common to all
    networks.
    """

    learning_rate: Positive | None = None
    budget: BudgetBlock | None = None


class RunBlock(Block):
    """One training: what the network is called, what it is (``model`` and arguments of its ``build``), and
    how.
    """

    network: Settings = {"model": "fernn"}
    name: str = ""
    train: TrainBlock = TrainBlock()
