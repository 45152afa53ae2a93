"""Exponents of networks for which they are known."""

import numpy as np
import pytest
import torch

from flowsim import Translation, build
from flowsim.recording.exponents import follow
from flowsim.recording.one_step import OneStep
from flowsim.recording.settings import ExponentsBlock
from tests.known.dynamics import Bump, Linear


def followed(network, frames, context=3, **settings):
    frames = torch.as_tensor(frames, dtype=torch.float64)
    block = ExponentsBlock(**{"trials": len(frames), "rollout": 40, "number": 3, **settings})
    return follow(OneStep(network, "exponents"), frames, context, Translation(), block)


def shown(rng, trials=1, frames=3, shape=(5, 9)):
    return rng.random((trials, frames, 1, *shape))


def test_a_linear_map_has_the_logs_of_its_moduli(rng):
    """Real and complex eigenvalues, of a matrix that is not normal."""
    block = np.array([[0.6, -0.5], [0.5, 0.6]])
    matrix = np.zeros((4, 4))
    matrix[:2, :2], matrix[2, 2], matrix[3, 3] = block, 1.2, -0.2
    basis = rng.standard_normal((4, 4))
    matrix = basis @ matrix @ np.linalg.inv(basis)
    made = followed(Linear(matrix), shown(rng, shape=(4, 4)), rollout=400, number=4)
    growth = made.exponent_growth.isel(exponent_time=slice(100, None)).mean(
        ("exponent_trial", "exponent_time")
    )
    expected = [np.log(1.2), np.log(np.hypot(0.6, 0.5)), np.log(np.hypot(0.6, 0.5)), np.log(0.2)]
    np.testing.assert_allclose(growth, expected, atol=2e-2)
    assert float(growth.sum()) == pytest.approx(np.log(abs(np.linalg.det(matrix))), abs=1e-6)
    assert made.exponent_orbit_growth.isnull().all()  # units have no orbit


def test_all_exponents_of_a_contracting_network_are_below_0(rng):
    torch.manual_seed(0)
    network = build("fernn", (5, 6), max_speed=1, channels=2, decoder_layers=0).double()
    with torch.no_grad():
        network.cells[0].recurrent.weight *= 0.3
        network.readout.decoder[0].weight *= 0.1
    made = followed(network, shown(rng, shape=(5, 6)))
    assert (made.exponent_growth.mean("exponent_time") < -0.5).all()


@pytest.mark.parametrize(("twice", "dimensions"), [(False, 1), (True, 2)])
def test_along_the_orbit_of_an_equivariant_network_nothing_grows(rng, twice, dimensions):
    """To rounding, in as many directions as the orbit has dimensions: a pattern along x alone stays the same
    along y.
    """
    made = followed(Bump(twice=twice), shown(rng), rollout=80, number=4)
    settled = made.isel(exponent_time=slice(60, None))
    along = settled.exponent_orbit_growth
    if dimensions == 2:
        assert along.notnull().all()
        np.testing.assert_allclose(along, 0, atol=1e-10)
    excess = (made.exponent_orbit_growth - made.exponent_orbit_lawful).isel(exponent_time=slice(3, 30))
    np.testing.assert_allclose(excess.values[np.isfinite(excess)], 0, atol=1e-9)
    exponents = settled.exponent_growth.mean(("exponent_trial", "exponent_time"))
    np.testing.assert_allclose(exponents[:dimensions], 0, atol=1e-8)
    assert (exponents[dimensions + 1 :] < -0.3).all() or dimensions == 2
    np.testing.assert_allclose(
        settled.exponent_orbit_leak.values[np.isfinite(settled.exponent_orbit_leak)], 0, atol=1e-9
    )


def test_a_broken_symmetry_has_a_gap_linear_in_what_breaks_it(rng):
    for eps in (0.04, 0.08):
        made = followed(Bump(eps), shown(rng), rollout=250, number=1)
        last = made.isel(exponent_time=slice(-10, None))
        gap = (last.exponent_orbit_lawful - last.exponent_orbit_growth).isel(exponent_tangent=0)
        np.testing.assert_allclose(gap, eps, rtol=3 * eps)
        np.testing.assert_allclose(last.exponent_growth, -eps, rtol=3 * eps)


def test_trials_that_diverge_end_early(rng):
    made = followed(Linear(1e100 * np.eye(2)), shown(rng, shape=(4, 4)))
    growth = made.exponent_growth[0]
    assert growth[0].notnull().any()
    assert growth[-1].isnull().all()


def test_more_exponents_than_units_are_not_there(rng):
    made = followed(Linear(np.diag([0.5, 0.25])), shown(rng, shape=(4, 4)), number=3)
    assert made.exponent_growth[..., :2].notnull().all()
    assert made.exponent_growth[..., 2].isnull().all()
