"""The blocks of an experiment file, in the order in which data flow, and what may be set in each."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from flowsim.recording.settings import RecordBlock
from flowsim.specification import Block, Settings
from flowsim.training.settings import TrainBlock

Recorded = Literal["test", "sweep", "probe", "control"]
"""Splits that can be recorded."""

MOST_SEEDS = 1000
"""Each is several jobs for each network."""
MOST_NETWORKS = 200
"""A report has a column for each."""
MOST_POINTS = 10_000
"""Of a sweep, each of which is several jobs for each network and seed."""


class StimulusBlock(Block):
    """The stimulus: its family, and arguments of its ``generate`` for all splits and for each of them."""

    family: str
    """A stimulus: the name of a file in ``stimuli/``."""
    all: Settings = {}
    """Arguments of its ``generate`` for all splits."""
    train: Settings = {}
    """Of the trials that networks are trained on."""
    valid: Settings = {}
    """Of those that a training is judged by while it runs."""
    test: Settings = {}
    """Of those that are drawn as in training and never seen there."""
    sweep: Settings = {}
    """Of those that visit every velocity, beyond those of training."""
    probe: Settings = {}
    """Of exact transports of a reference, by which laws are measured."""
    control: Settings = {}
    """Of those with parts of their motion taken out."""

    def spec(self, split: str) -> Settings:
        """Arguments of ``generate`` for one split."""
        return {**self.all, **getattr(self, split)}


class RangeBlock(Block):
    """Numbers from ``first`` to ``last``, both included: by ``step``, or as many as ``count`` says."""

    first: int | float
    """The first number."""
    last: int | float
    """The last one."""
    step: int | float | None = None
    """From one to the next; the last number is left out where no step ends there."""
    count: Annotated[int, Field(ge=2, le=MOST_POINTS)] | None = None
    """How many numbers, evenly spaced; in place of ``step``."""
    scale: Literal["linear", "log"] = "linear"
    """Whether their differences are the same, or their ratios, for which both ends must be above 0."""

    @model_validator(mode="after")
    def _can_be_counted(self) -> Self:
        if (self.step is None) == (self.count is None):
            raise PydanticCustomError("range", "expected one of step and count beside first and last")
        if self.step is not None and (self.step == 0 or (self.last - self.first) / self.step < 0):
            raise PydanticCustomError("range", "expected a step that leads from first to last")
        if self.scale == "log" and (self.count is None or min(self.first, self.last) <= 0):
            raise PydanticCustomError("range", "expected a count, and ends above 0, for scale log")
        return self


Values = RangeBlock | Annotated[list[Any], Field(min_length=1)]
"""What one key takes in turn."""


class SweepBlock(Block):
    """Settings to vary. A key is the path of a setting, such as ``networks.fernn.max_speed`` or
    ``train.noise``, with a list of its values or a range. Keys are crossed with each other (a grid), with
    ``zip`` and with ``points``.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Values]
    zip: dict[str, Values] = {}
    """Settings that vary together: the first value of each, then the second, and so on."""
    points: list[Settings] = []
    """Points by themselves, each a mapping of paths of settings to one value."""


class Experiment(Block):
    """The whole file."""

    title: str
    """Of the report."""
    in_all: bool = True
    """Whether `snakemake all` runs it; false for what needs outside data, or days."""
    stimulus: StimulusBlock
    """What networks see."""
    networks: Annotated[dict[str, Settings], Field(min_length=1, max_length=MOST_NETWORKS)]
    """Networks by names of your choice, the reference first. Each is a ``model``, arguments of its ``build``,
    and ``train`` where its training differs from that of the others.
    """
    seeds: Annotated[int, Field(ge=1, le=MOST_SEEDS)] = 2
    """How often each network is trained, from other first weights."""
    train: TrainBlock = TrainBlock()
    """How every network is trained."""
    sweep: SweepBlock | None = None
    """Settings of ``stimulus``, ``networks``, ``train`` and ``seeds`` that vary."""
    record: dict[Recorded, RecordBlock]
    """What is recorded of each split; ``{}`` for the defaults."""
    analyse: dict[str, Settings]
    """Analyses by name, with arguments of their ``analyse``; ``{}`` for the defaults."""
