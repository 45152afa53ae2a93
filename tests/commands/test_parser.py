"""The command line finds every verb, every stage does its work, and every mistake ends in one readable line,
status 2 and nothing half-written.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from flowsim import __version__
from flowsim.__main__ import main
from flowsim.commands.parser import verbs
from tests.known.small_project import EXPERIMENT


def run(*arguments):
    return main([str(a) for a in arguments])


def test_every_stage_wrote_its_file_and_nothing_else(folder):
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "train.h5", "valid.h5", "probe.h5", "a.pt", "a.ckpt", "rec.h5", "err.h5", "err.svg", "err.png", "err.csv",
    }  # fmt: skip


def truncated(path, into):
    content = Path(path).read_bytes()
    into.write_bytes(content[: len(content) // 2])
    return into


def flipped(path, into):
    """A copy with one byte changed within the frames."""
    with h5py.File(path) as file:
        chunk = file["frames"].id.get_chunk_info(0)
    content = bytearray(Path(path).read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 255
    into.write_bytes(content)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stimulus", "stars", "train"], "unknown stimulus 'stars'; expected one of: .*moving_digits"),
        (["stimulus", "moving_digits", "train", "--spec", "{"], "--spec: expected JSON"),
        (["stimulus", "moving_digits", "train", "--spec", "[]"], "--spec: expected a JSON object; got '\\[\\]'"),
        (["stimulus", "moving_digits", "train", "--spec", '{"hight": 9}'], "unknown key 'hight'; expected one of: source, height"),
        (["stimulus", "moving_digits", "train", "--spec", '{"height": 3}'], "at least 8x8 px; got 3x16"),
        (["train", "--train", "{at}/none.h5", "--valid", "{at}/valid.h5"], "none.h5: expected a file of stage stimulus, found no such file"),
        (["train", "--train", "{at}/probe.h5", "--valid", "{at}/valid.h5"], r"expected frames \(trial, time, y, x\); found \(flow"),
        (["train", "--train", "{at}/half.h5", "--valid", "{at}/valid.h5"], "half.h5: expected a whole HDF5 file"),
        (["train", "--spec", '{"train": {"horizon": 0}, "network": {"model": "fernn"}}', "--train", "{at}/train.h5", "--valid", "{at}/valid.h5"], "--spec: train.horizon: input should be greater than or equal to 1; got 0"),
        (["train", "--spec", '{"train": {"horizon": 9}, "network": {"model": "fernn"}}', "--train", "{at}/train.h5", "--valid", "{at}/valid.h5"], "at least 15 frames .*; it has 6"),
        (["train", "--spec", '{"network": {"model": "lstm2"}, "train": {"context": 3, "horizon": 3}}', "--train", "{at}/train.h5", "--valid", "{at}/valid.h5"], "unknown network model 'lstm2'"),
        (["train", "--spec", '{"network": {}, "train": {"context": 3, "horizon": 3}}', "--train", "{at}/train.h5", "--valid", "{at}/valid.h5"], "--spec: network: 'model' must name one of"),
        (["train", "--spec", '{"train": {"context": 3, "horizon": 3}, "network": {"model": "fernn"}}', "--train", "{at}/train.h5", "--valid", "{at}/valid.h5", "--device", "tpu"], "device 'tpu' is not on this machine"),
        (["record", "--model", "{at}/half.pt", "--stimulus", "{at}/probe.h5"], "half.pt: expected weights, but it cannot be read"),
        (["record", "--model", "{at}/a.pt", "--stimulus", "{at}/rec.h5"], "expected a file of stage stimulus; this one is of stage recording"),
        (["record", "--model", "{at}/a.pt", "--stimulus", "{at}/probe.h5", "--spec", '{"every": 0}'], "record: every: input should be greater"),
        (["analyse", "equivariance_error", "--recording", "{at}/half.rec.h5"], "half.rec.h5: expected a whole HDF5 file"),
        (["analyse", "equivariance", "--recording", "{at}/rec.h5"], "unknown analysis 'equivariance'"),
        (["analyse", "velocity_generalisation", "--recording", "{at}/rec.h5"], "rec.h5: expected split sweep, for the analysis velocity_generalisation; the file is of split probe"),
        (["figure", "equivariance_error", "--results", "{at}/rec.h5"], "expected a file of stage analysis; this one is of stage recording"),
        (["figure", "stabilised_maps", "--results", "{at}/err.h5"], "err.h5: expected results of stabilised_maps; these are of equivariance_error"),
        (["train", "--spec", '{"tarin": {}}', "--train", "{at}/train.h5", "--valid", "{at}/valid.h5"], "--spec: unknown key 'tarin'; expected one of: network, name, train"),
        (["train", "--spec", '{"network": "fernn"}', "--train", "{at}/train.h5", "--valid", "{at}/valid.h5"], "--spec: network: input should be"),
        (["record", "--model", "{at}/a.ckpt", "--stimulus", "{at}/probe.h5"], "a.ckpt: expected weights; this is a file of checkpoint"),
        (["record", "--model", "{at}/a.pt", "--stimulus", "{at}/flipped.h5"], "flipped.h5: expected a whole HDF5 file"),
        (["report", "{at}/none.yaml", "--results", "{at}"], "none.yaml: expected an experiment file"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(folder, tmp_path, capsys, arguments, message):
    truncated(folder / "train.h5", folder / "half.h5")
    truncated(folder / "rec.h5", folder / "half.rec.h5")
    truncated(folder / "a.pt", folder / "half.pt")
    flipped(folder / "probe.h5", folder / "flipped.h5")
    arguments = [a.replace("{at}", str(folder)) for a in arguments]
    try:
        assert run(*arguments, "--into", tmp_path / "out.svg") == 2
        lines = capsys.readouterr().err.strip().splitlines()
        problems = [line for line in lines if "error:" in line]
        assert len(problems) == 1
        assert lines[-1] == problems[0]
        assert re.search(message, problems[0]), problems[0]
        assert not [*tmp_path.iterdir()]
    finally:
        for damaged in (*folder.glob("half*"), folder / "flipped.h5"):
            damaged.unlink()


def test_usage_errors_are_one_line(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["stimulus", "moving_digits", "holdout", "--into", "x"])
    assert stopped.value.code == 2
    assert "invalid choice: 'holdout'" in capsys.readouterr().err


@pytest.mark.parametrize("verb", verbs())
def test_a_verb_has_what_the_parser_needs(verb, capsys):
    """Its help says what it reads and writes."""
    module = verbs()[verb]
    assert callable(module.run)
    assert callable(module.add_arguments)
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    text = capsys.readouterr().out
    assert "Reads" in text
    assert "rites" in text


def test_every_verb_is_in_the_help(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    words = capsys.readouterr().out.split()
    assert set(verbs()) <= set(words)
    assert {"stimulus", "train", "record", "analyse", "figure", "report"} <= set(verbs())
    assert "parser" not in verbs()


def test_the_parser_is_fast():
    """Whatever is slow to import is imported when a verb runs."""
    code = "import sys; from flowsim.commands.parser import build_parser; build_parser(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    slow = {"torch", "xarray", "numpy", "matplotlib", "pandas", "pydantic", "h5py", "dask", "tqdm", "yaml"}
    assert not slow & set(done.stdout.split())


def test_commands_repeat_themselves_unless_their_output_is_read(tmp_path, capsys):
    arguments = [
        "stimulus",
        "moving_digits",
        "train",
        "--spec",
        '{"height": 3}',
        "--into",
        str(tmp_path / "a.h5"),
    ]
    assert main(arguments) == 2
    echo = "$ python -m flowsim stimulus moving_digits train --spec '{\"height\": 3}' --into "
    assert capsys.readouterr().err.startswith(echo)
    assert main(["inspect", str(tmp_path / "none.h5")]) == 2
    assert "$" not in capsys.readouterr().err


def test_an_interrupted_command_says_how_to_continue(monkeypatch, capsys):
    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(verbs()["models"], "run", interrupted)
    assert main(["models"]) == 130
    assert capsys.readouterr().err == "flowsim models: interrupted; run the same command to continue\n"


def test_a_users_own_folder_adds_ideas(tmp_path):
    """`stimuli/` and `analysis/` in the working directory extend flowsim, for the module and the console
    script.
    """
    (tmp_path / "stimuli").mkdir()
    (tmp_path / "stimuli" / "my_stars.py").write_text(
        "def generate(split, rng, *, trials: int = 1):\n    raise KeyError\n"
    )
    script = Path(sys.executable).parent / "flowsim"
    for command in ([sys.executable, "-m", "flowsim"], [str(script)]):
        arguments = [*command, "stimulus", "no_stars", "train", "--into", "x.h5"]
        done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "my_stars" in done.stderr


def test_a_folder_of_data_has_a_name(capsys):
    assert main(["validate", "none.yaml", "--data", " "]) == 2
    assert "--data: expected the folder of MNIST or KTH; got an empty text" in capsys.readouterr().err


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch, capsys):
    """Where no shell has replaced it, as behind an equals sign."""
    monkeypatch.setenv("HOME", str(tmp_path))
    spec = '{"trials": 1, "frames": 2}'
    assert main(["stimulus", "moving_digits", "test", "--spec", spec, "--into=~/a.h5"]) == 0
    assert (tmp_path / "a.h5").is_file()
    assert main(["inspect", "~/a.h5"]) == 0
    assert "moving_digits" in capsys.readouterr().out


def test_the_command_alone_says_what_to_do_next(capsys):
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    for line in lines:
        *_, verb = line.split("  ")[0].split()[:2]
        assert verb in verbs() or verb == "--help"


def test_the_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"flowsim {__version__}\n"


@pytest.mark.parametrize(("line", "expected"), [("flowsim do", "doctor"), ("flowsim run --cor", "--cores")])
def test_the_shell_completes(line, expected, tmp_path):
    """As a shell asks argcomplete: by variables, and an answer in a file."""
    answer = tmp_path / "answer"
    pytest.importorskip("argcomplete")
    asked = {
        "_ARGCOMPLETE": "1",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
    }
    subprocess.run([sys.executable, "-m", "flowsim"], env={**os.environ, **asked}, check=True)
    assert expected in answer.read_text()


LONG = "a" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ("stimulus", "moving_digits", "test", "--into", LONG),
        ("stimulus", "moving_kth", "test", "--spec", f'{{"folder": "{LONG}"}}', "--into", "b.h5"),
        (
            "stimulus",
            "moving_digits",
            "test",
            "--data",
            LONG,
            "--spec",
            '{"source": "mnist"}',
            "--into",
            "b.h5",
        ),
        ("train", "--train", LONG, "--valid", "b.h5", "--into", "b.pt"),
        ("record", "--model", LONG, "--stimulus", "b.h5", "--into", "c.h5"),
        ("analyse", "equivariance_error", "--recording", LONG, "--into", "b.h5"),
        ("figure", "equivariance_error", "--results", LONG, "--into", "b.svg"),
        ("export", LONG, "--as", "numpy", "--into", "b.npz"),
        ("inspect", LONG),
        ("plan", LONG),
        ("validate", LONG),
        ("run", LONG),
        ("report", LONG, "--results", ".", "--into", "b.html"),
        ("preview", "moving_digits", "--into", f"{LONG}.png"),
        ("schema", "--into", LONG),
        ("new", "stimulus", LONG),
    ],
    ids=lambda arguments: " ".join(arguments).replace(LONG, "LONG")[:40],
)
def test_names_that_no_file_can_have(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLOWSIM_DATA", "")  # --data sets it, and must not for the tests that follow
    assert run(*arguments) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("$ ")]
    assert len(error) == 1
    assert error[0].startswith(f"flowsim {arguments[0]}: error: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["", ".", "/", "a.h5/b"])
@pytest.mark.parametrize(
    "verb",
    [
        ("schema",),
        ("stimulus", "moving_digits", "test"),
        ("train", "--train", "a.h5", "--valid", "a.h5"),
        ("report", "e.yaml", "--results", "."),
    ],
)
def test_places_where_no_file_can_be(verb, place, tmp_path, monkeypatch, capsys):
    """Folders, and what would lie in a file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.h5").write_text("")
    (tmp_path / "e.yaml").write_text(EXPERIMENT)
    assert run(*verb, "--into", place) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("$ ")]
    assert len(error) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"a.h5", "e.yaml"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect", "round"),
        ("figure", "equivariance_error", "--results", "round", "--into", "b.svg"),
        ("export", "round", "--as", "numpy", "--into", "b.npz"),
        ("report", "round", "--results", ".", "--into", "b.html"),
        ("train", "--train", "round", "--valid", "b.h5", "--into", "b.pt"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_link_to_itself_is_no_file(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "round").symlink_to("round")
    assert run(*arguments) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("$ ")]
    assert len(error) == 1
    assert "round: expected" in error[0]
