"""Motion is what the coordinates say it is, as seen by a measure of motion energy that knows nothing of them."""

import numpy as np
import pytest
import torch

from flowsim import InputError
from flowsim.measures.motion_energy import best_velocity, motion_energies, motion_energy
from flowsim.scenes.scene import Scene
from stimuli import drifting_gratings, motion_clouds, moving_digits, random_dots


def generate(family, split="test", seed=0, **spec):
    return family.generate(split, np.random.default_rng(seed), **spec)


def truth(made, name="velocity"):
    return np.stack([made[f"{name}_vy"], made[f"{name}_vx"]], -1)


def found(made, **spec):
    return np.array([best_velocity(frames, **spec) for frames in made.frames.values])


def assert_same_motion(seen, true, degrees=3.0, share=0.05):
    """Directions (where anything moves) and speeds of velocities (trial, 2)."""
    speeds, fast = np.hypot(*seen.T), np.hypot(*true.T)
    angle = np.rad2deg(np.arctan2(*seen.T) - np.arctan2(*true.T))
    off = abs((angle + 180) % 360 - 180)
    assert off[fast > 0].max(initial=0) <= degrees
    np.testing.assert_allclose(speeds, fast, rtol=share, atol=0.01)


# The measure


@pytest.mark.parametrize("velocity", [(0, 0), (1, 0), (0, -1), (-3, 2), (5, 6)])
def test_measure_of_a_rolled_texture_is_exact(velocity):
    still = np.random.default_rng(0).uniform(size=(15, 14))
    frames = np.stack([np.roll(still, (t * velocity[0], t * velocity[1]), (0, 1)) for t in range(4)])
    np.testing.assert_allclose(best_velocity(frames), velocity, atol=1e-10)
    assert motion_energy(frames, velocity) == pytest.approx(1)
    np.testing.assert_allclose(best_velocity(frames[::-1]), np.negative(velocity), atol=1e-10)
    brighter = frames * 3 + np.arange(4)[:, None, None]  # luminance and contrast do not matter
    np.testing.assert_allclose(best_velocity(frames * 3), velocity, atol=1e-10)
    assert motion_energy(brighter, velocity) == pytest.approx(1)


def test_measure_of_a_grating_is_the_slowest_velocity_that_explains_it():
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:48, :48]
    for _ in range(60):
        wave = rng.integers(1, 15, 2) * rng.choice([-1, 1], 2) / 48
        temporal = rng.uniform(0, 0.4)
        cycles = wave[0] * y + wave[1] * x - temporal * np.arange(10)[:, None, None] + rng.uniform()
        seen = best_velocity(np.cos(2 * np.pi * cycles).astype(np.float32))
        np.testing.assert_allclose(seen, temporal * wave / (wave @ wave), atol=1e-4)


def test_measure_sees_no_motion_where_there_is_none():
    rng = np.random.default_rng(0)
    still = np.repeat(rng.uniform(size=(1, 12, 13)), 8, 0)
    np.testing.assert_allclose(best_velocity(still), 0, atol=1e-10)
    flicker = still * (1 + rng.uniform(size=(8, 1, 1)))
    np.testing.assert_allclose(best_velocity(flicker), 0, atol=1e-10)
    for velocity in ((1, 0), (0.5, -2)):
        back = (-velocity[0], -velocity[1])
        assert motion_energy(flicker, velocity) == pytest.approx(motion_energy(flicker, back))
    noise = rng.uniform(size=(20, 32, 32))
    assert motion_energy(noise, best_velocity(noise)) < 0.1
    blank = np.full((3, 8, 8), 0.5)
    assert best_velocity(blank) == (0, 0)
    assert motion_energy(blank, (0, 0)) == 0


def test_measure_within_bounds():
    still = np.random.default_rng(0).uniform(size=(16, 16))
    frames = np.stack([np.roll(still, 6 * t, 1) for t in range(5)])
    assert abs(best_velocity(frames, max_speed=2)[1]) < 3
    wave = np.cos(2 * np.pi * (np.arange(16) / 16 - 0.1 * np.arange(9)[:, None]))
    ripple = np.cos(np.pi * (np.arange(16) + np.arange(9)[:, None]))
    both = np.repeat(
        (wave + 3 * ripple)[:, None], 16, 1
    )  # 1.6 px/frame, under a stronger one at 0.5 cycles/px
    assert best_velocity(both, highest=0.3)[1] == pytest.approx(1.6)
    assert best_velocity(both)[1] != pytest.approx(1.6, abs=0.2)
    assert motion_energy(both, (0, 1.6), highest=0.3) == pytest.approx(1)


