"""How fast stimuli are made: sequences a second, against plain generators that take digit by digit and frame
by frame.

``python -m benchmarks.speed.stimuli`` writes ``stimuli.csv`` into ``results/benchmarks``: 28x28 px, 20
frames, two digits, batches of 128 in float32. Ratios are taken in one run, in turn; medians count.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.speed.time_and_memory import commit
from flowsim import ideas
from flowsim.__main__ import main as flowsim
from flowsim.scenes.sources.digits import digits
from flowsim.training.batches import POOL, Stream

BATCH, FRAMES, SIDE, DIGITS = 128, 20, 28, 2
CPU = torch.device("cpu")
FAMILIES: dict[str, dict[str, Any]] = {
    "moving_digits": {"height": SIDE, "width": SIDE, "max_speed": 2, "frames": FRAMES},
    "rotating_digits": {"padding": 10, "max_speed": 40.0, "frames": FRAMES, "interpolation": "bilinear"},
}
"""Those that have a plain generator beside them, and their arguments."""


def draw_digits(rng: np.random.Generator) -> list[Tensor]:
    """The images of one sequence on empty frames, (y, x) each."""
    images, frames = digits("train").pixels, []
    for _ in range(DIGITS):
        frame = torch.zeros(SIDE, SIDE)
        frame[10:18, 10:18] = torch.from_numpy(images[rng.integers(len(images))])
        frames.append(frame)
    return frames


def translating(rng: np.random.Generator) -> Tensor:
    """One sequence (time, y, x): each digit rolled for each frame."""
    images, velocities = draw_digits(rng), rng.integers(-2, 3, size=(DIGITS, 2))
    starts = rng.integers(SIDE, size=(DIGITS, 2))
    sequence = []
    for t in range(FRAMES):
        frame = torch.zeros(SIDE, SIDE)
        for image, velocity, start in zip(images, velocities, starts, strict=True):
            shift = start + t * velocity
            frame = torch.maximum(frame, torch.roll(image, (int(shift[0]), int(shift[1])), (0, 1)))
        sequence.append(frame)
    return torch.stack(sequence)


def rotating(rng: np.random.Generator) -> Tensor:
    """One sequence (time, y, x): each digit turned, bilinearly, for each frame."""
    images, velocities = draw_digits(rng), 10 * rng.integers(-4, 5, size=DIGITS)
    sequence = []
    for t in range(FRAMES):
        frame = torch.zeros(SIDE, SIDE)
        for image, omega in zip(images, velocities, strict=True):
            angle = np.deg2rad(t * omega)
            turn = torch.tensor([[[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]]])
            grid = F.affine_grid(turn.float(), [1, 1, SIDE, SIDE], align_corners=False)
            frame = torch.maximum(frame, F.grid_sample(image[None, None], grid, align_corners=False)[0, 0])
        sequence.append(frame)
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


def speeds(generators: dict[str, Callable[[int], Tensor]], repeats: int) -> dict[str, float]:
    """Sequences per second of each, by the median over rounds, in turn, after one to warm up.

    In a round flowsim makes a whole pool, whose truth is drawn at once, and the plain generators one batch.
    """
    times: dict[str, list[float]] = {name: [] for name in generators}
    for number in range(repeats + 1):
        for name, generate in generators.items():
            batches = 1 if name == "plain" else POOL // BATCH
            started = time.perf_counter()
            for batch in range(batches):
                assert len(generate(batches * number + batch)) == BATCH
            if number:
                times[name].append((time.perf_counter() - started) / batches)
    return {name: BATCH / median(seconds) for name, seconds in times.items()}


def table(repeats: int) -> pd.DataFrame:
    """A row for each stimulus and way of making it."""
    rows: list[tuple[str, str, float, float]] = []
    for family in PLAIN:
        both = speeds({"plain": plain(family), "flowsim": ours(family)}, repeats)
        rows += [(family, way, speed, speed / both["plain"]) for way, speed in both.items()]
    for family in ideas.names("stimuli"):
        if family not in PLAIN and family != "moving_kth":  # its films come from outside
            rows.append((family, "flowsim", speeds({"flowsim": ours(family)}, repeats)["flowsim"], np.nan))
    return pd.DataFrame(rows, columns=["stimulus", "implementation", "sequences_per_second", "ratio"])


def memory_of_files() -> list[tuple[str, int, float]]:
    """Stimulus, sequences written to one file, and the most memory (MB) this process has held by then."""
    rows = []
    for family in ("moving_digits", "optic_flow"):
        for trials in (1000, 4000, 16000):
            spec = json.dumps({"height": SIDE, "width": SIDE, "frames": FRAMES, "trials": trials})
            with tempfile.TemporaryDirectory() as folder:
                flowsim(["stimulus", family, "train", "--spec", spec, "--into", f"{folder}/train.h5"])
            rows.append((family, trials, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
    return rows


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
    speed = table(arguments.repeats).assign(threads=torch.get_num_threads(), commit=commit())
    speed.to_csv(arguments.into / "stimuli.csv", index=False, float_format="%.4g")
    print(speed.to_string(index=False))


if __name__ == "__main__":
    main()
