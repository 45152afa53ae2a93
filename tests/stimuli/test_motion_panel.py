"""The panel has every condition as often as it says, and each moves as its coordinates say."""

from itertools import pairwise

import numpy as np
import pytest

from flowsim.measures.motion_energy import best_velocity, motion_energy
from stimuli import motion_panel


def panel(**spec):
    return motion_panel.generate("sweep", np.random.default_rng(0), **{"trials": 1, "frames": 8, **spec})


def chosen(made, condition):
    return made.isel(trial=np.flatnonzero(condition))


def test_every_condition_is_there_as_often_as_the_others():
    made = panel(trials=3)
    number = made.sizes["trial"] // 3
    for name in ("components", "direction", "spatial_frequency", "polarity", "expansion", "rotation"):
        np.testing.assert_array_equal(made[name][:number], made[name][number : 2 * number])
    one = made.isel(trial=slice(number))
    spirals = (one.expansion != 0) | (one.rotation != 0)
    dots = (one.components == 0) & ~spirals
    counts = [(one.components == n).sum() for n in (1, 2)] + [
        spirals.sum(),
        (dots & (one.polarity == -1)).sum(),
    ]
    assert [int(count) for count in counts] == [4 * 25 + 8, 12, 8, 12], "the main grating is part of the grid"
    assert int((dots & (one.polarity == 1)).sum()) == 12


def test_gratings_and_plaids_move_at_their_velocities():
    made = panel(height=32, width=32, radius=5.0, frames=12)
    for number in (1, 2):
        main = (made.spatial_frequency == 0.125) & (made.temporal_frequency == 0.125)
        part = chosen(made, (made.components == number) & main)
        assert part.sizes["trial"] == 12
        speed = np.hypot(part.velocity_vy, part.velocity_vx).values[:, 0]
        np.testing.assert_allclose(speed, 1 if number == 1 else 2)
        angle = np.rad2deg(np.arctan2(-part.velocity_vy, part.velocity_vx)).values[:, 0] % 360
        np.testing.assert_allclose(angle, part.direction)
        for frames, vy, vx in zip(
            part.frames.values, part.velocity_vy[:, 0], part.velocity_vx[:, 0], strict=True
        ):
            np.testing.assert_allclose(best_velocity(frames, 4), (vy, vx), atol=0.25)


def test_dots_step_and_reverse():
    made = panel()
    still = (made.direction == 90) & (made.components == 0)
    phi, reverse = (chosen(made, still & (made.polarity == sign)).frames.values[0] - 0.5 for sign in (1, -1))
    for frames, sign in ((phi, 1), (reverse, -1)):
        for before, after in pairwise(frames):
            np.testing.assert_allclose(after, sign * np.roll(before, -1, 0), atol=1e-6)
    assert motion_energy(phi, (-1, 0)) == pytest.approx(1)
    assert motion_energy(reverse, (-1, 0)) == pytest.approx(-1)
    assert abs(np.mean(phi)) < 0.01, "as many brighter as darker"


def test_spirals_are_the_flow_of_their_rates():
    """One dot, that does not leave the frame, is where expansion and rotation take it."""
    spec = {"height": 41, "width": 41, "density": 1e-4, "dot_life": 9999, "frames": 2}
    made = panel(trials=8, expansion=0.1, rotation=5.0, **spec)
    part = chosen(made, (made.expansion != 0) | (made.rotation != 0))
    inside = 0
    for frames, expansion, rotation in zip(part.frames.values, part.expansion, part.rotation, strict=True):
        weight = frames - 0.5
        right, up = np.arange(41) - 20, 20 - np.arange(41)[:, None]
        before, after = (weight * (right + 1j * up)).sum((1, 2)) / weight.sum((1, 2))
        if abs(before) < 15:
            inside += 1
            turned = before * (1 + float(expansion)) * np.exp(1j * np.deg2rad(float(rotation)))
            assert abs(after - turned) < 1e-3
    assert inside > 10


def test_training_shows_dots_and_textures_that_translate():
    made = motion_panel.generate("train", np.random.default_rng(0), trials=40, frames=4)
    assert set(made.content.values) == {0, 1}
    assert abs(made.velocity_vx).max() == 2
    for frames, vy, vx in zip(made.frames.values, made.velocity_vy, made.velocity_vx, strict=True):
        moved = np.roll(frames[0], (3 * int(vy[0]), 3 * int(vx[0])), (0, 1))
        np.testing.assert_allclose(frames[3], moved, atol=1e-6)
    only = motion_panel.generate("train", np.random.default_rng(0), trials=8, contents=["texture"])
    assert set(only.content.values) == {1}


def test_textures_have_the_amplitudes_of_natural_scenes():
    made = motion_panel.generate(
        "train", np.random.default_rng(0), trials=1, frames=2, contents=["texture"], height=64, width=64
    )
    waves = abs(np.fft.fft2(made.frames.values[0, 0] - 0.5))
    frequency = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.fftfreq(64))
    size = (waves * frequency).ravel()[1:]
    np.testing.assert_allclose(size, size.mean(), rtol=1e-3)


def test_what_of_the_panel_is_as_in_training():
    made = panel(contents=["dots"])
    trained = made.isel(trial=made.trained.values == 1)
    assert trained.sizes["trial"] == 4, "dots at 1 px/frame along the axes"
    assert (trained.polarity == 1).all()
    assert panel(contents=["texture"]).trained.sum() == 0
