"""Similarity of runs: of rotated, disturbed and unrelated states."""

import numpy as np
import pytest
import xarray as xr

from analysis import (
    model_similarity,
)
from flowsim import InputError
from flowsim.files import netcdf
from flowsim.files.results import side_by_side
from tests.known.states import rotation, spiral

FLOWS = [(0, 0), (1, 0), (0, 1)]


def runs_of(states, recording, names, **arguments):
    """Results of runs whose states are (flow, trial, time, channel)."""
    made = [
        model_similarity.analyse(recording(s[..., None, :, None, None], FLOWS), **arguments) for s in states
    ]
    run = {"network": ("run", names), "run": [f"{n}-seed{i}" for i, n in enumerate(names)]}
    return xr.concat(made, "run", data_vars="all", coords="minimal").assign_coords(run)


@pytest.fixture
def results(recording, rng):
    """Two rotated copies, a noisy one, and another state."""
    one, other = rng.standard_normal((2, 3, 6, 4, 5))
    noisy = one + 0.3 * rng.standard_normal(one.shape)
    return runs_of([one, one @ rotation(rng, 5), noisy, other], recording, ["a", "a", "b", "c"])


def test_summary_and_answers(results):
    found = model_similarity.summary(results)
    assert float(found.cka[0, 1]) == pytest.approx(1)
    assert 0.8 < float(found.cka[0, 2]) < 0.99
    assert abs(float(found.cka[0, 3])) < 0.2
    assert (found.p.values[[0, 0, 1], [1, 2, 2]] < 0.02).all()
    assert float(found.p[0, 3]) > 0.05
    assert abs(float(found.null.mean())) < 0.1
    np.testing.assert_allclose(
        found.above_chance, (found.cka - found.null.fillna(0)) / (1 - found.null.fillna(0))
    )
    np.testing.assert_allclose(np.diagonal(found.predicted), 1)
    np.testing.assert_allclose(found.predicted[:2, :2], 1, atol=1e-4)
    assert float(found.procrustes[0, 3]) == pytest.approx(float(found.procrustes_null[0, 3]), abs=0.15)
    np.testing.assert_allclose(found.cka, found.cka.values.T)
    answers = model_similarity.answers(results)
    seeds = answers["1 - CKA above chance, between seeds"]
    assert float(seeds[0]) == pytest.approx(0, abs=1e-9)
    assert seeds[1:].isnull().all()  # two seeds are one pair, and one seed is none
    assert float(answers["self-predicted variance of a seed not predicted by others"][0]) < 1e-4
    assert float(answers["1 - CKA above chance, to other networks"][3]) > 0.8


def test_the_summary_of_the_same_results_is_made_once(results, monkeypatch):
    made = []
    model_similarity._last_summary.clear()
    whole = model_similarity._summary
    monkeypatch.setattr(model_similarity, "_summary", lambda given: made.append(1) or whole(given))
    first = model_similarity.summary(results)
    first.cka[:] = np.nan  # what is done to one table is not done to the next
    model_similarity.answers(results)
    again = model_similarity.summary(results.copy(deep=True))
    assert len(made) == 1
    assert again.cka.notnull().all()
    model_similarity.summary(results.assign(gram=2 * results.gram))
    assert len(made) == 2


def test_codes_of_nothing_but_time_are_not_alike(recording):
    """Their CKA is high, and that of exchanged trials as high; related ones are alike above that."""
    course = 2 * np.cumsum(np.random.default_rng(9).standard_normal((1, 1, 6, 8)), 2)
    found = []
    for seed in range(12):
        one, two = np.random.default_rng(seed).standard_normal((2, 3, 8, 6, 8))
        states = [course + one, course + two, course + one + 0.1 * two]
        table = model_similarity.summary(runs_of(states, recording, ["a", "b", "c"]))
        found.append([[float(table[n][0, k]) for k in (1, 2)] for n in ("cka", "above_chance")])
    cka, above = np.moveaxis(np.array(found), 1, 0)
    assert (cka[:, 0] > 0.6).all()
    assert abs(above[:, 0].mean()) < 3 * above[:, 0].std() / np.sqrt(len(above)) + 0.01
    assert (abs(above[:, 0]) < 0.15).all()
    assert (above[:, 1] > 0.95).all()


def test_a_run_of_many_components_is_predicted_as_well_as_by_itself(recording, rng):
    """States have more components than are regressed on: R^2 is low, its share of what they predict of
    themselves is not; unrelated ones are not predicted.
    """
    one, other = rng.standard_normal((2, 3, 20, 4, 150))
    table = model_similarity.summary(
        runs_of([one, one @ rotation(rng, 150), other], recording, ["a", "a", "b"], conditions=240)
    )
    assert float(table.predictivity[0, 0]) < 0.7
    np.testing.assert_allclose(table.predicted[:2, :2], 1, atol=1e-6)
    assert (table.predicted[2, :2] < 0.1).all()


