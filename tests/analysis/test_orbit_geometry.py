"""orbit_geometry knows transport around the torus, and by which tangent an orbit sets out."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray as xr

from analysis import orbit_geometry
from flowsim import Flow, InputError, Law, Translation, VelocityGrid
from flowsim.figures import plot
from flowsim.files import coordinates
from flowsim.flows.law import LAWS
from flowsim.measures import orbit

mpl.use("agg")
BOX = [(0, 0), *((y, x) for y in range(-1, 2) for x in range(-1, 2) if y or x)]


def travelling(recording, width, wave=1, height=4):
    """A state of one channel that is transported: waves along x, at one frame after all flows (0, k) that
    there are.
    """
    flows = [(0, k) for k in range(width)]
    x = np.arange(width)
    pattern = torch.from_numpy(np.cos(2 * np.pi * wave * x / width))[None, None, None, None].expand(
        1, 2, 1, 1, height, width
    )
    states = torch.stack([Flow(Translation(), u).transport(pattern) for u in flows]).numpy()
    return recording(states, flows)


def test_transport_around_the_torus_is_a_closed_curve(recording):
    """One Fourier mode goes round a circle; with the transport undone it stays where it is."""
    result = orbit_geometry.analyse(travelling(recording, 12))
    static, moving = result.sel(frame="static", time=1), result.sel(frame="co-moving", time=1)
    np.testing.assert_allclose(static.participation, 2)
    np.testing.assert_allclose(static.curvature, 30)
    np.testing.assert_allclose(static.straightness, 1 / 11)
    np.testing.assert_allclose(static.extent, 1)
    assert (moving.extent < 1e-12).all()
    assert moving.participation.isnull().all()
    assert moving.curvature.isnull().all()
    assert result.sel(frame="static", time=0).participation.isnull().all()
    if orbit.has_topology():
        assert result.betti.sel(frame="static").values.tolist() == [[1, 0]]
        assert result.betti.sel(frame="co-moving").values.tolist() == [[0, 0]]


def lawful(law, flows=BOX, times=4, noise=0.0):
    """States that obey one law on a closed grid, with noise added."""
    grid = VelocityGrid.closed(Translation(), (5, 5))
    generator = torch.Generator().manual_seed(0)
    reference = torch.rand(2, times, 25, 2, 5, 5, dtype=torch.float64, generator=generator)
    states = torch.stack([law.predict(reference, Flow(Translation(), u), grid) for u in flows])
    return (states + noise * torch.randn(states.shape, dtype=states.dtype, generator=generator)).numpy(), grid


@pytest.mark.parametrize("law", LAWS[1:], ids=str)
def test_the_tangent_is_that_of_the_law(law, recording):
    states, grid = lawful(law)
    made = recording(states, BOX, grid.velocities)
    result = orbit_geometry.analyse(made).isel(time=slice(1, None))
    for other in result.law.values:
        angle = result.angle.sel(law=other)
        assert (angle < 1e-5).all() if other == str(law) else (angle > 50).all()
    assert (result.angle_chance.sel(law=str(law)).max("generator") > 60).all()
    assert (result.coverage == 1).all()
    scaled = orbit_geometry.analyse(made.assign(state=1e-4 * made.state)).isel(time=slice(1, None))
    for name in ("participation", "extent", "curvature", "straightness"):
        np.testing.assert_allclose(scaled[name], result[name], rtol=1e-6, atol=1e-12)


def test_noise_and_shuffled_flows_have_no_tangent(recording, rng):
    grid = VelocityGrid.closed(Translation(), (5, 5))
    noise = recording(rng.standard_normal((9, 2, 4, 25, 2, 5, 5)), BOX, grid.velocities)
    result = orbit_geometry.analyse(noise).isel(time=slice(1, None))
    assert (result.angle > 60).all()
    assert abs(result.angle.max("generator") - result.angle_chance.max("generator")).mean() < 10
    np.testing.assert_allclose(result.participation, 8, atol=0.1)
    np.testing.assert_allclose(result.curvature, 120, atol=5)
    states, grid = lawful(Law(True, True))
    shuffled = recording(states[[0, 3, 1, 7, 8, 2, 4, 6, 5]], BOX, grid.velocities)
    assert (orbit_geometry.analyse(shuffled).angle.max("generator").isel(time=slice(1, None)) > 60).all()


def test_the_angle_grows_with_noise_as_it_should(recording):
    """Independent noise of size s is in both spans: cos(angle) is about L^2 / (L^2 + s^2 D / 2), with L the
    tangent's length.
    """
    states, grid = lawful(Law(True, False), noise=0.2)
    angle = orbit_geometry.analyse(recording(states, BOX, grid.velocities)).angle.sel(law="transport")[
        :, :, 1:
    ]
    clean, _ = lawful(Law(True, False))
    length = (((clean[7] - clean[2]) / 2) ** 2)[:, 1:].sum((2, 3, 4, 5)).mean()
    expected = np.rad2deg(np.arccos(length / (length + 0.2**2 * states[0, 0, 0].size / 2)))
    np.testing.assert_allclose(angle.mean(), expected, rtol=0.03)


def test_channels_without_a_partner_are_left_out(recording):
    box = VelocityGrid.box(Translation(), 2)
    reference = torch.rand(1, 3, 25, 2, 7, 7, dtype=torch.float64)
    laws = [Law(True, True).predict(reference, Flow(Translation(), u), box).nan_to_num(nan=7.0) for u in BOX]
    result = orbit_geometry.analyse(recording(torch.stack(laws).numpy(), BOX, box.velocities))
    assert (result.angle.sel(law="transport+shift")[..., 1:] < 1e-5).all()
    assert float(result.coverage.sel(law="transport+shift")) == pytest.approx(9 / 25)
    alone = orbit_geometry.analyse(recording(torch.rand(9, 1, 3, 1, 2, 7, 7).numpy(), BOX))
    assert alone.angle.sel(law=["shift", "transport+shift"]).isnull().all()
    assert alone.coverage.values.tolist() == [1, 0, 0]


def test_states_without_space_have_one_frame_and_no_law(recording, rng):
    made = recording(np.zeros((9, 2, 4, 1, 1, 1, 1)), BOX).drop_vars(["state", "velocity_vy", "velocity_vx"])
    line = np.array([u[1] for u in BOX])[:, None, None, None] * rng.standard_normal((1, 2, 1, 30))
    made["state"] = (coordinates.UNITS, line * np.arange(4)[:, None] + rng.standard_normal((1, 2, 4, 30)))
    result = orbit_geometry.analyse(made)
    np.testing.assert_allclose(result.participation.sel(frame="static")[:, 1:], 1)
    np.testing.assert_allclose(result.straightness.sel(frame="static", line="(0, 1)")[:, 1:], 1)
    assert result.participation.sel(frame="co-moving").isnull().all()
    assert result.angle.isnull().all()
    run = {"network": ("run", ["a"]), "run": ["a-seed0"]}
    drawn = result.expand_dims("run").assign_coords(run)
    assert "angle of the orbit to the tangent of the best law (deg)" not in orbit_geometry.answers(drawn)
    with mpl.rc_context(plot.STYLE):
        orbit_geometry.figure(drawn)
    plt.close("all")


def test_the_answer_does_not_tell_the_size_of_rounding(recording):
    states, grid = lawful(Law(True, True))
    result = orbit_geometry.analyse(recording(states, BOX, grid.velocities))
    drawn = result.expand_dims(run=["a"]).assign_coords({"network": ("run", ["a"])})
    label = "angle of the orbit to the tangent of the best law (deg)"
    assert orbit_geometry.answers(drawn)[label].item() == 0
    assert orbit_geometry.answers(drawn)[label].attrs["better"] == "lower"
    disturbed = drawn.assign(angle=drawn.angle + 1e-3)
    assert orbit_geometry.answers(disturbed)[label].item() == pytest.approx(1e-3, rel=0.01)


def test_blocks_of_frames_give_the_same(recording, monkeypatch):
    states, grid = lawful(Law(True, True), noise=0.1)
    made = recording(states, BOX, grid.velocities)
    whole = orbit_geometry.analyse(made)
    monkeypatch.setattr(orbit, "BLOCK_BYTES", 1)
    xr.testing.assert_identical(orbit_geometry.analyse(made), whole)


def test_without_ripser_topology_is_left_out(recording, monkeypatch):
    monkeypatch.setattr(orbit, "has_topology", lambda: False)
    result = orbit_geometry.analyse(travelling(recording, 8))
    assert "betti" not in result
    assert result.attrs["topology"] == "left out, without ripser"


def test_recordings_that_do_not_suffice(recording, rng):
    made = recording(rng.random((9, 1, 3, 1, 2, 4, 4)), BOX)
    with pytest.raises(InputError, match="expected 2 or more flows that move"):
        orbit_geometry.analyse(made.isel(flow=slice(2)))
    with pytest.raises(InputError, match=r"expected frame 7 \(at\) in the recording; it has 0, 1, 2"):
        orbit_geometry.analyse(made, at=7)
    made = made.assign(state=xr.where(made.state > 0.9, np.nan, made.state))
    with pytest.raises(InputError, match="the state contains NaN or infinity: the network diverged"):
        orbit_geometry.analyse(made)
    with pytest.raises(InputError, match="expected one flow at rest"):
        orbit_geometry.analyse(made.isel(flow=slice(1, None)))


def test_the_reference_is_found_by_its_velocity(recording):
    states, grid = lawful(Law(True, True), noise=0.1)
    made = recording(states, BOX, grid.velocities)
    plain = orbit_geometry.analyse(made)
    moved = orbit_geometry.analyse(made.isel(flow=[5, 3, 0, 1, 2, 4, 6, 7, 8]))
    for name in ("participation", "extent", "curvature", "straightness", "angle"):
        np.testing.assert_allclose(moved[name], plain[name])


def test_levels_of_chance_are_those_of_noise(recording, rng):
    made = recording(rng.standard_normal((9, 4, 6, 1, 2, 8, 8)), BOX)
    result = orbit_geometry.analyse(made)
    assert result.straightness_chance.values.tolist() == [0.5] * 4
    np.testing.assert_allclose(result.straightness.mean(), 0.5, atol=0.01)
    np.testing.assert_allclose(result.curvature.mean(), result.curvature_chance, atol=1)
    np.testing.assert_allclose(result.participation.mean(), result.participation_chance, atol=0.05)
    ratio = result.extent.sel(frame="co-moving") / result.extent.sel(frame="static")
    np.testing.assert_allclose(ratio.mean(), 1, atol=0.01)
    drawn = result.expand_dims("run").assign_coords({"network": ("run", ["a"]), "run": ["a-seed0"]})
    answer = orbit_geometry.answers(drawn)["straightness of lines of flows in the orbit, static frame"]
    assert answer.attrs["chance"] == 0.5
    with mpl.rc_context(plot.STYLE):
        figure = orbit_geometry.figure(drawn)
    assert figure.get_suptitle().endswith("straightness of noise 0.5")
    assert "1 / (steps) for noise" in orbit_geometry.READING


def test_states_stored_in_half_precision_have_no_shape_of_rounding(recording):
    """An exact law, whose co-moving orbit is a point: its rounding is no turn and no dimension."""
    states, grid = lawful(Law(True, False))
    rng = np.random.default_rng(0)
    rounded = recording((states * 0.37).astype(np.float16), BOX, grid.velocities)
    ulp = 2.0**-11 * rng.choice([-1, 1], rounded.state.shape)
    disturbed = rounded.assign(state=(rounded.state.astype(float) * (1 + ulp)).astype(np.float16))
    for made in (rounded, disturbed):
        result = orbit_geometry.analyse(made)
        moving = result.sel(frame="co-moving")
        assert moving.participation.isnull().all()
        assert moving.curvature.isnull().all()
        assert moving.straightness.isnull().all()
        assert result.participation.sel(frame="static")[:, 1:].notnull().all()
        assert (result.angle.sel(law="transport")[..., 1:] < 0.3).all()


@pytest.mark.parametrize("trials", [2, 5])
def test_bands_are_intervals_of_student(trials, recording, rng, monkeypatch):
    from scipy.stats import t

    made = recording(rng.random((9, trials, 3, 1, 2, 4, 4)), BOX)
    run = {"network": ("run", ["a"]), "run": ["a-seed0"]}
    result = orbit_geometry.analyse(made).expand_dims("run").assign_coords(run)
    bands = []
    monkeypatch.setattr(
        orbit_geometry.panels, "band", lambda ax, x, low, high, colour: bands.append((low, high))
    )
    with mpl.rc_context(plot.STYLE):
        orbit_geometry.figure(result)
    low, high = bands[0]
    values = result.participation.sel(frame="static")[0].isel(time=slice(1, None))
    half = t.ppf(0.975, trials - 1) * values.std("trial", ddof=1) / trials**0.5
    np.testing.assert_allclose((high - low)[1:] / 2, half, rtol=1e-6)
