"""Hooks that replace outputs are removed, and say when there was nothing to replace."""

import pytest
import torch
from torch import nn

from flowsim import InputError, Site
from flowsim.recording.replaced_outputs import ReplacedOutput, replacing, with_state_axes

UNITS = ("trial", "unit")


@pytest.fixture
def chain():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))


def test_one_call_is_replaced_and_what_follows_goes_on_from_it(chain, untouched):
    x, kept = torch.rand(2, 3), {}
    hooks = [
        ReplacedOutput("kept", Site("0", UNITS), 1, kept),
        ReplacedOutput("new", Site("0", UNITS), 1, torch.ones(2, 1, 3, 1, 1)),
    ]
    with torch.no_grad():
        plain = chain(x)
        with replacing(chain, hooks):
            first, second, third = chain(x), chain(x), chain(x)
        torch.testing.assert_close(second, chain[1](torch.ones(2, 3)))
        torch.testing.assert_close(kept["kept"], chain[0](x)[:, None, :, None, None])
    for other in (first, third):
        torch.testing.assert_close(other, plain)
    assert untouched(chain)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("2", "expected site a to be of a module of the network, not compiled; got '2'"),
        ("0", "site a was not put out for frame 1"),
    ],
)
def test_nothing_to_replace(chain, module, message, untouched):
    hook = ReplacedOutput("a", Site(module, UNITS), 1, torch.ones(2, 1, 3, 1, 1))
    with pytest.raises(InputError, match=message), replacing(chain, [hook]):
        chain(torch.rand(2, 3))
    assert untouched(chain)


def test_a_compiled_module_cannot_be_listened_to(untouched):
    network = nn.Sequential(torch.jit.script(nn.Linear(3, 3)))
    hook = ReplacedOutput("a", Site("0", UNITS), 0, {})
    with pytest.raises(InputError, match="not compiled; got '0'"), replacing(network, [hook]):
        network(torch.rand(2, 3))
    assert untouched(network)


def test_values_have_the_axes_of_a_state():
    assert with_state_axes(torch.zeros(2, 5), ("unit",)).shape == (2, 1, 5, 1, 1)
    assert with_state_axes(torch.zeros(2, 4, 5), ("y", "x")).shape == (2, 1, 1, 4, 5)
    assert with_state_axes(torch.zeros(2, 9, 3, 4, 5), ("velocity", "channel", "y", "x")).shape == (
        2,
        9,
        3,
        4,
        5,
    )
