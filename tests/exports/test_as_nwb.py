"""NWB holds what the recording holds, and the validator of pynwb accepts it."""

import json
import sys

import h5py
import numpy as np
import pytest

from flowsim import InputError
from flowsim.exports import as_nwb
from flowsim.exports.as_nwb import to_nwb


@pytest.fixture(scope="module")
def pynwb():
    return pytest.importorskip("pynwb", reason="pynwb is not installed")


@pytest.fixture(scope="module")
def nwb(pynwb, recording, tmp_path_factory):
    """The recording as NWB, at 10 frames per second: a path."""
    path = tmp_path_factory.mktemp("nwb") / "a.nwb"
    to_nwb(recording, path, rate=10)
    return path


def test_the_validator_of_pynwb_passes(pynwb, nwb):
    assert pynwb.validate(path=str(nwb)) == []


def test_nwb_is_one_session_of_trials(pynwb, nwb, recording):
    with pynwb.NWBHDF5IO(str(nwb), "r") as io:
        session = io.read()
        trials = session.trials.to_dataframe()
        state = session.acquisition["state"]
        assert state.rate == 5  # every second of 10 frames per second
        assert len(trials) == 27
        assert trials.stop_time.iloc[-1] == pytest.approx(len(state.data) / state.rate)
        for row in (0, 4, 26):
            flow, trial = divmod(row, 3)
            start = round(trials.start_time[row] * state.rate)
            expected = recording.state[flow, trial].values.reshape(3, -1)
            np.testing.assert_array_equal(state.data[start : start + 3], expected)
            assert trials.flow_vx[row] == recording.flow_vx[flow]
            assert (
                trials.object_velocity_vy[row].tolist() == recording.object_velocity_vy[trial].values.tolist()
            )
            assert trials.kind[row] == recording.kind[trial]
            assert trials.drift[row].shape == (3,)
        assert "transport+shift" in state.description
        assert json.loads(session.notes)["network"] == "fernn"
        assert session.subject.subject_id == "fernn-seed3"


def test_nwb_says_what_each_unit_is(pynwb, nwb, recording, rng):
    with pynwb.NWBHDF5IO(str(nwb), "r") as io:
        session = io.read()
        units = session.processing["units"]["state_units"].to_dataframe()
        assert list(units) == ["velocity_vy", "velocity_vx", "channel", "y", "x"]
        for column in rng.integers(len(units), size=20):
            row = units.iloc[column]
            velocity = (recording.velocity_vy == row.velocity_vy) & (recording.velocity_vx == row.velocity_vx)
            place = {
                "velocity": int(velocity.values.argmax()),
                **{a: int(row[a]) for a in ("channel", "y", "x")},
            }
            values = recording.state[place].values.ravel()
            np.testing.assert_array_equal(session.acquisition["state"].data[:, column], values)
        assert session.processing["units"]["logits_units"].to_dataframe()["class"].tolist() == [0, 1, 2, 3]


def test_nwb_images_are_time_x_y(pynwb, nwb, recording):
    with pynwb.NWBHDF5IO(str(nwb), "r") as io:
        session = io.read()
        frames, predicted = session.stimulus["frames"], session.acquisition["prediction"]
        assert frames.dimension[:].tolist() == [8, 9]
        np.testing.assert_array_equal(frames.data, recording.frames.values.reshape(-1, 9, 8).swapaxes(1, 2))
        np.testing.assert_array_equal(
            predicted.data, recording.prediction.values.reshape(-1, 9, 8).swapaxes(1, 2)
        )


def test_nwb_of_chosen_sites_in_small_pieces_and_half_precision(pynwb, recording, tmp_path, monkeypatch):
    monkeypatch.setattr(as_nwb, "PIECE_BYTES", 1)
    monkeypatch.setattr(as_nwb, "CHUNK_BYTES", 1000)  # less than one frame's units
    half = recording.assign(state=recording.state.astype("float16"))
    to_nwb(half, tmp_path / "a.nwb", only=["state"])
    assert pynwb.validate(path=str(tmp_path / "a.nwb")) == []
    with h5py.File(tmp_path / "a.nwb") as h5:
        assert set(h5["acquisition"]) == {"state"}
        assert not list(h5["stimulus/presentation"])
        stored = h5["acquisition/state/data"]
        assert stored.dtype == np.float32
        assert stored.chunks == (1, 250)
        np.testing.assert_array_equal(stored, half.state.values.reshape(81, -1))


def test_nwb_of_other_networks(pynwb, hooked, tmp_path):
    taken = hooked.assign_coords(id=("trial", [5, 6]), name=("trial", ["a", "b"]))
    to_nwb(taken, tmp_path / "a.nwb")
    assert pynwb.validate(path=str(tmp_path / "a.nwb")) == []
    with h5py.File(tmp_path / "a.nwb") as h5:
        np.testing.assert_array_equal(h5["acquisition/hidden/data"], hooked.hidden.values.reshape(8, 3))
        np.testing.assert_array_equal(h5["processing/units/hidden_units/unit"], hooked.hidden_unit_unit)
        assert h5["intervals/trials/id_"][:].tolist() == [5, 6]


def test_mistakes(pynwb, recording, tmp_path):
    with pytest.raises(InputError, match="expected a rate above 0 frames per second; got 0"):
        to_nwb(recording, tmp_path / "a.nwb", rate=0)
    with pytest.raises(InputError, match="expected a recording with some site"):
        to_nwb(recording[["flow_vy"]], tmp_path / "a.nwb")
    with pytest.raises(InputError, match=r"expected recorded frames at equal steps; got \[0, 1, 4\]"):
        to_nwb(recording.assign_coords(time=[0, 1, 4]), tmp_path / "a.nwb")
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named(recording, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynwb", None)
    with pytest.raises(InputError, match="to write NWB, install pynwb: pip install pynwb$"):
        to_nwb(recording, tmp_path / "a.nwb")
    assert not list(tmp_path.iterdir())
