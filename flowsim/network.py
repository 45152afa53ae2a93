r"""The one loop over time that every network shares.

A step is a prediction and its correction. With h_(t-1) the state after frame t-1 (t from 0, h_(-1) = 0):

    a_t      = advance(h_(t-1))          where the state expects the world to be at t
    f^_t     = decode(a_t)               the prediction of frame t, made before seeing it
    h_t      = update(a_t, f_t)          with the frame that is seen, or with f^_t in a rollout

Feeding the prediction back after it was decoded from the *advanced* state is what keeps the law through a
rollout. Whatever reads a network (training, recording, `states`, `rollout`) goes through `Network.steps` or,
from where another left off, `Network.resume`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, partial
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from flowsim import ideas, specification
from flowsim.errors import InputError
from flowsim.flows.flow import Flow
from flowsim.flows.law import Law
from flowsim.flows.translation import Translation
from flowsim.flows.velocity_grid import VelocityGrid
from flowsim.layers.first_kernel import begin_near_identity

State = tuple[Tensor, ...]
"""Everything a network carries from frame to frame."""


class Step:
    """One step of `Network.steps`.

    Attributes
    ----------
    time : int
    prediction : Tensor (trial, channel, y, x) or None
        Of frame ``time``, made before that frame was seen; None where none was requested or none is possible.
    decoded : Tensor (trial, channel, y, x) or None
        The same before it was bounded, where the network's predictions are; training learns from it.
    """

    def __init__(
        self,
        time: int,
        prediction: Tensor | None,
        update: Callable[[], State],
        top: Callable[[State], Tensor],
        decoded: Tensor | None = None,
    ) -> None:
        self.time, self.prediction = time, prediction
        self.decoded = prediction if decoded is None else decoded
        self._update, self._top = update, top

    @cached_property
    def carried(self) -> State:
        """Everything that the network carries after frame ``time``.

        Computed when it is first needed, here or by the next step, so that the last frame of a rollout is
        taken in only if its state is read.
        """
        update = self._update
        self._update = tuple  # frees the frame and the state that the update was computed from
        return update()

    @cached_property
    def state(self) -> Tensor:
        """The state after frame ``time``, (trial, velocity, channel, y, x), with orientation after channel if
        the network has orientations.
        """
        return self._top(self.carried)


class Network(nn.Module, ABC):
    """A recurrent network over frames (trial, time, channel, y, x) in [0, 1].

    Attributes
    ----------
    frame_shape : (int, int)
        Size (y, x) of a frame.
    grid : VelocityGrid
        The velocities along the state's velocity dimension; velocity 0 alone if a network says nothing else.
    law : Law or None
        The law by which the state follows a flow of the input; None, where nothing is promised, if a network
        says nothing else.
    observes : bool
        Whether the network takes the movements of its observer (``actions``).
    bounded : bool
        Whether what it predicts is kept within [0, 1], as luminance is. The gradient passes the bounds.
    """

    frame_shape: tuple[int, int]
    law: Law | None = None
    observes = False
    bounded = False

    @cached_property
    def grid(self) -> VelocityGrid:
        """The velocities along the state's velocity dimension."""
        return VelocityGrid(Translation(), ((0, 0),), period=self.frame_shape)

    @abstractmethod
    def start(self, trials: int) -> State:
        """What the network carries before the first frame."""

    def advance(self, state: State) -> State:
        """Carry the state to the time of the next frame; it stays as it is if a network says nothing else.

        A network may leave a part of that to `move`, `decode` and `update`, which are given the result.
        """
        return state

    @abstractmethod
    def decode(self, state: State) -> Tensor:
        """Predict a frame (trial, channel, y, x) from an advanced state."""

    @abstractmethod
    def update(self, state: State, frame: Tensor) -> State:
        """Take a frame (trial, channel, y, x) into an advanced state."""

    def plain(self) -> Network:
        """A network with the same weights, whose steps are plain operations of torch on nothing but the
        state.

        A network that carries something besides for the sake of speed gives another one here, which shares
        its weights; this one if a network says nothing else.
        """
        return self

    def memory_kernels(self) -> list[tuple[Tensor, Tensor | None]]:
        """The weights by which units of the state depend on their own last values, each with what leaves a
        unit as it is; see `flowsim.layers.first_kernel`. Empty for a network without a recurrence of its own.
        """
        return []

    def absorb(self, state: State, frame: Tensor) -> State:
        """Like `update`, with a frame (trial, channel, y, x), for steps after which nothing is predicted; a
        network may skip work that only `decode` needs.
        """
        return self.update(state, frame)

    def move(self, state: State, action: Tensor) -> State:
        """Carry an advanced state along with an observer who moved by ``action`` (trial, component) since.

        Raises
        ------
        InputError
            If this network takes no actions.
        """
        raise InputError("this network takes no actions of an observer; self_motion does")

    def top(self, state: State) -> Tensor:
        """The part of what is carried that is called the state, in the static (lab) frame; the first tensor.

        It is (trial, velocity, channel, y, x), or (trial, velocity, channel, orientation, y, x).
        """
        return state[0]

    def parts(self, state: State) -> dict[str, Tensor]:
        """Everything that is carried after a frame, by name, as maps in the static (lab) frame.

        Each is (trial, velocity, channel, y, x), with orientation before y if the network has orientations,
        and "state" is `top`. A network that carries anything else says here how it is read.

        Raises
        ------
        InputError
            If what is carried are not maps.
        """
        if not all(tensor.ndim in (5, 6) for tensor in state):
            shapes = " and ".join(str(tuple(tensor.shape)) for tensor in state)
            raise InputError(
                f"expected a network that carries maps (trial, velocity, channel, y, x); it carries {shapes}."
                " Give it the methods parts and with_parts"
            )
        return {f"carried_{i}" if i else "state": tensor for i, tensor in enumerate(state)}

    def with_parts(self, state: State, parts: Mapping[str, Tensor]) -> State:
        """What is carried, with other maps (trial, velocity, channel, y, x) in the place of its `parts`."""
        return tuple(parts.values())

    def acted(self, state: State, law: Law, flow: Flow, time: int) -> State:
        """What is carried after frame ``time``, acted on by a law: T_u, under a flow of velocity u.

        Velocity channels without a partner under a law that shifts hold 0: nobody knows what would be there.
        To a network whose law it is, this is what it carries if its input has flowed by u since frame 0.

        Raises
        ------
        InputError
            If what is carried has no place on the frame.
        """
        parts = self.parts(state)
        placeless = [name for name, part in parts.items() if part.shape[-2:] != self.frame_shape]
        if placeless:
            raise InputError(
                f"expected maps of the frame's {self.frame_shape[0]}x{self.frame_shape[1]} px, which a law "
                f"moves; {placeless[0]} is {tuple(parts[placeless[0]].shape[-2:])}"
            )
        return self.with_parts(
            state, {name: acted(x, law, flow, self.grid, time) for name, x in parts.items()}
        )

    def logits(self, state: State) -> Tensor:
        """(trial, class) from a state, for a network that classifies.

        Raises
        ------
        InputError
            If this network does not.
        """
        raise InputError("this network has no classes; one that classifies has a method logits(state)")

    def steps(
        self, frames: Tensor, horizon: int = 0, predict_from: int = 1, actions: Tensor | None = None
    ) -> Iterator[Step]:
        """See every frame, then go on for ``horizon`` frames on the network's own predictions.

        Parameters
        ----------
        frames : Tensor (trial, time, channel, y, x)
            The context.
        horizon : int
            How many frames to predict after the context.
        predict_from : int
            First frame to predict; all later ones are predicted, too. Frame 0 never is: before it nothing has
            been seen.
        actions : Tensor (trial, time, component), optional
            For a network that ``observes``: how far the observer moved since the frame before, for each frame
            of context and horizon; not at all if not given.
        """
        times = range(self._check(frames, horizon, actions) + horizon)
        return self.resume(self.start(len(frames)), times, frames, predict_from, actions)

    def resume(
        self,
        state: State,
        times: Iterable[int],
        frames: Tensor,
        predict_from: int = 1,
        actions: Tensor | None = None,
        disturb: Callable[[Tensor, int], Tensor] | None = None,
    ) -> Iterator[Step]:
        """Go through some ``times`` from what was carried after the one before; see `steps`.

        Parameters
        ----------
        disturb : callable (frame, time), optional
            Applied to each frame, seen or predicted, before it is taken in; training adds noise with it.
        """

        def predicts(time: int) -> bool:
            return time >= min(max(predict_from, 1), frames.shape[1])

        step = None
        for time in times:
            state = self.advance(step.carried if step else state)
            if actions is not None:
                state = self.move(state, actions[:, time])
            seen = time < frames.shape[1]
            decoded = self.decode(state) if predicts(time) else None
            prediction = within_range(decoded) if self.bounded and decoded is not None else decoded
            frame = frames[:, time] if seen or prediction is None else prediction
            take = self.update if predicts(time + 1) else self.absorb
            taken = partial(_take_in, take, state, frame, time, disturb)
            step = Step(time, prediction, taken, self.top, decoded)
            yield step

    def states(self, frames: Tensor, actions: Tensor | None = None) -> Tensor:
        """States after each frame, (trial, time, velocity, channel, y, x), in the static (lab) frame.

        With orientation after channel if the network has orientations.
        """
        steps = self.steps(frames, predict_from=frames.shape[1], actions=actions)
        return torch.stack([step.state for step in steps], 1)

    def rollout(self, frames: Tensor, horizon: int, actions: Tensor | None = None) -> Tensor:
        """Predicted frames after the context ``frames``, (trial, horizon, channel, y, x).

        Raises
        ------
        InputError
            If ``horizon`` is less than 1.
        """
        if horizon < 1:
            raise InputError(f"a rollout needs a horizon of at least 1 frame; got {horizon}")
        steps = self.steps(frames, horizon, predict_from=frames.shape[1], actions=actions)
        return torch.stack([step.prediction for step in steps if step.prediction is not None], 1)

    def classify(self, frames: Tensor, actions: Tensor | None = None) -> Tensor:
        """Class logits (trial, class) after the last frame."""
        steps = self.steps(frames, predict_from=frames.shape[1], actions=actions)
        return self.logits(deque(steps, maxlen=1)[0].carried)

    def _check(self, frames: Tensor, horizon: int, actions: Tensor | None) -> int:
        expected = f"frames (trial, time, 1, {self.frame_shape[0]}, {self.frame_shape[1]})"
        if frames.ndim != 5 or frames.shape[2:] != (1, *self.frame_shape):
            raise InputError(f"this network expects {expected}; got {tuple(frames.shape)}")
        if frames.shape[1] < 1:
            raise InputError(f"this network expects {expected} with at least one frame; got none")
        if actions is not None and not self.observes:
            self.move((), actions)  # raises the error that it takes none
        needed = (frames.shape[0], frames.shape[1] + horizon, len(self.grid.group.components))
        if actions is not None and actions.shape != needed:
            raise InputError(
                f"expected actions (trial, time, component) {needed}; got {tuple(actions.shape)}"
            )
        parameter = next(self.parameters())
        if frames.dtype != parameter.dtype or frames.device != parameter.device:
            raise InputError(
                f"frames are {frames.dtype} on {frames.device}, the network is {parameter.dtype} on "
                f"{parameter.device}; move one of them with .to(...)"
            )
        return frames.shape[1]


