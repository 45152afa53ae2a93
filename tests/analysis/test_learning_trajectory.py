"""Quantities over training whose course is known."""

import matplotlib as mpl
import numpy as np
import pytest
import torch
import xarray as xr

from analysis import equivariance_error, learning_trajectory
from flowsim import InputError, Law, build, open_recording, record
from flowsim.figures import plot
from flowsim.files.code_hash import analysis_modules
from stimuli import moving_digits
from tests.known.states import FLOWS, lawful

mpl.use("agg")
WORST = "worst error of transport+shift"
COVERAGE = "coverage of transport+shift"


def over_training(recording, states, sequences, grid, flows=FLOWS):
    """A recording of states (checkpoint, flow, trial, time, velocity, channel, y, x), the last of them the best."""
    made = recording(states[-1], flows, grid.velocities, velocity_period=list(grid.period))
    made["state_at_checkpoint"] = (("checkpoint", *made.state.dims), np.asarray(states))
    return made.assign_coords(sequences=("checkpoint", sequences))


def drifting(recording, rng, amounts, sequences):
    """States that obey the law but for noise of some ``amounts``, one for each moment."""
    exact, grid = lawful(Law(True, True))
    noise = rng.standard_normal(exact.shape)
    return over_training(recording, [exact + amount * noise for amount in amounts], sequences, grid)


def in_runs(*results, networks=None):
    runs = [values.expand_dims(run=[str(i)]) for i, values in enumerate(results)]
    names = networks or ["fernn"] * len(results)
    return xr.concat(runs, "run", join="outer").assign_coords(network=("run", names))


def test_values_are_those_of_the_other_analysis(recording, rng):
    made = drifting(recording, rng, [1.0, 0.3, 0.0], [0, 10, 100])
    result = learning_trajectory.analyse(made)
    assert result.sequences.values.tolist() == [0, 10, 100]
    for number in range(3):
        alone = made.drop_vars(["state", "sequences"]).isel(checkpoint=number)
        alone = alone.rename(state_at_checkpoint="state")
        expected = equivariance_error.answers(in_runs(equivariance_error.analyse(alone)))
        for label, values in expected.items():
            np.testing.assert_allclose(result.value.sel(answer=label)[number], values[0])
    worst = result.value.sel(answer=WORST)
    assert float(worst[0]) > float(worst[1]) > 0.05
    assert float(worst[2]) == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(result.value.sel(answer=COVERAGE), 1)


def test_half_of_the_change_is_where_it_is(recording, rng):
    made = drifting(recording, rng, [1.0, 1.0, 0.0, 0.0], [0, 10, 30, 100])
    result = learning_trajectory.analyse(made, answers=[WORST, COVERAGE])
    assert result.answer.values.tolist() == [WORST, COVERAGE, learning_trajectory.SIMILARITY]
    assert float(result.halfway.sel(answer=WORST)) == pytest.approx(20)
    assert result.halfway.sel(answer=COVERAGE).isnull()  # it never changes


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1, 2, 3], 15),
        ([3, 2, 1, 0], 15),
        ([0, 0, 0, 4], 25),
        ([0, 4, 4, 4], 5),
        ([1, np.nan, 1, 3], 25),
        ([1, np.nan, 3, 3], 10),
        ([0, 3, 0, 4], 10 * 2 / 3),
        ([2, 5, 1, 2], np.nan),
        ([2, 2, 2, 2 + 1e-7], np.nan),
        ([np.nan, 1, 2, 3], np.nan),
        ([0, 1, 2, np.nan], np.nan),
    ],
)
def test_until_half(values, expected):
    found = learning_trajectory.until_half(np.array([0.0, 10, 20, 30]), np.array(values, float))
    np.testing.assert_allclose(found, expected)


def test_the_order_of_emergence_is_that_of_the_changes(rng):
    """Two sigmoids in noise, an early and a late one: the early comes first in nearly every one of 200 seeds; of
    two that are alike, in about half.
    """
    sequences = np.linspace(0, 100, 21)

    def seen(middle):
        return learning_trajectory.until_half(
            sequences, 1 / (1 + np.exp((middle - sequences) / 8)) + 0.03 * rng.standard_normal(21)
        )

    apart = [seen(30) < seen(60) for _ in range(200)]
    alike = [seen(45) < seen(45) for _ in range(200)]
    assert sum(apart) >= 198
    assert 75 <= sum(alike) <= 125
    assert np.mean([seen(45) for _ in range(100)]) == pytest.approx(45, abs=2)


def test_similarity_to_the_end(recording, rng):
    """1 of the last with itself, also turned and scaled; 0 of unrelated states."""
    last, grid = lawful(Law(True, True), trials=6, channels=3)
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    turned = 5 * np.einsum("dc,...cyx->...dyx", turn, last)
    unrelated = rng.standard_normal(last.shape)
    half = last + 0.4 * unrelated * last.std() * 2
    made = over_training(recording, [unrelated, half, turned, last], [0, 1, 2, 3], grid)
    similarity = learning_trajectory.analyse(made).value.sel(answer=learning_trajectory.SIMILARITY)
    assert abs(float(similarity[0])) < 0.1
    assert 0.1 < float(similarity[1]) < 0.999
    np.testing.assert_allclose(similarity[2:], 1)
    dead = learning_trajectory.analyse(over_training(recording, [0 * last, last], [0, 1], grid))
    assert dead.value.isel(sequences=0).isnull().all()  # a dead network cannot be judged
    assert float(dead.value.sel(answer=learning_trajectory.SIMILARITY)[1]) == pytest.approx(1)
    one_trial = learning_trajectory.analyse(made.isel(trial=[0]))
    assert learning_trajectory.SIMILARITY not in one_trial.answer  # nothing is known about chance


