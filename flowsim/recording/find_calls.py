"""Find out by trying how frames go into a network, and which of its outputs are its state and its prediction.

A network is called with a few trials and frames, with one trial more, and with one frame more. The axis of an
output that grows with trials is the axis of trials, and so for time, whatever the sizes are.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Collection, Iterator, Sequence
from dataclasses import is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from flowsim.errors import InputError
from flowsim.recording import apart
from flowsim.recording.calls import WAYS, Calls, Carried, Entry, Output, Way

TRIALS, FRAMES = 2, 3
"""How many the network is called with first."""
NAMES = ("state", "prediction", "logits")
"""Sites that can be found."""


def find_calls(network: nn.Module, frames: Tensor, wanted: Collection[str] | None) -> Calls:
    """How the network is called, and the outputs that are ``wanted``.

    Parameters
    ----------
    network : torch.nn.Module
        Copies of it are called, so that no memory is left in it.
    frames : Tensor (trial, time, channel, y, x)
        Some of those that it will be shown.
    wanted : collection of "state", "prediction" and "logits", or None
        The names of sites to find; those that there are if None.

    Raises
    ------
    InputError
        If the network takes frames in none of the `WAYS`, or its outputs could mean several things.
    """
    reasons = []
    without_memory = None
    for calls in _candidates(network):
        try:
            grown = [_output(network, calls, frames, *more) for more in ((0, 0), (1, 0), (0, 1))]
        except InputError:
            raise
        except Exception as error:  # whatever a network raises, it does not take frames in this way
            lines = str(error).splitlines() or [""]
            reasons.append((calls.way, f"{type(error).__name__}: {lines[0]}"))
            continue
        entries = _entries(grown, by_frame="time" not in calls.way.axes)
        in_time = [e for e in entries if e.time is not None or calls.by_frame]
        if in_time and not calls.by_frame and _forgets(network, calls, frames, in_time, grown[0]):
            without_memory = without_memory or (calls, entries, grown)
            reasons.append((calls.way, "what it gives for a frame does not depend on the frames before"))
            continue
        if in_time:
            return _named(network, frames, calls, entries, grown, wanted)
        reasons.append((calls.way, f"it gives {_shapes(grown[0])}, without an axis that grows with time"))
    if without_memory is not None:
        calls, entries, grown = without_memory
        return _named(network, frames, calls, entries, grown, wanted)
    raise _none_fits(network, frames, reasons)


def _forgets(network: nn.Module, calls: Calls, frames: Tensor, in_time: Sequence[Entry], output: Any) -> bool:
    """Whether a network that could be given its state takes a sequence for one frame with more axes.

    Then the last of its outputs are the same whatever the first frame is.
    """
    if _parameters(network)[0] < 2 or calls.goes_on:
        return False
    other = _some(frames, 0, 0).clone()
    other[:, 0] = 1 - other[:, 0]
    changed = _output(network, calls, other, 0, 0)
    return all(torch.equal(e.taken(output)[:, -1], e.taken(changed)[:, -1]) for e in in_time)


def stepwise(network: nn.Module, frames: Tensor, calls: Calls) -> Calls:
    """The same network called once for every frame; its state is what it carries from one to the next.

    Raises
    ------
    InputError
        If it does not go on from what it gave before.
    """
    if calls.by_frame and calls.carried != "nothing":
        return calls
    grown = [_output(network, calls, frames, *more) for more in ((0, 0), (1, 0), (0, 1))]
    memory = [e for e in _entries(grown, by_frame=False) if e.time is None]
    stepped = _with_memory(network, frames, calls, memory, grown[0]) if memory else None
    if stepped is None:
        raise InputError(
            f"intervene: expected a network that goes on from the state that it gave for the frame before; a "
            f"{type(network).__name__} is {calls}. Name a module that is called once for every frame: "
            "sites={'state': Site(module, axes)}"
        )
    frame_shape = (frames.shape[-2], frames.shape[-1])
    velocities = len(getattr(getattr(network, "grid", None), "velocities", ()))
    state = {"state": _as_site("state", memory, frame_shape, velocities)}
    return replace(stepped, outputs={**calls.outputs, **(state if "state" in calls.outputs else {})})


def ways_for_sites(network: nn.Module) -> Iterator[Calls]:
    """Ways to call a network whose sites are described, in the order in which they are tried."""
    yield from sorted(_candidates(network), key=lambda calls: not {"time", "unit"} <= set(calls.way.axes))


def _candidates(network: nn.Module) -> Iterator[Calls]:
    positional, goes_on, needs_second = _parameters(network)
    time_first = getattr(network, "batch_first", True) is False
    for way in WAYS:
        if "time" in way.axes:
            yield Calls(way.time_first() if time_first else way, goes_on=goes_on)
            continue
        if hasattr(network, "batch_first"):  # it would take the trials of one frame for a sequence
            return
        memories: tuple[Carried, ...] = ("last", "all") if positional > 1 else ()
        for carried in (*memories, *(() if needs_second else ("nothing",))):
            yield Calls(way, carried=carried, begins_with_none=needs_second, by_frame=True)


def _parameters(network: nn.Module) -> tuple[float, bool, bool]:
    """How many arguments by position ``forward`` takes, whether one is called horizon, and whether the second
    has no default.
    """
    try:
        parameters = list(inspect.signature(network.forward).parameters.values())
    except (TypeError, ValueError):
        return float("inf"), False, False
    placed = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    goes_on = any(p.name == "horizon" for p in parameters)
    count = float("inf") if any(p.kind == p.VAR_POSITIONAL for p in parameters) else len(placed)
    return count, goes_on, len(placed) > 1 and placed[1].default is inspect.Parameter.empty and not goes_on


def _some(frames: Tensor, more_trials: int, more_frames: int) -> Tensor:
    """A few trials and frames, as many as it takes by repetition."""
    trial = torch.arange(TRIALS + more_trials) % frames.shape[0]
    time = torch.arange(FRAMES + more_frames) % frames.shape[1]
    return frames[trial][:, time]


@torch.no_grad()
def _output(network: nn.Module, calls: Calls, frames: Tensor, more_trials: int, more_frames: int) -> Any:
    """What a copy of the network puts out, in its last call."""
    kept: apart.Kept | None = None
    try:
        network = copy.deepcopy(network)
    except Exception:  # some modules hold what cannot be copied
        kept = apart.Kept(network)
    outputs: list[Any] = []
    handle = network.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    states = apart.random_states(frames.device)
    try:
        calls(network, _some(frames, more_trials, more_frames), 0)
    finally:
        handle.remove()
        apart.set_random_states(states, frames.device)
        if kept is not None:
            kept.restore()
    return outputs[-1]


def _tensors(output: Any, path: tuple[int | str, ...] = ()) -> Iterator[tuple[tuple[int | str, ...], Tensor]]:
    """Every tensor in an output, with its path."""
    if isinstance(output, Tensor):
        yield path, output
    elif is_dataclass(output) and not isinstance(output, type):
        for name in output.__dataclass_fields__:
            yield from _tensors(getattr(output, name), (*path, name))
    elif hasattr(output, "_fields"):
        for name in output._fields:
            yield from _tensors(getattr(output, name), (*path, name))
    elif isinstance(output, dict):
        for name, value in output.items():
            yield from _tensors(value, (*path, name))
    elif isinstance(output, (tuple, list)):
        for i, value in enumerate(output):
            yield from _tensors(value, (*path, i))


def _entries(grown: Sequence[Any], by_frame: bool) -> list[Entry]:
    """Entries with an axis of trials; those with one of time if the network was shown several at once."""
    few, more_trials, more_frames = (dict(_tensors(output)) for output in grown)
    entries = []
    for path, tensor in few.items():
        if path not in more_trials or path not in more_frames or tensor.is_complex():
            continue
        trial = _growing(tensor, more_trials[path])
        time = None if by_frame else _growing(tensor, more_frames[path])
        if trial is None or trial == time:
            continue
        rest = tuple(size for axis, size in enumerate(tensor.shape) if axis not in (trial, time))
        entries.append(Entry(path, trial, time, rest))
    return entries


def _growing(few: Tensor, more: Tensor) -> int | None:
    """The only axis that differs, and is longer by one; None if there is none."""
    if few.ndim != more.ndim:
        return None
    differing = [axis for axis in range(few.ndim) if few.shape[axis] != more.shape[axis]]
    one = len(differing) == 1 and more.shape[differing[0]] == few.shape[differing[0]] + 1
    return differing[0] if one else None


def _named(
    network: nn.Module,
    frames: Tensor,
    calls: Calls,
    entries: Sequence[Entry],
    grown: Sequence[Any],
    wanted: Collection[str] | None,
) -> Calls:
    """The same calls, with the outputs that are wanted."""
    frame_shape = (frames.shape[-2], frames.shape[-1])
    velocities = len(getattr(getattr(network, "grid", None), "velocities", ()))
    in_time = [e for e in entries if e.time is not None or calls.by_frame]
    named = {name: [e for e in in_time if e.path and e.path[-1] == name] for name in NAMES}
    if not any(named.values()):
        named = _by_place(in_time, frame_shape, calls, wanted)
    memory = [e for e in entries if e.time is None and not calls.by_frame]
    if memory and len(in_time) == 1 and (wanted is None or "state" in wanted):
        if _ends_in(in_time[0], memory, grown[0]):
            named["state"], named["prediction"] = in_time, []
        elif (stepped := _with_memory(network, frames, calls, memory, grown[0])) is not None:
            calls, named["state"] = stepped, memory
            named["prediction"] = [e for e in in_time if e.shows(frame_shape)]
    if named["prediction"] and not named["state"] and (wanted is None and _only(named)):
        raise InputError(
            f"the network gives {_listed(named['prediction'])} and nothing else, as large as a frame: is it "
            "its state or its prediction of the next frame? Say so by sites=['state'] or "
            "sites=['prediction'], or name the module of the state: sites={'state': Site(module, axes)}"
        )
    missing = [name for name in wanted or () if not named[name]]
    if missing:
        raise InputError(
            f"a {type(network).__name__} is not a flowsim network, and no output of it can be taken for the "
            f"site {missing[0]!r}: called with {calls.way} it gives {_shapes(grown[0])}. Return (prediction, "
            f"state), or name the module whose output it is: sites={{{missing[0]!r}: Site(module, axes)}}"
        )
    chosen = NAMES if wanted is None else wanted
    outputs = {name: _as_site(name, named[name], frame_shape, velocities) for name in chosen if named[name]}
    return replace(calls, outputs=outputs)


def _only(named: dict[str, list[Entry]]) -> bool:
    return sum(map(len, named.values())) == 1


def _by_place(
    in_time: Sequence[Entry], frame_shape: tuple[int, int], calls: Calls, wanted: Collection[str] | None
) -> dict[str, list[Entry]]:
    """Entries by what they are, where they have no names.

    The first that shows a frame is the prediction if there is anything beside it, or if the state is not
    wanted; the others are the state. What a network carries is its state.
    """
    shown = [e for e in in_time if e.shows(frame_shape)]
    several = len(in_time) > 1
    is_carried = calls.carried == "all"
    prediction = shown[:1] if (several and not is_carried) or (wanted is None and not is_carried) else []
    if wanted is not None and "state" not in wanted:
        prediction = shown[:1]
    state = [e for e in in_time if e not in prediction]
    if calls.carried == "last" and state:
        last = max((e.path[0] for e in in_time if e.path and isinstance(e.path[0], int)), default=None)
        state = [e for e in state if e.path and e.path[0] == last] or state
    return {"state": state, "prediction": prediction, "logits": []}


def _ends_in(whole: Entry, memory: Sequence[Entry], output: Any) -> bool:
    """Whether the last of an entry's values is in the memory: then it is the state at all times."""
    last = whole.taken(output)[:, -1].flatten(1)
    for e in memory:
        carried = e.taken(output).flatten(1)
        if carried.shape[1] % last.shape[1] == 0:
            parts = carried.unflatten(1, (-1, last.shape[1])).unbind(1)
            if any(torch.allclose(part, last) for part in parts):
                return True
    return False


