"""What group operators form: those of a known group, of growths, and of states with none."""

import numpy as np
import pytest

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
    assert result.linearity_half.isnull().all()
    with pytest.raises(InputError, match="expected flows besides the reference; the recording has 1 flow"):
        group_structure.analyse(one.isel(flow=[0]))


def test_the_share_of_channels_is_saved_and_drawn(recording):
    states, grid = lawful(Law(True, True), NEIGHBOURS, trials=4, times=6)
    made = recording(states, NEIGHBOURS, grid.velocities)
    for features, share, text in ((12, 0.5, ", a random 0.5 of channels"), (24, 1, "")):
        result = group_structure.analyse(made, features=features, permutations=2)
        assert float(result.kept) == share
        runs = result.expand_dims("run").assign_coords(run=["a"], network=("run", ["a"]), seed=("run", ["0"]))
        title = group_structure.figure(runs).get_suptitle()
        assert title.endswith(text)
        assert ("random" in title) == bool(text)
