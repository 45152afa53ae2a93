"""States of a known law, moved back along the flow."""

import matplotlib as mpl
import numpy as np
import pytest
import torch

from analysis import stabilised_maps
from flowsim import Flow, InputError, Law, Translation, VelocityGrid
from flowsim.figures import plot
from tests.known.states import FLOWS, NEIGHBOURS, lawful


def moving_state(law, resting):
    """Recordings of a state that obeys a law, with trials whose objects rest or not."""
    states, grid = lawful(law)
    velocity = np.array([[0] if r else [1] for r in resting])
    return states, grid.velocities, velocity


@pytest.mark.parametrize(
    ("law", "still"), [(Law(True, True), True), (Law(True, False), False), (Law(False, False), False)]
)
def test_maps_that_move_with_the_flow_stay_where_they_are(law, still, recording):
    states, velocities, velocity = moving_state(law, [True, False])
    made = recording(states, FLOWS, velocities).assign_coords(
        object_velocity_vy=(("trial", "object"), velocity),
        object_velocity_vx=(("trial", "object"), 0 * velocity),
    )
    result = stabilised_maps.analyse(made)
    assert result.trials == 1
    moving = result.change[1:, 1:]
    assert (moving == 0).all() if still else (moving > 0.2).all()
    flow = Flow(Translation(), (1, 2))
    assert result.attrs["velocity"] == "vy = 1 px/frame, vx = 2 px/frame"
    back = flow.transport(torch.from_numpy(result.raw.values)[None], [-t for t in range(5)])[0]
    np.testing.assert_array_equal(result.stabilised, back)


def resting(made):
    at_rest = (("trial", "object"), np.zeros((made.sizes["trial"], 1)))
    return made.assign_coords(object_velocity_vy=at_rest, object_velocity_vx=at_rest)


@pytest.mark.parametrize("offset", [0, 10])
def test_noise_is_at_the_square_root_of_2_as_is_another_trial(offset, recording, rng):
    """In standard deviations, whatever is added."""
    states = offset + rng.standard_normal((9, 4, 3, 9, 2, 9, 8))
    box = VelocityGrid.box(Translation(), 1)
    result = stabilised_maps.analyse(resting(recording(states, NEIGHBOURS, box.velocities)))
    np.testing.assert_allclose(result.change[1:], np.sqrt(2), rtol=0.15)
    np.testing.assert_allclose(result.change_chance, np.sqrt(2), rtol=0.15)
    assert (result.covered == 1).all()


def test_flows_without_a_channel_have_no_map(recording, rng):
    """The channel v = 0 is not theirs; a network with no other channel has nothing else."""
    flows = [(0, 0), (0, 1), (0, 3), (2, 0)]
    states = rng.standard_normal((4, 2, 3, 9, 2, 9, 8))
    box = VelocityGrid.box(Translation(), 1)
    result = stabilised_maps.analyse(resting(recording(states, flows, box.velocities)))
    assert result.change.isnull().all("time").values.tolist() == [False, False, True, True]
    assert result.covered.values.tolist() == [1, 1, 0, 0]
    assert result.raw.isnull().all()
    assert result.rest.notnull().all()
    runs = result.expand_dims(run=["a-seed0"]).assign_coords(network=("run", ["a"]))
    said = stabilised_maps.answers(runs)
    assert said["change of the stabilised state map"].isnull().all()
    assert float(said["coverage of the stabilised state map"][0]) == pytest.approx(1 / 3)
    with mpl.rc_context(plot.STYLE):
        stabilised_maps.figure(runs).draw_without_rendering()
    one = stabilised_maps.analyse(resting(recording(states[:, :, :, :1], flows)))
    assert (one.covered == 1).all()
    np.testing.assert_allclose(one.change[1:], np.sqrt(2), rtol=0.2)


def test_dead_states_are_not_still(recording):
    states, grid = lawful(Law(True, True))
    for value in (0, 2.5):
        made = resting(recording(0 * states + value, FLOWS, grid.velocities))
        with pytest.raises(InputError, match="expected states that vary; each unit is constant"):
            stabilised_maps.analyse(made)
    states[1] = 0
    change = stabilised_maps.analyse(resting(recording(states, FLOWS, grid.velocities))).change
    in_results = list(zip(change.flow_vy.values, change.flow_vx.values, strict=True))
    change = change.isel(flow=[in_results.index(flow) for flow in FLOWS])
    assert (change[1] > 1).all()
    assert (change[[2, 3]] == 0).all()


def test_maps_need_a_resting_trial(recording):
    states, velocities, velocity = moving_state(Law(True, True), [False, False])
    made = recording(states, FLOWS, velocities).assign_coords(
        object_velocity_vy=(("trial", "object"), velocity),
        object_velocity_vx=(("trial", "object"), 0 * velocity),
    )
    with pytest.raises(InputError, match="a trial whose objects all rest in the reference"):
        stabilised_maps.analyse(made)
    with pytest.raises(InputError, match="expected the velocity of each object .*; the recording has none"):
        stabilised_maps.analyse(made.drop_vars("object_velocity_vx"))
