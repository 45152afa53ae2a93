"""What group operators form: those of a known group, of growths, and of states with none."""

import numpy as np
import pytest
import xarray as xr
from scipy.linalg import expm

from analysis import group_structure
from flowsim import InputError, Law
from tests.known.states import LINE, NEIGHBOURS, acted, acting_on_units, bounded, lawful, mixed, noise, turns


def test_a_declared_law_forms_a_group(recording):
    states, grid = lawful(Law(True, True), NEIGHBOURS, trials=4, times=6)
    result = group_structure.analyse(recording(states, NEIGHBOURS, grid.velocities))
    for name in ("homomorphism", "homomorphism_partner", "inverse"):
        np.testing.assert_allclose(result[name], 0, atol=1e-2)
        assert (result[f"{name}_null"] > 1).all()
    assert (result.linearity > 0.999).all()
    assert (result.linearity_null < 0.5).all()
    # Shifts of Z_3 x Z_4 turn by multiples of 2 pi / 3 and of 2 pi / 4.
    phase = result.phase.sel(operator="orthogonal").values[
        [NEIGHBOURS[1:].index((1, 0)), NEIGHBOURS[1:].index((0, 1))]
    ]
    np.testing.assert_allclose(np.exp(1j * phase * [[3], [4]]), 1, atol=0.05)


def test_a_group_of_rotations(recording, rng):
    matrix, rates = turns(rng)
    result = group_structure.analyse(recording(acted(mixed(matrix), rng), NEIGHBOURS))
    for name in ("homomorphism", "inverse"):
        np.testing.assert_allclose(result[name], 0, atol=1e-4)
    np.testing.assert_allclose(result.linearity, 1, atol=1e-6)
    np.testing.assert_allclose(result.turning, 1, atol=1e-4)
    for found in result.slope.values:
        for rate in [*rates, *-rates]:
            assert np.abs(found - rate).sum(1).min() < 1e-4


def test_a_group_of_growths_does_not_turn(recording, rng):
    grown = mixed(lambda u: np.diag(np.exp(u[1] * np.linspace(-0.4, 0.5, 6))))
    result = group_structure.analyse(recording(acted(grown, rng, LINE), LINE)).sel(operator="linear")
    assert float(result.homomorphism) < 1e-4
    np.testing.assert_allclose(result.turning, 0, atol=1e-6)
    assert result.linearity.isnull()


def test_the_null_exchanges_operators_and_not_displacements(recording, rng):
    """Where all operators are the same, or nearly unrelated ones of states that stay, exchanging them changes
    nothing.
    """
    same = acted(lambda state, u: state, rng)
    result = group_structure.analyse(recording(same, NEIGHBOURS))
    for name in ("homomorphism", "inverse"):
        np.testing.assert_allclose(result[name], 0, atol=1e-4)
        np.testing.assert_allclose(result[f"{name}_null"], 0, atol=1e-4)
    noisy = mixed(lambda u: np.eye(6) + 0.12 * any(u) * rng.standard_normal((6, 6)))
    result = group_structure.analyse(recording(acted(noisy, rng), NEIGHBOURS))
    for name in ("homomorphism", "inverse"):
        assert (result[name] > 0.2).all()
        np.testing.assert_allclose(result[name], result[f"{name}_null"], rtol=0.15)


def test_noise_has_no_group(recording, rng):
    group = group_structure.analyse(recording(noise(rng), NEIGHBOURS)).sel(operator="orthogonal")
    np.testing.assert_allclose(group.homomorphism, np.sqrt(2), atol=0.15)
    np.testing.assert_allclose(group.homomorphism_null, np.sqrt(2), atol=0.15)
    assert float(group.linearity) < 0.5


def disturbed(states, times, rng):
    """With noise of so many times the variance of the states."""
    return states + np.sqrt(times) * states.std() * rng.standard_normal(states.shape)


NOISE = (0.05, 0.2, 0.5, 1)


def of_few(matrix, features):
    """An action on 6 dimensions, seen in more features."""
    embedding = np.linalg.qr(np.random.default_rng(1).standard_normal((features, features)))[0][:, :6]

    def action(rng):
        states = acted(mixed(matrix), rng, shape=(10, 11))
        return np.einsum("ktpvfyx,gf->ktpvgyx", states, embedding)

    return action


