"""Kill every verb at many moments, and fill the disk under it: does anything get lost, or stay behind?

``python -m tests.faults.kills --tries 200 --seed 0`` prints a table. Every try is a process of its own, forked
from this one, which has imported everything: a try takes a second, not ten. What a try did is one of

detected    it failed with one readable line and a status that is not 0, and its output is as before
harmless    it did its work, whole, as if nothing had happened
silent      it said that it did its work, and its output is missing or not what it should be
traceback   it printed one
hang        it did not end
crash       the interpreter ended by a signal that nobody had sent
left        something was left behind beside what should be there: at once, or, after SIGKILL, after the next
            command

A killed command is repeated undisturbed, and has to make what an undisturbed one makes, bit for bit.
"""

from __future__ import annotations

import argparse
import atexit
import ctypes
import json
import os
import random
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from tests.faults.tally import Tally

OUTCOMES = ("detected", "harmless", "silent", "traceback", "hang", "crash", "left")
DISTURBANCES = ["SIGTERM", "SIGINT", "SIGKILL", "file size", "full disk"]
LONGEST = 600.0
"""Seconds after which a try hangs."""
STIMULUS = json.dumps({"height": 8, "width": 9, "trials": 8, "frames": 6})
TRAIN = json.dumps(
    {
        "name": "fernn",
        "network": {"model": "fernn", "max_speed": 1, "channels": 3, "decoder_layers": 1},
        "train": {"context": 3, "horizon": 2, "sequences": 160, "batch": 4, "validate_every": 32},
    }
)
DATA = ("--train", "train.h5", "--valid", "valid.h5", "--device", "cpu")
EXPERIMENT = """
title: Tiny
stimulus: {family: moving_digits, all: {height: 8, width: 9, trials: 4, frames: 6}}
networks:
  fernn: {model: fernn, max_speed: 1, channels: 3, decoder_layers: 1}
seeds: 1
train: {context: 3, horizon: 2, sequences: 8, batch: 4, validate_every: 4}
record: {probe: {}}
analyse: {equivariance_error: {}}
"""
VERBS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "stimulus": (
        ("stimulus", "moving_digits", "test", "--spec", STIMULUS, "--into", "test.h5"),
        ("test.h5",),
    ),
    "train": (("train", "--spec", TRAIN, *DATA, "--into", "b.pt"), ("b.pt", "b.ckpt")),
    "record": (
        ("record", "--model", "a.pt", "--stimulus", "probe.h5", "--device", "cpu", "--into", "b.h5"),
        ("b.h5",),
    ),
    "analyse": (("analyse", "equivariance_error", "--recording", "rec.h5", "--into", "c.h5"), ("c.h5",)),
    "figure": (
        ("figure", "equivariance_error", "--results", "err.h5", "--into", "d.svg"),
        ("d.svg", "d.png", "d.csv"),
    ),
    "preview": (
        ("preview", "moving_digits", "--spec", STIMULUS, "--into", "e.png"),
        ("e.png", "e.gif"),
    ),
    "numpy": (("export", "rec.h5", "--as", "numpy", "--into", "f.npz"), ("f.npz",)),
    "assembly": (("export", "rec.h5", "--as", "assembly", "--into", "g.nc"), ("g.nc",)),
    "nwb": (("export", "rec.h5", "--as", "nwb", "--into", "h.nwb"), ("h.nwb",)),
    "schema": (("schema", "--into", "i.json"), ("i.json",)),
    "report": (("report", "tiny.yaml", "--results", ".", "--into", "j.html"), ("j.html",)),
}
"""A command of each verb, and what it makes, in a folder that `prepare` has made."""
BEFORE: tuple[tuple[str, ...], ...] = (
    *(
        ("stimulus", "moving_digits", split, "--spec", STIMULUS, "--into", f"{split}.h5")
        for split in ("train", "valid", "probe")
    ),
    ("train", "--spec", TRAIN, *DATA, "--into", "a.pt"),
    ("record", "--model", "a.pt", "--stimulus", "probe.h5", "--device", "cpu", "--into", "rec.h5"),
    ("analyse", "equivariance_error", "--recording", "rec.h5", "--into", "err.h5"),
)


@dataclass
class Ended:
    """How a process ended: its status (negative for a signal), what it printed, whether it hung."""

    status: int
    text: str
    hung: bool = False


@dataclass
class Disturbance:
    """What is done to a command: a signal after some seconds, or no file beyond some bytes, or a small disk."""

    name: str
    signal: int | None = None
    after: float = 0.0
    bytes: int | None = None


