"""Recordings are opened lazily, side by side if they fit together."""

import numpy as np
import pytest

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
