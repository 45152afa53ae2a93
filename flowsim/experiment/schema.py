"""The blocks of an experiment file, in the order in which data flow, and what may be set in each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flowsim.recording.settings import RecordBlock
from flowsim.specification import Block, Count, Settings
from flowsim.training.settings import TrainBlock


class StimulusBlock(Block):
    """The stimulus. ``family`` is a file in ``stimuli/``; the other keys are arguments of its ``generate``:
    for ``all`` splits, and for each of them.
    """

    family: str
    all: Settings = {}
    train: Settings = {}
    valid: Settings = {}
    test: Settings = {}
    sweep: Settings = {}
    probe: Settings = {}
    control: Settings = {}

    def spec(self, split: str) -> Settings:
        """Arguments of ``generate`` for one split."""
        return {**self.all, **getattr(self, split)}


class Experiment(Block):
    """The whole file.

    Networks have names of your choice. Each is a ``model``, arguments of its ``build``, and ``train`` where
    its training differs from that of the others. An experiment with ``in_all`` false is not run by `snakemake
    all`, because it needs outside data, or days.
    """

    title: str
    in_all: bool = True
    stimulus: StimulusBlock
    networks: Annotated[dict[str, Settings], Field(min_length=1)]
    seeds: Count = 2
    train: TrainBlock = TrainBlock()
    record: dict[Literal["test", "sweep", "probe", "control"], RecordBlock]
    analyse: dict[str, Settings]
