r"""Motion clouds: random textures of controlled spatial frequency, orientation and speed.

The movie has random phases and the amplitude (f = (fy, fx), r its length, phi its direction)

    E(f, ft) = 1/r exp(-1/2 (ln(r / sf_0) / ln(1 + B_sf / sf_0))^2)          spatial frequency
             . exp(cos(2 (phi - theta)) / (2 B_theta)^2)                     orientation
             . exp(-1/2 ((f . V + ft) / (B_V r))^2)                          speed
             . r^-alpha                                                      colour

Equations and names of Sanz Leon, Vanzetta, Masson and Perrinet (2012), Motion clouds: model-based stimulus
synthesis of natural-like random textures for the study of motion perception, with orientation and r as in
their program since (the paper's r includes ft). This is a new implementation with three choices of its own:

- The speed envelope of V is that of V = 0, sheared along ft: a cloud that only boils is made first, then
  moved at V. Its velocity is therefore exact however short the movie, and with B_V = 0 the texture moves
  rigidly.
- The movie is cut out of a longer boiling that is periodic in time (see `period`), so the end does not lead
  back to the beginning. In space a cloud is periodic: it lives on the torus of the frame.
- The mean luminance of each frame is 0.5: the frame does not flicker as a whole. There is no energy at half a
  cycle per px along an axis, where a wave has no direction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import torch
import xarray as xr
from pydantic import Field

from flowsim.errors import InputError
from flowsim.flows.translation import Translation
from flowsim.scenes.canvas import moved
from flowsim.scenes.scene import Scene, stimulus, truth_value
from flowsim.scenes.velocities import among, as_whole_numbers, box, number_of_trials, probes, within
from flowsim.specification import Amount, Count, Pixels, Positive, Share, WholeSpeed, checked
from flowsim.splits import check_split


@checked
def generate(
    split: str,
    rng: np.random.Generator,
    *,
    height: Pixels = 16,
    width: Pixels = 16,
    max_speed: WholeSpeed = 1,
    velocities: Annotated[list[tuple[float, float]], Field(min_length=1)] | Literal["real"] | None = None,
    sweep_speed: WholeSpeed = 2,
    probe_speed: WholeSpeed = 1,
    B_V: Amount = 0.1,
    sf_0: Annotated[float, Field(gt=0, le=0.5)] = 0.125,
    B_sf: Positive = 0.1,
    theta: float | Literal["direction"] = 0.0,
    B_theta: Positive | None = None,
    alpha: float = 0.0,
    loggabor: bool = True,
    contrast: Share = 1.0,
    trials: Count = 64,
    frames: Count = 12,
) -> xr.Dataset:
    """Make one file of trials.

    Parameters
    ----------
    split : {"train", "valid", "test", "sweep", "probe", "control"}
        Clouds are drawn anew for each. "sweep" visits every velocity of {-sweep_speed..sweep_speed}^2. In
        "probe", flow 0 is a reference, in which every other trial only boils, and the other flows,
        {-probe_speed..probe_speed}^2, are its exact transports.
    rng : numpy.random.Generator
        Decides velocities and the seeds of phases.
    height, width : int
        Size of a frame in px.
    max_speed : int
        Velocities are drawn from {-max_speed..max_speed}^2, in px/frame.
    velocities : list of (vy, vx), or "real", optional
        Draw from these instead, or evenly from all of [-max_speed, max_speed]^2.
    B_V : float
        Bandwidth of speed in px/frame; 0 for rigid motion. The published standard cloud has 0.5.
    sf_0, B_sf : float
        Mean, up to 0.5, and bandwidth of spatial frequency in cycles/px.
    theta : float, or "direction"
        Mean orientation of the wave vectors, across which the bars lie, in degrees, 0 to the right,
        counter-clockwise as displayed (published: in radians, clockwise); or the direction in which each
        cloud moves, 0 if it does not move.
    B_theta : float, optional
        Bandwidth of orientation in degrees (published: in radians, standard pi/16); every orientation alike
        if not given.
    alpha : float
        Of the colour: 0 white, 1 pink, 2 brown.
    loggabor : bool
        If false, the envelope of spatial frequency is a Gaussian, exp(-1/2 ((r - sf_0) / B_sf)^2).
    contrast : float
        Michelson contrast: the luminance farthest from 0.5 differs from it by half of this.
    trials : int
        How many; in "sweep", how many of each velocity.
    frames : int
        How long each is.

    Returns
    -------
    Dataset
        ``frames`` (trial, time, y, x), or (flow, trial, time, y, x) for "probe", in [0, 1]; per trial and
        object (one) ``velocity_vy``, ``velocity_vx`` (px/frame), also per trial under their published names
        ``V_Y`` and ``V_X``; per trial ``theta`` (degrees) if there is a bandwidth, and ``noise_seed``; in
        "sweep", per trial ``trained``: whether the velocity is one of training.

    Raises
    ------
    InputError
        If the split is unknown, or frames of this size have no spatial frequency within three bandwidths of
        ``sf_0``.
    """
    check_split(split)
    bands = {"B_V": B_V, "sf_0": sf_0, "B_sf": B_sf, "B_theta": B_theta, "alpha": alpha, "loggabor": loggabor}
    radii = radius((height, width), torch.device("cpu"))
    if not (bandwidths(radii[radii > 0], bands).abs() <= 3).any():
        raise InputError(
            f"expected a spatial frequency near sf_0 = {sf_0} cycles/px; frames of {height}x{width} px have "
            "multiples of one over the height and width, below 0.5; use larger frames, or a B_sf larger than "
            f"{B_sf}"
        )
    swept = box(sweep_speed)
    trials = number_of_trials(split, trials, swept)
    known = as_whole_numbers(np.array(velocities if velocities and velocities != "real" else box(max_speed)))
    if split == "sweep":
        velocity = np.resize(swept, (trials, 2))
    elif velocities == "real":
        velocity = rng.uniform(-max_speed, max_speed, (trials, 2))
    else:
        velocity = known[rng.integers(len(known), size=trials)]
    if split == "probe":
        velocity[::2] = 0

    one = ("trial", "object")
    truth = {
        "velocity_vy": (one, velocity[:, :1], "px/frame", "mean velocity, positive down"),
        "velocity_vx": (one, velocity[:, 1:], "px/frame", "mean velocity, positive right"),
        "V_Y": (("trial",), velocity[:, 0], "px/frame", "velocity_vy by its published name"),
        "V_X": (("trial",), velocity[:, 1], "px/frame", "velocity_vx by its published name"),
        "noise_seed": (("trial",), rng.integers(2**31, size=trials), "", "of the random phases"),
    }
    if B_theta is not None:
        along = np.rad2deg(np.arctan2(-velocity[:, 0], velocity[:, 1]))
        mean = (along if theta == "direction" else np.full(trials, float(theta))) % 180
        description = "mean orientation of the wave vectors, counter-clockwise"
        truth["theta"] = (("trial",), mean, "degree", description)
    if split == "sweep":
        trained = within(velocity, max_speed) if velocities == "real" else among(velocity, known)
        truth["trained"] = truth_value(trained, "whether the velocity is one of training")
    return stimulus(
        truth,
        render,
        frames=frames,
        frame_shape=(height, width),
        group=Translation(),
        flows=probes(probe_speed) if split == "probe" else None,
        settings={**bands, "contrast": contrast},
    )


def render(scene: Scene, device: torch.device) -> torch.Tensor:
    """Frames (trial, time, y, x)."""
    shape = (period(scene), *scene.frame_shape)
    noise = [np.random.default_rng(seed).standard_normal(shape, np.float32) for seed in scene["noise_seed"]]
    tiny = torch.finfo(torch.float32).tiny
    spectrum = torch.fft.rfftn(torch.from_numpy(np.stack(noise)).to(device), dim=(1, 2, 3))
    spectrum /= spectrum.abs().clamp_min_(tiny)  # only the phases of the noise are used
    spectrum *= envelope(scene, device)
    boiling = torch.fft.irfftn(spectrum, s=shape, dim=(1, 2, 3))[:, : scene.frames]
    velocity = np.stack([scene["velocity_vy"], scene["velocity_vx"]], -1)
    displacement = (velocity * np.arange(scene.frames)[:, None]).reshape(-1, 1, 2)
    frames = moved(boiling.flatten(0, 1), displacement, clamp=False).view_as(boiling)
    largest = frames.abs().amax((1, 2, 3), keepdim=True).clamp_min_(tiny)
    return (frames / largest).mul_(0.5 * scene.settings["contrast"]).add_(0.5)


def period(scene: Scene) -> int:
    """Period of the boiling, in frames: longer than the movie by the time in which the phase of a wave of
    ``sf_0`` decorrelates, or by eight movies if that is shorter.

    After t frames the correlation is exp(-(pi B_V sf_0 t)^2); exp(-4) counts as decorrelated.
    """
    rate = np.pi * scene.settings["B_V"] * scene.settings["sf_0"]
    return scene.frames + math.ceil(min(2 / rate, 8 * scene.frames) if rate else 0)


def envelope(scene: Scene, device: torch.device) -> torch.Tensor:
    """Amplitudes of a cloud that stands still, (trial or 1, time, y, x), on the frequencies of
    `torch.fft.rfftn`.
    """
    s = scene.settings
    r = radius(scene.frame_shape, device)
    has_energy = r > 0
    r = torch.where(has_energy, r, 1.0)
    spatial = (-0.5 * bandwidths(r, s) ** 2).exp() * r ** -(s["alpha"] + s["loggabor"]) * has_energy
    ft = torch.fft.fftfreq(period(scene), device=device)[:, None, None]
    speed = (-0.5 * (ft / (s["B_V"] * r)) ** 2).exp() if s["B_V"] else (ft == 0).float()
    amplitude = (speed * spatial)[None]
    if s["B_theta"] is None:
        return amplitude
    fy, fx = frequencies(scene.frame_shape, device)
    theta = torch.from_numpy(np.deg2rad(scene["theta"])).to(device, r.dtype)[:, None, None]
    away = torch.atan2(-fy, fx) - theta
    # divided by its maximum, which changes only the scale, so that narrow bands do not overflow
    orientation = (((2 * away).cos() - 1) / (2 * math.radians(s["B_theta"])) ** 2).exp()
    return amplitude * orientation[:, None]


def bandwidths(r: torch.Tensor, bands: Mapping[str, Any]) -> torch.Tensor:
    """How many bandwidths spatial frequencies r lie above ``sf_0``."""
    if bands["loggabor"]:
        return (r / bands["sf_0"]).log() / math.log(1 + bands["B_sf"] / bands["sf_0"])
    return (r - bands["sf_0"]) / bands["B_sf"]


def frequencies(frame_shape: tuple[int, int], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Spatial frequencies along y (y, 1) and x (x,) of `torch.fft.rfftn`, in cycles/px."""
    height, width = frame_shape
    return torch.fft.fftfreq(height, device=device)[:, None], torch.fft.rfftfreq(width, device=device)


def radius(frame_shape: tuple[int, int], device: torch.device) -> torch.Tensor:
    """Spatial frequency in cycles/px, (y, x); 0 where a cloud has no energy."""
    fy, fx = frequencies(frame_shape, device)
    return (fy**2 + fx**2).sqrt() * (fy.abs() < 0.5) * (fx < 0.5)
