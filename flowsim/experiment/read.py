"""An experiment file: one YAML, a block per stage in the order in which data flow.

`read` knows what a file may say, and no more; `flowsim.experiment.check` knows what would fail later on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from flowsim import ideas, specification
from flowsim.errors import InputError
from flowsim.experiment.schema import Experiment
from flowsim.files.atomic import existing
from flowsim.network import build
from flowsim.specification import Settings
from flowsim.training.settings import OwnTrainBlock, TrainBlock


class Loader(yaml.SafeLoader):
    """Plain YAML in which no key may come twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {twice[0]!r} comes twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


def read(path: str | Path) -> Experiment:
    """Read an experiment file.

    Raises
    ------
    InputError
        With the file and the key in question, if it is no YAML or says what no experiment can say.
    """
    path = existing(path, "an experiment file (YAML)")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected YAML; {' '.join(str(error).split())}") from None
    try:
        return specification.validate(Experiment, content, "")
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


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
    own = specification.validate(
        OwnTrainBlock, experiment.networks[name].get("train", {}), f"networks.{name}.train"
    )
    given = {key: value for key in own.model_fields_set if (value := getattr(own, key)) is not None}
    return experiment.train.model_copy(update=given)


def splits(experiment: Experiment) -> list[str]:
    """The stimulus files that the experiment needs."""
    return ["train", "valid", *experiment.record]


def runs(experiment: Experiment) -> dict[str, tuple[str, int]]:
    """Network and seed of each run, by the name of the run."""
    seeds = range(experiment.seeds)
    return {f"{name}-seed{seed}": (name, seed) for name in experiment.networks for seed in seeds}
