"""States that go on at a known velocity, for a known time, once the input is withheld."""

import matplotlib as mpl
import numpy as np
import pytest
import torch
import xarray as xr

from analysis import free_run
from flowsim import InputError, build, open_recording, record
from flowsim.figures import plot
from flowsim.files import coordinates
from stimuli import moving_digits
from tests.known.calibration import times
from tests.known.states import NEIGHBOURS

mpl.use("agg")
AT, TIME = 3, 9
SIZE = (9, 8)


def moved(images, velocity, times=range(TIME)):
    """Images (..., y, x) that move at one velocity: (time, ..., y, x)."""
    return np.stack([np.roll(images, (t * velocity[0], t * velocity[1]), (-2, -1)) for t in times])


def blanked(recording, state, blank_state, flows=((0, 0),), velocities=((0, 0),), objects=None, at=AT):
    """A recording of states (flow, trial, time, velocity, channel, y, x) whose input is withheld from ``at`` on,
    under objects of some velocity (trial, component).
    """
    made = recording(state, flows, velocities)
    made["blank_state"] = (coordinates.STATE, np.asarray(blank_state))
    made = made.assign_coords(blank=("time", (made.time.values >= at).astype(np.int8)))
    objects = np.zeros((made.sizes["trial"], 2)) if objects is None else np.asarray(objects)
    over = ("trial", "object")
    return made.assign_coords(
        object_velocity_vy=(over, objects[:, :1]), object_velocity_vx=(over, objects[:, 1:])
    )


def following(rng, velocity_of, flows=NEIGHBOURS, trials=4, velocities=((0, 0),), channels=2, size=SIZE):
    """States in which each velocity channel moves an image of each trial at ``velocity_of(flow, own)``."""
    images = rng.standard_normal((trials, len(velocities), channels, *size))
    states = [
        [
            np.stack(
                [
                    moved(of_channel, velocity_of(u, v))
                    for of_channel, v in zip(trial, velocities, strict=True)
                ],
                1,
            )
            for trial in images
        ]
        for u in flows
    ]
    return np.array(states)


def in_runs(**results):
    """Results side by side as those of networks."""
    runs = [values.expand_dims(run=[name]) for name, values in results.items()]
    return xr.concat(runs, "run", join="outer").assign_coords(network=("run", list(results)))


def test_a_state_that_goes_on_with_the_world_has_slope_1(rng, recording):
    states = following(rng, lambda u, _: u)
    result = free_run.analyse(blanked(recording, states, states, NEIGHBOURS))
    for given in free_run.INPUTS:
        one = result.sel(input=given)
        assert float(one.slope.sel(slope_on="stimulus")) == pytest.approx(1)
        assert float(one.slope_interval.sel(slope_on="stimulus")) == pytest.approx(0, abs=1e-9)
        np.testing.assert_allclose(one.share.sel(plane="stimulus"), 1)
        np.testing.assert_allclose(one.kept, 1)
        np.testing.assert_allclose(one.coherence, 1)
        assert float(one.persistence) == TIME - AT
        assert float(one.indistinct) == 0
        np.testing.assert_allclose(one.followed, one.stimulus_velocity)
    assert result.slope.sel(slope_on="channel").isnull().all()  # one channel has no slope


def test_a_state_that_stands_still_has_slope_0(rng, recording):
    """Whatever the same state does while there is input."""
    driven, still = following(rng, lambda u, _: u), following(rng, lambda *_: (0, 0))
    result = free_run.analyse(blanked(recording, driven, still, NEIGHBOURS))
    np.testing.assert_allclose(result.slope.sel(slope_on="stimulus"), [1, 0], atol=1e-9)
    withheld = result.sel(input="withheld")
    np.testing.assert_allclose(withheld.share.sel(plane="rest"), 1)
    assert float(withheld.share.sel(plane="stimulus")) < 0.3  # of white noise at rest, by chance
    np.testing.assert_allclose(withheld.moved, 0)
    np.testing.assert_allclose(withheld.kept, 1)


