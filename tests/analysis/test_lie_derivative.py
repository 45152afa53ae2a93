"""Lie derivatives that are known in closed form, from maps and from recordings of them."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray as xr
from scipy.stats import t as student

from analysis import lie_derivative as analysis
from flowsim import Flow, InputError, Rotation, Translation, build, open_recording, record
from flowsim.figures import plot
from flowsim.files import coordinates
from flowsim.flows.flow import transport
from flowsim.testing import lie_derivative

SIZE, TIMES, U = (9, 11), 5, (0.6, -0.8)
MODES = [1e-4, None]


def smooth(*shape, highest=2, seed=0):
    """Random images with few waves across, so that products of two are not aliased."""
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.fft.fft2(torch.randn(*shape, *SIZE, dtype=torch.float64, generator=generator))
    y, x = (torch.fft.fftfreq(n) * n for n in SIZE)
    return torch.fft.ifft2(spectrum * ((y.abs()[:, None] <= highest) & (x.abs() <= highest))).real


def along(x, u=U):
    """u . grad x, exactly, for what is band-limited."""
    y_, x_ = (2 * torch.pi * torch.fft.fftfreq(n, dtype=torch.float64) for n in SIZE)
    return torch.fft.ifft2(torch.fft.fft2(x) * 1j * (u[0] * y_[:, None] + u[1] * x_)).real


FRAMES = smooth(2, TIMES, 1)
MASK = smooth(1, seed=1)
TIME = torch.arange(TIMES, dtype=torch.float64)[:, None, None, None]


def lifted(states):
    """As states (trial, time, velocity, channel, y, x) of one velocity."""
    return states[:, :, None]


def convolved(frames):
    """A linear convolution on the torus, with plain torch operations."""
    kernel = torch.arange(18.0, dtype=torch.float64).reshape(2, 1, 3, 3).sin()
    padded = torch.nn.functional.pad(frames.flatten(0, 1), (1, 1, 1, 1), mode="circular")
    return lifted(torch.nn.functional.conv2d(padded, kernel).unflatten(0, frames.shape[:2]))


def masked(frames):
    return lifted(MASK * frames)


def leaky(frames, leak=0.5):
    """h_t = leak h_(t-1) + f_t in the static frame: what moves leaves a trail."""
    states = [frames[:, 0]]
    for t in range(1, frames.shape[1]):
        states.append(leak * states[-1] + frames[:, t])
    return lifted(torch.stack(states, 1))


def trail(power):
    """d/ds of psi_(-power t s) h_t[psi(s) f] for `leaky`, by hand: power 1 pulls back, power 0 does not."""
    slopes = [
        sum(0.5 ** (t - k) * (power * t - k) * along(FRAMES[:, k]) for k in range(t + 1))
        for t in range(TIMES)
    ]
    return lifted(torch.stack(slopes, 1))


CASES = {
    "convolution": (convolved, 0 * convolved(FRAMES)),
    "mask": (masked, lifted(TIME * along(MASK) * FRAMES)),
    "leak": (leaky, trail(1)),
}


@pytest.mark.parametrize("step", MODES)
@pytest.mark.parametrize("case", CASES)
def test_lie_derivative_of_a_map(case, step):
    of, expected = CASES[case]
    found = lie_derivative(of, Translation(), U, FRAMES, step)
    torch.testing.assert_close(found, expected, atol=1e-12 if step is None else 1e-6, rtol=0)


def test_central_differences_are_of_second_order():
    of, expected = CASES["leak"]
    wide, narrow = ((lie_derivative(of, Translation(), U, FRAMES, s) - expected).norm() for s in (0.02, 0.01))
    assert float(wide / narrow) == pytest.approx(4, rel=0.01)


def test_rotation_and_orientations():
    y, x = (torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in (31, 31))
    squared = y[:, None] ** 2 + x**2
    frames = ((1 + 0.15 * x) * torch.exp(-squared / 32)).expand(1, 3, 1, 31, 31)
    radial, sided = torch.exp(-squared / 80), torch.exp(-squared / 80) * (1 + 0.1 * x)
    round_, lopsided = (
        lie_derivative(lambda f, m=m: (m * f)[:, :, None], Rotation(), (5,), frames, 1e-3).norm()
        for m in (radial, sided)
    )
    assert round_ < 0.05 * lopsided
    oriented = (radial * frames)[:, :, None, :, None].expand(-1, -1, -1, -1, 4, -1, -1)
    still = lie_derivative(lambda _: oriented, Rotation(), (5,), frames, 1e-3)
    assert still.shape == oriented.shape
    assert still[:, 1:].abs().max() > 1e-3


NETWORKS = {
    "grnn": ("fernn", {"max_speed": 0, "activation": "tanh"}),
    "fernn": ("fernn", {"max_speed": 1, "activation": "tanh", "layers": 2}),
    "gru": ("fernn", {"max_speed": 1, "cell": "gru"}),
    "lstm": ("conv_lstm", {}),
    "convolutional gru": ("conv_gru", {}),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_forward_mode_of_networks_agrees_with_central_differences(name):
    """To the error of these, that is of the order of the square of the step: a quarter of the step, a
    sixteenth.
    """
    torch.manual_seed(0)
    kind, arguments = NETWORKS[name]
    network = build(kind, SIZE, channels=3, decoder_layers=0, **arguments).double()
    exact = lie_derivative(network, Translation(), U, FRAMES, None)
    assert exact.norm() > 0.1 * network.states(FRAMES).norm()
    far, near = ((lie_derivative(network, Translation(), U, FRAMES, s) - exact).norm() for s in (4e-3, 1e-3))
    assert near < 1e-4 * exact.norm()
    assert float(far / near) == pytest.approx(16, rel=0.02)


@pytest.mark.parametrize("kind", ["fernn", "fernn_mixing", "fernn_released"])
def test_forward_mode_of_rectified_networks(kind):
    """But for units that cross their kink within the step."""
    torch.manual_seed(0)
    network = build(kind, (9, 8), max_speed=1, channels=3, decoder_layers=0).double()
    frames = torch.rand(1, 4, 1, 9, 8, dtype=torch.float64)
    exact, near = (lie_derivative(network, Translation(), (0, 0.5), frames, s) for s in (None, 1e-6))
    assert float((abs(exact - near) > 1e-6).double().mean()) < 1e-3
    assert (exact[:, 0] == 0).all()
    assert exact[:, 3].norm() > 0.1


def test_attention_knows_no_forward_mode():
    network = build("attention", (8, 8)).double()
    with pytest.raises(InputError, match="has no forward mode"):
        lie_derivative(network, Translation(), U, torch.rand(1, 4, 1, 8, 8, dtype=torch.float64), None)


@pytest.mark.parametrize("max_speed", [0, 1])
@pytest.mark.parametrize("step", MODES)
def test_lie_derivative_of_a_linear_network(step, max_speed):
    """h_t = sum_k A_(t-k) f_k, so that L_t = sum_k (t - k) u . grad A_(t-k) f_k; without memory it is 0."""
    torch.manual_seed(0)
    network = build(
        "fernn", SIZE, max_speed=max_speed, channels=2, decoder_layers=0, activation="linear"
    ).double()
    alone = torch.zeros(TIMES, *FRAMES.shape, dtype=torch.float64)
    alone[range(TIMES), :, range(TIMES)] = FRAMES.transpose(0, 1)
    with torch.no_grad():
        answers = torch.stack([network.states(frames) for frames in alone])
    since = torch.arange(TIMES) - torch.arange(TIMES)[:, None]
    expected = (since[:, None, :, None, None, None, None] * along(answers)).sum(0)
    found = lie_derivative(network, Translation(), U, FRAMES, step)
    size = float(expected.norm())
    assert size > 0.5
    torch.testing.assert_close(found, expected, atol=1e-12 if step is None else 1e-6, rtol=0)
    with torch.no_grad():
        network.cells[0].recurrent.weight.zero_()
    assert (
        lie_derivative(network, Translation(), U, FRAMES, step).norm()
        < (1e-12 if step is None else 1e-9) * size
    )


def test_where_there_is_no_forward_mode(grnn):
    frames = torch.rand(1, 4, 1, 9, 8, dtype=torch.float64)
    network = grnn.double()
    with pytest.raises(InputError, match="has no forward mode"):
        lie_derivative(lambda f: lifted(_Known.apply(f)), Translation(), (0, 0.5), frames, None)
    with pytest.raises(InputError, match="works for translations only; give a step for rotation"):
        lie_derivative(network, Rotation(), (1,), frames, None)
    with pytest.raises(InputError, match=r"float64, by .double\(\); got torch.float32"):
        lie_derivative(network, Translation(), (0, 1), frames.float())


class _Known(torch.autograd.Function):
    """Of which no derivative is known."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x


