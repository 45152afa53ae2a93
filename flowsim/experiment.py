"""An experiment file: one YAML, a block per stage in the order in which data flow.

`read` checks all of it before anything runs, down to building every network on the frames that the stimulus makes and
asking every question of a recording of one untrained trial.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field

from flowsim import ideas
from flowsim.chunked import Codec
from flowsim.errors import InputError
from flowsim.files import existing
from flowsim.network import build
from flowsim.objective import end_of
from flowsim.rehearsal import one_of_each_kind, rehearse

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Settings = dict[str, Any]


class Block(BaseModel):
    """A part of an experiment file: nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


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


class TrainBlock(Block):
    """How every network is trained: to predict ``horizon`` frames after seeing ``context`` frames, or (``task``
    classify) to name the label of object 0 after ``context`` frames. With ``stream`` every batch is made anew instead
    of taken from the file, by the file's specification, on the device that trains.

    ``sequences`` in all are seen, ``batch`` at a time; ``clip`` is the largest norm of a gradient, ``noise`` the
    standard deviation of what is added to every frame that is taken in, and ``warm_up`` the most frames that are
    watched before the context. The error of predictions made within the context counts ``context_weight`` times that
    over the horizon; 0, as published, does not make any.

    Three settings trade time for memory, or speed for precision: ``micro_batch`` splits each batch into pieces of at
    most so many sequences, with the same result to rounding (on a GPU without enough memory this is done without being
    asked); ``recompute`` keeps the state of every so many frames only, and computes the others again in the backward
    pass; ``precision`` bfloat16 computes in that (torch.autocast), and keeps weights in float32.
    """

    task: Literal["predict", "classify"] = "predict"
    stream: bool = False
    context: Count = 6
    horizon: Count = 6
    sequences: Count = 16000
    batch: Count = 16
    learning_rate: Positive = 1e-3
    clip: Positive = 1.0
    noise: Annotated[float, Field(ge=0)] = 0.0
    warm_up: Annotated[int, Field(ge=0)] = 0
    context_weight: Annotated[float, Field(ge=0)] = 0.5
    validate_every: Count = 1600
    micro_batch: Count | None = None
    recompute: Count | None = None
    precision: Literal["float32", "bfloat16"] = "float32"


class RunBlock(Block):
    """One training: what the network is called, what it is (``model`` and arguments of its ``build``), and how."""

    network: Settings = {"model": "fernn"}
    name: str = ""
    train: TrainBlock = TrainBlock()


class UnitsBlock(Block):
    """Only so many units, a random subset or random projections; see `flowsim.thinning.Units`."""

    count: Count
    by: Literal["subset", "projection"] = "subset"
    seed: Annotated[int, Field(ge=0)] = 0


class RecordBlock(Block):
    """What is recorded while a network watches one stimulus file. ``context`` None: it sees every frame."""

    context: Count | None = None
    sites: list[Literal["state", "prediction", "logits"]] = ["state", "prediction"]
    trials: Count | None = None
    flows: Count | None = None
    every: Count = 1
    channels: Count | None = None
    units: UnitsBlock | None = None
    dtype: Literal["float16", "float32", "float64"] = "float32"
    codec: Codec = "gzip"


class Experiment(Block):
    """The whole file."""

    title: str
    stimulus: StimulusBlock
    networks: Annotated[dict[str, Settings], Field(min_length=1)]
    seeds: Count = 2
    train: TrainBlock = TrainBlock()
    record: dict[Literal["test", "sweep", "probe"], RecordBlock]
    analyse: dict[str, Settings]


