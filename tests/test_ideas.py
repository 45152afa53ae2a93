"""Ideas are found by the names of their files, and folders of the user's add to ours."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from flowsim import InputError, build, ideas
from flowsim.__main__ import main
from flowsim.files.code_hash import code_hash, own_sources
from flowsim.ideas import KINDS

ROOT = Path(__file__).resolve().parents[1]

NETWORK = '''"""A G-RNN under another name."""

from flowsim.models import fernn


def build(frame_shape: tuple[int, int], *, channels: int = 4) -> fernn.FERNN:
    return fernn.build(frame_shape, max_speed=0, channels=channels, decoder_layers=1)
'''
EXPERIMENT = """
title: Of a user's own
stimulus:
  family: moving_digits
  all: {height: 9, width: 8, trials: 2, frames: 6}
networks:
  theirs: {model: NAME, channels: 2}
seeds: 1
train: {context: 3, horizon: 3, sequences: 4, batch: 2, validate_every: 4}
record:
  probe: {}
analyse:
  equivariance_error: {}
"""


@pytest.fixture
def working_directory(tmp_path, monkeypatch):
    """An empty working directory, as Python and the command line find it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_folder_of_models_adds_to_ours(working_directory):
    write(Path("models/ideas_test_a.py"), NETWORK)
    assert {"ideas_test_a", "fernn"} <= set(ideas.names("flowsim.models"))
    assert build("ideas_test_a", (6, 7), channels=3).top(build("ideas_test_a", (6, 7)).start(2)).shape[0] == 2
    with pytest.raises(
        InputError, match="network ideas_test_a: unknown key 'speed'; expected one of: channels"
    ):
        build("ideas_test_a", (6, 7), speed=3)
    os.chdir(Path(__file__).parent)
    assert "ideas_test_a" not in ideas.names("flowsim.models")


def test_a_network_of_the_users_goes_through_the_plan(working_directory, capsys):
    """And an edit of its file is an edit of the code that its training depends on."""
    write(Path("models/ideas_test_b.py"), NETWORK)
    write(Path("experiments/theirs.yaml"), EXPERIMENT.replace("NAME", "ideas_test_b"))
    codes = []
    for speed in (0, 1, 1):
        write(Path("models/ideas_test_b.py"), NETWORK.replace("max_speed=0", f"max_speed={speed}"))
        assert main(["plan", "experiments/theirs.yaml"]) == 0
        codes.append(json.loads(capsys.readouterr().out)["runs"]["theirs-seed0"]["code"])
    assert codes[0] != codes[1] == codes[2]


@pytest.mark.parametrize(
    ("folder", "package", "name"),
    [
        ("models", "flowsim.models", "fernn"),
        ("stimuli", "stimuli", "moving_digits"),
        ("analysis", "analysis", "stability"),
    ],
)
def test_two_ideas_of_one_name_are_refused(working_directory, folder, package, name):
    """Unless they are the same file, as in a checkout beside an installed flowsim."""
    write(Path(f"{folder}/{name}.py"), NETWORK)
    message = rf"expected one .* called '{name}'; got .*{name}\.py and {folder}/{name}\.py\. Rename one"
    with pytest.raises(InputError, match=message):
        ideas.load(package, name)
    ours, _ = ideas.folders(package)
    write(Path(f"{folder}/{name}.py"), (ours / f"{name}.py").read_text())
    assert Path(ideas.load(package, name).__file__) == ours / f"{name}.py"


ANALYSIS = '''"""What is asked."""

READS = "probe"


def analyse(recording):
    return recording


def figure(results):
    return None
'''
STIMULUS = "def generate(split, rng):\n    return None\n"
OWN = {"models": NETWORK, "stimuli": STIMULUS, "analysis": ANALYSIS}
PACKAGE = {folder: package for package, folder in ideas.FOLDERS.items()}


@pytest.mark.parametrize("folder", OWN)
def test_an_init_hides_nothing(working_directory, folder):
    write(Path(f"{folder}/__init__.py"), "raise RuntimeError('not to be imported')")
    write(Path(f"{folder}/ideas_test_c.py"), OWN[folder])
    assert "ideas_test_c" in ideas.own(PACKAGE[folder])
    assert (
        Path(ideas.load(PACKAGE[folder], "ideas_test_c").__file__)
        == working_directory / folder / "ideas_test_c.py"
    )
    known = ideas.names(PACKAGE[folder])
    assert len(known) > 10
    assert ideas.load(PACKAGE[folder], known[0])