def distance_from_mean(states):
    """Over trials and pixels, by time, velocity and channel."""
    return states - states.mean((0, 4, 5), keepdim=True)


def probed(recording, of, steps=(0.01,), opposite=True):
    """A recording of a map at small real-valued flows along U."""
    flows = [(0.0, 0.0)]
    for step in steps:
        flows += [tuple(s * c for c in U) for s in ((step, -step) if opposite else (step,))]
    states = [of(transport(Flow(Translation(), u).act, FRAMES)) for u in flows]
    return recording(torch.stack(states).numpy(), flows)


@pytest.mark.parametrize("case", CASES)
def test_recordings_and_maps_agree(case, recording):
    """To the square of a step of 0.01."""
    of, expected = CASES[case]
    result = analysis.analyse(probed(recording, of)).sel(site="state", law="transport").isel(flow=0)
    over = (0, 2, 3, 4, 5)
    size = distance_from_mean(of(FRAMES)).square().sum(over).sqrt()
    np.testing.assert_allclose(
        result.derivative, expected.square().sum(over).sqrt() / size, rtol=1e-3, atol=1e-6
    )
    for step in MODES:
        direct = lie_derivative(of, Translation(), U, FRAMES, step)
        np.testing.assert_allclose(
            result.derivative, direct.square().sum(over).sqrt() / size, rtol=1e-3, atol=1e-6
        )
    assert float(result.step) == pytest.approx(0.01)
    assert int(result.central) == 1


