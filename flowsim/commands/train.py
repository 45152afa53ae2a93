"""Train a network."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from flowsim.commands.parser import add_data, add_device, add_into, add_seed, add_spec

if TYPE_CHECKING:
    import torch

HELP = (
    "Train a network. Reads two stimulus files; writes weights and learning curve (.pt), and beside them a "
    "checkpoint (.ckpt) from which the same command resumes."
)
SAME_RESULT = {"train": {"micro_batch", "recompute", "budget"}}
"""Settings that may change between an interruption and going on: the steps taken are the same to rounding."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the settings, the seed, the two stimulus files, the device and the file to write."""
    add_spec(parser, '{"name": ..., "network": {"model": ..., ...}, "train": {...}}')
    add_seed(parser)
    parser.add_argument("--train", required=True, type=Path, metavar="FILE", help="stimuli to train on")
    parser.add_argument("--valid", required=True, type=Path, metavar="FILE", help="stimuli to validate on")
    add_device(parser)
    add_data(parser)
    add_into(parser, "weights (.pt)")


def run(a: Namespace) -> None:
    """Train one network."""
    from flowsim.training import devices
    from flowsim.training.devices import keep_freed_memory, pick_device

    keep_freed_memory()
    with devices.processes(pick_device(a.device)) as device:
        _train(a, device)


def _train(a: Namespace, device: torch.device) -> None:
    import torch

    from flowsim import specification
    from flowsim.experiment.read import network
    from flowsim.files.atomic import exclusive
    from flowsim.files.code_hash import training_code
    from flowsim.files.provenance import checksum, provenance
    from flowsim.progress import Progress
    from flowsim.training import devices
    from flowsim.training.batches import Stream, _check_labels, _sequences, _source
    from flowsim.training.devices import hardware
    from flowsim.training.objective import end_of
    from flowsim.training.settings import RunBlock
    from flowsim.training.train import train as fit
    from flowsim.training.weights import save

    spec = specification.validate(RunBlock, specification.from_json(a.spec), "--spec")
    settings = spec.train
    source, valid = _source(a, settings, device), _sequences(a.valid, end_of(settings)).to(device)
    frame_shape = (valid.frames.shape[-2], valid.frames.shape[-1])
    torch.manual_seed(a.seed)
    net = network(spec.network, frame_shape, "--spec: network").to(device)
    if settings.task == "classify":
        _check_labels(a, valid, net.logits(net.start(1)).shape[1])
    model = spec.network["model"]
    name, inputs = f"{spec.name or model}-seed{a.seed}", [a.train, a.valid]
    code = training_code(model, source.family if isinstance(source, Stream) else None)
    identity = json.dumps(
        [spec.model_dump(exclude=SAME_RESULT), a.seed, code, [checksum(path) for path in inputs]],
        sort_keys=True,
    )
    if devices.rank():
        fit(net, settings, source, valid, a.seed, checkpoint=a.into.with_suffix(".ckpt"), identity=identity)
        return
    count = sum(p.numel() for p in net.parameters())
    together = f" in {devices.count()} processes" if devices.count() > 1 else ""
    threads = torch.get_num_threads()
    print(f"training {name} on {device}{together}: {count} parameters, {threads} threads", file=sys.stderr)
    note = ""
    with exclusive(a.into), Progress(name, settings.sequences, "sequences") as progress:

        def report(done: int, train_loss: float | None, valid_loss: float | None) -> None:
            nonlocal note
            if train_loss is not None and valid_loss is not None:
                note = f"train {train_loss:.5f}, valid {valid_loss:.5f}"
            progress.to(min(done, settings.sequences), note, force=valid_loss is not None)

        curve, best = fit(
            net, settings, source, valid, a.seed,
            checkpoint=a.into.with_suffix(".ckpt"), identity=identity, report=report,
        )  # fmt: skip
        content = {
            "best": best,
            "last": {k: v.cpu() for k, v in net.state_dict().items()},
            "curve": vars(curve),
            "frame_shape": list(frame_shape),
            "name": spec.name or model,
            "parameters": count,
            "partial": partial(curve.sequences[-1], settings.sequences),
            "hardware": hardware(device),
            **provenance("train", spec.model_dump(), inputs, a.seed),
        }
        save(content, a.into, "weights")
    of = "MSE" if settings.task == "predict" else "cross-entropy"
    short = f", {content['partial']}" if content["partial"] else ""
    print(f"wrote {a.into}: best validation {of} {min(curve.valid_loss):.3g}{short}", file=sys.stderr)


def partial(seen: int, wanted: int) -> str:
    """What is said of a training that its budget stopped; nothing of a whole one."""
    return "" if seen >= wanted else f"after {seen:,} of {wanted:,} sequences"
