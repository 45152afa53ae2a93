"""Networks whose fixed points and exponents are known."""

import numpy as np
import torch
from torch import nn

from flowsim import Network


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