@pytest.mark.parametrize("activation", ["linear", "tanh"])
def test_recordings_of_a_network_agree_with_its_forward_mode(activation, recording):
    torch.manual_seed(0)
    network = build("fernn", SIZE, max_speed=0, channels=2, decoder_layers=0, activation=activation).double()
    with torch.no_grad():
        result = (
            analysis.analyse(probed(recording, network.states))
            .sel(site="state", law="transport")
            .isel(flow=0)
        )
        size = distance_from_mean(network.states(FRAMES)).square().sum((0, 2, 3, 4, 5)).sqrt()
    exact = lie_derivative(network, Translation(), U, FRAMES, None).square().sum((0, 2, 3, 4, 5)).sqrt()
    assert exact[-1] > 0.1 * size[-1]
    np.testing.assert_allclose(result.derivative, exact / size, rtol=1e-3, atol=1e-6)


def test_error_is_relative_to_the_derivative_of_the_state(recording):
    result = analysis.analyse(probed(recording, leaky)).sel(site="state").isel(flow=0)
    expected = [float(trail(1)[:, t].norm() / trail(0)[:, t].norm()) for t in range(1, TIMES)]
    np.testing.assert_allclose(result.error.sel(law="transport")[1:], expected, rtol=1e-3)
    np.testing.assert_allclose(result.error.sel(law="invariant")[1:], 1)
    assert result.error[:, 0].isnull().all()  # nothing has moved yet
    assert result.error.sel(law=["shift", "transport+shift"]).isnull().all()
    assert (result.coverage == [1, 1, 0, 0]).all()
    larger = analysis.analyse(probed(recording, lambda f: 1e3 * leaky(f)))
    xr.testing.assert_allclose(larger.isel(flow=0).sel(site="state"), result)


def test_without_the_opposite_flow_differences_are_forward(recording):
    result = (
        analysis.analyse(probed(recording, leaky, opposite=False))
        .sel(site="state", law="transport")
        .isel(flow=0)
    )
    expected = [float(trail(1)[:, t].norm() / trail(0)[:, t].norm()) for t in range(1, TIMES)]
    np.testing.assert_allclose(result.error[1:], expected, rtol=0.05)
    assert int(result.central) == 0


