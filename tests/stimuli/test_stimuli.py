"""Every stimulus in stimuli/ is what its coordinates say, reproducible, and split by image."""

import dask.array as da
import numpy as np
import pytest
import torch
import xarray as xr

from flowsim import InputError, Translation, ideas
from flowsim.files import coordinates, netcdf
from flowsim.scenes.scene import Scene
from flowsim.scenes.sources.digits import digits
from stimuli import moving_digits

FAMILIES = ideas.names("stimuli")
SPLITS = ["train", "valid", "test", "sweep", "probe"]
SMALL = {"trials": 3, "frames": 5}


def generate(family, split, seed=0, **spec):
    return ideas.load("stimuli", family).generate(split, np.random.default_rng(seed), **{**SMALL, **spec})


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("family", FAMILIES)
def test_contract(family, split):
    made = generate(family, split)
    dims = ("trial", "time", "y", "x")
    assert made.frames.dims == (("flow", *dims) if split == "probe" else dims)
    assert made.frames.dtype == np.float32
    assert float(made.frames.min()) >= 0
    assert float(made.frames.max()) <= 1
    assert float(made.frames.std()) > 0.01
    assert made.frames.sizes["time"] == 5
    assert made.time.attrs["units"] == "frame"
    assert all("units" in c.attrs for c in made.coords.values())


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("family", FAMILIES)
def test_same_seed_same_bytes(family, split):
    first, again, other = generate(family, split), generate(family, split), generate(family, split, seed=1)
    xr.testing.assert_identical(first, again)
    assert not np.array_equal(first.frames, other.frames)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_argument_has_a_default(family):
    assert ideas.load("stimuli", family).generate("probe", np.random.default_rng(0)).frames.size


@pytest.mark.parametrize("family", FAMILIES)
def test_probe_is_the_exact_transport_of_its_reference(family):
    made = generate(family, "probe")
    flows = coordinates.flows(made)
    assert not any(flows[0].velocity)
    assert len({flow.velocity for flow in flows}) == len(flows) > 1
    reference = torch.from_numpy(made.frames.values[0])[:, :, None]
    for flow, frames in zip(flows, made.frames.values, strict=True):
        transported = flow.transport(reference)[:, :, 0].numpy()
        assert np.array_equal(transported.clip(0, 1), frames), "interpolation may overshoot, and nothing else"
        if flow.group == Translation():
            assert np.array_equal(transported, frames)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_draws_its_own_frames_again(family, split, tmp_path):
    """From coordinates and attributes alone, however few trials are drawn at once."""
    made = generate(family, split)
    netcdf.write(made, tmp_path / "made.h5", {})
    file = netcdf.read(tmp_path / "made.h5", "stimulus")
    assert isinstance(made.frames.data, da.Array), "frames are made when read"
    scene, render = Scene.of(file), ideas.load("stimuli", family).render
    again = torch.cat([render(scene.part(slice(i, i + 1)), torch.device("cpu")) for i in range(len(scene))])
    first = file.frames.values[0] if split == "probe" else file.frames.values
    np.testing.assert_allclose(again, first, atol=2e-6)
    assert again.dtype == torch.float32


@pytest.mark.parametrize("family", FAMILIES)
def test_frames_are_rendered_on_the_device_that_is_asked_for(family):
    """On the device "meta", where every machine can compute shapes, no step may mix in a tensor of another
    device.
    """
    made = generate(family, "train")
    frames = ideas.load("stimuli", family).render(Scene.of(made), torch.device("meta"))
    assert frames.device.type == "meta"
    assert frames.shape == made.frames.shape
    assert frames.dtype == torch.float32


@pytest.mark.parametrize("family", FAMILIES)
def test_train_valid_and_test_share_nothing(family):
    """No image and no person; what has neither is drawn anew."""
    made = {split: generate(family, split, trials=60) for split in SPLITS}
    of = next((name for name in ("image", "person") if name in made["train"].coords), None)
    if of is None:
        assert not np.array_equal(
            generate(family, "train", seed=1).frames, generate(family, "test", seed=3).frames
        )
        return
    drawn = {split: set(values[of].values.flat) for split, values in made.items()}
    assert not drawn["train"] & drawn["valid"]
    for split in ("test", "sweep", "probe"):
        assert not (drawn["train"] | drawn["valid"]) & drawn[split]


def test_splits_share_no_image():
    index = {split: set(digits(split).number) for split in ("train", "valid", "test")}
    assert not index["train"] & index["valid"]
    assert not (index["train"] | index["valid"]) & index["test"]
    assert sum(map(len, index.values())) == 1797
    for split in SPLITS:
        drawn = set(generate("moving_digits", split, trials=50).image.values.flat)
        assert drawn <= index["train" if split == "train" else "valid" if split == "valid" else "test"]
    assert set(digits("test").labels) == set(range(10))
    with pytest.raises(InputError, match="unknown split 'holdout'"):
        digits("holdout")


def test_frames_follow_from_the_coordinates():
    """Every trial drawn again, pixel by pixel, from its labels, positions and velocities alone."""
    made = generate("moving_digits", "test", height=11, width=9, max_speed=3, objects=3)
    source = digits("test")
    for trial in range(3):
        for t in range(5):
            frame = np.zeros((11, 9))
            for obj in range(3):
                one = made.isel(trial=trial, object=obj)
                picture = source.pixels[list(source.number).index(int(one.image))]
                assert int(one.label) == source.labels[list(source.number).index(int(one.image))]
                for (i, j), value in np.ndenumerate(picture):
                    y = (int(one.position_y) + t * int(one.velocity_vy) + i) % 11
                    x = (int(one.position_x) + t * int(one.velocity_vx) + j) % 9
                    frame[y, x] = max(frame[y, x], value)
            np.testing.assert_array_equal(made.frames.values[trial, t], frame.astype(np.float32))