def test_a_shift_of_its_own_is_no_slope(rng, recording):
    """One pixel to the left in every frame, whatever the world does."""
    states = following(rng, lambda *_: (0, -1))
    withheld = free_run.analyse(blanked(recording, states, states, NEIGHBOURS)).sel(input="withheld")
    np.testing.assert_allclose(withheld.moved, [0, -1])
    np.testing.assert_allclose(withheld.slope.sel(slope_on="stimulus"), 0, atol=1e-9)
    np.testing.assert_allclose(withheld.followed, -0.5)  # the mean of both components
    assert float(withheld.share.sel(plane="stimulus")) < 0.4
    np.testing.assert_allclose(withheld.coherence, 1)


def test_channels_that_move_at_their_own_velocity(rng, recording):
    velocities = [(0, 0), (0, 1), (1, 0), (-2, 1), (7, 0)]
    states = following(rng, lambda _, own: own, velocities=velocities)
    withheld = free_run.analyse(blanked(recording, states, states, NEIGHBOURS, velocities)).sel(
        input="withheld"
    )
    expected = [*velocities[:4], (-2, 0)]  # 7 of 9 px down is 2 px up
    np.testing.assert_allclose(withheld.channel_velocity, expected)
    np.testing.assert_allclose(withheld.own, expected)
    np.testing.assert_allclose(withheld.slope.sel(slope_on="channel"), 1)
    np.testing.assert_allclose(withheld.share.sel(plane="channel"), 1)
    np.testing.assert_allclose(withheld.kept, 1)  # each channel by its own translation
    against = following(rng, lambda _, own: (-own[0], -own[1]), velocities=velocities[:4])
    opposite = free_run.analyse(blanked(recording, against, against, NEIGHBOURS, velocities[:4]))
    np.testing.assert_allclose(opposite.slope.sel(slope_on="channel"), -1)


def test_the_velocity_is_that_of_objects_and_of_flows_together(rng, recording):
    objects = np.array([(0, 0), (1, 0), (0, -1), (1, 1)])
    images = rng.standard_normal((4, 1, 2, *SIZE))
    states = [
        [moved(image, np.add(u, v)) for image, v in zip(images, objects, strict=True)] for u in NEIGHBOURS
    ]
    made = blanked(recording, np.array(states), np.array(states), NEIGHBOURS, objects=objects)
    withheld = free_run.analyse(made).sel(input="withheld")
    np.testing.assert_allclose(withheld.slope.sel(slope_on="stimulus"), 1)
    np.testing.assert_allclose(withheld.share.sel(plane="stimulus"), 1)
    one_flow = made.isel(flow=[0])
    np.testing.assert_allclose(free_run.analyse(one_flow).slope.sel(slope_on="stimulus"), 1)


