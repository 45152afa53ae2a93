"""An assembly holds what the recording holds, under the names of Brain-Score."""

import numpy as np
import pytest
import xarray as xr

from flowsim import InputError
from flowsim.exports.as_assembly import to_assembly, write_assembly
from flowsim.exports.common import stimulus_set


def test_an_assembly_says_of_every_value_what_it_is(recording, rng):
    assembly = to_assembly(recording)
    assert assembly.dims == ("presentation", "neuroid", "time_bin")
    assert assembly.chunks is not None
    for _ in range(50):
        at = assembly[tuple(rng.integers(assembly.shape))].compute()
        where = {}
        for dim in ("flow", "velocity"):
            own = [(recording[f"{dim}_{c}"] == float(at[f"{dim}_{c}"])).values for c in ("vy", "vx")]
            where[dim] = int((own[0] & own[1]).argmax())
        assert where["flow"] == at.flow
        where |= {
            "trial": int(at.trial),
            "channel": int(at.channel),
            "y": int(at.channel_y),
            "x": int(at.channel_x),
        }
        assert at == recording.state[where].sel(time=int(at.time_bin_start))
        assert at.object_label_1 == recording.object_label[int(at.trial), 1]
        assert at.kind == recording.kind[int(at.trial)]
        assert at.neuroid_id == f"fernn-seed3.state.{int(at.neuroid_num)}"
    assert assembly.stimulus_id.values.tolist()[:4] == [
        "flow0-trial0",
        "flow0-trial1",
        "flow0-trial2",
        "flow1-trial0",
    ]
    assert len(set(assembly.stimulus_id.values)) == 27
    np.testing.assert_array_equal(assembly.image_id, assembly.stimulus_id)
    assert assembly.time_bin_end.values.tolist() == [1, 3, 5]
    assert "drift" not in assembly.coords
    assert assembly.attrs["stimulus_set_identifier"] == stimulus_set(recording) == "shown"
    assert assembly.attrs["law"] == "transport+shift"


def test_an_assembly_can_be_indexed_as_brain_score_does(recording):
    """`NeuroidAssembly` gathers all coordinates of a dimension into one MultiIndex."""
    assembly = to_assembly(recording, time=2).compute()
    assert assembly.dims == ("presentation", "neuroid")
    names = {d: [n for n, c in assembly.coords.items() if c.dims == (d,)] for d in assembly.dims}
    gathered = assembly.set_index(names, append=True)
    chosen = gathered.sel(neuroid=gathered.channel_y == 3)
    np.testing.assert_array_equal(chosen, recording.state.sel(time=2).isel(y=3).values.reshape(27, -1))


def test_one_time_or_the_mean(recording):
    state = recording.state.values.reshape(9, 3, 3, -1)
    np.testing.assert_array_equal(to_assembly(recording, time=4), state[:, :, 2].reshape(27, -1))
    np.testing.assert_allclose(to_assembly(recording, time="mean"), state.mean(2).reshape(27, -1), atol=1e-6)
    predicted = recording.prediction.values.reshape(27, 3, -1)
    mean = to_assembly(recording, "prediction", time="mean").values
    np.testing.assert_allclose(mean, predicted[:, 1:].mean(1), atol=1e-6)  # there is none of the first frame
    half = recording.assign(state=recording.state.astype("float16"))
    assert to_assembly(half, time="mean").dtype == np.float32


def test_an_assembly_is_written_as_netcdf(recording, tmp_path):
    assembly = to_assembly(recording)
    write_assembly(assembly, tmp_path / "a.nc")
    with xr.open_dataarray(tmp_path / "a.nc", engine="h5netcdf") as read:
        xr.testing.assert_equal(read.load(), assembly.compute())
        assert read.name == "state"
        assert read.attrs["network"] == "fernn"


@pytest.mark.parametrize(
    ("changed", "site", "message"),
    [
        (
            lambda recording: xr.concat([recording, recording], "run", data_vars="all"),
            "state",
            r"expected one recording; got 2 along run. Choose: isel\(run=0\)",
        ),
        (
            lambda recording: recording,
            "retina",
            "expected the recording to hold 'retina'; it holds frames, state",
        ),
        (
            lambda recording: recording.assign(c=("checkpoint", [1.0])),
            "c",
            r"expected a site over \(flow, trial, time, ...\), one of: frames, .*; c is over \(checkpoint\)",
        ),
    ],
)
def test_mistakes(recording, changed, site, message):
    with pytest.raises(InputError, match=message):
        to_assembly(changed(recording), site)
