"""From an experiment file, which is YAML with a block per stage, to its blocks, and what follows from them.

Reading checks the file against its schema and no more; `flowsim.experiment.check` finds what would fail later
on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from flowsim import specification
from flowsim.errors import InputError
from flowsim.experiment.schema import Experiment
from flowsim.files.atomic import existing
from flowsim.specification import Settings
from flowsim.training.settings import OwnTrainBlock, TrainBlock, task_of


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

    Recordings for which the file names no sites are of the sites of the task.

    Raises
    ------
    InputError
        With the file and the key in question, if the file is not YAML or does not fit the schema.
    """
    path = existing(path, "an experiment file (YAML)")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected YAML; {' '.join(str(error).split())}") from None
    try:
        experiment = specification.validate(Experiment, content, "")
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return with_sites_of_the_task(experiment)


def with_sites_of_the_task(experiment: Experiment) -> Experiment:
    """The experiment with the sites of its task in each recording that names none."""
    sites = list(task_of(experiment.train).sites)
    record = {
        split: block if "sites" in block.model_fields_set else block.model_copy(update={"sites": sites})
        for split, block in experiment.record.items()
    }
    return experiment.model_copy(update={"record": record})


def architecture(settings: Settings) -> Settings:
    """One entry of ``networks`` without what concerns its training."""
    return {name: value for name, value in settings.items() if name != "train"}


def train_block(experiment: Experiment, name: str) -> TrainBlock:
    """How a network is trained: the block ``train``, with what the network sets for itself.

    Raises
    ------
    InputError
        If the network sets what it cannot set for itself.
    """
    where = f"networks.{name}.train"
    changes = specification.validate(OwnTrainBlock, experiment.networks[name].get("train", {}), where)
    own = changes.model_dump(exclude_unset=True, exclude_none=True)
    return specification.validate(TrainBlock, experiment.train.model_dump() | own, where)


def splits(experiment: Experiment) -> list[str]:
    """The stimulus files that the experiment needs."""
    return ["train", "valid", *experiment.record]


def runs(experiment: Experiment) -> dict[str, tuple[str, int]]:
    """Network and seed of each run, by the name of the run."""
    seeds = range(experiment.seeds)
    return {f"{name}-seed{seed}": (name, seed) for name in experiment.networks for seed in seeds}
