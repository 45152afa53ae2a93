"""Sites that do not fit their module are refused, and hooks are always removed."""

import pytest

from flowsim import InputError, Site, record

MISTAKES = [
    (
        {"state": Site("cell", ("trial", "unit"))},
        r"site state: the network has no module 'cell'; it has cells, cells.0",
    ),
    (
        {"state": Site("cells.1", ("trial", "channel", "y", "x"))},
        r"gives 2 outputs: a tensor of shape .* or the index",
    ),
    (
        {"state": Site("cells.1", ("trial", "unit"), (0,))},
        r"with the axes trial, unit; 'cells.1' gives a tensor of shape",
    ),
    (
        {"state": Site("cells.1", ("trial", "unit"), (2,))},
        r"expected outputs with an entry 2; 'cells.1' gives 2 outputs",
    ),
    ({"state": Site("cells.1", ("trial", "channel", "y", "x"), (0,), 1)}, "from 1 to 5; 'cells.1' gave 6"),
    ({"a": Site("", ("trial", "time", "channel", "y", "x"), (), 1)}, "from 1 to 5; '' gave 6"),
    (
        {"a": Site("cells.1.gates", ("time", "trial", "y", "x"))},
        r"expected 1 trials; 'cells.1.gates' gives 16 along its axis trial|gave",
    ),
    (
        {"prediction": Site("cells.1", ("trial", "channel", "y", "x"), (0,))},
        r"expected 9x8 px; 'cells.1' gives \(4, 9, 8\)",
    ),
    (["state"], "a ConvLSTM is not a flowsim network and has no site 'state'"),
    ({}, r"unknown site \(none\)"),
]


@pytest.mark.parametrize(("sites", "message"), MISTAKES, ids=[m[1][:30] for m in MISTAKES])
def test_mistakes(conv, probe, file, sites, message, called, untouched):
    with pytest.raises(InputError, match=message):
        record(conv, probe, file, sites=sites, feed=called)
    assert untouched(conv)
    assert not file.exists()


def test_axes_of_a_site():
    for axes in (("trial", "colour"), ("time", "unit"), ("trial", "y", "y")):
        with pytest.raises(
            InputError, match="axes must be some of trial, time, .* each once, with trial; got"
        ):
            Site("", axes)
    with pytest.raises(InputError, match="either units or channels, y and x"):
        Site("", ("trial", "unit", "channel"))


def test_hooks_are_removed_when_the_network_fails(conv, probe, file, conv_sites, untouched):
    def feed(network, frames, horizon):
        network(frames)
        raise ValueError("as networks do")

    with pytest.raises(ValueError, match="as networks do"):
        record(conv, probe, file, sites=conv_sites, feed=feed)
    assert untouched(conv)
