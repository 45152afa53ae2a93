"""Recordings in which there is nothing to find, of every kind that has misled an analysis.

States know nothing of flows, and predictions nothing of frames. What they have besides is the kind:

independent     nothing: white noise
autocorrelated  noise that is smooth in time and space
shared          a code of each trial, the same under all flows, and noise
repeated        a code of each image, which several trials show, and noise; labels are drawn by image
imbalanced      white noise; nine in ten trials have the same label
offset          white noise about 10 standard deviations
dead            nothing but 0
rank 1          one pattern over units, as strong as chance wants
"""

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter

from flowsim import Translation
from flowsim.files import coordinates
from tests.known.states import NEIGHBOURS

KINDS = ("independent", "autocorrelated", "shared", "repeated", "imbalanced", "offset", "dead", "rank 1")
CONTEXT = 2
CLASSES = 3
SHAPE = (5, 6)
FRAME = ("flow", "trial", "time", "y", "x")


def null(kind, rng, flows=NEIGHBOURS[:5], trials=12, times=6, channels=4):
    """A recording of everything that analyses read, of one of the `KINDS`."""
    image = np.repeat(np.arange(trials // 2), 2)[:trials] if kind == "repeated" else np.arange(trials)
    made = xr.Dataset(attrs={"flow_group": "translation", "context": CONTEXT, "horizon": 2})
    size = (len(flows), trials, times)
    made["state"] = (coordinates.STATE, activity(kind, rng, (*size, 1, channels, *SHAPE), image))
    made["blank_state"] = made.state.variable.copy()
    made.blank_state.attrs["condition"] = "blank"
    made["prediction"] = (FRAME, activity(kind, rng, (*size, *SHAPE), image))
    made["logits"] = (("flow", "trial", "time", "class"), activity(kind, rng, (*size, CLASSES), image))
    made["frames"] = (FRAME, rng.random((*size, *SHAPE)))
    made["curve_sequences"] = ("validation", np.array([8, 16, 24]))
    made["curve_valid_loss"] = ("validation", rng.random(3))
    coords = {"blank": ("time", np.arange(times) >= CONTEXT)}
    coords |= coordinates.velocity_coords("flow", Translation(), flows)
    coords |= coordinates.velocity_coords("velocity", Translation(), [(0, 0)])
    return made.assign_coords(coords | {"time": np.arange(times)} | _truth(kind, rng, image))


def as_sweep(made, rng):
    """The recording under its first flow, whose objects move at -1, 0 or 1, drawn by chance; every second trial
    counts as trained.
    """
    trials = made.sizes["trial"]
    velocity = {
        f"object_velocity_{axis}": (
            ("trial", "object"),
            rng.permutation(np.arange(trials) % 3)[:, None] - 1.0,
        )
        for axis in ("vy", "vx")
    }
    return made.isel(flow=[0]).assign_coords(velocity | {"trained": ("trial", np.arange(trials) % 2)})


def activity(kind, rng, size, image):
    """Activity (flow, trial, time, ...) of one kind; ``image`` (trial) is what each trial shows."""
    noise = rng.standard_normal(size)
    if kind == "dead":
        return np.zeros(size)
    if kind == "offset":
        return 10 + noise
    if kind == "autocorrelated":
        return gaussian_filter(
            noise, (0, 0, 1.5, *[0] * (len(size) - 5), *[1.0] * 2)[: len(size)], mode="wrap"
        )
    if kind == "rank 1":
        strength = rng.standard_normal((*size[:3], *[1] * (len(size) - 3)))
        return strength * rng.standard_normal(size[3:])
    if kind in ("shared", "repeated"):
        codes = rng.standard_normal((image.max() + 1, *size[3:]))
        return codes[image][None, :, None] + 0.5 * noise
    return noise


def _truth(kind, rng, image):
    """Coordinates of the one object of each trial, which rests under no flow."""
    labels = rng.permutation(np.arange(image.max() + 1) % CLASSES)[image]
    if kind == "imbalanced":
        labels = np.zeros(len(image), int)
        labels[: max(2, len(image) // 10)] = 1
    values = {"label": labels, "image": image, "velocity_vy": 0.0 * image, "velocity_vx": 0.0 * image}
    values |= {f"position_{axis}": rng.integers(0, SHAPE[i], len(image)) for i, axis in enumerate("yx")}
    return {f"object_{name}": (("trial", "object"), value[:, None]) for name, value in values.items()}
