"""What may be set of a recording: one entry of the block ``record`` of an experiment file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flowsim.files.hdf5_chunks import Codec
from flowsim.specification import Block, Count


class UnitsBlock(Block):
    """Only so many units, a random subset or random projections; see `flowsim.recording.thinning.Units`."""

    count: Count
    by: Literal["subset", "projection"] = "subset"
    seed: Annotated[int, Field(ge=0)] = 0


class RecordBlock(Block):
    """What is recorded while a network watches one stimulus file. ``context`` None: it sees every frame."""

    context: Count | None = None
    sites: list[Literal["state", "prediction", "logits"]] = ["state", "prediction"]
    trials: Count | None = None
    flows: Count | None = None
    every: Count = 1
    channels: Count | None = None
    units: UnitsBlock | None = None
    dtype: Literal["float16", "float32", "float64"] = "float32"
    codec: Codec = "gzip"
