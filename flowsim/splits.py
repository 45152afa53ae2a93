"""The splits, that is, the stimulus files of an experiment: their names, images and seeds."""

from __future__ import annotations

from flowsim.errors import InputError

SPLIT_OF = {
    "train": "train",
    "valid": "valid",
    "test": "test",
    **dict.fromkeys(("sweep", "probe", "control"), "test"),
}
"""Which images each stimulus file shows: no image is in two of train, valid and test."""

SEEDS = {"train": 1, "valid": 2, "test": 3, "sweep": 4, "probe": 5, "control": 6}
"""The seed of each stimulus file: each is drawn from a random stream of its own."""


def check_split(split: str) -> None:
    """Raise InputError if there is no such split."""
    if split not in SPLIT_OF:
        raise InputError(f"unknown split {split!r}; expected one of: {', '.join(SPLIT_OF)}")
