"""Networks whose fixed points and exponents are known, and recordings that hold chosen ones."""

import numpy as np
import torch
import xarray as xr
from torch import nn

from flowsim import Network, Translation, VelocityGrid
from flowsim.files import coordinates
from tests.known.states import FLOWS

CONTEXT = 10
"""Frames that the networks of `followed` see."""


class Linear(Network):
    """h <- A h + b mean(f), of units without space; predicts nothing but a blank frame."""

    def __init__(self, matrix, frame_shape=(4, 4)):
        super().__init__()
        self.frame_shape = frame_shape
        self.matrix = nn.Parameter(torch.as_tensor(matrix, dtype=torch.float64))

    def start(self, trials):
        return (self.matrix.new_ones(trials, 1, len(self.matrix), 1, 1),)

    def decode(self, state):
        return state[0].new_zeros(len(state[0]), 1, *self.frame_shape)

    def update(self, state, frame):
        after = state[0].flatten(1) @ self.matrix.T + frame.mean((1, 2, 3))[:, None]
        return (after[:, None, :, None, None],)


class Bump(Network):
    """A pattern of one frequency along x that keeps its size and its place, whatever is shown after frame 0.

    h <- (1 + eps cos(2 x)) . K h / |K h|, where K keeps what turns once along x (and along y, if ``twice``) and
    halves all else. With eps = 0 it commutes with every band-limited shift, and each place of the pattern is a
    fixed point. Otherwise two places are stable, and a displacement from there shrinks by
    (1 - eps / 2) / (1 + eps / 2), to first order in eps: the gap is eps.
    """

    def __init__(self, eps=0.0, frame_shape=(5, 9), twice=False):
        super().__init__()
        self.frame_shape, self.eps, self.twice = frame_shape, eps, twice
        self.weight = nn.Parameter(torch.ones((), dtype=torch.float64))

    def start(self, trials):
        return (self.weight.new_zeros(trials, 1, 1, *self.frame_shape),)

    def decode(self, state):
        return state[0][:, 0]

    def update(self, state, frame):
        held = state[0] if bool((state[0].detach() != 0).any()) else frame[:, None]
        spectrum = torch.fft.rfft2(held)
        keep = torch.full(spectrum.shape[-2:], 0.5, dtype=spectrum.real.dtype)
        keep[0, 0] = 0
        keep[0, 1] = 1
        if self.twice:
            keep[1, 0] = keep[-1, 0] = 1
        kept = torch.fft.irfft2(spectrum * keep, s=self.frame_shape)
        after = kept / kept.flatten(1).norm(dim=1)[:, None, None, None, None]
        x = 2 * torch.pi * torch.arange(self.frame_shape[1], dtype=after.dtype) / self.frame_shape[1]
        return (after * (1 + self.eps * torch.cos(2 * x)),)


def spectrum_of(kernel, frame_shape):
    """W^(k) (y, x, output, input): the Fourier transform of a kernel (output, input, y, x) of odd size."""
    side = kernel.shape[-1] // 2
    ky = 2 * np.pi * np.fft.fftfreq(frame_shape[0])
    kx = 2 * np.pi * np.fft.fftfreq(frame_shape[1])
    offset = np.arange(-side, side + 1)
    along_y, along_x = np.exp(1j * np.outer(ky, offset)), np.exp(1j * np.outer(kx, offset))
    return np.einsum("oiyx,ky,lx->kloi", kernel, along_y, along_x)


def fixed_points(states, flows=FLOWS, velocities=None, residual=0.0, multipliers=(0.5,)):
    """A recording of fixed points (flow, trial, velocity, channel, y, x) as if they had been solved for."""
    velocities = (
        VelocityGrid.closed(Translation(), states.shape[-2:]).velocities if velocities is None else velocities
    )
    each, size = ("fixed_point_flow", "fixed_point_trial"), states.shape[:2]
    spectrum = np.broadcast_to(np.array(multipliers, complex), (*size, len(multipliers)))
    of_state = ("fixed_point_velocity", "fixed_point_channel", "y", "x")
    coords = coordinates.velocity_coords("fixed_point_flow", Translation(), flows)
    coords |= coordinates.velocity_coords("fixed_point_velocity", Translation(), velocities)
    coords["fixed_point_trial"] = np.arange(size[1])
    return xr.Dataset(
        {
            "fixed_point": ((*each, *of_state), states),
            "fixed_point_residual": (each, np.broadcast_to(residual, size)),
            "fixed_point_size": (each, np.ones(size)),
            "fixed_point_multiplier_real": ((*each, "fixed_point_multiplier"), spectrum.real),
            "fixed_point_multiplier_imaginary": ((*each, "fixed_point_multiplier"), spectrum.imag),
        },
        coords,
        {"flow_group": "translation", "velocity_group": "translation"},
    )


def followed(
    growth=(0.1, -0.5), orbit=(0.0, 0.0), lawful=(0.0, 0.0), leak=0.0, trials=4, times=40, noise=0.0, seed=0
):
    """A recording of growth per frame as if a network had been followed."""
    rng, each = np.random.default_rng(seed), ("exponent_trial", "exponent_time")

    def spread(values):
        values = np.broadcast_to(np.asarray(values, float), (trials, times, *np.shape(values)))
        return values + noise * rng.standard_normal((trials, *[1] * (values.ndim - 1)))

    tangent = (*each, "exponent_tangent")
    return xr.Dataset(
        {
            "exponent_growth": ((*each, "exponent_number"), spread(growth)),
            "exponent_orbit_growth": (tangent, spread(orbit)),
            "exponent_orbit_lawful": (tangent, spread(lawful)),
            "exponent_orbit_leak": (each, spread(leak)),
            "exponent_size": (each, np.exp(spread(-0.1) * np.arange(times))),
        },
        {"exponent_time": np.arange(1, times + 1)},
        {"context": CONTEXT},
    )
