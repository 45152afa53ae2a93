"""Winograd's convolutions are convolutions, to rounding, and move with what they see, to the bit."""

import itertools
import shutil

import pytest
import torch

from flowsim import build
from flowsim.layers.padded_gather import adjoint, convolved, gathered

if shutil.which("cc") is None:
    pytest.skip("there is no C compiler", allow_module_level=True)
from benchmarks.winograd import kernels
from benchmarks.winograd.step import in_place

MOVES = ((0, 0), (1, -2), (-7, 30))
ORIGINS = ((0, 0), (3, 1), (2, 2))
SIZES = list(itertools.product(((4, 4), (8, 12), (28, 28)), ((16, 16), (32, 48), (48, 16)), (1, 3)))


@pytest.fixture(params=SIZES, ids=str)
def made(request):
    """A state, a kernel and a drive."""
    (height, width), (inputs, outputs), trials = request.param
    state = torch.randn(3, trials, height, width, inputs)
    return state, torch.randn(outputs, inputs, 3, 3), torch.randn(1, trials, height, width, outputs)


def by_torch(state, weight):
    return convolved(gathered(state, MOVES, 1), weight).reshape(*state.shape[:4], len(weight))


def near(found, expected, tolerance):
    return float((found - expected).abs().max() / expected.abs().max()) < tolerance


def test_a_convolution_of_what_moved(made):
    state, weight, drive = made
    expected = by_torch(state.double(), weight.double()) + drive
    kernel = kernels.transformed(weight)
    assert near(kernels.convolve_moved(state, kernel, drive, MOVES, ORIGINS, relu=False), expected, 2e-6)
    assert near(kernels.convolve_moved(state, kernel, drive, MOVES, ORIGINS), expected.relu(), 2e-6)


def test_tiles_that_move_along_make_it_exact_and_tiles_that_stay_do_not(made):
    state, weight, drive = made
    kernel, by = kernels.transformed(weight), (5, -3)
    at_rest = kernels.convolve_moved(state, kernel, drive, MOVES, ORIGINS)
    moved = state.roll(by, (2, 3)), kernel, drive.roll(by, (2, 3)), MOVES
    along = [(y + by[0], x + by[1]) for y, x in ORIGINS]
    assert torch.equal(kernels.convolve_moved(*moved, along), at_rest.roll(by, (2, 3)))
    assert not torch.equal(kernels.convolve_moved(*moved, ORIGINS), at_rest.roll(by, (2, 3)))


def test_a_trial_does_not_depend_on_the_others(made):
    state, weight, drive = made
    kernel = kernels.transformed(weight)
    together = kernels.convolve_moved(state, kernel, drive, MOVES, ORIGINS)
    first = kernels.convolve_moved(state[:, :1].contiguous(), kernel, drive[:, :1], MOVES, ORIGINS)
    assert torch.equal(together[:, :1], first)


def test_gradients(made):
    state, weight, drive = made
    gradient = torch.randn(3, *drive.shape[1:])
    exact_state, exact_weight = state.double().requires_grad_(), weight.double().requires_grad_()
    (by_torch(exact_state, exact_weight) * gradient).sum().backward()
    sums = kernels.new_sums(*weight.shape[:2])
    back = [(-y, -x) for y, x in MOVES]
    flipped = kernels.transformed(adjoint(weight))
    to_state = kernels.convolve_back(gradient, state, flipped, back, ORIGINS, sums)
    assert near(to_state, exact_state.grad, 1e-5)
    assert near(adjoint(kernels.kernel_gradient(sums)), exact_weight.grad, 1e-5)


def test_what_is_no_number_stays_none():
    state = torch.zeros(1, 1, 8, 8, 16)
    state[0, 0, 3, 3, 5] = torch.nan
    kernel = kernels.transformed(torch.randn(16, 16, 3, 3))
    assert (
        kernels.convolve_moved(state, kernel, torch.zeros(1, 1, 8, 8, 16), [(0, 0)], [(0, 0)]).isnan().any()
    )


@pytest.mark.parametrize("layers", [1, 2])
def test_a_training_step_is_the_same(layers):
    """Two layers: the drive of the second has every velocity."""
    network = build("fernn", (12, 16), max_speed=1, channels=16, layers=layers)
    frames = torch.rand(2, 8, 1, 12, 16)

    def gradients():
        network.zero_grad()
        (network.rollout(frames[:, :4], 4) - frames[:, 4:]).square().mean().backward()
        return [parameter.grad.clone() for parameter in network.parameters()]

    expected = gradients()
    with in_place():
        found = gradients()
    assert any(not torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    for one, other in zip(found, expected, strict=True):
        assert float((one - other).norm() / other.norm()) < 1e-4