def _with_memory(
    network: nn.Module, frames: Tensor, calls: Calls, memory: Sequence[Entry], whole: Any
) -> Calls | None:
    """Calls with one frame at a time, if the network goes on from its memory to the same end; else None.

    That is how the state of a network is seen that gives its predictions of all frames and its last state.
    """
    if _parameters(network)[0] < 2 or calls.goes_on:
        return None
    stepped = replace(calls, by_frame=True, carried="last")
    try:
        last = dict(_tensors(_output(network, stepped, frames, 0, 0)))
    except Exception:  # the second argument is something else
        return None
    expected = dict(_tensors(whole))
    for path in (e.path for e in memory):
        if path not in last or last[path].shape != expected[path].shape:
            return None
        if not torch.allclose(last[path].double(), expected[path].double(), atol=1e-4, rtol=1e-3):
            return None
    return stepped


def _as_site(name: str, entries: Sequence[Entry], frame_shape: tuple[int, int], velocities: int) -> Output:
    """Entries as a site, put together along channels or units.

    Raises
    ------
    InputError
        If they do not fit together.
    """
    if name == "prediction":
        return Output(tuple(entries[:1]), ("y", "x"), frame_shape, start=1)
    if name == "logits":
        return Output(tuple(entries[:1]), ("unit",), (-1,))
    places = {_place(e.rest, frame_shape, velocities) for e in entries}
    if len(places) > 1:
        raise InputError(
            f"the state could be any of {_listed(entries)}, whose places do not fit together; name one: "
            f"sites={{'state': Site('', axes, index={entries[-1].path})}}"
        )
    axes, sizes = places.pop()
    if axes == ("y", "x") and len(entries) > 1:
        axes, sizes = ("channel", "y", "x"), (-1, *sizes)
    return Output(tuple(entries), axes, sizes)


