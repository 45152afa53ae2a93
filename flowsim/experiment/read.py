"""From an experiment file, which is YAML with a block per stage, to its blocks, and what follows from them.

Reading checks the file against its schema and no more; `flowsim.experiment.check` finds what would fail later
on.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from flowsim import specification
from flowsim.errors import InputError
from flowsim.experiment.schema import Experiment
from flowsim.files.atomic import existing
from flowsim.specification import Settings
from flowsim.training.settings import OwnTrainBlock, TrainBlock, task_of

LARGEST_FILE = 2**20
"""Bytes of an experiment file, at most: a longer one is something else."""
MOST_VALUES = 20_000
"""Values in an experiment file, at most, once each alias stands for a copy of what it names: a few hundred
bytes of aliases of aliases are gigabytes otherwise.
"""


class Loader(yaml.SafeLoader):
    """Plain YAML in which no key may come twice, and aliases name a modest number of values."""

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None and values_in(node) > MOST_VALUES:
            raise yaml.constructor.ConstructorError(
                None, None, f"more than {MOST_VALUES:,} values, with what its aliases name", node.start_mark
            )
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        twice = sorted(key for key, count in keys.items() if count > 1)
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {twice[0]!r} comes twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


Loader.add_implicit_resolver(  # YAML 1.1, which PyYAML reads, takes 1e-3 for text
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def values_in(node: yaml.Node) -> float:
    """How many values there are in a YAML document if each alias is a copy; infinite if one is in itself."""
    known: dict[int, float] = {}

    def count(one: yaml.Node) -> float:
        if id(one) not in known:
            known[id(one)] = float("inf")  # while it is being counted: an alias of it within it has no end
            inner = one.value if isinstance(one, yaml.CollectionNode) else []
            parts = [part for item in inner for part in (item if isinstance(item, tuple) else (item,))]
            known[id(one)] = 1 + sum(map(count, parts))
        return known[id(one)]

    return count(node)


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
        with path.open("rb") as file:
            text = file.read(LARGEST_FILE + 1)
        if len(text) > LARGEST_FILE:
            raise InputError(
                f"{path}: expected an experiment file of at most 1 MB; this one is longer. Check the path"
            )
        content = yaml.load(text.decode("utf-8"), Loader)
    except OSError as error:
        raise InputError(f"{path}: cannot read it: {error.strerror}; change its permissions") from None
    except RecursionError:
        raise InputError(f"{path}: expected YAML with a few levels; it is nested too deeply") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
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
