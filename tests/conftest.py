"""Shared by all tests: small worlds and small brains, in float64 where exactness is asked for."""

import numpy as np
import pytest
import torch
from hypothesis import settings

from flowsim import build
from stimuli import moving_digits

torch.set_num_threads(1)
settings.register_profile("flowsim", deadline=None, print_blob=True)
settings.load_profile("flowsim")
SMALL = {"height": 9, "width": 8, "trials": 3, "frames": 6}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def probe(rng):
    return moving_digits.generate("probe", rng, **SMALL)


@pytest.fixture
def fernn():
    torch.manual_seed(0)
    return build("fernn", (9, 8), max_speed=1, channels=3, decoder_layers=1)


@pytest.fixture
def grnn():
    torch.manual_seed(0)
    return build("fernn", (9, 8), max_speed=0, channels=3, decoder_layers=1)
