"""What speed is measured against is the published network, and a measurement is a row of a tidy table."""

import os
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.__main__ import OTHER_STEPS
from benchmarks.speed.figure_of_speed import draw
from benchmarks.speed.published_recurrence import Reference
from benchmarks.speed.shares_of_a_step import BETWEEN, DIRECTLY, PARTS, REST, one_convolution, part, shares
from benchmarks.speed.time_and_memory import compare, medians, peak
from benchmarks.speed.training_steps import SUBJECTS, Size, fernn, without_c
from flowsim import build

SMALL = Size(1, 2, 2, 3, 8)
CPU = torch.device("cpu")


def test_the_reference_is_the_published_network():
    torch.manual_seed(0)
    plain = Reference(1, 3, decoder_layers=2).double()
    network = build("fernn_released", (6, 7), max_speed=1, channels=3, decoder_layers=2).double()
    theirs = dict(plain.state_dict())
    ours = dict(zip(network.state_dict(), [theirs.pop("drive.weight"), *theirs.values()], strict=True))
    network.load_state_dict(ours)
    frames = torch.rand(2, 4, 1, 6, 7, dtype=torch.float64)
    torch.testing.assert_close(plain(frames, 3), network.rollout(frames, 3), rtol=0, atol=1e-13)


def test_both_steps_do_the_same_arithmetic():
    """All but that of the first frames, when all velocities are still alike, and of the last, which is not
    taken in.
    """
    done = {}
    for name in ("reference", "flowsim"):
        subject = SUBJECTS[name]
        with FlopCounterMode(display=False) as counter:
            subject(SMALL, CPU)()
        done[name] = counter.get_total_flops()
    assert 0.5 * done["reference"] < done["flowsim"] < done["reference"]
    assert SMALL.velocities == 9
    assert SMALL.arithmetic == pytest.approx(3 * 6 * 2 * 2 * 9 * 4 * 9 * 64 / 1e9)
    assert SMALL.sequences(CPU).shape == (2, 6, 1, 8, 8)


def test_before_and_now_are_the_same_networks():
    """At a size that is computed in C where that is possible."""
    size = Size(1, 16, 1, 3, 8)
    for half_pixels, cell in product((False, True), ("rnn", "gru")):
        plain, now = (fernn(size, cell, half_pixels, plain) for plain in (True, False))
        frames = size.sequences(CPU)
        with torch.no_grad():
            torch.testing.assert_close(now.rollout(frames, 2), plain.rollout(frames, 2), rtol=1e-4, atol=1e-6)
        assert any(v % 1 for velocity in now.grid.velocities for v in velocity) == half_pixels


def test_code_in_c_is_switched_off_for_a_step_only(monkeypatch):
    for before in ("1", None):
        monkeypatch.setenv("FLOWSIM_COMPILE", before) if before else monkeypatch.delenv("FLOWSIM_COMPILE")
        found = []
        without_c(lambda found=found: found.append(os.environ["FLOWSIM_COMPILE"]))()
        assert found == ["0"]
        assert os.environ.get("FLOWSIM_COMPILE") == before


def test_every_other_step_runs():
    for cases in (*OTHER_STEPS.values(), [("fernn_rotation", {})]):
        for name, options in cases:
            SUBJECTS[name](SMALL, CPU, **options)()


def test_medians_of_steps_taken_in_turn():
    order = []
    times = medians([lambda: order.append("a"), lambda: order.append("b")], 3, CPU)
    assert order == ["a", "b"] * 4
    assert len(times) == 2
    assert max(times) < 0.1


@pytest.mark.slow
def test_memory_is_measured_in_a_process_of_its_own():
    large = peak((Size(1, 8, 16, 10, 28), "flowsim", {}), CPU)
    held = [torch.ones(30_000_000)]
    again = peak((Size(1, 8, 16, 10, 28), "flowsim", {}), CPU)
    assert len(held) == 1
    assert large > 60e6
    assert again == pytest.approx(large, rel=0.3)
    assert peak((SMALL, "flowsim", {}), CPU) < large / 2


def test_shares_of_a_step():
    rows = pd.DataFrame(shares(SMALL, CPU, 3)).set_index("part")
    assert list(rows.index) == [*PARTS, REST, BETWEEN, DIRECTLY]
    assert (rows.seconds.drop(BETWEEN) > 0).all()
    whole = (rows.seconds / rows.share).drop(BETWEEN)
    np.testing.assert_allclose(whole, whole.iloc[0])
    alone, arithmetic = one_convolution(SMALL, CPU)
    with FlopCounterMode(display=False) as counter:
        for run in alone:
            run()
    assert counter.get_total_flops() == arithmetic
    assert part("aten::mkldnn_convolution") == part("aten::convolution_backward") == "convolutions"
    assert part("aten::relu_") == REST


def test_rows_and_figure(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "benchmarks.speed.time_and_memory.peak", lambda case, device: 2e6 if case[1] == "reference" else 1e6
    )
    table = pd.DataFrame(
        [
            *compare(
                "training step",
                [(SMALL, "reference", {}), (SMALL, "flowsim", {}), (SMALL, "flowsim", {"recompute": 2})],
                1,
                CPU,
            ),
            *[
                row
                for name in ("velocities", "frames", "pixels", "batch")
                for row in compare(
                    f"growth with {name}",
                    [(size, "flowsim", {}) for size in (SMALL, Size(0, 2, 3, 4, 9))],
                    1,
                    CPU,
                )
            ],
        ]
    )
    assert list(table.implementation[:3]) == ["reference", "flowsim", "flowsim recompute=2"]
    assert table.speedup[0] == 1
    assert table.speedup[1] == pytest.approx(table.seconds[0] / table.seconds[1])
    assert table.memory[1] == 0.5
    table.loc[table.measure.str.startswith("growth"), "velocities"] += 100  # beyond those that were compared
    monkeypatch.setattr("matplotlib.figure.Figure.suptitle", lambda figure, title: titles.append(title))
    titles = []
    draw(
        table,
        pd.DataFrame([row for size in (SMALL, Size(0, 2, 3, 4, 9)) for row in shares(size, CPU, 1)]),
        tmp_path / "speed.png",
    )
    assert "nan" not in titles[0]
    assert (tmp_path / "speed.png").stat().st_size > 10_000
