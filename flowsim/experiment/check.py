"""Would an experiment fail later on? It is checked before anything runs.

Every network is built on the frames that the stimulus makes, and every question is asked of a recording of
two untrained trials. Networks are built with few channels for that: how many there are decides about time and
memory only.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from flowsim import ideas, specification
from flowsim.errors import InputError
from flowsim.experiment.read import architecture, network, read, splits, training
from flowsim.experiment.schema import Experiment
from flowsim.network import Network
from flowsim.recording.open import open_recording
from flowsim.recording.record import record
from flowsim.specification import Settings
from flowsim.training.objective import end_of


def one_of_each_kind(networks: Iterable[Network]) -> list[Network]:
    """The smallest network of each kind that may matter to an analysis."""
    smallest_last = sorted(networks, key=lambda network: len(network.grid), reverse=True)
    return [*{_kind(network): network for network in smallest_last}.values()]


def _kind(network: Network) -> tuple[Any, ...]:
    """Dimensions of the state, its group, and whether it has a channel at rest."""
    state, rest = network.top(network.start(1)), (0,) * len(network.grid.group.components)
    return (
        state.ndim,
        state.shape[-2:] == network.frame_shape,
        network.grid.group,
        rest in network.grid.velocities,
    )


def rehearse(
    network: Network,
    shown: Mapping[str, xr.Dataset],
    recordings: Mapping[str, Mapping[str, Any]],
    analyses: Mapping[str, Mapping[str, Any]],
    attrs: Mapping[str, Any],
) -> None:
    """Record a few trials of each stimulus and ask them every question.

    Parameters
    ----------
    network : Network
        Untrained.
    shown : mapping of str to Dataset
        Two trials of each stimulus, or one where there is one only.
    recordings, analyses : mapping of str to settings
        The blocks ``record`` and ``analyse`` of an experiment.
    attrs : mapping
        Attributes that a training leaves on recordings.

    Raises
    ------
    InputError
        If an analysis cannot do with what would be recorded.
    """
    curve = {"sequences": [1.0], "valid_loss": [1.0]}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        recorded = {}
        for split, block in recordings.items():
            path = Path(folder) / f"{split}.h5"
            try:
                record(network, shown[split], path, **block, curve=curve, attrs=attrs)
            except InputError as error:
                raise InputError(f"record.{split}: {error}") from None
            recorded[split] = opened.enter_context(open_recording(path))
        for name, settings in analyses.items():
            analysis = ideas.load("analysis", name)
            arguments = specification.arguments(
                analysis.analyse, settings, f"analyse.{name}", given=("recording",)
            )
            try:
                result = analysis.analyse(recorded[analysis.READS], **arguments).compute()
                run = {"network": ("run", ["untrained"]), "run": ["untrained"]}
                analysis.answers(result.expand_dims("run").assign_coords(run))
            except InputError as error:
                raise InputError(f"analyse.{name}: {error}") from None


def checked(path: str | Path) -> Experiment:
    """Read an experiment file and check it.

    Raises
    ------
    InputError
        With the file and the key in question, for anything that would fail later on.
    """
    experiment = read(path)
    try:
        check(experiment)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return experiment


def check(experiment: Experiment) -> None:
    """Raise InputError for anything in an experiment that would fail later on."""
    block, train = experiment.stimulus, experiment.train
    family = ideas.load("stimuli", block.family)
    shown = {}
    for split in splits(experiment):
        arguments = specification.arguments(
            family.generate, block.spec(split), f"stimulus.{split}", given=("split", "rng")
        )
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
        raise InputError(
            f"train: to classify needs labels; {block.family} has none. Use another, or task predict"
        )
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
        specification.arguments(analysis.analyse, settings, f"analyse.{name}", given=("recording",))
        if analysis.READS not in experiment.record:
            raise InputError(
                f"analyse.{name} reads recordings of {analysis.READS}; add {analysis.READS} to record"
            )
    attrs = {"horizon": train.horizon, "task": train.task}
    for untrained in one_of_each_kind(networks.values()):
        rehearse(
            untrained,
            shown,
            {name: r.model_dump() for name, r in experiment.record.items()},
            experiment.analyse,
            attrs,
        )


def _modest(settings: Settings, experiment: Experiment) -> Settings:
    """An entry of ``networks`` with few channels, but as many as are recorded."""
    enough = max([2, *(block.channels or 0 for block in experiment.record.values())])
    modest, channels = architecture(settings), settings.get("channels")
    return {**modest, "channels": min(channels, enough)} if isinstance(channels, int) else modest
