"""Every stimulus in stimuli/ is what its coordinates say, reproducible, and split by image or person."""

from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import torch
import xarray as xr

from flowsim import Translation, ideas
from flowsim.files import coordinates, netcdf
from flowsim.scenes.scene import Scene
from flowsim.scenes.sources.digits import digits, pixels

FAMILIES = ideas.names("stimuli")
SPLITS = ["train", "valid", "test", "sweep", "probe", "control"]
SMALL = {"trials": 3, "frames": 5}
ONE_OF_EACH = {"trials": 1, "frames": 5}
"""Of a sweep, which has so many trials of each velocity."""
MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist"


def generate(family, split, seed=0, **spec):
    size = ONE_OF_EACH if split == "sweep" else SMALL
    return ideas.load("stimuli", family).generate(split, np.random.default_rng(seed), **{**size, **spec})


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
    few = max(1, len(scene) // 4)
    parts = [scene.part(slice(first, first + few)) for first in range(0, len(scene), few)]
    assert len(parts) > 2
    again = torch.cat([render(part, torch.device("cpu")) for part in parts])
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
    for split in ("test", "sweep", "probe", "control"):
        assert not (drawn["train"] | drawn["valid"]) & drawn[split]


def test_trained_velocities_of_a_sweep_are_those_of_the_box():
    for family in ("moving_digits", "colliding_digits", "accelerating_digits", "digit_world"):
        sweep = generate(family, "sweep", trials=1, max_speed=1, sweep_speed=2)
        assert sweep.trained.values.sum() == 9
        assert sweep.sizes["trial"] == 25


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
        made = generate(family, split, source="mnist", trials=4, frames=12, **size)
        assert set(made.image.values.flat) <= index[split]
        ink = made.frames.values[:, 6].sum((1, 2))
        own = pixels("mnist", made.image.values).sum((1, 2, 3))
        assert (ink > 0.4 * own).all()
