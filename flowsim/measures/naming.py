"""Which label a network names, by its logits, and whether that is right.

A network names the label of the largest logit; where k are largest, as all are for a network that gives
constants, and some where half precision rounds them to the same value, each of them has 1/k of the answer. So
a network that says nothing is at 1 / number of classes, whatever their order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from flowsim.errors import CannotJudge, InputError
from flowsim.files import coordinates
from flowsim.measures import ground_truth


@dataclass(frozen=True)
class Named:
    """What a network names in the trials that have a label.

    Attributes
    ----------
    answer : array (flow, trial, time, class)
        The part of the answer that each class has.
    label : array of int (trial)
        What is right.
    known : array of bool (trial of the recording)
        Which of the recording's trials these are; the others have no label (below 0, or missing).
    """

    answer: np.ndarray
    label: np.ndarray
    known: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        """The part of the answer (flow, trial, time) that is right."""
        return np.take_along_axis(self.answer, self.label[None, :, None, None], -1)[..., 0]

    @property
    def chance(self) -> float:
        """Accuracy of always naming the most frequent label."""
        return float(np.bincount(self.label).max() / len(self.label))


def named(recording: xr.Dataset, flows: slice = slice(None)) -> Named:
    """What a network names in a recording.

    Parameters
    ----------
    recording : Dataset
        With ``logits`` (flow, trial, time, class) and ``object_label`` (trial, object) or (trial).
    flows : slice
        Which flows are read.

    Raises
    ------
    InputError
        If the recording has no logits or labels, no trial has a label, a label is not one of the network's
        classes, or logits contain NaN or infinity.
    """
    logits = coordinates.variable(recording, "logits", ("flow", "trial", "time", "class"))
    ordered = logits.isel(flow=flows).transpose("flow", "trial", "time", "class")
    values = ordered.values.astype(np.float64)
    _require_known(values)
    label = _labels(recording, values.shape[-1])
    known = label >= 0
    return Named(_answers(values[:, known]), label[known], known)


def _require_known(logits: np.ndarray) -> None:
    """Raise CannotJudge if logits (flow, trial, time, class) contain NaN or are infinitely large; a class
    that is ruled out, of minus infinity, is none.
    """
    unknown = ~((logits < np.inf).all(-1) & np.isfinite(logits).any(-1))
    if unknown.any():
        trials = np.flatnonzero(unknown.any((0, 2)))
        raise CannotJudge(
            f"expected finite logits; those of {len(trials)} of {logits.shape[1]} trials contain NaN or "
            f"infinity (the first is trial {trials[0]}): the network diverged. Train it again"
        )


def _labels(recording: xr.Dataset, classes: int) -> np.ndarray:
    """Label (trial) of object 0, one of the classes of the network, or -1 where a trial has none."""
    label = ground_truth.labels(recording)
    if label is None:
        raise InputError("expected the label of each object (object_label); the recording has none")
    if label.dtype.kind not in "iufb":
        raise InputError(
            f"expected labels that are numbers of the network's {classes} classes; got {label[0]!r}"
        )
    known = label[ground_truth.has_label(label)]
    if not len(known):
        raise InputError("expected trials with a label; all are below 0 or missing, which says there is none")
    wrong = known[(known >= classes) | (known != np.floor(known))]
    if len(wrong):
        raise InputError(
            f"expected labels that are whole numbers below the network's {classes} classes (below 0 where a "
            f"trial has none); got {wrong.max():g}"
        )
    return np.where(ground_truth.has_label(label), label, -1).astype(int)


def _answers(logits: np.ndarray) -> np.ndarray:
    """The part of the answer (..., class) that each class has: 1 if its logit is largest; where several are,
    they share it.
    """
    largest = logits == logits.max(-1, keepdims=True)
    return largest / largest.sum(-1, keepdims=True)
