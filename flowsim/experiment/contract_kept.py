"""Does what an idea of the user's makes keep the contract of its kind?

Our own ideas are held to it by tests; a stimulus, a network or an analysis of the user's is held to it here,
before the first job of an experiment. Every error is one line that names the file.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import xarray as xr

from flowsim import ideas
from flowsim.errors import InputError
from flowsim.files import coordinates, netcdf
from flowsim.files.results import answers_of, results_of, side_by_side
from flowsim.flows.flow import Flow
from flowsim.network import Network
from flowsim.scenes.frame_values import checked_values

FRAMES = ("trial", "time", "y", "x")
TRANSPORTED = 1e-3
"""By how much luminance in a probe may differ from the exact transport of its reference: by rounding."""
OF_A_TRIAL = ("label", "position_", "velocity_")
"""How the names of coordinates begin that are the truth about each trial."""
MISTAKES = (AttributeError, ImportError, KeyError, NameError, NotImplementedError, TypeError)
"""Errors in an analysis that more trials than are rehearsed would not mend."""


def check_stimulus(stimulus: ModuleType, made: Any, split: str) -> None:
    """Raise InputError if what a ``generate`` returned for a split is no stimulus."""
    where = f"{ideas.file_of(stimulus)}: split {split}"
    if not isinstance(made, xr.Dataset) or "frames" not in made:
        raise InputError(
            f"{where}: expected generate to return an xarray.Dataset with frames; got {type(made).__name__}"
            f"{f' with {list(made)}' if isinstance(made, xr.Dataset) else ''}"
        )
    dims = ("flow", *FRAMES) if split in ("probe", "control") else FRAMES
    if made.frames.dims != dims:
        raise InputError(f"{where}: expected frames ({', '.join(dims)}); got ({', '.join(made.frames.dims)})")
    for name, coordinate in made.coords.items():
        if str(name).startswith(OF_A_TRIAL) and coordinate.dims[:1] != ("trial",):
            raise InputError(
                f"{where}: expected {name} over (trial, ...), such as (trial, object); got "
                f"({', '.join(map(str, coordinate.dims))})"
            )
    try:
        with ideas.blamed(stimulus.__file__):
            frames = torch.from_numpy(checked_values(made.frames.values)).float()
        if split == "probe":
            check_probe(coordinates.flows(made), frames)
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith(ideas.file_of(stimulus)) else f"{where}: {text}") from None


def check_probe(flows: list[Flow], frames: torch.Tensor) -> None:
    """Raise InputError if frames (flow, trial, time, y, x) are not a reference and its transports."""
    if any(flows[0].velocity):
        raise InputError(
            f"expected flow 0 to be the reference, which moves nothing; got velocity {flows[0].velocity}"
        )
    for number, (flow, of_flow) in enumerate(zip(flows, frames, strict=True)):
        exact = flow.transport(frames[0][:, :, None])[:, :, 0].clamp(0, 1)
        difference = float((exact - of_flow).abs().max())
        if difference > TRANSPORTED:
            raise InputError(
                f"expected flow {number}, {flow.velocity}, to be the exact transport of flow 0; luminance "
                f"differs by up to {difference:.2g}. Give flows to flowsim.scenes.scene.stimulus, which "
                "transports"
            )


def check_network(model: ModuleType, network: Network, predicts: bool) -> None:
    """Show two frames to a new network; raise InputError if its state or its prediction has another form."""
    file = ideas.file_of(model)
    parameter = next(network.parameters(), None)
    if parameter is None:
        raise InputError(f"{file}: expected a network with parameters; it has none, and cannot be trained")
    start = network.start(2)
    if not isinstance(start, tuple) or not all(isinstance(part, torch.Tensor) for part in start):
        raise InputError(
            f"{file}: expected start(trials) to return a tuple of tensors; got {type(start).__name__}. A "
            "single tensor is (tensor,)"
        )
    frames = torch.rand(2, 2, 1, *network.frame_shape).to(parameter)
    with torch.no_grad():
        for step in network.steps(frames, predict_from=1 if predicts else 2):
            expected = f"(trial 2, velocity {len(network.grid)}, channel, y, x)"
            if step.state.ndim not in (5, 6) or step.state.shape[:2] != (2, len(network.grid)):
                raise InputError(
                    f"{file}: expected a state {expected} after each frame; got {tuple(step.state.shape)}. "
                    "One of units without space is (trial, 1, unit, 1, 1)"
                )
            shape = (2, 1, *network.frame_shape)
            if step.prediction is not None and step.prediction.shape != shape:
                raise InputError(
                    f"{file}: expected decode(state) to return a frame (trial, channel, y, x) {shape}; got "
                    f"{tuple(step.prediction.shape)}"
                )


def check_analysis(
    analysis: ModuleType, recording: xr.Dataset, arguments: dict[str, Any], folder: Path
) -> None:
    """Take an analysis from a recording to its figure, as jobs do; raise InputError where that fails.

    Errors that the few trials of a rehearsal may cause are passed over: such an analysis costs its section of
    the report, and no more (`flowsim.commands.analyse`).
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.use("agg")
    name, path = analysis.__name__.rpartition(".")[-1], folder / f"results_of_{analysis.__name__}.h5"
    try:
        with ideas.blamed(analysis.__file__):
            netcdf.write(
                results_of(analysis, recording, arguments), path, {"network": "untrained", "seed": "0"}
            )
            together = side_by_side([path], name)
            answers_of(name, together)
            figure = analysis.figure(together)
    except InputError as error:
        cause = error.__cause__
        if cause is not None and not isinstance(cause, MISTAKES):
            return
        raise
    if not isinstance(figure, Figure):
        raise InputError(
            f"{ideas.file_of(analysis)}: expected figure(results) to return a Figure of matplotlib; got "
            f"{type(figure).__name__}"
        )
