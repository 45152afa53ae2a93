"""Translations are a one-parameter group that moves frames and keeps their energy."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from flowsim import Flow, Translation

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


def test_displayed_directions():
    """Down is -1j in the plane, right is 1; both are displacements by as much."""
    assert Translation().plane == (-1j, 1)
    assert Translation().displacement((2, -3)) == (2, -3)
    assert Translation().plane_label == "vx → and vy ↓ (px/frame)"
