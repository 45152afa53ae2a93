"""Show frames to a network and collect its activity, frame by frame: of a flowsim network, or of any torch
module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from flowsim.errors import InputError
from flowsim.network import Network, Step
from flowsim.recording.sites import Site, listening, unfitting

OWN = ("state", "prediction", "logits")
"""Sites that a flowsim network has beside its modules."""
Feed = Callable[[Any, Tensor, int], Any]
"""How frames go in: called with the network, the frames that it sees (trial, time, channel, y, x), and how
many more it is to predict by itself.
"""


def plainly(network: nn.Module, frames: Tensor, horizon: int) -> Any:
    """Call the network with all frames, as vectors (trial, time, unit): as `torch.nn.GRU` with batch_first
    needs.
    """
    if horizon:
        raise InputError(
            "this network is shown frames only as long as there are some; to record what it predicts after the "
            "context, give `feed`, a function (network, frames, horizon) that goes on for so many frames"
        )
    return network(frames.flatten(2))


def place_of(network: nn.Module, name: str, site: Site | None) -> tuple[str, ...]:
    """Axes of a site in a recording beside trial and time."""
    if name == "prediction":
        return ("y", "x")
    if site is None and name == "logits":
        return ("class",)
    if site is None:
        assert isinstance(network, Network)
        start = network.top(network.start(1))
        if start.shape[-2:] != network.frame_shape:
            return ("unit",)
        return ("velocity", "channel", *(("orientation",) if start.ndim == 6 else ()), "y", "x")
    if name == "state" and {"y", "x"} <= set(site.place):
        return ("velocity", "channel", "y", "x")
    if name == "logits" and site.place == ("unit",):
        return ("class",)
    return site.place


@torch.no_grad()
def watch(
    network: nn.Module,
    frames: Tensor,
    horizon: int,
    sites: Mapping[str, Site | None],
    times: Sequence[int],
    keep: Mapping[str, Callable[[Tensor], Tensor]],
    feed: Feed | None = None,
    actions: Tensor | None = None,
) -> dict[str, Tensor]:
    """Activity at each site while the network sees ``frames`` and then goes on for ``horizon`` frames.

    Parameters
    ----------
    frames : Tensor (trial, time, channel, y, x)
    sites : mapping
        None for the network's `OWN`.
    times : sequence of int
        Which frames are kept.
    keep : mapping of callables
        What is kept of an activity (trial, ..., *axes of `place_of`) of each site, on the CPU.

    Returns
    -------
    mapping of Tensor (trial, time, ...)
    """
    end = frames.shape[1] + horizon
    hooked = {name: site for name, site in sites.items() if site is not None}
    own = [name for name in sites if name not in hooked]
    reached = {name: site.start for name, site in hooked.items()}

    def thin(name: str, output: Tensor) -> Tensor | None:
        site, first = hooked[name], reached[name]
        if len(output) != len(frames):
            raise InputError(
                f"site {name}: expected {len(frames)} trials; {site.module!r} gives {len(output)} along its axis trial"
            )
        reached[name] += output.shape[1]
        kept = [time - first for time in times if first <= time < reached[name]]
        return keep[name](shaped(name, output, site, frames)[:, kept]) if kept else None

    collected: dict[str, list[Tensor]] = {name: [] for name in own}
    with listening(network, hooked, thin) as heard:
        if isinstance(network, Network):
            predict_from = 1 if "prediction" in own or hooked else end
            for step in network.steps(frames, horizon, predict_from, actions):
                if hooked:
                    _ = step.carried  # what nobody asks for is not worked out, nor heard
                if step.time in times:
                    for name in own:
                        collected[name].append(keep[name](_own(network, step, name, frames)))
        else:
            (feed or plainly)(network, frames, horizon)
    found = {name: torch.stack(values, 1) for name, values in collected.items()}
    for name, site in hooked.items():
        if reached[name] != end:
            raise unfitting(name, site, reached[name] - site.start, end)
        if not heard[name]:
            raise InputError(
                f"site {name} starts at frame {site.start}, after the last that is recorded; use a smaller every"
            )
        values = torch.cat(heard[name], 1)
        missing = values.new_full((len(values), len(times) - values.shape[1], *values.shape[2:]), torch.nan)
        found[name] = torch.cat([missing, values], 1)
    return found


def _own(network: Network, step: Step, name: str, frames: Tensor) -> Tensor:
    if name == "prediction":
        blank = frames.new_full(frames[:, 0, 0].shape, torch.nan)
        return blank if step.prediction is None else step.prediction[:, 0]
    if name == "logits":
        return network.logits(step.carried)
    state = step.state
    return state if state.shape[-2:] == network.frame_shape else state.flatten(1)


def shaped(name: str, output: Tensor, site: Site, frames: Tensor) -> Tensor:
    """An output (trial, time, *place) with the axes of `place_of`.

    Raises
    ------
    InputError
        If a prediction has not the size of a frame.
    """
    size, leading = tuple(frames.shape[-2:]), output.ndim - len(site.place)
    if name == "prediction":
        pixels = output.shape[leading:].numel()
        if pixels != size[0] * size[1]:
            raise InputError(
                f"site prediction: expected {size[0]}x{size[1]} px; {site.module!r} gives "
                f"{tuple(output.shape[leading:])}"
            )
        return output.reshape(*output.shape[:leading], *size)
    if name == "state" and {"y", "x"} <= set(
        site.place
    ):  # of the one velocity 0, and of one channel if of none
        for _ in range(1 if "channel" in site.place else 2):
            output = output.unsqueeze(leading)
    return output
