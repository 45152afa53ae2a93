"""Files of weights are read whole or not at all, and a checkpoint says which training it belongs to."""

import pytest
import torch

from flowsim import InputError
from flowsim.training.weights import Identity, load, load_network, save
from tests.known.weights import trained


def test_damaged_weights(tmp_path):
    file = tmp_path / "run.pt"
    save(trained(hardware="an abacus"), file, "weights")
    assert load(file, "weights")["hardware"] == "an abacus"
    with pytest.raises(InputError, match="run.pt: expected checkpoint; this is a file of weights"):
        load(file, "checkpoint")
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for damaged in (whole[:2000], bytes(flipped), b""):
        file.write_bytes(damaged)
        with pytest.raises(
            InputError,
            match=r"run.pt: expected weights(, but it cannot be read .* move run.pt away| by flowsim; this is an empty file)",
        ):
            load(file, "weights")
    torch.save({"format": 99}, file)
    with pytest.raises(InputError, match="of format 2; this is another file, or of another version"):
        load(file, "weights")
    with pytest.raises(InputError, match="found no such file"):
        load(tmp_path / "none.pt", "weights")


def test_weights_of_a_changed_network_are_told(tmp_path, network, fit):
    save(trained(best={"other": torch.zeros(3)}), tmp_path / "a.pt", "weights")
    with pytest.raises(
        InputError, match=r"a.pt: these weights do not fit the network as it is now \(.*Missing key"
    ):
        load_network(tmp_path / "a.pt")


def test_an_identity_is_the_same_text_for_the_same_training():
    one = Identity({"network": {"model": "fernn"}, "train": {"batch": 8}}, 3, "0123", ("ab", "cd"))
    other = Identity({"train": {"batch": 8}, "network": {"model": "fernn"}}, 3, "0123", ("ab", "cd"))
    assert one.to_json() == other.to_json()
    assert Identity.from_json(one.to_json()) == one
    changes = ({"train": {}}, 3, "0123", ("ab", "cd")), (one.specification, 4, "0123", ("ab", "cd"))
    changes += (one.specification, 3, "4567", ("ab", "cd")), (one.specification, 3, "0123", ("cd", "ab"))
    assert all(Identity(*change).to_json() != one.to_json() for change in changes)


@pytest.mark.parametrize("text", ["a", "[1, 2]", "{}", '{"inputs": [], "seed": 3}'])
def test_what_is_no_identity(text):
    with pytest.raises(
        InputError, match="expected the identity of a training; this one is of another version"
    ):
        Identity.from_json(text)
