"""Cells: their gradients, and that each carries as many tensors as it says."""

import pytest
import torch
import torch.nn.functional as F

from flowsim.layers.cells import make_cell


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_gradients_of_every_cell(kind):
    torch.manual_seed(0)
    cell = make_cell(kind, 2, 3, "tanh").double()
    carried = tuple(
        torch.rand(1, 2, 2, 3, 3, dtype=torch.float64, requires_grad=True) for _ in range(cell.carried)
    )
    drive = torch.rand(1, 1, 2 * cell.gates, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda d, *c: cell(c, d), (drive, *carried))
    assert torch.autograd.gradcheck(
        lambda *w: torch.func.functional_call(
            cell, dict(zip(dict(cell.named_parameters()), w, strict=True)), (carried, drive)
        ),
        tuple(cell.parameters()),
    )


def test_the_gates_of_a_gru():
    """Against the published formula, with torch's own circular padding."""
    torch.manual_seed(0)
    cell = make_cell("gru", 2, 3, "tanh").double()
    h, drive = torch.rand(2, 3, 2, 4, 5).double(), torch.rand(2, 1, 6, 4, 5).double()

    def through(weight, x):
        padded = F.pad(x.flatten(0, 1), (1, 1, 1, 1), mode="circular")
        return F.conv2d(padded, weight).unflatten(0, (2, 3))

    gates = torch.sigmoid(through(cell.gating.weight, h) + drive[:, :, :4])
    z, r = gates[:, :, :2], gates[:, :, 2:]
    candidate = torch.tanh(through(cell.recurrent.weight, r * h) + drive[:, :, 4:])
    torch.testing.assert_close(cell((h,), drive)[0], z * h + (1 - z) * candidate, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("kind", "carried", "gates"), [("rnn", 1, 1), ("gru", 1, 3), ("lstm", 2, 4)])
def test_what_cells_carry(kind, carried, gates):
    cell = make_cell(kind, 2, 3, "relu")
    assert (cell.carried, cell.gates) == (carried, gates)
    state = tuple(torch.rand(1, 3, 2, 4, 5) for _ in range(carried))
    after = cell(state, torch.rand(1, 1, 2 * gates, 4, 5))
    assert [tensor.shape for tensor in after] == [(1, 3, 2, 4, 5)] * carried
