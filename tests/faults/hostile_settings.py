"""Settings and command lines that a person could give by mistake or malice, thousands of them, seeded.

    python -m tests.faults.hostile_settings --tries 1500 --seed 0

Each try is one verb in a process of its own (a fork of one that has imported everything), with little memory and
time. What may come of it: work done, or one line on stderr and an exit status other than 0. A traceback, a crash, a
process that had to be stopped, an error of more than one line, or a value that is no number taken for one, is a
fault; the table at the end counts them, and each is shown with the command that repeats it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import re
import resource
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowsim import ideas
from tests.faults.tally import Tally

SECONDS = 60.0
"""Of processor time that one try may take."""
BYTES = 6 * 2**30
"""Of address space that one try may take, beyond what the process had."""
HOSTILE: list[Any] = [
    *(None, True, False, -1, 0, 10**9, 10**18, 10**30, -(10**12), 2**63, 1.5, -0.5, 1e308, 1e-320),
    *(float("inf"), float("-inf"), float("nan"), "", " ", "1", "nan", "a" * 300, "../x", "$(touch planted)"),
    *(
        "\x00",
        "\u202e\U0001f600",
        "a\nb",
        [],
        {},
        [[]],
        [None],
        [1e999],
        [10**30] * 3,
        [[0, 0]] * 3,
        {"a": {}},
    ),
    *([[0, float("nan")]], {"count": 10**12}, {"": 1}, list(range(5000)), "NaN", "1e999", -0.0),
]
FAULTS = ("traceback", "crash", "hang", "memory", "long", "not a number", "silent", "planted")
"""Outcomes that are faults. "long": an error of more than one line; "silent": exit status not 0 and no word; "planted": a
command that was hidden in a setting ran.
"""
STIMULUS = {"trials": 2, "frames": 5}
EXPERIMENT = """
title: Tiny
stimulus: {family: moving_digits, all: {height: 8, width: 9, trials: 4}, train: {frames: 6}, valid: {frames: 6},
  test: {frames: 12}}
