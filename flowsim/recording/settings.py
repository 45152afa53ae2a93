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
    by: Literal["subset", "projection"] = "subset"
    seed: Annotated[int, Field(ge=0)] = 0


class RecordBlock(Block):
    """What is recorded while a network watches one stimulus file; see `flowsim.recording.record.record`.

    Without a ``context`` the network sees every frame. In an experiment, ``sites`` that are not given are
    those of the task that the networks are trained for.
    """

    context: Count | None = None
    sites: list[Literal["state", "prediction", "logits"]] = ["state", "prediction"]
    trials: Count | None = None
    flows: Count | None = None
    every: Count = 1
    channels: Count | None = None
    units: UnitsBlock | None = None
    dtype: Literal["float16", "float32", "float64"] = "float32"
    codec: Codec = "gzip"
