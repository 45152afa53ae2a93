r"""How small differences grow along a network's trajectory: Lyapunov exponents, and growth along the orbit.

With J_t the Jacobian of the step that takes in frame t, orthonormal vectors Q_t are carried along,

    J_t Q_(t-1) = Q_t R_t

and log |R_ii| is by how much the difference i grows in this frame; its mean over frames is a Lyapunov
exponent. While the stimulus is shown the step is F(h, f_t); after the context it is that of the network with
its own prediction, and the network an autonomous one.

The same is done for the tangent of the group's orbit, E_t = (d/ds exp(s e) h_t at s = 0 for each component e
of the flow group). Where the network is equivariant and autonomous J_t E_(t-1) = E_t: what is displaced along
the orbit stays displaced. So three numbers are kept: the growth of J_t W_(t-1) within the span of E_t, with
W_(t-1) an orthonormal basis of the span of E_(t-1); the growth of the same vectors if J_t E_(t-1) were E_t,
which is 0 on average for a state that neither fades nor grows; and which share of J_t W_(t-1) leaves the span
of E_t. The second less the first is by how much the network pulls a displaced state back.

The translations of a pixel torus are a finite group, which has no tangent. Here it stands for the continuous
one, which shifts what is between the pixels by Fourier series (`flowsim.flows.resampling.shift`). A network
commutes with it only as far as it does not fold frequencies beyond those of the pixels back: convolutions do,
pointwise non-linearities do not quite, whatever their exact equivariance to whole pixels.

Sources: Benettin, Galgani, Giorgilli and Strelcyn (1980), Meccanica 15 (the method), as Vogt, Puelma Touzel,
Shlizerman and Lajoie (2020), On Lyapunov Exponents for RNNs, arXiv 2006.14123, use it for driven recurrent
networks; Mo (2026), Symmetry-Protected Lyapunov Neutral Modes in Equivariant Recurrent Networks, arXiv
2605.03338 (exponents along the orbit).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from flowsim.flows.group import FlowGroup
from flowsim.recording.one_step import OneStep, pushed
from flowsim.recording.settings import ExponentsBlock

SMALLEST = float(torch.finfo(torch.float64).eps)
"""A difference that a frame leaves less of is rounding, and counts as this."""
NO_TANGENT = 1e-6
"""Tangents smaller than this share of the state are none: the state is the same along them."""
PREFIX = "exponent"


def follow(
    step: OneStep, frames: Tensor, context: int, group: FlowGroup, settings: ExponentsBlock
) -> xr.Dataset:
    """Growth of differences, frame by frame.

    Parameters
    ----------
    step : OneStep
    frames : Tensor (trial, time, 1, y, x)
        In float64.
    context : int
        How many of the frames are shown.
    group : FlowGroup
        Whose orbits are followed.
    settings : ExponentsBlock

    Returns
    -------
    Dataset
        Over (exponent_trial, exponent_time), the time being the number of the frame that is taken in:
        ``exponent_growth`` (..., exponent_number), log |R_ii|; ``exponent_orbit_growth`` and
        ``exponent_orbit_lawful`` (..., exponent_tangent), along the orbit and if the law held;
        ``exponent_orbit_leak``, the share (of norms) that leaves the orbit's tangent; ``exponent_size``, the
        norm of the state. NaN where the state has no space or fewer tangents, and from where it diverges.
    """
    times = np.arange(1, context + settings.rollout)
    components = len(group.components)
    sizes: dict[str, tuple[int, ...]] = {
        "growth": (settings.number,),
        "orbit_growth": (components,),
        "orbit_lawful": (components,),
    }
    sizes |= {"orbit_leak": (), "size": ()}
    values = {name: np.full((len(frames), len(times), *size), np.nan) for name, size in sizes.items()}
    for trial, shown in enumerate(frames):
        for at, measured in zip(
            range(len(times)), _along(step, shown, context, group, settings), strict=False
        ):
            for name, value in measured.items():
                number = value.numel()
                values[name][trial, at, ...].flat[:number] = value.cpu().numpy().ravel()
    return _packed(values, times)


def _along(
    step: OneStep, frames: Tensor, context: int, group: FlowGroup, settings: ExponentsBlock
) -> Iterator[dict[str, Tensor]]:
    """What is measured of one trial, frame by frame from the second; ends where the state diverges."""
    with torch.no_grad():
        h = step(step.start(1).to(frames), frames[:1])
    number = min(settings.number, h.shape[1])
    generator = torch.Generator().manual_seed(0)
    random = torch.randn(h.shape[1], number, dtype=torch.float64, generator=generator).to(h)
    differences = torch.linalg.qr(random)[0]
    orbit = Orbit.at(step, h, group) if step.has_space else None
    for time in range(1, context + settings.rollout):
        frame = frames[time : time + 1] if time < context else None

        def function(states: Tensor, frame: Tensor | None = frame) -> Tensor:
            return step(states, None if frame is None else frame.expand(len(states), -1, -1, -1))

        rows = differences.T if orbit is None else torch.cat([differences.T, orbit.frame.T])
        grown = pushed(function, h.expand(len(rows), -1), rows).T
        with torch.no_grad():
            h = function(h)
        if not bool(torch.isfinite(grown).all() and torch.isfinite(h).all()):
            return
        differences, triangle = torch.linalg.qr(grown[:, :number])
        measured = {"growth": _logs(triangle), "size": torch.linalg.vector_norm(h)}
        if orbit is not None:
            orbit, of_orbit = orbit.carried(Orbit.at(step, h, group), grown[:, number:])
            measured |= of_orbit
        yield measured


class Orbit:
    """The tangent of the orbit at one state.

    Attributes
    ----------
    tangents : Tensor (unit, component)
        E.
    basis : Tensor (unit, tangent)
        Orthonormal, of their span.
    frame : Tensor (unit, tangent)
        W: the same span, turned to where earlier vectors were carried.
    """

    def __init__(self, tangents: Tensor, basis: Tensor, frame: Tensor) -> None:
        self.tangents, self.basis, self.frame = tangents, basis, frame

    @classmethod
    def at(cls, step: OneStep, h: Tensor, group: FlowGroup) -> Orbit:
        """That of a state (1, unit)."""
        tangents = step.tangents(h, group).T
        basis, lengths, _ = torch.linalg.svd(tangents, full_matrices=False)
        basis = basis[:, lengths > NO_TANGENT * torch.linalg.vector_norm(h)]
        return cls(tangents, basis, basis)

    def carried(self, later: Orbit, grown: Tensor) -> tuple[Orbit, dict[str, Tensor]]:
        """The orbit one frame later, and what is measured on the way to it: nothing where its dimension is 0,
        or is another one than before.

        Parameters
        ----------
        later : Orbit
            At the next state.
        grown : Tensor (unit, tangent)
            The Jacobian times ``frame``.
        """
        if later.basis.shape[1] != self.basis.shape[1] or not self.basis.shape[1]:
            return later, {}
        within = later.basis.T @ grown
        turned, triangle = torch.linalg.qr(within)
        by_law = later.tangents @ (torch.linalg.pinv(self.tangents) @ self.frame)
        _, lawful = torch.linalg.qr(later.basis.T @ by_law)
        outside = torch.linalg.matrix_norm(grown - later.basis @ within)
        leak = outside / torch.linalg.matrix_norm(grown).clamp(min=SMALLEST)
        measured = {"orbit_growth": _logs(triangle), "orbit_lawful": _logs(lawful), "orbit_leak": leak}
        return Orbit(later.tangents, later.basis, later.basis @ turned), measured


def _logs(triangle: Tensor) -> Tensor:
    """Log of the diagonal of R, at least that of `SMALLEST`."""
    return triangle.diagonal().abs().clamp(min=SMALLEST).log()


def _packed(values: dict[str, np.ndarray], times: np.ndarray) -> xr.Dataset:
    """What was measured as variables of a recording."""
    each = (f"{PREFIX}_trial", f"{PREFIX}_time")
    last = {"growth": "number", "orbit_growth": "tangent", "orbit_lawful": "tangent"}
    long_names = {
        "growth": ("growth of a difference", "1/frame"),
        "orbit_growth": ("growth along the orbit", "1/frame"),
        "orbit_lawful": ("growth along the orbit if the law held", "1/frame"),
        "orbit_leak": ("share that leaves the tangent of the orbit", "1"),
        "size": ("norm of the state", "1"),
    }
    variables = {}
    for name, array in values.items():
        dims = (*each, f"{PREFIX}_{last[name]}") if name in last else each
        long_name, units = long_names[name]
        variables[f"{PREFIX}_{name}"] = (dims, array, {"long_name": long_name, "units": units})
    coords = {
        each[0]: (each[0], np.arange(len(values["size"])), {"long_name": "trial"}),
        each[1]: (each[1], times, {"units": "frame", "long_name": "frame taken in"}),
    }
    return xr.Dataset(variables, coords)
