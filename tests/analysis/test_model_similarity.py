"""Similarity of runs: of rotated, disturbed and unrelated states."""

import numpy as np
import pytest
import xarray as xr

from analysis import (
    model_similarity,
)
from flowsim import InputError
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
    np.testing.assert_allclose(found.cka, found.cka.values.T)
    answers = model_similarity.answers(results)
    np.testing.assert_allclose(answers["1 - debiased CKA between seeds"][:2], 0, atol=1e-9)
    np.testing.assert_allclose(answers["variance of other seeds not predicted"][:2], 0, atol=1e-4)
    assert answers["1 - debiased CKA between seeds"][2:].isnull().all()
    assert float(answers["1 - debiased CKA to other networks"][3]) > 0.8


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
