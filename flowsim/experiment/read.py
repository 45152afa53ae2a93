"""An experiment file: one YAML, a block per stage in the order in which data flow.

`read` checks all of it before anything runs, down to building every network on the frames that the stimulus makes and
asking every question of a recording of two untrained trials. Networks are built with few channels for that: how many
there are decides about time and memory only.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from flowsim import ideas
from flowsim.errors import InputError
from flowsim.experiment.check import one_of_each_kind, rehearse
from flowsim.experiment.schema import Experiment, OwnTrainBlock, Settings, TrainBlock
from flowsim.files.atomic import existing
from flowsim.network import build
from flowsim.training.objective import end_of


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
        few = {"trials": min(2, arguments["trials"])} if "trials" in arguments else {}
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
        training(experiment, name)
        networks[name] = network(_modest(settings, experiment), frame_shape, f"networks.{name}")
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


def _modest(settings: Settings, experiment: Experiment) -> Settings:
    """An entry of ``networks`` with few channels, but as many as are recorded."""
    enough = max([2, *(block.channels or 0 for block in experiment.record.values())])
    modest, channels = architecture(settings), settings.get("channels")
    return {**modest, "channels": min(channels, enough)} if isinstance(channels, int) else modest


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


def architecture(settings: Settings) -> Settings:
    """One entry of ``networks`` without what concerns its training."""
    return {name: value for name, value in settings.items() if name != "train"}


def training(experiment: Experiment, name: str) -> TrainBlock:
    """How a network is trained: the block ``train``, with what the network has of its own."""
    own = ideas.validate(OwnTrainBlock, experiment.networks[name].get("train", {}), f"networks.{name}.train")
    given = {key: value for key in own.model_fields_set if (value := getattr(own, key)) is not None}
    return experiment.train.model_copy(update=given)


def splits(experiment: Experiment) -> list[str]:
    """The stimulus files that the experiment needs."""
    return ["train", "valid", *experiment.record]


def runs(experiment: Experiment) -> dict[str, tuple[str, int]]:
    """Network and seed of each run, by the name of the run."""
    seeds = range(experiment.seeds)
    return {f"{name}-seed{seed}": (name, seed) for name in experiment.networks for seed in seeds}


SEEDS = {"train": 1, "valid": 2, "test": 3, "sweep": 4, "probe": 5}
"""Each stimulus file draws from a random stream of its own."""
