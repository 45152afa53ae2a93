"""Plain generators make the same kind of stimulus as flowsim, and speeds are rows of a tidy table."""

import pytest
import torch

from benchmarks.speed import stimuli


@pytest.mark.parametrize("family", stimuli.PLAIN)
def test_plain_generators_make_the_same_kind_of_stimulus(family, monkeypatch):
    monkeypatch.setattr(stimuli, "BATCH", 24)
    plain, ours = (made(family)(1) for made in (stimuli.plain, stimuli.ours))
    assert plain.shape == (24, 20, 28, 28)
    assert ours.shape == (24, 20, 1, 28, 28)
    assert plain.mean().item() == pytest.approx(ours.mean().item(), rel=0.1)
    assert not torch.equal(plain[0], plain[1])
    assert (plain[:, 1:] != plain[:, :-1]).flatten(1).any(1).float().mean() > 0.9


def test_speeds_of_stimuli(monkeypatch):
    monkeypatch.setattr(stimuli, "BATCH", 2)
    monkeypatch.setattr(stimuli, "PLAIN", {"moving_digits": stimuli.translating})
    monkeypatch.setattr("flowsim.ideas.names", lambda _: ["moving_digits", "random_dots", "moving_kth"])
    table = stimuli.table(1)
    assert list(zip(table.stimulus, table.implementation, strict=True)) == [
        ("moving_digits", "plain"), ("moving_digits", "flowsim"), ("random_dots", "flowsim")
    ]  # fmt: skip
    assert (table.sequences_per_second > 0).all()
    assert table.ratio[0] == 1
