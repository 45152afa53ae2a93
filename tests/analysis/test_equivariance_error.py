"""Which of the four laws states obey, and how far they are from the others."""

import numpy as np
import pytest
import torch
import xarray as xr

from analysis import equivariance_error
from flowsim import Flow, InputError, Law, Rotation, Translation, VelocityGrid, build
from flowsim.files import coordinates
from flowsim.flows.law import LAWS
from tests.known.states import FLOWS, NEIGHBOURS, lawful


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
    size = states.std()  # about the mean, which is 0.5
    np.testing.assert_allclose(result[1:], np.sqrt(2) * 0.05 / size, rtol=0.1)


@pytest.mark.parametrize("offset", [0, 10, 1000])
def test_noise_obeys_no_law(offset, recording, rng):
    """sqrt(2) is the distance of independent states, in standard deviations; offsets are in these too."""
    states = offset + rng.standard_normal((4, 2, 5, 12, 2, 3, 4))
    grid = VelocityGrid.closed(Translation(), (3, 4))
    result = equivariance_error.analyse(recording(states, FLOWS, grid.velocities))
    np.testing.assert_allclose(result.error[:, 1:], np.sqrt(2), rtol=0.2)
    np.testing.assert_allclose(result.error[:, 1:].mean(("flow", "time")), np.sqrt(2), rtol=0.03)
    np.testing.assert_allclose(result.error_chance, np.sqrt(2), rtol=0.2)
    np.testing.assert_allclose(result.error_chance.mean("flow"), np.sqrt(2), rtol=0.06)


@pytest.mark.parametrize("offset", [0, 10])
def test_the_error_of_the_mean_is_1(offset, recording, rng):
    """Under the reference all is at the mean; under the other flows states are anything."""
    states = offset + rng.standard_normal((9, 2, 3, 4, 2, 9, 8))
    states[0] = offset
    made = recording(states[:, :, :, :1], NEIGHBOURS)
    error = equivariance_error.analyse(made).error.sel(law=["invariant", "transport"])[:, 1:]
    # 8 of the 9 flows have a spread of 1, and one of 0
    np.testing.assert_allclose(error.mean(("flow", "time")), np.sqrt(9 / 8), rtol=0.02)


@pytest.mark.parametrize("bias", ["everywhere", "by channel"])
def test_networks_that_differ_in_their_biases_compare(bias, recording):
    """Of an untrained G-RNN, with and without 2 added to each unit, or another number to each channel."""
    torch.manual_seed(0)
    network = build("fernn", (9, 8), max_speed=0, channels=4, decoder_layers=0).double()
    frames = torch.rand(3, 5, 1, 9, 8, dtype=torch.float64)
    with torch.no_grad():
        shown = [network.states(Flow(Translation(), u).transport(frames)) for u in FLOWS]
    states = torch.stack(shown).numpy()
    added = 2.0 if bias == "everywhere" else np.arange(-20, 20, 10.0)[:, None, None]
    with_bias, without = (equivariance_error.analyse(recording(s, FLOWS)) for s in (states + added, states))
    assert float(without.error.sel(law="transport")[1:, 1:].min()) > 0.1
    for name in ("error", "error_channel", "error_chance"):
        np.testing.assert_allclose(with_bias[name], without[name], rtol=1e-9, atol=1e-12)


def test_an_exact_law_is_exact_whatever_the_means_of_its_channels(recording):
    states, grid = lawful(Law(True, True))
    added = np.arange(2.0)[:, None, None] * 100
    result = equivariance_error.analyse(recording(states + added, FLOWS, grid.velocities))
    assert (result.error.sel(law="transport+shift") == 0).all()
    # Another number in each velocity channel is no bias: it breaks the laws that exchange these.
    added = np.arange(len(grid))[:, None, None, None] * 1.0
    broken = equivariance_error.analyse(recording(states + added, FLOWS, grid.velocities))
    assert (broken.error.sel(law="transport+shift")[1:, 1:] > 1).all()


def test_chance_is_what_trials_share(recording, rng):
    """A pattern fixed to the frame is predicted from any trial; what is of the trial is not."""
    pattern, content = rng.standard_normal((1, 1, 1, 1, 3, 6, 7)), rng.standard_normal((1, 12, 1, 1, 3, 6, 7))
    for part, expected in ((0.0, np.sqrt(2)), (1.0, 1.0), (3.0, np.sqrt(2 / 10))):
        states = np.broadcast_to(part * pattern + content, (4, 12, 2, 1, 3, 6, 7))
        invariant = equivariance_error.analyse(recording(states, FLOWS)).sel(law="invariant")
        assert (invariant.error == 0).all()
        np.testing.assert_allclose(invariant.error_chance, expected, rtol=0.1)
        assert int(invariant.chance_trials) == 8
    alone = equivariance_error.analyse(recording(states[:, :1], FLOWS))
    assert alone.error_chance.isnull().all()


def test_chance_is_of_another_image(recording, rng):
    codes = np.repeat(rng.standard_normal((1, 3, 1, 1, 3, 6, 7)), 4, axis=1)
    made = recording(np.broadcast_to(codes, (4, 12, 2, 1, 3, 6, 7)), FLOWS)
    image = (("trial", "object"), np.repeat([5, 6, 7], 4)[:, None])
    result = equivariance_error.analyse(made.assign_coords(object_image=image)).sel(law="invariant")
    np.testing.assert_allclose(result.error_chance, np.sqrt(2), rtol=0.15)
    same = made.assign_coords(object_image=(("trial", "object"), np.full((12, 1), 5)))
    assert equivariance_error.analyse(same).error_chance.isnull().all()