def acted(part: Tensor, law: Law, flow: Flow, grid: VelocityGrid, time: float) -> Tensor:
    """A map (trial, velocity, channel, [orientation,] y, x) at a time, acted on by a law; 0 in velocity
    channels without a partner.
    """
    moved = law.predict(part[:, None], flow, grid, [time])[:, 0]
    if not law.shift:
        return moved
    u = grid.velocity_of(flow)
    partners = [None] * len(grid) if u is None else grid.partner(u)
    missing = torch.tensor([partner is None for partner in partners], device=part.device)
    return moved.masked_fill(missing.view(-1, *[1] * (part.ndim - 2)), 0)


def within_range(frame: Tensor) -> Tensor:
    """A frame kept within [0, 1], with the gradient of the frame itself.

    A plain cut has no gradient where it cuts: a rollout of nothing but 0 would teach nothing.
    """
    return frame.detach().clamp(0, 1) + (frame - frame.detach())


def _take_in(
    take: Callable[[State, Tensor], State],
    state: State,
    frame: Tensor,
    time: int,
    disturb: Callable[[Tensor, int], Tensor] | None,
) -> State:
    return take(state, disturb(frame, time) if disturb else frame)


def build(name: str, frame_shape: tuple[int, int], **spec: Any) -> Network:
    """Build the network ``flowsim/models/<name>.py`` describes, for frames of size (y, x).

    Parameters
    ----------
    **spec
        Arguments of the model's ``build``, and what every network may be given: ``initial`` "usual" or
        "identity", the recurrent weights with which it begins, those of torch or near the identity
        (`flowsim.layers.first_kernel`); ``bounded``, whether its predictions are kept within [0, 1]
        (`Network`).

    Raises
    ------
    InputError
        If there is no such model, the specification does not fit its ``build``, or ``initial`` is "identity"
        and there are no recurrent weights.
    """
    model = ideas.load("flowsim.models", name)
    where = f"network {name}"
    settings = specification.arguments(model.build, spec, where, ("frame_shape", "network", "where"), begin)
    common = {key: settings.pop(key) for key in ("initial", "bounded")}
    network: Network = built(model, frame_shape, settings)
    begin(network, where, **common)
    return network