class Loader(yaml.SafeLoader):
    """Plain YAML in which no key may come twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"the key {twice[0]!r} comes twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read(path: str | Path) -> Experiment:
    """Read and check an experiment file.

    Raises
    ------
    InputError
        With the file and the key in question, for anything that would fail later on.
    """
    path = existing(path, "an experiment file (YAML)")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected YAML; {' '.join(str(error).split())}") from None
    try:
        experiment = ideas.validate(Experiment, content, "")
        _check(experiment)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return experiment


def _check(experiment: Experiment) -> None:
    block, train = experiment.stimulus, experiment.train
    family = ideas.load("stimuli", block.family)
    shown = {}
    for split in splits(experiment):
        arguments = ideas.arguments(family.generate, block.spec(split), f"stimulus.{split}", given=("split", "rng"))
        few = {"trials": 1} if "trials" in arguments else {}
        shown[split] = family.generate(split, np.random.default_rng(0), **{**arguments, **few})
    frame_shape = (shown["train"].sizes["y"], shown["train"].sizes["x"])
    for split, stimulus in shown.items():
        if (stimulus.sizes["y"], stimulus.sizes["x"]) != frame_shape:
            came = f"{stimulus.sizes['y']}x{stimulus.sizes['x']}"
            raise InputError(
                f"stimulus.{split}: frames must be {frame_shape[0]}x{frame_shape[1]} as in train; got {came}"
            )
    for split, recorded in experiment.record.items():
        if (recorded.context or 1) > shown[split].sizes["time"]:
            raise InputError(
                f"record.{split}: context must be at most the {shown[split].sizes['time']} frames of the stimulus; "
                f"got {recorded.context}"
            )
    for split, warm_up in (("train", train.warm_up), ("valid", 0)):
        if shown[split].sizes["time"] < warm_up + end_of(train):
            horizon = f" + horizon {train.horizon}" if train.task == "predict" else ""
            raise InputError(
                f"train: warm_up {warm_up} + context {train.context}{horizon} must fit in the "
                f"{shown[split].sizes['time']} frames of stimulus.{split}; lengthen it or shorten them"
            )
    if train.task == "classify" and "label" not in shown["train"].coords:
        raise InputError(f"train: to classify needs labels; {block.family} has none. Use another, or task predict")
    if train.task == "classify" and shown["train"].label.sizes.get("object", 1) > 1:
        raise InputError(
            f"train: to classify needs one object, whose label is meant; {block.family} shows "
            f"{shown['train'].label.sizes['object']}. Set objects to 1"
        )
    world = json.loads(shown["train"].attrs.get("scene", "{}")).get("world")
    networks = {}
    for name, settings in experiment.networks.items():
        if not re.fullmatch(r"[A-Za-z0-9_.]+", name):
            raise InputError(f"networks: a name must be letters, digits, '_' and '.'; got {name!r}")
        networks[name] = network(settings, frame_shape, f"networks.{name}")
        if world and networks[name].observes and tuple(world) != networks[name].world:
            raise InputError(
                f"networks.{name}: the world of the stimulus is {world[0]}x{world[1]} px; set world: {world}"
            )
        if train.task == "classify":
            try:
                networks[name].logits(networks[name].start(1))
            except InputError as error:
                raise InputError(f"networks.{name}: {error}") from None
    for name, settings in experiment.analyse.items():
        analysis = ideas.load("analysis", name)
        ideas.arguments(analysis.analyse, settings, f"analyse.{name}", given=("recording",))
        if analysis.READS not in experiment.record:
            raise InputError(f"analyse.{name} reads recordings of {analysis.READS}; add {analysis.READS} to record")
    attrs = {"horizon": train.horizon, "task": train.task}
    for untrained in one_of_each_kind(networks.values()):
        rehearse(
            untrained, shown, {name: r.model_dump() for name, r in experiment.record.items()}, experiment.analyse, attrs
        )


def network(settings: Settings, frame_shape: tuple[int, int], where: str) -> Any:
    """Build the network of one entry of ``networks``: ``model`` and the arguments of its ``build``."""
    settings = dict(settings)
    model = settings.pop("model", None)
    if "frame_shape" in settings:
        raise InputError(f"{where}: unknown key 'frame_shape'; it follows from the stimulus")
    if not isinstance(model, str):
        known = ", ".join(ideas.names("flowsim.models"))
        raise InputError(f"{where}: 'model' must name one of: {known}; got {model!r}")
    try:
        return build(model, frame_shape, **settings)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def splits(experiment: Experiment) -> list[str]:
    """The stimulus files that the experiment needs."""
    return ["train", "valid", *experiment.record]


def runs(experiment: Experiment) -> dict[str, tuple[str, int]]:
    """Network and seed of each run, by the name of the run."""
    seeds = range(experiment.seeds)
    return {f"{name}-seed{seed}": (name, seed) for name in experiment.networks for seed in seeds}


SEEDS = {"train": 1, "valid": 2, "test": 3, "sweep": 4, "probe": 5}
"""Each stimulus file draws from a random stream of its own."""
