"""Files of weights and checkpoints whose keys are missing or of another type are refused in one line, before anything
of them is used; nothing else comes of them.
"""

import copy

import pytest
import torch

from flowsim import InputError, build
from flowsim.training.contents import CONTENTS, check_content
from flowsim.training.settings import TrainBlock
from flowsim.training.train import Training
from flowsim.training.weights import load_checkpoint, load_network, save
from tests.known.weights import checkpoint, trained

FOREIGN = [
    None,
    -1,
    1.5,
    "x",
    b"x",
    [],
    {},
    [None],
    {"a": 1},
    True,
    torch.zeros(3),
    {"a": torch.zeros(3)},
    float("nan"),
]
WHOLE = {"weights": trained, "checkpoint": checkpoint}


def used(kind, content, folder):
    """What a verb does with such a file."""
    file = folder / "a.pt"
    torch.save({"format": 2, "kind": kind, **content}, file)
    if kind == "weights":
        return load_network(file)[0]
    network = build("fernn", (8, 9), max_speed=1, channels=3, decoder_layers=1)
    training = Training(network, TrainBlock())
    training.resume(file, "this one")
    return training.network


@pytest.mark.parametrize("kind", CONTENTS)
def test_what_is_whole_is_used(kind, tmp_path):
    assert used(kind, WHOLE[kind](), tmp_path) is not None


def refusal(kind, content, folder):
    """The error by which a file is refused; "" if it is used."""
    try:
        used(kind, content, folder)
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("kind", "key"), [(kind, key) for kind in WHOLE for key in WHOLE[kind]()])
def test_foreign_values(kind, key, tmp_path):
    """Only another text, where any text may stand, cannot be told from the right one."""
    whole = WHOLE[kind]()
    missing = {name: value for name, value in whole.items() if name != key}
    for content in [missing, *(whole | {key: value} for value in FOREIGN)]:
        text = refusal(kind, content, tmp_path)
        if not text:
            assert isinstance(content[key], str)
            assert key in ("name", "partial", "hardware", "identity")
        assert not text or "a.pt: expected" in text or "do not fit the network" in text
        assert "\n" not in text


@pytest.mark.parametrize("block", ["optimiser", "schedule", "curve"])
def test_keys_lost_inside_of_a_block(block, tmp_path):
    for key in checkpoint()[block]:
        content = copy.deepcopy(checkpoint())
        del content[block][key]
        text = refusal("checkpoint", content, tmp_path)
        harmless = block == "schedule" and key != "last_epoch"  # torch keeps what the schedule was made with
        assert "a.pt: expected" in text or (harmless and not text), key


def test_a_curve_has_as_many_values_of_each():
    curve = {"sequences": [1, 2], "train_loss": [0.1], "valid_loss": [0.1, 0.2], "seconds": [1.0, 2.0]}
    with pytest.raises(InputError, match="curve: input should have as many values of each"):
        check_content(trained(curve=curve), "weights")


def test_weights_name_their_network():
    with pytest.raises(InputError, match="specification: input should be the JSON of a training"):
        check_content(trained(specification="{}"), "weights")


def test_what_was_saved_is_loaded_again(tmp_path):
    save(checkpoint(step=3), tmp_path / "a.ckpt", "checkpoint")
    assert load_checkpoint(tmp_path / "a.ckpt", "this one")["step"] == 3
