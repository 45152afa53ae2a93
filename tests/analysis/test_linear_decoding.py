"""Linear readouts find what is coded linearly, and nothing else."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray as xr

from analysis import linear_decoding
from flowsim import Flow, InputError, Law, Translation, VelocityGrid
from flowsim.figures import plot
from flowsim.files import coordinates
from flowsim.measures import coarse_maps, ground_truth
from stimuli import moving_digits

FLOWS = [(0, 0), (1, 0), (0, -1), (1, 1), (-1, 1)]
mpl.use("agg")
SHAPE, TIMES, TRIALS, LABELS = (6, 5), 4, 12, 3
SECOND = slice(TIMES // 2, None)


@pytest.fixture
def world(recording, rng):
    """A factory of probes with a state of ``units`` (flow, trial, time, unit), and the truth about object 0."""

    def make(units, label=None):
        units = np.asarray(units)
        made = recording(np.zeros((len(FLOWS), units.shape[1], TIMES, 1, 1, *SHAPE)), FLOWS)
        made["shown"] = made.state.isel(velocity=0, channel=0)  # keeps the size of the frame
        made = made.drop_vars(["state", "velocity_vy", "velocity_vx"]).assign(
            state=(coordinates.UNITS, units)
        )
        trials = units.shape[1]
        truth = {"label": np.arange(trials) % LABELS if label is None else label}
        truth |= {f"velocity_v{axis}": rng.integers(-1, 2, trials) for axis in "yx"}
        truth |= {f"position_{axis}": rng.integers(0, 5, trials) for axis in "yx"}
        return made.assign_coords(
            {f"object_{k}": (("trial", "object"), np.array(v)[:, None]) for k, v in truth.items()}
        )

    return make


def noise(rng, trials=TRIALS, units=20):
    return rng.standard_normal((len(FLOWS), trials, TIMES, units))


def late(result, target):
    return result.score.sel(target=target)[SECOND]


def test_what_is_coded_is_read_and_nothing_else(world, rng):
    label = np.eye(LABELS)[np.arange(TRIALS) % LABELS]
    made = world(noise(rng))
    position = ground_truth.positions(made)
    for target, code in {
        "identity": np.broadcast_to(label[None, :, None], (len(FLOWS), TRIALS, TIMES, LABELS)),
        "velocity": np.broadcast_to(np.array(FLOWS, float)[:, None, None], (len(FLOWS), TRIALS, TIMES, 2)),
        "position": np.concatenate([np.sin(position), np.cos(position)], -1),
    }.items():
        mixed = code @ rng.standard_normal((code.shape[-1], 20)) + 0.05 * noise(rng)
        mixed[:, :, 0] = noise(rng)[:, :, 0]  # the first frame tells nothing
        result = linear_decoding.analyse(made.assign(state=(coordinates.UNITS, mixed)))
        assert (late(result, target) > 0.95).all()
        assert (result.p.sel(target=target)[1:] < 0.02).all()
        assert float(result.p.sel(target=target)[0]) > 0.02
        assert (result.low.sel(target=target)[SECOND] <= late(result, target)).all()
        for other in set(linear_decoding.TARGETS) - {target}:
            assert (late(result, other) < 0.65).all()
            assert (result.p.sel(target=other) > 0.01).all()
        across = result.across_time
        if target == "identity":
            assert float(across[1:, 1:].min()) == 1
            assert float(across[0, 1:].max()) < 0.7
            assert float(across[1:, 0].max()) < 0.7


def test_scores_do_not_depend_on_scale(world, rng):
    states = noise(rng) + np.eye(20)[np.arange(TRIALS) % LABELS][None, :, None]
    one, two = (linear_decoding.analyse(world(a * states + b)).score[:2] for a, b in ((1, 0), (1e3, 7)))
    np.testing.assert_allclose(one, two, atol=1e-6)


@pytest.mark.slow
def test_p_values_of_noise_are_uniform(world):
    """Over 40 simulations of noise whose flows share what a trial has of its own; 200 in the long run."""
    found, named = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        states = 0.5 * noise(rng) + rng.standard_normal((1, TRIALS, TIMES, 20))
        made = world(states).isel(time=[0])
        result = linear_decoding.analyse(made, permutations=19, folds=4, seed=seed)
        found.append([*result.p[:, 0], float(result.carry_p[0])])
        named.append([float(result.score[0, 0]), float(result.carry_over[0]), float(result.chance[0, 0])])
    false = (np.array(found) <= 0.05).mean(0)
    assert (false <= 0.15).all(), false  # more than 6 of 40 have probability 0.01
    np.testing.assert_allclose(np.mean(found, 0), 0.525, atol=0.15)  # 0.05 is one standard deviation
    np.testing.assert_allclose(np.mean(named, 0), 1 / LABELS, atol=0.06)  # not 0: no label is ruled out


def test_a_readout_that_is_carried_by_the_law(recording, rng):
    """On a closed grid the state shifts with the flow: only weights that move hold, unless all velocities
    tell the same.
    """
    shape, trials = (3, 3), 16  # fewer are read by chance in more than 1 of 100 permutations
    grid = VelocityGrid.closed(Translation(), shape)
    flows = [(0, 0), (1, 0), (0, 1), (2, 1)]
    label = np.arange(trials) % 2
    code = rng.standard_normal(
        (2, len(grid), 2)
    )  # each label has its own pattern over velocities and channels
    code -= code.mean(1, keepdims=True)
    own = code[label][:, None, :, :, None, None] + 0.1 * rng.standard_normal(
        (trials, TIMES, len(grid), 2, *shape)
    )
    # with an offset of 1, means of classes known without error give 0.53 to 1, and from 2 always 1
    for offset, holds in ((0.0, {"carried"}), (3.0, {"fixed", "carried", "pooled"})):
        state = torch.from_numpy(own + offset * label[:, None, None, None, None, None])
        states = np.stack([Law(True, True).predict(state, Flow(Translation(), u), grid) for u in flows])
        made = recording(states, flows, grid.velocities).assign_coords(
            object_label=(("trial", "object"), label[:, None])
        )
        result = linear_decoding.analyse(made)
        for readout in linear_decoding.READOUTS:
            carry = float(result.carry_over.sel(readout=readout))
            assert carry > 0.98 if readout in holds else carry < 0.9
        np.testing.assert_allclose(result.across_flow.sel(readout="carried"), 1)
        assert float(result.carry_p.sel(readout="carried")) < 0.02
    unmoved = linear_decoding.analyse(made.isel(velocity=[0]))
    assert unmoved.across_flow.sel(readout="carried").isel(flow=0)[1:].isnull().all()
    assert bool(unmoved.carry_over.sel(readout="carried").isnull())


def test_where_nothing_can_be_said(world, rng, runs):
    result = linear_decoding.analyse(world(noise(rng, 3), label=[0, 1, 2]))
    assert result.score.sel(target="identity").isnull().all()
    assert result.low.isnull().all()  # 3 trials have no interval
    assert result.score.sel(target="velocity").notnull().all()
    assert result.trials.values[1:].tolist() == [3, 3]
    bare = world(noise(rng)).drop_vars(["object_label", "object_position_y"])
    assert linear_decoding.analyse(bare).score.sel(target=["identity", "position"]).isnull().all()
    unnamed = linear_decoding.analyse(world(noise(rng)).drop_vars("object_label"))
    assert unnamed.attrs["not_read"] == "identity: the recording has no labels (object_label)"
    silent = linear_decoding.analyse(world(0 * noise(rng)))
    np.testing.assert_allclose(silent.score.sel(target="identity"), 1 / LABELS)
    assert (silent.p.sel(target="identity") == 1).all()
    np.testing.assert_allclose(silent.score.sel(target=["velocity", "position"]), 0, atol=1e-12)
    with pytest.raises(
        InputError, match="fits on some trials and tests on others; the probe has 1. Record 2 or more"
    ):
        linear_decoding.analyse(world(noise(rng, 1)))
    of_run = linear_decoding.analyse(runs["fernn-seed0"]["probe"])
    assert float(of_run.score.sel(target="velocity")[0]) <= 1e-6  # before anything has moved


def of_images(world, rng, images):
    """A probe of units that know the image that each of 16 trials shows, and nothing that images share."""
    image = np.arange(16) % images
    codes = rng.standard_normal((images, 30))
    made = world(
        codes[image][None, :, None] + 0.3 * noise(rng, 16, 30), label=rng.permutation(images)[image] % 2
    )
    return made.assign_coords(object_image=(("trial", "object"), image[:, None]))


def test_images_that_are_shown_twice_tell_no_label(world):
    """The states of 8 images in two trials each tell which image it is: over seeds, labels are at chance."""
    named, carried, chance, p = [], [], [], []
    for seed in range(6):
        made = of_images(world, np.random.default_rng(seed), 8).isel(time=[0])
        result = linear_decoding.analyse(made, permutations=19, seed=seed)
        assert result.images.sel(target="identity") == 8
        named.append(float(result.score[0, 0]))
        chance.append(float(result.chance[0, 0]))
        carried.append(float(result.carry_over[0]))
        p.append([float(result.p[0, 0]), float(result.carry_p[0])])
        apart = linear_decoding.analyse(made.drop_vars("object_image"), permutations=19, seed=seed)
        assert float(apart.score[0, 0]) > 0.9  # what folds over trials would say
    np.testing.assert_allclose([np.mean(named), np.mean(carried), np.mean(chance)], 0.5, atol=0.15)
    assert (np.array(p) <= 0.05).sum() <= 2


def test_labels_that_images_share_are_read_although_images_repeat(world, rng):
    made = of_images(world, rng, 8)
    label = made.object_label.values[:, 0]
    made["state"] = made.state + 2 * xr.DataArray(rng.standard_normal((2, 30))[label], dims=("trial", "unit"))
    result = linear_decoding.analyse(made.isel(time=[0, 1]), permutations=39)
    assert (result.score.sel(target="identity") > 0.9).all()
    assert (result.p.sel(target="identity") < 0.06).all()  # there are 70 ways to label 8 images


def test_probes_of_one_image_are_refused(world, rng):
    with pytest.raises(InputError, match="all trials of the probe show one .* Record trials of 2 images"):
        linear_decoding.analyse(of_images(world, rng, 1))


@pytest.mark.parametrize("units", [20, 100, 400, 1600])
def test_a_unit_that_tells_is_read_among_many_that_do_not(world, rng, units):
    """As by linear discriminants with a covariance that is shrunk; wide networks are not worse off."""
    states = noise(rng, units=units)
    states[..., 0] = (np.arange(TRIALS) % 2)[:, None] + 0.05 * states[..., 0]
    result = linear_decoding.analyse(
        world(states, label=np.arange(TRIALS) % 2).isel(time=[0]), permutations=39
    )
    assert float(result.score.sel(target="identity")[0]) > 0.95
    assert float(result.p.sel(target="identity")[0]) < 0.06
    assert (result.score.sel(target=["velocity", "position"]) < 0.4).all()


def test_flows_and_trials_in_another_order_say_the_same(world, rng):
    """Which of them is the reference is told by its velocity."""
    states = noise(rng) + 2 * np.eye(20)[np.arange(TRIALS) % LABELS][None, :, None]
    made = world(states).isel(time=[0, 1])
    one = linear_decoding.analyse(made, permutations=2)
    other = linear_decoding.analyse(made.isel(flow=[3, 4, 0, 2, 1]), permutations=2)
    np.testing.assert_allclose(one.score, other.score, atol=1e-9)
    np.testing.assert_allclose(one[["low", "high"]].to_array(), other[["low", "high"]].to_array(), atol=1e-9)
    assert (float(other.flow_vy[0]), float(other.flow_vx[0])) == (0, 0)
    np.testing.assert_allclose(one.carry_over, other.carry_over)
    with pytest.raises(InputError, match="expected one flow at rest"):
        linear_decoding.analyse(made.isel(flow=[1, 2]))
    alone = linear_decoding.analyse(made.isel(flow=[0]), permutations=2)
    assert alone.score.sel(target="velocity").isnull().all()
    assert "velocity: the recording has a single flow" in alone.attrs["not_read"]


def test_trials_without_a_label_are_left_out(world, rng):
    label = np.arange(TRIALS) % 2
    missing = np.where(np.arange(TRIALS) < 4, -1, label)
    states = noise(rng)
    some = linear_decoding.analyse(world(states, label=missing).isel(time=[0]), permutations=2)
    assert float(some.trials.sel(target="identity")) == TRIALS - 4
    assert float(some.trials.sel(target="velocity")) == TRIALS


def test_answers_and_figure_name_what_they_show(world, rng):
    made = world(noise(rng)).drop_vars("object_position_y").isel(time=[0, 1])
    results = xr.concat([linear_decoding.analyse(made, permutations=2, seed=s) for s in (0, 1)], "run")
    results = results.assign_coords(run=["a-seed0", "a-seed1"], network=("run", ["a", "a"]))
    answers = linear_decoding.answers(results)
    assert list(answers) == [
        "accuracy of the label, read linearly",
        "R² of the velocity of the flow, read linearly",
        "accuracy of the label under other flows, fixed readout",
    ]
    attrs = [values.attrs for values in answers.values()]
    assert [a["bounds"] for a in attrs] == [(0.0, 1.0), (-np.inf, 1.0), (0.0, 1.0)]
    assert attrs[1]["chance"] == 0
    np.testing.assert_allclose([attrs[0]["chance"], attrs[2]["chance"]], 1 / LABELS, atol=0.15)
    assert "better" not in attrs[0]
    with mpl.rc_context(plot.STYLE):
        figure = linear_decoding.figure(results)
    (legend,) = (ax.get_legend() for part in figure.subfigs for ax in part.axes if ax.get_legend())
    labels = [text.get_text() for text in legend.get_texts()]
    patch = legend.legend_handles[labels.index("permuted")]
    assert mpl.colors.to_hex(patch.get_facecolor()) == mpl.colors.to_hex(linear_decoding.GREY)
    plt.close(figure)


def test_coarse_maps(recording, rng):
    """The mean over space, waves that a coarse grid can hold, and transport are kept."""
    y, x = np.mgrid[:9, :8]
    wave = 1 + np.cos(2 * np.pi * (y / 9 + 2 * x / 8 + 0.1))
    made = recording(np.broadcast_to(wave, (1, 2, 3, 1, 2, 9, 8)))
    small = coarse_maps.coarse(made, 5, trials=1)
    assert small.shape == (1, 1, 3, 1, 2, 5, 5)
    ys, xs = np.mgrid[:5, :5] / 5
    np.testing.assert_allclose(small[0, 0, 0, 0, 0], 1 + np.cos(2 * np.pi * (ys + 2 * xs + 0.1)), atol=1e-12)
    np.testing.assert_allclose(coarse_maps.coarse(made, 1), 1)
    assert coarse_maps.coarse(made, 99).shape[-2:] == (9, 7)
    states = rng.random((1, 1, 1, 1, 1, 9, 8))
    rolled = coarse_maps.coarse(recording(np.roll(states, 3, -2)), 3)
    np.testing.assert_allclose(rolled, coarse_maps.coarse(recording(states), 3).roll(y=1), atol=1e-12)
    states[..., 0] = np.nan
    with pytest.raises(InputError, match="the state contains NaN or infinity: the network diverged"):
        coarse_maps.coarse(recording(states), 3)


def test_positions_follow_the_world(runs):
    """Where the stimulus has one object, its frame is the first one moved by the phase."""
    probe = moving_digits.generate(
        "probe", np.random.default_rng(0), trials=3, frames=5, objects=1, height=9, width=10
    )
    made = probe.rename({n: f"object_{n}" for n in probe.coords if "object" in probe[n].dims})
    phase = ground_truth.positions(made)
    moved = (phase - phase[:, :, :1]) * np.array([9, 10]) / (2 * np.pi)
    frames = made.frames.values
    for flow, trial in np.ndindex(*frames.shape[:2]):
        steps = np.rint(moved[flow, trial]).astype(int)
        for t, step in enumerate(steps):
            np.testing.assert_allclose(
                frames[flow, trial, t], np.roll(frames[flow, trial, 0], step, (0, 1)), atol=1e-6
            )
    path = made.object_position_y + made.object_velocity_vy * made.time
    timed = made.assign_coords(object_position_y=path, object_position_x=made.object_position_x + 0 * path)
    np.testing.assert_allclose(ground_truth.positions(timed)[..., 0], phase[..., 0])
    assert ground_truth.positions(made.assign_coords(observer_y=0)) is None
    assert ground_truth.positions(made.drop_vars("object_velocity_vx")) is None
    assert isinstance(runs["grnn-seed0"]["probe"], xr.Dataset)
