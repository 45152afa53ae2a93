"""Skeletons work as they are written: their own tests pass, and an experiment with all of them is valid."""

import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from flowsim import InputError
from flowsim.__main__ import main
from flowsim.experiment.json_schema import experiment_schema
from flowsim.skeletons.write import KINDS, write

ROOT = Path(__file__).resolve().parents[2]
ORDER = ("stimulus", "network", "analysis", "experiment")
FILES = {
    "stimulus": "stimuli/my_stimulus.py",
    "network": "models/my_network.py",
    "analysis": "analysis/my_analysis.py",
    "experiment": "experiments/my_experiment.yaml",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A working directory in which one of each kind was begun."""
    folder = tmp_path_factory.mktemp("written")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for kind in ORDER:
            assert main(["new", kind, f"my_{kind}"]) == 0
    return folder


def test_every_kind_has_its_file_and_its_test(written):
    assert set(ORDER) == set(KINDS)
    made = {
        str(path.relative_to(written))
        for path in written.rglob("*")
        if path.suffix in (".py", ".yaml", ".json")
    }
    tests = {f"tests/test_{kind}_my_{kind}.py" for kind in KINDS}
    assert made == {*FILES.values(), *tests, "experiments/experiment.schema.json"}


@pytest.mark.slow
def test_the_tests_of_the_skeletons_pass(written):
    """All four, as a user runs them; that of the experiment takes all four through the check of a plan."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=written, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "13 passed" in done.stdout


def test_an_experiment_uses_what_is_there(written, monkeypatch):
    monkeypatch.chdir(written)
    text = Path(FILES["experiment"]).read_text()
    content = yaml.safe_load(text)
    assert content["stimulus"]["family"] == "my_stimulus"
    assert content["networks"]["my_network"] == {"model": "my_network"}
    assert "my_analysis" in content["analyse"]
    assert text.startswith("# yaml-language-server: $schema=experiment.schema.json\n")
    jsonschema.validate(content, experiment_schema())


@pytest.mark.slow
def test_an_experiment_in_an_empty_folder_uses_what_we_have(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "experiment", "first"]) == 0
    assert main(["validate", "experiments/first.yaml"]) == 0
    assert "family: moving_digits" in Path("experiments/first.yaml").read_text()


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        (
            "stimulus",
            "my stimulus",
            "expected a name of at most 100 letters, digits and '_'.*; got 'my stimulus'",
        ),
        ("network", "class", "no word of Python; got 'class'"),
        ("analysis", "../up", "got '../up'"),
        ("network", "fernn", "expected a name that is new; there is a network 'fernn'"),
        (
            "experiment",
            "my_experiment",
            "experiments/my_experiment.yaml is there already, and is left as it is",
        ),
    ],
)
def test_names_that_are_taken_or_impossible(written, monkeypatch, kind, name, message):
    monkeypatch.chdir(written)
    before = {path: path.read_bytes() for path in written.rglob("*.*") if path.is_file()}
    with pytest.raises(InputError, match=message):
        write(kind, name)
    assert before == {path: path.read_bytes() for path in written.rglob("*.*") if path.is_file()}
