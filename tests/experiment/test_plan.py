"""An experiment as jobs: each has its own slice of the specification and the hash of its code."""

import json
from pathlib import Path

import pytest
import yaml

from flowsim.experiment.plan import jobs
from flowsim.files.code_hash import code_hash

EXPERIMENTS = sorted(Path("experiments").glob("*.yaml"))
DATA = Path(__file__).parents[3] / "shared" / "data"
LIKE_ANOTHER = (
    "flowing_mnist_velocity",
    "flowing_mnist_small",
    "flowing_mnist_velocity_small",
    "flowing_mnist",
    "flowing_mnist_controls",
    "rotating_mnist",
    "rotating_mnist_velocity",
    "moving_actions",
)
"""Experiments that differ from another in numbers or a stimulus, or have 36 orientations: checked with the
long tests."""


@pytest.mark.parametrize(
    "file",
    [pytest.param(f, id=f.stem, marks=[pytest.mark.slow] * (f.stem in LIKE_ANOTHER)) for f in EXPERIMENTS],
)
def test_shipped_experiments_are_valid(file, monkeypatch, request):
    content = file.read_text()
    if "source: mnist" in content:
        if not (DATA / "mnist").is_dir():
            pytest.skip("MNIST is not in ../shared/data")
        monkeypatch.setenv("FLOWSIM_DATA", str(DATA))
    if "family: moving_kth" in content:
        folder = request.getfixturevalue("kth_folder")
        monkeypatch.setenv("FLOWSIM_DATA", str(folder))
        monkeypatch.setenv("FLOWSIM_CACHE", str(folder.parent / "cache"))
    if "source: mnist" in content or "family: moving_kth" in content:
        assert not yaml.safe_load(content)["in_all"]
    assert jobs(file)["runs"]


def test_plan(written):
    plan = jobs(written())
    assert list(plan["runs"]) == ["fernn-seed0", "fernn-seed1", "grnn-seed0", "grnn-seed1"]
    assert list(plan["stimuli"]) == ["train", "valid", "test", "probe"]
    assert plan["analyses"]["equivariance_error"]["reads"] == "probe"


def test_a_network_may_have_a_training_of_its_own(written):
    own = {"model": "fernn", "train": {"learning_rate": 0.25, "budget": {"minutes": 2}}}
    plan = jobs(written("networks.grnn", own))
    common, changed = (json.loads(plan["runs"][run]["spec"]) for run in ("fernn-seed0", "grnn-seed0"))
    assert "train" not in changed["network"]
    assert changed["train"]["learning_rate"] == 0.25
    assert changed["train"]["budget"] == {"sequences": None, "minutes": 2}
    same = {k: v for k, v in common["train"].items() if k not in ("learning_rate", "budget")}
    assert same.items() <= changed["train"].items()


def test_a_stream_makes_its_stimulus_part_of_the_training(written):
    """Its code is in the hash of the run, so that a change of it trains again."""
    plain = jobs(written())["runs"]["grnn-seed0"]
    streamed = jobs(written("train", {"context": 3, "horizon": 3, "stream": True}))["runs"]["grnn-seed0"]
    assert plain["code"] != streamed["code"]


def test_figures_are_drawn_again_without_analysing_again(written, monkeypatch):
    """The code of figures is in the hash of the figure, not in that of the analysis."""
    left_out = []

    def noted(*modules, without=()):
        left_out.append((modules, without))
        return code_hash(*modules, without=without)

    monkeypatch.setattr("flowsim.experiment.plan.code_hash", noted)
    planned = jobs(written())["analyses"]["equivariance_error"]
    assert (("analysis.equivariance_error",), ["flowsim.figures"]) in left_out
    assert planned["code"] != planned["figure_code"]


def test_controls_are_made_again_when_their_conditions_change(written, monkeypatch):
    """And no other stimulus."""

    def noted(*modules, without=()):
        return " ".join(modules)

    monkeypatch.setattr("flowsim.experiment.plan.code_hash", noted)
    plan = jobs(written("record.control", {"sites": ["prediction"]}))["stimuli"]
    assert [s for s, job in plan.items() if "flowsim.scenes.control" in job["code"]] == ["control"]
