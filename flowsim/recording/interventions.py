r"""Replace what a network carries after one frame, and let it go on: what does it use its state for?

An intervention says after which frame, t0, and by what: by a law's action T_u, by what is carried under
another flow or in another trial (an interchange), by values of another recording, by zeros or by noise. A
flowsim network goes on from what replaces all that it carries. In any other network the output of a module is
replaced in the frame t0, by a hook that is always removed; that is all that it carries where the output is.
Where the output is that of the whole network, its prediction of the next frame was made with it: show it that
frame too (``at`` before the last frame of the context), or it goes on from a prediction of the old state.

If a law L holds of a network, then of what it does after an intervention, too. With T_u(t) the action of L on
the state after frame t, and F a step on the network's own predictions y,

    F T_u(t) = T_u(t+1) F,    so that    y_t[T_u(t0) h] = psi_t(u) y_t[h]    for all frames t > t0:

the flow goes on, though nobody shows it. While frames f_t are still shown this needs psi_t(u) f_t (``sees``).

Sources: Geiger et al. (2021), Causal abstractions of neural networks (interchange); Keller (2025),
Flow Equivariant Recurrent Neural Networks (the law).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from flowsim import specification
from flowsim.errors import InputError
from flowsim.files import coordinates
from flowsim.flows.flow import Flow
from flowsim.flows.law import Law
from flowsim.flows.translation import Translation
from flowsim.flows.velocity_grid import VelocityGrid
from flowsim.network import Network, State, acted
from flowsim.recording.calls import Calls, Output
from flowsim.recording.open import open_recording
from flowsim.recording.settings import InterventionBlock
from flowsim.recording.sites import Site

WAYS = ("law", "flow", "trial", "recording", "zeros", "noise")
"""By what the carried may be replaced, exactly one in an intervention."""
PREFIX = "intervened_"
"""How names of activity under interventions begin in a recording."""
Asked = Mapping[str, InterventionBlock | Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class Intervention:
    """One intervention, checked against what is recorded.

    Attributes
    ----------
    name : str
    block : InterventionBlock
    at : int
        The frame t0.
    flows : sequence of Flow
        Those that are recorded, in order.
    trials : int
        How many are recorded.
    frame_shape : (int, int)
        Size (y, x) of a frame.
    other : Dataset, optional
        The recording that values come from.
    """

    name: str
    block: InterventionBlock
    at: int
    flows: Sequence[Flow]
    trials: int
    frame_shape: tuple[int, int]
    other: xr.Dataset | None = None

    @property
    def way(self) -> str:
        """Which of the `WAYS`."""
        return next(way for way in WAYS if getattr(self.block, way) not in (None, False))

    @property
    def law(self) -> Law:
        """The law that acts."""
        return Law.parse(self.block.part)

    @property
    def flow(self) -> Flow:
        """The flow of the law."""
        assert self.block.law is not None
        return Flow(self.flows[0].group, tuple(self.block.law))

    @property
    def is_interchange(self) -> bool:
        """Whether what replaces the carried is carried in another run."""
        return self.way in ("flow", "trial")

    @property
    def is_whole(self) -> bool:
        """Whether everything that is carried is replaced."""
        return self.block.sites is self.block.channels is self.block.velocities is None

    def donor(self, flow: int, trials: slice) -> tuple[int, np.ndarray]:
        """The flow and the trials of the other run, for a flow and some trials of this one."""
        numbers = np.arange(trials.start, trials.stop)
        if self.way == "flow":
            return self._number(self.block.flow), numbers
        return flow, (numbers + (self.block.trial or 0)) % self.trials

    def shown(self, flow: int) -> int:
        """The flow whose frames are shown after the intervention."""
        return flow if self.block.sees is None else self._number(self.block.sees)

    def _number(self, velocity: Sequence[float] | None) -> int:
        velocities = [flow.velocity for flow in self.flows]
        return velocities.index(self.flows[0].group.velocity(tuple(velocity or ())))

    def replaced(
        self, network: Network, carried: State, donor: State | None, flow: int, trials: slice
    ) -> State:
        """What replaces all that a flowsim network carries after frame t0.

        Parameters
        ----------
        network : Network
        carried, donor : tuple of Tensor
            What it carries, and what it carries in the other run of an interchange.
        flow : int
        trials : slice
            Of what is carried.
        """
        if donor is not None and self.is_whole:
            return donor
        if self.way == "law":
            return network.acted(carried, self.law, self.flow, self.at)
        parts = network.parts(carried)
        names = self.names(list(parts))
        donors = {} if donor is None else network.parts(donor)
        rng = self.noise_of(trials)
        new = {
            name: self.mixed(part, donors.get(name), network.grid, name, flow, trials, rng)
            for name, part in parts.items()
            if name in names
        }
        return network.with_parts(carried, parts | new)

    def names(self, known: Sequence[str]) -> list[str]:
        """Which parts of what a network carries are replaced.

        Raises
        ------
        InputError
            If it has no part of a name.
        """
        everything = ["state"] if self.way == "recording" else list(known)
        names = everything if self.block.sites is None else self.block.sites
        unknown = [name for name in names if name not in known]
        if unknown:
            raise self.wrong(f"expected sites out of {', '.join(known)}; got {', '.join(unknown)}")
        return names

    def mixed(
        self,
        part: Tensor,
        donor: Tensor | None,
        grid: VelocityGrid,
        name: str,
        flow: int,
        trials: slice,
        rng: Sequence[np.random.Generator],
    ) -> Tensor:
        """A part (trial, velocity, channel, [orientation,] y, x) with what is chosen of it replaced.

        Parameters
        ----------
        part : Tensor
        donor : Tensor, optional
            The same part in the other run.
        grid : VelocityGrid
            Of the network.
        name : str
            Of the part.
        flow : int
        trials : slice
        rng : sequence of generators
            For each trial, of the noise.
        """
        if self.way == "law":
            if part.shape[-2:] != self.frame_shape:
                raise self.wrong(
                    f"expected {name} on the frame's {self.frame_shape[0]}x{self.frame_shape[1]} px, which a "
                    f"law moves; it is {part.shape[-2]}x{part.shape[-1]}"
                )
            new = acted(part, self.law, self.flow, grid, self.at)
        elif self.is_interchange:
            assert donor is not None
            new = donor
        elif self.way == "zeros":
            new = torch.zeros_like(part)
        elif self.way == "noise":
            drawn = np.stack([generator.standard_normal(part.shape[1:]) for generator in rng])
            new = torch.from_numpy(drawn * (self.block.noise or 0)).to(part)
        else:
            new = self._from_recording(part, name, flow, trials)
        return torch.where(self._chosen(part, grid), new, part)

    def _from_recording(self, part: Tensor, name: str, flow: int, trials: slice) -> Tensor:
        assert self.other is not None
        values = coordinates.variable(self.other, name)
        velocities = [one.velocity for one in coordinates.flows(self.other)]
        at = self.other["time"].values.tolist().index(self.at)
        chosen = values.isel(flow=velocities.index(self.flows[flow].velocity), trial=trials, time=at)
        new = torch.from_numpy(np.array(chosen.values))
        if new.ndim == 2:
            new = new[:, None, :, None, None]
        if new.shape != part.shape:
            raise self.wrong(
                f"expected {name} of {tuple(part.shape[1:])} in {self.block.recording}; it has "
                f"{tuple(new.shape[1:])}. Record it whole, of a network of the same size"
            )
        return new.to(part)

    def _chosen(self, part: Tensor, grid: VelocityGrid) -> Tensor:
        """Where a part is replaced, to be broadcast."""
        chosen = torch.ones(part.shape[1:3], dtype=torch.bool)
        if self.block.channels is not None:
            if max(self.block.channels, default=0) >= part.shape[2]:
                raise self.wrong(f"expected channels below {part.shape[2]}; got {self.block.channels}")
            of_channel = torch.zeros(part.shape[2], dtype=torch.bool)
            of_channel[self.block.channels] = True
            chosen &= of_channel
        if self.block.velocities is not None:
            wanted = [grid.group.velocity(tuple(v)) for v in self.block.velocities]
            unknown = [v for v in wanted if v not in grid.velocities]
            if unknown or part.shape[1] != len(grid):
                raise self.wrong(
                    f"expected velocities out of the network's {', '.join(map(str, grid.velocities))}; got "
                    f"{', '.join(map(str, unknown or wanted))}"
                )
            of_velocity = torch.zeros(len(grid), dtype=torch.bool)
            of_velocity[[grid.velocities.index(v) for v in wanted]] = True
            chosen &= of_velocity[:, None]
        return chosen.view(*chosen.shape, *[1] * (part.ndim - 3)).to(part.device)

    def noise_of(self, trials: slice) -> list[np.random.Generator]:
        """A generator for each trial."""
        numbers = range(trials.start, trials.stop)
        return [np.random.default_rng([self.block.seed, number]) for number in numbers]

    def joined(
        self, before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], times: Sequence[int]
    ) -> dict[str, np.ndarray]:
        """Activity (trial, time, ...) of the run with the intervention: as without it up to frame t0.

        A prediction of frame t0 was made before, and is as it was; the state after frame t0 is replaced.
        """
        unchanged = np.array([time < self.at for time in times])
        joined = {}
        for name, values in before.items():
            same = unchanged | (np.array(times) == self.at) if name == "prediction" else unchanged
            joined[name] = values.copy()
            joined[name][:, ~same] = after[name][:, ~same]
        return joined

    def described(self, grid: VelocityGrid, lag: int) -> dict[str, Any]:
        """What was done, for the attributes of a recording; ``lag`` predictions after frame t0 had been made
        before.
        """
        said = self.block.model_dump(exclude_defaults=True) | {"at": self.at}
        said |= {"prediction_lag": lag} if lag else {}
        if self.way == "law":
            said |= {"part": self.block.part, "coverage": self.law.coverage(self.flow, grid)}
        return said

    def wrong(self, text: str) -> InputError:
        """An error about this intervention."""
        return InputError(f"intervene.{self.name}: {text}")


def planned(
    asked: Asked | None,
    *,
    flows: Sequence[Flow],
    trials: int,
    times: Sequence[int],
    context: int,
    frame_shape: tuple[int, int],
) -> tuple[Intervention, ...]:
    """Interventions by name, checked against what is recorded.

    Parameters
    ----------
    asked : mapping of name to InterventionBlock, or mapping of its fields
    flows : sequence of Flow
        Those that are recorded.
    trials : int
        How many are recorded.
    times : sequence of int
        The frames that are recorded.
    context : int
        How many frames the network is shown.
    frame_shape : (int, int)
        Size (y, x) of a frame.

    Raises
    ------
    InputError
        If one makes no sense, in words that begin with its name.
    """
    found = []
    for name, block in _blocks(asked):
        at = context - 1 if block.at is None else block.at
        one = Intervention(name, block, at, flows, trials, frame_shape)
        _check_way(one)
        _check_time(one, times)
        _check_velocities(one)
        if one.way == "recording":
            one = replace(one, other=_other_recording(one))
        found.append(one)
    return tuple(found)


def recordings_read(asked: Asked | None) -> list[Path]:
    """The recordings that values come from."""
    return [Path(block.recording) for _, block in _blocks(asked) if block.recording is not None]


def _blocks(asked: Asked | None) -> Iterator[tuple[str, InterventionBlock]]:
    """Names and settings of interventions."""
    for name, given in (asked or {}).items():
        spec = given.model_dump() if isinstance(given, InterventionBlock) else given
        yield name, specification.validate(InterventionBlock, spec, f"intervene.{name}")


def _check_way(one: Intervention) -> None:
    """Exactly one way, and nothing that it does not take."""
    block = one.block
    ways = [way for way in WAYS if getattr(block, way) not in (None, False)]
    if len(ways) != 1:
        raise one.wrong(f"expected one of {', '.join(WAYS)}; got {' and '.join(ways) or 'none'}")
    if block.part != "transport+shift" and block.law is None:
        raise one.wrong(f"part is of a law; got {block.part!r} without one")
    if block.law is not None and not (block.channels is block.velocities is None):
        raise one.wrong("a law acts on all channels and velocities; leave out channels and velocities")
    if block.trial is not None and block.trial % one.trials == 0:
        raise one.wrong(
            f"trial {block.trial} of {one.trials} recorded trials is the trial itself; expected another"
        )


def _check_time(one: Intervention, times: Sequence[int]) -> None:
    """The network goes on after frame t0, and that is recorded."""
    if one.at >= max(times):
        raise one.wrong(
            f"expected a frame before the last that is recorded, {max(times)}, for the network to go on; got "
            f"at {one.at}. Record with a shorter context, or give `at`"
        )


def _check_velocities(one: Intervention) -> None:
    """Velocities are of the group of the flows, and those of flows are recorded."""
    group = one.flows[0].group
    recorded = [flow.velocity for flow in one.flows]
    for key in ("law", "flow", "sees"):
        given = getattr(one.block, key)
        if given is None:
            continue
        try:
            velocity = group.velocity(tuple(given))
        except InputError as error:
            raise one.wrong(f"{key}: {error}") from None
        if key != "law" and velocity not in recorded:
            raise one.wrong(
                f"{key}: expected a recorded flow, of velocity {', '.join(map(str, recorded))}; got "
                f"{velocity}"
            )


def _other_recording(one: Intervention) -> xr.Dataset:
    """The recording that values come from."""
    assert one.block.recording is not None
    other = open_recording(one.block.recording)
    velocities = [flow.velocity for flow in coordinates.flows(other)]
    missing = [flow.velocity for flow in one.flows if flow.velocity not in velocities]
    if one.at not in other["time"] or missing or other.sizes["trial"] < one.trials:
        raise one.wrong(
            f"expected {one.block.recording} to hold frame {one.at} of {one.trials} trials under all flows; "
            f"it has {other.sizes['trial']} trials and {other.sizes['time']} frames, and lacks "
            f"{len(missing)} flows"
        )
    return other


def attributes(
    interventions: Sequence[Intervention], network: nn.Module, sites: Mapping[str, Site | None], feed: Any
) -> dict[str, str]:
    """What a recording says about its interventions."""
    said = {}
    for one in interventions:
        lag = 0
        if not isinstance(network, Network):
            places = sites_replaced(one, network, sites, feed).values()
            lag = int(any(isinstance(place, Output) or not place.module for place in places))
        said[one.name] = one.described(grid_of(network), lag)
    return {"interventions": json.dumps(said)} if said else {}


def sites_replaced(
    one: Intervention, network: nn.Module, sites: Mapping[str, Site | None], feed: Any
) -> dict[str, Site | Output]:
    """The sites of a network of one's own whose outputs an intervention replaces.

    Raises
    ------
    InputError
        If one is not recorded.
    """
    found = feed.outputs if isinstance(feed, Calls) else {}
    known: dict[str, Any] = {name: found.get(name, site) for name, site in sites.items()}
    names = ["state"] if one.block.sites is None else one.block.sites
    unknown = [name for name in names if known.get(name) is None]
    if unknown:
        raise one.wrong(
            f"expected sites that are recorded, out of {', '.join(known)}; got {', '.join(unknown)}. "
            f"A {type(network).__name__} is not a flowsim network: what is replaced is the output of a module"
        )
    return {name: known[name] for name in names}


def grid_of(network: nn.Module) -> VelocityGrid:
    """The velocities of a network's state; rest alone where it names none."""
    grid = getattr(network, "grid", None)
    return grid if isinstance(grid, VelocityGrid) else VelocityGrid(Translation(), ((0, 0),))
