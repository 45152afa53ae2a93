"""The command line: one verb per stage of an experiment, and each job of the pipeline is one such command."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from flowsim.errors import InputError

SPLITS = ["train", "valid", "test", "sweep", "probe"]


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _seed(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0; got {text!r}")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """All verbs."""
    top = Parser(
        prog="flowsim", description="How does a recurrent network's inner state move when the world moves?"
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=text.split(".")[0], description=text)

    def spec(p: argparse.ArgumentParser, of: str) -> None:
        p.add_argument(
            "--spec", default="{}", metavar="JSON", help=f"{of}; defaults for all that is not given"
        )

    def into(p: argparse.ArgumentParser, what: str) -> None:
        p.add_argument("--into", required=True, type=Path, metavar="FILE", help=f"{what} to write")

    def device(p: argparse.ArgumentParser) -> None:
        p.add_argument(
            "--device", default="auto", help="auto (CUDA or Apple's GPU where there is one), cuda, mps or cpu"
        )

    def data(p: argparse.ArgumentParser) -> None:
        p.add_argument(
            "--data",
            metavar="FOLDER",
            help="where MNIST or KTH lie; else the environment variable FLOWSIM_DATA says",
        )

    p = verb(
        "stimulus",
        "Generate one file of moving stimuli. Reads nothing; writes HDF5 (frames and ground truth).",
    )
    p.add_argument("family", help="a file in stimuli/, such as moving_digits")
    p.add_argument("split", choices=SPLITS)
    spec(p, "arguments of its generate")
    p.add_argument("--seed", type=_seed, default=0)
    data(p)
    into(p, "stimulus file (.h5)")

    p = verb("train", "Train a network. Reads two stimulus files; writes weights and learning curve (.pt), and beside "
             "them a checkpoint (.ckpt) from which the same command resumes.")  # fmt: skip
    spec(p, '{"name": ..., "network": {"model": ..., ...}, "train": {...}}')
    p.add_argument("--seed", type=_seed, default=0)
    p.add_argument("--train", required=True, type=Path, metavar="FILE", help="stimuli to train on")
    p.add_argument("--valid", required=True, type=Path, metavar="FILE", help="stimuli to validate on")
    device(p)
    data(p)
    into(p, "weights (.pt)")

    p = verb("record", "Record a trained network watching a stimulus. Reads weights and a stimulus file; writes HDF5 "
             "(states, predictions, frames and ground truth).")  # fmt: skip
    spec(p, "one entry of an experiment's record block")
    p.add_argument("--model", required=True, type=Path, metavar="FILE", help="weights (.pt)")
    p.add_argument("--stimulus", required=True, type=Path, metavar="FILE", help="stimulus file (.h5)")
    device(p)
    into(p, "recording (.h5)")

    p = verb(
        "analyse",
        "Ask one question of one recording. Reads a recording; writes HDF5 (small labelled results).",
    )
    p.add_argument("analysis", help="a file in analysis/, such as equivariance_error")
    spec(p, "arguments of its analyse")
    p.add_argument("--recording", required=True, type=Path, metavar="FILE")
    into(p, "results (.h5)")

    p = verb(
        "figure",
        "Draw one analysis of several runs. Reads its results; writes SVG and, beside it, PNG and CSV.",
    )
    p.add_argument("analysis", help="a file in analysis/")
    p.add_argument(
        "--results", required=True, nargs="+", type=Path, metavar="FILE", help="results of each run (.h5)"
    )
    into(p, "figure (.svg)")

    p = verb("report", "Put an experiment on one self-contained page. Reads its analyses, figures and benchmarks; "
             "writes HTML.")  # fmt: skip
    p.add_argument("experiment", type=Path, help="the experiment file (.yaml)")
    data(p)
    p.add_argument("--results", required=True, type=Path, metavar="FOLDER", help="results/<experiment>")
    into(p, "page (.html)")

    p = verb(
        "plan", "Check an experiment file and print its jobs as JSON, for the Snakefile. Reads the file only."
    )
    p.add_argument("experiment", type=Path, help="the experiment file (.yaml)")
    data(p)

    p = verb("preview", "Look at a stimulus: a few trials, or the flows of a probe, with their ground truth. Reads at "
             "most an experiment file; writes a contact sheet (.png) and, beside it, an animation (.gif).")  # fmt: skip
    p.add_argument(
        "stimulus", metavar="SPEC", help="a file in stimuli/, such as moving_digits, or an experiment (.yaml)"
    )
    p.add_argument("--split", choices=SPLITS, default="test")
    spec(p, "arguments of its generate, before those of the experiment")
    p.add_argument("--seed", type=_seed, default=0)
    data(p)
    into(p, "contact sheet (.png)")

    p = verb("gallery", "Make the page of all stimuli. Reads nothing; writes Markdown and, in a folder of the same "
             "name beside it, an animation (.gif) of each.")  # fmt: skip
    into(p, "page (.md)")

    p = verb("export", "Write a recording in the format of another package. Reads a recording; writes NWB (.nwb), "
             "numpy arrays (.npz), a Brain-Score assembly (netCDF: .nc) or a dataset of rsatoolbox (.h5).")  # fmt: skip
    p.add_argument("recording", type=Path, metavar="RECORDING", help="recording (.h5)")
    p.add_argument("--as", dest="format", required=True, choices=["nwb", "numpy", "assembly", "rsatoolbox"])
    p.add_argument("--site", help="which site; else state, or every one for nwb and numpy")
    p.add_argument(
        "--time", metavar="FRAME", help="assembly and rsatoolbox: one recorded frame, or mean; else all"
    )
    p.add_argument("--rate", type=float, help="nwb: frames per second of its nominal clock; else 1")
    into(p, "file")

    p = verb("inspect", "Print what a file is, from what it was made, its size and its law. Reads any file that "
             "flowsim writes; writes none.")  # fmt: skip
    p.add_argument("file", type=Path, metavar="FILE")
    p.add_argument("--check", action="store_true", help="read all of it and compare it with its checksums")

    verb("models", "Print every network model with its parameters, law and source. Reads and writes no file.")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; errors in what a person gave are one line on stderr and status 2."""
    if os.getcwd() not in sys.path:
        sys.path.insert(
            0, os.getcwd()
        )  # the console script then finds a user's own stimuli/ and analysis/ too
    argv = sys.argv[1:] if argv is None else argv
    arguments = parser().parse_args(argv)
    if arguments.verb not in ("plan", "models", "inspect"):
        print(f"$ python -m flowsim {shlex.join(argv)}", file=sys.stderr, flush=True)
    if getattr(arguments, "data", None):
        os.environ["FLOWSIM_DATA"] = arguments.data
    from importlib import import_module

    try:
        getattr(import_module(f"flowsim.commands.{arguments.verb}"), arguments.verb)(arguments)
    except InputError as error:
        print(f"flowsim {arguments.verb}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"flowsim {arguments.verb}: interrupted; the same command goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