def test_real_velocities_are_means_over_steps(rng, recording):
    """Half a pixel in a frame is one pixel in every second."""
    still = rng.standard_normal((2, 1, 2, *SIZE))
    states = np.stack([np.roll(still, t // 2, -1) for t in range(TIME)], 1)[None]
    withheld = free_run.analyse(blanked(recording, states, states)).sel(input="withheld")
    np.testing.assert_allclose(withheld.moved, [0, 0.5])


@pytest.mark.parametrize("offset", [0, 10])
def test_noise_moves_nowhere(rng, recording, offset):
    noise = offset + rng.standard_normal((9, 4, TIME, 1, 4, *SIZE))
    result = free_run.analyse(blanked(recording, noise, noise, NEIGHBOURS))
    withheld = result.sel(input="withheld")
    assert float(withheld.indistinct) > 0.99
    assert float(withheld.indistinct_channels) > 0.99
    assert float(withheld.persistence) == 0
    assert (withheld.kept < 0.3).all()
    np.testing.assert_allclose(withheld.share, 1 / 7, atol=0.02)  # seven frames
    assert float(withheld.coherence) < 0.25
    np.testing.assert_allclose(withheld.norm, 1, atol=0.1)


def test_a_slope_is_found_in_noise_no_more_often_than_stated(rng):
    """200 states that move at a velocity which has nothing to do with the world's: 5 % of intervals leave out 0."""
    world = np.broadcast_to(np.array(NEIGHBOURS, float), (10, 9, 2))
    found = 0
    for _ in range(200):
        of_trial = rng.integers(-2, 3, (10, 1, 2))
        slope, half = free_run.slope_interval(of_trial + rng.integers(-2, 3, world.shape), world)
        found += abs(slope) > half
    assert found <= 20


def test_intervals_of_a_slope_hold_it(rng):
    world = np.broadcast_to(np.array(NEIGHBOURS, float), (10, 9, 2))
    held = 0
    for _ in range(200):
        of_each = rng.normal(0.6, 0.3, (10, 1, 1)) * world + rng.standard_normal(world.shape)
        slope, half = free_run.slope_interval(of_each, world)
        held += abs(slope - 0.6) <= half
    assert held >= 180


def states_that_differ(rng, recording, trials):
    """States of which each trial follows the world for some of the frames, fades at a rate of its own, and is noisy."""
    flows = [(0, 1), (0, -1), (1, 0)]
    images = rng.standard_normal((trials, 1, 6, 7))
    states = np.zeros((len(flows), trials, TIME, 1, 1, 6, 7))
    for trial in range(trials):
        rate, follows = rng.uniform(0.7, 1), rng.random(TIME) < rng.uniform(0.3, 1)
        for flow, velocity in enumerate(flows):
            at = np.cumsum(follows) - follows[0]
            states[flow, trial, :, 0] = [
                rate**time * moved(images[trial], velocity, [steps])[0] for time, steps in enumerate(at)
            ]
    noisy = states + 0.5 * rng.standard_normal(states.shape)
    return blanked(recording, noisy, noisy, flows)


@times(20)
def test_intervals_over_trials(simulations, recording, calibration):
    """They hold what very many trials give."""
    many = free_run.analyse(states_that_differ(np.random.default_rng(10**6), recording, 400))
    found = [
        free_run.analyse(states_that_differ(np.random.default_rng(seed), recording, 12))
        for seed in range(simulations)
    ]
    together = xr.concat(found, "simulation").sel(input="withheld")
    many = many.sel(input="withheld")
    names = [str(name) for name in many.data_vars if str(name).endswith("_interval")]
    assert len(names) == 10
    for name in names:
        of = name.removesuffix("_interval")
        value, half, truth = (
            values.stack(part=[d for d in values.dims if d != "simulation"])[..., 0]  # one part is enough
            if set(values.dims) - {"simulation"}
            else values
            for values in (together[of], together[name], many[of])
        )
        ends = value - half, float(truth), value + half
        calibration.intervals("free_run", name, *ends, "trials that follow, fade and are noisy", known=0.9)


def test_slopes_leave_out_what_is_unknown():
    world = np.array([[[0.0, 0], [1, 0]], [[2, 0], [3, 0]], [[4, 0], [5, 0]]])
    of_each = 3 * world + 1
    of_each[1, 1] = np.nan
    slope, half = free_run.slope_interval(of_each, world)
    assert slope == pytest.approx(3)
    assert half == pytest.approx(0, abs=1e-9)
    assert np.isnan(free_run.slope_interval(of_each, np.full_like(world, np.nan))).all()
    assert np.isnan(free_run.slope_interval(of_each[:1], world[:1])[1])


@pytest.mark.parametrize(("factor", "frames"), [(0.95, 6), (0.8, 3), (0.4, 0), (1.2, 6)])
def test_persistence_is_the_time_until_half_is_kept(rng, recording, factor, frames):
    """0.8^3 = 0.51; what grows is kept too, and moves no less."""
    states = following(rng, lambda u, _: u)
    fading = states * factor ** np.maximum(0, np.arange(TIME) - AT + 1)[:, None, None, None, None]
    withheld = free_run.analyse(blanked(recording, states, fading, NEIGHBOURS)).sel(input="withheld")
    np.testing.assert_allclose(withheld.kept, factor**withheld.ahead)
    np.testing.assert_allclose(withheld.norm, factor**withheld.ahead)
    assert float(withheld.persistence) == frames
    np.testing.assert_allclose(withheld.share.sel(plane="stimulus"), 1)
    np.testing.assert_allclose(withheld.slope.sel(slope_on="stimulus"), 1)


def test_a_state_that_is_gone_has_no_velocity(rng, recording):
    states = following(rng, lambda u, _: u)
    gone = states.copy()
    gone[:, :, AT:] = 0
    withheld = free_run.analyse(blanked(recording, states, gone, NEIGHBOURS)).sel(input="withheld")
    assert float(withheld.indistinct) == 1
    np.testing.assert_array_equal(withheld.kept, 0)
    for name in ("moved", "slope", "share"):
        assert withheld[name].isnull().all()
    assert float(withheld.persistence) == 0


def test_waves_that_each_move_at_their_own_velocity_are_coherent_and_on_no_plane(rng, recording):
    spectrum = np.fft.rfft2(rng.standard_normal((1, 4, 1, 1, 2, *SIZE)))
    advance = np.exp(2j * np.pi * rng.random((*SIZE[:1], SIZE[1] // 2 + 1)))
    states = np.concatenate([np.fft.irfft2(spectrum * advance**t, SIZE) for t in range(TIME)], 2)
    withheld = free_run.analyse(blanked(recording, states, states)).sel(input="withheld")
    assert float(withheld.coherence) > 0.85  # the phase of frequencies without an imaginary part is lost
    assert float(withheld.share.sel(plane="rest")) < 0.3


def test_the_spectrum_lies_on_omega_is_minus_k_u(rng, recording):
    flows = [(0, 0), (0, 1), (0, -1), (1, 0)]
    states = following(rng, lambda u, _: u, flows=flows)
    result = free_run.analyse(blanked(recording, states, states, flows))
    spectrum = result.spectrum.sel(input="withheld")
    assert float(spectrum.sum()) == pytest.approx(1)
    assert float(result.spectrum_velocity) == 1
    for k in spectrum.wave_number.values[1:-1]:
        nearest = spectrum.frequency[int(spectrum.sel(wave_number=k).argmax("frequency"))]
        assert abs((float(nearest) + k + 0.5) % 1 - 0.5) <= 0.5 / 7 + 1e-9
    still = following(rng, lambda *_: (0, 0), flows=flows)
    flat = free_run.analyse(blanked(recording, still, still, flows)).spectrum.sel(input="withheld")
    assert float(flat.sel(frequency=0).sum()) == pytest.approx(1)
    up = free_run.analyse(blanked(recording, states[[3]], states[[3]], [(1, 0)]))
    assert up.spectrum.isnull().all()
    assert up.spectrum_velocity.isnull()


def network(max_speed, kernel, channels=2):
    """A FERNN whose channels do not mix, and whose recurrent weights are a given kernel (3, 3)."""
    torch.manual_seed(0)
    made = build("fernn", SIZE, max_speed=max_speed, channels=channels, decoder_layers=0).double()
    with torch.no_grad():
        weight = made.cells[0].recurrent.weight
        weight.zero_()
        for channel in range(channels):
            weight[channel, channel] = torch.as_tensor(kernel, dtype=torch.float64)
    return made


IDENTITY = [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
SYMMETRIC = [[0.02, 0.05, 0.02], [0.05, 0.6, 0.05], [0.02, 0.05, 0.02]]
RIGHT = [[0, 0, 0], [1, 0, 0], [0, 0, 0]]
"""Moves a map by one pixel to the right: a kernel of torch is a correlation."""


@pytest.fixture
def recorded(tmp_path, rng):
    """The results of a network that has seen a digit move at each velocity of {-1..1}^2 for four frames."""
    probe = moving_digits.generate("probe", rng, height=9, width=8, trials=3, frames=8, objects=1)

    def analyse(of_network, **options):
        record(of_network, probe, tmp_path / "a.h5", blank={"at": 4, **options}, dtype="float64")
        return free_run.analyse(open_recording(tmp_path / "a.h5"))

    return analyse


@pytest.mark.parametrize("kernel", [IDENTITY, SYMMETRIC])
def test_channels_of_a_fernn_move_at_their_own_velocity(kernel, recorded):
    withheld = recorded(network(1, kernel)).sel(input="withheld")
    np.testing.assert_allclose(withheld.channel_velocity, withheld.own)
    np.testing.assert_allclose(withheld.slope.sel(slope_on="channel"), 1)
    if kernel is IDENTITY:
        np.testing.assert_allclose(withheld.share.sel(plane="channel"), 1)


def test_the_state_of_a_fernn_goes_on_with_the_world(recorded):
    """The channel of the velocity that was seen holds most: what it adds up lies at one place."""
    withheld = recorded(network(1, IDENTITY)).sel(input="withheld")
    objects_within = withheld.followed.sel(stimulus_velocity=[-1, 0, 1])
    assert (objects_within.diff("stimulus_velocity") > 0.5).all()
    assert float(withheld.slope.sel(slope_on="stimulus")) > 0.6


@pytest.mark.parametrize(("kernel", "velocity"), [(IDENTITY, 0), (SYMMETRIC, 0), (RIGHT, 1)])
def test_the_state_of_an_ordinary_network_moves_as_its_weights_do(kernel, velocity, recorded):
    """Not as the world did."""
    result = recorded(network(0, kernel))
    withheld = result.sel(input="withheld")
    np.testing.assert_allclose(withheld.moved, [0, velocity])
    np.testing.assert_allclose(withheld.channel_velocity, [[0, velocity]])
    np.testing.assert_allclose(withheld.slope.sel(slope_on="stimulus"), 0, atol=1e-9)
    assert float(withheld.kept.sel(ahead=1)) > 0.5


def test_a_network_as_it_is_built_and_mixing_channels(recorded):
    torch.manual_seed(1)
    made = build("fernn", SIZE, max_speed=1, channels=4, decoder_layers=0, initial="identity").double()
    withheld = recorded(made).sel(input="withheld")
    np.testing.assert_allclose(withheld.channel_velocity, withheld.own, atol=0.1)
    assert float(withheld.slope.sel(slope_on="channel")) == pytest.approx(1, abs=0.05)


def test_noise_instead_of_the_input_is_no_motion(recorded):
    """Noise drives the state of a network without memory: it fits no velocity, and nothing is kept."""
    withheld = recorded(network(0, np.zeros((3, 3))), by="noise").sel(input="withheld")
    assert float(withheld.indistinct) > 0.9
    assert float(withheld.persistence) < 0.5


def test_states_without_space_and_with_orientations(rng, recording):
    made = blanked(recording, *[following(rng, lambda u, _: u)] * 2, NEIGHBOURS)
    units = rng.standard_normal((9, 4, 1, 5)) * 0.7 ** np.maximum(0, np.arange(TIME) - AT + 1)[:, None]
    without = made.drop_vars(["state", "blank_state", "velocity_vy", "velocity_vx"]).assign(
        dict.fromkeys(("state", "blank_state"), (coordinates.UNITS, units))
    )
    withheld = free_run.analyse(without).sel(input="withheld")
    np.testing.assert_allclose(withheld.kept, 0.7**withheld.ahead)
    assert float(withheld.persistence) == 1
    for name in ("moved", "slope", "share", "coherence", "spectrum"):
        assert withheld[name].isnull().all()
    oriented = made.drop_vars(["state", "blank_state"]).assign(
        {
            name: (coordinates.ORIENTED, made[name].values[:, :, :, :, :, None])
            for name in ("state", "blank_state")
        }
    )
    xr.testing.assert_allclose(free_run.analyse(oriented), free_run.analyse(made))


def test_objects_of_several_velocities_have_no_one_slope(rng, recording):
    states = following(rng, lambda u, _: u)
    made = blanked(recording, states, states, NEIGHBOURS).drop_vars(
        ["object_velocity_vy", "object_velocity_vx"]
    )
    velocities = np.array([[0.0, 1.0]] * 4)
    two = made.assign_coords(
        {f"object_velocity_{name}": (("trial", "object"), velocities) for name in ("vy", "vx")}
    )
    for unknown in (two, made):
        result = free_run.analyse(unknown)
        assert result.slope.isnull().all()
        assert result.share.sel(plane="stimulus").isnull().all()
        assert result.sizes["stimulus_velocity"] == 0
        assert result.moved.notnull().all()


def test_only_frames_without_input_count(rng, recording):
    """Before, and after a blank that ends, the state does something else."""
    states = following(rng, lambda u, _: u)
    other = following(rng, lambda *_: (1, 1))
    mixed = states.copy()
    mixed[:, :, : AT - 1], mixed[:, :, 7:] = other[:, :, : AT - 1], other[:, :, 7:]
    made = blanked(recording, mixed, mixed, NEIGHBOURS)
    made["blank"] = ("time", [0, 0, 0, 1, 1, 1, 1, 0, 0])
    result = free_run.analyse(made)
    assert result.ahead.values.tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(result.slope.sel(slope_on="stimulus"), 1)
    np.testing.assert_allclose(result.share.sel(plane="stimulus"), 1)


def test_recordings_that_lack_what_is_needed(rng, recording):
    states = following(rng, lambda u, _: u)
    made = blanked(recording, states, states.copy(), NEIGHBOURS)
    with pytest.raises(
        InputError, match=r"input withheld \(blank_state\); this one has none. Record it with"
    ):
        free_run.analyse(made.drop_vars("blank_state"))
    with pytest.raises(
        InputError, match="every frame from 3, the last one seen, to 8; the recording has 3 of 6"
    ):
        free_run.analyse(made.isel(time=slice(0, None, 2)))
    with pytest.raises(InputError, match="expected every frame from 2"):
        free_run.analyse(made.isel(time=slice(3, None)))
    made.blank_state[1, 1, 5] = np.nan
    with pytest.raises(InputError, match="the blank_state contains NaN or infinity: the network diverged"):
        free_run.analyse(made)


def test_figure_and_answers(rng, recording):
    velocities = [(0, 0), (0, 1), (1, 0)]
    goes_on = following(rng, lambda _, own: own, velocities=velocities)
    stops = following(rng, lambda *_: (0, 0))
    without_space = blanked(recording, stops, stops, NEIGHBOURS).drop_vars(
        ["state", "blank_state", "velocity_vy", "velocity_vx"]
    )
    units = (coordinates.UNITS, rng.standard_normal((9, 4, TIME, 5)))
    results = in_runs(
        gru=free_run.analyse(without_space.assign(state=units, blank_state=units)),
        fernn=free_run.analyse(blanked(recording, goes_on, goes_on, NEIGHBOURS, velocities)),
        grnn=free_run.analyse(blanked(recording, stops, stops, NEIGHBOURS)),
    )
    numbers = free_run.answers(results)
    slopes = numbers["slope of the velocity of state channels on their own while the input is withheld"]
    assert slopes.sel(run="fernn") == pytest.approx(1)
    assert slopes.sel(run=["gru", "grnn"]).isnull().all()
    with mpl.rc_context(plot.STYLE):
        free_run.figure(results).draw_without_rendering()
        nothing = results.copy()
        for name in ("spectrum", "followed", "channel_velocity"):
            nothing[name] = nothing[name] * np.nan
        figure = free_run.figure(nothing)
    texts = [text.get_text() for text in figure.findobj(mpl.text.Text)]
    assert texts.count("not measurable\nwith this probe") == 5
