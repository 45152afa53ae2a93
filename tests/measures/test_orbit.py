"""Shapes that are known: circles, lines, tori and noise; and angles between subspaces."""

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.linalg import subspace_angles

from flowsim import Flow, InputError, Law, Translation, VelocityGrid
from flowsim.files import coordinates
from flowsim.measures import orbit

topology = pytest.mark.skipif(not orbit.has_topology(), reason="ripser is not installed")
BOX = [(0, 0), *((y, x) for y in range(-1, 2) for x in range(-1, 2) if y or x)]


def embedded(points, rng, dimension=200):
    """Points (point, d) in a random d-dimensional plane of a space of many dimensions, away from its origin."""
    basis, _ = np.linalg.qr(rng.standard_normal((dimension, points.shape[1])))
    return points @ basis.T + rng.standard_normal(dimension)


def circle(n):
    angle = 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(angle), np.sin(angle)], 1)


@pytest.mark.parametrize("size", [1e-3, 1, 1e3])
def test_a_circle_has_two_dimensions_and_turns_evenly(size, rng):
    products, scale = orbit.gram(size * embedded(circle(12), rng))
    assert orbit.participation_ratio(products, scale) == pytest.approx(2)
    np.testing.assert_allclose(orbit.angles_between_steps(products, scale), 30)
    assert orbit.straightness(products, scale) == pytest.approx(1 / 11)
    scores, share = orbit.principal_components(products, 3)
    np.testing.assert_allclose(share, [0.5, 0.5, 0], atol=1e-12)
    np.testing.assert_allclose(np.hypot(*scores[:, :2].T), size)
    assert orbit.extent(*orbit.gram(circle(12))) == pytest.approx(1)


def test_a_straight_line_has_one_dimension_and_does_not_turn(rng):
    products, scale = orbit.gram(embedded(np.arange(-3.0, 4)[:, None], rng))
    assert orbit.participation_ratio(products, scale) == pytest.approx(1)
    np.testing.assert_allclose(orbit.angles_between_steps(products, scale), 0, atol=1e-4)
    assert orbit.straightness(products, scale) == pytest.approx(1)


def test_noise_fills_all_dimensions_and_turns_by_120_degrees(rng):
    products, scale = orbit.gram(rng.standard_normal((9, 20000)))
    assert orbit.participation_ratio(products, scale) == pytest.approx(8, abs=0.05)
    np.testing.assert_allclose(orbit.angles_between_steps(products, scale), 120, atol=2)
    assert orbit.straightness(products, scale) == pytest.approx(1 / 8, abs=0.01)


@pytest.mark.parametrize("points", [3, 9])
@pytest.mark.parametrize("dimensions", [16, 400])
def test_the_shape_of_noise_is_that_of_theory(points, dimensions, rng):
    shapes = []
    for _ in range(400):
        products, scale = orbit.gram(rng.standard_normal((points, dimensions)))
        turn = orbit.angles_between_steps(products, scale).mean()
        shapes.append([orbit.participation_ratio(products, scale), orbit.straightness(products, scale), turn])
    participation, straightness, turn = np.mean(shapes, 0)
    assert participation == pytest.approx(orbit.participation_of_noise(points, dimensions), rel=0.02)
    assert straightness == pytest.approx(orbit.straightness_of_noise(points), rel=0.02)
    assert turn == pytest.approx(orbit.TURN_OF_NOISE, abs=1.5)


def test_a_point_has_no_shape():
    products, scale = orbit.gram(np.ones((5, 3)))
    assert np.isnan(orbit.participation_ratio(products, scale))
    assert np.isnan(orbit.angles_between_steps(products, scale)).all()
    assert np.isnan(orbit.straightness(products, scale))
    assert orbit.extent(products, scale) == 0


@topology
def test_loops_and_hollows(rng):
    def betti(points):
        return orbit.betti(orbit.distances(orbit.gram(points)[0]), 2.0).tolist()

    both = np.concatenate(np.broadcast_arrays(circle(12)[:, None], circle(12)[None]), -1).reshape(144, 4)
    assert betti(embedded(both, rng)) == [2, 1]
    assert betti(embedded(circle(10), rng)) == [1, 0]
    assert betti(embedded(np.arange(10.0)[:, None], rng)) == [0, 0]
    assert [betti(rng.standard_normal((40, 3))) for _ in range(20)] == [[0, 0]] * 20


