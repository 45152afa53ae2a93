"""What may be set of a recording: one entry of the block ``record`` of an experiment file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flowsim.files.hdf5_chunks import Codec
from flowsim.specification import Block, Count


class UnitsBlock(Block):
    """Record a few units only: a random subset, or random projections; see
    `flowsim.recording.thinning.Units`.
    """

    count: Count
    """How many."""
    by: Literal["subset", "projection"] = "subset"
    """Which: a random subset, or random projections of all."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of that choice."""


class BlankBlock(Block):
    """Show each trial once more with its input withheld from a frame on; see `flowsim.recording.blank`."""

    at: Count
    """The first frame that is withheld, counted from 0."""
    frames: Count | None = None
    """How many are; all to the end if not given."""
    by: Literal["zeros", "mean", "noise", "predictions"] = "zeros"
    """What is shown instead: 0, the mean frame, noise with the power spectrum of the stimulus, or the
    network's own predictions.
    """
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the noise."""


class RecordBlock(Block):
    """What is recorded while a network watches one stimulus file; see `flowsim.recording.record.record`."""

    context: Count | None = None
    """Frames that the network sees before it goes on by itself; all if not given."""
    sites: list[Literal["state", "prediction", "logits"]] = ["state", "prediction"]
    """What is recorded. In an experiment, sites that are not given are those of the task that the networks
    are trained for.
    """
    trials: Count | None = None
    """The first so many; all if not given."""
    flows: Count | None = None
    """The first so many; all if not given."""
    every: Count = 1
    """Every n-th frame."""
    channels: Count | None = None
    """The first so many of the state; all if not given."""
    units: UnitsBlock | None = None
    """A few units of the state only, chosen by a seed."""
    blank: BlankBlock | None = None
    """Each trial once more with its input withheld, as ``blank_<site>``."""
    checkpoints: bool = False
    """Also the network as it was at each moment at which its training kept weights (``checkpoints`` of
    ``train``), as ``<site>_at_checkpoint``.
    """
    dtype: Literal["float16", "float32", "float64"] = "float32"
    """Of values in the file."""
    codec: Codec = "gzip"
    """How values are compressed: see `flowsim.files.hdf5_chunks.Codec`."""
