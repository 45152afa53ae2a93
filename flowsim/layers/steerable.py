r"""Convolutions that turn with the image: fields over orientations, held as Fourier series.

A field gives each pixel a function of the orientation theta, held as the coefficients of its angular
frequencies up to K (irreducible representations of SO(2)),

    h(theta) = a_0 + sqrt 2 sum_k a_k cos(k theta) + b_k sin(k theta),     h_k = (a_k - i b_k) / sqrt 2.

Turning the image by an angle alpha turns every map and gives h_k the phase exp(-i k alpha): any angle, not
only multiples of a step. A convolution that commutes with it takes frequency q to k by a circular harmonic of
angular frequency q - k,

    y_k = sum_q w B_(r, q-k) * h_q,     B_(r,m)(z) = (z / r)^m / m! exp(-|z|^2 / 2 (s r)^2),     |m| <= 2,

at z = x + i y, for r = 1, ..., kernel // 2, and the pixel itself; w is complex, and z^m is conj(z)^-m where
m < 0. These are Gaussian derivatives, with s = 0.60 px and, for r > 1, a correction, so that they turn
exactly to leading order though they are but a few pixels; higher m would not. A function of the values acts
on sampled angles; what that makes of higher frequencies is left out.

Sources: Weiler, Hamprecht & Storath (2018), Learning steerable filters for rotation equivariant CNNs:
circular harmonics; Worrall et al. (2017), Harmonic networks: frequencies coupled by their difference; Weiler
& Cesa (2019), General E(2)-equivariant steerable CNNs: fields as Fourier series, sampled for a non-linearity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 1 / math.sqrt(math.log(16))
"""Standard deviation of the narrowest Gaussian, in px: a pixel at a corner weighs a quarter of one at an
edge.
"""


def harmonics(kernel: int) -> list[tuple[int, Tensor]]:
    """Every harmonic (m, B (y, x)) with m >= 0, complex, of norm 1 where m = 0."""
    radius = kernel // 2
    axis = torch.arange(-radius, radius + 1, dtype=torch.float64)
    place = torch.complex(*torch.meshgrid(axis, -axis, indexing="xy"))
    made = [(0, (place == 0).to(place.dtype))]
    for r in range(1, radius + 1):
        envelope = torch.exp(-place.abs().square() / (2 * (WIDTH * r) ** 2))
        envelope = envelope / envelope.norm()
        z = place / r
        alias = (envelope * z**4).sum() / (envelope * z.abs() ** 4).sum()  # pixels take m = 2 for -2, too
        for m, wave in enumerate((torch.ones_like(z), z, (z**2 - alias * z.conj() ** 2) / 2)):
            made.append((m, envelope * wave))
    return made


def complex_from_real(frequencies: int) -> Tensor:
    """h_k for k = -K, ..., K from the coefficients a_0, a_1, b_1, ..., a_K, b_K: a unitary matrix."""
    size = 2 * frequencies + 1
    matrix = torch.zeros(size, size, dtype=torch.complex128)
    matrix[frequencies, 0] = 1
    for k in range(1, frequencies + 1):
        parts = torch.tensor([1, -1j], dtype=torch.complex128) / math.sqrt(2)
        matrix[frequencies + k, 2 * k - 1 : 2 * k + 1] = parts
        matrix[frequencies - k, 2 * k - 1 : 2 * k + 1] = parts.conj()
    return matrix


@lru_cache(64)
def couplings(
    kernel: int, incoming: int, outgoing: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """All kernels between coefficients up to two frequencies that turn with the image.

    Returns
    -------
    Tensor (coupling, coefficient of the output, coefficient of the input, y, x)
        Linearly independent, each with the norm of its harmonic per coefficient that it makes.
    Tensor (coupling,)
        Those that together leave every coefficient as it is, but for those that the output has not.
    """
    into, out_of = complex_from_real(incoming), complex_from_real(outgoing)
    waves = harmonics(kernel)
    found, own = [], []
    for k in range(outgoing + 1):
        for q in range(-incoming if k else 0, incoming + 1):
            for number, (m, wave) in enumerate(waves):
                if m != abs(q - k):
                    continue
                wave = wave if q >= k else wave.conj()
                for phase in (1, 1j) if k or q else (1,):
                    weight = phase if k or not q else phase / math.sqrt(2)
                    coupled = torch.zeros(len(out_of), len(into), *wave.shape, dtype=torch.complex128)
                    coupled[outgoing + k, incoming + q] = weight * wave
                    coupled[outgoing - k, incoming - q] = (weight * wave).conj()
                    found.append(torch.einsum("ks,kqyx,qt->styx", out_of.conj(), coupled, into).real)
                    own.append(float(q == k and number == 0 and phase == 1))
    return torch.stack(found).to(device, dtype), torch.tensor(own, dtype=dtype, device=device)


class SteerableConv(nn.Module):
    """A convolution between fields over orientations, 0 outside the frame, with all kernels that turn with
    the image.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    kernel : int
        Odd size in px.
    incoming, outgoing : int
        Highest angular frequencies K of the input and the output. A field with K = 0 does not turn: from it
        the convolution lifts to orientations, to it it projects.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, incoming: int, outgoing: int) -> None:
        super().__init__()
        self.couples = kernel, incoming, outgoing
        kinds = len(couplings(*self.couples, torch.float64, torch.device("cpu"))[0])
        bound = math.sqrt((2 * incoming + 1) / (inputs * kinds))
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kinds).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """From (trial, channel, coefficient, y, x) to the channels and coefficients of the output."""
        kernels = self.kernels().flatten(2, 3).flatten(0, 1)
        return F.conv2d(x.flatten(1, 2), kernels, padding="same").unflatten(1, (len(self.weight), -1))

    @property
    def memory(self) -> tuple[Tensor, Tensor]:
        """Weights (channel, channel, coupling), and those that leave a field as it is."""
        return self.weight, couplings(*self.couples, self.weight.dtype, self.weight.device)[1]

    def kernels(self) -> Tensor:
        """(output, its coefficient, input, its coefficient, y, x)."""
        made, _ = couplings(*self.couples, self.weight.dtype, self.weight.device)
        return torch.einsum("oip,pstyx->osityx", self.weight, made)


