"""Units whose part in the panel of motion is known, and recordings of them."""

import numpy as np

from flowsim.files import coordinates
from stimuli import motion_panel

OCTAVE = np.log2


def panel(seed=0, trials=4, **spec):
    """The sweep of `motion_panel`."""
    return motion_panel.generate("sweep", np.random.default_rng(seed), trials=trials, **spec)


def watched(recording, made, responses):
    """A recording of units whose responses (trial, unit) to a panel are known."""
    size = (1, *responses.shape[:1], 1, 1, 1, 1, 1)
    state = (coordinates.UNITS, responses[None, :, None])
    truth = {name: c.variable for name, c in made.coords.items() if c.dims == ("trial",)}
    without = recording(np.zeros(size)).drop_vars(["state", "velocity_vy", "velocity_vx"])
    return without.assign(state=state).assign_coords(truth)


def motion_energy(made, directions, spatial=0.125, temporal=0.125, spread=4.0):
    """Energy (trial, unit) of quadrature pairs with these directions (degree) and frequencies, under a Gaussian.

    Adelson and Bergen (1985).
    """
    frames = made.frames.values.astype(float) - 0.5
    time, y, x = (np.arange(n) for n in frames.shape[1:])
    up, right = (y.size - 1) / 2 - y[:, None], x - (x.size - 1) / 2
    window = np.exp(-(up**2 + right**2) / (2 * spread**2))
    responses = []
    for angle in np.deg2rad(directions):
        cycles = spatial * (right * np.cos(angle) + up * np.sin(angle)) - temporal * time[:, None, None]
        responses.append(abs(np.einsum("ktyx,tyx->k", frames, window * np.exp(2j * np.pi * cycles))) ** 2)
    return np.stack(responses, 1) / 1e3


def intersection_of_constraints(made, directions, sharpness=2.0):
    """Responses (trial, unit) to the direction of the one velocity that agrees with all that is seen."""
    angle = np.arctan2(-made.velocity_vy.values, made.velocity_vx.values)
    tuned = np.exp(sharpness * (np.cos(angle - np.deg2rad(directions)) - 1))
    return np.where(np.isfinite(angle), tuned, 0.1)


def spatiotemporal(made, exponents, width=1.0):
    """Responses (trial, unit) to gratings on a grid, whose preferred temporal frequency goes with spatial
    frequency to the power of each exponent; to other trials 0.1.
    """
    log_s, log_f = (OCTAVE(made[f"{name}_frequency"].values / 0.125) for name in ("spatial", "temporal"))
    log_s, log_f = log_s[:, None], log_f[:, None]
    responses = np.exp(-(log_s**2) / 2 / 1.5**2 - (log_f - np.array(exponents) * log_s) ** 2 / 2 / width**2)
    return np.where(made.components.values[:, None] == 1, responses, 0.1)


def spirals(made, angles):
    """Responses (trial, unit) to dots, with these preferred angles (degree) in the plane of expansion and
    rotation.
    """
    x, y = made.expansion.values / 0.15, made.rotation.values / 10
    tuned = 0.5 + 0.4 * np.cos(np.arctan2(y, x)[:, None] - np.deg2rad(angles))
    return np.where(((x != 0) | (y != 0))[:, None], tuned, 0.5)
