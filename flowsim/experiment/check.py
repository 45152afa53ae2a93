"""Ask every question of a recording of two untrained trials, so that none fails after hours of training."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import xarray as xr

from flowsim import ideas
from flowsim.errors import InputError
from flowsim.network import Network
from flowsim.recording.open import open_recording
from flowsim.recording.record import record


def one_of_each_kind(networks: Iterable[Network]) -> list[Network]:
    """The smallest network of each kind that may matter to an analysis."""
    smallest_last = sorted(networks, key=lambda network: len(network.grid), reverse=True)
    return [*{_kind(network): network for network in smallest_last}.values()]


def _kind(network: Network) -> tuple[Any, ...]:
    """Dimensions of the state, its group, and whether it has a channel at rest."""
    state, rest = network.top(network.start(1)), (0,) * len(network.grid.group.components)
    return state.ndim, state.shape[-2:] == network.frame_shape, network.grid.group, rest in network.grid.velocities


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
            arguments = ideas.arguments(analysis.analyse, settings, f"analyse.{name}", given=("recording",))
            try:
                result = analysis.analyse(recorded[analysis.READS], **arguments).compute()
                run = {"network": ("run", ["untrained"]), "run": ["untrained"]}
                analysis.answers(result.expand_dims("run").assign_coords(run))
            except InputError as error:
                raise InputError(f"analyse.{name}: {error}") from None
