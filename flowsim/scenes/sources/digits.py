"""Images that stimuli are made of, split so that no test image was ever trained on."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

from flowsim.scenes.sources.folders import setting
from flowsim.scenes.sources.mnist import mnist
from flowsim.splits import SPLIT_OF, check_split

Source = Literal["bundled", "mnist"]
"""scikit-learn's 1,797 handwritten digits of 8x8 px, or the 70,000 of MNIST, 28x28 px."""


class Images(NamedTuple):
    """Pixels (image, y, x) in [0, 1], labels (image,), and number of each image in the whole source (image,)."""

    pixels: np.ndarray
    labels: np.ndarray
    number: np.ndarray


def every(source: Source) -> tuple[Images, dict[str, np.ndarray]]:
    """All images of a source, and the numbers of those in "train", "valid" and "test".

    Bundled digits: 60, 20 and 20 %, stratified by label. MNIST: 50,000 and 10,000 of the published training
    images, stratified by label, and the published test images, which come after them. Always the same.

    Raises
    ------
    InputError
        If MNIST can neither be found nor downloaded; see `flowsim.scenes.sources.mnist`.
    """
    return _every(source, _place(source))


def _place(source: Source) -> tuple[str, str] | None:
    """Where the source is looked for, so that images of one folder are not taken for those of another."""
    return setting() if source == "mnist" else None


@lru_cache(2)
def _every(source: Source, place: tuple[str, str] | None) -> tuple[Images, dict[str, np.ndarray]]:
    from sklearn.model_selection import train_test_split

    if source == "mnist":
        pixels, labels, published = mnist()
        number = np.arange(len(labels))
        train, valid = train_test_split(
            number[:published], test_size=10000 / 60000, stratify=labels[:published], random_state=0
        )
        test = number[published:]
    else:
        from sklearn.datasets import load_digits

        flat, labels = load_digits(return_X_y=True)
        pixels, number = (flat / 16).reshape(-1, 8, 8).astype(np.float32), np.arange(len(labels))
        train, rest = train_test_split(number, train_size=0.6, stratify=labels, random_state=0)
        valid, test = train_test_split(rest, train_size=0.5, stratify=labels[rest], random_state=0)
    splits = {"train": np.sort(train), "valid": np.sort(valid), "test": np.sort(test)}
    return Images(pixels, labels, number), splits


def digits(split: str, source: Source = "bundled") -> Images:
    """The images of a source from which a stimulus file of this split draws.

    Raises
    ------
    InputError
        If there is no such split, or the source cannot be had.
    """
    check_split(split)
    return _part(SPLIT_OF[split], source, _place(source))


@lru_cache(6)
def _part(split: str, source: Source, place: tuple[str, str] | None) -> Images:
    images, splits = _every(source, place)
    chosen = splits[split]
    return Images(images.pixels[chosen], images.labels[chosen], images.number[chosen])


def pixels(source: Source, number: np.ndarray) -> np.ndarray:
    """Images by their number in the whole source, (..., y, x)."""
    return every(source)[0].pixels[number]
