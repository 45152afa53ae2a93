r"""Drifting gratings and their sums, as luminance.

    L(x, t) = 1/2 + contrast/2 . A(x) . mean_k cos(2 pi (s u_k . x - f t) + phase_k)

with spatial frequency s, temporal frequency f, and u_k the unit vector of the k-th component's direction.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from flowsim.scenes.velocities import heading


def drifting(
    components: Mapping[str, np.ndarray],
    frames: int,
    frame_shape: tuple[int, int],
    device: torch.device,
    *,
    aperture: str,
    radius: float,
) -> Tensor:
    """Frames (trial, time, y, x) in [0, 1].

    Parameters
    ----------
    components : mapping of str to array (trial, component)
        ``direction`` and ``phase`` in degrees, ``spatial_frequency`` in cycles/px, ``temporal_frequency`` in
        cycles/frame, and ``contrast`` of each by itself.
    aperture, radius
        See `visibility`; "none" is the whole frame.
    """
    rows, columns = (torch.arange(n, device=device) - (n - 1) / 2 for n in frame_shape)
    contrast = components["contrast"]
    wave = heading(components["direction"], components["spatial_frequency"])
    cycles = components["phase"][..., None] / 360 - components["temporal_frequency"][..., None] * np.arange(
        frames
    )
    made = torch.zeros(len(contrast), frames, *frame_shape, device=device)
    for k in range(contrast.shape[1]):
        fy, fx, amplitude, start = (
            torch.from_numpy(of_trial).to(device, torch.float32)
            for of_trial in (wave[:, k, 0], wave[:, k, 1], contrast[:, k], cycles[:, k] % 1)
        )
        across = fy[:, None, None] * rows[:, None] + fx[:, None, None] * columns
        grating = (2 * torch.pi * (across[:, None] + start[:, :, None, None])).cos_()
        made += grating.mul_(amplitude[:, None, None, None])
    made *= 0.5 / contrast.shape[1]
    if aperture != "none":
        made *= visibility((rows[:, None] ** 2 + columns**2).sqrt(), aperture, radius)
    return made.add_(0.5).clamp_(0, 1)


def visibility(distance: Tensor, aperture: str, radius: float) -> Tensor:
    """How visible a grating is at a distance from the middle, from 0 to 1: through a "disc" of this radius,
    whose edge is one px wide, or a "gaussian" of this standard deviation.
    """
    if aperture == "disc":
        return (radius + 0.5 - distance).clamp(0, 1)
    return (-0.5 * (distance / radius) ** 2).exp()


def agreed(direction: np.ndarray, angle: float, speed: np.ndarray) -> np.ndarray:
    """Velocities (trial, 2) at which the constraint lines of two gratings meet; NaN where they do not.

    Parameters
    ----------
    direction : array (trial,)
        Of the first grating, in degrees.
    angle : float
        Between the gratings, in degrees.
    speed : array (trial,)
        Of both gratings.
    """
    share = np.cos(np.deg2rad(angle / 2))
    return heading(direction + angle / 2, speed / (np.nan if abs(share) < 1e-9 else share))
