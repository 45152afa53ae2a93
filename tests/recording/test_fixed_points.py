"""Fixed points and multipliers of networks for which both are known in closed form."""

import numpy as np
import pytest
import torch

from flowsim import Flow, Translation, build
from flowsim.recording import fixed_points
from flowsim.recording.fixed_points import accelerate, descend, multipliers, solve
from flowsim.recording.one_step import OneStep
from flowsim.recording.settings import FixedPointsBlock
from tests.known.dynamics import Bump, Linear, spectrum_of

SHAPE = (5, 7)


def linear_fernn(gain=0.7):
    torch.manual_seed(1)
    network = build("fernn", SHAPE, activation="linear", max_speed=1, channels=2, decoder_layers=0).double()
    with torch.no_grad():
        network.cells[0].recurrent.weight *= gain
    return network


def spectrum(found):
    """Multipliers (flow, trial, multiplier)."""
    return (found.fixed_point_multiplier_real + 1j * found.fixed_point_multiplier_imaginary).values


def closed_form(network, picture, flow):
    """Fixed point (velocity, channel, y, x) and step (velocity, y, x, channel, channel) of a linear FERNN."""
    w = spectrum_of(network.cells[0].recurrent.weight.detach().numpy(), SHAPE)
    u = spectrum_of(network.encoders[0].weight.detach().numpy(), SHAPE)
    ky, kx = (2 * np.pi * np.fft.fftfreq(size) for size in SHAPE)
    drive = np.einsum("yxoi,yx->yxo", u, np.fft.fft2(picture))
    points, steps = [], []
    for v in network.grid.velocities:
        dy, dx = (a - b for a, b in zip(v, flow, strict=True))
        step = np.exp(-1j * (ky[:, None] * dy + kx * dx))[..., None, None] * w
        held = np.linalg.solve(np.eye(2) - step, drive[..., None])[..., 0]
        points.append(np.fft.ifft2(held, axes=(0, 1)).real.transpose(2, 0, 1))
        steps.append(step)
    return np.array(points), np.array(steps)


@pytest.mark.parametrize("flow", [(0, 0), (1, 0), (-1, 2), (0, 0.5)])
@pytest.mark.parametrize("dense", [True, False])
def test_linear_fernn_in_closed_form(rng, flow, dense, monkeypatch):
    """An eigenvalue that comes several times may be found fewer times by Arnoldi's method."""
    monkeypatch.setattr(fixed_points, "DENSE", 1000 if dense else 0)
    network = linear_fernn()
    picture = rng.random((2, 1, *SHAPE))
    settings = FixedPointsBlock(watch=3, multipliers=6)
    found = solve(OneStep(network, "x"), torch.from_numpy(picture), [Flow(Translation(), flow)], settings)
    assert (found.fixed_point_residual < 1e-9).all()
    for trial in range(2):
        point, step = closed_form(network, picture[trial, 0], flow)
        np.testing.assert_allclose(found.fixed_point[0, trial], point, atol=1e-8)
        exact = np.linalg.eigvals(step).ravel()
        values = spectrum(found)[0, trial]
        moduli = np.sort(np.abs(exact))[::-1]
        np.testing.assert_allclose(np.abs(values), moduli[:6] if dense else np.abs(values), atol=1e-6)
        assert np.abs(values[0]) == pytest.approx(moduli[0], abs=1e-5)
        assert np.abs(values[:, None] - exact).min(1).max() < 1e-5


def test_multipliers_turn_with_the_difference_of_velocities(rng):
    """exp(-i k.(v - g)) W^(k), phases too: of one channel and one velocity, all of them."""
    torch.manual_seed(0)
    network = build("fernn", SHAPE, activation="linear", velocities=[(0, 1)], channels=1, decoder_layers=0)
    for g in ((0, 0), (0, 1), (1, -1)):
        step = OneStep(network, "x")
        settings = FixedPointsBlock(watch=1, multipliers=35)
        found = solve(step, torch.from_numpy(rng.random((1, 1, *SHAPE))), [Flow(Translation(), g)], settings)
        values = spectrum(found).ravel()
        w = spectrum_of(network.cells[0].recurrent.weight.detach().double().numpy(), SHAPE)[..., 0, 0]
        ky, kx = (2 * np.pi * np.fft.fftfreq(size) for size in SHAPE)
        exact = (np.exp(-1j * (ky[:, None] * (0 - g[0]) + kx * (1 - g[1]))) * w).ravel()
        assert np.abs(values[:, None] - exact).min(1).max() < 1e-10
        assert np.abs(exact[:, None] - values).min(1).max() < 1e-10