def test_principal_angles_are_those_of_scipy(rng):
    for first in (1, 2, 3):
        a, b = rng.standard_normal((first, 50)), rng.standard_normal((2, 50))
        b[0] += 3 * a[0]
        both = np.concatenate([a, b])
        expected = np.rad2deg(subspace_angles(a.T, b.T))[::-1]
        np.testing.assert_allclose(orbit.principal_angles(both @ both.T, first, 1.0), expected, rtol=1e-9)
    flat = np.concatenate([a[:1], a[:1], b])  # one of the spans has lost a dimension
    one, none = orbit.principal_angles(flat @ flat.T, 2, 1.0)
    assert one == pytest.approx(np.rad2deg(subspace_angles(a[:1].T, b.T)[0]))
    assert np.isnan(none)
    assert np.isnan(orbit.principal_angles(np.diag([0.0, 0, 1, 1]), 2, 1.0)).all()


def test_lines_through_a_box_of_flows():
    assert orbit.lines_of_flows(np.array(BOX, float)) == {
        "(1, 0)": [2, 0, 7],
        "(0, 1)": [4, 0, 5],
        "(1, 1)": [1, 0, 8],
        "(1, -1)": [3, 0, 6],
    }
    assert orbit.lines_of_flows(np.array([[0.0], [-20], [-10], [10], [20], [90]])) == {
        "(10)": [1, 2, 0, 3, 4]
    }
    assert orbit.lines_of_flows(np.array([[0, 0], [1, 0], [0, 1.0]])) == {}


def test_of_flows_that_are_listed_twice_the_first_counts_and_gaps_end_a_line():
    assert orbit.lines_of_flows(np.array([[1.0], [0], [-1], [0], [1], [3]])) == {"(1)": [2, 1, 0]}
    assert orbit.lines_of_flows(np.array([[-1.0], [1]])) == {}  # nothing rests


def test_differences_are_taken_between_the_slowest_opposite_flows():
    flows = np.array([[0.0, 0], [2, 0], [-2, 0], [1, 0], [-1, 0], [0, 1], [1, 1], [-1, -1]])
    assert orbit.differences(flows).tolist() == [[0, 0, 0, 0.5, -0.5, 0, 0, 0]]
    assert orbit.differences(flows[[0, 1, 5]]).shape == (0, 3)


def lawful_points(law, flows, time):
    """States at one time that obey a law, (flow, velocity, channel, y, x), and their grid."""
    grid = VelocityGrid.closed(Translation(), (5, 5))
    generator = torch.Generator().manual_seed(0)
    reference = torch.rand(1, 1, 25, 2, 5, 5, dtype=torch.float64, generator=generator)
    return torch.stack([law.predict(reference, flow, grid, [time])[0, 0] for flow in flows]), grid


def test_tangent_angles_are_0_for_the_law_that_holds_and_wide_for_others(rng):
    flows = [Flow(Translation(), velocity) for velocity in BOX]
    points, grid = lawful_points(Law(True, True), flows, 2)
    angles, coverage = orbit.tangent_angles(points, flows, Law(True, True), grid, 2, 10, rng)
    assert (angles[0] < 1e-5).all()
    assert (angles[1] > 40).all()  # shuffled flows
    assert coverage == 1
    angles, _ = orbit.tangent_angles(points, flows, Law(True, False), grid, 2, 10, rng)
    assert (angles[0] > 50).all()


def test_tangent_angles_where_nothing_can_be_said(rng):
    flows = [Flow(Translation(), velocity) for velocity in BOX]
    points, _ = lawful_points(Law(True, False), flows, 2)
    alone = VelocityGrid(Translation(), ((0, 0),))
    angles, coverage = orbit.tangent_angles(points[:, :1], flows, Law(False, True), alone, 2, 3, rng)
    assert np.isnan(angles).all()
    assert angles.shape == (2, 2)
    assert coverage == 0
    one_sided = [0, BOX.index((0, 1)), BOX.index((1, 0))]
    some = [flows[flow] for flow in one_sided]
    angles, coverage = orbit.tangent_angles(points[one_sided, :1], some, Law(True, False), alone, 2, 3, rng)
    assert angles.shape == (2, 0)
    assert coverage == 0


@pytest.mark.parametrize("block_bytes", [1, 2**27])
def test_orbits_are_those_of_each_trial_and_frame(block_bytes, rng, monkeypatch):
    monkeypatch.setattr(orbit, "BLOCK_BYTES", block_bytes)
    state = xr.DataArray(rng.random((4, 2, 3, 5), np.float32), dims=coordinates.UNITS)
    seen = {(trial, frame): points for trial, frame, points in orbit.orbits(state)}
    assert list(seen) == [(trial, frame) for trial in range(2) for frame in range(3)]
    for (trial, frame), points in seen.items():
        assert points.dtype == torch.float64
        np.testing.assert_array_equal(points, state.values[:, trial, frame])


def test_orbits_of_a_diverged_network_are_an_error():
    state = xr.DataArray(np.full((3, 1, 2, 4), np.inf), dims=coordinates.UNITS)
    with pytest.raises(InputError, match="the state contains NaN or infinity: the network diverged"):
        list(orbit.orbits(state))
