"""Operators fitted to states with a known action, and to states with none."""

import numpy as np
import pytest
import torch
import xarray as xr

from analysis import group_structure, learned_action
from flowsim import Flow, InputError, Law, VelocityGrid
from flowsim.files import coordinates
from tests.known.states import NEIGHBOURS, acted, acting_on_units, bounded, lawful, mixed, noise, turns


def test_a_declared_law_is_found_blindly(recording):
    states, grid = lawful(Law(True, True), NEIGHBOURS, trials=4, times=6)
    result = learned_action.analyse(recording(states, NEIGHBOURS, grid.velocities))
    np.testing.assert_allclose(result.r2.sel(operator="permutation"), 1)
    assert (result.r2.sel(operator=["orthogonal", "linear"]) > 0.999).all()
    np.testing.assert_array_equal(result.displacement, NEIGHBOURS[1:])
    assert (result.coverage == 1).all()
    np.testing.assert_allclose(result.r2_partner[:3], 1, atol=1e-3)
    assert (result.p == 0.001).all()
    assert (result.null < 0).all()


def normalised(states):
    """With the same energy at each pixel."""
    return states / np.linalg.norm(states, axis=(3, 4), keepdims=True)


def test_displacements_are_found_without_energy(recording, rng):
    """States that are normalised at each pixel have the same energy everywhere."""
    lawful_states, grid = lawful(Law(True, True), NEIGHBOURS, trials=4, times=6)
    result = learned_action.analyse(recording(normalised(lawful_states), NEIGHBOURS, grid.velocities))
    np.testing.assert_allclose(result.r2.sel(operator="permutation"), 1)
    np.testing.assert_array_equal(result.displacement, NEIGHBOURS[1:])
    turned = normalised(acted(mixed(turns(rng)[0]), rng))
    result = learned_action.analyse(recording(turned, NEIGHBOURS), permutations=9)
    assert (result.r2_mean[1:] > 0.999).all()
    np.testing.assert_array_equal(result.displacement, NEIGHBOURS[1:])
    binary = np.sign(acted(lambda state, u: state, rng))
    result = learned_action.analyse(recording(binary, NEIGHBOURS), permutations=9)
    np.testing.assert_allclose(result.r2.sel(operator="permutation"), 1)


def test_the_reference_is_found_by_its_velocity(recording, rng):
    """Flows in any order: the same numbers."""
    made = recording(acted(mixed(turns(rng)[0]), rng), NEIGHBOURS)
    first, last = (
        learned_action.analyse(flows, permutations=9) for flows in (made, made.isel(flow=[*range(1, 9), 0]))
    )
    np.testing.assert_allclose(last.r2, first.r2)
    with pytest.raises(InputError, match="expected one flow at rest"):
        learned_action.analyse(made.isel(flow=slice(1, None)))


def neighbour(state, u):
    """Partly from the pixel to the left, as of a state that lags."""
    return state + 0.7 * torch.roll(state, (0, 1), (-2, -1)) if any(u) else state


def test_classes_are_ordered_by_freedom(recording, rng):
    """Each class predicts what it holds, and those that are less free do not."""
    stretched = rng.standard_normal((6, 6))
    for action, exact in (
        (mixed(turns(rng)[0]), 1),
        (mixed(lambda u: stretched if any(u) else np.eye(6)), 2),
        (neighbour, 3),
    ):
        r2 = learned_action.analyse(
            recording(acted(action, rng, shape=(6, 7)), NEIGHBOURS), permutations=9
        ).r2_mean
        assert (r2[exact:] > 0.99).all()
        assert (r2[:exact] < 0.9).all()


def test_noise_has_no_action(recording, rng):
    result = learned_action.analyse(recording(noise(rng), NEIGHBOURS))
    assert (result.r2_mean <= 0).all()
    np.testing.assert_allclose(result.r2_mean.sel(operator=["permutation", "orthogonal"]), -1, atol=0.2)


def test_false_positives_are_at_the_nominal_level(recording, rng):
    p = []
    for _ in range(40):
        states = rng.standard_normal((6, 2, 3, 1, 2, 3, 3))
        result = learned_action.analyse(recording(states, NEIGHBOURS[:6]), permutations=99, folds=2)
        p.append(result.p.sel(operator="linear"))
    assert np.mean(np.array(p) <= 0.05) < 0.15
    assert 0.35 < np.mean(p) < 0.65


def test_shuffled_flows_have_no_action(recording, rng):
    """Labels exchanged in every trial: nothing is left of the action, and the null contains what is found."""
    states = acted(mixed(turns(rng)[0]), rng, trials=6)
    for trial in range(6):
        states[1:, trial] = states[1 + rng.permutation(8), trial]
    result = learned_action.analyse(recording(states, NEIGHBOURS))
    assert (result.r2_mean < 0.3).all()
    assert (result.p > 0.01).all()


