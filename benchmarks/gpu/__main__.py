"""All that needs a GPU, in one command and a given time: tests, speed and memory, then the paper's Table 1.

``python -m benchmarks.gpu --minutes 10`` leaves everything in ``results/gpu``: ``tests.log`` of the tests
marked ``gpu``, ``speed.csv``, ``shares.csv`` and ``speed.png`` of `benchmarks.speed`, and in
``results/table_1`` the translation experiment of Table 1, trained with the time that is then left. The same
command again skips the steps that are done and goes on with the trainings. A step that fails is named at the
end, and does not keep the others from being made.

Without a GPU all steps are taken on the CPU at toy size, which tests this script and measures nothing. MNIST
is in the folder ``--data``; nothing else is needed beyond the repository.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.speed.time_and_memory import ROOT, commit

PUBLISHED = ROOT / "experiments" / "flowing_mnist.yaml"
SHARES = {"fernn": 0.6, "fernn_part": 0.25, "grnn": 0.15}
"""Of the time for training: about what a step of each costs."""
RESERVE = 1.5
"""Minutes for stimuli, recordings, analyses and the report, beside the trainings."""
TOY: dict[str, Any] = {
    "all": {"source": "bundled", "height": 8, "width": 8, "objects": 1, "max_speed": 1},
    "trials": 4,
    "channels": 2,
    "train": {"sequences": 16, "batch": 4, "validate_every": 8, "context": 3, "horizon": 3},
}
"""Sizes of Table 1 that a CPU does in seconds."""


def table_1(minutes: float, toy: bool, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The published experiment, one seed of each network, with so many minutes for all trainings.

    Parameters
    ----------
    minutes : float
    toy : bool
        Make it tiny, for a CPU.
    before : mapping, optional
        The experiment of an earlier call: budgets count over all calls, so that its minutes are added.
    """
    experiment: dict[str, Any] = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))
    experiment |= {"title": "Table 1, translation, under a budget of time", "seeds": 1}
    experiment["train"]["precision"] = "bfloat16"
    if toy:
        shrink(experiment)
    for name, share in SHARES.items():
        used = before["networks"][name]["train"]["budget"]["minutes"] if before else 0.0
        more = math.ceil(60 * share * minutes) / 60  # whole seconds: a short number in the file
        experiment["networks"][name]["train"] = {"budget": {"minutes": round(used + more, 4)}}
    return experiment


def shrink(experiment: dict[str, Any]) -> None:
    """Give the published experiment toy size."""
    experiment["stimulus"]["all"] = copy.deepcopy(TOY["all"])
    for split in ("train", "valid", "test", "sweep", "probe"):
        experiment["stimulus"][split] |= {"trials": TOY["trials"], "frames": 8}
    for split in ("test", "sweep"):
        experiment["record"][split]["context"] = TOY["train"]["context"]
    for network in experiment["networks"].values():
        network["channels"] = TOY["channels"]
    experiment["train"] |= {**TOY["train"], "precision": "float32"}


def run(command: Sequence[str], log: Path, cwd: Path = ROOT) -> bool:
    """Run one step, on the screen and in a log; whether it succeeded."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    print("+", *command, flush=True)
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            print(line, end="", flush=True)
    return process.returncode == 0


def tests(into: Path, gpu: bool) -> bool:
    """The tests marked ``gpu``; without one, the same test of one network on the CPU."""
    which = ["-m", "gpu"] if gpu else ["-m", "not gpu", "-k", "fernn-cpu"]
    file = "tests/models/test_networks_on_devices.py"
    return run([sys.executable, "-m", "pytest", "-q", "-rs", *which, file], into / "tests.log")


def speed(into: Path, gpu: bool) -> bool:
    """Time, memory and shares of training steps."""
    sizes = ["--device", "cuda", "--repeats", "3"] if gpu else ["--device", "cpu", "--repeats", "1", "--toy"]
    command = [sys.executable, "-m", "benchmarks.speed", *sizes, "--into", str(into)]
    return run(command, into / "speed.log")


def train(into: Path, gpu: bool, minutes: float) -> bool:
    """Table 1, from where an earlier call left it."""
    file = into / "table_1.yaml"
    before = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else None
    experiment = table_1(minutes, not gpu, before)
    file.write_text(yaml.safe_dump(experiment, sort_keys=False), encoding="utf-8")
    cores = "1" if gpu else "2"  # one training at a time has the GPU to itself
    command = [sys.executable, "-m", "flowsim", "run", file.name, "--cores", cores]
    return run(command, into / "table_1.log", into)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="for everything, from now")
    parser.add_argument("--into", type=Path, default=Path("results/gpu"))
    parser.add_argument("--data", type=Path, help="a folder with MNIST; if not given, FLOWSIM_DATA")
    arguments = parser.parse_args()
    began, gpu = time.monotonic(), torch.cuda.is_available()
    into = arguments.into.absolute()
    into.mkdir(parents=True, exist_ok=True)
    if arguments.data:
        os.environ["FLOWSIM_DATA"] = str(arguments.data.expanduser().absolute())
    print(
        torch.cuda.get_device_name() if gpu else "no GPU here: toy sizes on the CPU, to test this script",
        flush=True,
    )
    failed = []
    for name, step in (("tests", tests), ("speed", speed)):
        done = into / f"{name}.done"
        if done.is_file() and done.read_text(encoding="utf-8") == commit():
            print(f"{name}: done before, at this commit")
        elif step(into, gpu):
            done.write_text(commit(), encoding="utf-8")
        else:
            failed.append(name)
    left = arguments.minutes - (time.monotonic() - began) / 60 - (RESERVE if gpu else 0)
    if left <= 0:
        print("table_1: no time is left for it; call again")
    elif not train(into, gpu, left):
        failed.append("table_1")
    print(f"all is in {into}")
    if failed:
        raise SystemExit(
            f"failed: {', '.join(failed)}; see {', '.join(f'{name}.log' for name in failed)} there"
        )


if __name__ == "__main__":
    main()
