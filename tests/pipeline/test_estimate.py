"""How long and how large an experiment will be."""

import json
from types import SimpleNamespace

import pytest

from flowsim.experiment.read import read
from flowsim.pipeline import estimate
from flowsim.pipeline.estimate import Cost, arithmetic, cost_in_words, duration, seconds_before
from flowsim.recording.settings import RecordBlock
from tests.known.small_project import ALL, EXPERIMENT


@pytest.fixture
def experiment(tmp_path):
    def make(*changes):
        text = EXPERIMENT
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "tiny.yaml"
        path.write_text(text)
        return read(path)

    return make


def test_every_job_has_a_cost(experiment):
    counts = {}
    for name in arithmetic(experiment()):
        counts[name.split()[0]] = counts.get(name.split()[0], 0) + 1
    assert counts == ALL


def test_more_work_costs_more(experiment):
    few = arithmetic(experiment())
    many = arithmetic(experiment(("sequences: 64", "sequences: 64000"), ("trials: 4}", "trials: 400}")))
    own = "train fernn-seed0"
    assert many[own].seconds - estimate.START == pytest.approx(1000 * (few[own].seconds - estimate.START))
    assert many["train grnn-seed0"].seconds == few["train grnn-seed0"].seconds  # its budget stays
    assert few["train fernn-seed0"].seconds > few["train grnn-seed0"].seconds
    for name in ("stimulus probe", "record fernn-seed0 probe"):
        assert many[name].bytes == pytest.approx(100 * few[name].bytes)


@pytest.fixture
def earlier(tmp_path):
    """A folder of results, in which one training has been done."""
    for folder in ("benchmarks", "logs"):
        (tmp_path / folder / "train").mkdir(parents=True)
    (tmp_path / "benchmarks/train/a-seed0.tsv").write_text("s\th:m:s\n12.5\t0:00:12\n")
    (tmp_path / "logs/train/a-seed0.log").write_text(
        '$ python -m flowsim train --spec \'{"name": "a b", "n": 1}\' --seed 0\n'
    )
    return tmp_path


def test_an_earlier_run_says_how_long(earlier):
    assert seconds_before("train a-seed0", json.dumps({"n": 1, "name": "a b"}), earlier) == 12.5


@pytest.mark.parametrize(
    "name",
    ["train a-seed0", "train a-seed1", "analyse x a-seed0"],
    ids=["other settings", "none", "no folder"],
)
def test_what_was_not_done_like_this_does_not(name, earlier):
    assert seconds_before(name, json.dumps({"n": 2, "name": "a b"}), earlier) is None


def test_a_broken_benchmark_says_nothing(earlier):
    (earlier / "benchmarks/train/a-seed0.tsv").write_text("s\n")
    assert seconds_before("train a-seed0", None, earlier) is None


def test_it_is_said_as_an_estimate():
    text = cost_in_words({"train a": Cost(100, measured=True), "report": Cost(20, bytes=3e9)})
    assert text.startswith("estimated at 2 min of one core (1 of 2 jobs as in earlier runs, the others by")
    assert "at most 3.0 GB" in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (90, "90 s"), (92, "2 min"), (5400, "90 min"), (5500, "1.5 h"), (4 * 86400, "4 days")],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_a_budget_of_minutes_is_the_most(experiment):
    few = experiment(("budget: {sequences: 32}", "budget: {minutes: 0.001}"))
    assert arithmetic(few)["train grnn-seed0"].seconds == pytest.approx(estimate.START + 0.06)


def test_work_is_in_proportion_to_frames():
    work = estimate.Work(flops=1e9, values=10)
    stimulus = SimpleNamespace(sizes={"trial": 2, "time": 5, "y": 4, "x": 4})
    cost = work.recording(stimulus, 10, RecordBlock(sites=["state"]))
    assert cost.bytes == 4 * 100 * (16 + 10)
    intervened = RecordBlock(sites=["state"], intervene={"a": {"zeros": True}})
    assert work.recording(stimulus, 10, intervened).bytes == 4 * 100 * (16 + 2 * 10)
    assert cost.seconds == pytest.approx(estimate.START + 100 * 1e9 / estimate.RATE, rel=1e-3)
    followed = RecordBlock(sites=["state", "prediction"], blank={"at": 2}, checkpoints=True)
    cost = work.recording(stimulus, 10, followed, moments=3)
    assert cost.bytes == 4 * 100 * (16 + 8 * (16 + 10))
    assert cost.seconds == pytest.approx(estimate.START + 800 * 1e9 / estimate.RATE, rel=1e-3)
