"""Digits are split so that no image is shared, whatever their source."""

import numpy as np
import pytest

from flowsim import InputError
from flowsim.scenes.sources.digits import digits
from stimuli import (
    moving_digits,
)


def test_splits_share_no_image():
    index = {split: set(digits(split).number) for split in ("train", "valid", "test")}
    assert not index["train"] & index["valid"]
    assert not (index["train"] | index["valid"]) & index["test"]
    assert sum(map(len, index.values())) == 1797
    for split in ("train", "valid", "test", "sweep", "probe"):
        drawn = set(moving_digits.generate(split, np.random.default_rng(0), trials=50).image.values.flat)
        assert drawn <= index["train" if split == "train" else "valid" if split == "valid" else "test"]
    assert set(digits("test").labels) == set(range(10))
    with pytest.raises(InputError, match="unknown split 'holdout'"):
        digits("holdout")


def test_images_of_one_folder_are_not_taken_for_those_of_another(tmp_path, monkeypatch, content, place):
    rng = np.random.default_rng(1)
    for level in (50, 150):
        for name, n in (("train", 120), ("t10k", 3)):
            content[f"{name}-images-idx3-ubyte"] = np.full((n, 28, 28), level, np.uint8)
            content[f"{name}-labels-idx1-ubyte"] = rng.permutation(np.arange(n) % 10).astype(np.uint8)
        place(tmp_path / str(level), content)
    for level in (50, 150, 50):
        monkeypatch.setenv("FLOWSIM_DATA", str(tmp_path / str(level)))
        assert digits("train", "mnist").pixels == pytest.approx(level / 255)
    monkeypatch.setenv("FLOWSIM_DATA", ".")
    for level in (50, 150):
        monkeypatch.chdir(tmp_path / str(level))
        assert digits("train", "mnist").pixels == pytest.approx(level / 255)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="expected MNIST's files"):
        digits("train", "mnist")
