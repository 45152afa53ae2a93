"""What jobs cost before they run, and what they ask for."""

from types import SimpleNamespace

import pandas as pd
import pytest

from flowsim.experiment import costs as module
from flowsim.experiment.costs import RATE, START, Cost, Work, costs
from flowsim.experiment.read import read
from flowsim.network import build_from_settings
from flowsim.recording.settings import RecordBlock
from tests.known.small_project import ALL, EXPERIMENT, ROOT


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
    for name in costs(experiment()):
        counts[name.split()[0]] = counts.get(name.split()[0], 0) + 1
    assert counts == ALL


def test_more_work_costs_more(experiment):
    few = costs(experiment())
    many = costs(experiment(("sequences: 64", "sequences: 64000"), ("trials: 4}", "trials: 400}")))
    own = "train fernn-seed0"
    assert many[own].seconds - START == pytest.approx(1000 * (few[own].seconds - START))
    assert many["train grnn-seed0"].seconds == few["train grnn-seed0"].seconds  # its budget stays
    assert few["train fernn-seed0"].seconds > few["train grnn-seed0"].seconds
    for name in ("stimulus probe", "record fernn-seed0 probe"):
        assert many[name].bytes == pytest.approx(100 * few[name].bytes)


def test_a_budget_of_minutes_is_the_most(experiment):
    few = experiment(("budget: {sequences: 32}", "budget: {minutes: 0.001}"))
    assert costs(few)["train grnn-seed0"].seconds == pytest.approx(START + 0.06)


def test_what_is_asked_for_is_bounded(experiment):
    few = costs(experiment())
    assert {cost.runtime for cost in few.values()} == {module.LEAST_MINUTES}
    long = costs(
        experiment(
            ("sequences: 64,", "sequences: 10000000,"),
            ("channels: 3, decoder_layers: 1}\n", "channels: 200, decoder_layers: 1}\n"),
        )
    )
    assert long["train fernn-seed0"].runtime == module.MOST_MINUTES  # it goes on from its checkpoint
    assert Cost.of("train", seconds=3600).runtime == 301
    large = costs(experiment(("trials: 4}", "trials: 4000000}")))
    for job in ("record fernn-seed0 probe", "analyse equivariance_error fernn-seed0"):
        assert large[job].mem_mb == 1400  # they write, and read, in pieces


def test_memory_grows_with_what_a_training_holds(experiment):
    own = "train fernn-seed0"
    assert costs(experiment())[own].mem_mb == 700
    sequences = ("train: {frames: 6, trials: 16}", "train: {frames: 6, trials: 160000}")
    # 160,000 sequences of 6 frames of 8 x 9 pixels, 4 bytes each, are 276 MB; a training holds twice that.
    assert costs(experiment(sequences))[own].mem_mb == 1200
    batch = ("batch: 4,", "batch: 4000,")
    assert costs(experiment(batch))[own].mem_mb > 1000
    split = ("batch: 4000,", "batch: 4000, micro_batch: 4,")
    assert costs(experiment(batch, split))[own].mem_mb == 700


def test_what_is_counted_of_a_network(experiment):
    """Of an ordinary recurrent layer it can be counted by hand: three matrices, and what the gradient needs."""
    few = experiment(
        ("{model: fernn, max_speed: 1, channels: 3, decoder_layers: 1}", "{model: gru, units: 10}")
    )
    work = Work.of(few, "fernn", (8, 9))
    network = build_from_settings({"model": "gru", "units": 10}, (8, 9))
    assert work.values == 10
    assert work.parameters == sum(p.numel() for p in network.parameters())
    matrices = sum(p.numel() for p in network.parameters() if p.ndim == 2)
    assert work.flops == pytest.approx(2 * matrices, rel=0.05)
    assert 4 * 72 < work.kept < 40 * 72


def test_work_is_in_proportion_to_frames():
    work = Work(flops=1e9, kept=0, values=10, parameters=1)
    stimulus = SimpleNamespace(shown=100, pixels=16)
    cost = work.recording(stimulus, RecordBlock(sites=["state"]))
    assert cost.bytes == 4 * 100 * (16 + 10)
    intervened = RecordBlock(sites=["state"], intervene={"a": {"zeros": True}})
    assert work.recording(stimulus, intervened).bytes == 4 * 100 * (16 + 2 * 10)
    assert cost.seconds == pytest.approx(START + 100 * 1e9 / RATE, rel=1e-3)
    followed = RecordBlock(sites=["state", "prediction"], blank={"at": 2}, checkpoints=True)
    cost = work.recording(stimulus, followed, moments=3)
    assert cost.bytes == 4 * 100 * (16 + 8 * (16 + 10))
    assert cost.seconds == pytest.approx(START + 800 * 1e9 / RATE, rel=1e-3)


def test_no_job_of_an_experiment_took_more_than_it_asks_for():
    """Measured (results/reference/resources_cpu.csv), beside what the experiments ask for now."""
    table = pd.read_csv(ROOT / "results/reference/resources_cpu.csv")
    for name, rows in table.groupby("experiment"):
        now = costs(read(ROOT / "experiments" / f"{name}.yaml"))
        assert {"stimulus", "train", "record", "analyse", "figure"} == set(rows.rule)
        for row in rows.itertuples():
            asked = [cost for job, cost in now.items() if job.split()[0] == row.rule]
            assert len(asked) == row.jobs
            assert row.mb_asked in {cost.mem_mb for cost in asked}
            assert row.minutes_asked in {cost.runtime for cost in asked}
            assert row.seconds_expected == pytest.approx(sum(cost.seconds for cost in asked), rel=1e-3)
    assert (table.mb_used <= table.mb_asked).all()
    assert (table.minutes_used <= table.minutes_asked).all()
    assert (table.mb_asked < 3 * table.mb_used).all()  # nor is a multiple of it kept from others
    trained = table[table.rule == "train"]
    assert (trained.seconds_expected / trained.seconds_used).between(1 / 3, 3).all()
