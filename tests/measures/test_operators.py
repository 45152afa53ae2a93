"""Operators fitted to states with a known action, and to states with none; what group they form."""

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from analysis import group_structure, learned_action
from flowsim import Flow, InputError, Law, Translation, VelocityGrid
from flowsim.files import coordinates
from flowsim.measures.comoving import States
from flowsim.measures.eigenphases import linearity, slopes
from flowsim.measures.operators import OPERATORS, fit_operators, ridge

FLOWS = [(0, 0), *((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x)]
LINE = [(0, 0), (0, -2), (0, -1), (0, 1), (0, 2)]


def acted(action, rng, flows=FLOWS, trials=4, times=5, features=6, shape=(4, 5)):
    """States (flow, trial, time, 1, feature, y, x): ``action(reference, u)``, carried along by the flow u."""
    reference = torch.from_numpy(rng.standard_normal((trials, times, 1, features, *shape)))
    return np.stack([Flow(Translation(), u).transport(action(reference, u)).numpy() for u in flows])


def mixed(matrix):
    """The action of a matrix on features."""
    return lambda state, u: torch.einsum("kpvfyx,gf->kpvgyx", state, torch.from_numpy(matrix(u)))


@pytest.fixture
def turns(rng):
    """u -> exp(u . A) of two commuting antisymmetric matrices, and the rates (mode, component) at which its
    planes turn.
    """
    rates = np.array([[0.9, 0.3], [-0.4, 1.1], [0.2, -0.7]])
    basis = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    plane = np.kron(np.eye(3), [[0, -1], [1, 0]])
    generators = [basis @ (np.kron(np.diag(r), np.ones((2, 2))) * plane) @ basis.T for r in rates.T]
    return (lambda u: expm(u[0] * generators[0] + u[1] * generators[1])), rates


@pytest.fixture
def lawful(rng):
    """States that obey transport+shift exactly on a closed grid, and its velocities."""
    grid = VelocityGrid.closed(Translation(), (3, 4))
    reference = torch.from_numpy(rng.random((4, 6, 12, 2, 3, 4)))
    states = [Law(True, True).predict(reference, Flow(Translation(), u), grid) for u in FLOWS]
    return np.stack([s.numpy() for s in states]), grid.velocities


@pytest.fixture
def noise(rng):
    return rng.standard_normal((9, 4, 6, 1, 4, 5, 6))


def test_a_declared_law_is_found_blindly(lawful, recording):
    states, velocities = lawful
    result = learned_action.analyse(recording(states, FLOWS, velocities))
    np.testing.assert_allclose(result.r2.sel(operator="permutation"), 1)
    assert (result.r2.sel(operator=["orthogonal", "linear"]) > 0.999).all()
    np.testing.assert_array_equal(result.displacement, FLOWS[1:])
    assert (result.coverage == 1).all()
    np.testing.assert_allclose(result.r2_partner[:3], 1, atol=1e-3)
    assert (result.p == 0.001).all()
    assert (result.null < 0).all()


def test_a_declared_law_forms_a_group(lawful, recording):
    states, velocities = lawful
    result = group_structure.analyse(recording(states, FLOWS, velocities))
    for name in ("homomorphism", "homomorphism_partner", "inverse"):
        np.testing.assert_allclose(result[name], 0, atol=1e-2)
        assert (result[f"{name}_null"] > 1).all()
    assert (result.linearity > 0.999).all()
    assert (result.linearity_null < 0.5).all()
    # Shifts of Z_3 x Z_4 turn by multiples of 2 pi / 3 and of 2 pi / 4.
    phase = result.phase.sel(operator="orthogonal").values[[FLOWS[1:].index((1, 0)), FLOWS[1:].index((0, 1))]]
    np.testing.assert_allclose(np.exp(1j * phase * [[3], [4]]), 1, atol=0.05)


def test_classes_are_ordered_by_freedom(turns, recording, rng):
    """Each class predicts what it holds, and those that are less free do not."""
    stretched = rng.standard_normal((6, 6))
    for action, exact in (
        (mixed(turns[0]), 1),
        (mixed(lambda u: stretched if any(u) else np.eye(6)), 2),
        (neighbour, 3),
    ):
        r2 = learned_action.analyse(
            recording(acted(action, rng, shape=(6, 7)), FLOWS), permutations=9
        ).r2_mean
        assert (r2[exact:] > 0.99).all()
        assert (r2[:exact] < 0.9).all()


def neighbour(state, u):
    """Partly from the pixel to the left, as of a state that lags."""
    return state + 0.7 * torch.roll(state, (0, 1), (-2, -1)) if any(u) else state


def test_a_group_of_rotations(turns, recording, rng):
    matrix, rates = turns
    result = group_structure.analyse(recording(acted(mixed(matrix), rng), FLOWS))
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
    result = group_structure.analyse(recording(same, FLOWS))
    for name in ("homomorphism", "inverse"):
        np.testing.assert_allclose(result[name], 0, atol=1e-4)
        np.testing.assert_allclose(result[f"{name}_null"], 0, atol=1e-4)
    noisy = mixed(lambda u: np.eye(6) + 0.12 * any(u) * rng.standard_normal((6, 6)))
    result = group_structure.analyse(recording(acted(noisy, rng), FLOWS))
    for name in ("homomorphism", "inverse"):
        assert (result[name] > 0.2).all()
        np.testing.assert_allclose(result[name], result[f"{name}_null"], rtol=0.15)


def test_noise_has_no_action(noise, recording):
    result = learned_action.analyse(recording(noise, FLOWS))
    assert (result.r2_mean <= 0).all()
    np.testing.assert_allclose(result.r2_mean.sel(operator=["permutation", "orthogonal"]), -1, atol=0.2)
    group = group_structure.analyse(recording(noise, FLOWS)).sel(operator="orthogonal")
    np.testing.assert_allclose(group.homomorphism, np.sqrt(2), atol=0.15)
    np.testing.assert_allclose(group.homomorphism_null, np.sqrt(2), atol=0.15)
    assert float(group.linearity) < 0.5


def test_false_positives_are_at_the_nominal_level(recording, rng):
    p = []
    for _ in range(40):
        states = rng.standard_normal((6, 2, 3, 1, 2, 3, 3))
        result = learned_action.analyse(recording(states, FLOWS[:6]), permutations=99, folds=2)
        p.append(result.p.sel(operator="linear"))
    assert np.mean(np.array(p) <= 0.05) < 0.15
    assert 0.35 < np.mean(p) < 0.65


def test_shuffled_flows_have_no_action(turns, recording, rng):
    """Labels exchanged in every trial: nothing is left of the action, and the null contains what is found."""
    states = acted(mixed(turns[0]), rng, trials=6)
    for trial in range(6):
        states[1:, trial] = states[1 + rng.permutation(8), trial]
    result = learned_action.analyse(recording(states, FLOWS))
    assert (result.r2_mean < 0.3).all()
    assert (result.p > 0.01).all()


def test_a_state_that_flows_do_not_change(recording, rng):
    """The identity predicts it, but tells no flow from another."""
    still = np.broadcast_to(rng.random((1, 3, 5, 1, 4, 4, 5)), (9, 3, 5, 1, 4, 4, 5)).copy()
    result = learned_action.analyse(recording(still, FLOWS))
    np.testing.assert_allclose(result.r2_mean, 1, atol=1e-3)
    assert (result.displacement == 0).all()
    assert (result.p > 0.5).all()


def test_scale_does_not_matter(turns, recording, rng):
    states = acted(mixed(turns[0]), rng) + rng.standard_normal((9, 4, 5, 1, 6, 4, 5))
    for analysis, name in ((learned_action, "r2"), (group_structure, "homomorphism")):
        small, large = (
            analysis.analyse(recording(states * s, FLOWS), permutations=2)[name] for s in (1e-6, 1e6)
        )
        np.testing.assert_allclose(small, large, rtol=1e-6)


def test_channels_without_partner_are_told_apart(recording, rng):
    box = VelocityGrid.box(Translation(), 1)
    reference = torch.from_numpy(rng.standard_normal((4, 5, 9, 1, 5, 6)))
    states = [Law(True, True).predict(reference, Flow(Translation(), u), box) for u in FLOWS]
    states = np.stack([torch.where(s.isnan(), torch.randn_like(s), s).numpy() for s in states])
    result = learned_action.analyse(recording(states, FLOWS, box.velocities))
    assert float(result.r2_partner.sel(operator="linear")) > 0.99
    assert float(result.r2_mean.sel(operator="linear")) < 0.7
    np.testing.assert_allclose(result.coverage.values[[0, 1]], [4 / 9, 6 / 9])
    group = group_structure.analyse(recording(states, FLOWS, box.velocities)).sel(operator="linear")
    assert float(group.homomorphism_partner) < 0.15 < 0.3 < float(group.homomorphism)


def test_units_without_space(turns, recording, rng):
    """One pixel, which no flow moves; a matrix acts on the units."""
    reference = rng.standard_normal((8, 20, 6))
    made = recording(np.zeros((9, 8, 20, 1, 1, 1, 1)), FLOWS).drop_vars(
        ["state", "velocity_vy", "velocity_vx"]
    )
    made["state"] = (coordinates.UNITS, np.stack([reference @ turns[0](u).T for u in FLOWS]))
    result = learned_action.analyse(made)
    assert (result.r2_mean[1:] > 0.99).all()
    assert result.r2_partner.isnull().all()
    group = group_structure.analyse(made)
    np.testing.assert_allclose(group.homomorphism, 0, atol=1e-3)
    assert group.homomorphism_partner.isnull().all()


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
    assert result.displacement.values[:, 0].tolist() == [90, -90]


def test_ridge_is_that_of_scikit_learn(rng):
    from sklearn.linear_model import Ridge

    x, y = rng.standard_normal((30, 4)), rng.standard_normal((2, 30, 3))
    xx, xy = (x.T @ x)[None], np.stack([x.T @ of for of in y])[None]
    ours = ridge(xx, xy, (y**2).sum((1, 2))[None])
    alpha = 1e-3 * np.trace(xx[0]) / 4
    for u in range(2):
        theirs = Ridge(alpha=alpha, fit_intercept=False).fit(x, y[u])
        np.testing.assert_allclose(ours[u], theirs.coef_.T)


def test_the_penalty_grows_with_noise(rng):
    """Of few rows with no relation, groups left out choose to predict nothing."""
    x, y = rng.standard_normal((3, 8, 6)), rng.standard_normal((3, 1, 8, 2))
    xx, xy = np.einsum("gni,gnj->gij", x, x), np.einsum("gni,gunj->guij", x, y)
    loose = ridge(xx.sum(0)[None], xy.sum(0)[None], (y**2).sum((0, 2, 3))[None])
    assert np.linalg.norm(ridge(xx, xy, (y**2).sum((2, 3)))) < 0.5 * np.linalg.norm(loose)


def test_slopes_of_phases(rng):
    velocities, true = np.array(FLOWS[1:], float), rng.uniform(-3, 3, (5, 2))
    phase = np.angle(np.exp(1j * velocities @ true.T))
    np.testing.assert_allclose(slopes(phase, velocities), true, atol=1e-9)
    assert linearity(phase, np.ones(5), velocities)[0] == pytest.approx(1)
    tens = slopes(phase, 10 * velocities)
    np.testing.assert_allclose(tens, true / 10, atol=1e-9)
    found = [linearity(rng.uniform(-np.pi, np.pi, (8, 20)), np.ones(20), velocities)[0] for _ in range(10)]
    assert np.mean(found) < 0.1


def test_few_trials_and_flows(recording, rng):
    one = recording(rng.random((2, 1, 4, 1, 3, 4, 5)), FLOWS[:2])
    with pytest.raises(
        InputError, match="expected at least 2 trials, one to fit and one to judge; the recording has 1"
    ):
        learned_action.analyse(one)
    result = group_structure.analyse(one)
    assert result.homomorphism.isnull().all()
    assert result.linearity_half.isnull().all()
    with pytest.raises(InputError, match="expected flows besides the reference; the recording has 1 flow"):
        group_structure.analyse(one.isel(flow=[0]))
    two = learned_action.analyse(recording(rng.random((2, 2, 1, 1, 3, 4, 5)), FLOWS[:2], times=[3]))
    assert two.p.isnull().all()


def test_states_that_say_nothing(recording, rng):
    with pytest.raises(InputError, match="the state does not vary over trials, frames and pixels"):
        learned_action.analyse(recording(np.ones((9, 2, 4, 1, 3, 4, 5)), FLOWS))
    broken = rng.random((9, 2, 4, 1, 3, 4, 5))
    broken[1, 1, 2] = np.nan
    with pytest.raises(InputError, match="the state contains NaN or infinity: the network diverged"):
        learned_action.analyse(recording(broken, FLOWS))


def test_parts_of_channels_and_pixels(lawful, recording):
    """Velocities stay together, so the law still holds."""
    states, velocities = lawful
    made = recording(states, FLOWS, velocities)
    few = States(made, 12, 6, 0)
    assert (few.features, len(few.pixels), few.channel_share) == (12, 6, 0.5)
    fitted = fit_operators(few, range(4), 12, 1.0)
    assert set(fitted.matrices) == set(OPERATORS[1:])
    np.testing.assert_allclose(learned_action.analyse(made, features=12, pixels=6).r2[0], 1)


@pytest.mark.parametrize("analysis", [learned_action, group_structure])
def test_the_share_of_channels_is_saved_and_drawn(analysis, lawful, recording):
    states, velocities = lawful
    made = recording(states, FLOWS, velocities)
    for features, share, text in ((12, 0.5, ", a random 0.5 of channels"), (24, 1, "")):
        result = analysis.analyse(made, features=features, permutations=2)
        assert float(result.kept) == share
        runs = result.expand_dims("run").assign_coords(run=["a"], network=("run", ["a"]), seed=("run", ["0"]))
        title = analysis.figure(runs).get_suptitle()
        assert title.endswith(text)
        assert ("random" in title) == bool(text)