def test_trials_of_one_image_are_left_out_together(recording):
    """Networks that know each image by heart, and nothing else in common, do not predict each other."""
    image = np.repeat(np.arange(10), 2)
    found = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        codes = rng.standard_normal((2, 10, 1, 40))
        states = codes[:, None, image] + 0.1 * rng.standard_normal((2, 3, 20, 4, 40))
        shares = []
        for of in (image, np.arange(20)):
            results = runs_of(states, recording, ["a", "b"], conditions=240)
            results["image"] = ("condition", of[results.trial.values])
            shares.append(float(model_similarity.summary(results).predictivity[0, 1]))
        found.append(shares)
    grouped, leaky = np.mean(found, 0)
    assert grouped < 0.05
    assert leaky > 0.5
    made = recording(states[0][..., None, :, None, None], FLOWS)
    made = made.assign_coords(object_image=(("trial", "object"), 7 * image[:, None]))
    found = model_similarity.analyse(made)
    np.testing.assert_array_equal(found.image, image[found.trial.values])


def test_flows_are_aligned_by_their_velocities(recording, rng, tmp_path):
    """The same states, recorded with flows in another order, are the same; other flows or trials are refused."""
    states = rng.standard_normal((4, 8, 3, 1, 5, 1, 1)) + 3 * rng.standard_normal((4, 1, 1, 1, 5, 1, 1))
    label = ("trial", "object"), np.arange(8)[:, None]
    made = recording(states, [*FLOWS, (1, 1)]).assign_coords(object_label=label)

    def compared(other):
        for seed, one in enumerate((made, other)):
            attrs = {"stage": "analysis", "network": "a", "seed": str(seed)}
            netcdf.write(model_similarity.analyse(one), tmp_path / f"{seed}.h5", attrs)
        paths = [tmp_path / "0.h5", tmp_path / "1.h5"]
        return model_similarity.summary(side_by_side(paths, "model_similarity"))

    for order in ([0, 2, 3, 1], [3, 1, 0, 2]):
        assert float(compared(made.isel(flow=order)).cka[0, 1]) == pytest.approx(1)
    faster = made.assign_coords(flow_vy=made.flow_vy * 2)
    with pytest.raises(InputError, match="expected the same flow_vy in all runs; a-seed0 and a-seed1 differ"):
        compared(faster)
    with pytest.raises(InputError, match="expected the same object_label_0 in all runs"):
        compared(made.isel(trial=[1, 0, *range(2, 8)]))


def test_runs_of_other_conditions_are_refused(results):
    known = xr.DataArray(np.arange(results.sizes["condition"]) < 10, dims="condition")
    results["gram"] = results.gram.where(known | (results["network"] == "a"))
    with pytest.raises(InputError, match="expected the same flows, trials and times in all runs"):
        model_similarity.summary(results)


def test_blocks_and_thinning_give_the_same_matrix(recording, rng, monkeypatch):
    states = rng.standard_normal((3, 6, 4, 1, 5, 1, 1))
    whole = model_similarity.analyse(recording(states, FLOWS))
    monkeypatch.setattr(model_similarity, "BLOCK", 8 * 5 * 7)
    np.testing.assert_allclose(
        model_similarity.analyse(recording(states, FLOWS)).gram, whole.gram, atol=1e-15
    )
    assert float(whole.gram.values.trace()) == pytest.approx(1)
    few = model_similarity.analyse(
        recording(rng.standard_normal((3, 40, 4, 1, 5, 1, 1)), FLOWS), conditions=60, seed=1
    )
    assert few.sizes["condition"] <= 64
    assert len(np.unique(few.trial)) == 8
    again = model_similarity.analyse(
        recording(rng.standard_normal((3, 40, 4, 1, 5, 1, 1)), FLOWS), conditions=60, seed=1
    )
    assert few.trial.equals(again.trial)


def test_states_about_which_nothing_can_be_said(recording, rng):
    silent = runs_of([np.ones((3, 2, 4, 5)), rng.random((3, 2, 4, 5))], recording, ["a", "b"])
    found = model_similarity.summary(silent)
    assert found.cka.isnull().values.tolist() == [[True, True], [True, False]]
    with pytest.raises(InputError, match="needs 4 states"):
        model_similarity.analyse(recording(np.ones((1, 1, 3, 1, 5, 1, 1))))
    with pytest.raises(InputError, match="contains NaN or infinity"):
        model_similarity.analyse(recording(np.full((1, 2, 4, 1, 5, 1, 1), np.nan)))


def test_dynamical_similarity_of_runs(rng, recording):
    """From Gram matrices alone, the same as the package finds for the paths: it does not see how they are
    turned.
    """
    package = pytest.importorskip("DSA", reason="dsa-metric is not installed")
    paths = [spiral(rng, angle, trials=6).reshape(3, 2, 30, 2) for angle in (0.3, 0.3, 1.2)]
    results = runs_of(paths, recording, ["a", "b", "c"])
    found = model_similarity.dynamics(results, components=2, n_delays=2, rank=4)
    expected = package.DSA(
        [(p - p.mean((0, 1, 2))).swapaxes(0, 1).reshape(6, 30, 2) for p in paths], n_delays=2, rank=4
    ).fit_score()
    np.testing.assert_allclose(found, expected, atol=0.02)
    assert float(found[0, 1]) < 0.3 * float(found[0, 2])
    assert found.dims == ("run", "other")
