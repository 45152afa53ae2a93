"""What a network does while its input is withheld: each trial is shown once more, with some of its frames
replaced.

    shown_t = f_t                                       before frame ``at``, and after the blank if it ends
    shown_t = 0, the mean frame, noise, or f^_t         while the input is withheld

With f^_t the network's own prediction of frame t. Up to ``at`` both runs are the same, to the bit. Frames are
replaced in what goes in, so that any network can be recorded like this, whatever its loop over time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from flowsim.errors import InputError
from flowsim.scenes.frame_values import checked_values

By = Literal["zeros", "mean", "noise", "predictions"]
IN_WORDS: dict[str, str] = {
    "zeros": "0",
    "mean": "the mean frame of the stimulus",
    "noise": "noise of the stimulus' power spectrum",
    "predictions": "the network's own predictions",
}
"""By what frames are replaced."""
TRIALS_AT_ONCE = 32
"""Trials whose frames are held at once."""


@dataclass(frozen=True)
class Blank:
    """Which frames are withheld, and what is shown instead.

    Parameters
    ----------
    at : int
        The first frame that is withheld, counted from 0.
    frames : int, optional
        How many are; all to the end of the stimulus if not given.
    by : {"zeros", "mean", "noise", "predictions"}
        What is shown instead: 0; the mean frame of what is recorded of the stimulus, over flows, trials and
        time; noise, in which each frame has the mean spatial power spectrum of the stimulus' frames about
        their mean luminance, with random phases, independent from frame to frame and the same under all
        flows; or what the network predicts. Noise may leave [0, 1].
    seed : int
        Of the noise.

    Raises
    ------
    InputError
        If ``at`` or ``frames`` is below 1, or ``by`` is none of these.
    """

    at: int
    frames: int | None = None
    by: By = "zeros"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.at < 1 or (self.frames is not None and self.frames < 1) or self.by not in IN_WORDS:
            raise InputError(
                f"blank: expected at and frames from 1, and by {', '.join(IN_WORDS)}; got {self.at}, "
                f"{self.frames} and {self.by!r}"
            )


@dataclass(frozen=True, eq=False)
class Withheld:
    """A blank, with what is shown instead of a certain stimulus.

    Attributes
    ----------
    blank : Blank
    times : range
        The frames that are withheld.
    mean : array (y, x)
        Mean frame.
    amplitude : array (y frequency, x frequency)
        Root of the mean power spectrum of frames about their mean luminance.
    """

    blank: Blank
    times: range
    mean: np.ndarray
    amplitude: np.ndarray

    @classmethod
    def of(
        cls,
        blank: Blank,
        frames: xr.DataArray,
        context: int,
        flows: Sequence[int],
        trials: int,
        recorded: Sequence[int],
    ) -> Withheld:
        """What is shown instead of ``frames`` (flow, trial, time, y, x), of which some flows and the first
        trials are recorded, and the frames ``recorded``.

        Raises
        ------
        InputError
            If no frame that the network would see is withheld, or none that is recorded.
        """
        length = frames.sizes["time"]
        if blank.at > min(context, length - 1):
            raise InputError(
                f"blank: expected the first frame that is withheld at {min(context, length - 1)} or before, "
                f"where the network still sees frames; got at {blank.at}"
            )
        times = range(blank.at, length if blank.frames is None else min(blank.at + blank.frames, length))
        if not set(times) & set(recorded):
            raise InputError(
                f"blank: none of the frames {times.start} to {times.stop - 1} is recorded; use a smaller "
                "every"
            )
        height, width = frames.sizes["y"], frames.sizes["x"]
        mean, power = np.zeros((height, width)), np.zeros((height, width))
        if blank.by in ("mean", "noise"):
            for flow in flows:
                for first in range(0, trials, TRIALS_AT_ONCE):
                    block = slice(first, min(first + TRIALS_AT_ONCE, trials))
                    values = checked_values(frames[flow, block].values).astype(np.float64)
                    mean += values.sum((0, 1))
                    if blank.by == "noise":
                        power += (np.abs(np.fft.fft2(values)) ** 2).sum((0, 1))
        count = len(flows) * trials * length
        power[0, 0] = 0
        return cls(blank, times, mean / count, np.sqrt(power / count))

    def replaced(
        self, frames: Tensor, context: int, trials: slice, predict: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """What goes into a network instead of frames (trial, time, channel, y, x); it goes on by itself after
        that.

        Parameters
        ----------
        frames : Tensor
            All frames of some trials.
        context : int
            How many of them the network sees.
        trials : slice
            Which trials these are, for the noise.
        predict : callable
            Given the frames before the blank, returns what the network predicts of those that are withheld,
            (trial, time, y, x).
        """
        start, stop = self.times.start, self.times.stop
        before, after = frames[:, :start], frames[:, stop : max(stop, context)]
        if self.blank.by != "predictions":
            instead = torch.from_numpy(self.drawn(trials))
        elif stop == frames.shape[1]:
            return before
        else:
            instead = predict(before)
        return torch.cat([before, instead[:, :, None].to(frames), after], 1)

    def drawn(self, trials: slice) -> np.ndarray:
        """Zeros, mean frames or noise (trial, time, y, x) for some trials."""
        numbers = range(trials.start, trials.stop)
        size = (len(numbers), len(self.times), *self.mean.shape)
        if self.blank.by != "noise":
            return np.broadcast_to(self.mean, size).copy()
        white = np.stack(
            [np.random.default_rng([self.blank.seed, trial]).standard_normal(size[1:]) for trial in numbers]
        )
        phases = np.fft.fft2(white)
        noise = np.fft.ifft2(self.amplitude * phases / np.abs(phases)).real
        return self.mean.mean() + noise

    def whether(self, times: np.ndarray) -> np.ndarray:
        """Whether each of some frames is withheld, (time,), as 0 and 1."""
        return np.isin(times, self.times).astype(np.int8)

    @property
    def words(self) -> str:
        """What was done, in a line."""
        return (
            f"frames {self.times.start} to {self.times.stop - 1} withheld; shown instead: "
            f"{IN_WORDS[self.blank.by]}"
        )

    @property
    def attributes(self) -> dict[str, Any]:
        """What was done, as attributes of a recording."""
        attributes = {"blank": self.words, "blank_at": self.times.start, "blank_length": len(self.times)}
        seed = {"blank_seed": self.blank.seed} if self.blank.by == "noise" else {}
        return {**attributes, "blank_by": self.blank.by, **seed}
