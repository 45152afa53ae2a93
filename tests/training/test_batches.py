"""Batches: every sequence once per epoch, and streams that never repeat; each can be asked for by itself."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from flowsim import InputError
from flowsim.files import netcdf
from flowsim.scenes.sequences import Sequences
from flowsim.splits import SEEDS
from flowsim.training.batches import Shuffled, Stream, random_state, sequences_of, training_source
from flowsim.training.train import train
from stimuli import moving_digits


def test_order_of_sequences():
    def order(trials, batch, batches, seed=0):
        shuffled = Shuffled(Sequences(torch.arange(trials)[:, None, None]), batch, seed)
        return torch.cat([shuffled[number].frames.flatten() for number in range(batches)]), shuffled

    epoch, _ = order(12, 4, 3)
    assert sorted(epoch.tolist()) == list(range(12))
    (first, shuffled), (other, _) = order(12, 5, 9), order(12, 5, 9, seed=1)
    assert not torch.equal(first, other)
    assert sorted(first[12:24].tolist()) == list(range(12))
    assert not torch.equal(first[:12], first[12:24])
    assert torch.equal(shuffled[2].frames.flatten(), first[10:15]), "a batch does not depend on those before"
    assert sorted(order(3, 8, 1)[0].tolist()) in (
        [0, 0, 0, 1, 1, 1, 2, 2],
        [0, 0, 1, 1, 1, 2, 2, 2],
        [0, 0, 0, 1, 1, 2, 2, 2],
    )


def test_a_stream_is_a_file_that_goes_on():
    """Batches are those of a file of as many trials by the same random state; each can be asked for by
    itself.
    """
    spec = {"height": 9, "width": 8, "frames": 5}
    stream = Stream("moving_digits", spec, seed=7, batch=300, device=torch.device("cpu"))
    for pool, trials in ((0, 1800), (1, 1800)):
        file = moving_digits.generate(
            "train", np.random.default_rng(random_state(7, pool)), **spec, trials=trials
        )
        for within in range(6):
            batch, chosen = stream[6 * pool + within], slice(300 * within, 300 * within + 300)
            assert np.array_equal(batch.frames[:, :, 0], file.frames[chosen])
            assert np.array_equal(batch.label, file.label[chosen, 0])
    other = Stream("moving_digits", spec, seed=8, batch=300, device=torch.device("cpu"))
    assert not torch.equal(stream[7].frames, other[7].frames)
    assert torch.equal(stream[7].frames, Stream("moving_digits", spec, 7, 300, torch.device("cpu"))[7].frames)


def test_a_stream_never_repeats_a_file():
    """Whose random states are `flowsim.splits.SEEDS`."""
    files = [np.random.default_rng(seed).bytes(8) for seed in SEEDS.values()]
    streams = [
        np.random.default_rng(random_state(seed, pool)).bytes(8) for seed in range(9) for pool in range(9)
    ]
    assert len({*files, *streams}) == len(files) + len(streams)


def test_a_stream_of_a_stimulus_that_renders_itself():
    def generate(split, rng, *, trials: int = 4):
        made = moving_digits.generate(split, rng, height=9, width=8, trials=trials, frames=5).load()
        return made.drop_attrs()

    spec = {"height": 9, "width": 8, "frames": 5}
    expected = Stream("moving_digits", spec, 1, 30, torch.device("cpu"))[3]
    mine = SimpleNamespace(generate=generate)
    found = Stream("my_digits", {}, 1, 30, torch.device("cpu"), mine)[3]
    assert torch.equal(found.frames, expected.frames)
    assert torch.equal(found.label, expected.label)


def test_training_on_a_stream_can_be_resumed(data, tmp_path, network, small):
    def stream():
        spec = {"height": 9, "width": 8, "frames": 7}
        return Stream("moving_digits", spec, seed=3, batch=small.batch, device=torch.device("cpu"))

    def killed(done, *_):
        if done == 32:
            raise KeyboardInterrupt

    undisturbed, again, file = network(), network(), tmp_path / "run.ckpt"
    train(undisturbed, small, stream(), data[1], 3)
    with pytest.raises(KeyboardInterrupt):
        train(network(), small, stream(), data[1], 3, checkpoint=file, identity="a", report=killed)
    train(again, small, stream(), data[1], 3, checkpoint=file, identity="a")
    torch.testing.assert_close(again.state_dict(), undisturbed.state_dict(), rtol=0, atol=0)


@pytest.fixture
def stimulus_file(tmp_path):
    """Write digits of seven frames with these attributes."""

    def write(**attrs):
        made = moving_digits.generate(
            "train", np.random.default_rng(0), height=9, width=8, trials=10, frames=7
        )
        netcdf.write(made, tmp_path / "made.h5", {"stage": "stimulus", **attrs})
        return tmp_path / "made.h5"

    return write


def test_sequences_of_a_file(stimulus_file, small):
    file = stimulus_file()
    assert sequences_of(file, 7).frames.shape == (10, 7, 1, 9, 8)
    source = training_source(file, small, 0, torch.device("cpu"))
    assert torch.equal(source[0].frames, Shuffled(sequences_of(file, 7), small.batch, 0)[0].frames)
    with pytest.raises(InputError, match="made.h5: expected at least 8 frames .*; it has 7"):
        training_source(file, small.model_copy(update={"horizon": 3}), 0, torch.device("cpu"))


def test_a_stream_by_the_specification_of_a_file(stimulus_file, small):
    settings = small.model_copy(update={"stream": True})
    spec = '{"family": "moving_digits", "split": "train", "height": 9, "width": 8, "frames": 7}'
    source = training_source(stimulus_file(specification=spec), settings, 5, torch.device("cpu"))
    expected = Stream("moving_digits", {"height": 9, "width": 8, "frames": 7}, 5, 8, torch.device("cpu"))
    assert torch.equal(source[1].frames, expected[1].frames)
    file = stimulus_file(specification=spec.replace("train", "test"))
    with pytest.raises(InputError, match="made.h5: to stream, expected a file of split train"):
        training_source(file, settings, 5, torch.device("cpu"))
    with pytest.raises(InputError, match="made.h5: to stream, expected a file by .*, with its specification"):
        training_source(stimulus_file(specification=""), settings, 5, torch.device("cpu"))
    file = stimulus_file(specification=spec)
    with pytest.raises(InputError, match="made.h5: expected at least 9 frames"):
        training_source(file, settings.model_copy(update={"context": 5}), 5, torch.device("cpu"))
