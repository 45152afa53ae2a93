r"""Drifting gratings and plaids: sinusoids of luminance that move across their bars.

    L(x, t) = 1/2 + contrast/2 . A(x) . mean_k cos(2 pi (s u_k . x - f t) + phase_k)

with spatial frequency s, temporal frequency f, and u_k the unit vector of the k-th component's direction. A
grating moves at the normal velocity f/s u; along its bars it could move at any speed. A plaid is two gratings
at an angle; only one velocity explains both (Adelson and Movshon, 1982, Phenomenal coherence of moving visual
patterns).

A grating is periodic on the torus of the frame only if its wave vector s u has a whole number of cycles over
the height and over the width, as the defaults have except in "sweep". Otherwise there is a seam at the
border, which the flows of a probe move with the frame. The aperture A stands still.
"""

from __future__ import annotations

from itertools import product
from typing import Annotated, Literal

import numpy as np
import torch
import xarray as xr
from pydantic import Field

from flowsim.flows.translation import Translation
from flowsim.scenes.gratings import agreed, drifting
from flowsim.scenes.scene import Scene, stimulus, truth_value
from flowsim.scenes.velocities import heading, probes
from flowsim.specification import Count, Pixels, Positive, Share, WholeSpeed, checked
from flowsim.splits import check_split

Angles = Annotated[tuple[float, ...], Field(min_length=1)]
Shares = Annotated[tuple[Share, ...], Field(min_length=1)]
Spatial = Annotated[tuple[Annotated[float, Field(gt=0, le=0.5)], ...], Field(min_length=1)]
Temporal = Annotated[tuple[Annotated[float, Field(ge=0, le=0.5)], ...], Field(min_length=1)]


