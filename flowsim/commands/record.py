"""The stages that run a network: train and record. Apart from the others, which need not wait for torch."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path

import torch

from flowsim import specification
from flowsim.files import netcdf
from flowsim.files.provenance import provenance
from flowsim.progress import Progress
from flowsim.recording.record import record as write_recording
from flowsim.recording.settings import RecordBlock
from flowsim.training.batches import FRAMES
from flowsim.training.devices import pick_device
from flowsim.training.weights import load_network


def record(a: Namespace) -> None:
    """Record one network on one stimulus."""
    block = specification.validate(RecordBlock, specification.from_json(a.spec), "record")
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
