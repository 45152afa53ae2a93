r"""States of a probe in co-moving coordinates: what happens at a pixel, once motion along a flow is taken
back.

    psi_{-t}(d) . h_t[psi(u) f] (x),        d, the *roll*, a velocity

The values of all (velocity, channel) pairs at a pixel are its *features*. Frame 0, where nothing has moved
yet, is left out. A state without space is one pixel, and stays where it is.
"""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from flowsim.errors import InputError
from flowsim.files import coordinates
from flowsim.flows.flow import Flow, transport
from flowsim.flows.group import Velocity

LAGS = [(0, 0), *((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x)]
"""From a pixel to itself and its neighbours."""
IN_MEMORY = 2**29
"""States of fewer bytes are read once, others whenever they are needed."""


class States:
    """The states of a recording as features of pixels, one trial and flow at a time.

    Parameters
    ----------
    recording : Dataset
        With ``state`` as in `flowsim.files.netcdf`; flow 0 is the reference.
    features : int
        Of more (velocity, channel) pairs, a random part of the channels is taken, with all their velocities.
    pixels : int
        Of more, a random part.
    seed : int

    Attributes
    ----------
    kept : float
        Share of the channels that are used.

    Raises
    ------
    InputError
        If there is no state, or no flow besides the reference.
    """

    def __init__(self, recording: xr.Dataset, features: int, pixels: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        state = coordinates.variable(
            recording, "state", coordinates.STATE, coordinates.ORIENTED, coordinates.UNITS
        )
        self.flows = coordinates.flows(recording)
        if len(self.flows) < 2:
            raise InputError(
                "expected flows besides the reference; the recording has 1 flow. Make a probe with more"
            )
        if state.sizes["time"] > 1:
            state = state.isel(time=(recording.time > 0).values)
        self.times = [-t for t in state.time.values.tolist()]
        self.trials, self.spatial = state.sizes["trial"], state.dims != coordinates.UNITS
        self.oriented = "orientation" in state.dims
        channel = "channel" if self.spatial else "unit"
        other = state.sizes.get("velocity", 1) * state.sizes.get("orientation", 1)
        recorded = state.sizes[channel]
        if recorded * other > features:
            drawn = rng.permutation(state.sizes[channel])[: max(1, features // other)]
            state = state.isel({channel: np.sort(drawn)})
        self.kept = state.sizes[channel] / recorded
        self.features = state.sizes[channel] * other
        area = state.sizes["y"] * state.sizes["x"] if self.spatial else 1
        self.pixels = torch.from_numpy(np.sort(rng.permutation(area)[:pixels]))
        self.state = state.load() if state.nbytes < IN_MEMORY else state
        still = tuple(0 for _ in self.flows[0].velocity)
        self.rolls: list[Velocity] = [still]
        if self.spatial:
            self.rolls += dict.fromkeys(flow.velocity for flow in self.flows if flow.velocity != still)

    def of(self, trial: int, flow: int) -> Tensor:
        """State (time, velocity, channel, ..., y, x) in float64; a unit is a channel of one pixel.

        Raises
        ------
        InputError
            If it holds values that are no numbers.
        """
        values = torch.from_numpy(np.asarray(self.state[flow, trial].values, np.float64))
        if not values.isfinite().all():
            raise InputError("the state contains NaN or infinity: the network diverged; train it again")
        return values if self.spatial else values[:, None, :, None, None]

    def back(self, state: Tensor, roll: Velocity) -> Tensor:
        """(time, ..., y, x), moved back by t ``roll``."""
        if not any(roll):
            return state
        flow = Flow(self.flows[0].group, roll)
        act = flow.act_oriented if self.oriented and state.ndim > 3 else flow.act
        return transport(act, state[None], self.times)[0]

    def rows(self, state: Tensor) -> np.ndarray:
        """Features of the chosen pixels, (time * pixel, feature)."""
        flat = state.reshape(len(state), -1, state.shape[-2] * state.shape[-1])[..., self.pixels]
        return flat.transpose(1, 2).flatten(0, 1).numpy()

    def around(self, state: Tensor, basis: np.ndarray) -> np.ndarray:
        """Components of the chosen pixels and of their neighbours, (time * pixel, lag * component)."""
        flat = torch.einsum("tfyx,fc->tcyx", state.flatten(1, -3), torch.from_numpy(basis))
        rows = [self.rows(torch.roll(flat, lag, (-2, -1))) for lag in (LAGS if self.spatial else LAGS[:1])]
        return np.concatenate(rows, 1)