def built(model: ModuleType, frame_shape: tuple[int, int], settings: Mapping[str, Any]) -> Network:
    """What a module's ``build`` returns, with the size of its frames.

    Raises
    ------
    InputError
        If it is no `Network`; if the module is a file of the user's, for any error in it.
    """
    with ideas.blamed(model.__file__):
        network = model.build(frame_shape, **settings)
    if not isinstance(network, Network):
        raise InputError(
            f"{ideas.file_of(model)}: expected build to return a flowsim.Network; got "
            f"{type(network).__name__}"
        )
    if not hasattr(network, "frame_shape"):
        network.frame_shape = frame_shape
    return network


def begin(
    network: Network,
    where: str,
    *,
    initial: Literal["usual", "identity"] = "usual",
    bounded: bool = False,
) -> None:
    """Give a new network what any network may be given; see `build`.

    Parameters
    ----------
    network : Network
    where : str
        The beginning of an error.
    initial : {"usual", "identity"}
        Recurrent weights begin as PyTorch begins them, or near the identity, so that the state is a memory
        before anything is learned.
    bounded : bool
        Keeps predictions within [0, 1], as luminance is; the gradient passes.

    Raises
    ------
    InputError
        If ``initial`` is "identity" and there are no recurrent weights.
    """
    network.bounded = bounded
    if initial == "usual":
        return
    kernels = network.memory_kernels()
    if not kernels:
        raise InputError(
            f"{where}: it has no recurrent weights that could begin near the identity; leave out initial"
        )
    for weight, identity in kernels:
        begin_near_identity(weight, identity)


def build_from_settings(settings: Mapping[str, Any], frame_shape: tuple[int, int]) -> Network:
    """Build the network that ``model`` and the arguments of its `build` describe, as experiments write them.

    Raises
    ------
    InputError
        If ``model`` is missing or unknown, or the arguments do not fit.
    """
    arguments = dict(settings)
    model = arguments.pop("model", None)
    if "frame_shape" in arguments:
        raise InputError("unknown key 'frame_shape'; it follows from the stimulus")
    if not isinstance(model, str):
        known = ", ".join(ideas.names("flowsim.models"))
        raise InputError(f"'model' must name one of: {known}; got {model!r}")
    return build(model, frame_shape, **arguments)
