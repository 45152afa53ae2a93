"""The command line. Every other file of this folder is a verb and is found by its name; it has

HELP : str
    What the verb does, reads and writes. The first sentence is its line in ``flowsim --help``.
add_arguments : function of a parser
    Adds the verb's arguments. Those that several verbs share are functions of this file.
run : function of the parsed arguments
    Does the work. Whatever is slow to import (torch, xarray, numpy, matplotlib) is imported there, so that
    ``--help`` stays fast.
ECHO : bool, optional
    False for a verb that does not repeat its command line on stderr, as the others do for their logs.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from flowsim import __version__, ideas, memory, output, stopping, torchrun, usage
from flowsim.errors import InputError
from flowsim.splits import SPLIT_OF

PACKAGE = "flowsim.commands"
NEXT = """flowsim run digits      runs an experiment that comes with flowsim; your own: flowsim run FILE.yaml
flowsim doctor          says what works on this machine
flowsim --help          lists every verb"""
"""What ``flowsim`` alone says."""
STAGES = ("stimulus", "train", "record", "analyse", "figure")
"""Verbs that are jobs of experiments: their logs end with what they took."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print, and do not pass over an error as argparse does."""
        (file or sys.stderr).write(message)

    def error(self, message: str) -> NoReturn:
        output.say(output.one_line(f"{self.prog}: {message}; see {self.prog} --help"))
        self.exit(2)


def verbs() -> dict[str, ModuleType]:
    """The module of each verb, by its name."""
    return {name: ideas.load(PACKAGE, name) for name in ideas.names(PACKAGE) if name != "parser"}


def build_parser() -> Parser:
    """The parser of all verbs."""
    top = Parser(
        prog="flowsim",
        description="How does a recurrent network's inner state move when the world moves?",
        epilog=(
            "An experiment runs stimulus, train, record, analyse, figure and report, in this order.\n"
            "The shell completes verbs and options after this line, which may go into its start-up file:\n"
            '  eval "$(register-python-argcomplete flowsim)"'
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"flowsim {__version__}")
    subparsers = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, verb in verbs().items():
        first_sentence = verb.HELP.split(".")[0]
        verb.add_arguments(subparsers.add_parser(name, help=first_sentence, description=verb.HELP))
    return top


def add_spec(parser: argparse.ArgumentParser, content: str) -> None:
    """Add ``--spec``: settings as JSON."""
    text = f"{content}; defaults for all that is not given"
    parser.add_argument("--spec", default="{}", metavar="JSON", help=text)


def add_into(parser: argparse.ArgumentParser, content: str) -> None:
    """Add ``--into``: the file to write."""
    parser.add_argument("--into", required=True, type=Path, metavar="FILE", help=f"{content} to write")


def add_split(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """Add a split: an option if it has a default, otherwise the next positional argument."""
    if default is None:
        parser.add_argument("split", choices=list(SPLIT_OF))
    else:
        parser.add_argument("--split", choices=list(SPLIT_OF), default=default)


def add_experiment(parser: argparse.ArgumentParser) -> None:
    """Add an experiment file, as the next positional argument."""
    parser.add_argument("experiment", type=Path, help="the experiment file (.yaml)")


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Add ``--seed``."""
    parser.add_argument("--seed", type=_seed, default=0)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``."""
    text = (
        "auto (CUDA or Apple's GPU where there is one), cuda, mps or cpu; auto:free or cuda:free takes a GPU "
        "that no other command with such a device has"
    )
    parser.add_argument("--device", default="auto", help=text)


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add ``--data``, which `main` passes on as the environment variable FLOWSIM_DATA."""
    text = "the folder of MNIST or KTH; if not given, the environment variable FLOWSIM_DATA"
    parser.add_argument("--data", metavar="FOLDER", help=text)


def _pass_on_data(folder: str | None) -> None:
    if folder is None:
        return
    if not folder.strip():
        raise InputError("--data: expected the folder of MNIST or KTH; got an empty text")
    os.environ["FLOWSIM_DATA"] = folder


def _seed(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0; got {text!r}")
    return int(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Returns
    -------
    int
        The exit status: 2, and one line on stderr, for an error in what a person gave, and where output
        cannot be written; 128 and the number of the signal where one asked the command to stop.
    """
    if os.getcwd() not in sys.path:  # for what a user's own ideas import; last, so that it hides nothing
        sys.path.append(os.getcwd())
    argv = sys.argv[1:] if argv is None else argv
    command = " ".join(["flowsim", *argv[:1]])
    try:
        with output.kept_open():
            _run(argv)
    except InputError as error:
        if stopping.requested():
            return stopping.said(f"{command}: {error}" if stopping.answered() else command)
        output.say(output.one_line(f"{command}: error: {error}"))
        return 2
    except BaseException as error:
        if stopping.requested() or isinstance(error, KeyboardInterrupt):
            return stopping.said(command)
        if isinstance(error, OSError) and isinstance(error.filename, str | bytes):
            path, reason = os.fsdecode(error.filename), error.strerror or type(error).__name__
            output.say(
                output.one_line(
                    f"{command}: error: {path}: expected a path that can be used; {reason}. Check it"
                )
            )
            return 2
        if not isinstance(error, MemoryError | RuntimeError) or not memory.is_lack_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:160] or "an allocation failed"
        output.say(
            f"{command}: error: expected to need no more memory than there is ({reason}); ask for less: "
            "fewer trials, frames, channels or velocities"
        )
        return 2
    return 0


def _run(argv: Sequence[str]) -> None:
    """Run the verb that the arguments name, or say what may be done."""
    if not argv and "_ARGCOMPLETE" not in os.environ:
        print(NEXT)
        return
    parser = build_parser()
    if "_ARGCOMPLETE" in os.environ:  # the shell asks what may come next
        import argcomplete

        argcomplete.autocomplete(parser)
    arguments = parser.parse_args(argv)
    verb = verbs()[arguments.verb]
    if getattr(verb, "ECHO", True) and torchrun.is_first():
        print(f"$ python -m flowsim {shlex.join(argv)}", file=sys.stderr, flush=True)
    for name, value in vars(arguments).items():
        if isinstance(value, Path):
            setattr(arguments, name, value.expanduser())
            if name == "into" and not value.name:
                raise InputError(f"--into: expected the name of a file; got the folder {value}")
    memory.limit()
    _pass_on_data(getattr(arguments, "data", None))
    with usage.said() if arguments.verb in STAGES and torchrun.is_first() else nullcontext():
        verb.run(arguments)