networks: {fernn: {model: fernn, max_speed: 1, channels: 3}, grnn: {model: fernn, max_speed: 0, channels: 3}}
seeds: 1
train: {context: 3, horizon: 3, sequences: 64, batch: 4, validate_every: 16, learning_rate: 0.001}
record: {test: {context: 3, sites: [prediction]}, probe: {}}
analyse: {prediction_error: {}, equivariance_error: {}}
"""


@dataclass(frozen=True)
class Try:
    """One command line, whose parts in braces are files of the folder it runs in."""

    kind: str
    arguments: list[str]
    hostile: Any = None
    content: str = ""

    def shown(self) -> str:
        """As one would type it."""
        text = " ".join(shlex.quote(a) if len(a) < 300 else f"{a[:300]!r}..." for a in self.arguments)
        return f"flowsim {text}" + (f"   # e.yaml: {self.content[:400]!r}" if self.content else "")


def parameters_of(package: str) -> dict[str, list[str]]:
    """Names of the settings of every idea of a kind."""
    import inspect

    function = {"stimuli": "generate", "flowsim.models": "build", "analysis": "analyse"}[package]
    found = {}
    for name in ideas.names(package):
        called = inspect.unwrap(getattr(ideas.load(package, name), function))
        given = ("split", "rng", "recording", "frame_shape")
        found[name] = [p for p in inspect.signature(called).parameters if p not in given]
    return found


def tries(seed: int) -> Iterator[Try]:
    """Endless, the same for the same seed."""
    chance = random.Random(seed)
    stimuli, models, analyses = (parameters_of(p) for p in ("stimuli", "flowsim.models", "analysis"))
    kinds: list[Callable[[], Try]] = [
        lambda: _stimulus(chance, stimuli),
        lambda: _train(chance, models),
        lambda: _record(chance),
        lambda: _analyse(chance, analyses),
        lambda: _experiment(chance, stimuli, models, analyses),
        lambda: _text(chance),
        lambda: _command_line(chance),
        lambda: _path(chance),
    ]
    while True:
        yield chance.choice(kinds)()


def _hostile(chance: random.Random) -> Any:
    return chance.choice(HOSTILE)


def _some(chance: random.Random, names: list[str]) -> dict[str, Any]:
    """One or two settings with hostile values."""
    chosen = chance.sample(names, min(len(names), chance.choice([1, 1, 1, 2]))) if names else []
    if chance.random() < 0.05:
        chosen.append("no_such_setting")
    return {name: _hostile(chance) for name in chosen}


def _stimulus(chance: random.Random, stimuli: dict[str, list[str]]) -> Try:
    family = chance.choice(list(stimuli))
    split = chance.choice(["train", "test", "sweep", "probe", "control"])
    hostile = _some(chance, stimuli[family])
    spec = {n: v for n, v in STIMULUS.items() if n in stimuli[family]} | hostile
    arguments = ["stimulus", family, split, "--spec", json.dumps(spec), "--into", "out.h5"]
    return Try("stimulus", arguments, hostile)


def _train(chance: random.Random, models: dict[str, list[str]]) -> Try:
    model = chance.choice(list(models))
    spec: dict[str, Any] = {
        "network": {"model": model},
        "train": {"sequences": 2, "batch": 1, "context": 2, "horizon": 2},
    }
    if chance.random() < 0.5:
        hostile = _some(chance, [*models[model], "initial", "bounded"])
        spec["network"] |= hostile
    else:
        from flowsim.training.settings import TrainBlock

        hostile = _some(chance, list(TrainBlock.model_fields))
        spec["train"] |= hostile
    if chance.random() < 0.1:
        hostile = {chance.choice(["network", "train", "name"]): _hostile(chance)}
        spec |= hostile
    files = ["--train", "train.h5", "--valid", "valid.h5", "--into", "out.pt"]
    return Try("train", ["train", "--spec", json.dumps(spec), "--device", "cpu", *files], hostile)


def _record(chance: random.Random) -> Try:
    from flowsim.recording.settings import RecordBlock

    hostile = _some(chance, list(RecordBlock.model_fields))
    files = ["--model", "model.pt", "--stimulus", "probe.h5", "--into", "out.h5"]
    return Try("record", ["record", "--spec", json.dumps(hostile), "--device", "cpu", *files], hostile)


def _analyse(chance: random.Random, analyses: dict[str, list[str]]) -> Try:
    name = chance.choice(list(analyses))
    hostile = _some(chance, analyses[name])
    recording = f"{chance.choice([ideas.load('analysis', name).READS, 'probe', 'test'])}-recording.h5"
    arguments = ["analyse", name, "--spec", json.dumps(hostile), "--recording", recording, "--into", "out.h5"]
    return Try("analyse", arguments, hostile)


def _experiment(chance: random.Random, *known: dict[str, list[str]]) -> Try:
    """An experiment file in which a value somewhere is hostile, or a key is added."""
    import yaml

    content = yaml.safe_load(EXPERIMENT)
    stimuli, models, analyses = known
    more = {"stimulus": stimuli["moving_digits"], "networks": models["fernn"], "analyse": list(analyses)}
    block, place = content, chance.choice(list(content))
    while isinstance(block[place], dict) and block[place] and chance.random() < 0.85:
        more_here = more.get(place, [])
        block = block[place]
        place = chance.choice([*block, *chance.sample(more_here, min(1, len(more_here)))])
        block.setdefault(place, {})
    value = _hostile(chance)
    block[place] = value
    text = yaml.safe_dump(content, allow_unicode=True)
    return Try("plan", ["plan", "e.yaml"], value, text)


def _text(chance: random.Random) -> Try:
    """An experiment file that is no mapping, or damaged as text."""
    aliases = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(8)
    )
    deep = "[" * 20000
    many = "title: a\n" + "".join(f"k{i}: 1\n" for i in range(300_000))
    cut = EXPERIMENT[: chance.randrange(len(EXPERIMENT))]
    at = chance.randrange(len(EXPERIMENT))
    odd = EXPERIMENT[:at] + chance.choice("{}[]:&*!|>%@`\t\x07#,'\"") + EXPERIMENT[at:]
    python = "!!python/object/apply:os.system ['touch planted']"
    merge = "a: &a {<<: *a}\n"
    numbers = EXPERIMENT.replace(
        "seeds: 1", f"seeds: {chance.choice(['1e9', '1000000000', '.inf', '0x10', '1:30'])}"
    )
    layers = EXPERIMENT.replace(
        "max_speed: 1", f"layers: {chance.choice([10**4, 10**6, 10**9])}, max_speed: 1"
    )
    texts = [
        aliases,
        EXPERIMENT + aliases,
        deep,
        many,
        cut,
        odd,
        python,
        merge,
        numbers,
        layers,
        "",
        "\ufeff",
        "- 1",
        "5",
    ]
    return Try("text", ["plan", "e.yaml"], None, chance.choice(texts))


def _command_line(chance: random.Random) -> Try:
    """Verbs with arguments that make no sense."""
    words = [
        "",
        " ",
        "-",
        "--",
        "/",
        "/dev/null",
        "/proc/x",
        "no_such",
        "a" * 300,
        "\u202e",
        "1e9",
        "-1",
        "model.pt",
    ]
    words += [
        "probe.h5",
        "probe-recording.h5",
        "e.yaml",
        ".",
        "..",
        "--into",
        "--spec",
        "{",
        "[]",
        "1",
        "null",
        "\n",
    ]
    verb = chance.choice(
        [*(n for n in ideas.names("flowsim.commands") if n not in ("parser", "run", "gallery")), "no_verb"]
    )
    arguments = [verb, *(chance.choice(words) for _ in range(chance.randrange(4)))]
    for option in (
        "--into",
        "--spec",
        "--seed",
        "--recording",
        "--model",
        "--stimulus",
        "--device",
        "--results",
    ):
        if chance.random() < 0.3:
            arguments += [option, chance.choice([*words, "out.h5", "out.svg", "out.pt", "cpu", "{}"])]
    return Try("command line", arguments, None, EXPERIMENT)


PATHS = (
    *(
        "a" * 300,
        f"{'a' * 300}/b",
        "/".join(["a" * 200] * 30),
        "model.pt/b",
        "",
        ".",
        "..",
        "/",
        "/dev/null",
        "/dev/full",
    ),
    *(
        "/proc/x",
        "/proc/self/mem",
        "~nobody/x",
        "\u202e",
        "a\nb",
        "-",
        "round",
        "no/such/folder/x",
        "probe.h5",
        "model.pt",
    ),
)
"""Paths of which few are of any use; "round" is a link to itself."""
WHOLE_COMMANDS = (
    ("stimulus", "moving_digits", "probe", "--spec", '{"trials": 2, "frames": 4}', "--into", "<out.h5>"),
    (
        "stimulus",
        "moving_digits",
        "probe",
        "--data",
        "<.>",
        "--spec",
        '{"source": "mnist"}',
        "--into",
        "<out.h5>",
    ),
    ("train", "--train", "<train.h5>", "--valid", "<valid.h5>", "--into", "<out.pt>"),
    ("record", "--model", "<model.pt>", "--stimulus", "<probe.h5>", "--device", "cpu", "--into", "<out.h5>"),
    ("analyse", "equivariance_error", "--recording", "<probe-recording.h5>", "--into", "<out.h5>"),
    ("figure", "equivariance_error", "--results", "<error.h5>", "--into", "<out.svg>"),
    ("export", "<probe-recording.h5>", "--as", "numpy", "--into", "<out.npz>"),
    ("inspect", "<probe.h5>"),
    ("plan", "<e.yaml>", "--data", "<.>"),
    ("validate", "<e.yaml>"),
    ("report", "<e.yaml>", "--results", "<.>", "--into", "<out.html>"),
    ("preview", "moving_digits", "--spec", '{"trials": 2, "frames": 4}', "--into", "<out.png>"),
    ("schema", "--into", "<out.json>"),
    ("new", "stimulus", "<mine>"),
    ("run", "<e.yaml>", "--dry-run"),
)
"""Each verb as it should be; what is in brackets is a path."""


def _path(chance: random.Random) -> Try:
    """A whole command in which one path is hostile."""
    arguments = list(chance.choice(WHOLE_COMMANDS))
    changed = chance.choice([place for place, word in enumerate(arguments) if word.startswith("<")])
    arguments[changed] = chance.choice(PATHS)
    return Try("path", [word.strip("<>") for word in arguments], None, EXPERIMENT)


def outcome(one: Try, template: Path) -> tuple[str, str]:
    """Run one try in a fork; what came of it, and what it said."""
    with tempfile.TemporaryDirectory() as folder:
        for file in template.iterdir():
            (Path(folder) / file.name).write_bytes(file.read_bytes())
        (Path(folder) / "e.yaml").write_text(one.content, encoding="utf-8")
        (Path(folder) / "round").symlink_to("round")
        said = Path(folder) / "said.txt"
        process = os.fork()
        if not process:
            _child(one, folder, said)
        status, stopped = _wait(process)
        text = said.read_text(encoding="utf-8", errors="replace")
        planted = any(path.name == "planted" for path in Path(folder).iterdir())
    return ("planted" if planted else _judged(one, status, stopped, text)), text


def _child(one: Try, folder: str, said: Path) -> None:
    """Run a verb and end this process."""
    status = 70
    try:
        os.setsid()
        os.chdir(folder)
        output = os.open(said, os.O_WRONLY | os.O_CREAT)
        nothing = os.open(os.devnull, os.O_RDWR)
        for number, to in ((0, nothing), (1, nothing), (2, output)):
            os.dup2(to, number)
        sys.stderr = os.fdopen(2, "w")
        size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (size + BYTES, size + BYTES))
        from flowsim.__main__ import main

        status = main(one.arguments) or 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:
        import traceback

        traceback.print_exc()
        status = 71
    finally:
        sys.stderr.flush()
        os._exit(status)


def _wait(process: int) -> tuple[int, bool]:
    """The exit status of a process, which is killed once it has used up its processor time."""
    tick = os.sysconf("SC_CLK_TCK")
    began = time.monotonic()
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), False
        used = (
            sum(map(int, Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13])) / tick
        )
        if used > SECONDS or time.monotonic() - began > 10 * SECONDS:
            os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return -9, True
        time.sleep(0.01)


def _judged(one: Try, status: int, stopped: bool, text: str) -> str:
    if stopped:
        return "hang"
    if status < 0:
        return "crash"
    if "Traceback (most recent call last)" in text:
        return "memory" if "MemoryError" in text or "can't allocate memory" in text else "traceback"
    # the command is repeated as it was given, with the line breaks of its names
    text = text.removeprefix(f"$ python -m flowsim {shlex.join(one.arguments)}\n")
    told = r"\$ |.*: \d+/\d+ |wrote |training .* on |recording frames |checking "
    errors = [line for line in text.splitlines() if line.strip() and not re.match(told, line)]
    if status:
        return "silent" if not errors else "refused" if len(errors) == 1 else "long"
    return "not a number" if _is_no_number(one.hostile) else "done"


def _is_no_number(value: Any) -> bool:
    """Whether there is a NaN or an infinity anywhere in it."""
    if isinstance(value, float):
        return value != value or value in (float("inf"), float("-inf"))
    if isinstance(value, dict):
        return any(map(_is_no_number, value.values()))
    return isinstance(value, list) and any(map(_is_no_number, value))


def in_a_fork(function: Callable[[Path], None], folder: Path) -> None:
    """Call a function in a process of its own: where this one had computed, its forks could wait for threads that
    they do not have.
    """
    process = os.fork()
    if not process:
        status = 1
        try:
            function(folder)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(process, 0)[1] == 0


def prepare(folder: Path) -> None:
    """The files that tries name: stimuli, weights and recordings, all tiny."""
    from flowsim.__main__ import main

    def done(*arguments: str) -> None:
        with contextlib.redirect_stderr(io.StringIO()) as said:
            assert main(list(arguments)) == 0, said.getvalue()

    size = {"height": 8, "width": 9, "trials": 4, "frames": 8}
    for split in ("train", "valid", "test", "probe", "sweep", "control"):
        spec = {name: value for name, value in size.items() if split != "control" or name != "frames"}
        done(
            "stimulus",
            "moving_digits",
            split,
            "--spec",
            json.dumps(spec),
            "--into",
            str(folder / f"{split}.h5"),
        )
    spec = {
        "network": {"model": "fernn", "max_speed": 1, "channels": 3},
        "train": {"sequences": 4, "batch": 2, "context": 3, "horizon": 3},
    }
    files = [
        *("--train", str(folder / "train.h5"), "--valid", str(folder / "valid.h5")),
        "--into",
        str(folder / "model.pt"),
    ]
    done("train", "--spec", json.dumps(spec), "--device", "cpu", *files)
    for split in ("test", "probe", "sweep", "control"):
        files = ["--model", str(folder / "model.pt"), "--stimulus", str(folder / f"{split}.h5")]
        block = json.dumps({} if split == "probe" else {"context": 3})
        done(
            "record",
            "--spec",
            block,
            *files,
            "--device",
            "cpu",
            "--into",
            str(folder / f"{split}-recording.h5"),
        )
    recording, error = (str(folder / name) for name in ("probe-recording.h5", "error.h5"))
    done("analyse", "equivariance_error", "--recording", recording, "--into", error)


def main() -> int:
    """Run tries and print the table; the exit status is 1 if there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, help="go on where a run with this file was stopped")
    arguments = parser.parse_args()
    tally = Tally(["done", "refused", *FAULTS], arguments.log)
    with tempfile.TemporaryDirectory() as folder:
        in_a_fork(prepare, Path(folder))
        for number, one in zip(range(arguments.tries), tries(arguments.seed), strict=False):
            name = f"seed {arguments.seed}, try {number}"
            if not tally.has(name):
                came, text = outcome(one, Path(folder))
                tally.note(name, one.kind, came, f"{one.shown()}\n{text}")
            if number % 100 == 99:
                print(f"{number + 1} tries", file=sys.stderr, flush=True)
    print(tally)
    return int(tally.faults > 0)


if __name__ == "__main__":
    sys.exit(main())
