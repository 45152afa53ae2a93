"""What all flow groups share: velocities, how they are written, and counterparts in other groups."""

import pytest

from flowsim import Flow, InputError, Rotation, Spiral, Translation


@pytest.mark.parametrize(
    ("group", "velocity"), [(Translation(), (1,)), (Translation(), 3), (Rotation(), (1, 2))]
)
def test_wrong_number_of_components(group, velocity):
    with pytest.raises(InputError, match=f"a velocity of {group.name} has"):
        Flow(group, velocity)


def test_velocities_are_whole_where_they_can_be():
    assert Translation().velocity([2.0, 0.5]) == (2, 0.5)
    assert isinstance(Translation().velocity([2.0, 0.5])[0], int)
    assert Rotation().velocity(10) == (10,)


def test_velocities_are_written_with_their_units():
    assert Translation().write((1, -0.5)) == "vy = 1 px/frame, vx = -0.5 px/frame"
    assert Translation().parse("vy = 1 px/frame, vx = -0.5 px/frame") == (1, -0.5)
    assert Spiral().write((0.1, 10)) == "expansion = 0.1 1/frame, omega = 10 deg/frame"
    with pytest.raises(
        InputError, match="a velocity of rotation written as 'omega = <number> deg/frame'; got 'omega = fast"
    ):
        Rotation().parse("omega = fast deg/frame")


def test_counterparts():
    assert Spiral().counterpart(Rotation(), (10,)) == (0, 10)
    assert Rotation().counterpart(Spiral(), (0, 10)) == (10,)
    assert Rotation().counterpart(Spiral(), (0.1, 10)) is None
    assert Rotation().counterpart(Translation(), (1, 0)) is None
    assert Rotation().counterpart(Translation(), (0, 0)) == (0,)
