"""Record a trained network."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowsim.commands.parser import add_device, add_into, add_spec

if TYPE_CHECKING:
    import xarray as xr

    from flowsim.recording.settings import RecordBlock

HELP = (
    "Record a trained network watching a stimulus. Reads weights and a stimulus file; writes HDF5 (states, "
    "predictions, frames and ground truth)."
)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the settings, the two files to read, the device and the file to write."""
    add_spec(parser, "one entry of an experiment's record block")
    parser.add_argument("--model", required=True, type=Path, metavar="FILE", help="weights (.pt)")
    parser.add_argument("--stimulus", required=True, type=Path, metavar="FILE", help="stimulus file (.h5)")
    add_device(parser)
    add_into(parser, "recording (.h5)")


def run(arguments: Namespace) -> None:
    """Record one network on one stimulus."""
    import torch

    from flowsim import specification
    from flowsim.experiment.places import Said, require_place, said_by
    from flowsim.files import netcdf
    from flowsim.files.outputs import protect
    from flowsim.files.provenance import provenance
    from flowsim.progress import Progress
    from flowsim.recording.record import record
    from flowsim.recording.settings import RecordBlock
    from flowsim.training.devices import pick_device
    from flowsim.training.weights import load_network

    model, stimulus, into = arguments.model, arguments.stimulus, arguments.into
    protect((into, "a recording"), read=[model, stimulus])
    block = specification.validate(RecordBlock, specification.from_json(arguments.spec), "record")
    network, weights = load_network(model)
    frames = netcdf.read(stimulus, "stimulus")
    of_model, of_stimulus = said_by(weights), said_by({**frames.attrs, "stage": "stimulus"})
    require_place(model, of_model)
    require_place(stimulus, of_stimulus)
    require_place(into, Said(split=of_stimulus.split, run=of_model.run), written=True)
    network.to(pick_device(arguments.device))
    torch.backends.cudnn.allow_tf32 = False  # so that a law that holds in float32 is seen to hold
    origin = provenance("recording", block.model_dump(), [model, stimulus], int(weights["seed"]))
    with Progress(f"recording {into}", 1, "MB") as progress:

        def report(done_bytes: int, total_bytes: int) -> None:
            progress.set_total(_megabytes(total_bytes))
            progress.to(_megabytes(done_bytes))

        record(
            network,
            netcdf.load(_only_recorded(frames, block), stimulus),
            into,
            **block.model_dump(exclude={"checkpoints"}),
            curve=weights["curve"],
            checkpoints=_weights_kept(weights, model) if block.checkpoints else None,
            attrs={**origin, **_training_attributes(weights)},
            announce=lambda text: print(text, file=sys.stderr, flush=True),
            report=report,
        )
    print(f"wrote {into}: {into.stat().st_size / 1e6:.1f} MB", file=sys.stderr)


def _only_recorded(stimulus: xr.Dataset, block: RecordBlock) -> xr.Dataset:
    """The trials and flows of a stimulus, still in its file, that are recorded."""
    first = {"trial": block.trials, "flow": block.flows}
    return stimulus.isel({dim: slice(count) for dim, count in first.items() if dim in stimulus.dims})


def _weights_kept(weights: Mapping[str, Any], model: Path) -> Mapping[int, Any]:
    """The weights at moments of the training, by sequences seen."""
    from flowsim.errors import InputError

    kept: Mapping[int, Any] = weights.get("checkpoints", {})
    if not kept:
        raise InputError(
            f"{model}: expected weights of several moments of the training; it kept none. Set checkpoints in "
            "train and train again, or leave checkpoints out of record"
        )
    return kept


def _training_attributes(weights: Mapping[str, Any]) -> dict[str, Any]:
    """What a recording says about the training of its network."""
    settings = json.loads(weights["specification"])["train"]
    return {
        "network": weights["name"],
        "horizon": settings["horizon"],
        "task": settings["task"],
        "parameters": weights["parameters"],
        "partial": weights["partial"],
        "training_seconds": round(weights["curve"]["seconds"][-1], 1),
        "hardware": weights["hardware"],
    }


def _megabytes(count: int) -> int:
    """Whole megabytes, rounded up."""
    return -(-count // 10**6)