def test_noise_moves_by_no_law(recording, rng):
    states = rng.standard_normal((3, 4, TIMES, 1, 3, *SIZE))
    result = analysis.analyse(recording(states, [(0, 0), (0, 0.1), (0, -0.1)])).sel(
        site="state", law="transport"
    )
    np.testing.assert_allclose(result.error, 1, atol=0.1)
    assert (result.interval[:, 1:] > 0).all()


def test_intervals_are_those_of_the_spread_over_draws(rng, recording):
    errors, intervals = [], []
    for _ in range(40):
        states = rng.standard_normal((3, 8, 2, 1, 1, 3, 3))
        result = analysis.analyse(recording(states, [(0, 0), (0, 0.1), (0, -0.1)], times=[0, 4]))
        of = result.sel(site="state", law="transport", time=4).isel(flow=0)
        errors.append(float(of.error))
        intervals.append(float(of.interval))
    assert np.mean(intervals) == pytest.approx(student.ppf(0.975, 7) * np.std(errors), rel=0.35)


@pytest.mark.parametrize(
    ("kind", "stored", "step"),
    [
        (np.float16, np.float16, 0.01),
        (np.float16, np.float32, 0.002),  # computed in float16, and stored in more digits
        (np.float32, np.float32, 1e-6),
        (np.float32, np.float64, 1e-6),
        ("bfloat16", np.float32, 0.02),
    ],
)
@pytest.mark.parametrize("opposite", [True, False])
def test_what_rounding_alone_gives_is_told(kind, stored, step, opposite, recording):
    """Of a state that obeys transport exactly, and is rounded."""
    made = probed(recording, convolved, (step,), opposite)
    exact = analysis.analyse(made).sel(site="state", law="transport").isel(flow=0, time=slice(1, None))
    assert (exact.error < 1e-6).all()
    if kind == "bfloat16":
        rounded = torch.from_numpy(made.state.values).bfloat16().float().numpy()
    else:
        rounded = made.state.values.astype(kind)
    made["state"] = made.state.dims, rounded.astype(stored)
    found = analysis.analyse(made).sel(site="state", law="transport").isel(flow=0, time=slice(1, None))
    assert (found.error > 0.003).all()
    np.testing.assert_allclose(found.error, found.floor, rtol=0.15)
    assert (exact.floor < 1e-3 * found.floor).all()


def test_a_broken_law_is_above_what_rounding_gives(recording):
    made = probed(recording, leaky, (0.01,))
    made["state"] = made.state.astype(np.float32)
    found = analysis.analyse(made).sel(site="state", law="transport").isel(flow=0, time=slice(1, None))
    assert (found.error > 100 * found.floor).all()


def test_few_digits_of_what_was_shown_are_no_coarse_type():
    assert analysis._lost_digits(np.arange(100.0)) == 0
    assert analysis._lost_digits(np.random.default_rng(0).random(1000)) == 0
    assert analysis._lost_digits(np.zeros(1000)) == 0


@pytest.mark.parametrize("offset", [0, 100])
def test_rotation_moves_no_bias(offset):
    """A round state is still under rotation, and a constant moves nothing, whatever its size."""
    y, x = (torch.arange(n, dtype=torch.float64) - 10 for n in (21, 21))
    bump = torch.exp(-((y[:, None] - 3) ** 2 + x**2) / 12)
    omegas = [(0.0,), (2.0,), (-2.0,)]
    state = bump.expand(1, 4, 1, 2, 21, 21)
    moved = torch.stack([transport(Flow(Rotation(), u).act, state) for u in omegas])
    made = xr.Dataset({"state": (coordinates.STATE, offset + moved.numpy())})
    made = made.assign_coords(
        time=np.arange(4),
        **coordinates.velocity_coords("flow", Rotation(), omegas),
        **coordinates.velocity_coords("velocity", Rotation(), [(0.0,)]),
    )
    error = analysis.analyse(made).error.sel(site="state", law="transport")[0, 1:]
    assert (error < 0.05).all()


def test_the_reference_is_found_by_its_velocity(recording):
    made = probed(recording, leaky)
    again = analysis.analyse(made.isel(flow=[1, 0, 2]))
    xr.testing.assert_allclose(again.isel(flow=0), analysis.analyse(made).isel(flow=0))


