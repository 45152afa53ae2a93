"""Fixed points whose stability, distance and law are known."""

import numpy as np
import pytest
import torch

from analysis import relative_fixed_points
from flowsim import InputError, Law, build, open_recording, record
from tests.known.dynamics import fixed_points
from tests.known.states import FLOWS, lawful


def test_points_that_obey_the_law_have_no_error():
    states, _ = lawful(Law(False, True), trials=3, times=1)
    result = relative_fixed_points.analyse(fixed_points(states[:, :, 0]))
    np.testing.assert_allclose(result.error.sel(law="shift")[1:], 0, atol=1e-12)
    assert (result.error.sel(law="invariant")[1:] > 1).all()
    assert (result.chance.sel(law="shift")[1:] > 1).all()
    assert (result.coverage == 1).all()
    assert result.error[:, 0].isnull().all()  # that the reference agrees with itself is no evidence


def test_points_that_know_nothing_of_flows_obey_none(rng):
    result = relative_fixed_points.analyse(fixed_points(rng.standard_normal((4, 3, 12, 2, 3, 4))))
    np.testing.assert_allclose(result.error[:, 1:], np.sqrt(2), rtol=0.1)
    np.testing.assert_allclose(result.chance[:, 1:], np.sqrt(2), rtol=0.1)
    same = np.repeat(rng.standard_normal((1, 3, 12, 2, 3, 4)), 4, 0)
    result = relative_fixed_points.analyse(fixed_points(same))
    np.testing.assert_array_equal(result.error.sel(law="invariant")[1:], 0)


def test_channels_without_a_partner_are_told_apart(rng):
    states = rng.standard_normal((2, 2, 3, 2, 4, 5))
    line = [(0, -1), (0, 0), (0, 1)]
    states[1, :, 1:] = states[0, :, :2]  # (0, 1) takes the place of (0, 0)
    result = relative_fixed_points.analyse(fixed_points(states, [(0, 0), (0, 1)], line))
    assert float(result.coverage.sel(law="shift")[1]) == pytest.approx(2 / 3)
    assert float(result.error.sel(law="shift")[1]) == 0
    none = relative_fixed_points.analyse(fixed_points(states[:, :, :1], [(0, 0), (0, 1)], [(0, 0)]))
    assert np.isnan(none.error.sel(law="shift")[1])
    assert float(none.coverage.sel(law="shift")[1]) == 0


@pytest.mark.parametrize(
    ("multipliers", "radius", "stable", "decay"),
    [
        ((0.5, 0.1), 0.5, 1, 1 / np.log(2)),
        ((0.3 + 0.4j,), 0.5, 1, 1 / np.log(2)),
        ((-1.2, 0.5), 1.2, 0, np.nan),
    ],
)
def test_stability(rng, multipliers, radius, stable, decay):
    made = fixed_points(rng.random((2, 3, 2, 1, 1, 2)), [(0, 0), (0, 1)], multipliers=multipliers)
    result = relative_fixed_points.analyse(made)
    np.testing.assert_allclose(result.radius, radius)
    np.testing.assert_array_equal(result.stable, stable)
    np.testing.assert_allclose(result.decay, decay)
    np.testing.assert_allclose(result.radius_interval, 0, atol=1e-12)


def test_multipliers_that_did_not_converge_are_left_out(rng):
    made = fixed_points(rng.random((1, 2, 2, 1, 1, 2)), [(0, 0)], multipliers=(0.5, complex(np.nan, np.nan)))
    assert (relative_fixed_points.analyse(made).radius == 0.5).all()
    none = fixed_points(rng.random((1, 2, 2, 1, 1, 2)), [(0, 0)], multipliers=(complex(np.nan, np.nan),))
    result = relative_fixed_points.analyse(none)
    assert result.radius.isnull().all()
    assert result.stable.isnull().all()