def test_packages_of_the_lab_hide_nothing_and_are_not_hidden(tmp_path):
    """Not even where a package ``analysis`` is installed, and a csv.py lies in the working directory."""
    lab, here = tmp_path / "site", tmp_path / "here"
    write(lab / "analysis" / "__init__.py", "")
    write(lab / "analysis" / "preprocess.py", "SCALE = 2")
    write(here / "csv.py", "raise RuntimeError('not the standard library')")
    write(here / "analysis" / "own_one.py", f"from analysis.preprocess import SCALE\n{ANALYSIS}")
    write(here / "stimuli" / "__init__.py", "")
    code = (
        "import sys; from flowsim.__main__ import main; from flowsim import ideas\n"
        "assert ideas.load('analysis', 'own_one').SCALE == 2\n"
        "assert ideas.load('analysis', 'stability').QUESTION\n"
        "assert ideas.load('stimuli', 'drifting_gratings').generate"
    )
    paths = os.pathsep.join((str(lab), str(ROOT)))
    env = {**os.environ, "PYTHONPATH": paths}
    for command in (["-P", "-c", code], ["-m", "flowsim", "analyses"]):
        done = subprocess.run([sys.executable, *command], cwd=here, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert "own_one" in done.stdout
    assert "preprocess" not in done.stdout


def test_ideas_of_another_directory_are_forgotten(working_directory, tmp_path_factory, monkeypatch):
    write(Path("analysis/ideas_test_d.py"), ANALYSIS)
    assert ideas.load("analysis", "ideas_test_d").QUESTION == "What is asked."
    monkeypatch.chdir(tmp_path_factory.mktemp("other"))
    assert "ideas_test_d" not in ideas.names("analysis")
    write(Path("analysis/ideas_test_d.py"), ANALYSIS.replace("What is asked.", "Something else?"))
    assert ideas.load("analysis", "ideas_test_d").QUESTION == "Something else?"


def test_files_that_several_ideas_share(working_directory):
    """Are no ideas, and can be imported from the folder and from the working directory."""
    write(Path("ideas_test_lab.py"), "SIZE = 5")
    write(Path("stimuli/ideas_test_shared.py"), "from ideas_test_lab import SIZE")
    write(Path("stimuli/ideas_test_e.py"), f"from stimuli.ideas_test_shared import SIZE\n{STIMULUS}")
    write(Path("stimuli/ideas_test_f.py"), f"from .ideas_test_shared import SIZE\n{STIMULUS}")
    assert ideas.own("stimuli") == ["ideas_test_e", "ideas_test_f"]
    assert ideas.load("stimuli", "ideas_test_e").SIZE == ideas.load("stimuli", "ideas_test_f").SIZE == 5
    files = [working_directory / "ideas_test_lab.py", working_directory / "stimuli/ideas_test_shared.py"]
    for name in ("ideas_test_e", "ideas_test_f"):
        assert own_sources(f"stimuli.{name}") == sorted([*files, working_directory / f"stimuli/{name}.py"])
    before = code_hash("stimuli.ideas_test_e")
    write(Path("ideas_test_lab.py"), "SIZE = 6")
    assert code_hash("stimuli.ideas_test_e") != before
    assert own_sources("stimuli.moving_digits") == []


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("analysis", "x = 1", r"expected a function analyse\(recording, ...\); there is none. Add it"),
        (
            "models",
            "def build(shape): ...",
            r"expected a function build\(frame_shape, ...\); got build\(shape\)",
        ),
        (
            "stimuli",
            "def generate(rng, split): ...",
            r"expected a function generate\(split, rng, ...\); got generate\(rng, split\). Rename its",
        ),
        ("stimuli", "def generate(split, rng:\n  x", "line 1: SyntaxError: "),
        ("stimuli", "import no_such_module_here", "line 1: ModuleNotFoundError: No module named 'no_such_m"),
        ("models", "\n\nx = 1 / 0", "line 3: ZeroDivisionError: division by zero"),
        (
            "analysis",
            ANALYSIS.replace("READS", "READ"),
            "expected READS to name a recording, one of test, sweep, probe, control; there is none",
        ),
        ("analysis", ANALYSIS.replace('"probe"', '"valid"'), "expected READS to .*; got 'valid'"),
        (
            "analysis",
            ANALYSIS.replace("figure", "figures"),
            r"expected a function figure\(results\) that returns",
        ),
        ("analysis", f"{ANALYSIS}\nQUESTION = 3", "expected QUESTION to be text; got 3"),
    ],
)
def test_what_an_idea_lacks_is_said_in_a_line_that_names_its_file(working_directory, file, text, message):
    write(Path(f"{file}/ideas_test_g.py"), text)
    with pytest.raises(InputError, match=rf"^{file}/ideas_test_g\.py(: |, ){message}") as error:
        ideas.load(PACKAGE[file], "ideas_test_g")
    assert "\n" not in str(error.value)


def test_what_an_analysis_may_leave_out(working_directory):
    write(Path("analysis/ideas_test_h.py"), ANALYSIS)
    module = ideas.load("analysis", "ideas_test_h")
    assert (module.QUESTION, module.READING, module.answers(None)) == ("What is asked.", "", {})


@pytest.mark.parametrize("package", KINDS)
def test_every_idea_is_found_by_its_name(package):
    known = ideas.names(package)
    assert known == sorted(known)
    assert ideas.load(package, known[0]).__name__ == f"{package}.{known[0]}"


def test_a_folder_of_analyses_adds_to_ours(working_directory):
    write(Path("analysis/mine_for_ideas.py"), ANALYSIS)
    assert "mine_for_ideas" in ideas.names("analysis")
    assert ideas.load("analysis", "mine_for_ideas").READS == "probe"


@pytest.mark.parametrize("name", ["nothing", "a" * 300, "a\0b", "../a"])
@pytest.mark.parametrize(("package", "kind"), KINDS.items())
def test_an_unknown_name(package, kind, name):
    message = f"unknown {kind} {name!r}; expected one of: {ideas.names(package)[0]}"
    with pytest.raises(InputError, match=re.escape(message)):
        ideas.load(package, name)


def test_an_unknown_idea_says_what_is_alike_and_where_ones_own_are_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        InputError, match=r"\(yours are looked for in analysis/ of .*\. Did you mean stability\?$"
    ):
        ideas.load("analysis", "stabilityy")
    with pytest.raises(InputError, match=r"in stimuli/ of the working directory\)$"):
        ideas.load("stimuli", "xyz")
