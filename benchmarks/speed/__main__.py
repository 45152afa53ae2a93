"""What a training step costs, against the published recurrence, as a table and a figure.

``python -m benchmarks.speed`` writes ``speed.csv`` (one row per measurement), ``shares.csv`` (where the time
of a step goes) and ``speed.png``, a picture of both, into ``results/benchmarks``. On a GPU batches are as
large as published, with TF32 off and on; without one, sizes are those that a CPU can do.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm import tqdm

from benchmarks.speed.figure_of_speed import draw
from benchmarks.speed.long_sequences import memory_of_long_sequences
from benchmarks.speed.shares_of_a_step import shares
from benchmarks.speed.time_and_memory import Row, commit, compare
from benchmarks.speed.training_steps import Size
from flowsim.training.devices import pick_device

CPU = [
    Size(speed, channels, batch) for channels, batch in ((16, 8), (32, 8), (128, 2)) for speed in (0, 1, 2)
]
GPU = [Size(speed, channels, 128) for channels in (16, 32, 128) for speed in (0, 1, 2)]
GROWTH = {
    "velocities": [Size(speed, 16, 8) for speed in (0, 1, 2, 3)],
    "frames": [Size(1, 16, 8, frames) for frames in (5, 10, 20, 40)],
    "pixels": [Size(1, 16, 8, 10, pixels) for pixels in (28, 56, 112)],
    "batch": [Size(1, 16, batch) for batch in (2, 4, 8, 16)],
}
TOY = Size(1, 2, 2, 2, 8)
"""For a test of this script."""
TOY_GROWTH = {
    "velocities": [replace(TOY, speed=0), TOY],
    "frames": [TOY, replace(TOY, frames=4)],
    "pixels": [TOY, replace(TOY, pixels=16)],
    "batch": [TOY, replace(TOY, batch=4)],
}
SUBJECTS: list[tuple[str, Mapping[str, Any]]] = [
    ("reference", {}),
    ("flowsim", {}),
    ("flowsim", {"recompute": 4}),
]
WITHOUT_C: tuple[str, Mapping[str, Any]] = ("flowsim", {"compiled": False})
OTHER_STEPS: dict[str, list[tuple[str, Mapping[str, Any]]]] = {
    "training step, gru": [("flowsim", {"cell": "gru", "plain": True}), ("flowsim", {"cell": "gru"})],
    "training step, half pixels": [
        ("flowsim", {"half_pixels": True, "plain": True}),
        ("flowsim", {"half_pixels": True}),
    ],
    "states without gradient": [("states", {"compiled": False}), ("states", {})],
}
"""By what is measured: before, and now."""
ROTATION = Size(1, 8, 2)
SUBJECTS_ON_GPU: list[tuple[str, Mapping[str, Any]]] = [
    *SUBJECTS,
    ("flowsim", {"precision": "bfloat16"}),
    ("flowsim", {"precision": "bfloat16", "recompute": 4}),
]


def rows(device: torch.device, repeats: int, toy: bool = False) -> Iterator[list[Row]]:
    """Every measurement, in turn."""
    if toy:
        yield compare("training step", [(TOY, *subject) for subject in SUBJECTS_ON_GPU], repeats, device)
    elif device.type == "cuda":
        for tf32 in (False, True):
            torch.backends.cuda.matmul.allow_tf32 = tf32
            torch.backends.cudnn.allow_tf32 = tf32
            measure = f"training step, TF32 {'on' if tf32 else 'off'}"
            for size in GPU:
                yield largest_that_fits(measure, size, repeats, device)
    else:
        for size in CPU:
            subjects = [*SUBJECTS, WITHOUT_C]
            yield compare("training step", [(size, *subject) for subject in subjects], repeats, device)
        for measure, subjects in OTHER_STEPS.items():
            yield compare(measure, [(Size(2, 16, 8), *subject) for subject in subjects], repeats, device)
        (rotation,) = compare("training step, rotation", [(ROTATION, "fernn_rotation", {})], repeats, device)
        yield [rotation | {"gflops": float("nan")}]
    for measure, sizes in (TOY_GROWTH if toy else GROWTH).items():
        yield compare(f"growth with {measure}", [(size, "flowsim", {}) for size in sizes], repeats, device)
    yield memory_of_long_sequences(device)


def largest_that_fits(measure: str, size: Size, repeats: int, device: torch.device) -> list[Row]:
    """All subjects on a GPU at one size; with half the batch where one of them needs too much memory."""
    try:
        return compare(measure, [(size, *subject) for subject in SUBJECTS_ON_GPU], repeats, device)
    except torch.OutOfMemoryError:
        if size.batch == 1:
            raise
    torch.cuda.empty_cache()
    return largest_that_fits(measure, replace(size, batch=size.batch // 2), repeats, device)


def in_words(row: Row) -> str:
    """One measurement as a line."""
    return (
        f"{row['measure']}, V {row['velocities']}, {row['channels']} channels, batch {row['batch']}, "
        f"{row['implementation']}: {row['seconds']:.3g} s, {row['speedup']:.2f} times as fast, "
        f"{row['peak_mb']:.0f} MB ({row['memory']:.0%})"
    )


def machine(device: torch.device) -> Row:
    """What the numbers were measured on."""
    on_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else platform.processor() or "cpu",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "commit": commit(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=5, help="times each step is taken; the median counts")
    parser.add_argument("--into", type=Path, default=Path("results/benchmarks"))
    parser.add_argument("--toy", action="store_true", help="tiny sizes, which test this script")
    arguments = parser.parse_args()
    device, repeats, into = pick_device(arguments.device), arguments.repeats, arguments.into
    measured_on = machine(device)
    into.mkdir(parents=True, exist_ok=True)
    table: list[Row] = []
    for measured in tqdm(rows(device, repeats, arguments.toy), unit="size", desc="benchmarks"):
        table += [{**row, **measured_on} for row in measured]
        pd.DataFrame(table).to_csv(into / "speed.csv", index=False, float_format="%.4g")
        for row in measured:
            tqdm.write(in_words(row))
    sizes = [TOY] if arguments.toy else GPU if device.type == "cuda" else CPU
    sizes = [size for size in sizes if size.speed]
    parts = [{**row, **measured_on} for size in sizes for row in shares(size, device, repeats)]
    pd.DataFrame(parts).to_csv(into / "shares.csv", index=False, float_format="%.4g")
    draw(pd.DataFrame(table), pd.DataFrame(parts), into / "speed.png")


if __name__ == "__main__":
    main()
