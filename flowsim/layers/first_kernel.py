r"""With which weights a recurrence begins: the usual ones, or near the identity, so that it remembers.

    W <- 0.3 W + 0.9 delta

with W as torch draws it, and delta the kernel that leaves every channel as it is. A state then fades by a
tenth per frame instead of being mixed away at once, and training has to find what to change, not how to keep.
In gated cells W is the kernel of the candidate, whose gates decide what is kept.

Source: Le, Jaitly and Hinton (2015), A simple way to initialize recurrent networks of rectified linear units,
who begin at the identity itself. Less than 1 is kept here, so that a state does not grow over a rollout.
`experiments/digits_ablation.yaml` compares the two beginnings.
"""

from __future__ import annotations

import torch
from torch import Tensor

KEPT = 0.9
"""What of itself a channel keeps at first."""
USUAL = 0.3
"""What is left of the usual weights."""


@torch.no_grad()
def begin_near_identity(weight: Tensor, identity: Tensor | None = None) -> None:
    """Change a kernel (channel, channel, y, x), or a matrix (unit, unit), in place.

    ``identity`` is what leaves a channel as it is, broadcast over a channel's own kernel; 1 at the centre if
    not given.
    """
    weight *= USUAL
    own = weight.diagonal()  # (y, x, channel), of a matrix (unit)
    if identity is not None:
        own += KEPT * identity[..., None]
    elif weight.ndim == 2:
        own += KEPT
    else:
        own[weight.shape[-2] // 2, weight.shape[-1] // 2] += KEPT
