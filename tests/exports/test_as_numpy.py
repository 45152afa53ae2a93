"""Arrays of numpy hold all of a recording."""

import json

import numpy as np

from flowsim.exports.as_numpy import to_numpy


def test_numpy_holds_everything(recording, tmp_path):
    to_numpy(recording, tmp_path / "a.npz")
    to_numpy(recording, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz") as held:
        assert set(held) == {*map(str, recording.variables), "dimensions", "attributes"}
        for name in ("state", "prediction", "frames", "flow_vy", "object_label"):
            np.testing.assert_array_equal(held[name], recording[name])
            assert json.loads(str(held["dimensions"]))[name] == list(recording[name].dims)
        assert held["kind"].tolist() == ["früh", "spät", "spät"]
        attributes = json.loads(str(held["attributes"]))
    assert attributes["state"]["law"] == "transport+shift"
    assert attributes[""]["network"] == "fernn"
    assert not [name for name in attributes[""] if name.startswith("checksum_")]
