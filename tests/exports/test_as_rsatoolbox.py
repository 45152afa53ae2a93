"""A dataset of rsatoolbox holds what the recording holds."""

import sys

import numpy as np
import pytest

from flowsim import InputError
from flowsim.exports.as_rsatoolbox import to_rsatoolbox, write_rsatoolbox


def test_arguments_of_rsatoolbox_are_plain(recording):
    arguments = to_rsatoolbox(recording, time=2)
    assert arguments["measurements"].shape == (27, 9 * 2 * 9 * 8)
    assert "time_descriptors" not in arguments
    assert all(type(v) is np.ndarray and len(v) == 27 for v in arguments["obs_descriptors"].values())
    assert all(len(v) == 1296 for v in arguments["channel_descriptors"].values())
    assert arguments["descriptors"]["law"] == "transport+shift"
    assert to_rsatoolbox(recording)["time_descriptors"]["time"].tolist() == [0, 2, 4]


@pytest.mark.parametrize("site", ["state", "prediction", "logits"])
def test_rsatoolbox_takes_them(recording, site, tmp_path):
    rsatoolbox = pytest.importorskip("rsatoolbox", reason="rsatoolbox is not installed")
    one = rsatoolbox.data.Dataset(**to_rsatoolbox(recording, site, time=2))
    rdm = rsatoolbox.rdm.calc_rdm(one, method="euclidean", descriptor="stimulus")
    values = recording[site].sel(time=2).values.reshape(27, -1)
    distance = ((values[0] - values[5]) ** 2).mean()
    names = rdm.pattern_descriptors["stimulus"]
    i, j = (list(names).index(f"flow{f}-trial{t}") for f, t in ((0, 0), (1, 2)))
    assert rdm.get_matrices()[0, i, j] == pytest.approx(distance, rel=1e-4)
    ascii_only = recording.drop_vars("kind")
    write_rsatoolbox(to_rsatoolbox(ascii_only, site), tmp_path / "a.h5")
    read = rsatoolbox.data.load_dataset(str(tmp_path / "a.h5"))
    expected = rsatoolbox.data.TemporalDataset(**to_rsatoolbox(ascii_only, site))
    np.testing.assert_array_equal(read.measurements, expected.measurements)
    for dataset in (read, expected):  # NaN, where there is no prediction, is not equal to itself
        dataset.measurements = np.nan_to_num(dataset.measurements)
    assert read == expected


def test_rsatoolbox_writes_ascii(recording, tmp_path):
    pytest.importorskip("rsatoolbox", reason="rsatoolbox is not installed")
    message = "kind holds text beyond ASCII, which files of rsatoolbox cannot; drop it before the export"
    with pytest.raises(InputError, match=message):
        write_rsatoolbox(to_rsatoolbox(recording), tmp_path / "a.h5")
    assert not list(tmp_path.iterdir())


def test_a_frame_that_was_not_recorded(recording):
    with pytest.raises(InputError, match="frame 1 was not recorded; expected mean, or one of 0, 2, 4"):
        to_rsatoolbox(recording, time=1)


def test_a_missing_package_is_named(recording, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rsatoolbox.data", None)
    with pytest.raises(
        InputError, match="to write a file of rsatoolbox, install it: pip install rsatoolbox$"
    ):
        write_rsatoolbox(to_rsatoolbox(recording), tmp_path / "a.h5")
    assert not list(tmp_path.iterdir())
