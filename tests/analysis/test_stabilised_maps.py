"""States of a known law, moved back along the flow."""

import numpy as np
import pytest
import torch

from analysis import stabilised_maps
from flowsim import Flow, InputError, Law, Translation
from tests.known.states import FLOWS, lawful


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
