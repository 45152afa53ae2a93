"""Would an experiment fail later on? It is checked before anything runs.

Two trials of each stimulus are drawn, every network is built for them, and every analysis is tried on a
recording of untrained networks; of a sweep, at every point. What the user's own ideas make is held to their
contracts besides (`flowsim.experiment.contract_kept`). Networks are built with few channels for that: the
number of channels decides about time and memory only.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from flowsim import ideas, specification
from flowsim.errors import InputError
from flowsim.experiment.contract_kept import check_analysis, check_network, check_stimulus
from flowsim.experiment.read import architecture, read, splits, train_block
from flowsim.experiment.schema import Experiment
from flowsim.experiment.sweep import at, points
from flowsim.files.results import answers_of, results_of
from flowsim.network import Network, build_from_settings
from flowsim.recording.open import open_recording
from flowsim.recording.record import record
from flowsim.recording.settings import InterventionBlock, RecordBlock
from flowsim.scenes.control import drawn
from flowsim.specification import Settings
from flowsim.training.settings import lengths_needed, task_of

FEW = 2
"""Trials drawn, and channels built, for the checks."""
LEAST_ROLLOUT = 6
"""Frames in which exponents are followed in the checks, at most."""
LONGEST_NAME = 60
"""Letters of a name that becomes part of names of files, of which many systems allow 255 letters."""


def checked(path: str | Path) -> Experiment:
    """Read an experiment file and check it.

    Raises
    ------
    InputError
        With the file and the key in question, for anything that would fail later on.
    """
    experiment = read(path)
    check_name_of_experiment(path)
    try:
        check(experiment)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return experiment


def check(experiment: Experiment) -> None:
    """Raise InputError for anything in an experiment that would fail later on, at any point of its sweep.

    What several points have in common is drawn, built and rehearsed once.
    """
    check_names_of_networks(experiment)
    check_trainings_of_networks(experiment)
    every = points(experiment)
    made = Made()
    rehearsals: dict[tuple[Any, ...], Rehearsal] = {}
    for point in every:
        with at(point.name):
            rehearsal = Rehearsal.prepare(point.experiment, made)
            check_without_recording(rehearsal)
        same = (tuple(map(id, rehearsal.stimuli.values())), rehearsal.experiment.train.horizon)
        rehearsals.setdefault(same, replace(rehearsal, networks={})).networks.update(rehearsal.networks)
    check_analyses(experiment)
    for rehearsal in rehearsals.values():
        rehearse(rehearsal)


def check_without_recording(rehearsal: Rehearsal) -> None:
    """What can be said of stimuli and networks before one sees the other."""
    check_frame_sizes(rehearsal)
    check_contexts_of_recordings(rehearsal)
    check_checkpoints(rehearsal.experiment)
    check_lengths_for_training(rehearsal)
    check_stimulus_of_task(rehearsal)
    check_worlds(rehearsal)
    check_readouts(rehearsal)


@dataclass
class Made:
    """Stimuli and networks that were made for the checks, by what they were made from."""

    stimuli: dict[str, xr.Dataset] = field(default_factory=dict)
    networks: dict[str, Network] = field(default_factory=dict)


@dataclass(frozen=True)
class Rehearsal:
    """An experiment, and what was built for the checks.

    Attributes
    ----------
    experiment : Experiment
    stimuli : dict of str to Dataset
        A few trials of each split that the experiment needs.
    frame_shape : (int, int)
        Size (y, x) of a frame of split train.
    networks : dict of str to Network
        Each network, untrained and with few channels.
    """

    experiment: Experiment
    stimuli: dict[str, xr.Dataset]
    frame_shape: tuple[int, int]
    networks: dict[str, Network]

    @classmethod
    def prepare(cls, experiment: Experiment, made: Made) -> Rehearsal:
        """Draw the stimuli and build the networks, but for those that are there.

        Raises
        ------
        InputError
            If settings of a stimulus or a network do not fit.
        """
        stimuli = {}
        for split in splits(experiment):
            key = json.dumps([experiment.stimulus.family, split, experiment.stimulus.spec(split)])
            if key not in made.stimuli:
                made.stimuli[key] = draw_few_trials(experiment, split)
            stimuli[split] = made.stimuli[key]
        frame_shape = frame_shape_of(stimuli["train"])
        networks = {}
        for name in experiment.networks:
            settings = small(experiment, name)
            key = json.dumps([settings, frame_shape])
            if key not in made.networks:
                made.networks[key] = build_small(experiment, name, settings, frame_shape)
            networks[name] = made.networks[key]
        return cls(experiment, stimuli, frame_shape, networks)


def draw_few_trials(experiment: Experiment, split: str) -> xr.Dataset:
    """The first trials of one stimulus file."""
    family = ideas.load("stimuli", experiment.stimulus.family)
    generate = family.generate
    arguments = specification.arguments(
        generate, experiment.stimulus.spec(split), f"stimulus.{split}", given=("split", "rng")
    )
    if "trials" in arguments:
        arguments["trials"] = min(FEW, arguments["trials"])
    with ideas.blamed(family.__file__):
        stimulus = drawn(generate, split, np.random.default_rng(0), **arguments)
    if ideas.is_own(str(family.__file__)):
        check_stimulus(family, stimulus, split)
    return stimulus


def frame_shape_of(stimulus: xr.Dataset) -> tuple[int, int]:
    """Size (y, x) of a frame."""
    return stimulus.sizes["y"], stimulus.sizes["x"]


def small(experiment: Experiment, name: str) -> Settings:
    """Settings of one network with few channels, but as many as are recorded."""
    settings = architecture(experiment.networks[name])
    channels = settings.get("channels")
    if isinstance(channels, int):
        recorded = [block.channels or 0 for block in experiment.record.values()]
        settings["channels"] = min(channels, max([FEW, *recorded]))
    return settings


def build_small(
    experiment: Experiment, name: str, settings: Settings, frame_shape: tuple[int, int]
) -> Network:
    """One network, from its settings with few channels."""
    try:
        network = build_from_settings(settings, frame_shape)
        check_own_network(settings["model"], network, experiment)
    except InputError as error:
        raise InputError(f"networks.{name}: {error}") from None
    return network


def check_own_network(model: str, network: Network, experiment: Experiment) -> None:
    """A network of the user's does what one has to do."""
    module = ideas.load("flowsim.models", model)
    if ideas.is_own(str(module.__file__)):
        with ideas.blamed(module.__file__):
            check_network(module, network, predicts=experiment.train.task == "predict")