@pytest.mark.parametrize("features", [6, 15])
def test_noise_does_not_make_a_group_look_less_like_one(recording, features):
    """By least squares the error would be 1 - 1 / (1 + noise): 0.05, 0.17, 0.33 and 0.5."""
    for variance in NOISE:
        rng = np.random.default_rng(3)
        states = disturbed(of_few(turns(rng)[0], features)(rng), variance, rng)
        result = group_structure.analyse(recording(states, NEIGHBOURS), permutations=1)
        for name in ("homomorphism", "inverse"):
            assert (result[name] < 0.1).all()
            assert (result[f"{name}_null"] > 0.7).all()
            assert (result[f"{name}_floor"] < 0.2).all()


def test_noise_does_not_make_a_group_of_growths_look_less_like_one(recording):
    grown = mixed(lambda u: np.diag(np.exp(u[1] * np.linspace(-0.4, 0.5, 6))))
    for variance in NOISE:
        rng = np.random.default_rng(3)
        states = disturbed(acted(grown, rng, LINE, shape=(12, 14)), variance, rng)
        result = group_structure.analyse(recording(states, LINE), permutations=1).sel(operator="linear")
        assert float(result.homomorphism) < 0.08


def test_noise_does_not_hide_that_there_is_no_group(recording):
    """Unrelated turns have an error of sqrt 2, whatever the noise."""
    for variance in (0, *NOISE):
        rng = np.random.default_rng(3)
        unrelated = {
            u: np.linalg.qr(rng.standard_normal((6, 6)))[0] if any(u) else np.eye(6) for u in NEIGHBOURS
        }
        states = disturbed(of_few(unrelated.get, 6)(rng), variance, rng)
        result = group_structure.analyse(recording(states, NEIGHBOURS), permutations=1)
        np.testing.assert_allclose(result.homomorphism, np.sqrt(2), atol=0.1)


def test_a_partial_departure_from_a_group_is_found_in_noise(recording):
    """Turns by angles that are not proportional to velocity: the error is that without noise."""
    rates = np.random.default_rng(2).standard_normal((2, 6, 6))
    bent = np.array([0.25, 0.25])

    def matrix(u):
        angle = np.array(u) + bent * (np.array(u) != 0)
        return expm(0.3 * np.tensordot(angle, rates - rates.swapaxes(1, 2), 1))

    found = []
    for variance in (0, *NOISE):
        rng = np.random.default_rng(3)
        states = disturbed(of_few(matrix, 6)(rng), variance, rng)
        found.append(group_structure.analyse(recording(states, NEIGHBOURS), permutations=1).homomorphism)
    assert (found[0] > 0.1).all()
    for noisy in found[1:]:
        np.testing.assert_allclose(noisy, found[0], rtol=0.15, atol=0.03)


def test_the_reference_is_found_by_its_velocity(recording, rng):
    made = recording(acted(mixed(turns(rng)[0]), rng), NEIGHBOURS)
    last = group_structure.analyse(made.isel(flow=[*range(1, 9), 0]), permutations=1)
    np.testing.assert_allclose(last.homomorphism, 0, atol=1e-4)
    with pytest.raises(InputError, match="expected one flow at rest"):
        group_structure.analyse(made.isel(flow=slice(1, None)))


def test_turning_is_the_same_at_each_call(recording, rng):
    made = recording(disturbed(acted(mixed(turns(rng)[0]), rng), 0.1, rng), NEIGHBOURS)
    first, second = (group_structure.analyse(made, permutations=1) for _ in range(2))
    xr.testing.assert_identical(first, second)


def test_scale_does_not_matter(recording, rng):
    states = acted(mixed(turns(rng)[0]), rng) + rng.standard_normal((9, 4, 5, 1, 6, 4, 5))
    small, large = (
        group_structure.analyse(recording(states * scale, NEIGHBOURS), permutations=2).homomorphism
        for scale in (1e-6, 1e6)
    )
    np.testing.assert_allclose(small, large, rtol=1e-6)


def test_channels_without_partner_form_no_group(recording, rng):
    states, velocities = bounded(rng)
    group = group_structure.analyse(recording(states, NEIGHBOURS, velocities)).sel(operator="linear")
    assert float(group.homomorphism_partner) < 0.15 < 0.3 < float(group.homomorphism)


def test_units_without_space(recording, rng):
    group = group_structure.analyse(acting_on_units(recording, rng))
    np.testing.assert_allclose(group.homomorphism, 0, atol=1e-3)
    assert group.homomorphism_partner.isnull().all()


def test_few_trials_and_flows(recording, rng):
    one = recording(rng.random((2, 1, 4, 1, 3, 4, 5)), NEIGHBOURS[:2])
    result = group_structure.analyse(one)
    assert result.homomorphism.isnull().all()
    assert result.linearity_low.isnull().all()
    with pytest.raises(InputError, match="expected 1 or more flows that move, besides the reference"):
        group_structure.analyse(one.isel(flow=[0]))
