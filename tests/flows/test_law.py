"""Laws predict the state under a flow from the state under the reference."""

import pytest
import torch

from flowsim import Flow, InputError, Law, Translation, VelocityGrid
from flowsim.flows.law import LAWS

T = Translation()


def test_laws_print_and_parse():
    names = ["invariant", "transport", "shift", "transport+shift"]
    assert [str(law) for law in LAWS] == names
    assert [Law.parse(name) for name in names] == list(LAWS)
    with pytest.raises(InputError, match=r"expected one of the laws invariant, .* got 'moves'"):
        Law.parse("moves")


def test_laws_predict_what_they_say():
    grid, flow = VelocityGrid.closed(T, (3, 3)), Flow(T, (1, 2))
    state = torch.rand(2, 3, 9, 1, 3, 3)
    assert torch.equal(Law(False, False).predict(state, flow, grid), state)
    assert torch.equal(Law(True, False).predict(state, flow, grid), flow.transport(state))
    assert torch.equal(Law(False, True).predict(state, flow, grid), grid.shift(state, (1, 2)))
    assert torch.equal(Law(True, True).predict(state, flow, grid), flow.transport(grid.shift(state, (1, 2))))
    assert Law(True, False).coverage(flow, VelocityGrid.box(T, 0)) == 1
    assert Law(True, True).coverage(flow, VelocityGrid.box(T, 0)) == 0
