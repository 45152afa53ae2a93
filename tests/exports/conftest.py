"""Recordings that the exports share."""

import json

import numpy as np
import pytest
import torch

from flowsim import Site, build, open_recording, record
from stimuli import moving_digits

INPUTS = {"models/a.pt": "weights", "stimuli/probe.h5": "shown"}

SITES = ("state", "prediction", "logits")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A recording with everything: flows, objects, text, truth that changes in time, every site, thinned in
    time.
    """
    probe = moving_digits.generate("probe", np.random.default_rng(0), height=9, width=8, trials=3, frames=6)
    probe = probe.assign_coords(
        kind=("trial", ["früh", "spät", "spät"]), phase=("time", np.arange(6.0)), drift=(("trial", "time"), np.zeros((3, 6)))
    )  # fmt: skip
    torch.manual_seed(0)
    network = build("fernn", (9, 8), max_speed=1, channels=2, decoder_layers=1, classes=4)
    path = tmp_path_factory.mktemp("recording") / "probe.h5"
    attrs = {"stage": "recording", "network": "fernn", "seed": "3", "inputs": json.dumps(INPUTS)}
    record(network, probe, path, sites=SITES, every=2, attrs=attrs)
    return path


@pytest.fixture(scope="module")
def recording(file):
    with open_recording(file) as opened:
        yield opened


@pytest.fixture(scope="module")
def hooked(tmp_path_factory):
    """A GRU, two of whose outputs are recorded, one of them by a random subset of units."""
    shown = moving_digits.generate("test", np.random.default_rng(0), height=9, width=8, trials=2, frames=4)
    torch.manual_seed(0)
    site = Site("", axes=("trial", "time", "unit"), index=(0,))
    path = tmp_path_factory.mktemp("hooked") / "gru.h5"
    sites = {"state": site, "hidden": site}
    record(torch.nn.GRU(72, 7, batch_first=True), shown, path, sites=sites, units={"count": 3, "seed": 1})
    with open_recording(path) as opened:
        yield opened
