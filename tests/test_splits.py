"""Every split has its images and a random stream of its own."""

import pytest

from flowsim import InputError
from flowsim.splits import SEEDS, SPLIT_OF, check_split


def test_every_split_has_images_and_a_seed_of_its_own():
    assert set(SPLIT_OF) == set(SEEDS) == {"train", "valid", "test", "sweep", "probe", "control"}
    assert len(set(SEEDS.values())) == len(SEEDS)
    assert set(SPLIT_OF.values()) == {"train", "valid", "test"}


def test_an_unknown_split():
    check_split("sweep")
    with pytest.raises(InputError, match="unknown split 'holdout'; expected one of: train, valid, test"):
        check_split("holdout")
