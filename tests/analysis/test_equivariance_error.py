"""Which of the four laws states obey, and how far they are from the others."""

import numpy as np
import pytest
import torch

from analysis import equivariance_error
from flowsim import Flow, Law, Translation, VelocityGrid
from flowsim.files import coordinates
from flowsim.flows.law import LAWS
from tests.known.states import FLOWS, lawful


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_laws_are_distinguished(law, recording):
    states, grid = lawful(law)
    result = equivariance_error.analyse(recording(states, FLOWS, grid.velocities))
    error = result.error.isel(flow=slice(1, None), time=slice(1, None)).mean(("flow", "time"))
    for other in LAWS:
        if other == law:
            assert float(error.sel(law=str(other))) == 0
        else:
            assert float(error.sel(law=str(other))) > 0.2
    assert (result.coverage == 1).all()


def test_the_size_of_a_disturbance_is_measured(recording):
    states, grid = lawful(Law(True, True), noise=0.05)
    result = equivariance_error.analyse(recording(states, FLOWS, grid.velocities)).error.sel(
        law="transport+shift"
    )
    size = np.sqrt((states**2).mean())
    np.testing.assert_allclose(result[1:], np.sqrt(2) * 0.05 / size, rtol=0.1)


def test_noise_obeys_no_law(recording, rng):
    states = rng.standard_normal((4, 2, 5, 12, 2, 3, 4))
    grid = VelocityGrid.closed(Translation(), (3, 4))
    error = equivariance_error.analyse(recording(states, FLOWS, grid.velocities)).error[:, 1:]
    np.testing.assert_allclose(error, np.sqrt(2), rtol=0.2)


def test_the_error_without_partners_is_not_zero(recording, rng):
    result = equivariance_error.analyse(recording(rng.random((4, 2, 5, 1, 2, 3, 4)), FLOWS))
    shifting = result.sel(law=["shift", "transport+shift"]).isel(flow=slice(1, None))
    assert shifting.error.isnull().all()
    assert (shifting.coverage == 0).all()


def test_channels_without_partner_are_left_out(recording):
    """On a box, the covered channels obey the law although the others hold anything."""
    box = VelocityGrid.box(Translation(), 1)
    reference = torch.rand(1, 4, 9, 2, 5, 6, dtype=torch.float64)
    flow = Flow(Translation(), (1, 0))
    moved = Law(True, True).predict(reference, flow, box).nan_to_num(nan=7.0)
    states = torch.stack([reference, moved]).numpy()
    result = equivariance_error.analyse(recording(states, [(0, 0), (1, 0)], box.velocities)).sel(
        law="transport+shift"
    )
    assert (result.error == 0).all()
    assert float(result.coverage[1]) == pytest.approx(6 / 9)


def test_a_thinned_recording(recording):
    states, grid = lawful(Law(True, True))
    thinned = recording(states[:, :, ::2], FLOWS, grid.velocities, times=[0, 2, 4])
    assert (equivariance_error.analyse(thinned).error.sel(law="transport+shift") == 0).all()


def test_real_networks(results_of):
    worst = equivariance_error.summary(results_of(equivariance_error)).worst
    is_fernn = worst["network"] == "fernn"
    assert (worst.sel(law="transport+shift")[is_fernn] < 1e-5).all()
    assert worst.sel(law="transport+shift")[~is_fernn].isnull().all()
    assert (worst.sel(law=["invariant", "transport"]).isel(run=~is_fernn.values) > 0.1).all()


def test_units_without_space(recording, rng):
    """They can be invariant or not; no other law says anything about them."""
    same = np.broadcast_to(rng.random((1, 2, 5, 7)), (4, 2, 5, 7)).copy()
    for states, invariant in ((same, True), (rng.random((4, 2, 5, 7)), False)):
        made = recording(np.zeros((4, 1, 5, 1, 1, 1, 1)), FLOWS).drop_vars(
            ["state", "velocity_vy", "velocity_vx"]
        )
        made["state"] = (coordinates.UNITS, states)
        result = equivariance_error.analyse(made)
        error = result.error.sel(law="invariant")[1:]
        assert (error == 0).all() if invariant else (error > 0.3).all()
        assert (result.coverage.sel(law="invariant") == 1).all()
        others = result.sel(law=["transport", "shift", "transport+shift"])
        assert others.error.isnull().all()
        assert (others.coverage == 0).all()
