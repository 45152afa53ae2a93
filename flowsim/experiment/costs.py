"""What each job of an experiment costs before it runs: time, memory, and the size of its file.

All of it is arithmetic: from floating-point operations of the networks, for one CPU core like those that
`RATE`, `PER_FRAME` and `START` were measured on (another machine, or one that is busy, may take several times
as long), and from what a network keeps of a sequence for its gradient. What jobs took in earlier runs stands
beside it in what ``python -m benchmarks.speed.resources`` writes. Files are counted before compression.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import torch
import xarray as xr
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from flowsim import ideas, specification
from flowsim.experiment.check import FEW, draw_few_trials, frame_shape_of
from flowsim.experiment.read import architecture, runs, splits, train_block
from flowsim.experiment.schema import Experiment
from flowsim.experiment.sweep import Point, points
from flowsim.network import Network, build_from_settings
from flowsim.recording.settings import RecordBlock
from flowsim.training.moments import steps_kept
from flowsim.training.settings import TrainBlock, task_of
from flowsim.training.train import last_step, total_steps

RATE = 100e9
"""Floating-point operations per second of one core in a training (measured: 100 thousand million with
compiled convolutions, 30 without)."""
PER_FRAME = 1e-3
"""Seconds for each frame of a training step besides that (measured: 0.9 to 1.1 ms)."""
START = 5.0
"""Seconds in which a job starts, that is, imports what it needs (measured: 3 to 5 s)."""
GRADIENT = 3
"""A frame that is learned from costs as much as so many that are only watched: once forward, twice back."""
BYTES_PER_SECOND = 100e6
"""Of what is written to a recording, compressed (an assumption)."""
PROCESS = {
    "stimulus": 900,
    "train": 600,
    "record": 650,
    "analyse": 650,
    "figure": 500,
    "sweep": 700,
    "report": 700,
}
"""Megabytes of a job besides what it works on (measured: at most 800, 520, 580, 560 and 390, with what forks
of one process share; 500 of the report of the default experiment; of a sweep's table nothing)."""
PIECES = 700
"""Megabytes that a recording or an analysis works on at the same time, at most: larger files are written and
read in pieces (measured: 790 of a recording of 8 GB, 760 of an analysis of 20 GB)."""
SEQUENCES = 2.0
"""How many times a training holds its stimulus, while it reads it (measured: 1.75)."""
KEPT_FOR_GRADIENT = 2.0
"""Memory of a step in units of what a network keeps for its gradient (measured: 1.03 to 2.0, where that is
more than 200 MB)."""
PER_PARAMETER = 32
"""Bytes for each parameter: weights, gradient, optimiser, best weights, checkpoint."""
ROUNDED_TO = 100
"""Megabytes that jobs ask for are multiples of this."""
LEAST_MINUTES, MOST_MINUTES = 30, 2880
"""What jobs ask for, at least and at most: a training that has not ended then goes on from its checkpoint."""
SLOWER = 5
"""How many times longer a job may take than by arithmetic, before a cluster ends it."""


@dataclass(frozen=True)
class Cost:
    """What a job costs.

    Attributes
    ----------
    seconds : float
    bytes : float
        Of the file that it writes, where that may be large.
    mem_mb : int
        Memory that it asks for, in megabytes (MB).
    runtime : int
        Minutes that it asks for.
    """

    seconds: float
    bytes: float
    mem_mb: int
    runtime: int

    @classmethod
    def of(cls, verb: str, seconds: float = 0.0, size: float = 0.0, works_on: float = 0.0) -> Cost:
        """The cost of a job that works for some seconds after its start, on some bytes, and writes a file."""
        megabytes = PROCESS[verb] + works_on / 1e6
        minutes = math.ceil(SLOWER * (START + seconds) / 60)
        return cls(
            seconds=START + seconds,
            bytes=size,
            mem_mb=ROUNDED_TO * math.ceil(megabytes / ROUNDED_TO),
            runtime=min(max(minutes, LEAST_MINUTES), MOST_MINUTES),
        )


Costs = dict[str, Cost]
"""Of jobs by verb and what they are about: "train fernn-seed0"."""


def costs(experiment: Experiment) -> Costs:
    """The cost of every job that leads to the report, from what the experiment asks for."""
    found: Costs = {}
    drawn: dict[str, Drawn] = {}
    work: dict[str, Work] = {}
    for point in points(experiment):
        for name, cost in _at(point, drawn, work).items():
            found.setdefault(name, cost)
    found |= {f"figure {analysis}": Cost.of("figure") for analysis in experiment.analyse}
    if experiment.sweep is not None:
        found["sweep"] = Cost.of("sweep")
    return {**found, "report": Cost.of("report")}


def _at(point: Point, drawn: dict[str, Drawn], known: dict[str, Work]) -> Costs:
    """The cost of the jobs at one point; what was drawn and counted for others is not again."""
    experiment, stems = point.experiment, point.stems
    reads = {name: ideas.load("analysis", name).READS for name in experiment.analyse}
    read = [split for split in splits(experiment) if split in ("train", "valid", *reads.values())]
    for split in read:
        if stems[split] not in drawn:
            drawn[stems[split]] = Drawn.of(experiment, split)
    found: Costs = {}
    for split in read:
        size = drawn[stems[split]].bytes
        found[f"stimulus {stems[split]}"] = Cost.of("stimulus", 0, size, size)
    shape = frame_shape_of(drawn[stems["train"]].few)
    work: dict[str, Work] = {}
    for name, settings in experiment.networks.items():
        key = json.dumps([architecture(settings), shape, task_of(train_block(experiment, name)).frames])
        if key not in known:
            known[key] = Work.of(experiment, name, shape)
        work[name] = known[key]
    moments = len(
        steps_kept(experiment.train.checkpoints, experiment.train.batch, total_steps(experiment.train))
    )
    shown = sum(drawn[stems[split]].bytes for split in ("train", "valid"))
    trained = {
        name: work[name].training(train_block(experiment, name), shown, moments)
        for name in experiment.networks
    }
    for run, (name, _) in runs(experiment).items():
        found[f"train {run}"] = trained[name]
        recorded = {}
        for split, block in experiment.record.items():
            if split in read:
                recorded[split] = work[name].recording(drawn[stems[split]], block, moments)
                found[f"record {run} {stems[split]}"] = recorded[split]
        for analysis, split in reads.items():
            pieces = min(recorded[split].bytes, 1e6 * PIECES)
            found[f"analyse {analysis} {point.result(run, split)}"] = Cost.of("analyse", works_on=pieces)
    return found


@dataclass(frozen=True)
class Drawn:
    """A stimulus as far as it was drawn for the estimate.

    Attributes
    ----------
    few : Dataset
        A few trials of it.
    scale : float
        How many times as many trials the file has.
    """

    few: xr.Dataset
    scale: float

    @classmethod
    def of(cls, experiment: Experiment, split: str) -> Drawn:
        """Draw a few trials of a split."""
        generate = ideas.load("stimuli", experiment.stimulus.family).generate
        arguments = specification.arguments(
            generate, experiment.stimulus.spec(split), f"stimulus.{split}", given=("split", "rng")
        )
        scale = max(1.0, arguments.get("trials", FEW) / FEW)
        return cls(draw_few_trials(experiment, split), scale)

    @property
    def bytes(self) -> float:
        """Of all frames."""
        return self.scale * float(self.few.frames.nbytes)

    @property
    def shown(self) -> float:
        """Frames of all trials and flows."""
        sizes = self.few.sizes
        return self.scale * float(sizes.get("flow", 1) * sizes["trial"] * sizes["time"])

    @property
    def pixels(self) -> int:
        """Of a frame."""
        return int(self.few.sizes["y"] * self.few.sizes["x"])


@dataclass(frozen=True)
class Work:
    """What a network does with one sequence.

    Attributes
    ----------
    flops : float
        Floating-point operations for a frame of one trial, forward.
    kept : float
        Bytes that are kept of a frame of one trial for the gradient.
    values : int
        Values of the state of one trial.
    parameters : int
    """

    flops: float
    kept: float
    values: int
    parameters: int

    @classmethod
    def of(cls, experiment: Experiment, name: str, frame_shape: tuple[int, int]) -> Work:
        """Count for one network of an experiment, by showing it a sequence: a short one where it predicts."""
        network = build_from_settings(architecture(experiment.networks[name]), frame_shape)
        block = train_block(experiment, name)
        values = network.top(network.start(1)).numel()
        parameters = sum(parameter.numel() for parameter in network.parameters())
        if block.task == "classify":
            flops, kept = _counted(network, block.context, None, frame_shape)
            return cls(flops / block.context, kept / block.context, values, parameters)
        two, three = (_counted(network, 1, horizon, frame_shape) for horizon in (2, 3))
        # The first frame costs less where all channels of the first state are the same.
        return cls(three[0] - two[0], three[1] - two[1], values, parameters)

    def training(self, block: TrainBlock, shown: float, moments: int) -> Cost:
        """The cost of a training on one core, whose stimuli have so many bytes."""
        length = task_of(block).frames
        frames = GRADIENT * length + (block.warm_up + block.own_predictions) / 4
        seconds = last_step(block) * frames * (PER_FRAME + block.batch * self.flops / RATE)
        if block.budget.minutes:
            seconds = min(seconds, 60 * block.budget.minutes)
        piece = min(block.micro_batch or block.batch, block.batch)
        kept = KEPT_FOR_GRADIENT * piece * length * self.kept
        weights = (PER_PARAMETER + 4 * moments) * self.parameters
        return Cost.of("train", seconds, works_on=SEQUENCES * shown + kept + weights)

    def recording(self, stimulus: Drawn, block: RecordBlock, moments: int = 0) -> Cost:
        """The cost of a recording of a stimulus, of a network whose weights were kept at some ``moments``."""
        sites = block.sites or ()
        values = stimulus.pixels * ("prediction" in sites) + self.values * ("state" in sites)
        runs = (2 if block.blank else 1) * (1 + (moments if block.checkpoints else 0))
        runs += len(block.intervene or ())  # at most: an intervention goes on from where it is made
        size = 4 * stimulus.shown / block.every * (stimulus.pixels + runs * values)
        seconds = runs * stimulus.shown * self.flops / RATE + size / BYTES_PER_SECOND
        return Cost.of("record", seconds, size, min(size, 1e6 * PIECES))


def _counted(
    network: Network, context: int, horizon: int | None, frame_shape: tuple[int, int]
) -> tuple[float, float]:
    """Floating-point operations for one sequence, and the bytes that are kept for its gradient.

    It is classified where there is no horizon.
    """
    frames = torch.zeros(1, context, 1, *frame_shape)
    length = context + (horizon or 0)
    actions = torch.zeros(1, length, len(network.grid.group.components)) if network.observes else None
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()  # once, however many tensors share it
        return tensor

    with (
        FlopCounterMode(display=False) as counter,
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        if horizon is None:
            result = network.classify(frames, actions)
        else:
            result = network.rollout(frames, horizon, actions)
    del result  # until now it held what was kept, so that no two of it had the same address
    return float(counter.get_total_flops()), float(sum(kept.values()))
