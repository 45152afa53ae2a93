r"""What a network is trained to do: to predict frames, or to classify what it has seen.

A task owns everything that depends on what is asked of the network: how many frames a training sequence
needs, what is read out of the network, the loss, what validation reports, which sites are recorded by
default, and what must hold of a network and of a stimulus. To add a task, write its class here and list it in
`TASKS`; an experiment then names it as ``train: {task: ...}``.

Source of both losses: Keller (2025).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
import xarray as xr
from torch import Tensor

from flowsim.errors import InputError
from flowsim.files import netcdf
from flowsim.network import Network, State
from flowsim.scenes.sequences import Sequences, class_labels


@dataclass(frozen=True)
class Task(ABC):
    """A task, with the settings of a training that matter to it.

    Parameters
    ----------
    context : int
        How many frames the network sees.
    horizon : int
        How many frames come after the context.
    context_weight : float
        What the error within the context weighs, relative to the error over the horizon.

    Attributes
    ----------
    measure : str
        What validation reports.
    sites : tuple of str
        What is recorded of a network that was trained for this task, unless an experiment says otherwise.
    reads_last_state : bool
        Whether `output` needs the state after the last frame. If not, the last frame is not taken in.
    """

    context: int
    horizon: int
    context_weight: float

    measure: ClassVar[str]
    sites: ClassVar[tuple[str, ...]]
    reads_last_state: ClassVar[bool]

    @property
    @abstractmethod
    def frames(self) -> int:
        """How many frames a sequence needs after the warm-up."""

    @property
    @abstractmethod
    def frames_in_words(self) -> str:
        """The same as a sum of settings, for error messages: "context 3 + horizon 2"."""

    @abstractmethod
    def first_prediction(self, warm_up: int) -> int:
        """First frame to predict, for a network that watches ``warm_up`` frames before the context.

        The number of frames if none is to be predicted.
        """

    @abstractmethod
    def output(self, network: Network, predictions: Sequence[Tensor], state: State) -> Tensor:
        """What the loss is computed from; in the precision of the training.

        Parameters
        ----------
        network : Network
        predictions : sequence of Tensor (trial, channel, y, x)
            Of every frame from `first_prediction`.
        state : tuple of Tensor
            What the network carries after the last frame; empty unless the task `reads_last_state`.
        """

    @abstractmethod
    def loss(self, output: Tensor, sequences: Sequences) -> tuple[Tensor, Tensor]:
        """What is minimised, and the part of it that learning curves show; means over trials.

        Parameters
        ----------
        output : Tensor
            As `output` returns it.
        sequences : Sequences
            The trials that the network was shown, warm-up included.
        """

    @abstractmethod
    def validation_error(self, network: Network, sequences: Sequences) -> Tensor:
        """The `measure`, summed over the trials of ``sequences``, which have no warm-up."""

    @abstractmethod
    def check_network(self, network: Network) -> None:
        """Raise InputError if the network lacks the readout that this task needs."""

    @abstractmethod
    def check_stimulus(self, stimulus: xr.Dataset, family: str) -> None:
        """Raise InputError if stimuli like this one, of a family in ``stimuli/``, do not allow this task."""

    @abstractmethod
    def check_files(self, network: Network, files: Sequence[Path]) -> None:
        """Raise InputError if the network cannot be trained on one of these stimulus files."""


class Predict(Task):
    """See a context, then predict the frames of the horizon, each from the prediction before.

    The loss is the mean squared error per pixel over the horizon, plus `context_weight` times that of the
    predictions made within the context.
    """

    measure = "MSE"
    sites = ("state", "prediction")
    reads_last_state = False

    @property
    def frames(self) -> int:
        return self.context + self.horizon

    @property
    def frames_in_words(self) -> str:
        return f"context {self.context} + horizon {self.horizon}"

    def first_prediction(self, warm_up: int) -> int:
        return warm_up + 1 if self.context_weight else warm_up + self.context

    def output(self, network: Network, predictions: Sequence[Tensor], state: State) -> Tensor:
        """Predicted frames (trial, time, channel, y, x)."""
        return torch.stack([*predictions], 1)

    def loss(self, output: Tensor, sequences: Sequences) -> tuple[Tensor, Tensor]:
        truth = sequences.frames[:, -output.shape[1] :]
        error_by_time = (output.to(truth.dtype) - truth).square().flatten(2).mean((0, 2))
        within_context = error_by_time[: -self.horizon]
        over_horizon = error_by_time[-self.horizon :].mean()
        if not len(within_context):
            return over_horizon, over_horizon
        return over_horizon + self.context_weight * within_context.mean(), over_horizon

    def validation_error(self, network: Network, sequences: Sequences) -> Tensor:
        context = sequences.frames[:, : self.context]
        predicted = network.rollout(context, self.horizon, actions_for(network, sequences))
        return (predicted - sequences.frames[:, self.context :]).square().mean() * len(sequences)

    def check_network(self, network: Network) -> None:
        """Every network predicts, or says that it does not when it is trained."""

    def check_stimulus(self, stimulus: xr.Dataset, family: str) -> None:
        """Every stimulus can be predicted."""

    def check_files(self, network: Network, files: Sequence[Path]) -> None:
        """Every stimulus file can be predicted."""


class Classify(Task):
    """Name the label of object 0 after the last frame of the context; the loss is the cross-entropy."""

    measure = "cross-entropy"
    sites = ("state", "logits")
    reads_last_state = True

    @property
    def frames(self) -> int:
        return self.context

    @property
    def frames_in_words(self) -> str:
        return f"context {self.context}"

    def first_prediction(self, warm_up: int) -> int:
        return warm_up + self.context

    def output(self, network: Network, predictions: Sequence[Tensor], state: State) -> Tensor:
        """Logits (trial, class)."""
        return network.logits(state)

    def loss(self, output: Tensor, sequences: Sequences) -> tuple[Tensor, Tensor]:
        loss = F.cross_entropy(output.to(sequences.frames.dtype), _required_labels(sequences))
        return loss, loss

    def validation_error(self, network: Network, sequences: Sequences) -> Tensor:
        context = sequences.frames[:, : self.context]
        logits = network.classify(context, actions_for(network, sequences))
        return F.cross_entropy(logits, _required_labels(sequences), reduction="sum")

    def check_network(self, network: Network) -> None:
        """It must have classes."""
        network.logits(network.start(1))

    def check_stimulus(self, stimulus: xr.Dataset, family: str) -> None:
        """It must have labels, and one object, so that it is clear which label is meant."""
        if "label" not in stimulus.coords:
            raise InputError(
                f"classification needs labels; {family} has none. Use another stimulus, or task predict"
            )
        objects = stimulus.label.sizes.get("object", 1)
        if objects > 1:
            raise InputError(
                f"classification needs one object, whose label is meant; {family} shows {objects}. Set "
                "objects to 1"
            )

    def check_files(self, network: Network, files: Sequence[Path]) -> None:
        """Each must have labels within the network's classes.

        Labels are compared on the CPU: a GPU crashes on a label beyond the last class.
        """
        classes = network.logits(network.start(1)).shape[1]
        for file in files:
            label = class_labels(netcdf.read(file, "stimulus"))
            if label is None:
                raise InputError(f"{file}: classification needs labels; the file has no coordinate label")
            if len(label) and not 0 <= int(label.min()) <= int(label.max()) < classes:
                raise InputError(
                    f"{file}: expected labels from 0 to {classes - 1}, since the network has {classes} "
                    f"classes; they go from {int(label.min())} to {int(label.max())}. Build it with more "
                    "classes"
                )


TASKS: dict[str, type[Task]] = {"predict": Predict, "classify": Classify}
"""Tasks by the name that an experiment file gives them."""


def actions_for(network: Network, sequences: Sequences) -> Tensor | None:
    """The observer's actions (trial, time, component), for a network that takes them; None for another."""
    return sequences.actions if network.observes else None


def _required_labels(sequences: Sequences) -> Tensor:
    if sequences.label is None:
        raise InputError(
            "classification needs labels; the stimulus has no coordinate label. Use another stimulus, or "
            "task predict"
        )
    return sequences.label
