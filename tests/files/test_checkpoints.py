"""What a network did at a moment of its training is a recording of its own."""

import numpy as np
import pytest
import xarray as xr

from flowsim import InputError
from flowsim.files.checkpoints import at_checkpoint, sequences_seen

LEADING = ("flow", "trial", "time")


@pytest.fixture
def followed():
    """A recording at three moments; of its prediction only the best weights were recorded."""
    made = xr.Dataset(
        {
            "frames": (LEADING, np.zeros((1, 2, 3))),
            "state": ((*LEADING, "unit"), np.ones((1, 2, 3, 4)), {"law": "shift"}),
            "state_at_checkpoint": (
                ("checkpoint", *LEADING, "unit"),
                np.arange(3)[:, None, None, None, None] * np.ones((3, 1, 2, 3, 4)),
            ),
            "prediction": (LEADING, np.ones((1, 2, 3))),
            "curve_valid_loss": ("validation", np.ones(5)),
        },
        attrs={"context": 2},
    )
    return made.assign_coords(sequences=("checkpoint", [0, 10, 100]), time=[0, 1, 2])


def test_one_moment(followed):
    assert sequences_seen(followed) == [0, 10, 100]
    for number in range(3):
        then = at_checkpoint(followed, number)
        assert (then.state == number).all()
        assert then.state.dims == (*LEADING, "unit")
        assert "checkpoint" not in then.dims
        assert "sequences" not in then.variables
        assert then.attrs == followed.attrs
        assert then.curve_valid_loss.dims == ("validation",)
    assert (followed.state == 1).all()


def test_a_recording_of_the_best_weights_alone(followed):
    plain = followed.drop_vars(["state_at_checkpoint", "sequences"])
    with pytest.raises(
        InputError, match="of its best weights alone. Set checkpoints in train, and checkpoints"
    ):
        sequences_seen(plain)
    old = plain.rename(validation="checkpoint")  # as learning curves were recorded once
    with pytest.raises(InputError, match="expected a recording of a network at several moments"):
        sequences_seen(old)