def test_relu_fernn_obeys_its_law(rng):
    """k_g(v) = k_0(v - g), and the same multipliers, on a grid where every velocity has a partner."""
    torch.manual_seed(0)
    network = build("fernn", (3, 4), velocities="closed", channels=2, decoder_layers=0).double()
    flows = [Flow(Translation(), u) for u in ((0, 0), (1, 0), (-1, 2))]
    found = solve(
        OneStep(network, "x"), torch.from_numpy(rng.random((2, 1, 3, 4))), flows, FixedPointsBlock()
    )
    assert (found.fixed_point_residual < 1e-9).all()
    assert float(found.fixed_point.std()) > 0.01
    modulus = np.abs(spectrum(found))
    for i, flow in enumerate(flows):
        partner = list(network.grid.partner(flow.velocity))
        expected = found.fixed_point[0].values[:, partner]
        np.testing.assert_allclose(found.fixed_point[i], expected, atol=1e-8)
        np.testing.assert_allclose(modulus[i], modulus[0], atol=1e-7)


def test_what_a_network_keeps_by_itself(rng):
    """Without input a contracting network keeps nothing; the bump keeps its pattern, with a multiplier of 1."""
    picture = torch.from_numpy(rng.random((1, 1, 5, 9)))
    rest = [Flow(Translation(), (0, 0))]
    kept = solve(
        OneStep(Bump(), "x"), picture, rest, FixedPointsBlock(input="blank", watch=60, multipliers=3)
    )
    assert kept.fixed_point_size.item() == pytest.approx(1)
    np.testing.assert_allclose(
        np.abs(spectrum(kept))[0, 0], [1, 0.5, 0.5], atol=1e-8
    )  # along the orbit; its size is kept at once
    network = build("fernn", (5, 9), max_speed=1, channels=2, decoder_layers=0).double()
    with torch.no_grad():
        network.cells[0].recurrent.weight *= 0.3
    gone = solve(OneStep(network, "x"), picture, rest, FixedPointsBlock(input="blank"))
    assert (gone.fixed_point_residual <= 1e-9).all()
    assert gone.fixed_point_size.item() < 1e-8


def test_own_predictions_are_an_input(rng):
    torch.manual_seed(0)
    network = build("fernn", (4, 5), max_speed=1, channels=2, decoder_layers=1).double()
    picture = torch.from_numpy(rng.random((1, 1, 4, 5)))
    rest = [Flow(Translation(), (0, 0))]
    step = OneStep(network, "x")
    found = solve(step, picture, rest, FixedPointsBlock(input="prediction"))
    point = torch.from_numpy(found.fixed_point.values[0]).flatten(1)
    again = step(point, None)
    residual = float((again - point).norm())
    assert residual <= found.fixed_point_residual.item() * 10 + 1e-9


def test_units_without_space_have_a_fixed_point_at_rest(rng):
    matrix = np.diag([0.5, -0.8]) + np.array([[0, 0.1], [0, 0]])
    picture = torch.from_numpy(rng.random((2, 1, 4, 4)))
    step = OneStep(Linear(matrix), "x")
    found = solve(step, picture, [Flow(Translation(), (0, 0))], FixedPointsBlock(multipliers=3))
    assert found.fixed_point.dims == ("fixed_point_flow", "fixed_point_trial", "fixed_point_unit")
    drive = picture.mean((1, 2, 3)).numpy()[:, None] * np.ones(2)
    np.testing.assert_allclose(found.fixed_point[0], drive @ np.linalg.inv(np.eye(2) - matrix).T, atol=1e-8)
    np.testing.assert_allclose(found.fixed_point_multiplier_real[0, 0, :2], [-0.8, 0.5])
    assert np.isnan(found.fixed_point_multiplier_real[0, 0, 2])


def test_points_that_repel_are_found_by_descent():
    """h <- 2 tanh(h) in 300 units: from near 0, iteration leads away, descent to 0."""

    def function(h):
        return 2 * torch.tanh(h)

    start = 0.05 * torch.randn(1, 300, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = descend(function, start, 1.0)
    assert float(found.norm()) < 1e-9
    np.testing.assert_allclose(multipliers(function, found, 4), 2, atol=1e-6)
    _, residual = accelerate(function, 40 * start, torch.ones(1, dtype=torch.float64))
    assert float(residual) < 1e-9


def test_where_there_is_no_fixed_point_it_is_not_claimed():
    """h <- h + 0.1 + h^2: the least change is 0.1, at 0."""

    def function(h):
        return h + 0.1 + h**2

    start = torch.full((1, 4), 0.5, dtype=torch.float64)
    best, residual = accelerate(function, start, torch.ones(1, dtype=torch.float64))
    assert float(residual) >= 0.2
    lowest = descend(function, best, 1.0)
    np.testing.assert_allclose((function(lowest) - lowest).numpy(), 0.1, atol=1e-3)


def test_one_trial_that_diverges_does_not_disturb_others():
    def function(h):
        return torch.where(h > 1, 1e200 * h**2, 0.5 * h + 0.25)

    start = torch.tensor([[0.9] * 3, [2.0] * 3], dtype=torch.float64)
    points, residual = accelerate(function, start, torch.ones(2, dtype=torch.float64))
    np.testing.assert_allclose(points[0], 0.5, atol=1e-9)
    assert float(residual[0]) < 1e-9
    assert not float(residual[1]) < 1


def test_a_dead_network_has_multipliers_of_0():
    np.testing.assert_array_equal(multipliers(lambda h: 0 * h, torch.ones(1, 500, dtype=torch.float64), 3), 0)