def test_a_fernn_obeys_its_law_before_training(tmp_path, rng):
    """And a network without the law does not, at any moment."""
    probe = moving_digits.generate("probe", rng, height=8, width=9, trials=2, frames=4, probe_speed=1)
    for name, settings, obeys in (
        ("fernn", {"velocities": "closed"}, True),
        ("conv_gru", {}, False),
    ):
        weights = {}
        for seen in (0, 50):
            torch.manual_seed(seen)
            network = build(name, (8, 9), channels=2, decoder_layers=0, **settings).double()
            weights[seen] = network.state_dict()
        record(network, probe, tmp_path / "a.h5", dtype="float64", checkpoints=weights)
        result = learning_trajectory.analyse(open_recording(tmp_path / "a.h5"))
        label = "worst error of the best law that applies"
        assert (result.value.sel(answer=label) < 1e-9).all() == obeys
        similarity = result.value.sel(answer=learning_trajectory.SIMILARITY)
        assert float(similarity[-1]) == pytest.approx(1)
        assert float(similarity[0]) < 0.99


def test_several_analyses_with_settings(recording, rng):
    made = drifting(recording, rng, [1.0, 0.2], [0, 10])
    rest = (("trial", "object"), np.zeros((2, 1)))
    made = made.assign_coords(object_velocity_vy=rest, object_velocity_vx=rest)
    both = {"equivariance_error": {}, "stabilised_maps": {}}
    result = learning_trajectory.analyse(made, analyses=both)
    assert result.sizes["answer"] > 5
    with pytest.raises(InputError, match="orbit_geometry: .*no_such"):
        learning_trajectory.analyse(made, analyses={"orbit_geometry": {"no_such": 1}})
    with pytest.raises(InputError, match="no_such_analysis"):
        learning_trajectory.analyse(made, analyses={"no_such_analysis": {}})


def test_the_code_of_the_other_analyses_counts():
    settings = {"analyses": {"stabilised_maps": {}, "orbit_geometry": {}}}
    expected = ["learning_trajectory", "stabilised_maps", "orbit_geometry"]
    assert analysis_modules("learning_trajectory", settings) == [f"analysis.{name}" for name in expected]
    defaults = analysis_modules("learning_trajectory", {})
    assert defaults == ["analysis.learning_trajectory", "analysis.equivariance_error"]
    assert analysis_modules("stability", {}) == ["analysis.stability"]


def test_what_cannot_be_followed(recording, rng):
    made = drifting(recording, rng, [1.0, 0.0], [0, 10])
    with pytest.raises(
        InputError, match="expected two checkpoints or more; the recording has 1. Keep weights"
    ):
        learning_trajectory.analyse(made.isel(checkpoint=[0]))
    with pytest.raises(
        InputError, match="expected a recording of a network at several moments of its training"
    ):
        learning_trajectory.analyse(made.drop_vars(["state_at_checkpoint", "sequences"]))
    with pytest.raises(InputError, match="expected some of these answers: worst error .* Got 'beauty'"):
        learning_trajectory.analyse(made, answers=["beauty"])
    with pytest.raises(InputError, match="analyses: input should be one analysis or more by name"):
        learning_trajectory.analyse(made, analyses={})
    with pytest.raises(InputError, match="stability: expected"):
        learning_trajectory.analyse(made, analyses={"stability": {}})


def test_figure_and_answers(recording, rng):
    moments = [0, 10, 100, 1000]
    courses = [[1.0, 0.9, 0.2, 0.0], [1.0, 0.5, 0.1, 0.0], [1.0, 1.0, 1.0, 0.8], [1.0, 0.9, 0.9, 0.7]]
    results = in_runs(
        *[learning_trajectory.analyse(drifting(recording, rng, course, moments)) for course in courses],
        networks=["fernn", "fernn", "grnn", "grnn"],
    )
    numbers = learning_trajectory.answers(results)
    assert (numbers[f"sequences until half of the whole change in {WORST}"].notnull()).all()
    assert not [label for label in numbers if COVERAGE in label]
    with mpl.rc_context(plot.STYLE):
        figure = learning_trajectory.figure(results)
        figure.draw_without_rendering()
    titles = [ax.get_title().replace("\n", " ") for ax in figure.axes]
    assert titles[: results.sizes["answer"]] == results.answer.values.tolist()
    order = [text.get_text().replace("\n", " ") for text in figure.axes[-1].get_yticklabels()]
    halfway = np.log(results.halfway).dropna("answer", how="all").mean("run")
    assert [float(halfway.sel(answer=label)) for label in order] == sorted(halfway.values)
    assert COVERAGE not in order  # it never changes