def run(arguments: Sequence[str], folder: Path, disturbance: Disturbance | None = None) -> Ended:
    """Run one command in a forked process."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        os.close(reading)
        _become(arguments, folder, writing, disturbance)
    os.close(writing)
    started, text, sent, hung = time.monotonic(), b"", False, False
    while True:
        now = time.monotonic() - started
        if disturbance and disturbance.signal and not sent and now >= disturbance.after:
            os.kill(child, disturbance.signal)
            sent = True
        if now > LONGEST:
            hung = True
            os.kill(child, signal.SIGKILL)
        if select.select([reading], [], [], 0.002)[0]:
            part = os.read(reading, 65536)
            if not part:
                break
            text += part
    os.close(reading)
    _, status = os.waitpid(child, 0)
    return Ended(os.waitstatus_to_exitcode(status), text.decode(errors="replace"), hung)


def _become(arguments: Sequence[str], folder: Path, writing: int, disturbance: Disturbance | None) -> None:
    """Be the command, to the end of the process, where libraries close what they have opened."""
    os.dup2(writing, 1)
    os.dup2(writing, 2)
    os.chdir(folder)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if disturbance and disturbance.bytes is not None and disturbance.name == "file size":
        resource.setrlimit(resource.RLIMIT_FSIZE, (disturbance.bytes, disturbance.bytes))
    from flowsim.__main__ import main

    sys.argv = ["flowsim", *arguments]
    status = 1
    try:
        status = main()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    try:
        sys.stdout.flush()
    except OSError:
        status = 120
    atexit._run_exitfuncs()
    ctypes.CDLL(None).exit(status)


def content(path: Path) -> object:
    """What is in a file, to be compared."""
    if path.suffix in (".h5", ".nc"):
        with h5py.File(path) as file:
            arrays = {name: np.asarray(file[name]) for name in sorted(file)}
        return {name: a.tolist() if a.dtype.kind == "O" else a.tobytes() for name, a in arrays.items()}
    if path.suffix == ".nwb":
        return path.stat().st_size
    if path.suffix in (".pt", ".ckpt"):
        import torch

        loaded = torch.load(path, weights_only=True)
        best = {name: tensor.numpy().tobytes() for name, tensor in loaded["best"].items()}
        return best, loaded["curve"]["valid_loss"], loaded["curve"]["train_loss"]
    return path.read_bytes()


def prepare(folder: Path) -> Path:
    """Make the files that commands read."""
    folder.mkdir()
    for arguments in BEFORE:
        ended = run(arguments, folder)
        assert ended.status == 0, ended.text
    (folder / "tiny.yaml").write_text(EXPERIMENT, encoding="utf-8")
    for kind, file in (("analyses/equivariance_error", "err.h5"), ("recordings", "rec.h5")):
        (folder / kind).mkdir(parents=True)
        name = "fernn-seed0.h5" if kind.startswith("analyses") else "fernn-seed0/probe.h5"
        (folder / kind / name).parent.mkdir(exist_ok=True)
        shutil.copy(folder / file, folder / kind / name)
    (folder / "figures").mkdir()
    figure = ("figure", "equivariance_error", "--results", "err.h5", "--into")
    run((*figure, "figures/equivariance_error.svg"), folder)
    return folder


@dataclass
class Bench:
    """Commands that are disturbed in a folder, and what undisturbed ones make there."""

    folder: Path
    makes: dict[str, dict[str, object]] = field(default_factory=dict)
    takes: dict[str, float] = field(default_factory=dict)
    largest: dict[str, int] = field(default_factory=dict)

    def learn(self, verb: str) -> None:
        """Run a command undisturbed."""
        arguments, outputs = VERBS[verb]
        began = time.monotonic()
        ended = run(arguments, self.folder)
        assert ended.status == 0, ended.text
        self.takes[verb] = time.monotonic() - began
        self.makes[verb] = {name: content(self.folder / name) for name in outputs}
        self.largest[verb] = max((self.folder / name).stat().st_size for name in outputs)
        self.clear(verb)

    def clear(self, verb: str) -> None:
        """Remove what a command has made."""
        for name in VERBS[verb][1]:
            (self.folder / name).unlink(missing_ok=True)

    def names(self) -> set[str]:
        """All files, hidden ones too; locks are not counted as left where they are part of the design."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}

    def attempt(self, verb: str, disturbance: Disturbance) -> tuple[str, str]:
        """Disturb one command; returns the outcome, and what the command said."""
        arguments, outputs = VERBS[verb]
        self.clear(verb)
        before = self.names()
        ended = run(arguments, self.folder, disturbance)
        outcome = self.judge(verb, disturbance, ended)
        stray = self.names() - before - set(outputs)
        text = ended.text
        killed = disturbance.signal == signal.SIGKILL
        if outcome in ("detected", "harmless") and stray and not killed:
            outcome, text = "left", f"{text}\n{sorted(stray)}"
        again = None
        if ended.status != 0 and outcome in ("detected", "harmless"):
            again = run(arguments, self.folder)
            if again.status or not self.is_as_undisturbed(verb):
                outcome, text = "silent", f"{text}\n--- again ---\n{again.text}"
            elif stray := self.names() - before - set(outputs):
                outcome, text = "left", f"{text}\n{sorted(stray)}"
        for name in self.names() - before:
            (self.folder / name).unlink()
        return outcome, text

    def judge(self, verb: str, disturbance: Disturbance, ended: Ended) -> str:
        """The outcome of one try, before it is repeated."""
        sent = disturbance.signal
        if ended.hung:
            return "hang"
        if "Traceback" in ended.text or "Exception ignored" in ended.text:
            return "traceback"
        if ended.status < 0 and -ended.status not in (signal.SIGKILL, sent):
            return "crash"
        if ended.status == 0:
            return "harmless" if self.is_as_undisturbed(verb) else "silent"
        # at the very end of a process, whose work is done, the signal itself ends it
        if sent in (signal.SIGTERM, signal.SIGINT) and ended.status not in (128 + sent, -sent):
            return "silent"
        return "detected"

    def once(self, verb: str, disturbance: Disturbance) -> tuple[str, str]:
        """One try that is not repeated, since its disk stays full."""
        before = self.names()
        ended = run(VERBS[verb][0], self.folder)
        outcome, text = self.judge(verb, disturbance, ended), ended.text
        stray = {name for name in self.names() - before if name not in VERBS[verb][1]}
        if outcome in ("detected", "harmless") and stray:
            outcome, text = "left", f"{text}\n{sorted(stray)}"
        return outcome, text

    def is_as_undisturbed(self, verb: str) -> bool:
        """Whether all that the command should make is there, as an undisturbed one makes it."""
        try:
            return all(content(self.folder / n) == made for n, made in self.makes[verb].items())
        except OSError:
            return False

    def disturb(self, verb: str, kind: str, number: int, tries: int, moment: float) -> tuple[str, str] | None:
        """Disturb a command in one way, for the so-manieth time of so many; ``moment`` is from 0 to 1.

        Returns None where it cannot be done: a small disk can be mounted by few.
        """
        size = self.largest[verb] * number // tries
        if kind == "full disk":
            return self.on_small_disk(verb, size)
        if kind == "file size":
            return self.attempt(verb, Disturbance(kind, bytes=size))
        after = 0.01 + moment * 1.05 * self.takes[verb]
        return self.attempt(verb, Disturbance(kind, signal=getattr(signal, kind), after=after))

    def on_small_disk(self, verb: str, free: int) -> tuple[str, str] | None:
        """One try in a copy of the folder on a disk of memory with so many bytes free, if it may be mounted."""
        mounted = Path(tempfile.mkdtemp())
        try:
            files = [path.stat().st_size for path in self.folder.rglob("*") if path.is_file()]
            size = sum(-(-each // 4096) * 4096 for each in files) + 4096 + free
            mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(mounted)]
            if subprocess.run(mount, capture_output=True).returncode:
                return None
            try:
                shutil.copytree(self.folder, mounted, dirs_exist_ok=True)
                disk = Bench(mounted, self.makes, self.takes, self.largest)
                return disk.once(verb, Disturbance("full disk", bytes=free))
            finally:
                subprocess.run(["umount", str(mounted)], check=True)
        finally:
            mounted.rmdir()


def listen_to_interrupts() -> None:
    """Let SIGINT reach what is started from here: shells make what they start in the background deaf to it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def import_everything() -> None:
    """What commands import, so that a forked one starts at once."""
    import torch

    import flowsim.experiment.check
    import flowsim.files.results
    import flowsim.views.preview
    import flowsim.views.report  # noqa: F401

    torch.set_num_threads(1)


def main() -> int:
    """The whole driver; returns how many tries ended otherwise than they should."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tries", type=int, default=10, help="of each disturbance of each verb")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbs", nargs="+", choices=list(VERBS), default=list(VERBS))
    parser.add_argument("--disturbances", nargs="+", choices=DISTURBANCES, default=DISTURBANCES)
    parser.add_argument("--log", type=Path, help="go on where a run with this file was stopped")
    arguments = parser.parse_args()
    listen_to_interrupts()
    tally = Tally(OUTCOMES, arguments.log)
    folder = Path(tempfile.mkdtemp())  # no TemporaryDirectory: forked processes would remove it at their end
    if arguments.verbs == ["stimulus"]:  # which reads nothing, and needs no torch
        import stimuli.moving_digits  # noqa: F401

        bench = Bench(folder)
    else:
        import_everything()
        bench = Bench(prepare(folder / "work"))
    for verb in arguments.verbs:
        bench.learn(verb)
        for kind in arguments.disturbances:
            for number in range(arguments.tries):
                name = f"seed {arguments.seed}, {verb}, {kind}, try {number}"
                if not tally.has(name):
                    moment = random.Random(name).random()
                    ended = bench.disturb(verb, kind, number, arguments.tries, moment)
                    if ended:
                        tally.note(name, f"{verb}, {kind}", *ended)
    shutil.rmtree(folder)
    print(tally)
    return tally.faults


if __name__ == "__main__":
    sys.exit(bool(main()))
