"""The stages that run a network: train and record. Apart from the others, which need not wait for torch."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path

import torch
import xarray as xr

from flowsim import ideas
from flowsim.commands.stages import specification
from flowsim.errors import InputError
from flowsim.experiment.read import network
from flowsim.experiment.schema import RecordBlock, RunBlock, TrainBlock
from flowsim.files import netcdf
from flowsim.files.atomic import exclusive
from flowsim.files.provenance import checksum, provenance, training_code
from flowsim.progress import Progress
from flowsim.recording.record import record as write_recording
from flowsim.scenes.sequences import Sequences, Shuffled, labels
from flowsim.training import devices
from flowsim.training.allocation import keep_freed_memory
from flowsim.training.batches import Stream
from flowsim.training.objective import end_of
from flowsim.training.train import pick_device
from flowsim.training.train import train as fit
from flowsim.training.weights import load_network, save

SAME_RESULT = {"train": {"micro_batch", "recompute", "budget"}}
"""Settings that may change between an interruption and going on: the steps taken are the same to rounding."""
FRAMES = {"frames": ("trial", "time", "y", "x")}


def train(a: Namespace) -> None:
    """Train one network."""
    keep_freed_memory()
    with devices.processes(pick_device(a.device)) as device:
        _train(a, device)


def _train(a: Namespace, device: torch.device) -> None:
    spec = ideas.validate(RunBlock, specification(a.spec), "--spec")
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
        [spec.model_dump(exclude=SAME_RESULT), a.seed, code, [checksum(path) for path in inputs]], sort_keys=True
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


def hardware(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{threads} CPU thread{'s' if threads > 1 else ''}" if device.type == "cpu" else device.type


def _source(a: Namespace, settings: TrainBlock, device: torch.device) -> Shuffled | Stream:
    """What to train on: the file's sequences, or new ones by the file's specification."""
    needed = settings.warm_up + end_of(settings)
    if not settings.stream:
        return Shuffled(_sequences(a.train, needed).to(device), settings.batch, a.seed)
    made = netcdf.read(a.train, "stimulus", FRAMES)
    _enough(a.train, made, needed)
    try:
        spec = json.loads(made.attrs["specification"])
        family = spec.pop("family")
    except (KeyError, ValueError):
        raise InputError(
            f"{a.train}: to stream, expected a file by `flowsim stimulus`, with its specification; set stream false"
        ) from None
    if spec.pop("split", "train") != "train":
        raise InputError(f"{a.train}: to stream, expected a file of split train, whose specification says how")
    return Stream(family, spec, a.seed, settings.batch, device)


def _sequences(path: Path, needed: int) -> Sequences:
    """The sequences of a stimulus file."""
    made = netcdf.load(netcdf.read(path, "stimulus", FRAMES), path)
    _enough(path, made, needed)
    return Sequences.of(made)


def _check_labels(a: Namespace, valid: Sequences, classes: int) -> None:
    """On the CPU, since a GPU only crashes on a label that there is not."""
    for path, label in ((a.train, labels(netcdf.read(a.train, "stimulus", FRAMES))), (a.valid, valid.label)):
        if label is None:
            raise InputError(f"{path}: to classify needs labels; the file has no coordinate label")
        if len(label) and not 0 <= int(label.min()) <= int(label.max()) < classes:
            raise InputError(
                f"{path}: expected labels from 0 to {classes - 1}, since the network has {classes} classes; they go "
                f"from {int(label.min())} to {int(label.max())}. Build it with more classes"
            )


def _enough(path: Path, made: xr.Dataset, needed: int) -> None:
    if made.sizes["time"] < needed:
        raise InputError(
            f"{path}: expected at least {needed} frames (warm_up + context + horizon); it has {made.sizes['time']}"
        )


def record(a: Namespace) -> None:
    """Record one network on one stimulus."""
    block = ideas.validate(RecordBlock, specification(a.spec), "record")
    net, content = load_network(a.model)
    net.to(pick_device(a.device))
    torch.backends.cudnn.allow_tf32 = False  # a law that holds in float32 should be seen to hold
    shown = netcdf.read(a.stimulus, "stimulus", {"frames": _dims(a.stimulus)})
    attrs = provenance("recording", block.model_dump(), [a.model, a.stimulus], int(content["seed"]))
    train_block = json.loads(content["specification"])["train"]
    attrs |= {
        "network": content["name"],
        "horizon": train_block["horizon"],
        "task": train_block["task"],
        "parameters": content["parameters"],
        "partial": content["partial"],
        "training_seconds": round(content["curve"]["seconds"][-1], 1),
        "hardware": content["hardware"],
    }
    with Progress(f"recording {a.into}", 1, "MB") as progress:

        def report(done: int, total: int) -> None:
            progress.total = progress.bar.total = -(-total // 10**6)
            progress.to(-(-done // 10**6))

        write_recording(
            net, netcdf.load(shown, a.stimulus), a.into, **block.model_dump(), curve=content["curve"], attrs=attrs,
            announce=lambda text: print(text, file=sys.stderr, flush=True), report=report,
        )  # fmt: skip
    print(f"wrote {a.into}: {a.into.stat().st_size / 1e6:.1f} MB", file=sys.stderr)


def _dims(path: Path) -> tuple[str, ...]:
    """Dimensions that frames must have: those of a probe if the file has flows."""
    flows = "flow" in netcdf.read(path, "stimulus").dims
    return ("flow", *FRAMES["frames"]) if flows else FRAMES["frames"]
