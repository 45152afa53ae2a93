"""Which labels a network names, counted by hand."""

import numpy as np
import pytest
import xarray as xr

from analysis import (
    classification_accuracy,
)
from flowsim import InputError
from flowsim.measures import ground_truth


def classified(named, labels, velocities, trained):
    """A recording whose logits name ``named`` (trial, time)."""
    logits = np.eye(3)[named][None]
    coords = {
        "time": np.arange(named.shape[1]),
        "object_label": (("trial", "object"), np.array(labels)[:, None]),
        "object_velocity_vy": (("trial", "object"), np.array(velocities)[:, :1]),
        "object_velocity_vx": (("trial", "object"), np.array(velocities)[:, 1:]),
        "trained": ("trial", trained),
    }
    return xr.Dataset({"logits": (("flow", "trial", "time", "class"), logits)}, coords, {"task": "classify"})


def test_accuracy_by_velocity_time_and_label():
    labels, velocities = [0, 1, 2, 0], [(0, 0), (0, 0), (0, 1), (0, 1)]
    named = np.array([[1, 0], [1, 1], [2, 1], [0, 0]])
    result = classification_accuracy.analyse(classified(named, labels, velocities, [1, 1, 0, 0]))
    assert result.accuracy.sel(vy=0).values.tolist() == [1, 0.5]
    assert (float(result.accuracy_trained), float(result.accuracy_novel)) == (1, 0.5)
    assert result.accuracy_time.values.tolist() == [0.75, 0.75]
    assert result.confusion.values.tolist() == [[2, 0, 0], [0, 1, 0], [0, 1, 0]]
    assert float(result.chance) == 0.5
    assert result.trials.sum() == 4
    one = classified(named, labels, velocities, [1, 1, 0, 0])
    one["object_label"] = one.object_label.isel(object=0)
    xr.testing.assert_equal(classification_accuracy.analyse(one), result)
    np.testing.assert_array_equal(ground_truth.labels(one, 2), [0, 1])
    with pytest.raises(InputError, match="expected labels below the network's 3 classes; got 7"):
        classification_accuracy.analyse(classified(named, [0, 1, 2, 7], velocities, [1, 1, 0, 0]))
    unlabelled = classified(named, labels, velocities, [1, 1, 0, 0]).drop_vars("object_label")
    with pytest.raises(
        InputError, match=r"expected the label of each object \(object_label\); the recording has none"
    ):
        classification_accuracy.analyse(unlabelled)