def test_states_that_never_vary_are_refused(recording):
    for value in (0.0, 3.7, np.float32(0.1)):
        states = np.full((4, 2, 5, 1, 3, 3, 4), value)
        for noise in (0, 1e-17):
            with pytest.raises(InputError, match="expected states that vary; each unit is constant"):
                equivariance_error.analyse(recording(states + noise, FLOWS))
    by_channel = states.astype(np.float32) * (1 + np.arange(3, dtype=np.float32)[:, None, None])
    by_channel[1:, :, :, :, :, 1] *= np.float32(1 + 1e-7)  # rounding
    with pytest.raises(InputError, match="constant"):
        equivariance_error.analyse(recording(by_channel, FLOWS))


def test_a_state_that_dies_under_one_flow_obeys_no_law(recording):
    """It is far from what every law says, and so is the worst flow; its share of dead units is told."""
    states, grid = lawful(Law(True, True))
    states[2] = 0
    states[1, :, :, 3] = 0.5
    result = equivariance_error.analyse(recording(states, FLOWS, grid.velocities))
    in_results = list(zip(result.flow_vy.values, result.flow_vx.values, strict=True))
    result = result.isel(flow=[in_results.index(flow) for flow in FLOWS])
    assert (result.error[:, 2] > 1).all()
    np.testing.assert_allclose(result.constant, [0, 1 / 12, 1, 0])
    assert (equivariance_error.summary(result).worst > 1).all()


def test_a_flow_of_which_nothing_is_said_is_not_passed_over(recording, rng):
    """On {-1..1}^2, only one of these flows has partners; there the law holds, elsewhere all is noise."""
    box = VelocityGrid.box(Translation(), 1)
    flows = [(0, 0), (0, 1), *((3 + y, x) for y in range(2) for x in (-3, 0, 3))]
    states = rng.standard_normal((8, 2, 4, 9, 2, 9, 8))
    reference = torch.from_numpy(states[0])
    lawful_one = Law(True, True).predict(reference, Flow(Translation(), (0, 1)), box).numpy()
    states[1] = np.where(np.isnan(lawful_one), states[1], lawful_one)
    result = equivariance_error.analyse(recording(states, flows, box.velocities))
    assert (result.error.sel(law="transport+shift")[1] == 0).all()
    run = {"network": ("run", ["a"]), "run": ["a-seed0"]}
    said = equivariance_error.answers(result.expand_dims("run").assign_coords(run))
    assert np.isnan(said["worst error of transport+shift"]).all()
    assert float(said["coverage of transport+shift"][0]) == pytest.approx(6 / 9 / 7)
    assert float(said["worst error of the best law that applies"][0]) == pytest.approx(np.sqrt(2), rel=0.1)
    assert float(said["coverage of the best law that applies"][0]) == 1
    assert not any("better" in values.attrs for label, values in said.items() if label.startswith("cov"))


def test_a_state_that_is_a_number_per_trial(recording, rng):
    """Constant over pixels, as after pooling: invariant or not, by how far trials differ."""
    wide = np.ones((4, 6, 3, 1, 2, 5, 4))
    code = rng.standard_normal((1, 6, 3, 1, 2, 1, 1))
    result = equivariance_error.analyse(recording(code * wide, FLOWS))
    assert (result.error.sel(law=["invariant", "transport"]) == 0).all()
    assert (result.constant == 0).all()
    other = rng.standard_normal((4, 300, 3, 1, 2, 1, 1)) * np.ones((4, 300, 3, 1, 2, 2, 1))
    result = equivariance_error.analyse(recording(other, FLOWS))
    np.testing.assert_allclose(result.error.sel(law=["invariant", "transport"])[:, 1:], np.sqrt(2), rtol=0.1)


@pytest.mark.parametrize("offset", [0, 30])
def test_a_bias_turns_into_itself(offset):
    """States turned exactly as the law says, whatever is added: corners that come in are of the bias too."""
    torch.manual_seed(0)
    flows = [(0.0,), (10.0,)]
    state = torch.rand(2, 3, 1, 2, 4, 15, 15, dtype=torch.float64)
    y, x = (np.arange(15) - 7.0,) * 2
    state = state * torch.from_numpy((y[:, None] ** 2 + x**2 < 49).astype(float))
    moved = Law(True, False).predict(state, Flow(Rotation(), flows[1]), VelocityGrid(Rotation(), ((0,),)))
    made = xr.Dataset({"state": (coordinates.ORIENTED, offset + torch.stack([state, moved]).numpy())})
    made = made.assign_coords(
        time=np.arange(3),
        **coordinates.velocity_coords("flow", Rotation(), flows),
        **coordinates.velocity_coords("velocity", Rotation(), [(0.0,)]),
    )
    error = equivariance_error.analyse(made).error.sel(law="transport")
    np.testing.assert_allclose(error, 0, atol=1e-12)


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


def test_the_reference_agrees_with_itself_and_is_no_evidence(recording, rng):
    """So the largest error over flows is NaN, not 0, where no flow that moves has a law."""
    states = rng.standard_normal((4, 2, 5, 1, 2, 3, 4))
    largest = equivariance_error.analyse(recording(states, FLOWS)).max(("flow", "time"))
    assert np.isnan(largest.error.sel(law=["shift", "transport+shift"])).all()
    assert (largest.error.sel(law=["invariant", "transport"]) > 1).all()
    assert np.isnan(largest.error_velocity.sel(law="shift")).all()
    assert np.isnan(largest.error_channel.sel(law="shift")).all()
