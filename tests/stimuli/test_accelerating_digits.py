"""Digits follow the paths of `flowsim.flows.path`."""

import numpy as np
import pytest
import torch

from flowsim import Flow, InputError, Translation
from flowsim.flows.path import accelerating, harmonic, piecewise
from flowsim.scenes.sources.digits import pixels
from stimuli import (
    accelerating_digits,
)


def generate(split="test", seed=0, **spec):
    return accelerating_digits.generate(split, np.random.default_rng(seed), **spec)


@pytest.mark.parametrize("motion", ["acceleration", "piecewise", "harmonic"])
def test_paths_are_those_of_flowsim_path(motion):
    made = generate(motion=motion, trials=5, max_speed=2, piece=3, period=6)
    v, p = (np.stack([made[f"{n}y"], made[f"{n}x"]], -1) for n in ("velocity_v", "position_"))
    for trial, obj in np.ndindex(5, 2):
        own = v[trial, obj]
        path = {
            "acceleration": lambda own=own: accelerating(
                Translation(), own[0].tolist(), (own[1] - own[0]).tolist()
            ),
            "piecewise": lambda own=own: piecewise(
                Translation(), [(3, own[i].tolist()) for i in range(0, 12, 3)]
            ),
            "harmonic": lambda own=own: harmonic(Translation(), own[0].tolist(), 6),
        }[motion]()
        for t in range(12):
            np.testing.assert_allclose(p[trial, obj, t] - p[trial, obj, 0], path.displacement(t), atol=1e-9)
    assert (np.diff(v, axis=2) != 0).any()
    one = generate(motion=motion, trials=5, objects=1, max_speed=2)
    for trial in range(5):
        image = torch.zeros(16, 16)
        image[:8, :8] = torch.from_numpy(pixels("bundled", one.image.values[trial, 0]))
        where = (float(one.position_y[trial, 0, 7]), float(one.position_x[trial, 0, 7]))
        np.testing.assert_allclose(
            one.frames[trial, 7], Flow(Translation(), where).act(image).clamp(0, 1), atol=1e-5
        )


def test_digits_must_fit():
    with pytest.raises(InputError, match="frames of at least 8x8 px; got 7x"):
        generate(height=7)
