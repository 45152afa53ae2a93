"""What may be set of a recording: one entry of the block ``record`` of an experiment file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flowsim.files.hdf5_chunks import Codec
from flowsim.specification import Block, Count, Whole


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


class FixedPointsBlock(Block):
    """Solve for relative fixed points; see `flowsim.recording.fixed_points`."""

    input: Literal["frame", "prediction", "blank"] = "frame"
    """What the network is shown: one picture that moves, its own predictions, or nothing."""
    frame: Whole | None = None
    """Number of the frame of the first flow that is the picture; the last of the context if not given."""
    trials: Count = 2
    """Pictures: of the first so many trials."""
    flows: Count = 3
    """Velocities at which pictures move: those of the first so many flows."""
    watch: Count = 20
    """Frames for which the network watches the moving picture before the search begins."""
    multipliers: Count = 6
    """Eigenvalues of the step about each fixed point, the largest."""


class ExponentsBlock(Block):
    """Follow small differences along the network's trajectory; see `flowsim.recording.exponents`."""

    trials: Count = 2
    """The first so many, under the first flow."""
    number: Count = 8
    """Lyapunov exponents, the largest."""
    rollout: Whole = 60
    """Frames after the context, in which the network is shown its own predictions."""


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
    dtype: Literal["float16", "float32", "float64"] = "float32"
    """Of values in the file."""
    codec: Codec = "gzip"
    """How values are compressed: see `flowsim.files.hdf5_chunks.Codec`."""
    fixed_points: FixedPointsBlock | None = None
    """Relative fixed points of the network, for `relative_fixed_points`; none if not given."""
    exponents: ExponentsBlock | None = None
    """Growth of small differences, for `tangent_exponents`; none if not given."""
