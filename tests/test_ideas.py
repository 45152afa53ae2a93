"""Ideas are found by the names of their files, and folders of the user's add to ours."""

import json
import sys
from pathlib import Path

import pytest

from flowsim import InputError, build, ideas
from flowsim.__main__ import main
from flowsim.ideas import KINDS

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
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def test_a_folder_of_models_adds_to_ours(working_directory):
    write(Path("models/ideas_test_a.py"), NETWORK)
    assert {"ideas_test_a", "fernn"} <= set(ideas.names("flowsim.models"))
    assert build("ideas_test_a", (6, 7), channels=3).top(build("ideas_test_a", (6, 7)).start(2)).shape[0] == 2
    with pytest.raises(
        InputError, match="network ideas_test_a: unknown key 'speed'; expected one of: channels"
    ):
        build("ideas_test_a", (6, 7), speed=3)
    sys.path.remove(str(working_directory))
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


def test_two_networks_of_one_name_are_refused(working_directory):
    write(Path("models/fernn.py"), NETWORK)
    message = (
        r"expected one network model called 'fernn'; got .*flowsim.models.fernn\.py and .*fernn\.py\. Rename"
    )
    with pytest.raises(InputError, match=message):
        build("fernn", (6, 7))


def test_a_package_called_models_is_somebody_elses(working_directory):
    write(Path("models/__init__.py"), "")
    write(Path("models/ideas_test_c.py"), NETWORK)
    assert "ideas_test_c" not in ideas.names("flowsim.models")


@pytest.mark.parametrize("package", KINDS)
def test_every_idea_is_found_by_its_name(package):
    known = ideas.names(package)
    assert known == sorted(known)
    assert ideas.load(package, known[0]).__name__ == f"{package}.{known[0]}"


def test_a_folder_of_analyses_adds_to_ours(working_directory):
    write(Path("analysis/mine_for_ideas.py"), "READS = 'probe'")
    assert "mine_for_ideas" in ideas.names("analysis")
    assert ideas.load("analysis", "mine_for_ideas").READS == "probe"


@pytest.mark.parametrize(("package", "kind"), KINDS.items())
def test_an_unknown_name(package, kind):
    with pytest.raises(
        InputError, match=f"unknown {kind} 'nothing'; expected one of: {ideas.names(package)[0]}"
    ):
        ideas.load(package, "nothing")