@pytest.mark.parametrize("shape", [(1, 8, 8), (8, 8)])
def test_measure_needs_two_frames(shape):
    for measure in (best_velocity, lambda frames: motion_energy(frames, (0, 0))):
        with pytest.raises(InputError, match=r"expected \(time, y, x\) with 2 frames or more; got"):
            measure(np.zeros(shape))


def test_motion_energies_are_those_of_one_velocity(rng):
    frames = rng.random((2, 7, 8))
    for gap in (1, 2):
        energy = motion_energies(*frames, 2, gap)
        for vy, vx in ((0, 0), (-2, 1), (2, 2)):
            expected = motion_energy(frames, (gap * vy, gap * vx))
            assert energy[vy + 2, vx + 2] == pytest.approx(expected)


# The stimuli move as they say


def test_gratings_move_across_their_bars():
    spec = {"temporal_frequencies": [0.0, 0.1, 0.3], "trials": 12}
    pythagorean = np.rad2deg(
        np.arctan2([3, -4, 3], [4, 3, -4])
    )  # whole cycles on the frame: (3, 4) and the like
    made = generate(drifting_gratings, height=40, width=40, directions=pythagorean, **spec)
    assert_same_motion(found(made), truth(made)[:, 0], degrees=0.1, share=0.001)
    behind = {
        "height": 64,
        "width": 64,
        "aperture": "gaussian",
        "radius": 12,
        "directions": [10, 45, 130, 250],
    }
    made = generate(drifting_gratings, **behind, **spec)
    assert_same_motion(found(made), truth(made)[:, 0])


@pytest.mark.parametrize("angle", [60, 90, 120])
def test_plaids_move_at_the_pattern_velocity(angle):
    spec = {"components": 2, "plaid_angle": angle, "temporal_frequencies": [0.05, 0.2], "trials": 8}
    behind = {"height": 64, "width": 64, "aperture": "gaussian", "radius": 14, "directions": [20, 110, 300]}
    made = generate(drifting_gratings, **behind, **spec)
    assert_same_motion(found(made), truth(made, "pattern"))
    apart = np.hypot(*(found(made) - truth(made)[:, 0]).T)
    assert (apart > 0.1).all(), "not one component's"


@pytest.mark.parametrize("bandwidth", [0, 0.1])
def test_clouds_move_at_their_mean_velocity(bandwidth):
    made = generate(
        motion_clouds,
        height=32,
        width=32,
        frames=16,
        velocities="real",
        max_speed=3,
        B_V=bandwidth,
        trials=12,
    )
    assert_same_motion(
        found(made), truth(made)[:, 0], **({} if bandwidth else {"degrees": 0.1, "share": 0.001})
    )


def test_broad_clouds_move_at_their_mean_velocity_on_average():
    made = generate(
        motion_clouds, height=32, width=32, frames=16, velocities=[(0.7, -1.3)], B_V=0.5, trials=40
    )
    assert_same_motion(found(made).mean(0)[None], truth(made)[:1, 0])


@pytest.mark.parametrize("velocities", [None, "real"])
def test_digits_move_as_they_say(velocities):
    made = generate(
        moving_digits,
        height=32,
        width=32,
        frames=16,
        objects=1,
        max_speed=3,
        velocities=velocities,
        trials=12,
    )
    assert_same_motion(found(made), truth(made)[:, 0].astype(float))


def test_dots_move_as_they_say():
    spec = {"height": 32, "width": 32, "frames": 16, "coherence": 1.0, "trials": 16}
    whole = generate(random_dots, directions=[0, 90, 180, 270], speeds=[1, 2], **spec)
    assert_same_motion(found(whole), truth(whole)[:, 0], degrees=0.1, share=0.001)
    between = generate(random_dots, directions=[20, 45, 100, 310], speeds=[0.5, 1, 2.3], **spec)
    assert_same_motion(found(between, highest=0.3), truth(between)[:, 0])


def test_incoherent_dots_do_not():
    spec = {"height": 32, "width": 32, "frames": 16, "directions": [0], "speeds": [1], "trials": 6}
    energy = [
        np.mean(
            [motion_energy(f, (0, 1)) for f in generate(random_dots, coherence=share, **spec).frames.values]
        )
        for share in (0, 0.5, 1)
    ]
    assert abs(energy[0]) < 0.1
    assert 0.3 < energy[1] < 0.7
    assert energy[2] == pytest.approx(1, abs=1e-3)


