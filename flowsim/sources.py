"""Images that stimuli are made of, split so that no test image was ever trained on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from flowsim.errors import InputError

SPLIT_OF = {"train": "train", "valid": "valid", "test": "test", "sweep": "test", "probe": "test"}
"""Which images each stimulus file draws from."""


class Images(NamedTuple):
    """Pixels (image, y, x) in [0, 1], labels (image,), and number of each image in the whole source (image,)."""

    pixels: np.ndarray
    labels: np.ndarray
    number: np.ndarray


def digits(split: str) -> Images:
    """scikit-learn's bundled handwritten digits, 1,797 images of 8x8 pixels: 60 % train, 20 % valid, 20 % test.

    The split is by image, stratified by label and always the same.

    Raises
    ------
    InputError
        If there is no such split.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    if split not in SPLIT_OF:
        raise InputError(f"unknown split {split!r}; expected one of: {', '.join(SPLIT_OF)}")
    pixels, labels = load_digits(return_X_y=True)
    every = np.arange(len(labels))
    train, rest = train_test_split(every, train_size=0.6, stratify=labels, random_state=0)
    valid, test = train_test_split(rest, train_size=0.5, stratify=labels[rest], random_state=0)
    index = np.sort({"train": train, "valid": valid, "test": test}[SPLIT_OF[split]])
    return Images((pixels[index] / 16).reshape(-1, 8, 8).astype(np.float32), labels[index], index)
