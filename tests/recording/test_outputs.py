"""Outputs of any kind that holds real numbers are recorded as they are; others are refused in one line."""

from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from flowsim import InputError, Site, build, open_recording, record

AXES = ("trial", "time", "unit")
Pair = namedtuple("Pair", "states last")


@dataclass
class Fields:
    last: torch.Tensor
    states: torch.Tensor


class Outputs(nn.Module):
    """The first five pixels, put out as ``give`` says."""

    def __init__(self, give):
        super().__init__()
        self.give = give

    def forward(self, vectors):
        return self.give(vectors[..., :5])


def recorded(give, probe, file, index=(), **arguments):
    record(Outputs(give), probe, file, sites={"state": Site("", AXES, index)}, **arguments)
    return open_recording(file).state.load()


def pixels(probe):
    return probe.frames.values.reshape(9, 3, 6, 72)[..., :5]


NESTED = [
    (lambda v: Pair(v, v[:, -1]), (0,)),
    (lambda v: Pair(v, v[:, -1]), ("states",)),
    (lambda v: Fields(v[:, -1], v), ("states",)),
    (lambda v: Fields(v[:, -1], v), (1,)),
    (lambda v: {"of": [Pair(v, 0)]}, ("of", 0, "states")),
]


@pytest.mark.parametrize(("give", "index"), NESTED)
def test_named_tuples_and_dataclasses(give, index, probe, file):
    np.testing.assert_array_equal(recorded(give, probe, file, index), pixels(probe))


@pytest.mark.parametrize("give", [lambda v: Pair(v, 0), lambda v: Fields(v, v)])
def test_a_field_that_is_not_there(give, probe, file):
    with pytest.raises(InputError, match="with an entry 'cell'; '' gives outputs named (states|last)"):
        recorded(give, probe, file, ("cell",))


@pytest.mark.parametrize("batch_first", [True, False])
def test_packed_sequences(batch_first, probe, file):
    lengths = [4, 6, 5]

    def give(vectors):
        first = vectors if batch_first else vectors.transpose(0, 1)
        some = [6] if len(vectors) == 1 else lengths
        return pack_padded_sequence(first, some, batch_first, enforce_sorted=False), 0

    state = recorded(give, probe, file, (0,))
    for trial, length in enumerate(lengths):
        np.testing.assert_array_equal(state[:, trial, :length], pixels(probe)[:, trial, :length])
        assert np.isnan(state[:, trial, length:]).all()
    with pytest.raises(InputError, match="gives a packed sequence, which has the axes trial and time"):
        record(Outputs(give), probe, file, sites={"state": Site("", ("trial", "unit"), (0,))})


NUMBERS = [
    (lambda v: v > 0.3, lambda p: p > np.float32(0.3)),
    (lambda v: (100 * v).to(torch.int32), lambda p: np.trunc(100 * p)),
    (lambda v: (100 * v).to(torch.uint8), lambda p: np.trunc(100 * p)),
    (lambda v: v.to_sparse(), lambda p: p),
    (lambda v: v.double(), lambda p: p),
]


@pytest.mark.parametrize(("give", "expected"), NUMBERS)
def test_truth_values_whole_numbers_and_others(give, expected, probe, file):
    np.testing.assert_array_equal(recorded(give, probe, file), expected(pixels(probe)).astype(np.float32))


def test_whole_numbers_that_start_late(probe, file):
    """NaN stands before them."""
    network = Outputs(lambda v: (100 * v[:, 1:]).long())
    record(network, probe, file, sites={"state": Site("", AXES, start=1)})
    state = open_recording(file).state
    assert np.isnan(state[:, :, 0]).all()
    np.testing.assert_array_equal(state[:, :, 1:], np.trunc(100 * pixels(probe)[:, :, 1:]))


def test_complex_outputs(probe, file):
    with pytest.raises(InputError, match="site state: '' gives complex numbers, which a recording does not"):
        recorded(lambda v: torch.complex(v, v), probe, file)


@pytest.mark.parametrize("units", [None, {"count": 3}])
def test_overflow_is_refused(units, probe, file):
    def give(v):
        return 1e5 * v + 66000

    with pytest.raises(
        InputError, match="state: expected values up to 65504, .* Record with a larger dtype: float32"
    ):
        recorded(give, probe, file, dtype="float16", units=units)
    assert not file.exists()
    np.testing.assert_allclose(recorded(give, probe, file), 1e5 * pixels(probe) + 66000, rtol=1e-6)
    with pytest.raises(InputError, match=r"expected values up to 3.4028e\+38"):
        recorded(lambda v: v.double() + 1e39, probe, file)


def test_infinity_of_the_network_itself_is_recorded(probe, file):
    """A network that diverges is shown as it is."""
    assert np.isinf(recorded(lambda v: v / 0 + np.inf, probe, file, dtype="float16")).any()


@pytest.mark.parametrize("compiled", ["script", "trace"])
def test_compiled_networks(compiled, probe, file, shown):
    network = nn.Sequential(nn.Linear(72, 5), nn.Tanh())
    if compiled == "script":
        made = torch.jit.script(network)
    else:
        made = torch.jit.trace(network, torch.zeros(2, 6, 72))
    record(made, probe, file, sites={"state": Site("", AXES)})
    with torch.no_grad():
        expected = network(shown(probe, 2).flatten(2))
    np.testing.assert_allclose(open_recording(file).state[2], expected, atol=1e-6)
    with pytest.raises(
        InputError, match="'0' is compiled by TorchScript, whose modules cannot be listened to"
    ):
        record(made, probe, file, sites={"state": Site("0", AXES)})
    inside = nn.Sequential(made)
    with pytest.raises(InputError, match="'0' is compiled by TorchScript"):
        record(inside, probe, file, sites={"state": Site("0", AXES)})
    record(inside, probe, file, sites={"state": Site("", AXES)})


@pytest.mark.parametrize("name", ["encoder", "same"])
def test_a_module_under_two_names(name, probe, file, shown):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Linear(72, 5)
            self.same = self.encoder

        def forward(self, vectors):
            return self.same(vectors)

    network = Twice()
    record(network, probe, file, sites={"state": Site(name, AXES), "other": Site("encoder", AXES)})
    recording = open_recording(file)
    with torch.no_grad():
        np.testing.assert_allclose(recording.state[1], network.encoder(shown(probe, 1).flatten(2)), atol=1e-6)
    np.testing.assert_array_equal(recording.state, recording.other)


def test_a_flowsim_network_with_complex_states_is_refused(probe, file):
    network = build("fernn", (9, 8), max_speed=0, channels=2)
    top = network.top
    network.top = lambda state: torch.complex(top(state), top(state))
    with pytest.raises(InputError, match="site state gives complex numbers"):
        record(network, probe, file, sites=["state"])