MOVING = {
    "grating": (drifting_gratings, {"directions": [0]}),
    "cloud": (motion_clouds, {"velocities": [(0, 1)]}),
    "digit": (moving_digits, {"velocities": [(0, 1)], "objects": 1}),
    "dots": (random_dots, {"directions": [0], "speeds": [1]}),
}


@pytest.mark.parametrize("name", MOVING)
def test_direction_is_of_the_order_of_frames(name):
    family, spec = MOVING[name]
    made = generate(family, height=24, width=24, frames=24, trials=6, **spec)
    forth, back, shuffled = [], [], []
    for frames in made.frames.values:
        forth.append(motion_energy(frames, (0, 1)) - motion_energy(frames, (0, -1)))
        back.append(motion_energy(frames[::-1], (0, 1)) - motion_energy(frames[::-1], (0, -1)))
        order = np.random.default_rng(0).permutation(24)
        shuffled.append(motion_energy(frames[order], (0, 1)) - motion_energy(frames[order], (0, -1)))
    assert min(forth) > 0.5
    np.testing.assert_allclose(back, np.negative(forth))
    assert abs(np.mean(shuffled)) < 0.2 * np.mean(forth)


def test_counterphase_gratings_have_no_direction():
    made = generate(drifting_gratings, components=2, plaid_angle=180, directions=[0], trials=4)
    for frames in made.frames.values:
        assert motion_energy(frames, (0, 1)) == pytest.approx(motion_energy(frames, (0, -1)))


# Clouds are what was published


def spectrum(made):
    """Mean power of the frames of each trial (trial, y, x), and frequencies along y and x."""
    power = (abs(np.fft.fft2(made.frames.values)) ** 2).mean(1)
    power[:, 0, 0] = 0
    fy, fx = (np.fft.fftfreq(n) for n in power.shape[1:])
    return power, fy[:, None], fx[None]


@pytest.mark.parametrize(("height", "width"), [(20, 27), (27, 20)])
def test_rigid_clouds_have_the_published_spectrum(height, width):
    spec = {"sf_0": 0.25, "B_sf": 0.15, "theta": 30.0, "B_theta": 15.0, "alpha": 0.5}
    made = generate(
        motion_clouds, height=height, width=width, B_V=0, trials=3, velocities=[(0, 1), (1, 1)], **spec
    )
    power, fy, fx = spectrum(made)
    r, up = np.hypot(fy, fx), np.arctan2(-fy, fx)
    r[0, 0] = np.inf
    envelope = (
        np.exp(-0.5 * (np.log(r / 0.25) / np.log(1 + 0.15 / 0.25)) ** 2, where=r < 9, out=np.zeros_like(r))
        / r
    )
    envelope *= np.exp(np.cos(2 * (up - np.pi / 6)) / (4 * (np.pi / 12) ** 2)) / r**0.5
    envelope[np.broadcast_to((abs(fy) == 0.5) | (abs(fx) == 0.5), r.shape)] = 0
    for one in power:
        np.testing.assert_allclose(np.sqrt(one / one.max()), envelope / envelope.max(), atol=1e-3)


@pytest.mark.parametrize("sf_0", [0.1, 0.2, 0.3])
@pytest.mark.parametrize("loggabor", [True, False])
def test_spatial_frequency_of_clouds(sf_0, loggabor):
    made = generate(
        motion_clouds, height=64, width=64, frames=4, sf_0=sf_0, B_sf=0.02, loggabor=loggabor, trials=4
    )
    power, fy, fx = spectrum(made)
    mean = (power * np.hypot(fy, fx)).sum((1, 2)) / power.sum((1, 2))
    np.testing.assert_allclose(mean, sf_0, rtol=0.05)
    wider = spectrum(generate(motion_clouds, height=64, width=64, frames=4, sf_0=sf_0, B_sf=0.05, trials=4))[
        0
    ]
    spread = [np.sqrt((p * (np.hypot(fy, fx) - sf_0) ** 2).sum() / p.sum()) for p in (power, wider)]
    assert spread[1] > 1.7 * spread[0]


@pytest.mark.parametrize("theta", [0.0, 40.0, 90.0, 160.0])
def test_orientation_of_clouds(theta):
    made = generate(
        motion_clouds, height=64, width=64, frames=4, sf_0=0.2, theta=theta, B_theta=8.0, trials=4
    )
    power, fy, fx = spectrum(made)
    double = (power * np.exp(2j * np.arctan2(-fy, fx))).sum((1, 2)) / power.sum((1, 2))
    off = (np.rad2deg(np.angle(double)) / 2 - theta + 90) % 180 - 90
    assert abs(off).max() < 1.5
    # of the power, which is the amplitude squared: 8 / sqrt 2
    assert np.rad2deg(np.sqrt(-np.log(abs(double)) / 2)).mean() == pytest.approx(8 / np.sqrt(2), rel=0.1)
    np.testing.assert_array_equal(made.theta, theta)


