"""A thinned recording is the same part of the full one."""

import numpy as np
import pytest

from flowsim import InputError, Units, open_recording, record


def test_thinned_recording_equals_the_thinned_full_one(fernn, probe, tmp_path):
    record(fernn, probe, tmp_path / "full.h5")
    record(fernn, probe, tmp_path / "thin.h5", trials=2, every=2, channels=2)
    full, thin = open_recording(tmp_path / "full.h5").load(), open_recording(tmp_path / "thin.h5").load()
    wanted = full.isel(trial=slice(2), time=slice(None, None, 2), channel=slice(2))
    np.testing.assert_array_equal(thin.frames, wanted.frames)
    for name in ("state", "prediction"):
        np.testing.assert_allclose(
            thin[name], wanted[name], atol=1e-6
        )  # a batch of another size may round otherwise
    assert thin.time.values.tolist() == [0, 2, 4]
    assert thin.object_label.shape[0] == 2


@pytest.mark.parametrize("by", ["subset", "projection"])
def test_thinned_units_are_those_of_the_full_recording(conv, probe, tmp_path, by, conv_sites, called):
    record(conv, probe, tmp_path / "full.h5", sites=conv_sites, feed=called)
    record(
        conv,
        probe,
        tmp_path / "thin.h5",
        sites=conv_sites,
        units=Units(20, by, seed=3),
        trials=2,
        flows=3,
        every=2,
        feed=called,
    )
    record(
        conv,
        probe,
        tmp_path / "same.h5",
        sites=conv_sites,
        units={"count": 20, "by": by, "seed": 3},
        flows=3,
        feed=called,
    )
    record(
        conv,
        probe,
        tmp_path / "other.h5",
        sites=conv_sites,
        units=Units(20, by, seed=4),
        flows=3,
        feed=called,
    )
    full, thin, same, other = (
        open_recording(tmp_path / f"{n}.h5").load() for n in ("full", "thin", "same", "other")
    )
    assert thin.state.dims == ("flow", "trial", "time", "unit")
    np.testing.assert_allclose(thin.state, same.state[:, :2, ::2], atol=1e-6)  # a batch of another size
    assert not np.array_equal(same.state, other.state)
    wanted = full.state.isel(flow=slice(3), trial=slice(2), time=slice(None, None, 2))
    flat = wanted.values.reshape(*wanted.shape[:3], -1)
    if by == "subset":
        at = [thin[f"unit_{axis}"].values for axis in ("velocity", "channel", "y", "x")]
        np.testing.assert_allclose(thin.state, wanted.values[:, :, :, *at], atol=1e-6)
        assert thin.below_unit_channel.max() < 3
        with pytest.raises(InputError, match="units: expected at most the 288 units that there are; got 289"):
            record(
                conv,
                probe,
                tmp_path / "many.h5",
                sites={"state": conv_sites["state"]},
                units=Units(289),
                feed=called,
            )
    else:
        from sklearn.random_projection import SparseRandomProjection

        own = SparseRandomProjection(20, random_state=3).fit(flat[0, 0])
        np.testing.assert_allclose(thin.state, flat @ own.components_.T.toarray(), atol=1e-5)
        assert "unit_channel" not in thin


def test_units_of_a_velocity_network_keep_their_velocities(fernn, probe, file):
    record(fernn, probe, file, sites=["state"], units=Units(30))
    recording = open_recording(file)
    own = np.array(fernn.grid.velocities)[recording.unit_velocity.values]
    np.testing.assert_array_equal(np.stack([recording.unit_velocity_vy, recording.unit_velocity_vx], -1), own)


def test_channels_and_flows(conv, probe, tmp_path, conv_sites, called):
    record(conv, probe, tmp_path / "full.h5", sites=conv_sites, feed=called)
    record(conv, probe, tmp_path / "thin.h5", sites=conv_sites, channels=2, flows=4, feed=called)
    full, thin = (open_recording(tmp_path / f"{n}.h5") for n in ("full", "thin"))
    np.testing.assert_array_equal(thin.state, full.state[:4, :, :, :, :2])
    np.testing.assert_array_equal(thin.below, full.below[:4, :, :, :2])
    np.testing.assert_array_equal(thin.flow_vx, full.flow_vx[:4])
