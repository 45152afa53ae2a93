"""Train a network."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from flowsim.commands.parser import add_data, add_device, add_into, add_seed, add_spec

if TYPE_CHECKING:
    from flowsim.training.from_files import Run
    from flowsim.training.settings import RunBlock

HELP = (
    "Train a network. Reads two stimulus files; writes weights and learning curve (.pt), and beside them a "
    "checkpoint (.ckpt) from which the same command resumes."
)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the settings, the seed, the two stimulus files, the device and the file to write."""
    add_spec(parser, '{"name": ..., "network": {"model": ..., ...}, "train": {...}}')
    add_seed(parser)
    parser.add_argument("--train", required=True, type=Path, metavar="FILE", help="stimuli to train on")
    parser.add_argument("--valid", required=True, type=Path, metavar="FILE", help="stimuli to validate on")
    add_device(parser)
    add_data(parser)
    add_into(parser, "weights (.pt)")


def run(arguments: Namespace) -> None:
    """Train one network and write its weights; several processes train together, and the first one writes."""
    from flowsim import specification
    from flowsim.files.outputs import protect
    from flowsim.training import devices, processes
    from flowsim.training.from_files import Run
    from flowsim.training.settings import RunBlock

    checkpoint = arguments.into.with_suffix(".ckpt")

    def prepare() -> Run:
        written = ((arguments.into, "weights"), (checkpoint, "a checkpoint"))
        protect(*written, read=[arguments.train, arguments.valid])
        run_block = specification.validate(RunBlock, specification.from_json(arguments.spec), "--spec")
        require_places(run_block, arguments)
        return Run.prepare(run_block, arguments.seed, arguments.train, arguments.valid, device)

    devices.keep_freed_memory()
    with processes.joined(devices.pick_device(arguments.device)) as device:
        training = processes.in_each(prepare)
        if processes.rank():
            training.train(checkpoint)
        else:
            train_and_write(training, checkpoint, arguments.into)


def require_places(run_block: RunBlock, arguments: Namespace) -> None:
    """Raise InputError if a stimulus is of another split than it is given for, both are of different
    families, or the weights have the place of another run.
    """
    from flowsim.errors import InputError
    from flowsim.experiment.places import Said, from_json, require_place, require_split, said_by
    from flowsim.files import netcdf
    from flowsim.training.batches import FRAMES

    families = []
    for split, path in (("train", arguments.train), ("valid", arguments.valid)):
        with netcdf.read(path, "stimulus", FRAMES) as stimulus:
            said = said_by({**stimulus.attrs, "stage": "stimulus"})
            families.append(from_json(stimulus.attrs.get("specification")).get("family"))
        require_split(path, said, split, f"--{split}")
        require_place(path, said)
    if None not in families and families[0] != families[1]:
        raise InputError(
            f"--valid: expected a stimulus of {families[0]}, as --train is; got one of {families[1]}. Give "
            "files of one experiment"
        )
    name = run_block.name or run_block.network.get("model")
    run = f"{name}-seed{arguments.seed}" if name else ""
    require_place(arguments.into, Said(run=run), written=True)


def train_and_write(training: Run, checkpoint: Path, into: Path) -> None:
    """Train, showing how far it is, and write the file of weights."""
    import torch

    from flowsim.files.atomic import exclusive
    from flowsim.progress import Progress, counted
    from flowsim.training import processes
    from flowsim.training.settings import task_of
    from flowsim.training.weights import save

    settings = training.specification.train
    together = f" in {processes.count()} processes" if processes.count() > 1 else ""
    print(
        f"training {training.name} on {training.device}{together}: {training.parameters} parameters, "
        f"{counted(torch.get_num_threads(), 'thread')}",
        file=sys.stderr,
    )
    moments, size = training.checkpoints
    if moments:
        print(f"keeping weights at {moments} moments: {size / 1e6:.1f} MB", file=sys.stderr)
    note = ""
    with exclusive(into), Progress(training.name, settings.sequences, "sequences") as progress:

        def report(sequences_seen: int, train_loss: float | None, valid_loss: float | None) -> None:
            nonlocal note
            if train_loss is not None and valid_loss is not None:
                note = f"train {train_loss:.5f}, valid {valid_loss:.5f}"
            progress.to(min(sequences_seen, settings.sequences), note, force=valid_loss is not None)

        content = training.train(checkpoint, report)
        save(content, into, "weights")
    best = min(content["curve"]["valid_loss"])
    partial = f", {content['partial']}" if content["partial"] else ""
    print(f"wrote {into}: best validation {task_of(settings).measure} {best:.3g}{partial}", file=sys.stderr)
