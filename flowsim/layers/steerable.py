r"""Convolutions that turn with the image: steerable kernels and an orientation axis, the group C_N.

A field with orientations has N channels for each of its own, at 0, 360/N, ... degrees; turning the image by
one step turns every map and shifts the orientations by one. Kernels are sums of circular harmonics on
Gaussian rings,

    B_(r,m)(rho, phi) = exp(-(rho - r)^2 / 2 s^2) {cos, sin}(m phi),   r = 0, ..., k // 2,   m <= min(2 r, 3)

within rho <= k / 2. They are turned by any angle exactly, phi -> phi - angle, before they are sampled on
pixels: no kernel is interpolated.

Sources: Cohen & Welling (2016), Group equivariant convolutional networks; Weiler, Hamprecht & Storath
(2018), Learning steerable filters for rotation equivariant CNNs: circular harmonics.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RING_WIDTH = 0.6
"""Standard deviation s of a ring, in px."""
HIGHEST = 3
"""Highest angular frequency m: a ring of 3x3 or 5x5 pixels holds no more."""


def harmonics(kernel: int, orientations: int) -> Tensor:
    """The kernels B turned to each orientation, (orientation, harmonic, y, x), of norm 1 on average over a
    turn.
    """
    radius = kernel // 2
    axis = torch.arange(-radius, radius + 1, dtype=torch.float64)
    rho, phi = torch.hypot(axis[:, None], axis), torch.atan2(-axis[:, None], axis)
    angles = 2 * math.pi / orientations * torch.arange(orientations, dtype=torch.float64)[:, None, None]
    turned = []
    for ring in range(radius + 1):
        envelope = torch.exp(-((rho - ring) ** 2) / (2 * RING_WIDTH**2)) * (rho <= radius + 0.5)
        turned.append((envelope / envelope.norm()).expand(orientations, -1, -1))
        off_centre = envelope * (rho > 0)
        off_centre = off_centre / off_centre.norm() * math.sqrt(2)
        for m in range(1, min(2 * ring, HIGHEST) + 1):
            turned += [off_centre * wave(m * (phi - angles)) for wave in (torch.cos, torch.sin)]
    bank = torch.stack(turned, 1)
    quarter, rest = divmod(orientations, 4)
    if rest:
        return bank
    quarters = [torch.rot90(bank[:quarter], turns, (-2, -1)) for turns in range(4)]
    return torch.cat(quarters)  # quarter turns are equal to the last bit


class SteerableConv(nn.Module):
    """A convolution between fields with orientations, 0 outside the frame.

    Every output orientation looks at the input with the same kernels, turned by its own angle, which depend
    on the input's orientation relative to its own. From a field without orientations to one with them it is
    the lifting convolution; to one without it is that backwards.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    kernel : int
        Odd size in px.
    orientations : int
        N.
    lifts, projects : bool
        The input, or the output, has one orientation instead: it does not turn.
    """

    bank: Tensor
    relative: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        orientations: int,
        *,
        lifts: bool = False,
        projects: bool = False,
    ) -> None:
        super().__init__()
        bank = harmonics(kernel, orientations).to(torch.get_default_dtype())
        self.register_buffer("bank", bank, persistent=False)
        self.own = 1 if projects else orientations
        self.others = 1 if lifts else orientations
        step = torch.arange(orientations)
        relative = (step - step[:, None]) % orientations  # (of the output, of the input)
        self.register_buffer("relative", relative, persistent=False)
        kinds = orientations if self.own == self.others else 1
        bound = 1 / math.sqrt(inputs * self.others * bank.shape[1])
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kinds, bank.shape[1]).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """From (trial, channel, orientation, y, x) to the channels and orientations of the output."""
        weight = self.kernels().flatten(2, 3).flatten(0, 1)
        return F.conv2d(x.flatten(1, 2), weight, padding="same").unflatten(1, (-1, self.own))

    @property
    def memory(self) -> tuple[Tensor, Tensor]:
        """Weights (channel, channel, kind, harmonic), and those that leave a field nearly as it is: an
        orientation takes from itself alone, and from around its own pixel with a sum of 1.
        """
        identity = torch.zeros_like(self.weight[0, 0])
        identity[0, 0] = 1 / self.bank[0, 0].sum()
        return self.weight, identity

    def kernels(self) -> Tensor:
        """(output, its orientation, input, its orientation, y, x)."""
        if self.own == self.others:
            return torch.einsum("oistb,sbyx->osityx", self.weight[:, :, self.relative], self.bank)
        if self.own > 1:
            return torch.einsum("oib,sbyx->osiyx", self.weight[:, :, 0], self.bank).unsqueeze(3)
        return torch.einsum("oib,tbyx->oityx", self.weight[:, :, 0], self.bank).unsqueeze(1)
