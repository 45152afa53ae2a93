"""Gratings are what their coordinates say, drift across their bars, and plaids are the mean of two."""

import numpy as np
import pytest
import torch

from flowsim import Flow, InputError, Translation, specification
from flowsim.scenes.scene import Scene
from stimuli import drifting_gratings


def generate(split="test", **spec):
    return drifting_gratings.generate(split, np.random.default_rng(0), **{"trials": 8, "frames": 6, **spec})


def luminance(made, height, width):
    """The formula, pixel by pixel, from the coordinates alone."""
    t, y, x = np.ogrid[:6, :height, :width]
    right, up = x - (width - 1) / 2, (height - 1) / 2 - y
    every = []
    for k in range(made.sizes["object"]):
        one = {
            name: made[name].values[:, k, None, None, None] for name in made.coords if made[name].ndim == 2
        }
        angle = np.deg2rad(one["direction"])
        cycles = (
            one["spatial_frequency"] * (right * np.cos(angle) + up * np.sin(angle))
            - one["temporal_frequency"] * t
        )
        every.append(one["contrast"] * np.cos(2 * np.pi * cycles + np.deg2rad(one["phase"])))
    return np.mean(every, 0) / 2


VARIED = {
    "directions": [0, 33, 100, 210],
    "spatial_frequencies": [0.05, 0.11, 0.5],
    "temporal_frequencies": [0, 0.1, 0.3],
    "contrast": [0.2, 1.0],
}


@pytest.mark.parametrize("components", [1, 2])
def test_luminance_is_the_formula(components):
    made = generate(height=9, width=14, components=components, plaid_angle=70, trials=30, **VARIED)
    np.testing.assert_allclose(made.frames, 0.5 + luminance(made, 9, 14), atol=2e-6)
    for name, values in (
        ("spatial_frequency", VARIED["spatial_frequencies"]),
        ("contrast", VARIED["contrast"]),
    ):
        assert set(made[name].values.flat) == set(values)
    assert set(made.direction.values[:, 0]) == set(VARIED["directions"])


def test_contrast_is_michelson():
    made = generate(contrast=0.3, height=40, width=40, spatial_frequencies=[1 / 40], directions=[0])
    low, high = (f(made.frames, (1, 2, 3)) for f in (np.min, np.max))
    np.testing.assert_allclose((high - low) / (high + low), 0.3, rtol=0.01)


def test_a_plaid_is_the_mean_of_both_gratings():
    made = generate(components=2, plaid_angle=60, contrast=0.8, directions=[20])
    scene = Scene.of(made)
    values = {name: v for name, v in scene.values.items() if v.ndim == 2}
    parts = [
        drifting_gratings.render(
            Scene({n: v[:, [k]] for n, v in values.items()}, scene.frames, scene.frame_shape, scene.settings),
            torch.device("cpu"),
        )
        for k in range(2)
    ]
    np.testing.assert_allclose(made.frames, torch.stack(parts).mean(0), atol=1e-6)
    assert set(made.direction.values[:, 1]) == {80}
    assert (made.phase[:, 0] != made.phase[:, 1]).all()


@pytest.mark.parametrize("angle", [30, 90, 120, 240])
def test_a_plaid_moves_where_both_constraints_meet(angle):
    made = generate(
        components=2, plaid_angle=angle, directions=[0, 77, 200], temporal_frequencies=[0.05, 0.2]
    )
    for k in range(2):
        up, right = (f(np.deg2rad(made.direction.values[:, k])) for f in (np.sin, np.cos))
        along = -made.pattern_vy * up + made.pattern_vx * right
        np.testing.assert_allclose(
            along, (made.temporal_frequency / made.spatial_frequency)[:, k], atol=1e-10
        )


def test_a_counterphase_grating_has_no_pattern_velocity():
    made = generate(components=2, plaid_angle=180, directions=[0], phases=[0])
    assert np.isnan(made.pattern_vy).all()
    assert np.isnan(made.pattern_vx).all()
    wave = made.frames.values[0] - 0.5
    np.testing.assert_allclose(
        wave, wave[0] * np.cos(2 * np.pi * 0.125 * np.arange(6))[:, None, None], atol=1e-6
    )
    assert "pattern_vy" not in generate(components=1).coords


