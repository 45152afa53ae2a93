"""velocity_tuning recovers tuning that was put in, and finds none in noise."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray as xr

from analysis import velocity_tuning
from flowsim import Flow, InputError, Law, Rotation, Translation, VelocityGrid
from flowsim.figures import plot
from flowsim.files import coordinates
from flowsim.flows.spiral import Spiral
from flowsim.measures import tuning

mpl.use("agg")
BOX = [(0, 0), *((y, x) for y in range(-2, 3) for x in range(-2, 3) if y or x)]
SMALL = [(0, 0), *((y, x) for y in range(-1, 2) for x in range(-1, 2) if y or x)]


def plane(velocities, group=None):
    return tuning.plane([Flow(group or Translation(), v) for v in velocities])


def separable(where, direction, kappa, speed=1.5, width=0.6):
    """Responses (flow, unit): von Mises over direction (degrees) times Gaussian over speed; rest has no
    direction.
    """
    over = np.exp(kappa * (np.cos(np.angle(where)[:, None] - np.deg2rad(direction)) - 1))
    over[where == 0] = np.i0(kappa) * np.exp(-kappa)
    return over * np.exp(-((abs(where)[:, None] - speed) ** 2) / 2 / width**2)


def shown(recording, responses, flows, resting=None):
    """A recording whose units have these mean responses (flow, trial, unit) from frame 2 on, spread over 2x3
    pixels.
    """
    spread = np.array([[0.5, 1.5, 1], [0, 2, 1]])
    states = (
        responses[:, :, None, None, :, None, None] * spread * (np.arange(4) >= 2)[:, None, None, None, None]
    )
    made = recording(states - 5 * (spread == 0), flows)  # where it is negative a unit is silent
    velocity = np.zeros(states.shape[1]) if resting is None else np.logical_not(resting).astype(float)
    return made.assign_coords(
        object_velocity_vy=(("trial", "object"), velocity[:, None]), object_velocity_vx=(("trial", "object"), [[0]] * len(velocity))
    )  # fmt: skip


def apart(a, b):
    return abs((a - b + 180) % 360 - 180)


@pytest.mark.parametrize("kappa", [1, 2, 4])
def test_known_direction_speed_and_width_are_recovered(kappa, recording, rng):
    direction = rng.uniform(0, 360, 60)
    curve = separable(plane(BOX), direction, kappa)
    content = rng.uniform(1, 3, (1, 4, 1))  # of trials, which matters more than velocity
    noisy = curve[:, None] * content * (1 + 0.03 * rng.standard_normal((25, 4, 60)))
    noisy[:, 3] = rng.random((25, 60))  # a trial that does not rest in the reference says nothing
    result = velocity_tuning.analyse(shown(recording, noisy, BOX, [1, 1, 1, 0]), permutations=299)
    assert int(result.resting) == 3
    assert apart(result.direction, direction).max() < 3
    half = np.rad2deg(np.arccos(1 + np.log((1 + np.exp(-2 * kappa)) / 2) / kappa))
    assert abs(result.half_width.median() - half) < 4
    np.testing.assert_allclose(
        result.circular_variance.median(), 1 - np.i0(kappa) ** -1 * bessel(kappa), atol=0.02
    )
    assert result.tuned.all()
    assert (result.reliability > 0.95).all()
    best = result.preferred.values @ [-1j, 1]
    assert (
        apart(np.rad2deg(np.angle(best)), direction).max() < 60
    )  # as close as velocities of that speed come
    assert (abs(abs(best) - 1.5) < 0.6).all()
    scaled = velocity_tuning.analyse(shown(recording, 100 * noisy, BOX, [1, 1, 1, 0]), permutations=299)
    for name in (
        "direction",
        "half_width",
        "speed_selectivity",
        "direction_selectivity_cv",
        "reliability",
        "p",
    ):
        np.testing.assert_allclose(scaled[name], result[name])


def bessel(kappa):
    """I_1, as a mean over the circle."""
    theta = np.linspace(0, 2 * np.pi, 1000, endpoint=False)
    return (np.cos(theta) * np.exp(kappa * np.cos(theta))).mean()


def test_noise_is_not_tuned(recording, rng):
    """400 untuned units: 5 % uncorrected, none corrected, no selectivity once held out."""
    noise = 1 + rng.random((1, 8, 1)) + 0.5 * rng.random((9, 8, 400))
    result = velocity_tuning.analyse(shown(recording, noise, SMALL), permutations=399)
    share = (result.p <= 0.05).mean("unit")
    assert ((share > 0.025) & (share < 0.08)).all()
    assert not result.tuned.any()
    assert result.direction_selectivity.mean() > 0.02
    assert abs(result.direction_selectivity_cv.mean()) < 0.004
    assert abs(result.reliability.median()) < 0.1


def test_shuffled_flows_are_not_tuned(recording, rng):
    curve = separable(plane(SMALL), rng.uniform(0, 360, 200), 1, speed=1)[:, None] * np.ones((1, 4, 1)) + 0.1
    assert velocity_tuning.analyse(shown(recording, curve, SMALL), permutations=399).tuned.all()
    shuffled = rng.permuted(curve, axis=0)
    result = velocity_tuning.analyse(shown(recording, shuffled, SMALL), permutations=399)
    assert result.tuned.mean() < 0.02


def test_a_few_tuned_units_are_found_among_many(recording, rng):
    curve = np.full((9, 4, 100), 0.5)
    curve[:, :, :20] += 2 * separable(plane(SMALL), rng.uniform(0, 360, 20), 2, speed=1.2)[:, None]
    result = velocity_tuning.analyse(
        shown(recording, curve + 0.1 * rng.random(curve.shape), SMALL), permutations=999
    )
    assert result.tuned.sel(test="direction")[:20].all()
    assert result.tuned.sel(test="direction")[20:].sum() <= 3


def own_directions(rng, trials, units, kappa=2):
    """Each content has a direction of its own, of each unit: there is none over contents."""
    curve = separable(plane(SMALL), rng.uniform(0, 360, trials * units), kappa, speed=1.2)
    return curve.reshape(9, trials, units) + 0.01 * rng.random((9, trials, units))


@pytest.mark.parametrize("trials", [4, 8, 14])
@pytest.mark.parametrize("kappa", [0.5, 2])
def test_contents_that_each_have_a_direction_of_their_own_are_no_tuning(trials, kappa, recording, rng):
    """Nor is what all contents share, a preference for a speed, a direction."""
    result = velocity_tuning.analyse(
        shown(recording, own_directions(rng, trials, 1000, kappa), SMALL), splits=1, permutations=1
    )
    share = float((result.p.sel(test="direction") <= 0.05).mean())
    assert 0.03 < share < 0.07
    assert result.tuned.sel(test="direction").sum() <= 2


def test_three_tuned_units_are_found_among_400(recording, rng):
    curves = own_directions(rng, 14, 400)
    curves[:, :, :3] += 2 * separable(plane(SMALL), np.array([10, 130, 250]), 2, speed=1.2)[:, None]
    result = velocity_tuning.analyse(shown(recording, curves, SMALL), splits=1, permutations=1)
    tuned = result.tuned.sel(test="direction")
    assert tuned[:3].all()
    assert tuned[3:].sum() <= 1
    assert float(result.threshold_of_one) == 0.05 / 400
    assert float(result.floor_of_signs) == 2**-13


def test_tuning_to_speed_is_no_direction_where_directions_differ_in_speed(recording, rng):
    flows = [(0, 0), (0, 1), (0, -1), (0, 2)]
    curve = np.array([0, 1, 1, 3])[:, None, None] + 0.1 * rng.random((4, 8, 200))
    result = velocity_tuning.analyse(shown(recording, curve, flows), splits=1)
    assert result.tuned.sel(test="velocity").all()
    assert 0.02 < float((result.p.sel(test="direction") <= 0.05).mean()) < 0.09
    one_each = velocity_tuning.analyse(shown(recording, curve[[0, 1, 3]], [(0, 0), (0, 1), (0, 2)]), splits=1)
    assert one_each.p.sel(test="direction").isnull().all()
    with mpl.rc_context(plot.STYLE):
        velocity_tuning.figure(of_one_run(one_each))


def test_the_reference_is_found_by_its_velocity(recording, rng):
    made = shown(recording, own_directions(rng, 6, 5), SMALL)
    moved = velocity_tuning.analyse(made.isel(flow=[4, 2, 0, 1, 3, 5, 6, 7, 8]), splits=1)
    plain = velocity_tuning.analyse(made, splits=1)
    assert moved.velocities[0].values.tolist() == [0, 0]
    np.testing.assert_allclose(moved.p, plain.p)
    with pytest.raises(InputError, match="expected one flow at rest"):
        velocity_tuning.analyse(made.isel(flow=slice(1, None)))


def of_one_run(result):
    return result.expand_dims("run").assign_coords({"network": ("run", ["a"]), "run": ["a-seed0"]})


def test_own_velocities_are_modulo_the_period_and_have_a_chance_level(recording, rng):
    """A closed grid of 5 x 5 calls -1 px/frame 4; channels that prefer anything are right by chance 1 in 9."""
    grid = VelocityGrid.closed(Translation(), (5, 5))
    label = "share of units that prefer the velocity of their channel, if shown"
    flows = np.array(SMALL)
    matches = ((np.array(grid.velocities)[:, None] - flows) % 5 == 0).all(-1)
    rests = {f"object_velocity_{c}": (("trial", "object"), np.zeros((4, 1))) for c in ("vy", "vx")}

    def analysed(response):  # (flow, velocity, channel)
        states = np.broadcast_to(response[:, None, None, :, :, None, None], (9, 4, 2, 25, 40, 5, 5))
        made = recording(states, SMALL, grid.velocities).assign_coords(rests)
        return velocity_tuning.analyse(made, splits=1, permutations=999)

    right = analysed(1 + matches.T[:, :, None] * np.ones(40))
    assert float(right.own_share) == 1
    assert float(right.own_p) < 0.01
    answer = velocity_tuning.answers(of_one_run(right))[label]
    assert answer.attrs["chance"] == pytest.approx(1 / 9)
    assert answer.attrs["bounds"] == (0, 1)
    noise = analysed(rng.random((9, 25, 40)))
    assert int(noise.own_units) == 9 * 40
    assert float(noise.own_chance) == pytest.approx(1 / 9)
    assert abs(float(noise.own_share) - 1 / 9) < 0.06
    assert float(noise.own_p) > 0.05


def test_units_that_prefer_nothing_are_said_in_the_figure(recording, rng):
    curve = np.stack([np.zeros((9, 4)), np.ones((9, 4)), rng.random((9, 4))], -1)
    result = of_one_run(velocity_tuning.analyse(shown(recording, curve, SMALL), splits=1))
    with mpl.rc_context(plot.STYLE):
        figure = velocity_tuning.figure(result)
    words = [text.get_text() for ax in figure.axes for text in (*ax.texts, ax.title)]
    assert words.count("no other unit\nprefers any\nvelocity") == 2
    assert "1 of 3 units\nprefer a direction" in words
    assert "p below 0.12 assume normality" in figure.get_suptitle()


def test_speed_alone_is_no_direction(recording, rng):
    curve = (abs(plane(SMALL))[:, None, None] + 0.01 * rng.random((9, 4, 50))) * np.ones((1, 4, 1))
    result = velocity_tuning.analyse(shown(recording, curve, SMALL), permutations=399)
    assert result.tuned.sel(test="velocity").all()
    assert result.tuned.sel(test="direction").sum() <= 2
    assert (result.circular_variance > 0.98).all()
    assert (result.speed_selectivity > 0.97).all()


def test_channels_that_obey_the_law_prefer_their_own_velocity(recording):
    """At rest the channel 0 answers most, so under transport+shift channel v does to the flow v; shuffled, it
    does not.
    """
    grid = VelocityGrid.closed(Translation(), (3, 4))
    flows = [(0, 0), (1, 0), (0, 1), (0, 2), (2, 3)]
    generator = torch.Generator().manual_seed(0)
    reference = torch.rand(2, 4, 12, 2, 3, 4, dtype=torch.float64, generator=generator)
    reference[:, :, 0] += 1
    states = torch.stack(
        [Law(True, True).predict(reference, Flow(Translation(), u), grid) for u in flows]
    ).numpy()
    rests = {f"object_velocity_{c}": (("trial", "object"), np.zeros((2, 1))) for c in ("vy", "vx")}
    result = velocity_tuning.analyse(recording(states, flows, grid.velocities).assign_coords(rests))
    run = {"network": ("run", ["a"]), "run": ["a-seed0"]}
    label = "share of units that prefer the velocity of their channel, if shown"
    assert float(velocity_tuning.answers(result.expand_dims("run").assign_coords(run))[label][0]) == 1
    assert result.own.values[2:4].tolist() == [[0, 1], [0, 1]]
    assert result.channel.values[:4].tolist() == [0, 1, 0, 1]
    wrong = recording(states[[0, 2, 1, 4, 3]], flows, grid.velocities).assign_coords(rests)
    result = velocity_tuning.analyse(wrong).expand_dims("run").assign_coords(run)
    assert float(velocity_tuning.answers(result)[label][0]) < 0.5


def test_silent_and_flat_units_prefer_nothing(recording, rng):
    curve = np.stack([np.zeros((9, 2)), np.ones((9, 2)), np.arange(18).reshape(9, 2)], -1)
    result = velocity_tuning.analyse(shown(recording, curve, SMALL), permutations=99)
    assert result.preferred[:2].isnull().all()
    assert result.direction[:2].isnull().all()
    assert (result.p[:, :2] == 1).all()
    assert result.preferred[2].values.tolist() == [1, 1]


def test_one_resting_trial_gives_curves_but_no_test(recording, rng):
    result = velocity_tuning.analyse(shown(recording, rng.random((9, 2, 5)), SMALL, [1, 0]))
    for name in ("p", "p_adjusted", "tuned", "reliability", "sem", "direction_selectivity_cv"):
        assert result[name].isnull().all()
    assert result.direction.notnull().all()


def without_space(recording, states, velocities, group, trials=3):
    made = recording(np.zeros((len(velocities), trials, 4, 1, 1, 1, 1)), [(0, 0)] * len(velocities))
    made = made.drop_vars(["state", "velocity_vy", "velocity_vx", "flow_vy", "flow_vx"]).assign_attrs(
        flow_group=group.name
    )
    made["state"] = (coordinates.UNITS, states)
    rests = {"object_velocity_omega": (("trial", "object"), np.zeros((trials, 1)))}
    return made.assign_coords(coordinates.velocity_coords("flow", group, velocities) | rests)


@pytest.mark.parametrize(
    ("group", "velocities", "direction"),
    [
        (Rotation(), [(0,), (-20,), (-10,), (10,), (20,), (90,)], 180),
        (Spiral(), [(0, 0), (0.1, 0), (-0.1, 0), (0, 10), (0, -10)], 90),
    ],
)
def test_units_without_space_and_other_groups(group, velocities, direction, recording, rng):
    """One unit that likes clockwise, or of spiral flows counter-clockwise, and one of the opposite sign."""
    sign = -1 if group.name == "rotation" else 1
    drive = sign * np.array([v[-1] for v in velocities])[:, None, None] / 20
    states = np.stack([drive, -drive, 0 * drive + 1], -1) + 0.01 * rng.random((len(velocities), 3, 4, 3))
    made = without_space(recording, states, velocities, group)
    result = velocity_tuning.analyse(made, permutations=199)
    assert apart(result.direction[0], direction) < 2
    assert apart(result.direction[1], direction + 180) < 2
    assert float(result.direction_selectivity[0]) > 0.9
    assert result.own.isnull().all()
    both = velocity_tuning.analyse(made, response="magnitude", permutations=199)
    np.testing.assert_allclose(both.response[0], both.response[1], atol=0.02)
    run = {"network": ("run", ["a"]), "run": ["a-seed0"]}
    with mpl.rc_context(plot.STYLE):
        velocity_tuning.figure(result.expand_dims("run").assign_coords(run))
    plt.close("all")


def test_recordings_that_do_not_suffice(recording, rng):
    made = shown(recording, rng.random((9, 2, 2)), SMALL, [0, 0])
    with pytest.raises(InputError, match="expected a probe with a trial whose objects all rest"):
        velocity_tuning.analyse(made)
    with pytest.raises(InputError, match=r"expected the velocity of each object \(object_velocity_vy, _vx\)"):
        velocity_tuning.analyse(made.drop_vars(["object_velocity_vy", "object_velocity_vx"]))
    made = shown(recording, rng.random((9, 2, 2)), SMALL)
    with pytest.raises(
        InputError, match=r"expected frames from 9 on \(since\); the recording ends with frame 3"
    ):
        velocity_tuning.analyse(made, since=9)
    with pytest.raises(InputError, match="expected 1 or more flows that move, besides the reference"):
        velocity_tuning.analyse(made.isel(flow=[0]))
    made = made.assign(state=xr.where(made.state > 1, np.nan, made.state))
    with pytest.raises(InputError, match="the state contains NaN or infinity: the network diverged"):
        velocity_tuning.analyse(made)


def test_the_reading_says_what_its_intervals_assume():
    assert "(Wilson), which take units as independent" in velocity_tuning.READING
