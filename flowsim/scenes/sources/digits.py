"""Images of handwritten digits, split so that no test image is ever trained on."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

from flowsim.scenes.sources.folders import data_and_cache
from flowsim.scenes.sources.mnist import mnist
from flowsim.splits import SPLIT_OF, check_split

Source = Literal["bundled", "mnist"]
"""scikit-learn's 1,797 handwritten digits of 8x8 px, or the 70,000 of MNIST, 28x28 px."""


class Images(NamedTuple):
    """Images of a source.

    Attributes
    ----------
    pixels : array (image, y, x)
        In [0, 1].
    labels : array (image,)
    number : array (image,)
        Of each image in the whole source.
    """

    pixels: np.ndarray
    labels: np.ndarray
    number: np.ndarray


def all_images(source: Source) -> tuple[Images, dict[str, np.ndarray]]:
    """All images of a source, and the numbers of those in each split: "train", "valid" and "test".

    Bundled digits: 60, 20 and 20 %, stratified by label. MNIST: 50,000 and 10,000 of the published training
    images, stratified by label, and the published test images, which come after them. Always the same.

    Raises
    ------
    InputError
        If MNIST can neither be found nor downloaded; see `flowsim.scenes.sources.mnist`.
    """
    return _all_images(source, _folders(source))


def _folders(source: Source) -> tuple[str, str] | None:
    """Where the source is looked for: part of the cache's key, so that a change of folders is noticed."""
    return data_and_cache() if source == "mnist" else None


@lru_cache(2)
def _all_images(source: Source, folders: tuple[str, str] | None) -> tuple[Images, dict[str, np.ndarray]]:
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
        pixels = (flat / 16).reshape(-1, 8, 8).astype(np.float32)
        number = np.arange(len(labels))
        train, rest = train_test_split(number, train_size=0.6, stratify=labels, random_state=0)
        valid, test = train_test_split(rest, train_size=0.5, stratify=labels[rest], random_state=0)
    splits = {"train": np.sort(train), "valid": np.sort(valid), "test": np.sort(test)}
    return Images(pixels, labels, number), splits


def digits(split: str, source: Source = "bundled") -> Images:
    """The images of a source from which a stimulus file of this split draws; test images for sweep and probe.

    Raises
    ------
    InputError
        If there is no such split, or the images can neither be found nor downloaded.
    """
    check_split(split)
    return _images_of_split(SPLIT_OF[split], source, _folders(source))


@lru_cache(6)
def _images_of_split(split: str, source: Source, folders: tuple[str, str] | None) -> Images:
    images, splits = _all_images(source, folders)
    chosen = splits[split]
    return Images(images.pixels[chosen], images.labels[chosen], images.number[chosen])


def pixels(source: Source, number: np.ndarray) -> np.ndarray:
    """Images by their number in the whole source, (..., y, x)."""
    images, _ = all_images(source)
    return images.pixels[number]
