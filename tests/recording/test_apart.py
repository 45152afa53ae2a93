"""What is recorded of a trial does not depend on other trials, and the network stays as it was."""

import numpy as np
import pytest
import torch
from torch import nn

from flowsim import InputError, Site, open_recording, record
from flowsim.recording import layout

UNITS = Site("", ("trial", "time", "unit"))


class OfVectors(nn.Module):
    """Linear units of vectors (trial, time, unit), then what a subclass does with them."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(72, 5)

    def forward(self, vectors):
        return self.beyond(self.linear(vectors))

    def beyond(self, units):
        return units


class Normalised(OfVectors):
    def beyond(self, units):
        return units - units.mean(0)


class OverTrials(OfVectors):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(5, 5)

    def beyond(self, units):
        return self.gru(units)[0]


class Remembering(OfVectors):
    """Goes on from where the trials before ended."""

    memory = 0

    def beyond(self, units):
        self.memory = units[:, -1:].mean(0) + 0.5 * self.memory
        return units + self.memory


class RememberingBlocks(OfVectors):
    """The same, but it starts anew when another number of trials comes."""

    memory = None

    def beyond(self, units):
        if self.memory is None or self.memory.shape != units.shape:
            self.memory = torch.zeros_like(units)
        self.memory = units + 0.5 * self.memory
        return self.memory


class KeepingShape(OfVectors):
    """Its memory has as many trials as the first call."""

    memory = None

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(5, 5, batch_first=True)

    def beyond(self, units):
        states, self.memory = self.gru(units, self.memory)
        return states


@pytest.fixture
def blocks_of_two(monkeypatch):
    monkeypatch.setattr(layout, "TRIALS_AT_ONCE", 2)


@pytest.mark.parametrize("kind", [Normalised, OverTrials, Remembering, KeepingShape])
@pytest.mark.parametrize("flows", [1, 9])
def test_mixing_is_found(kind, flows, probe, file):
    with pytest.raises(InputError, match="does not depend on the other trials|keep no memory") as error:
        record(kind(), probe, file, sites={"state": UNITS}, flows=flows)
    assert "\n" not in str(error.value)
    assert not file.exists()


@pytest.mark.parametrize("kind", [Normalised, OverTrials, Remembering, RememberingBlocks])
def test_mixing_is_found_in_several_blocks(kind, probe, file, blocks_of_two):
    with pytest.raises(InputError, match="does not depend on the other trials"):
        record(kind(), probe, file, sites={"state": UNITS})


def test_a_memory_is_found_where_trials_are_shown_one_by_one(probe, file, monkeypatch):
    monkeypatch.setattr(layout, "TRIALS_AT_ONCE", 1)
    with pytest.raises(InputError, match="does not depend on the other trials"):
        record(Remembering(), probe, file, sites={"state": UNITS})
    record(OfVectors(), probe, file, sites={"state": UNITS})


def test_a_memory_that_the_feed_resets(probe, file, shown):
    network = KeepingShape()

    def feed(network, frames, horizon):
        network.memory = None
        return network(frames.flatten(2))

    record(network, probe, file, sites={"state": UNITS}, feed=feed)
    with torch.no_grad():
        expected = feed(network, shown(probe, 1), 0)
    np.testing.assert_allclose(open_recording(file).state[1], expected, atol=1e-6)


class Noisy(OfVectors):
    def beyond(self, units):
        return units + torch.randn_like(units)


class Chaotic(OfVectors):
    """Rounding grows: neighbouring states part by a factor of 4 in each of 60 steps."""

    def beyond(self, units):
        for _ in range(60):
            units = torch.sin(4 * units)
        return units


class Half(OfVectors):
    def __init__(self):
        super().__init__()
        self.bfloat16()


@pytest.mark.parametrize("kind", [OfVectors, Noisy, Chaotic, Half])
@pytest.mark.parametrize("at_once", [1, 2, 32])
def test_noise_chaos_and_rounding_are_no_mixing(kind, at_once, probe, file, monkeypatch):
    monkeypatch.setattr(layout, "TRIALS_AT_ONCE", at_once)
    record(kind(), probe, file, sites={"state": UNITS})
    states = open_recording(file, verify=True).state
    if kind is Noisy:  # each trial has noise of its own
        noise = states[0, 0] - states[0, 1]
        assert float(noise.std()) > 1


def test_no_two_blocks_have_the_same_noise(probe, file, blocks_of_two, shown):
    """A block is shown twice with the same random numbers; the next goes on with those after it."""
    network = Noisy()
    record(network, probe, file, sites={"state": UNITS})
    states = open_recording(file).state.values
    with torch.no_grad():
        noise = [states[f] - network.linear(shown(probe, f).flatten(2)).numpy() for f in range(9)]
    flat = np.concatenate(noise).reshape(27, -1)
    assert abs(np.corrcoef(flat) - np.eye(27)).max() < 0.8


TRAINING = [
    nn.Sequential(nn.Linear(72, 5), nn.BatchNorm1d(6)),
    nn.Sequential(nn.Linear(72, 5), nn.Dropout(0.5)),
    nn.GRU(72, 5, num_layers=2, batch_first=True, dropout=0.5),
]


@pytest.mark.parametrize(
    "network", TRAINING, ids=lambda n: type(n[-1] if isinstance(n, nn.Sequential) else n)
)
def test_training_mode_is_refused_and_evaluation_is_not(network, probe, file):
    site = {"state": Site("", ("trial", "time", "unit"), (0,) if isinstance(network, nn.GRU) else ())}
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()
    with pytest.raises(InputError, match=r"is in training mode, where it does not. Call eval\(\)"):
        record(network, probe, file, sites=site)
    network.eval()
    record(network, probe, file, sites=site)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


class Edited(OfVectors):
    """Counts its calls, sets a buffer that was empty, registers one and writes on its weights."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("last", None)

    def forward(self, vectors):
        self.calls += 1
        self.last = vectors.mean((1, 2))
        self.register_buffer("more", torch.ones(2))
        units = self.linear(vectors)
        self.linear.weight.data *= 0.5
        return units + self.calls


def test_the_network_stays_as_it_was(probe, file, shown):
    network = Edited()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    weight = network.linear.weight
    record(network, probe, file, sites={"state": UNITS})
    after = network.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert network.linear.weight is weight
    with torch.no_grad():
        expected = network.linear(shown(probe, 4).flatten(2)) + 1
    np.testing.assert_allclose(open_recording(file).state[4], expected, atol=1e-6)


def test_the_network_stays_as_it_was_when_it_fails(probe, file):
    class Failing(Edited):
        def forward(self, vectors):
            super().forward(vectors)
            raise ValueError("as networks do")

    network = Failing()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ValueError, match="as networks do"):
        record(network, probe, file, sites={"state": UNITS})
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_lazy_modules(probe, file):
    with pytest.raises(InputError, match="lazy modules that were never called"):
        record(nn.Sequential(nn.LazyLinear(5)), probe, file, sites={"state": UNITS})


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("trials", [1, 3])
def test_a_recurrence_over_trials_is_refused(kind, trials, probe, file):
    site = {"state": Site("", ("trial", "time", "unit"), (0,))}
    with pytest.raises(InputError, match="without batch_first has .* would recur over trials"):
        record(kind(72, 5), probe, file, sites=site, trials=trials)
