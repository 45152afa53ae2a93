"""Units of each class of the panel, made to be one, and units that are none."""

import matplotlib as mpl
import numpy as np
import pytest

from analysis import motion_tuning
from flowsim import InputError
from flowsim.figures import plot
from tests.known import motion_units

AROUND = np.arange(12) * 30.0


@pytest.fixture(scope="module")
def made():
    return motion_units.panel().compute()


@pytest.fixture
def analysed(recording, made):
    """Results of units whose responses (trial, unit) are given, with a little noise."""

    def analyse(responses, noise=0.02, panel=made, **spec):
        rng = np.random.default_rng(1)
        noisy = responses + noise * responses.std() * rng.standard_normal(responses.shape)
        watched = motion_units.watched(recording, panel, noisy.clip(0))
        return motion_tuning.analyse(watched, **{"permutations": 99, **spec})

    return analyse


def share(result, name):
    return float(result["share"].sel({"class": name}))


def test_motion_energy_answers_to_components_and_is_separable(analysed, made):
    result = analysed(motion_units.motion_energy(made, AROUND))
    assert share(result, "component") == 1
    assert share(result, "pattern") == 0
    assert share(result, "temporal frequency") == 1
    assert float(result.share_p.sel({"class": "component"})) == 0.01
    assert (result.z_component > 8).all()
    np.testing.assert_array_equal(result.gratings.argmax("direction"), np.arange(12))


def test_the_intersection_of_constraints_answers_to_the_pattern(analysed, made):
    result = analysed(motion_units.intersection_of_constraints(made, AROUND))
    assert share(result, "pattern") == 1
    assert share(result, "component") == 0
    assert float(result.share_p.sel({"class": "pattern"})) == 0.01
    assert float(result.null_share.sel({"class": "pattern"})) < 0.3
    assert share(result, "translation") == 1
    assert share(result, "kept") == 1, "its velocity knows no contrast"
    assert share(result, "spiral") == 0


def test_reversed_contrast_turns_the_preference_of_motion_energy_round(analysed):
    """Where a step is a quarter of a cycle, so that a reversed one is a quarter of a cycle back."""
    many = motion_units.panel(trials=8, density=0.3).compute()
    energy = motion_units.motion_energy(many, AROUND[::3], spatial=0.25, temporal=0.25, spread=50.0)
    result = analysed(energy, panel=many)
    assert share(result, "reversed") == 1
    assert share(result, "kept") == 0
    assert (result.reversal < -0.8).all()


def test_exponents_tell_speed_from_temporal_frequency(analysed, made):
    exponents = [0.0, 1.0, 0.5, 0.0, 1.0]
    result = analysed(motion_units.spatiotemporal(made, exponents))
    np.testing.assert_allclose(result.exponent, exponents, atol=0.03)
    member = result.member.sel({"class": ["temporal frequency", "speed"]}).values.tolist()
    assert member == [[1, 0, 0, 1, 0], [0, 1, 0, 0, 1]]
    assert (result.explained > 0.95).all()


def test_spirals_have_their_preferred_angle(analysed, made):
    angles = np.arange(8) * 45.0
    result = analysed(motion_units.spirals(made, angles))
    assert share(result, "spiral") == 1
    assert share(result, "translation") == 0
    apart = (result.preferred_spiral - angles + 180) % 360 - 180
    assert (abs(apart) < 5).all()


def test_noise_is_in_no_class(recording, made, rng):
    watched = motion_units.watched(recording, made, rng.random((made.sizes["trial"], 100)))
    result = motion_tuning.analyse(watched, permutations=99)
    assert (result["share"] <= 0.02).all()
    assert result.exponent.isnull().mean() > 0.97


def test_silent_units_are_in_no_class(analysed, made):
    responses = motion_units.motion_energy(made, AROUND[:2])
    responses[:, 1] = 0
    result = analysed(responses, noise=0)
    assert result.z_pattern.isnull().values.tolist() == [False, True]
    assert result.member.sel(unit=1).sum() == 0
    assert (result.p.sel(unit=1) == 1).all()


def test_one_repeat_classifies_plaids_and_tests_nothing(recording):
    once = motion_units.panel(trials=1).compute()
    watched = motion_units.watched(recording, once, motion_units.motion_energy(once, AROUND))
    result = motion_tuning.analyse(watched, permutations=9)
    assert share(result, "component") == 1
    assert result["share"].isel({"class": slice(2, None)}).isnull().all()
    assert result.p.isnull().all()
    runs = result.expand_dims(run=["a-seed0"]).assign_coords(network=("run", ["a"]))
    assert len(motion_tuning.answers(runs)) == 2
    with mpl.rc_context(plot.STYLE):
        figure = motion_tuning.figure(runs)
        figure.draw_without_rendering()
    assert "not tested" in {text.get_text() for text in figure.findobj(mpl.text.Text)}


def test_what_of_the_panel_is_missing_is_told(recording, made):
    watched = motion_units.watched(recording, made, motion_units.motion_energy(made, AROUND[:2]))
    with pytest.raises(InputError, match=r"expected what each trial of the panel is \(polarity\)"):
        motion_tuning.analyse(watched.drop_vars("polarity"))
    with pytest.raises(
        InputError, match="expected gratings in five directions or more, even around the circle"
    ):
        motion_tuning.analyse(watched.isel(trial=np.flatnonzero(made.components != 2)))
    one = made.components == 1
    main = (made.spatial_frequency == 0.125) & (made.temporal_frequency == 0.125)
    with pytest.raises(InputError, match="expected gratings on a grid of three or more"):
        motion_tuning.analyse(watched.isel(trial=np.flatnonzero(~one | main)))
    with pytest.raises(
        InputError, match=r"expected frames from 5 on \(since\); the recording ends with frame 0"
    ):
        motion_tuning.analyse(watched, since=5)
    fewer = ~((made.components == 0) & (made.polarity == -1) & (made.direction % 60 != 0))
    with pytest.raises(InputError, match="expected gratings, plaids and dots in the same directions"):
        motion_tuning.analyse(watched.isel(trial=np.flatnonzero(fewer)))
    watched.state[0, 3] = np.nan
    with pytest.raises(InputError, match="the state contains NaN or infinity"):
        motion_tuning.analyse(watched)