def check_name_of_experiment(path: str | Path) -> None:
    """The name of the file is part of the names of files and of commands."""
    name = Path(path).stem
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name) or len(name) > LONGEST_NAME:
        raise InputError(
            f"{path}: expected a name of at most {LONGEST_NAME} letters, digits, '_', '-' and '.'; got "
            f"{name!r}. Rename the file"
        )


def check_names_of_networks(experiment: Experiment) -> None:
    """Names of networks are part of the names of files."""
    for name in experiment.networks:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.]*", name) or len(name) > LONGEST_NAME:
            raise InputError(
                f"networks: a name must be at most {LONGEST_NAME} letters, digits, '_' and '.'; got {name!r}"
            )


def check_trainings_of_networks(experiment: Experiment) -> None:
    """A network may set little of its own training."""
    for name in experiment.networks:
        train_block(experiment, name)


def check_frame_sizes(rehearsal: Rehearsal) -> None:
    """Every stimulus has frames of the size that the networks are built for."""
    height, width = rehearsal.frame_shape
    for split, stimulus in rehearsal.stimuli.items():
        if frame_shape_of(stimulus) != rehearsal.frame_shape:
            raise InputError(
                f"stimulus.{split}: frames must be {height}x{width} as in train; got "
                f"{stimulus.sizes['y']}x{stimulus.sizes['x']}"
            )


def check_contexts_of_recordings(rehearsal: Rehearsal) -> None:
    """The context of a recording is not longer than its stimulus."""
    for split, block in rehearsal.experiment.record.items():
        frames = rehearsal.stimuli[split].sizes["time"]
        if block.context is not None and block.context > frames:
            raise InputError(
                f"record.{split}: context must be at most the {frames} frames of the stimulus; "
                f"got {block.context}"
            )


def check_checkpoints(experiment: Experiment) -> None:
    """What is recorded at moments of the training is kept by the training."""
    for split, block in experiment.record.items():
        if block.checkpoints and experiment.train.checkpoints is None:
            raise InputError(
                f"record.{split}: checkpoints needs weights that the training keeps; set checkpoints in train"
            )


def check_lengths_for_training(rehearsal: Rehearsal) -> None:
    """The stimuli are as long as training and validation need."""
    experiment = rehearsal.experiment
    task = task_of(experiment.train)
    needed = {"train": lengths_needed(experiment.train), "valid": {task.frames_in_words: task.frames}}
    for name in experiment.networks:
        needed["train"] |= lengths_needed(train_block(experiment, name))
    for split, lengths in needed.items():
        frames = rehearsal.stimuli[split].sizes["time"]
        for settings, length in lengths.items():
            if frames < length:
                raise InputError(
                    f"train: {settings} must fit in the {frames} frames of stimulus.{split}; lengthen it or "
                    "shorten them"
                )


def check_stimulus_of_task(rehearsal: Rehearsal) -> None:
    """The task can be learned from the stimulus."""
    experiment = rehearsal.experiment
    try:
        task_of(experiment.train).check_stimulus(rehearsal.stimuli["train"], experiment.stimulus.family)
    except InputError as error:
        raise InputError(f"train: {error}") from None


def check_worlds(rehearsal: Rehearsal) -> None:
    """A network that maps a world has a map of the size of the world of the stimulus."""
    world = json.loads(rehearsal.stimuli["train"].attrs.get("scene", "{}")).get("world")
    if not world:
        return
    for name, network in rehearsal.networks.items():
        if network.observes and network.world != tuple(world):
            raise InputError(
                f"networks.{name}: the world of the stimulus is {world[0]}x{world[1]} px; set world: {world}"
            )