def test_velocities_of_each_split():
    train = generate("moving_digits", "train", trials=300, max_speed=1)
    assert set(np.unique(train.velocity_vy)) == {-1, 0, 1}
    sweep = generate("moving_digits", "sweep", trials=2, max_speed=1, sweep_speed=2)
    swept = list(zip(sweep.velocity_vy.values[:, 0], sweep.velocity_vx.values[:, 0], strict=True))
    assert len(swept) == 50
    assert all(swept.count(v) == 2 for v in swept)
    assert abs(sweep.velocity_vy.values[:, 1]).max() == 1
    probe = generate("moving_digits", "probe", trials=6)
    assert not probe.velocity_vy.values[::2].any()
    assert probe.velocity_vy.values[1::2].any()


def test_digits_must_fit():
    with pytest.raises(InputError, match="frames of at least 8x8 px; got 7x16"):
        moving_digits.generate("train", np.random.default_rng(0), height=7)


def motion(made):
    """Positions and velocities (trial, object, time, 2)."""
    return (
        np.stack([made[f"{n}_{c}y"], made[f"{n}_{c}x"]], -1) for n, c in (("position", ""), ("velocity", "v"))
    )


def test_collisions_conserve_energy_and_momentum():
    made = generate(
        "colliding_digits", "test", trials=200, frames=30, objects=3, height=28, width=26, max_speed=2
    )
    _, v = motion(made)
    energy, momentum = (v**2).sum((1, 3)), v.sum(1)
    np.testing.assert_array_equal(energy, np.broadcast_to(energy[:, :1], energy.shape))
    np.testing.assert_array_equal(momentum, np.broadcast_to(momentum[:, :1], momentum.shape))
    assert (np.diff(v, axis=2) != 0).any((1, 2, 3)).mean() > 0.5, "hardly anything collides"


def test_colliding_digits_do_not_overlap_and_move_as_they_say():
    made = generate("colliding_digits", "test", trials=300, frames=40, max_speed=2, height=24, width=23)
    p, v = motion(made)
    size = np.array([24, 23])
    np.testing.assert_array_equal((p[:, :, :-1] + v[:, :, :-1]) % size, p[:, :, 1:])
    source, touched = digits("test"), 0
    for trial in range(100):
        bodies = []
        for obj in range(2):
            rows, columns = np.nonzero(
                source.pixels[list(source.number).index(int(made.image[trial, obj]))] >= 0.25
            )
            body = np.zeros((8, 8), bool)
            body[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
            bodies.append(np.argwhere(body))
        for t in range(40):
            first, second = ({tuple(c) for c in (b + p[trial, o, t]) % size} for o, b in enumerate(bodies))
            assert not first & second
            if t and (v[trial, :, t] != v[trial, :, t - 1]).any():
                ahead = [
                    {tuple(c) for c in (b + p[trial, o, t] + v[trial, o, t - 1]) % size}
                    for o, b in enumerate(bodies)
                ]
                assert ahead[0] & ahead[1], "bounced without need"
                touched += 1
    assert touched > 30


def test_digits_that_move_along_x_only():
    made = generate("colliding_digits", "sweep", trials=20, frames=30, along="x", height=8, width=21)
    _, v = motion(made)
    assert made.sizes["trial"] == 5 * 20
    assert not v[..., 0].any()
    assert set(v[:, 0, 0, 1]) <= {-2, -1, 0, 1, 2}
    assert (v.sum(1) == v.sum(1)[:, :1]).all()
    assert (np.diff(v, axis=2) != 0).any((1, 2, 3)).mean() > 0.6, "they meet often"


def test_digits_too_fast_to_meet_are_refused():
    with pytest.raises(
        InputError, match="2 px would pass through each other .* add up to 6 px/frame; .* at most 4"
    ):
        generate("colliding_digits", "train", height=40, width=40, max_speed=3)


def test_walls_reflect():
    p, v = motion(generate("colliding_digits", "test", trials=100, frames=40, max_speed=1, walls=True))
    assert p.min() == 0
    assert p.max() == 14
    np.testing.assert_array_equal(p[:, :, :-1] + v[:, :, :-1], p[:, :, 1:])
    energy = (v**2).sum((1, 3))
    np.testing.assert_array_equal(energy, np.broadcast_to(energy[:, :1], energy.shape))
    assert (v.sum(1)[:, 0] != v.sum(1)[:, -1]).any()


def test_frames_of_colliding_digits_follow_from_the_coordinates():
    made = generate("colliding_digits", "test", trials=3, frames=12)
    source = digits("test")
    for trial in range(3):
        for t in range(12):
            frame = np.zeros((22, 22), np.float32)
            for obj in range(2):
                one = made.isel(trial=trial, object=obj)
                picture = source.pixels[list(source.number).index(int(one.image))]
                for (i, j), value in np.ndenumerate(picture):
                    y, x = (int(one.position_y[t]) + i) % 22, (int(one.position_x[t]) + j) % 22
                    frame[y, x] = max(frame[y, x], value)
            np.testing.assert_array_equal(made.frames.values[trial, t], frame)


def test_colliding_digits_must_fit():
    with pytest.raises(InputError, match="frames of at least 19x19 px, .*; got 15x22"):
        generate("colliding_digits", "train", height=15)
    with pytest.raises(InputError, match="9 digits do not fit side by side"):
        generate("colliding_digits", "train", height=19, width=19, objects=9)
