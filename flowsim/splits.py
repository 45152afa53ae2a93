"""The stimulus files of an experiment: their names, the images that each may show, and the seed of each."""

from __future__ import annotations

from flowsim.errors import InputError

SPLIT_OF = {"train": "train", "valid": "valid", "test": "test", "sweep": "test", "probe": "test"}
"""Which images each stimulus file draws from."""


def check_split(split: str) -> None:
    """Raise InputError for what is no split."""
    if split not in SPLIT_OF:
        raise InputError(f"unknown split {split!r}; expected one of: {', '.join(SPLIT_OF)}")


SEEDS = {"train": 1, "valid": 2, "test": 3, "sweep": 4, "probe": 5}
"""Each stimulus file draws from a random stream of its own."""
