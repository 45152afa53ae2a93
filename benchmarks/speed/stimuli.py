"""How fast stimuli are made: sequences a second, against plain generators that take digit by digit and frame
by frame.

``python -m benchmarks.speed.stimuli`` writes ``stimuli.csv`` into ``results/benchmarks``: 28x28 px, 20 frames, two
digits, batches of 128 in float32. Ratios are taken in one run, in turn; medians count.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from flowsim import ideas
from flowsim.commands.stimulus import stimulus as write_file
from flowsim.scenes.sources.digits import digits
from flowsim.training.batches import POOL, Stream

BATCH, FRAMES, SIDE, DIGITS = 128, 20, 28, 2
CPU = torch.device("cpu")
FAMILIES: dict[str, dict[str, Any]] = {
    "moving_digits": {"height": SIDE, "width": SIDE, "max_speed": 2, "frames": FRAMES},
    "rotating_digits": {"padding": 10, "max_speed": 40.0, "frames": FRAMES, "interpolation": "bilinear"},
}
"""Those that have a plain generator beside them, and their arguments."""


def _drawn(rng: np.random.Generator) -> list[Tensor]:
    """The images of one sequence on empty frames, (y, x) each."""
    images, frames = digits("train").pixels, []
    for _ in range(DIGITS):
        frame = torch.zeros(SIDE, SIDE)
        frame[10:18, 10:18] = torch.from_numpy(images[rng.integers(len(images))])
        frames.append(frame)
    return frames


def translating(rng: np.random.Generator) -> Tensor:
    """One sequence (time, y, x): each digit rolled for each frame."""
    images, velocity = _drawn(rng), rng.integers(-2, 3, size=(DIGITS, 2))
    start = rng.integers(SIDE, size=(DIGITS, 2))
    sequence = []
    for t in range(FRAMES):
        shown = torch.zeros(SIDE, SIDE)
        for image, v, p in zip(images, velocity, start, strict=True):
            shown = torch.maximum(
                shown, torch.roll(image, (int(p[0] + t * v[0]), int(p[1] + t * v[1])), (0, 1))
            )
        sequence.append(shown)
    return torch.stack(sequence)


def rotating(rng: np.random.Generator) -> Tensor:
    """One sequence (time, y, x): each digit turned, bilinearly, for each frame."""
    images, velocity = _drawn(rng), 10 * rng.integers(-4, 5, size=DIGITS)
    sequence = []
    for t in range(FRAMES):
        shown = torch.zeros(SIDE, SIDE)
        for image, omega in zip(images, velocity, strict=True):
            angle = np.deg2rad(t * omega)
            turn = torch.tensor([[[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]]])
            grid = F.affine_grid(turn.float(), [1, 1, SIDE, SIDE], align_corners=False)
            shown = torch.maximum(shown, F.grid_sample(image[None, None], grid, align_corners=False)[0, 0])
        sequence.append(shown)
    return torch.stack(sequence)


PLAIN: dict[str, Callable[[np.random.Generator], Tensor]] = {
    "moving_digits": translating,
    "rotating_digits": rotating,
}


def plain(family: str) -> Callable[[int], Tensor]:
    """Batch number n by the plain generator."""

    def batch(number: int) -> Tensor:
        rng = np.random.default_rng(number)
        return torch.stack([PLAIN[family](rng) for _ in range(BATCH)])

    return batch


def ours(family: str) -> Callable[[int], Tensor]:
    """Batch number n by flowsim."""
    stream = Stream(family, FAMILIES.get(family, {"frames": FRAMES}), 0, BATCH, CPU)
    return lambda number: stream[number].frames


def speeds(makers: dict[str, Callable[[int], Tensor]], repeats: int) -> dict[str, float]:
    """Sequences per second of each, by the median over rounds, in turn, after one to warm up.

    In a round flowsim makes a whole pool, whose truth is drawn at once, and the plain generators one batch.
    """
    taken: dict[str, list[float]] = {name: [] for name in makers}
    for number in range(repeats + 1):
        for name, make in makers.items():
            batches = 1 if name == "plain" else POOL // BATCH
            started = time.perf_counter()
            for batch in range(batches):
                assert len(make(batches * number + batch)) == BATCH
            if number:
                taken[name].append((time.perf_counter() - started) / batches)
    return {name: BATCH / median(times) for name, times in taken.items()}


def table(repeats: int) -> pd.DataFrame:
    """A row for each stimulus and way of making it."""
    rows = []
    for family in PLAIN:
        found = speeds({"plain": plain(family), "flowsim": ours(family)}, repeats)
        rows += [(family, way, speed, speed / found["plain"]) for way, speed in found.items()]
    for family in ideas.names("stimuli"):
        if family not in PLAIN and family != "moving_kth":  # its films come from outside
            rows.append((family, "flowsim", speeds({"flowsim": ours(family)}, repeats)["flowsim"], np.nan))
    return pd.DataFrame(rows, columns=["stimulus", "implementation", "sequences_per_second", "ratio"])


def memory_of_files() -> list[tuple[str, int, float]]:
    """Stimulus, sequences written to one file, and the most memory that this process held up to then, in MB."""
    held = []
    for family in ("moving_digits", "optic_flow"):
        for trials in (1000, 4000, 16000):
            with tempfile.TemporaryDirectory() as folder:
                spec = f'{{"height": {SIDE}, "width": {SIDE}, "frames": {FRAMES}, "trials": {trials}}}'
                into = Path(folder) / "train.h5"
                write_file(Namespace(family=family, split="train", spec=spec, seed=0, into=into))
            held.append((family, trials, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
    return held


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7, help="rounds; the median counts")
    parser.add_argument("--into", type=Path, default=Path("results/benchmarks"))
    arguments = parser.parse_args()
    arguments.into.mkdir(parents=True, exist_ok=True)
    for family, trials, megabytes in memory_of_files():
        print(f"{family}, {trials} sequences written: at most {megabytes:.0f} MB held")
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    found = table(arguments.repeats).assign(threads=torch.get_num_threads(), commit=commit)
    found.to_csv(arguments.into / "stimuli.csv", index=False, float_format="%.4g")
    print(found.to_string(index=False))


if __name__ == "__main__":
    main()