def test_orientation_along_the_motion():
    made = generate(motion_clouds, velocities=[(-1, 1), (0, -1), (1, 0)], theta="direction", B_theta=8.0)
    expected = {(-1, 1): 45, (0, -1): 0, (1, 0): 90}
    assert [expected[vy, vx] for vy, vx in truth(made)[:, 0]] == list(made.theta.values)
    assert "theta" not in generate(motion_clouds).coords


def test_wider_bandwidths_of_speed_leave_the_plane():
    spec = {
        "height": 32,
        "width": 32,
        "frames": 12,
        "velocities": [(1, 0.5)],
        "sf_0": 0.2,
        "B_sf": 0.01,
        "trials": 12,
    }
    for bandwidth in (0, 0.2, 0.5, 1.0):
        made = generate(motion_clouds, B_V=bandwidth, **spec)
        energy = np.mean([motion_energy(frames, (1, 0.5)) for frames in made.frames.values])
        # the mean of cos(2 pi d) over the power across the plane, a Gaussian of variance (B_V sf_0)^2 / 2
        assert energy == pytest.approx(np.exp(-((np.pi * bandwidth * 0.2) ** 2)), abs=0.03)


def test_clouds_forget_as_their_envelope_says():
    made = generate(motion_clouds, B_V=0.4, B_sf=0.3, velocities=[(0.5, -1.25)], frames=8, trials=200)
    waves = np.fft.fft2(made.frames.values)
    fy, fx = np.fft.fftfreq(16)[:, None], np.fft.fftfreq(16)
    r = np.hypot(fy, fx)
    band = (r > 0.1) & (r < 0.4)
    for lag in (1, 2, 5):
        correlation = (waves[:, lag:] * waves[:, :-lag].conj()).mean((0, 1)) / (abs(waves) ** 2).mean((0, 1))
        expected = np.exp(-((np.pi * 0.4 * r * lag) ** 2) - 2j * np.pi * lag * (0.5 * fy - 1.25 * fx))
        assert abs(correlation - expected)[band].mean() < 0.06


def test_luminance_of_clouds():
    made = generate(motion_clouds, contrast=0.6, trials=5, velocities="real", B_V=0.5)
    np.testing.assert_allclose(made.frames.mean(("y", "x")), 0.5, atol=1e-6)
    np.testing.assert_allclose(abs(made.frames - 0.5).max(("time", "y", "x")), 0.3, rtol=1e-5)


def test_a_cloud_follows_from_its_seed_alone():
    made = generate(motion_clouds, trials=6, B_theta=20.0, velocities="real")
    part = motion_clouds.render(Scene.of(made).part(slice(2, 4)), torch.device("cpu"))
    np.testing.assert_allclose(part, made.frames[2:4], atol=1e-6)
    assert len(set(made.noise_seed.values)) == 6
    np.testing.assert_array_equal(made.V_X, made.velocity_vx[:, 0])
    np.testing.assert_array_equal(made.V_Y, made.velocity_vy[:, 0])


def test_velocities_of_clouds():
    sweep = generate(motion_clouds, "sweep", trials=2, sweep_speed=2)
    visited = [tuple(v) for v in truth(sweep)[:, 0]]
    assert len(visited) == 50
    assert all(visited.count(v) == 2 for v in visited)
    np.testing.assert_array_equal(sweep.trained, abs(truth(sweep)[:, 0]).max(1) <= 1)
    some = generate(motion_clouds, "sweep", trials=1, velocities=[(0, 2), (0.5, 0)])
    assert truth(some)[some.trained.values == 1, 0].tolist() == [[0, 2]]
    assert set(map(tuple, truth(generate(motion_clouds))[:, 0])) == {
        (y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)
    }
    probe = generate(motion_clouds, "probe", trials=8)
    assert not truth(probe)[::2].any()
    assert truth(probe)[1::2].any()


def test_clouds_that_cannot_be():
    with pytest.raises(
        InputError, match=r"near sf_0 = 0.03 cycles/px; frames of 16x16 px have .* than 0.001"
    ):
        generate(motion_clouds, sf_0=0.03, B_sf=0.001)
    with pytest.raises(InputError, match="unknown split 'holdout'"):
        generate(motion_clouds, "holdout")
