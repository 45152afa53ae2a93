"""The blocks of an experiment file, in the order in which data flow, and what may be set in each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flowsim.recording.settings import RecordBlock
from flowsim.specification import Block, Settings
from flowsim.training.settings import TrainBlock

Recorded = Literal["test", "sweep", "probe", "control"]
"""Splits that can be recorded."""

MOST_SEEDS = 1000
"""Each is several jobs for each network."""
MOST_NETWORKS = 200
"""A report has a column for each."""


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
    record: dict[Recorded, RecordBlock]
    """What is recorded of each split; ``{}`` for the defaults."""
    analyse: dict[str, Settings]
    """Analyses by name, with arguments of their ``analyse``; ``{}`` for the defaults."""
