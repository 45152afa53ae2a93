"""Time whole training steps with and without Winograd's convolutions: ``python -m benchmarks.winograd``.

One thread, V = {-2..2}^2, 28x28; each step is taken in turn with both, and medians are compared. Writes
``results/benchmarks/winograd_cpu.csv``.
"""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from statistics import median

import pandas as pd
import torch

from benchmarks.speed.training_steps import Size, flowsim, reference
from benchmarks.winograd.step import in_place
from flowsim.files.provenance import commit

SIZES = (Size(2, 16, 8), Size(2, 32, 8), Size(2, 128, 2))
REPEATS = 5
INTO = Path("results") / "benchmarks" / "winograd_cpu.csv"


def seconds(size: Size) -> dict[str, float]:
    """Median CPU seconds of one step, by implementation; the first of each is not counted."""
    device = torch.device("cpu")
    own = flowsim(size, device)
    steps = {"reference": reference(size, device), "flowsim": own, "winograd": own}
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(REPEATS + 1):
        for name, step in steps.items():
            way: AbstractContextManager[None] = in_place() if name == "winograd" else nullcontext()
            with way:
                began = time.process_time()
                step()
                taken[name].append(time.process_time() - began)
    return {name: median(times[1:]) for name, times in taken.items()}


def main() -> None:
    """Measure, print and write the table."""
    torch.set_num_threads(1)
    rows = []
    for size in SIZES:
        found = seconds(size)
        print(f"{size.channels} channels: {found}", file=sys.stderr, flush=True)
        about = {"channels": size.channels, "batch": size.batch, "frames": size.frames, "pixels": size.pixels}
        rows += [
            {
                **about,
                "implementation": name,
                "seconds": round(taken, 4),
                "speedup": round(found["reference"] / taken, 2),
                "over_flowsim": round(found["flowsim"] / taken, 2),
            }
            for name, taken in found.items()
        ]
    table = pd.DataFrame(rows).assign(threads=1, torch=torch.__version__, commit=commit()[:7])
    print(table.to_string(index=False))
    INTO.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(INTO, index=False)


main()
