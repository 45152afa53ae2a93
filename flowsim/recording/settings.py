"""What may be set of a recording: one entry of the block ``record`` of an experiment file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flowsim.files.hdf5_chunks import Codec
from flowsim.specification import Block, Count, Positive, Seed, Whole


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


class InterventionBlock(Block):
    """Replace what a network carries after one frame, and record how it goes on; see
    `flowsim.recording.interventions`.

    What it is replaced by is one of ``law``, ``flow``, ``trial``, ``recording``, ``zeros`` and ``noise``.
    """

    at: Whole | None = None
    """The frame after which it is replaced, counted from 0; the last frame of the context if not given."""
    law: list[float] | None = None
    """By what the law of flow equivariance makes of it, as if all frames had flowed at this velocity, that
    of a flow, such as [vy, vx].
    """
    part: Literal["transport+shift", "transport", "shift"] = "transport+shift"
    """The whole law, or one of its parts alone."""
    flow: list[float] | None = None
    """By what is carried in the same trial under the recorded flow of this velocity."""
    trial: Count | None = None
    """By what is carried so many trials further on; after the last recorded trial comes the first."""
    recording: str | None = None
    """By what this other recording holds for the same frame, flow and trial."""
    zeros: bool = False
    """By zeros."""
    noise: Positive | None = None
    """By normal noise of this standard deviation, drawn for each trial, the same under all flows."""
    seed: Seed = 0
    """Of the noise."""
    sites: list[str] | None = None
    """What is replaced: parts of what a flowsim network carries (`flowsim.network.Network.parts`), all of it
    if not given (the state, from a recording); or sites of another network, its state if not given.
    """
    channels: list[Whole] | None = None
    """Only these channels, counted from 0; not with a law."""
    velocities: list[list[float]] | None = None
    """Only the channels of these velocities; not with a law."""
    sees: list[float] | None = None
    """The velocity of the recorded flow whose frames the network is shown from then on, as long as the
    context lasts; those that it was shown before if not given.
    """


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
    intervene: dict[str, InterventionBlock] | None = None
    """Interventions by name. How the network goes on after each lies beside the run without any, in the same
    file, as ``intervened_<site>``.
    """
    intervened_sites: list[Literal["state", "prediction", "logits"]] | None = None
    """Which of the sites are recorded under interventions; all if not given."""
    fixed_points: FixedPointsBlock | None = None
    """Relative fixed points of the network, for `relative_fixed_points`; none if not given."""
    exponents: ExponentsBlock | None = None
    """Growth of small differences, for `tangent_exponents`; none if not given."""
