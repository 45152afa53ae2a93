"""How long each job of an experiment takes, and how large its file is, before it runs.

A job that was done before with the same settings takes as long as it took then: Snakemake's benchmark of it
says so. For any other job it is arithmetic, from floating-point operations of the networks, for one CPU core
like those that `RATE`, `PER_FRAME` and `START` were measured on; another machine, or one that is busy, may
take several times as long. Files are counted before compression.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xarray as xr
from torch.utils.flop_counter import FlopCounterMode

from flowsim import ideas, specification
from flowsim.experiment.check import FEW, draw_few_trials, frame_shape_of
from flowsim.experiment.places import VARIANT
from flowsim.experiment.read import architecture, runs, splits, train_block
from flowsim.experiment.schema import Experiment
from flowsim.experiment.sweep import Point, points
from flowsim.network import Network, build_from_settings
from flowsim.progress import duration
from flowsim.recording.settings import RecordBlock
from flowsim.training.moments import steps_kept
from flowsim.training.settings import TrainBlock, task_of
from flowsim.training.train import last_step, total_steps

RATE = 20e9
"""Floating-point operations per second of one core in a training (measured: 18 to 21 thousand million)."""
PER_FRAME = 3e-3
"""Seconds for each frame of a training step besides that (measured: 2.8 to 3.4 ms)."""
START = 5.0
"""Seconds in which a job starts, that is, imports what it needs (measured: 4.7 s for a training)."""
GRADIENT = 3
"""A frame that is learned from costs as much as so many that are only watched: once forward, twice back."""
BYTES_PER_SECOND = 100e6
"""Of what is written to a recording, compressed (an assumption)."""


@dataclass(frozen=True)
class Cost:
    """What a job costs.

    Attributes
    ----------
    seconds : float
    bytes : float
        Of the file that it writes, where that may be large.
    measured : bool
        Whether the seconds are those of an earlier run.
    """

    seconds: float
    bytes: float = 0.0
    measured: bool = False


def costs(plan: Mapping[str, Any], results: Path) -> dict[str, Cost]:
    """The cost of every job of an experiment, by its verb and what it is about: "train fernn-seed0".

    Parameters
    ----------
    plan : mapping
        See `flowsim.experiment.plan.jobs`.
    results : path
        The folder of the experiment's results, which need not exist.
    """
    experiment = Experiment.model_validate_json(plan["specification"])
    expected = arithmetic(experiment)
    specs = {f"stimulus {stem}": job["spec"] for stem, job in plan["stimuli"].items()}
    specs |= {f"train {name}": job["spec"] for name, job in plan["runs"].items()}
    for name in expected:
        verb, *about = name.split()
        if verb == "record":
            specs[name] = plan["recordings"][about[1].partition(VARIANT)[0]]["spec"]
        elif verb == "analyse":
            specs[name] = plan["analyses"][about[0]]["spec"]
    for name, cost in expected.items():
        seconds = seconds_before(name, specs.get(name), results)
        if seconds is not None:
            expected[name] = Cost(seconds, cost.bytes, measured=True)
    return expected


def seconds_before(name: str, spec: str | None, results: Path) -> float | None:
    """How long a job took in an earlier run with the same settings; None if there was none."""
    verb, *about = name.split()
    stem = "-".join(about)
    benchmark, log = results / "benchmarks" / verb / f"{stem}.tsv", results / "logs" / verb / f"{stem}.log"
    try:
        header, row = benchmark.read_text(encoding="utf-8").splitlines()[:2]
        seconds = float(dict(zip(header.split("\t"), row.split("\t"), strict=False))["s"])
        with log.open(encoding="utf-8", errors="replace") as file:
            words = shlex.split(file.readline())
        same = spec is None or json.loads(words[words.index("--spec") + 1]) == json.loads(spec)
    except (OSError, ValueError, KeyError, IndexError):
        return None
    return seconds if same else None


def arithmetic(experiment: Experiment) -> dict[str, Cost]:
    """The cost of every job that leads to the report, from what the experiment asks for."""
    found: dict[str, Cost] = {}
    drawn: dict[str, tuple[xr.Dataset, float]] = {}
    work: dict[str, Work] = {}
    for point in points(experiment):
        for name, cost in _at(point, drawn, work).items():
            found.setdefault(name, cost)
    found |= {f"figure {analysis}": Cost(START) for analysis in experiment.analyse}
    if experiment.sweep is not None:
        found["sweep"] = Cost(START)
    return {**found, "report": Cost(START)}


def _at(point: Point, drawn: dict[str, tuple[xr.Dataset, float]], known: dict[str, Work]) -> dict[str, Cost]:
    """The cost of the jobs at one point; what was drawn and counted for others is not again."""
    experiment, stems = point.experiment, point.stems
    read = [
        split for split in splits(experiment) if split in ("train", "valid") or _is_read(experiment, split)
    ]
    for split in read:
        if stems[split] not in drawn:
            stimulus = draw_few_trials(experiment, split)
            drawn[stems[split]] = stimulus, _trials(experiment, split, stimulus)
    found: dict[str, Cost] = {}
    for split in read:
        stimulus, scale = drawn[stems[split]]
        found[f"stimulus {stems[split]}"] = Cost(START, scale * stimulus.frames.nbytes)
    shape = frame_shape_of(drawn[stems["train"]][0])
    work: dict[str, Work] = {}
    for name, settings in experiment.networks.items():
        key = json.dumps([architecture(settings), shape, task_of(train_block(experiment, name)).frames])
        if key not in known:
            known[key] = Work.of(experiment, name, shape)
        work[name] = known[key]
    train = experiment.train
    moments = len(steps_kept(train.checkpoints, train.batch, total_steps(train)))
    trained = {name: work[name].training(train_block(experiment, name)) for name in experiment.networks}
    for run, (name, _) in runs(experiment).items():
        found[f"train {run}"] = Cost(START + trained[name])
        for split, block in experiment.record.items():
            if split in read:
                stimulus, scale = drawn[stems[split]]
                cost = work[name].recording(stimulus, scale, block, moments)
                found[f"record {run} {stems[split]}"] = cost
        for analysis in experiment.analyse:
            result = point.result(run, ideas.load("analysis", analysis).READS)
            found[f"analyse {analysis} {result}"] = Cost(START)
    return found


def _is_read(experiment: Experiment, split: str) -> bool:

    return split in {ideas.load("analysis", name).READS for name in experiment.analyse}


def _trials(experiment: Experiment, split: str, drawn: xr.Dataset) -> float:
    """How many times as many trials a stimulus file has as were drawn for the estimate."""

    generate = ideas.load("stimuli", experiment.stimulus.family).generate
    arguments = specification.arguments(
        generate, experiment.stimulus.spec(split), f"stimulus.{split}", given=("split", "rng")
    )
    return max(1.0, arguments.get("trials", FEW) / FEW)


@dataclass(frozen=True)
class Work:
    """What a network does with one sequence.

    Attributes
    ----------
    flops : float
        Floating-point operations for a frame of one trial, forward.
    values : int
        Values of the state of one trial.
    """

    flops: float
    values: int

    @classmethod
    def of(cls, experiment: Experiment, name: str, frame_shape: tuple[int, int]) -> Work:
        """Count for one network of an experiment, by showing it one sequence."""
        network = build_from_settings(architecture(experiment.networks[name]), frame_shape)
        block = train_block(experiment, name)
        flops = _forward(network, block, frame_shape) / task_of(block).frames
        return cls(flops, network.top(network.start(1)).numel())

    def training(self, block: TrainBlock) -> float:
        """Seconds of a training on one core."""
        frames = GRADIENT * task_of(block).frames + (block.warm_up + block.own_predictions) / 4
        seconds = last_step(block) * frames * (PER_FRAME + block.batch * self.flops / RATE)
        return min(seconds, 60 * block.budget.minutes) if block.budget.minutes else seconds

    def recording(self, stimulus: xr.Dataset, scale: float, block: RecordBlock, moments: int = 0) -> Cost:
        """Seconds and bytes of a recording of a stimulus that has ``scale`` times as many trials, of a
        network whose weights were kept at some ``moments``.
        """
        sizes = stimulus.sizes
        shown = sizes.get("flow", 1) * sizes["trial"] * scale * sizes["time"]
        pixels = sizes["y"] * sizes["x"]
        sites = block.sites or ()
        values = pixels * ("prediction" in sites) + self.values * ("state" in sites)
        runs = (2 if block.blank else 1) * (1 + (moments if block.checkpoints else 0))
        runs += len(block.intervene or ())  # at most: an intervention goes on from where it is made
        size = 4 * shown / block.every * (pixels + runs * values)
        return Cost(START + runs * shown * self.flops / RATE + size / BYTES_PER_SECOND, size)


def _forward(network: Network, block: TrainBlock, frame_shape: tuple[int, int]) -> float:
    """Floating-point operations for one sequence."""
    frames = torch.zeros(1, block.context, 1, *frame_shape)
    length = task_of(block).frames
    actions = torch.zeros(1, length, len(network.grid.group.components)) if network.observes else None
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        if block.task == "classify":
            network.classify(frames, actions)
        else:
            network.rollout(frames, block.horizon, actions)
    return float(counter.get_total_flops())


def cost_in_words(expected: Mapping[str, Cost]) -> str:
    """How long an experiment takes and how large its files get, said as what it is: an estimate."""
    known = sum(cost.measured for cost in expected.values())
    hours = duration(sum(cost.seconds for cost in expected.values()))
    size = sum(cost.bytes for cost in expected.values())
    room = f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
    origin = f"{known} of {len(expected)} jobs as in earlier runs, the others" if known else "all"
    return (
        f"estimated at {hours} of one core ({origin} by arithmetic, which can be wrong by a factor of 3; a "
        f"GPU trains faster), and at most {room} of stimuli and recordings before compression"
    )
