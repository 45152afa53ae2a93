"""Growth of differences that is known."""

import numpy as np
import pytest
import torch

from analysis import tangent_exponents
from flowsim import InputError, open_recording, record
from flowsim.errors import CannotJudge
from tests.known.dynamics import CONTEXT, Bump, followed


def test_exponents_are_means_over_frames():
    result = tangent_exponents.analyse(followed(growth=(-0.5, 0.1), leak=0.25))
    np.testing.assert_allclose(result.exponent, [[0.1, -0.5]] * 2)
    np.testing.assert_allclose(result.leak, 0.25)
    np.testing.assert_allclose(result.fading, -0.1)
    np.testing.assert_allclose(result.exponent_interval, 0, atol=1e-12)


def test_a_pseudo_gap_is_what_the_law_does_not_explain():
    fades = tangent_exponents.analyse(followed(orbit=(-0.1, -0.1), lawful=(-0.1, -0.1)))
    np.testing.assert_allclose(fades.pseudo_gap, 0, atol=1e-12)
    assert fades.lifetime.isnull().all()
    broken = tangent_exponents.analyse(followed(orbit=(-0.02, -0.3), lawful=(0.0, -0.1)))
    np.testing.assert_allclose(broken.pseudo_gap, [[0.02, 0.2]] * 2)
    np.testing.assert_allclose(broken.lifetime, 5)
    driven_on = tangent_exponents.analyse(followed(orbit=(0.1, 0.1)))
    assert driven_on.lifetime.isnull().all()


def test_phases_are_told_apart_and_their_beginning_is_left_out():
    made = followed()
    made.exponent_growth[:, : CONTEXT - 1, 0] = -1.0
    made.exponent_growth[:, :3, 0] = 99.0
    made.exponent_growth[:, CONTEXT - 1 : CONTEXT + 9, 0] = 99.0
    result = tangent_exponents.analyse(made)
    np.testing.assert_allclose(result.exponent.sel(phase="driven"), [-0.5, -1])
    np.testing.assert_allclose(result.exponent.sel(phase="rollout"), [0.1, -0.5])


def test_intervals_are_over_trials():
    result = tangent_exponents.analyse(followed(noise=0.1))
    assert (result.exponent_interval > 0.01).all()
    assert tangent_exponents.analyse(followed(trials=1)).exponent_interval.isnull().all()


def test_growth_that_is_chance_is_not_found():
    """The interval of an exponent of 0 holds 0 in about 95 % of 200 simulations."""
    rng, missed = np.random.default_rng(1), 0
    for _ in range(200):
        made = followed(growth=(0.0,), trials=6)
        made["exponent_growth"] = made.exponent_growth + rng.standard_normal((6, 1, 1))
        result = tangent_exponents.analyse(made).sel(phase="rollout")
        missed += bool(abs(result.exponent) > result.exponent_interval)
    assert 2 <= missed <= 20


def test_a_phase_with_too_few_frames_has_no_exponents():
    only_driven = tangent_exponents.analyse(followed(times=CONTEXT - 1))
    assert only_driven.sel(phase="rollout").exponent.isnull().all()
    assert only_driven.sel(phase="driven").exponent.notnull().all()
    with pytest.raises(InputError, match="expected 3 or more frames driven, or in a rollout; .* has 2 and 0"):
        tangent_exponents.analyse(followed(times=2))


def test_trials_that_diverge_are_left_out():
    made = followed()
    for values in made.data_vars.values():
        values[0, 30:] = np.nan
    result = tangent_exponents.analyse(made)
    np.testing.assert_allclose(result.exponent.sel(phase="rollout"), [0.1, -0.5])
    with pytest.raises(CannotJudge, match="the network diverged; train it again"):
        tangent_exponents.analyse(made.where(False))


def test_states_without_an_orbit():
    made = followed()
    for name in ("exponent_orbit_growth", "exponent_orbit_lawful", "exponent_orbit_leak"):
        made[name] = made[name] * np.nan
    result = tangent_exponents.analyse(made)
    assert result.pseudo_gap.isnull().all()
    assert result.exponent.notnull().all()
    runs = result.expand_dims(run=["a-seed0"]).assign_coords(network=("run", ["a"]))
    tangent_exponents.figure(runs).draw_without_rendering()
    assert not any("orbit" in label for label in tangent_exponents.answers(runs))


def test_a_recording_without_exponents(recording):
    with pytest.raises(
        InputError, match="expected the recording to hold 'exponent_growth', .*option exponents"
    ):
        tangent_exponents.analyse(recording(np.zeros((1, 1, 2, 1, 1, 3, 3))))


@pytest.mark.parametrize("eps", [0.0, 0.05])
def test_the_gap_of_a_recorded_network_and_the_lifetime_of_its_memory(tmp_path, rng, eps):
    """The pseudo-gap predicts how long a displaced pattern stays displaced."""
    network = Bump(eps, frame_shape=(5, 9), twice=not eps)
    file = tmp_path / "test.h5"
    record(network, rng.random((2, 12, 5, 9)), file, context=12, exponents={"rollout": 180, "number": 2})
    with open_recording(file) as made:
        result = tangent_exponents.analyse(made).sel(phase="rollout")
    if not eps:
        np.testing.assert_allclose(result.pseudo_gap, 0, atol=1e-10)
        np.testing.assert_allclose(result.exponent, 0, atol=1e-10)
        return
    assert float(result.pseudo_gap.max()) == pytest.approx(eps, rel=0.2)
    x = 2 * np.pi * torch.arange(9, dtype=torch.float64) / 9
    state = (torch.cos(x - 0.05)[None].expand(1, 1, 1, 5, 9),)
    frames, displaced = 40, []
    for _ in range(frames):
        state = network.update(state, None)
        displaced.append(float(torch.angle(torch.fft.fft(state[0][0, 0, 0, 0]))[1]))
    measured = -1 / np.polyfit(np.arange(frames), np.log(np.abs(displaced)), 1)[0]
    assert float(result.lifetime) == pytest.approx(measured, rel=0.15)
