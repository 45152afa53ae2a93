"""One training, from two stimulus files to the content of a file of weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from flowsim.errors import InputError
from flowsim.files.code_hash import own_sources, training_code
from flowsim.files.provenance import checksum, provenance
from flowsim.network import Network, build_from_settings
from flowsim.scenes.sequences import Sequences
from flowsim.training.batches import Shuffled, Stream, sequences_of, training_source
from flowsim.training.devices import hardware
from flowsim.training.moments import steps_kept
from flowsim.training.settings import RunBlock, task_of
from flowsim.training.train import Curve, Report, total_steps, train
from flowsim.training.weights import Identity


@dataclass(frozen=True)
class Run:
    """A training that is ready to start.

    Attributes
    ----------
    specification : RunBlock
    seed : int
    network : Network
        On the device that trains, with its first weights.
    source : Shuffled or Stream
        What to train on.
    valid : Sequences
        What to validate on.
    files : tuple of Path
        The stimulus files to train and to validate on.
    device : torch.device
    """

    specification: RunBlock
    seed: int
    network: Network
    source: Shuffled | Stream
    valid: Sequences
    files: tuple[Path, ...]
    device: torch.device

    @classmethod
    def prepare(
        cls, specification: RunBlock, seed: int, train_file: Path, valid_file: Path, device: torch.device
    ) -> Run:
        """Read the stimuli, build the network by the seed, and check that they fit the task.

        Raises
        ------
        InputError
            If a file or the specification cannot be used.
        """
        settings = specification.train
        task = task_of(settings)
        source = training_source(train_file, settings, seed, device)
        valid = sequences_of(valid_file, task.frames).to(device)
        height, width = valid.frames.shape[-2:]
        torch.manual_seed(seed)
        try:
            network = build_from_settings(specification.network, (height, width)).to(device)
        except InputError as error:
            raise InputError(f"--spec: network: {error}") from None
        files = (train_file, valid_file)
        task.check_files(network, files)
        return cls(specification, seed, network, source, valid, files, device)

    @property
    def network_name(self) -> str:
        """The name of the network in the experiment, or else its model."""
        return self.specification.name or self.specification.network["model"]

    @property
    def name(self) -> str:
        """The name of the run."""
        return f"{self.network_name}-seed{self.seed}"

    @property
    def parameters(self) -> int:
        """How many parameters the network has."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    @property
    def checkpoints(self) -> tuple[int, int]:
        """How many moments its weights are kept at, and how many bytes these are."""
        settings = self.specification.train
        count = len(steps_kept(settings.checkpoints, settings.batch, total_steps(settings)))
        weights = self.network.state_dict().values()
        return count, count * sum(tensor.numel() * tensor.element_size() for tensor in weights)

    @property
    def identity(self) -> Identity:
        """Which training this is, for its checkpoint."""
        family = self.source.family if isinstance(self.source, Stream) else None
        return Identity(
            specification=self.specification.decisive(),
            seed=self.seed,
            code=training_code(self.specification.network["model"], family),
            inputs=tuple(checksum(path) for path in self.files),
        )

    def train(self, checkpoint: Path, report: Report = lambda *_: None) -> dict[str, Any]:
        """Train, or go on from the checkpoint; returns the content of the file of weights."""
        kept: dict[int, dict[str, torch.Tensor]] = {}
        curve, best = train(
            self.network,
            self.specification.train,
            self.source,
            self.valid,
            self.seed,
            checkpoint=checkpoint,
            identity=self.identity.to_json(),
            report=report,
            kept=kept,
        )
        sources = own_sources(f"flowsim.models.{self.specification.network['model']}")
        return {
            "best": best,
            "last": {name: tensor.cpu() for name, tensor in self.network.state_dict().items()},
            "checkpoints": kept,
            "curve": vars(curve),
            "frame_shape": list(self.valid.frames.shape[-2:]),
            "name": self.network_name,
            "parameters": self.parameters,
            "partial": partial_note(curve, self.specification.train.sequences),
            "hardware": hardware(self.device),
            **provenance("train", self.specification.model_dump(), [*self.files, *sources], self.seed),
        }


def partial_note(curve: Curve, sequences: int) -> str:
    """How far a training came that its budget stopped; "" for a whole one of this many ``sequences``."""
    seen = curve.sequences[-1]
    return "" if seen >= sequences else f"after {seen:,} of {sequences:,} sequences"
