"""Steerable convolutions turn with their input, and are those of sampled orientations, cheaper."""

import math

import pytest
import torch
import torch.nn.functional as F

from flowsim import Flow, Rotation
from flowsim.layers.steerable import Angles, SteerableConv, couplings, harmonics

EXACT = torch.float64, torch.device("cpu")


def far(a, b):
    return ((a - b).norm() / b.norm()).item()


def blob():
    axis = torch.linspace(-3, 3, 41, dtype=torch.float64)
    return torch.exp(-((axis[:, None] - 0.7) ** 2) - axis**2)[None, None, None]


@pytest.mark.parametrize("kernel", [3, 5])
def test_steerable_convolutions_turn_with_their_input(kernel):
    """By any angle to interpolation on a smooth blob, and exactly by quarter turns."""
    torch.manual_seed(0)
    lift = SteerableConv(1, 3, kernel, 0, 3).double()
    between = SteerableConv(3, 2, 3, 3, 3).double()
    back = SteerableConv(2, 1, 3, 3, 0).double()
    angles = Angles(12, 3)
    for angle, limit in ((30, 0.025), (47, 0.025), (90, 1e-14), (180, 1e-14)):
        flow = Flow(Rotation(), (angle,))
        fields, turned = (between(angles.relu(lift(x))) for x in (blob(), flow.act(blob())))
        assert fields.shape == (1, 2, 7, 41, 41)
        sampled = angles.sample(fields)
        assert far(angles.sample(turned), flow.act_oriented(sampled)) < limit
        assert far(angles.sample(turned), flow.act(sampled)) > 0.05
        assert far(back(turned), flow.act(back(fields))) < 2 * limit
        assert back(fields).shape == (1, 1, 1, 41, 41)


def phase_of(angle):
    """exp(-i angle)."""
    return complex(math.cos(angle), -math.sin(angle))


def turned_kernel(kernel, m, number, angle):
    """A harmonic turned by an angle before it is sampled: by its phase."""
    return dict(enumerate(harmonics(kernel)))[number][1] * phase_of(m * angle)


def test_equal_to_the_dense_convolution_over_sampled_orientations():
    """Each output orientation s looks at the input at s + delta with one kernel for each delta, turned by s;
    summed over both, that is what a coupling of frequencies does.
    """
    torch.manual_seed(0)
    frequencies, n, kernel = 3, 12, 3
    angles = Angles(n, frequencies)
    x = torch.randn(2, 1, 7, 9, 9, dtype=torch.float64)
    sampled = angles.sample(x)
    theta = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    layer = SteerableConv(1, 1, kernel, frequencies, frequencies).double()
    expected, index = torch.zeros_like(sampled), 0
    with torch.no_grad():
        for k in range(frequencies + 1):
            for q in range(-frequencies if k else 0, frequencies + 1):
                for number, (m, _) in enumerate(harmonics(kernel)):
                    if m != abs(q - k):
                        continue
                    for phase in (1, 1j) if k or q else (1,):
                        w = layer.weight[0, 0, index].item() * phase / (math.sqrt(2) if q and not k else 1)
                        index += 1
                        for s in range(n):
                            wave = turned_kernel(kernel, m, number, theta[s].item())
                            wave = wave if q >= k else wave.conj()
                            delta = theta - theta[s]
                            weights = w * torch.polar(torch.full_like(delta, 1 / n), -q * delta)
                            dense = (weights[:, None, None] * wave).real * (2 if k or q else 1)
                            expected[:, :, s] += F.conv2d(sampled[:, 0], dense[None], padding=1)
    assert index == layer.weight.shape[-1]
    torch.testing.assert_close(angles.sample(layer(x)), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("incoming", "outgoing"), [(3, 3), (0, 2), (2, 0)])
def test_couplings_are_all_different(incoming, outgoing):
    made, _ = couplings(5, incoming, outgoing, *EXACT)
    assert torch.linalg.matrix_rank(made.flatten(1)) == len(made)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("angle", [17.0, 90.0, -200.0])
def test_kernels_turn_exactly_to_leading_order(angle, kernel):
    """What a coupling makes of a polynomial z^m over space, turned as each of its coefficients should."""
    made, _ = couplings(kernel, 2, 2, *EXACT)
    angles, alpha = Angles(5, 2), math.radians(angle)

    def turned(coefficients):
        return angles.coefficients(angles.sample(coefficients[..., None, None], angle))[..., 0, 0]

    field = torch.randn(5, dtype=torch.float64)
    axis = torch.arange(-(kernel // 2), kernel // 2 + 1, dtype=torch.float64)
    z = torch.complex(*torch.meshgrid(axis, -axis, indexing="xy"))
    for m in range(3):
        still, moved = (
            torch.einsum("pstyx,t,yx->ps", made, values, (z**m * phase).real)
            for values, phase in ((field, 1), (turned(field), phase_of(m * alpha)))
        )
        torch.testing.assert_close(moved, turned(still), rtol=0, atol=1e-13)


def test_a_turn_of_a_series_is_exact_by_any_angle():
    angles = Angles(9, 4)
    x = torch.randn(2, 9, 3, 3, dtype=torch.float64)
    turned = angles.coefficients(angles.sample(x, 23.0))
    torch.testing.assert_close(angles.sample(turned, 17.0), angles.sample(x, 40.0))
    torch.testing.assert_close(angles.sample(x, 40.0), angles.sample(x).roll(1, -3))
    torch.testing.assert_close(angles.coefficients(angles.sample(x)), x)
    torch.testing.assert_close(angles.sample(x).square().mean(-3), x.square().sum(-3))


@pytest.mark.parametrize("frequencies", [1, 2, 3])
def test_four_angles_for_each_frequency_are_enough_for_relu(frequencies):
    """relu of the samples of a series makes of it nearly what infinitely many would: worse with fewer."""
    torch.manual_seed(0)
    x = torch.randn(500, 2 * frequencies + 1, 1, 1, dtype=torch.float64)
    exact = Angles(360, frequencies).relu(x)
    error = {n: far(Angles(n * frequencies, frequencies).relu(x), exact) for n in (3, 4, 8)}
    assert error[8] < error[4] < 0.08
    assert error[4] < error[3]


@pytest.mark.parametrize(("incoming", "outgoing"), [(1, 1), (0, 1), (1, 0)])
def test_gradients(incoming, outgoing):
    torch.manual_seed(0)
    layer = SteerableConv(2, 1, 3, incoming, outgoing).double()
    x = torch.rand(1, 2, 2 * incoming + 1, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, x)
    assert torch.autograd.gradcheck(
        lambda w: torch.func.functional_call(layer, {"weight": w}, x), layer.weight
    )
