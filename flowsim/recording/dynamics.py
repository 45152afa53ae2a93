"""What recording works out of a network itself, besides what it does: fixed points and exponents.

Both become small variables of the recording, whose attribute ``option`` names the setting that they come
from. Analyses read them there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import h5netcdf
import numpy as np
import xarray as xr
from torch import nn

from flowsim import specification
from flowsim.errors import InputError
from flowsim.flows.flow import Flow
from flowsim.flows.group import FlowGroup
from flowsim.recording.exponents import follow
from flowsim.recording.fixed_points import solve
from flowsim.recording.layout import write_coordinate
from flowsim.recording.one_step import OneStep
from flowsim.recording.open import OPTION
from flowsim.recording.settings import ExponentsBlock, FixedPointsBlock
from flowsim.recording.shown import to_network


def work_out(
    network: nn.Module,
    frames: xr.DataArray,
    context: int,
    flows: list[Flow],
    group: FlowGroup,
    options: Mapping[str, Any],
    announce: Callable[[str], None],
) -> list[xr.Dataset]:
    """What the options of recording that are given ask for.

    Parameters
    ----------
    network : Module
        Not edited.
    frames : DataArray (flow, trial, time, y, x)
        Of all flows and trials that are recorded.
    context : int
        How many frames the network sees.
    flows : list of Flow
        Those of the stimulus.
    group : FlowGroup
        Of the flows.
    options : mapping
        ``fixed_points`` and ``exponents``: settings, a mapping of them, or None.
    announce : callable (text)
        Called with what is worked out, before it is.

    Raises
    ------
    InputError
        If settings do not fit, or the network's step is not known or has no derivative.
    """
    found = []
    trials = frames.sizes["trial"]
    if options["fixed_points"] is not None:
        block = _settings(FixedPointsBlock, options["fixed_points"], "fixed_points")
        step = OneStep(network, "fixed_points")
        number = context - 1 if block.frame is None else block.frame
        if number >= frames.sizes["time"]:
            raise InputError(
                f"fixed_points: frame must be one of the {frames.sizes['time']} frames of the stimulus, "
                f"counted from 0; got {number}"
            )
        pictures = to_network(frames[0, : block.trials, number : number + 1].values, network)[:, 0]
        moving = flows[: block.flows]
        announce(f"solving for fixed points: {len(pictures)} trials under {len(moving)} flows")
        solved = solve(step, pictures.double(), moving, block)
        found.append(_named(solved, "fixed_points", block))
    if options["exponents"] is not None:
        exponents = _settings(ExponentsBlock, options["exponents"], "exponents")
        step = OneStep(network, "exponents")
        shown = to_network(frames[0, : exponents.trials, :context].values, network).double()
        announce(f"following {exponents.number} differences over {min(trials, exponents.trials)} trials")
        found.append(_named(follow(step, shown, context, group, exponents), "exponents", exponents))
    return found


def _settings(block: type[Any], given: Any, option: str) -> Any:
    return given if isinstance(given, block) else specification.validate(block, given, option)


def as_plain(given: Any) -> dict[str, Any]:
    """Settings as attributes of a file have them."""
    return dict(given) if isinstance(given, Mapping) else given.model_dump()


def _named(made: xr.Dataset, option: str, block: Any) -> xr.Dataset:
    """Variables that say where they come from."""
    for variable in made.data_vars.values():
        variable.attrs[OPTION] = option
    if option == "fixed_points":
        made.fixed_point.attrs["input"] = block.input
    return made


def bytes_of(made: list[xr.Dataset], dtype: np.dtype) -> int:
    """Of all values, as `add` writes them."""
    return sum(v.size * dtype.itemsize for dataset in made for v in dataset.data_vars.values())


def add(file: h5netcdf.File, made: list[xr.Dataset], dtype: np.dtype) -> None:
    """Write what was worked out to a recording: states in its type, all else in float64."""
    for dataset in made:
        without_dimension = [str(name) for name in dataset.coords if name not in dataset.dims]
        for name, coordinate in dataset.coords.items():
            write_coordinate(file, str(name), coordinate.dims, coordinate.values, coordinate.attrs)
        for name, variable in dataset.data_vars.items():
            for dim, size in variable.sizes.items():
                if dim not in file.dimensions:
                    file.dimensions[dim] = size
            kind = dtype if name == "fixed_point" else np.dtype(np.float64)
            stored = file.create_variable(str(name), variable.dims, kind, data=variable.values.astype(kind))
            stored.attrs.update(variable.attrs)
            if without_dimension:
                stored.attrs["coordinates"] = " ".join(without_dimension)