def test_dead_states(recording):
    made = probed(recording, leaky)
    for value in (0, 0.3):
        with pytest.raises(InputError, match="expected states that vary; each unit is constant"):
            analysis.analyse(made.assign(state=0 * made.state + value))
    made.state[1] = 0
    made.state[2] = 0
    dying = analysis.analyse(made)
    assert dying.constant.values.ravel().tolist() == [1]
    assert dying.derivative.isnull().all()
    assert dying.error.isnull().all()


def test_flows_that_come_to_the_same_place_are_left_out(recording, rng):
    states = rng.standard_normal((3, 1, 9, 1, 1, 8, 8))
    error = analysis.analyse(recording(states, [(0, 0), (0, 1), (0, -1)])).error.sel(
        site="state", law="transport"
    )
    assert error.notnull().values.ravel().tolist() == [True] * 3 + [False] * 6


@pytest.mark.parametrize(("activation", "size"), [("linear", 1e-9), ("relu", 0.4)])
def test_real_valued_velocities_obey_their_law_but_for_aliasing(activation, size, tmp_path):
    """Exactly where the network is linear; a relu makes waves that pixels cannot carry."""
    torch.manual_seed(0)
    velocities, frames = [(0.0, -0.1), (0.0, 0.0), (0.0, 0.1)], FRAMES.abs() / 2 + 0.05
    network = build(
        "fernn", SIZE, velocities=velocities, channels=2, decoder_layers=0, activation=activation
    ).double()
    flows = [(0, 0), (0, 0.1), (0, -0.1)]
    shown = torch.stack([transport(Flow(Translation(), u).act, frames) for u in flows])[:, :, :, 0]
    stimulus = xr.Dataset(
        {"frames": (("flow", "trial", "time", "y", "x"), shown.numpy())},
        {"time": np.arange(TIMES), **coordinates.velocity_coords("flow", Translation(), flows)},
        {"flow_group": "translation"},
    )
    record(network, stimulus, tmp_path / "a.h5", dtype="float64")
    result = analysis.analyse(open_recording(tmp_path / "a.h5"))
    assert result.site.values.tolist() == ["state", "prediction"]
    state = result.sel(site="state").isel(flow=0, time=slice(1, None))
    assert float(state.coverage.sel(law="transport+shift")) == pytest.approx(1 / 3)
    assert (state.error.sel(law="transport+shift") < size).all()
    assert (state.error.sel(law="transport+shift")[1:] < 0.7 * state.error.sel(law="transport")[1:]).all()
    assert result.error.sel(site="prediction", law="transport")[:, 2:].notnull().all()


def test_figure_by_step(recording):
    result = analysis.analyse(probed(recording, leaky, steps=(0.01, 0.1, 0.2)))
    both = xr.concat([result, result], "run").assign_coords(
        network=("run", ["a", "b"]), run=["a-seed0", "b-seed0"]
    )
    (label, error), (of_rounding, floor) = analysis.answers(both).items()
    assert label == "relative Lie derivative of state, best law, step 0.01"
    assert of_rounding == "rounding alone, of state, best law, step 0.01"
    assert 0 < float(floor[0]) < 1e-9
    assert 0.1 < float(error[0]) < 1
    with mpl.rc_context(plot.STYLE):
        assert analysis.figure(both).axes[1].get_xlabel() == "step (px/frame)"
    plt.close("all")


def test_states_without_space_and_recordings_without_flows(recording, rng):
    made = recording(np.zeros((3, 1, 5, 1, 1, 1, 1)), [(0, 0), (0, 1), (0, -1)])
    made = made.drop_vars(["state", "velocity_vy", "velocity_vx"]).assign(
        state=(coordinates.UNITS, rng.random((3, 2, 5, 4)))
    )
    made["frames"] = (("flow", "trial", "time", "y", "x"), np.zeros((3, 2, 5, 9, 9)))
    result = analysis.analyse(made)
    assert result.error.sel(law="transport").isnull().all()
    assert result.derivative.sel(law="invariant", time=[0, 1, 2]).notnull().all()
    with pytest.raises(InputError, match="expected 1 or more flows that move"):
        analysis.analyse(recording(np.zeros((1, 1, 5, 1, 1, 3, 3))))
    with pytest.raises(InputError, match="contains NaN or infinity"):
        analysis.analyse(recording(np.full((2, 1, 5, 1, 1, 3, 3), np.nan), [(0, 0), (0, 1)]))