@dataclass(frozen=True)
class Angles:
    """Fields over orientations at N angles 0, 360/N, ... degrees, and their coefficients again.

    Attributes
    ----------
    orientations, frequencies : int
        N and K; N > 2 K, so that nothing is lost. Where functions of the values are taken, N = 4 K is enough
        for few of the frequencies that they make to pass for lower ones.
    """

    orientations: int
    frequencies: int

    def sample(self, x: Tensor, turned: float = 0) -> Tensor:
        """From (..., coefficient, y, x) to (..., orientation, y, x), turned by so many degrees first."""
        return _mixed(self._waves(x, turned), x)

    def coefficients(self, x: Tensor, turned: float = 0) -> Tensor:
        """From (..., orientation, y, x) to (..., coefficient, y, x), without higher frequencies; reverses
        `sample`.
        """
        return _mixed(self._waves(x, turned).T / self.orientations, x)

    def relu(self, x: Tensor) -> Tensor:
        """Of the values of a field (..., coefficient, y, x)."""
        return self.coefficients(torch.relu(self.sample(x)))

    def _waves(self, x: Tensor, turned: float) -> Tensor:
        return _waves(self.orientations, self.frequencies, turned % 360, x.dtype, x.device)


@lru_cache(256)
def _waves(
    orientations: int, frequencies: int, turned: float, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """What each coefficient adds at each orientation, (orientation, coefficient)."""
    steps = torch.arange(orientations, dtype=torch.float64)
    theta = 2 * math.pi * (steps / orientations - turned / 360)
    waves = [torch.ones_like(theta)]
    for k in range(1, frequencies + 1):
        waves += [math.sqrt(2) * torch.cos(k * theta), math.sqrt(2) * torch.sin(k * theta)]
    return torch.stack(waves, 1).to(device, dtype)


def _mixed(matrix: Tensor, x: Tensor) -> Tensor:
    """(new, old) times (..., old, y, x)."""
    return (matrix @ x.flatten(-2)).unflatten(-1, x.shape[-2:])
