"""Recordings are opened lazily, side by side if they fit together."""

import numpy as np
import pytest
import xarray as xr

from analysis import equivariance_error
from flowsim import InputError, open_recording, record


def test_runs_side_by_side(fernn, probe, tmp_path):
    for seed in range(3):
        attrs = {"network": "fernn", "seed": str(seed)}
        record(fernn, probe, tmp_path / f"{seed}.h5", attrs=attrs, sites=["prediction"])
    record(fernn, probe, tmp_path / "few.h5", trials=1, sites=["prediction"])
    together = open_recording(sorted(tmp_path.glob("?.h5")))
    assert together.prediction.dims == ("run", "flow", "trial", "time", "y", "x")
    assert together.run.values.tolist() == ["fernn-seed0", "fernn-seed1", "fernn-seed2"]
    assert together.prediction.chunks is not None
    np.testing.assert_array_equal(together.prediction[1], open_recording(tmp_path / "1.h5").prediction)
    with pytest.raises(
        InputError, match="side by side need the same variables and sizes; .*0.h5 has .*few.h5"
    ):
        open_recording([tmp_path / "0.h5", tmp_path / "few.h5"])
    for other in (probe.assign_coords(label=probe.label + 1), probe.isel(flow=[1, 0, *range(2, 9)])):
        record(fernn, other, tmp_path / "other.h5", sites=["prediction"])
        with pytest.raises(InputError, match="need the same trials, .* of .*other.h5 and of .*0.h5 differ"):
            open_recording([tmp_path / "0.h5", tmp_path / "other.h5"])
    with pytest.raises(InputError, match="expected at least one recording"):
        open_recording([])


PARTS = [
    {"trial": [0, 1], "flow": slice(0, 3)},
    {"trial": [2, 0]},
    {"time": slice(2, 5)},
    {"time": slice(None, None, 2)},
    {"channel": [0]},
    {"x": slice(4), "y": slice(1, 8)},
    {"flow": [3]},
]


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_a_saved_part_of_a_recording_is_a_recording(part, fernn, probe, tmp_path):
    record(fernn, probe, tmp_path / "whole.h5")
    chosen = open_recording(tmp_path / "whole.h5").isel(part)
    chosen.to_netcdf(tmp_path / "part.h5")
    found = open_recording(tmp_path / "part.h5")
    xr.testing.assert_identical(found.load(), chosen.load())
    with pytest.raises(InputError, match="the file has none, so it cannot be verified"):
        open_recording(tmp_path / "part.h5", verify=True)
    open_recording(tmp_path / "whole.h5", verify=True)


def test_analyses_read_a_saved_part(fernn, probe, tmp_path):
    record(fernn, probe, tmp_path / "whole.h5")
    open_recording(tmp_path / "whole.h5").isel(flow=[0, 2, 5], trial=[0, 2]).to_netcdf(tmp_path / "part.h5")
    whole = equivariance_error.analyse(open_recording(tmp_path / "whole.h5"))
    part = equivariance_error.analyse(open_recording(tmp_path / "part.h5"))
    assert part.sizes["flow"] == 3
    assert float(part.error.sel(law="transport+shift").max()) < 1e-5
    assert float(part.error.sel(law="invariant")[1:, 1:].min()) > 0.01
    assert whole.error.dims == part.error.dims


@pytest.mark.parametrize("dim", ["flow", "trial", "time"])
def test_one_entry_is_saved_by_a_list(dim, fernn, probe, tmp_path):
    record(fernn, probe, tmp_path / "whole.h5")
    open_recording(tmp_path / "whole.h5").isel({dim: 0}).to_netcdf(tmp_path / "part.h5")
    with pytest.raises(InputError, match=rf"it lacks {dim}. To save one .* by a list: isel\({dim}=\[0\]\)"):
        open_recording(tmp_path / "part.h5")