@checked
def generate(
    split: str,
    rng: np.random.Generator,
    *,
    height: Pixels = 16,
    width: Pixels = 16,
    directions: Angles = (0.0, 90.0, 180.0, 270.0),
    spatial_frequencies: Spatial = (0.125,),
    temporal_frequencies: Temporal = (0.125,),
    phases: Angles | Literal["random"] = "random",
    contrast: Share | Shares = 1.0,
    components: Annotated[int, Field(ge=1, le=2)] = 1,
    plaid_angle: float = 90.0,
    aperture: Literal["none", "disc", "gaussian"] = "none",
    radius: Positive = 4.0,
    sweep_directions: Angles = (0.0, 45.0, 90.0, 135.0, 180.0, 225.0, 270.0, 315.0),
    probe_speed: WholeSpeed = 1,
    trials: Count = 64,
    frames: Count = 12,
) -> xr.Dataset:
    """Make one file of trials.

    Parameters
    ----------
    split : {"train", "valid", "test", "sweep", "probe", "control"}
        Gratings are drawn anew for each. "sweep" visits every combination of ``sweep_directions``, spatial
        and temporal frequencies and contrasts. In "probe", flow 0 is a reference, in which every other trial
        stands still, and the other flows, {-probe_speed..probe_speed}^2, are its exact transports.
    rng : numpy.random.Generator
        Decides directions, frequencies, contrasts and phases.
    height, width : int
        Size of a frame in px.
    directions : sequence of float
        In which gratings drift, in degrees, 0 to the right, counter-clockwise as displayed. One is drawn for
        each trial, as are the following.
    spatial_frequencies : sequence of float
        In cycles/px, up to 0.5.
    temporal_frequencies : sequence of float
        In cycles/frame, up to 0.5, where a grating flickers and has no direction.
    phases : sequence of float, or "random"
        In degrees; at phase 0 the middle of the frame is brightest at frame 0. Drawn for each component.
    contrast : float, or sequence of float
        Michelson contrast of each component by itself, from 0 to 1; in a plaid it has half of that.
    components : {1, 2}
        A grating, or a plaid: the mean of two gratings.
    plaid_angle : float
        How much further counter-clockwise the direction of a plaid's second component is, in degrees. At 180
        they make a counterphase grating.
    aperture : {"none", "disc", "gaussian"}
        In the middle of the frame, through which the grating is seen on a ground of 0.5.
    radius : float
        Of the disc, whose edge is one px wide, or the standard deviation of the Gaussian, in px.
    sweep_directions : sequence of float
        Directions of "sweep". Oblique gratings without a whole number of cycles across the frame have a seam
        at its border, which those of the default training do not: compare directions through an aperture, or
        with frequencies that give whole numbers in all of them.
    trials : int
        How many; in "sweep", how many of each combination.
    frames : int
        How long each is.

    Returns
    -------
    Dataset
        ``frames`` (trial, time, y, x), or (flow, trial, time, y, x) for "probe", in [0, 1]; per trial and
        object (a component) ``direction``, ``orientation`` (of the bars) and ``phase`` (degrees),
        ``spatial_frequency`` (cycles/px), ``temporal_frequency`` (cycles/frame), ``contrast``, and
        ``velocity_vy``, ``velocity_vx`` (px/frame, across the bars); of a plaid, per trial ``pattern_vy``,
        ``pattern_vx``, the one velocity that agrees with both components, NaN if there is none; in "sweep",
        per trial ``trained``: whether its direction is one of training.

    Raises
    ------
    InputError
        If the split is unknown.
    """
    check_split(split)
    choices = [
        np.array(values, float)
        for values in (directions, spatial_frequencies, temporal_frequencies, np.atleast_1d(contrast))
    ]
    if split == "sweep":
        combinations = np.array(list(product(sweep_directions, *choices[1:])))
        first, spatial, temporal, contrasts = np.resize(combinations, (trials * len(combinations), 4)).T
    else:
        first, spatial, temporal, contrasts = (rng.choice(c, trials) for c in choices)
    if split == "probe":
        temporal[::2] = 0
    shape = (len(first), components)
    if isinstance(phases, str):
        phase = rng.uniform(0, 360, shape)
    else:
        phase = rng.choice(np.array(phases, float), shape)
    direction = (first[:, None] + plaid_angle * np.arange(components)) % 360
    spatial, temporal, contrasts = (np.tile(c[:, None], components) for c in (spatial, temporal, contrasts))
    velocity = heading(direction, temporal / spatial)

    each = ("trial", "object")
    truth = {
        "direction": (each, direction, "degree", "direction of drift, 0 right, counter-clockwise"),
        "orientation": (each, (direction + 90) % 180, "degree", "orientation of the bars, 0 horizontal"),
        "spatial_frequency": (each, spatial, "cycle/px", "spatial frequency"),
        "temporal_frequency": (each, temporal, "cycle/frame", "temporal frequency"),
        "phase": (each, phase, "degree", "phase in the middle of frame 0"),
        "contrast": (each, contrasts, "", "Michelson contrast of the component by itself"),
        "velocity_vy": (each, velocity[..., 0], "px/frame", "velocity across the bars, positive down"),
        "velocity_vx": (each, velocity[..., 1], "px/frame", "velocity across the bars, positive right"),
    }
    if components == 2:
        pattern = agreed(first, plaid_angle, temporal[:, 0] / spatial[:, 0])
        truth["pattern_vy"] = (("trial",), pattern[:, 0], "px/frame", "velocity of the plaid, positive down")
        truth["pattern_vx"] = (("trial",), pattern[:, 1], "px/frame", "velocity of the plaid, positive right")
    if split == "sweep":
        difference = (first[:, None] - choices[0]) % 360
        trained = np.isclose(np.minimum(difference, 360 - difference), 0).any(1)
        truth["trained"] = truth_value(trained, "whether the direction is one of training")
    return stimulus(
        truth,
        render,
        frames=frames,
        frame_shape=(height, width),
        group=Translation(),
        flows=probes(probe_speed) if split == "probe" else None,
        settings={"aperture": aperture, "radius": radius},
    )


def render(scene: Scene, device: torch.device) -> torch.Tensor:
    """Frames (trial, time, y, x)."""
    return drifting(scene.values, scene.frames, scene.frame_shape, device, **scene.settings)