def test_a_state_that_flows_do_not_change(recording, rng):
    """The identity predicts it, but tells no flow from another."""
    still = np.broadcast_to(rng.random((1, 3, 5, 1, 4, 4, 5)), (9, 3, 5, 1, 4, 4, 5)).copy()
    result = learned_action.analyse(recording(still, NEIGHBOURS))
    np.testing.assert_allclose(result.r2_mean, 1, atol=1e-3)
    assert (result.displacement == 0).all()
    assert (result.p > 0.5).all()


def test_scale_does_not_matter(recording, rng):
    states = acted(mixed(turns(rng)[0]), rng) + rng.standard_normal((9, 4, 5, 1, 6, 4, 5))
    small, large = (
        learned_action.analyse(recording(states * scale, NEIGHBOURS), permutations=2).r2
        for scale in (1e-6, 1e6)
    )
    np.testing.assert_allclose(small, large, rtol=1e-6)


def test_channels_without_partner_are_judged_apart(recording, rng):
    states, velocities = bounded(rng)
    result = learned_action.analyse(recording(states, NEIGHBOURS, velocities))
    assert float(result.r2_partner.sel(operator="linear")) > 0.99
    assert float(result.r2_mean.sel(operator="linear")) < 0.7
    np.testing.assert_allclose(result.coverage.values[[0, 1]], [4 / 9, 6 / 9])


def test_units_without_space(recording, rng):
    result = learned_action.analyse(acting_on_units(recording, rng))
    assert (result.r2_mean[1:] > 0.99).all()
    assert result.r2_partner.isnull().all()


def test_orientations_turn_with_the_grid(recording, rng):
    """Quarter turns: transport of grid and orientations is all there is."""
    from flowsim import Rotation

    flows = [0, 90, -90]
    reference = torch.from_numpy(rng.standard_normal((3, 4, 1, 2, 4, 5, 5)))
    grid = VelocityGrid(Rotation(), (0,))
    states = [Law(True, False).predict(reference, Flow(Rotation(), (u,)), grid).numpy() for u in flows]
    made = recording(np.zeros((1, 3, 4, 1, 1, 1, 1)), flow_group="rotation")
    made = made.drop_vars(["state", "flow_vy", "flow_vx", "velocity_vy", "velocity_vx"])
    made["state"] = (coordinates.ORIENTED, np.stack(states))
    made = made.assign_coords(flow_omega=("flow", flows), velocity_omega=("velocity", [0]))
    result = learned_action.analyse(made, permutations=9)
    np.testing.assert_allclose(result.r2_mean.sel(operator="permutation"), 1)
    assert result.displacement.values[:, 0].tolist() == result.flow_omega.values.tolist() == [-90, 90]


def test_few_trials_and_flows(recording, rng):
    one = recording(rng.random((2, 1, 4, 1, 3, 4, 5)), NEIGHBOURS[:2])
    with pytest.raises(
        InputError, match="expected at least 2 trials, one to fit and one to judge; the recording has 1"
    ):
        learned_action.analyse(one)
    two = learned_action.analyse(recording(rng.random((2, 2, 1, 1, 3, 4, 5)), NEIGHBOURS[:2], times=[3]))
    assert two.p.isnull().all()


def test_states_that_say_nothing(recording, rng):
    with pytest.raises(InputError, match="the state does not vary over trials, frames and pixels"):
        learned_action.analyse(recording(np.ones((9, 2, 4, 1, 3, 4, 5)), NEIGHBOURS))
    broken = rng.random((9, 2, 4, 1, 3, 4, 5))
    broken[1, 1, 2] = np.nan
    with pytest.raises(InputError, match="the state contains NaN or infinity: the network diverged"):
        learned_action.analyse(recording(broken, NEIGHBOURS))


@pytest.mark.parametrize("analysis", [learned_action, group_structure])
def test_the_features_used_are_saved_and_drawn(analysis, recording):
    """By network where these differ in number: operators on 12 and on 24 features are not of one capacity."""
    states, grid = lawful(Law(True, True), NEIGHBOURS, trials=4, times=6)
    made = recording(states, NEIGHBOURS, grid.velocities)
    fewer, all_of_them = (analysis.analyse(made, features=count, permutations=2) for count in (12, 24))
    assert (float(fewer.kept), int(fewer.features), int(fewer.features_recorded)) == (0.5, 12, 24)
    assert (float(all_of_them.kept), int(all_of_them.features)) == (1, 24)
    wide, narrow = (
        result.isel(mode=slice(0, 4)) if "mode" in result.dims else result for result in (all_of_them, fewer)
    )
    runs = xr.concat([wide, narrow], "run", join="override").assign_coords(
        run=["a", "b"], network=("run", ["a", "b"]), seed=("run", ["0", "0"])
    )
    title = analysis.figure(runs).get_suptitle()
    assert title.endswith("features of a pixel: a 24; b a random 12 of 24")
    title = analysis.figure(runs.isel(run=[0])).get_suptitle()
    assert title.endswith("features of a pixel: 24")
    used = analysis.answers(runs)["features of a pixel that operators act on"]
    assert used.values.tolist() == [24, 12]