def test_slow_points_are_no_fixed_points():
    flows = sorted(FLOWS, key=lambda u: (any(u), u))
    states, _ = lawful(Law(False, True), flows, trials=3, times=1)
    residual = np.array([[0, 0, 1e-3], [0, 1, 0], [1, 1, 1], [0, 0, 0]])
    result = relative_fixed_points.analyse(fixed_points(states[:, :, 0], flows, residual=residual))
    np.testing.assert_array_equal(result.solved, residual == 0)
    assert result.stable.isnull().values.tolist() == (residual > 0).tolist()
    assert result.decay.isnull().values.tolist() == (residual > 0).tolist()
    assert result.radius.notnull().all()
    assert np.isnan(result.error.sel(law="shift")[2])
    np.testing.assert_allclose(result.error.sel(law="shift")[[1, 3]], 0, atol=1e-12)
    assert np.isnan(result.distance[2])
    loose = relative_fixed_points.analyse(
        fixed_points(states[:, :, 0], flows, residual=residual), tolerance=0.01
    )
    assert int(loose.solved.sum()) == int(result.solved.sum()) + 1


def test_distance_between_trials(rng):
    one = rng.standard_normal((1, 1, 4, 3, 5, 6))
    same = relative_fixed_points.analyse(fixed_points(np.repeat(one, 3, 1), [(0, 0)], FLOWS))
    assert same.distance.item() == 0
    apart = relative_fixed_points.analyse(
        fixed_points(rng.standard_normal((1, 3, 4, 3, 5, 6)), [(0, 0)], FLOWS)
    )
    assert apart.distance.item() == pytest.approx(np.sqrt(2), rel=0.1)


def test_units_without_space(rng):
    made = fixed_points(rng.standard_normal((1, 2, 1, 3, 1, 1)), [(0, 0)], [(0, 0)])
    units = made.fixed_point.isel(fixed_point_velocity=0, y=0, x=0, drop=True).rename(
        fixed_point_channel="fixed_point_unit"
    )
    made = made.drop_dims(["fixed_point_velocity", "fixed_point_channel"]).assign(fixed_point=units)
    result = relative_fixed_points.analyse(made)
    assert (result.radius == 0.5).all()
    assert result.error.isnull().all()


@pytest.mark.parametrize("speed", [0, 1])
def test_a_recorded_network_obeys_the_law_that_it_declares(tmp_path, rng, speed):
    """From the network to the answer: with all velocities, exactly; the G-RNN has no partner to ask."""
    torch.manual_seed(0)
    velocities = {"velocities": "closed"} if speed else {"max_speed": 0}
    network = build("fernn", (4, 5), channels=2, decoder_layers=0, **velocities).double()
    file, pictures = tmp_path / "probe.h5", rng.random((2, 4, 4, 5))
    flows = [(0, 0), (1, 0), (-1, 2)]
    record(network, pictures, file, dtype="float64", flows=flows, fixed_points={})
    with open_recording(file) as recording:
        result = relative_fixed_points.analyse(recording)
    assert (result.solved == 1).all()
    assert (result.radius < 1).all()
    shift = result.error.sel(law="shift")[1:]
    if speed:
        np.testing.assert_allclose(shift, 0, atol=1e-7)
        assert (result.error.sel(law="invariant")[1:] > 0.1).all()
    else:
        assert shift.isnull().all()
        assert (result.coverage.sel(law="shift")[1:] == 0).all()


def test_what_cannot_be_judged(rng, recording):
    with pytest.raises(
        InputError, match="expected the recording to hold 'fixed_point', .*option fixed_points"
    ):
        relative_fixed_points.analyse(recording(np.zeros((1, 1, 2, 1, 1, 3, 3))))
    states = rng.random((2, 2, 2, 1, 1, 2))
    with pytest.raises(InputError, match="expected one flow at rest"):
        relative_fixed_points.analyse(fixed_points(states, [(1, 0), (0, 1)]))
    states[0, 0] = np.nan
    with pytest.raises(InputError, match="the fixed points contains NaN or infinity"):
        relative_fixed_points.analyse(fixed_points(states, [(0, 0), (0, 1)]))
