"""Every coordinate of a stimulus is found again in the recording, under a name that says whose it is."""

import datetime

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from torch import nn

from flowsim import InputError, Site, open_recording, record
from flowsim.files import netcdf

FIRST = pd.Timestamp("2020-01-01 10:00")
LEVELS = pd.MultiIndex.from_tuples([("a", 1), ("b", 2), ("c", 3)], names=["person", "session"])
COORDS = {
    "date": pd.date_range(FIRST, periods=3).values,
    "lasted": pd.to_timedelta([1, 2, 3], "s").values,
    "fraction": np.array([0.5, 1.5, 2.5], np.longdouble),
    "shown": np.array([True, False, True]),
    "text": np.array(["a", "ü", "c"]),
}


@pytest.fixture(params=["stimulus", "recording"])
def reread(request, fernn, file, tmp_path):
    """Write a stimulus, or record it, and read what was written."""

    def stimulus(made):
        netcdf.write(made, file, {"stage": "stimulus"})
        return netcdf.read(file, "stimulus").load()

    def recording(made):
        record(fernn, made, file, sites=["prediction"])
        return open_recording(file).load()

    return stimulus if request.param == "stimulus" else recording


@pytest.mark.parametrize("name", COORDS)
def test_kinds_of_values(name, probe, reread):
    found = reread(probe.assign_coords({name: ("trial", COORDS[name])}))
    np.testing.assert_array_equal(found[name], COORDS[name])
    assert name in found.coords


def test_missing_values_among_objects(probe, reread):
    found = reread(
        probe.assign_coords(
            kind=("trial", np.array(["a", None, "c"], object)),
            size=("trial", np.array([1, None, 2.5], object)),
            also=("trial", pd.Categorical(["a", "b", "a"])),
        )
    )
    assert found.kind.values.tolist() == ["a", "", "c"]
    np.testing.assert_array_equal(found["size"], [1, np.nan, 2.5])
    assert found.also.values.tolist() == ["a", "b", "a"]


def test_levels_of_a_multiindex(probe, reread):
    coords = xr.Coordinates.from_pandas_multiindex(LEVELS, "trial")
    found = reread(probe.assign_coords(coords))
    assert found.person.values.tolist() == ["a", "b", "c"]
    assert found.session.values.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("coords", "message"),
    [
        ({"kind": ("trial", np.array(["a", 1, 2.5], object))}, "expected kind of numbers, text or dates"),
        ({"kind": ("trial", np.array([{1}, {2}, {3}], object))}, "one kind of them; got set"),
        ({"my kind": ("trial", [1, 2, 3])}, "names without spaces and '/'.*got 'my kind'. Rename it"),
        ({"a/b": ("trial", [1, 2, 3])}, "got 'a/b'"),
        ({5: ("trial", [1, 2, 3])}, "got 5"),
        ({"kind": ("trial", [1, 2, 3], {"scale_factor": 2})}, "kind has the attribute scale_factor"),
    ],
)
def test_what_netcdf_cannot_hold(coords, message, probe, reread):
    with pytest.raises(InputError, match=message) as error:
        reread(probe.assign_coords(coords))
    assert "\n" not in str(error.value)


ATTRIBUTES = [
    (None, "None"),
    ({"a": [1, None]}, '{"a": [1, null]}'),
    (True, 1),
    (np.bool_(False), 0),
    (datetime.date(2020, 1, 2), "2020-01-02"),
    (np.datetime64("2020-01-02"), "2020-01-02"),
    (1j, "1j"),
    (["a", 1], '["a", "1"]'),
    (["a", "b"], ["a", "b"]),
    ([[1, 2], [3]], "[[1, 2], [3]]"),
    ([1, 2], [1, 2]),
    (np.array(["a", "b"]), '["a", "b"]'),
    (2**70, str(2**70)),
    ("text", "text"),
    (0.5, 0.5),
]


@pytest.mark.parametrize(("value", "expected"), ATTRIBUTES, ids=[repr(value) for value, _ in ATTRIBUTES])
def test_attributes_of_any_type(value, expected, probe, reread, fernn, tmp_path):
    made = probe.assign_coords(kind=("trial", [1, 2, 3], {"note": value})).assign_attrs(note=value)
    found = reread(made)
    assert np.array_equal(found.kind.attrs["note"], expected)
    record(fernn, probe, tmp_path / "attrs.h5", sites=["prediction"], attrs={"note": value})
    assert np.array_equal(open_recording(tmp_path / "attrs.h5").attrs["note"], expected)


def test_names_of_the_recording_s_own(fernn, probe, file):
    more = probe.assign_coords(
        time=[0.0, 0.1, 0.2, 0.3, 0.4, 0.5],
        state=("trial", [1, 2, 3]),
        prediction=("trial", [4, 5, 6]),
        channel=("trial", [7, 8, 9]),
        weight=(("trial", "velocity"), np.arange(12).reshape(3, 4)),
        x=np.arange(8) / 8,
    )
    record(fernn, more, file, every=2)
    recording = open_recording(file)
    assert recording.time.values.tolist() == [0, 2, 4]
    np.testing.assert_allclose(recording.stimulus_time, [0, 0.2, 0.4])
    for name in ("state", "prediction", "channel"):
        np.testing.assert_array_equal(recording[f"stimulus_{name}"], more[name])
    assert recording.weight.dims == ("trial", "stimulus_velocity")
    np.testing.assert_array_equal(recording.weight, more.weight)
    np.testing.assert_array_equal(recording.x, more.x)
    assert recording.state.sizes["channel"] == 3


def test_two_coordinates_of_one_name(fernn, probe, file):
    with pytest.raises(InputError, match="two coordinates would be called object_label"):
        record(fernn, probe.assign_coords(object_label=("trial", [1, 2, 3])), file)


def test_a_coordinate_called_like_an_axis_of_the_network(probe, file):
    network = nn.GRU(72, 5, batch_first=True)
    more = probe.assign_coords(unit=("trial", [1, 2, 3]))
    sites = {"state": Site("", ("trial", "time", "unit"), (0,))}
    record(network, more, file, sites=sites)
    np.testing.assert_array_equal(open_recording(file).stimulus_unit, [1, 2, 3])
