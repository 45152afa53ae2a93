"""One training from files to the content of a file of weights."""

import numpy as np
import pytest
import torch

from flowsim import InputError
from flowsim.files import netcdf
from flowsim.training.from_files import Run, partial_note
from flowsim.training.settings import RunBlock
from flowsim.training.train import Curve
from stimuli import moving_digits

NETWORK = {"model": "fernn", "max_speed": 1, "channels": 2, "decoder_layers": 1}


@pytest.fixture
def prepared(small, tmp_path):
    """Prepare a training on files of digits, with some settings changed."""
    for split in ("train", "valid"):
        made = moving_digits.generate(split, np.random.default_rng(0), height=9, width=8, trials=9, frames=7)
        netcdf.write(made, tmp_path / f"{split}.h5", {"stage": "stimulus"})

    def prepare(name="", network=NETWORK, seed=2, **changes):
        settings = small.model_copy(update={"sequences": 16, **changes})
        block = RunBlock(name=name, network=network, train=settings)
        return Run.prepare(block, seed, tmp_path / "train.h5", tmp_path / "valid.h5", torch.device("cpu"))

    return prepare


def test_what_is_said_of_a_partial_training():
    assert partial_note(Curve(sequences=[1, 12_800]), 2_700_000) == "after 12,800 of 2,700,000 sequences"
    assert partial_note(Curve(sequences=[2_700_000]), 2_700_000) == ""
    assert partial_note(Curve(sequences=[2_700_032]), 2_700_000) == ""


def test_a_run_from_files_to_weights(prepared, tmp_path):
    run = prepared(name="little")
    content = run.train(tmp_path / "a.ckpt")
    assert run.name == "little-seed2"
    assert content["name"] == "little"
    assert content["frame_shape"] == [9, 8]
    assert content["parameters"] == sum(weight.numel() for weight in content["last"].values())
    assert content["curve"]["sequences"] == [16]
    assert content["partial"] == ""
    again = prepared(name="little").train(tmp_path / "b.ckpt")
    torch.testing.assert_close(again["last"], content["last"], rtol=0, atol=0)
    assert prepared().name == "fernn-seed2"


def test_settings_that_leave_the_result_do_not_change_the_identity(prepared):
    plain = prepared().identity
    assert prepared(micro_batch=2, recompute=1).identity == plain
    for other in (prepared(batch=4), prepared(seed=3), prepared(network={**NETWORK, "channels": 3})):
        assert other.identity != plain


def test_a_network_that_does_not_fit_the_stimulus(prepared):
    with pytest.raises(InputError, match="--spec: network: the velocity grid .* too large for frames of 9x8"):
        prepared(network={"model": "fernn", "max_speed": 5})
    with pytest.raises(InputError, match="this network has no classes"):
        prepared(task="classify")
