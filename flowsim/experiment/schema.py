"""The blocks of an experiment file: one per stage, in the order in which data flow, and what may be set in
each.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flowsim.recording.settings import RecordBlock
from flowsim.specification import Block, Count, Settings
from flowsim.training.settings import TrainBlock


class StimulusBlock(Block):
    """The world. ``family`` is a file in ``stimuli/``; the others are arguments of its ``generate``."""

    family: str
    all: Settings = {}
    train: Settings = {}
    valid: Settings = {}
    test: Settings = {}
    sweep: Settings = {}
    probe: Settings = {}

    def spec(self, split: str) -> Settings:
        """Arguments of ``generate`` for one file."""
        return {**self.all, **getattr(self, split)}


class Experiment(Block):
    """The whole file. Networks have names of a person's choice; each is ``model``, arguments of its
    ``build``, and ``train`` where its training differs from that of the others. ``in_all`` false leaves an
    experiment out of `snakemake all`: it needs outside data, or days.
    """

    title: str
    in_all: bool = True
    stimulus: StimulusBlock
    networks: Annotated[dict[str, Settings], Field(min_length=1)]
    seeds: Count = 2
    train: TrainBlock = TrainBlock()
    record: dict[Literal["test", "sweep", "probe"], RecordBlock]
    analyse: dict[str, Settings]
