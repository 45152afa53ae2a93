"""Show frames to a network and collect its activity, frame by frame.

Both kinds of networks are watched here: a flowsim network, whose state, predictions and logits are known by
name, and any torch module, whose modules are named as `flowsim.recording.sites.Site`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from flowsim.errors import InputError
from flowsim.network import Network, State, Step
from flowsim.recording.calls import Calls
from flowsim.recording.sites import Site, hooked, real_values

NETWORK_SITES = ("state", "prediction", "logits")
"""Sites that a flowsim network has besides its modules."""
Feed = Callable[[Any, Tensor, int], Any]
"""How frames go in: called with the network, the frames that it sees (trial, time, channel, y, x), and how
many more it is to predict by itself.
"""
Thin = Callable[[Tensor], Tensor]
"""Reduces activity (trial, ..., *axes of `site_axes`), and copies it to the CPU."""


def site_axes(network: nn.Module, name: str, site: Site | None) -> tuple[str, ...]:
    """Axes of a site in a recording, beyond trial and time."""
    if name == "prediction":
        return ("y", "x")
    if site is None and name == "logits":
        return ("class",)
    if site is None:
        assert isinstance(network, Network)
        start = network.top(network.start(1))
        if start.shape[-2:] != network.frame_shape:
            return ("unit",)
        orientation = ("orientation",) if start.ndim == 6 else ()
        return ("velocity", "channel", *orientation, "y", "x")
    if name == "state" and {"y", "x"} <= set(site.activity_axes):
        return ("velocity", "channel", "y", "x")
    if name == "logits" and site.activity_axes == ("unit",):
        return ("class",)
    return site.activity_axes


@torch.no_grad()
def watch(
    network: nn.Module,
    frames: Tensor,
    horizon: int,
    sites: Mapping[str, Site | None],
    times: Sequence[int],
    thin: Mapping[str, Thin],
    feed: Feed | None = None,
    actions: Tensor | None = None,
    carried: dict[int, State | None] | None = None,
    resumed: tuple[int, State] | None = None,
) -> dict[str, Tensor]:
    """Activity at each site while the network sees ``frames`` and then goes on for ``horizon`` frames.

    Parameters
    ----------
    network : Network or torch.nn.Module
    frames : Tensor (trial, time, channel, y, x)
    horizon : int
    sites : mapping of name to Site
        None for one of the `NETWORK_SITES`.
    times : sequence of int
        The frames whose activity is returned.
    thin : mapping of name to callable
        How the activity at each site is reduced.
    feed : callable, optional
        Needed but for a flowsim network.
    actions : Tensor (trial, time, component), optional
        See `flowsim.network.Network.steps`.
    carried : dict, optional
        Takes what a flowsim network carries after each of the frames that are its keys.
    resumed : frame and what is carried after it, optional
        A flowsim network goes on from there instead of from the start; NaN before.

    Returns
    -------
    mapping of name to Tensor (trial, time, ...)

    Raises
    ------
    InputError
        If outputs of a module do not fit its site or the frames.
    """
    end = frames.shape[1] + horizon
    module_sites = {name: site for name, site in sites.items() if site is not None}
    network_sites = [name for name in sites if name not in module_sites]
    outputs = {
        name: ModuleOutputs(name, site, frames, times, thin[name]) for name, site in module_sites.items()
    }
    if resumed is not None:
        for output in outputs.values():
            output.next_frame = resumed[0] + 1
    collected: dict[str, list[Tensor]] = {name: [] for name in network_sites}
    receive = {name: output.receive for name, output in outputs.items()}
    found = set(feed.outputs) if isinstance(feed, Calls) else set()
    heard = {name: site for name, site in module_sites.items() if name not in found}
    with hooked(network, heard, receive):
        if isinstance(network, Network):
            predict_from = first_predicted(sites, end)
            steps = network.steps(frames, horizon, predict_from, actions)
            if resumed is not None:
                steps = _after(network, *resumed, frames, horizon, predict_from, actions)
            for step in steps:
                if module_sites:
                    _ = step.carried  # computed only on demand, and hooks hear only what is computed
                if carried is not None and step.time in carried:
                    carried[step.time] = step.carried
                if step.time in times:
                    for name in network_sites:
                        collected[name].append(thin[name](_network_activity(network, step, name, frames)))
        elif isinstance(feed, Calls):
            feed(network, frames, horizon, {name: receive[name] for name in found})
        else:
            assert feed is not None
            feed(network, frames, horizon)
    activity = {name: _from_the_end(values, len(times)) for name, values in collected.items()}
    return activity | {name: output.activity(end) for name, output in outputs.items()}


def first_predicted(sites: Mapping[str, Site | None], end: int) -> int:
    """The first frame that a flowsim network predicts, if this is recorded up to frame ``end``."""
    return 1 if "prediction" in sites or any(site is not None for site in sites.values()) else end


def _after(
    network: Network,
    time: int,
    state: State,
    frames: Tensor,
    horizon: int,
    predict_from: int,
    actions: Tensor | None,
) -> Iterator[Step]:
    """The steps after a frame, from what is carried after it; before them, what is carried as a step."""
    yield Step(time, None, lambda: state, network.top)
    times = range(time + 1, frames.shape[1] + horizon)
    yield from network.resume(state, times, frames, predict_from, actions)


def _from_the_end(values: Sequence[Tensor], times: int) -> Tensor:
    """The last values (trial, ...) of so many times along time, NaN before the first of them."""
    last = torch.stack(list(values), 1)
    before = last.new_full((len(last), times - len(values), *last.shape[2:]), torch.nan)
    return torch.cat([before, last], 1) if len(values) < times else last


def _network_activity(network: Network, step: Step, name: str, frames: Tensor) -> Tensor:
    """Activity (trial, *axes) at one of the `NETWORK_SITES` after a step; NaN for a prediction not made."""
    if name == "prediction":
        blank = frames.new_full(frames[:, 0, 0].shape, torch.nan)
        return blank if step.prediction is None else real_values(step.prediction[:, 0], "site prediction")
    if name == "logits":
        return real_values(network.logits(step.carried), "site logits")
    state = real_values(step.state, "site state")
    return state if state.shape[-2:] == network.frame_shape else state.flatten(1)


class ModuleOutputs:
    """The outputs of the module of one site, reduced as they come.

    Parameters
    ----------
    name : str
        Of the site.
    site : Site
    frames : Tensor (trial, time, channel, y, x)
        That the network sees.
    times : sequence of int
        The frames whose activity is collected.
    thin : callable
    """

    def __init__(self, name: str, site: Site, frames: Tensor, times: Sequence[int], thin: Thin) -> None:
        self.name = name
        self.site = site
        self.trials = len(frames)
        self.frame_shape = (frames.shape[-2], frames.shape[-1])
        self.times = times
        self.thin = thin
        self.next_frame = site.start
        self.collected: list[Tensor] = []

    def receive(self, output: Any) -> None:
        """Take one output of the module: of one frame, or of several along its time axis.

        Raises
        ------
        InputError
            If it does not have the axes of the site, or another number of trials than the frames.
        """
        values = self.site.ordered(output, self.name)
        if len(values) != self.trials:
            raise InputError(
                f"site {self.name}: expected {self.trials} trials; {self.site.module!r} gives {len(values)} "
                "along its axis trial"
            )
        first = self.next_frame
        self.next_frame += values.shape[1]
        recorded = [time - first for time in self.times if first <= time < self.next_frame]
        if recorded:
            shaped = with_site_axes(self.name, values, self.site, self.frame_shape)
            self.collected.append(self.thin(shaped[:, recorded]))

    def activity(self, end: int) -> Tensor:
        """The collected activity (trial, time, ...), NaN before the site's first frame.

        Raises
        ------
        InputError
            If the outputs do not go on to frame ``end`` - 1, or none of them is at one of the times.
        """
        for_every_frame = self.name == "prediction" and self.next_frame == end + self.site.start
        if self.next_frame != end and not for_every_frame:
            raise self._wrong_count(end)
        if not self.collected:
            raise InputError(
                f"site {self.name} starts at frame {self.site.start}, after the last that is recorded; use a "
                "smaller every"
            )
        values = torch.cat(self.collected, 1)
        missing = len(self.times) - values.shape[1]
        before = values.new_full((len(values), missing, *values.shape[2:]), torch.nan)
        return torch.cat([before, values], 1)

    def _wrong_count(self, end: int) -> InputError:
        count = self.next_frame - self.site.start
        hint = ""
        if not count:
            hint = " (its forward may have been called, but hooks hear calls of the module alone)"
        return InputError(
            f"site {self.name}: expected an entry for each frame from {self.site.start} to {end - 1}; "
            f"{self.site.module!r} gave {count}{hint}. Name a module that is called once for every frame, of "
            "a network that goes on to the last frame, and the frame at which it starts"
        )


def with_site_axes(name: str, output: Tensor, site: Site, frame_shape: tuple[int, int]) -> Tensor:
    """An output (trial, time, *activity_axes of the site) with the axes of `site_axes`.

    Raises
    ------
    InputError
        If a prediction does not have the size of a frame.
    """
    leading = output.ndim - len(site.activity_axes)
    if name == "prediction":
        size = tuple(output.shape[leading:])
        if output.shape[leading:].numel() != frame_shape[0] * frame_shape[1]:
            raise InputError(
                f"site prediction: expected {frame_shape[0]}x{frame_shape[1]} px; "
                f"{site.module!r} gives {size}"
            )
        return output.reshape(*output.shape[:leading], *frame_shape)
    if name == "state" and {"y", "x"} <= set(site.activity_axes):
        if "channel" not in site.activity_axes:
            output = output.unsqueeze(-3)
        if "velocity" not in site.activity_axes:
            output = output.unsqueeze(leading)  # the one velocity, 0
    return output