def check_readouts(rehearsal: Rehearsal) -> None:
    """Every network has the readout that the task needs."""
    task = task_of(rehearsal.experiment.train)
    for name, network in rehearsal.networks.items():
        try:
            task.check_network(network)
        except InputError as error:
            raise InputError(f"networks.{name}: {error}") from None


def check_analyses(experiment: Experiment) -> None:
    """Every analysis exists, has valid settings, and the recording that it reads is made."""
    for name in experiment.analyse:
        arguments_of_analysis(experiment, name)
        split = ideas.load("analysis", name).READS
        if split not in experiment.record:
            raise InputError(f"analyse.{name} reads recordings of {split}; add {split} to record")


def arguments_of_analysis(experiment: Experiment, name: str) -> dict[str, Any]:
    """All arguments of an analysis but the recording."""
    analyse = ideas.load("analysis", name).analyse
    return specification.arguments(analyse, experiment.analyse[name], f"analyse.{name}", given=("recording",))


def rehearse(rehearsal: Rehearsal) -> None:
    """Record a few trials of each stimulus, by a network of each kind, and analyse the recordings.

    Raises
    ------
    InputError
        If a network lacks a site, or an analysis cannot use what would be recorded.
    """
    for network in one_of_each_kind(dict.fromkeys(rehearsal.networks.values())):
        with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
            recordings: dict[str, xr.Dataset] = {}
            for split, block in rehearsal.experiment.record.items():
                path = Path(folder) / f"{split}.h5"
                rehearse_recording(rehearsal, network, split, block, path)
                recordings[split] = opened.enter_context(open_recording(path))
            for name in rehearsal.experiment.analyse:
                rehearse_analysis(rehearsal.experiment, name, recordings, Path(folder))


def rehearse_recording(
    rehearsal: Rehearsal, network: Network, split: str, block: RecordBlock, path: Path
) -> None:
    """Record an untrained network on a few trials, with what a training leaves on a recording."""
    train = rehearsal.experiment.train
    curve = {"sequences": [1.0], "valid_loss": [1.0]}
    attrs = {"horizon": train.horizon, "task": train.task}
    arguments = quick(block).model_dump(exclude={"checkpoints"})
    arguments |= {"intervene": rehearsed(block.intervene or {})}
    try:
        record(
            network,
            rehearsal.stimuli[split],
            path,
            **arguments,
            curve=curve,
            checkpoints=dict.fromkeys((0, 1), network.state_dict()) if block.checkpoints else None,
            attrs=attrs,
        )
    except InputError as error:
        raise InputError(f"record.{split}: {error}") from None


def rehearsed(interventions: Mapping[str, InterventionBlock]) -> dict[str, InterventionBlock]:
    """Interventions as they are possible with few trials and channels, before other recordings are made."""
    return {
        name: one.model_copy(
            update={
                "trial": one.trial and 1,
                "recording": None,
                "zeros": one.zeros or one.recording is not None,
                "channels": one.channels and [0],
            }
        )
        for name, one in interventions.items()
    }


def quick(block: RecordBlock) -> RecordBlock:
    """The same recording, with as little as possible to be solved for and followed."""
    changes: dict[str, Any] = {}
    if block.fixed_points is not None:
        fewer = {"flows": min(FEW, block.fixed_points.flows), "watch": 1}
        changes["fixed_points"] = block.fixed_points.model_copy(update=fewer)
    if block.exponents is not None:
        shorter = {"rollout": min(LEAST_ROLLOUT, block.exponents.rollout)}
        changes["exponents"] = block.exponents.model_copy(update=shorter)
    return block.model_copy(update=changes)


def rehearse_analysis(
    experiment: Experiment, name: str, recordings: Mapping[str, xr.Dataset], folder: Path
) -> None:
    """Analyse a recording of an untrained network, and work out the numbers for the report."""
    analysis = ideas.load("analysis", name)
    recording, arguments = recordings[analysis.READS], arguments_of_analysis(experiment, name)
    try:
        if ideas.is_own(str(analysis.__file__)):
            check_analysis(analysis, recording, arguments, folder)
            return
        results = results_of(analysis, recording, arguments)
        run = {"network": ("run", ["untrained"]), "run": ["untrained"]}
        answers_of(name, results.expand_dims("run").assign_coords(run))
    except InputError as error:
        raise InputError(f"analyse.{name}: {error}") from None


def one_of_each_kind(networks: Iterable[Network]) -> list[Network]:
    """The network with the fewest velocities of each kind that may matter to an analysis."""
    largest_first = sorted(networks, key=lambda network: len(network.grid), reverse=True)
    smallest_by_kind = {kind_of(network): network for network in largest_first}
    return list(smallest_by_kind.values())


def kind_of(network: Network) -> tuple[Any, ...]:
    """Dimensions of the state, whether it has space, its group, and whether it has a channel at rest."""
    group = network.grid.group
    state = network.top(network.start(1))
    rest = (0,) * len(group.components)
    has_space = state.shape[-2:] == network.frame_shape
    return state.ndim, has_space, group, rest in network.grid.velocities
