r"""States of a probe in co-moving coordinates: what happens at a pixel once motion along a flow is undone.

    psi_{-t}(d) . h_t[psi(u) f] (x),        d, the *roll*, a velocity

The values of all (velocity, channel) pairs at a pixel are its *features*. Frame 0, where nothing has moved
yet, is left out. A state without space is one pixel, and stays where it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.files import coordinates
from flowsim.flows.flow import Flow, transport
from flowsim.flows.group import Velocity
from flowsim.measures.recorded import TrialByTrial, in_float64

if TYPE_CHECKING:
    from torch import Tensor

HERE = (0, 0)
LAGS = [HERE, *((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != HERE)]
"""From a pixel to itself and its eight neighbours."""


class States:
    """The states of a recording as features of pixels, one trial and flow at a time.

    Parameters
    ----------
    recording : Dataset
        With ``state`` as in `flowsim.files.netcdf`; flow 0 is the reference.
    features : int
        Where there are more (velocity, channel) pairs, channels are drawn at random, and used with all their
        velocities.
    pixels : int
        Where there are more pixels, so many are drawn at random.
    seed : int
        Of both draws.

    Attributes
    ----------
    flows : list of Flow
        The reference first.
    times : list of float
        Of the frames used, in frames.
    trials, features, features_recorded : int
        How many there are; ``features`` are those used.
    pixels : Tensor (pixel)
        Indices of the pixels used.
    channel_share : float
        Share of the channels that are used.
    rolls : list of velocity
        Candidates for the roll: 0, and for states in space the velocities of the flows.
    spatial, oriented : bool
        Whether the state has pixels, and orientations.

    Raises
    ------
    InputError
        If there is no state, or no flow besides the reference.
    """

    def __init__(self, recording: xr.Dataset, features: int, pixels: int, seed: int) -> None:
        import torch

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
        self.times: list[float] = state.time.values.tolist()
        self.trials = state.sizes["trial"]
        self.spatial = state.dims != coordinates.UNITS
        self.oriented = "orientation" in state.dims

        channel = "channel" if self.spatial else "unit"
        recorded_channels = state.sizes[channel]
        features_per_channel = state.sizes.get("velocity", 1) * state.sizes.get("orientation", 1)
        self.features_recorded = recorded_channels * features_per_channel
        if self.features_recorded > features:
            chosen = rng.permutation(recorded_channels)[: max(1, features // features_per_channel)]
            state = state.isel({channel: np.sort(chosen)})
        self.channel_share = state.sizes[channel] / recorded_channels
        self.features = state.sizes[channel] * features_per_channel

        area = state.sizes["y"] * state.sizes["x"] if self.spatial else 1
        self.pixels = torch.from_numpy(np.sort(rng.permutation(area)[:pixels]))
        self.state = TrialByTrial(state)

        still = tuple(0 for _ in self.flows[0].velocity)
        self.rolls: list[Velocity] = [still]
        if self.spatial:
            self.rolls += dict.fromkeys(flow.velocity for flow in self.flows if flow.velocity != still)

    def activity(self, trial: int, flow: int) -> Tensor:
        """State (time, velocity, channel, ..., y, x) of a trial under a flow, in float64; a unit without
        space is a channel of one pixel.

        Raises
        ------
        InputError
            If it contains NaN or infinity.
        """
        import torch

        values = torch.from_numpy(in_float64(self.state.read(flow, trial)))
        return values if self.spatial else values[:, None, :, None, None]

    def moved_back(self, activity: Tensor, roll: Velocity) -> Tensor:
        """Activity (time, ..., y, x) whose frame t is moved by -t ``roll``."""
        if not any(roll):
            return activity
        flow = Flow(self.flows[0].group, roll)
        act = flow.act_oriented if self.oriented and activity.ndim > 3 else flow.act
        return transport(act, activity[None], [-time for time in self.times])[0]

    def rows(self, activity: Tensor) -> np.ndarray:
        """Features (time * pixel, feature) of the chosen pixels, from activity (time, ..., y, x)."""
        height, width = activity.shape[-2:]
        flat = activity.reshape(len(activity), -1, height * width)[..., self.pixels]
        return flat.transpose(1, 2).flatten(0, 1).numpy()

    def rows_with_neighbours(self, activity: Tensor, basis: np.ndarray) -> np.ndarray:
        """Components (time * pixel, lag * component) of the chosen pixels and of their neighbours.

        Parameters
        ----------
        activity : Tensor (time, ..., y, x)
        basis : array (feature, component)

        Returns
        -------
        array
            Lags in the order of `LAGS`, so that each pixel's own components come first; without space there
            are no others.
        """
        import torch

        components = torch.einsum("tfyx,fc->tcyx", activity.flatten(1, -3), torch.from_numpy(basis))
        lags = LAGS if self.spatial else [HERE]
        return np.concatenate([self.rows(torch.roll(components, lag, (-2, -1))) for lag in lags], 1)


def channel_partners(recording: xr.Dataset, states: States) -> tuple[np.ndarray, np.ndarray]:
    """Velocity channels of the grid that have a partner under each flow, and their partners.

    Returns
    -------
    has : array of bool (flow, velocity)
        Without the reference. Units without space count as one velocity channel, which has no partner.
    partner : array of int (flow, velocity)
        The index of the partner, 0 where there is none.
    """
    moving = states.flows[1:]
    if not states.spatial:
        none = np.zeros((len(moving), 1), bool)
        return none, none.astype(int)
    grid = coordinates.grid(recording)
    has = np.zeros((len(moving), len(grid)), bool)
    partner = np.zeros((len(moving), len(grid)), int)
    for i, flow in enumerate(moving):
        shift = grid.velocity_of(flow)
        if shift is None:
            continue
        for channel, index in enumerate(grid.partner(shift)):
            if index is not None:
                has[i, channel] = True
                partner[i, channel] = index
    return has, partner
