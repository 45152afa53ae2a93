"""What each task demands of a network and of stimuli, what it minimises and what it reports."""

import numpy as np
import pytest
import torch
import xarray as xr

from flowsim import InputError, build
from flowsim.files import netcdf
from flowsim.recording.watch import NETWORK_SITES
from flowsim.scenes.sequences import Sequences
from flowsim.training.objective import Batch, evaluate, losses
from flowsim.training.settings import task_of
from flowsim.training.task import TASKS, Task
from flowsim.training.train import SplitBatch
from stimuli import moving_digits, random_dots


def test_tasks_are_found_by_name():
    assert set(TASKS) == {"predict", "classify"}
    assert all(issubclass(task, Task) for task in TASKS.values())
    assert all(set(task.sites) <= set(NETWORK_SITES) for task in TASKS.values())
    assert {name: task.measure for name, task in TASKS.items()} == {
        "predict": "MSE",
        "classify": "cross-entropy",
    }


def test_frames_that_a_task_needs(small, classify):
    assert task_of(small).frames == 5
    assert task_of(small).frames_in_words == "context 3 + horizon 2"
    assert task_of(classify).frames == 5
    assert task_of(classify).frames_in_words == "context 5"


def test_first_prediction(small, classify):
    assert task_of(small).first_prediction(2) == 3
    assert task_of(small.model_copy(update={"context_weight": 0.0})).first_prediction(2) == 5
    assert task_of(classify).first_prediction(2) == 7


@pytest.mark.parametrize("change", [{}, {"micro_batch": 3}, {"recompute": 2}])
def test_the_loss_of_a_classifier_is_its_cross_entropy(data, change, classify):
    torch.manual_seed(0)
    net = build("fernn", (9, 8), max_speed=1, channels=4, classes=10).double()
    settings, sequences = (
        classify.model_copy(update=change),
        Sequences(data[0].frames[:7].double(), data[0].label[:7]),
    )
    warmed = next(s for s in range(1, 99, 2) if Batch.drawn(sequences, settings, s).warm == 2)
    ahead = SplitBatch(settings.micro_batch or 7).descend(
        net, settings, Batch.drawn(sequences, settings, warmed)
    )
    expected = torch.nn.functional.cross_entropy(net.classify(sequences.frames), sequences.label)
    torch.testing.assert_close(ahead, expected.detach())
    total = evaluate(net, settings, sequences, 3) / 7
    own = torch.nn.functional.cross_entropy(net.classify(sequences.frames[:, :5]), sequences.label)
    torch.testing.assert_close(total, own.detach())


def test_no_labels_to_classify(data, classify):
    with pytest.raises(InputError, match="classification needs labels; the stimulus has no coordinate label"):
        losses(
            build("fernn", (9, 8), classes=2), classify, Batch.drawn(Sequences(data[0].frames), classify, 0)
        )


def test_only_classification_needs_classes(small, classify):
    plain = build("fernn", (9, 8), max_speed=1, channels=2)
    task_of(small).check_network(plain)
    task_of(classify).check_network(build("fernn", (9, 8), max_speed=1, channels=2, classes=2))
    with pytest.raises(InputError, match="this network has no classes; build it with classes=n"):
        task_of(classify).check_network(plain)


def test_only_classification_needs_one_object_with_a_label(small, classify, rng):
    dots = random_dots.generate("train", rng, trials=2)
    two = moving_digits.generate("train", rng, height=9, width=8, trials=2, objects=2)
    for stimulus in (dots, two):
        task_of(small).check_stimulus(stimulus, "a_family")
    task_of(classify).check_stimulus(two.isel(object=[0]), "a_family")
    with pytest.raises(
        InputError, match="classification needs labels; a_family has none. Use another stimulus"
    ):
        task_of(classify).check_stimulus(dots, "a_family")
    with pytest.raises(InputError, match="needs one object, .*; a_family shows 2. Set objects to 1"):
        task_of(classify).check_stimulus(two, "a_family")


def test_labels_of_a_file_must_be_among_the_classes(small, classify, tmp_path):
    """Each file is checked, on the CPU."""

    def written(name, labels):
        coords = {} if labels is None else {"label": ("trial", labels)}
        frames = ("trial", "time", "y", "x"), np.zeros((3, 5, 9, 8), np.float32)
        netcdf.write(xr.Dataset({"frames": frames}, coords), tmp_path / name, {"stage": "stimulus"})
        return tmp_path / name

    good, high, low = (
        written("good.h5", [0, 1, 2]),
        written("high.h5", [0, 3, 1]),
        written("low.h5", [0, -1, 1]),
    )
    bare = written("bare.h5", None)
    network = build("fernn", (9, 8), max_speed=1, channels=2, classes=3)
    task_of(classify).check_files(network, [good, good])
    task_of(small).check_files(network, [high, low, bare])
    with pytest.raises(
        InputError, match="high.h5: expected labels from 0 to 2, .* has 3 classes; they go from 0 to 3"
    ):
        task_of(classify).check_files(network, [good, high])
    with pytest.raises(
        InputError, match="low.h5: expected labels .* go from -1 to 1. Build it with more classes"
    ):
        task_of(classify).check_files(network, [low, good])
    with pytest.raises(
        InputError, match="bare.h5: classification needs labels; the file has no coordinate label"
    ):
        task_of(classify).check_files(network, [bare, good])
