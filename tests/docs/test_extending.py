"""The templates of docs/extending.md run as they stand, in a working directory of a user's own."""

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from flowsim import build, ideas, open_recording
from flowsim.__main__ import main
from tests.docs import blocks

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text()
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
CHAIN = ("A stimulus", "A network", "An analysis", "All three in an experiment")


def files(section):
    """Every file that a section shows, by its path."""
    return {block.path: block.text for block in blocks.blocks(SECTIONS[section]) if block.path}


def commands(section):
    """The arguments of every command that a section shows."""
    shown = [block.text for block in blocks.blocks(SECTIONS[section]) if block.language == "sh"]
    return [arguments for text in shown for arguments in blocks.commands(text)]


def write(folder, section):
    for name, text in files(section).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def run(section):
    assert [main(arguments) for arguments in commands(section)] == [0] * len(commands(section))


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    """A directory with the files of the first sections, and nothing else."""
    folder = tmp_path_factory.mktemp("extending")
    for section in CHAIN:
        write(folder, section)
    return folder


@pytest.fixture(scope="module")
def used(templates):
    """The same, after the commands of these sections were run in it, in turn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(templates)
        for section in CHAIN:
            run(section)
    return templates


@pytest.fixture
def there(used, monkeypatch):
    monkeypatch.chdir(used)
    return used


def test_every_section_shows_a_file_and_how_it_is_used():
    assert len(SECTIONS) == 6
    for section in SECTIONS:
        assert len(files(section)) == 1, section
        assert commands(section), section


@pytest.mark.parametrize(
    ("section", "kind"), [("A stimulus", "stimulus"), ("A network", "network"), ("An analysis", "analysis")]
)
def test_a_template_is_what_flowsim_new_writes(section, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ((name, text),) = files(section).items()
    assert main(["new", kind, Path(name).stem]) == 0
    assert Path(name).read_text() == text


def test_the_stimulus_moves_as_it_says(there):
    generate = ideas.load("stimuli", "drifting_blob").generate
    made = generate("test", np.random.default_rng(0), trials=5, frames=4)
    first, second = made.frames.values[:, 0], made.frames.values[:, 1]
    for trial, (vy, vx) in enumerate(
        zip(made.velocity_vy.values[:, 0], made.velocity_vx.values[:, 0], strict=True)
    ):
        np.testing.assert_allclose(np.roll(first[trial], (vy, vx), (0, 1)), second[trial], atol=1e-6)
    with h5py.File("probe.h5") as probe:
        assert probe["frames"].shape == (9, 4, 12, 16, 16)
    assert Path("look.png").stat().st_size > 1000


def test_the_network_is_trained_and_recorded(there):
    assert "leaky" in ideas.names("flowsim.models")
    assert build("leaky", (6, 7), channels=2, leak=0.1).leak == 0.1
    recording = open_recording("leaky.h5")
    assert recording.attrs["network"] == "leaky"
    assert recording.state.shape == (9, 4, 12, 1, 8, 16, 16)
    assert float(recording.state.max()) > 0


def test_the_analysis_is_the_mean(there):
    recording = open_recording("leaky.h5")
    with h5py.File("activity.h5") as results:
        expected = (recording.state.astype("float64") ** 2).mean(
            ["flow", "trial", "velocity", "channel", "y", "x"]
        )
        np.testing.assert_allclose(results["activity"][:], expected)
    assert Path("activity.svg").stat().st_size > 1000
    assert set(pd.read_csv("activity.csv").variable) == {"activity", "mean activity"}


def test_the_experiment_names_all_three(there, capsys):
    assert main(["plan", "experiments/blobs.yaml"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["stimuli"]["train"]["family"] == "drifting_blob"
    assert set(plan["runs"]) == {"leaky-seed0", "grnn-seed0"}
    assert set(plan["analyses"]) == {"mean_activity"}


def added(section, folder, monkeypatch):
    """Put the file of a section into its package, as if it lay there."""
    ((name, _),) = files(section).items()
    write(folder, section)
    package = import_module(".".join(Path(name).parent.parts))
    monkeypatch.setattr(package, "__path__", [*package.__path__, str((folder / name).parent)])


def test_the_export_holds_the_values(there, tmp_path, monkeypatch):
    added("An export", tmp_path, monkeypatch)
    run("An export")
    table = pd.read_csv("prediction.csv")
    expected = open_recording("leaky.h5").prediction.values
    np.testing.assert_allclose(table["value"].values.reshape(expected.shape), expected, rtol=1e-6)


def test_the_verb_prints(there, tmp_path, monkeypatch, capsys):
    added("A verb", tmp_path, monkeypatch)
    run("A verb")
    assert "trial: 4\n" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tests", "name"),
    [
        ("stimuli/test_stimuli.py", "drifting_blob"),
        ("models/test_networks.py", "leaky"),
        ("analysis/test_analyses.py", "mean_activity or drifting_blob"),
    ],
)
def test_templates_keep_the_contracts(templates, tests, name):
    """As they would be held to them in a checkout."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]
    command += ["-c", str(ROOT / "pyproject.toml"), str(ROOT / "tests" / tests), "-k", name]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=templates, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
