"""A flow is a one-parameter group that moves frames and keeps their energy."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flowsim import Flow, InputError, Rotation, Translation

speeds = st.integers(-7, 7)
velocities = st.tuples(speeds, speeds)
times = st.integers(-9, 9)
shapes = st.tuples(st.integers(1, 8), st.integers(1, 8))
odd = st.integers(1, 4).map(lambda n: 2 * n + 1)
real = st.floats(-5, 5)


def frame(shape, seed=0):
    return torch.rand(2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@given(velocities, shapes)
def test_no_time_is_identity(v, shape):
    x = frame(shape)
    assert torch.equal(Flow(Translation(), v).act(x, 0), x)


@given(velocities, times, times, shapes)
def test_times_add(v, s, t, shape):
    flow, x = Flow(Translation(), v), frame(shape)
    assert torch.equal(flow.act(flow.act(x, t), s), flow.act(x, s + t))


@given(velocities, times, shapes)
def test_backwards_undoes(v, t, shape):
    flow, x = Flow(Translation(), v), frame(shape)
    assert torch.equal(flow.act(flow.act(x, t), -t), x)


@given(velocities, times, shapes)
def test_isometry(v, t, shape):
    x = frame(shape)
    assert torch.equal(Flow(Translation(), v).act(x, t).flatten().sort()[0], x.flatten().sort()[0])


@given(velocities, velocities, shapes)
def test_translations_commute(v, w, shape):
    a, b, x = Flow(Translation(), v), Flow(Translation(), w), frame(shape)
    assert torch.equal(a.act(b.act(x)), b.act(a.act(x)))


@given(st.tuples(real, real), real, real, st.tuples(odd, odd))
def test_real_translation_is_a_group_on_odd_sizes(v, s, t, shape):
    flow, x = Flow(Translation(), v), frame(shape)
    torch.testing.assert_close(flow.act(flow.act(x, t), s), flow.act(x, s + t), rtol=0, atol=1e-11)
    torch.testing.assert_close(flow.act(x, t).square().sum(), x.square().sum())


def test_real_translation_at_the_nyquist_frequency():
    """On even sizes the highest mode cannot turn: it fades with cos(pi s), and only that mode does."""
    stripes = torch.tensor([[1.0, -1.0, 1.0, -1.0]], dtype=torch.float64)
    half = Flow(Translation(), (0, 0.5))
    assert half.act(stripes).abs().max() < 1e-12
    slow = torch.cos(torch.arange(4, dtype=torch.float64) * torch.pi / 2)[None]
    torch.testing.assert_close(half.act(half.act(slow)), slow.roll(1, -1))


def test_real_translation_agrees_with_whole_pixels():
    x = frame((6, 5))
    nearly = Flow(Translation(), (2 + 1e-12, -1 - 1e-12)).act(x)
    torch.testing.assert_close(nearly, x.roll((2, -1), (-2, -1)))


def test_positive_is_down_and_right():
    x = torch.zeros(4, 5)
    x[0, 0] = 1
    moved = Flow(Translation(), (1, 2)).act(x, 2)
    assert moved[2, 4] == 1
    assert moved.sum() == 1


def test_transport_moves_each_frame_by_its_time():
    frames = torch.rand(2, 3, 1, 4, 5)
    flow = Flow(Translation(), (1, -2))
    moved = flow.transport(frames)
    for t in range(3):
        assert torch.equal(moved[:, t], frames[:, t].roll((t, -2 * t), (-2, -1)))
    assert torch.equal(flow.transport(frames[:, ::2], times=[0, 2]), moved[:, ::2])
    with pytest.raises(InputError, match="a time for each of 3 frames; got 2"):
        flow.transport(frames, times=[0, 1])


def test_rotation_turns_counter_clockwise():
    x = torch.zeros(5, 5, dtype=torch.float64)
    x[2, 4] = 1  # right of the centre
    assert Flow(Rotation(), 90).act(x)[0, 2] == 1  # above it


@pytest.mark.parametrize("angle", [90, 180, 270, -90])
def test_interpolated_rotation_agrees_with_quarter_turns(angle):
    x = frame((6, 6))
    torch.testing.assert_close(
        Flow(Rotation(), angle + 1e-9).act(x), Flow(Rotation(), angle).act(x), atol=1e-7, rtol=0
    )


def test_rotation_of_a_smooth_blob_is_nearly_a_group():
    y, x = torch.meshgrid(*[torch.linspace(-3, 3, 31, dtype=torch.float64)] * 2, indexing="ij")
    blob = torch.exp(-((y - 0.8) ** 2) - x**2)
    flow = Flow(Rotation(), 10)
    error = (flow.act(flow.act(blob, 1), 2) - flow.act(blob, 3)).norm() / blob.norm()
    assert error < 0.02
    assert (flow.act(blob, 3) - blob).norm() / blob.norm() > 0.4


def test_rotation_of_frames_that_are_not_square():
    x = frame((5, 7))
    assert torch.equal(Flow(Rotation(), 180).act(x), x.flip((-2, -1)))
    assert Flow(Rotation(), 30).act(x).shape == x.shape


@pytest.mark.parametrize(
    ("group", "velocity"), [(Translation(), (1,)), (Translation(), 3), (Rotation(), (1, 2))]
)
def test_wrong_number_of_components(group, velocity):
    with pytest.raises(InputError, match=f"a velocity of {group.name} has"):
        Flow(group, velocity)
