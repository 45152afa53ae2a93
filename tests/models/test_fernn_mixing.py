"""The full flow convolution mixes velocities by their differences."""

import torch
import torch.nn.functional as F

from flowsim import Law, build


def mixing(frame_shape, **spec):
    """A small network on a closed grid, whose kernels do not start at 0."""
    torch.manual_seed(1)
    network = build("fernn_mixing", frame_shape, velocities="closed", **spec).double().requires_grad_(False)
    for parameter in network.parameters():
        parameter += 0.05 * torch.randn_like(parameter)
    return network


def test_gradients_of_the_flow_convolution():
    network = mixing((3, 3), channels=1).requires_grad_()
    state = torch.rand(1, 9, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(network.mix, state)
    assert torch.autograd.gradcheck(
        lambda kernels: torch.func.functional_call(Mix(network), {"network.kernels": kernels}, (state,)),
        network.kernels.detach().requires_grad_(),
    )


class Mix(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, state):
        return self.network.mix(state)


def test_the_flow_convolution_equals_its_sum():
    network, state = (
        mixing((3, 4), channels=2),
        torch.rand(2, 12, 2, 3, 4, dtype=torch.float64),
    )
    mixed, grid = network.mix(state), network.grid
    for i, v in enumerate(grid.velocities):
        total = 0
        for j, w in enumerate(grid.velocities):
            difference = network.index[0, grid.velocities.index(((w[0] - v[0]) % 3, (w[1] - v[1]) % 4))]
            kernel = network.kernels[difference] * (1 if v == w else 1 / 12)
            total = total + F.conv2d(F.pad(state[:, j], (1, 1, 1, 1), mode="circular"), kernel)
        torch.testing.assert_close(mixed[:, i], total)


def test_mixing_promises_nothing_on_a_truncated_grid():
    assert build("fernn_mixing", (7, 6), max_speed=1).law is None
    assert build("fernn_mixing", (5, 5), max_speed=2).law == Law(True, True)
