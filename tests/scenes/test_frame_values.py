"""Frames of any real type train alike; what is no luminance is refused before it is trained on."""

import numpy as np
import pytest
import xarray as xr

from flowsim import InputError
from flowsim.scenes.frame_values import checked_values
from flowsim.scenes.sequences import Sequences


def stimulus(frames, **coords):
    return xr.Dataset({"frames": (("trial", "time", "y", "x"), frames)}, coords)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4", ">f8", np.uint8, bool])
def test_every_real_type_becomes_float32(dtype, rng):
    whole = (rng.random((2, 3, 4, 5)) > 0.5).astype(dtype)
    for frames in (whole, whole[:, ::-1], np.asfortranarray(whole)):
        made = Sequences.of(stimulus(frames)).frames
        assert made.dtype.is_floating_point
        assert made.element_size() == 4
        np.testing.assert_array_equal(made[:, :, 0].numpy(), frames.astype(np.float32))


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.full((1, 2, 2, 2), np.nan), "are not finite"),
        (np.full((1, 2, 2, 2), np.inf), "are not finite"),
        (np.full((1, 2, 2, 2), 255, np.uint8), "got 255 to 255. Scale them, such as by frames / 255"),
        (np.full((1, 2, 2, 2), -1.0), "got -1 to -1. Scale them"),
        (np.zeros((0, 2, 2, 2)), "the stimulus has none"),
        (np.zeros((1, 2, 2, 2), complex), "expected frames of real numbers"),
    ],
)
def test_what_is_no_luminance_is_refused(frames, message):
    with pytest.raises(InputError, match=message):
        checked_values(frames)


@pytest.mark.parametrize("labels", [[0.5, 1], [np.inf, 0], [np.nan, 1]])
def test_labels_are_whole_numbers(labels):
    made = stimulus(np.zeros((2, 2, 2, 2)), label=(("trial", "object"), np.array(labels)[:, None]))
    with pytest.raises(InputError, match="expected labels that are whole numbers"):
        Sequences.of(made)
