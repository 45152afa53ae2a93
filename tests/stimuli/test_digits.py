"""Digits that move, turn, grow, accelerate, or are seen from a window: frames are what the coordinates say."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from flowsim import Flow, InputError, Rotation, Translation, ideas
from flowsim.flows.path import accelerating, harmonic, piecewise
from flowsim.scenes.scene import Scene
from flowsim.scenes.sources.digits import digits, pixels


def generate(family, split="test", seed=0, **spec):
    return ideas.load("stimuli", family).generate(split, np.random.default_rng(seed), **spec)


def test_velocities_from_a_list():
    made = generate("moving_digits", velocities=[(0, 2), (-1, 1)], trials=40)
    drawn = {*zip(made.velocity_vy.values.flat, made.velocity_vx.values.flat, strict=True)}
    assert drawn == {(0, 2), (-1, 1)}
    sweep = generate("moving_digits", "sweep", velocities=[(0, 2), (-1, 1)], trials=2, sweep_speed=2)
    swept = np.stack([sweep.velocity_vy[:, 0], sweep.velocity_vx[:, 0]], -1)
    np.testing.assert_array_equal(sweep.trained, [tuple(v) in drawn for v in swept])
    assert sweep.trained.values.sum() == 4


def test_labels_choose_the_digits():
    made = generate("moving_digits", "probe", labels=[0, 7], trials=60)
    assert {*made.label.values.flat} == {0, 7}
    every = digits("probe")
    np.testing.assert_array_equal(every.labels[np.searchsorted(every.number, made.image)], made.label)
    assert (np.bincount(made.label[::2, 0]) == [15, *[0] * 6, 15]).all()  # of those at rest
    assert len(np.unique(made.image[:, 0])) == 60
    with pytest.raises(InputError, match=r"labels from 0 to 9; got labels \[3, 10\]"):
        generate("moving_digits", labels=[3, 10])


@pytest.mark.parametrize("labels", [[0, 7], [0, 1, 2, 3, 4]])
def test_labels_of_a_sweep_are_balanced_at_each_velocity(labels):
    made = generate("moving_digits", "sweep", labels=labels, trials=2 * len(labels)).isel(object=0)
    velocity = np.stack([made.velocity_vy, made.velocity_vx], -1)
    for at in np.unique(velocity, axis=0):
        shown = made.label.values[(velocity == at).all(-1)]
        assert np.bincount(shown)[labels].tolist() == [2] * len(labels)
    few = generate("moving_digits", "sweep", labels=labels, trials=1).isel(object=0)
    assert {*few.label.values} == {*labels}


def test_trained_velocities_of_a_sweep_are_those_of_the_box():
    for family in ("moving_digits", "colliding_digits", "accelerating_digits", "digit_world"):
        sweep = generate(family, "sweep", trials=1, max_speed=1, sweep_speed=2)
        assert sweep.trained.values.sum() == 9
        assert sweep.sizes["trial"] == 25


def test_real_velocities_are_band_limited_shifts():
    made = generate("moving_digits", velocities="real", max_speed=2, objects=1, trials=6, height=15, width=17)
    assert (made.velocity_vy.values % 1).all()
    for trial in range(6):
        one = made.isel(trial=trial, object=0)
        still = torch.zeros(15, 17)
        still[:8, :8] = torch.from_numpy(pixels("bundled", one.image.values))
        for t in range(4):
            where = tuple(float(one[f"position_{c}"] + t * one[f"velocity_v{c}"]) for c in "yx")
            expected = Flow(Translation(), where).act(still).clamp(0, 1)
            np.testing.assert_allclose(made.frames[trial, t], expected, atol=1e-5)


def test_overlap_contrast_occluder_and_noise():
    plain, summed, over = (
        generate("moving_digits", overlap=rule, objects=3).frames.values for rule in ("max", "sum", "over")
    )
    assert (summed >= plain - 1e-6).all()
    assert (summed > plain).any()
    assert (over <= summed + 1e-6).all()
    assert (over < summed - 0.01).any()
    np.testing.assert_allclose(generate("moving_digits", objects=3, contrast=0.5).frames, plain / 2)
    bar = generate("moving_digits", objects=3, occluder=4).frames.values
    assert (bar[..., 6:10] == 0.5).all()
    np.testing.assert_array_equal(np.delete(bar, range(6, 10), -1), np.delete(plain, range(6, 10), -1))
    noisy = generate("moving_digits", objects=3, contrast=0.5, noise=0.1).frames.values - plain / 2
    inside = noisy[(plain > 0.6) & (plain < 1)]
    assert inside.std() == pytest.approx(0.1, rel=0.03)
    assert abs(np.corrcoef(noisy[:, 0].flat, noisy[:, 1].flat)[0, 1]) < 0.1, "noise is new in each frame"


def test_overlap_over_hides_what_lies_below():
    made = generate("moving_digits", overlap="over", trials=1, frames=1, height=8, width=8)
    below, above = (np.roll(image, shift, (0, 1)) for image, shift in _placed(made))
    np.testing.assert_allclose(made.frames[0, 0], above + (1 - above) * below, atol=1e-6)


def _placed(made):
    for obj in range(2):
        one = made.isel(trial=0, object=obj)
        yield pixels("bundled", one.image.values), (int(one.position_y), int(one.position_x))


def test_quarter_turns_are_exact():
    made = generate("rotating_digits", step=90.0, max_speed=180.0, trials=10)
    assert set(np.unique(made.angle)) == {0, 90, 180, 270}
    for trial in range(10):
        for t in range(12):
            frame = np.zeros((16, 16))
            for obj in range(2):
                one = made.isel(trial=trial, object=obj)
                image = np.pad(pixels("bundled", one.image.values), 4)
                quarters = (one.angle + t * one.velocity_omega) / 90
                frame = np.maximum(frame, np.rot90(image, int(quarters)))
            np.testing.assert_allclose(made.frames[trial, t], frame, atol=1e-5)


@pytest.mark.parametrize(("interpolation", "order"), [("bicubic", 3), ("bilinear", 1)])
def test_turned_digits_against_scipy(interpolation, order):
    made = generate("rotating_digits", objects=1, trials=8, interpolation=interpolation)
    for trial in range(8):
        one = made.isel(trial=trial, object=0)
        image = np.pad(pixels("bundled", one.image.values), 4)
        for t in (0, 5):
            angle = float(one.angle + t * one.velocity_omega)
            expected = ndimage.rotate(image, angle, reshape=False, order=order).clip(0, 1)
            error = np.linalg.norm(made.frames[trial, t] - expected) / np.linalg.norm(expected)
            assert error < (1e-4 if order == 1 else 0.12), "scipy's cubic is a spline"
            assert (
                error < 0.3 * np.linalg.norm(image - expected) / np.linalg.norm(expected) or angle % 360 == 0
            )


def test_probe_of_rotation_has_an_exact_flow_and_starts_at_rest():
    made = generate("rotating_digits", "probe")
    assert made.flow_omega.values.tolist() == [0, -10, 10, -20, 20, 90]
    reference = torch.from_numpy(made.frames.values[0])
    quarter = Flow(Rotation(), (90,)).transport(reference[:, :, None])[:, :, 0]
    np.testing.assert_array_equal(made.frames.values[-1], quarter)
    assert not made.velocity_omega.values[::2].any()


def spread(frames):
    """Root mean square distance of luminance from its own middle."""
    y, x = np.mgrid[: frames.shape[-2], : frames.shape[-1]]
    weight = frames / frames.sum((-2, -1), keepdims=True)
    middle = [(weight * c).sum((-2, -1), keepdims=True) for c in (y, x)]
    return np.sqrt(
        sum((weight * (c - m) ** 2).sum((-2, -1)) for c, m in zip((y, x), middle, strict=True))
    ), middle


def test_looming_grows_as_it_says():
    spec = {"objects": 1, "height": 48, "width": 48, "trials": 30, "frames": 9, "source": "bundled"}
    made = generate("expanding_digits", **spec, max_rate=0.1)
    inside = (abs(made.position_y - 20) < 10).values[:, 0] & (abs(made.position_x - 20) < 10).values[:, 0]
    assert inside.sum() > 5
    size, middle = spread(made.frames.values[inside].astype(float))
    growth = np.log(size[:, -1] / size[:, 0]) / 8
    np.testing.assert_allclose(growth, made.velocity_expansion.values[inside, 0], atol=0.006)
    natural, _ = spread(
        np.pad(pixels("bundled", made.image.values[inside, 0]), ((0, 0), (8, 8), (8, 8))).astype(float)
    )
    np.testing.assert_allclose(size[:, 4], natural, rtol=0.03)
    for c in (0, 1):  # and moves away from the focus in proportion
        away = middle[c][..., 0, 0] - 23.5
        np.testing.assert_allclose(away[:, -1], away[:, 0] * np.exp(8 * growth), atol=0.35)


def test_focus_of_expansion():
    centre, anywhere = (generate("expanding_digits", focus=f, objects=1) for f in ("centre", "random"))
    assert (centre.focus_y == 11.5).all()
    assert anywhere.focus_x.values.std() > 1
    assert {*np.unique(centre.velocity_expansion.values.round(9))} == {-0.1, -0.05, 0, 0.05, 0.1}
    assert generate("expanding_digits", "sweep", trials=2).trained.values.sum() == 10


@pytest.mark.parametrize("motion", ["acceleration", "piecewise", "harmonic"])
def test_paths_are_those_of_flowsim_path(motion):
    made = generate("accelerating_digits", motion=motion, trials=5, max_speed=2, piece=3, period=6)
    v, p = (np.stack([made[f"{n}y"], made[f"{n}x"]], -1) for n in ("velocity_v", "position_"))
    for trial, obj in np.ndindex(5, 2):
        own = v[trial, obj]
        path = {
            "acceleration": lambda own=own: accelerating(
                Translation(), own[0].tolist(), (own[1] - own[0]).tolist()
            ),
            "piecewise": lambda own=own: piecewise(
                Translation(), [(3, own[i].tolist()) for i in range(0, 12, 3)]
            ),
            "harmonic": lambda own=own: harmonic(Translation(), own[0].tolist(), 6),
        }[motion]()
        for t in range(12):
            np.testing.assert_allclose(p[trial, obj, t] - p[trial, obj, 0], path.displacement(t), atol=1e-9)
    assert (np.diff(v, axis=2) != 0).any()
    one = generate("accelerating_digits", motion=motion, trials=5, objects=1, max_speed=2)
    for trial in range(5):
        image = torch.zeros(16, 16)
        image[:8, :8] = torch.from_numpy(pixels("bundled", one.image.values[trial, 0]))
        where = (float(one.position_y[trial, 0, 7]), float(one.position_x[trial, 0, 7]))
        np.testing.assert_allclose(
            one.frames[trial, 7], Flow(Translation(), where).act(image).clamp(0, 1), atol=1e-5
        )


def test_a_window_on_a_world():
    made = generate("digit_world", trials=4, max_speed=2, max_action=3, world_height=20, world_width=30)
    np.testing.assert_array_equal(
        np.stack([made.observer_y, made.observer_x], -1),
        np.stack([made.action_vy, made.action_vx], -1).cumsum(1) % (20, 30),
    )
    assert not made.action_vy.values[:, 0].any()
    assert abs(made.action_vx.values).max() == 3
    for trial, t in np.ndindex(4, 12):
        world = np.zeros((20, 30))
        for obj in range(3):
            one = made.isel(trial=trial, object=obj)
            where = [int(one[f"position_{c}"] + t * one[f"velocity_v{c}"]) for c in "yx"]
            image = np.pad(pixels("bundled", one.image.values), ((0, 12), (0, 22)))
            world = np.maximum(world, np.roll(image, where, (0, 1)))
        seen = np.roll(world, (-int(made.observer_y[trial, t]), -int(made.observer_x[trial, t])), (0, 1))
        np.testing.assert_array_equal(made.frames[trial, t], seen[:16, :16].astype(np.float32))


def test_a_resting_observer_of_the_whole_world():
    whole = generate("digit_world", world_height=16, world_width=16, max_action=0, trials=3)
    values = {
        name: whole[name].values
        for name in ("image", "velocity_vy", "velocity_vx", "position_y", "position_x")
    }
    settings = {"source": "bundled", "overlap": "max", "contrast": 1, "noise": 0, "occluder": 0}
    same = ideas.load("stimuli", "moving_digits").render(
        Scene(values, 12, (16, 16), settings), torch.device("cpu")
    )
    np.testing.assert_array_equal(whole.frames, same)


@pytest.mark.parametrize(
    "family", ["rotating_digits", "expanding_digits", "accelerating_digits", "digit_world"]
)
def test_digits_come_from_the_split(family):
    index = {split: set(digits(split).number) for split in ("train", "valid", "test")}
    for split, own in {
        "train": "train",
        "valid": "valid",
        "test": "test",
        "sweep": "test",
        "probe": "test",
    }.items():
        assert set(generate(family, split, trials=30).image.values.flat) <= index[own]


@pytest.mark.parametrize("family", ["expanding_digits", "accelerating_digits"])
def test_digits_must_fit(family):
    with pytest.raises(InputError, match="frames of at least 8x8 px; got 7x"):
        generate(family, height=7)


def test_a_world_must_hold_its_window():
    with pytest.raises(
        InputError, match="at least 8x8 px in a world no smaller; got a window 16x16 in a world 12x24"
    ):
        generate("digit_world", world_height=12)


MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist"


@pytest.mark.skipif(not MNIST.is_dir(), reason="MNIST is not in ../shared/data")
@pytest.mark.parametrize(
    "family", ["moving_digits", "rotating_digits", "expanding_digits", "colliding_digits"]
)
def test_digits_of_mnist(family, monkeypatch):
    monkeypatch.setenv("FLOWSIM_DATA", str(MNIST))
    index = {split: set(digits(split, "mnist").number) for split in ("train", "valid", "test")}
    assert [len(numbers) for numbers in index.values()] == [50000, 10000, 10000]
    assert not (index["train"] | index["valid"]) & index["test"]
    assert min(index["test"]) == 60000, "the published test images"
    size = {} if family == "rotating_digits" else {"height": 64, "width": 64}
    for split in ("train", "test"):
        made = generate(family, split, source="mnist", trials=4, **size)
        assert set(made.image.values.flat) <= index[split]
        ink = made.frames.values[:, 6].sum((1, 2))
        own = pixels("mnist", made.image.values).sum((1, 2, 3))
        assert (ink > 0.4 * own).all()