def _place(
    rest: tuple[int, ...], frame_shape: tuple[int, int], velocities: int
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Axes and sizes of the state of one frame; -1 along channels or units."""
    if len(rest) == 4 and rest[0] == velocities:
        return ("velocity", "channel", "y", "x"), (velocities, -1, *rest[2:])
    if len(rest) >= 2 and rest[-2:] == frame_shape:
        return (("y", "x"), rest) if len(rest) == 2 else (("channel", "y", "x"), (-1, *frame_shape))
    if len(rest) == 3:
        return ("channel", "y", "x"), (-1, *rest[1:])
    return ("unit",), (-1,)


def _shapes(output: Any) -> str:
    shapes = [str(tuple(tensor.shape)) for _, tensor in _tensors(output)]
    return " and ".join(shapes) or f"a {type(output).__name__}"


def _listed(entries: Sequence[Entry]) -> str:
    return ", ".join(map(str, entries))


def _none_fits(network: nn.Module, frames: Tensor, reasons: Sequence[tuple[Way, str]]) -> InputError:
    said: dict[str, str] = {}
    for way, reason in reasons:
        said.setdefault(f"{way} {tuple(way.shaped(_some(frames, 0, 0)).shape)}", reason)
    tried = "; ".join(f"{way}: {reason}" for way, reason in said.items())
    return InputError(
        f"expected a {type(network).__name__} that takes frames in one of four ways, and gives something for "
        f"each frame; it was tried with {tried}. Give `feed`, a function (network, frames, horizon) that "
        "calls it"
    )