@pytest.mark.parametrize(("direction", "vy", "vx"), [(0, 0, 2), (90, -2, 0), (180, 0, -2), (270, 2, 0)])
def test_a_grating_is_moved_by_the_flow_of_its_velocity(direction, vy, vx):
    made = generate(directions=[direction], temporal_frequencies=[0.25])
    assert (made.velocity_vy == vy).all()
    assert (made.velocity_vx == vx).all()
    assert (made.orientation == (90 if vx else 0)).all()
    still = torch.from_numpy(made.frames.values[:, :1, None]).expand(-1, 6, -1, -1, -1)
    moved = Flow(Translation(), (vy, vx)).transport(still)[:, :, 0]
    np.testing.assert_allclose(made.frames, moved, atol=1e-6)


def test_a_grating_of_no_whole_number_of_cycles_has_a_seam():
    """In both directions: the formula one frame further on is the same luminance only if it closes on the
    torus.
    """
    y, x = np.mgrid[:16, :16]
    for direction, closes in ((0, True), (90, True), (45, False)):
        frame = generate(directions=[direction]).frames.values[0, 0]
        larger = generate(directions=[direction], height=48, width=48).frames.values[0, 0]
        assert np.allclose(frame[y, x], larger[y + 16, x + 16], atol=1e-5)  # the middle of a larger one
        assert np.allclose(larger[y + 16, x + 32], larger[y + 16, x + 16], atol=1e-5) == closes


def test_apertures_stand_still():
    bare = generate(height=33, width=33).frames.values - 0.5
    for aperture, radius in (("disc", 8), ("gaussian", 5)):
        made = generate(height=33, width=33, aperture=aperture, radius=radius).frames.values - 0.5
        y, x = np.mgrid[-16:17, -16:17]
        distance = np.hypot(y, x)
        if aperture == "disc":
            assert not made[..., distance > radius + 0.5].any()
            np.testing.assert_array_equal(
                made[..., distance <= radius - 0.5], bare[..., distance <= radius - 0.5]
            )
        else:
            np.testing.assert_allclose(made, bare * np.exp(-(distance**2) / (2 * 5**2)), atol=1e-6)


def test_sweep_visits_every_combination():
    made = generate("sweep", trials=2, **{**VARIED, "directions": [0, -90], "sweep_directions": [0, 45, 270]})
    names = ("direction", "spatial_frequency", "temporal_frequency", "contrast")
    visited = list(zip(*(made[name].values[:, 0] for name in names), strict=True))
    assert len(visited) == 3 * 3 * 3 * 2 * 2
    assert all(visited.count(one) == 2 for one in visited)
    np.testing.assert_array_equal(made.trained, made.direction[:, 0] != 45)
    default = generate("sweep", trials=1)
    assert sorted(default.direction.values[:, 0]) == list(range(0, 360, 45))
    assert int(default.trained.sum()) == 4


def test_every_other_trial_of_a_probe_stands_still():
    made = generate("probe")
    assert not made.velocity_vy[::2].any()
    assert not made.temporal_frequency[::2].any()
    reference = made.frames.values[0]
    np.testing.assert_array_equal(reference[::2], np.repeat(reference[::2, :1], 6, 1))
    assert (reference[1::2, 0] != reference[1::2, 1]).any((1, 2)).all()


def test_phases():
    assert set(generate(phases=[0, 90], trials=30).phase.values.flat) == {0, 90}
    assert len(set(generate(trials=30, components=2).phase.values.flat)) == 60
    middle = generate(phases=[0], height=15, width=15).frames[:, 0]
    np.testing.assert_allclose(middle[:, 7, 7], 1)


def test_what_may_be_asked_for():
    def check(**spec):
        return specification.arguments(drifting_gratings.generate, spec, "", given=("split", "rng"))

    assert check(directions=[0, 30])["directions"] == (0, 30)
    assert check(contrast=[0, 0.5])["contrast"] == (0, 0.5)
    for wrong in ({"spatial_frequencies": [0.6]}, {"directions": []}, {"components": 3}, {"contrast": 1.2}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            check(**wrong)
    with pytest.raises(InputError, match="unknown split 'holdout'"):
        generate("holdout")
