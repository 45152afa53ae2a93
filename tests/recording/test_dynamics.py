"""What is worked out of a network lies in its recording, and disturbs nothing else there."""

import json

import numpy as np
import pytest
import torch
import xarray as xr

from flowsim import InputError, open_recording, record
from flowsim.recording.settings import ExponentsBlock, FixedPointsBlock, RecordBlock
from flowsim.specification import validate
from flowsim.views.inspection import describe

FEW = {
    "fixed_points": {"trials": 2, "flows": 2, "multipliers": 3},
    "exponents": {"trials": 1, "number": 2, "rollout": 3},
}


def test_it_lies_beside_what_the_network_did(fernn, probe, file, tmp_path):
    said = []
    record(fernn, probe, file, context=4, announce=said.append, **FEW)
    made = open_recording(file)
    assert made.fixed_point.dims == (
        *("fixed_point_flow", "fixed_point_trial", "fixed_point_velocity", "fixed_point_channel"),
        *("y", "x"),
    )
    assert made.fixed_point.dtype == np.float32
    assert made.fixed_point_residual.dtype == np.float64
    assert made.fixed_point.attrs["input"] == "frame"
    assert made.fixed_point_flow_vy.dims == ("fixed_point_flow",)
    assert made.fixed_point_flow_vx.attrs["units"] == "px/frame"
    assert made.exponent_growth.dims == ("exponent_trial", "exponent_time", "exponent_number")
    assert made.exponent_time.values.tolist() == [1, 2, 3, 4, 5, 6]
    assert all(
        values.attrs["long_name"] and values.attrs["units"]
        for name, values in made.data_vars.items()
        if str(name).startswith(("fixed_point", "exponent"))
    )
    assert said[0] == "solving for fixed points: 2 trials under 2 flows"
    assert json.loads(made.attrs["specification"])["exponents"] == FEW["exponents"]
    record(fernn, probe, tmp_path / "plain.h5", context=4)
    plain = open_recording(tmp_path / "plain.h5")
    for name in ("state", "prediction", "frames"):
        np.testing.assert_array_equal(made[name], plain[name])
    assert not any(str(name).startswith(("fixed_point", "exponent")) for name in plain.variables)
    assert "fixed_point_residual (fixed_point_flow, fixed_point_trial)" in describe(file)
    assert "attributes, coordinates and variables" in describe(file, check=True)


def test_in_double_it_is_kept_in_double(fernn, probe, file):
    record(fernn.double(), probe, file, dtype="float64", fixed_points=FixedPointsBlock(**FEW["fixed_points"]))
    assert open_recording(file).fixed_point.dtype == np.float64


def test_a_stimulus_without_flows_rests(fernn, rng, file):
    record(
        fernn, rng.random((2, 4, 9, 8)), file, fixed_points={}, exponents=ExponentsBlock(**FEW["exponents"])
    )
    made = open_recording(file)
    assert made.fixed_point_flow_vy.values.tolist() == [0]
    assert made.exponent_orbit_growth.sizes["exponent_tangent"] == 2


def test_which_frame_is_the_picture(grnn, rng, file):
    """The last that is seen, if nothing else is said."""
    films = rng.random((1, 5, 9, 8))
    by_number = {}
    for number, settings in {None: {}, 2: {"frame": 2}, 0: {"frame": 0}}.items():
        record(grnn, films, file, context=3, fixed_points=settings)
        with open_recording(file) as made:
            by_number[number] = made.fixed_point.values
    np.testing.assert_array_equal(by_number[None], by_number[2])
    assert not np.allclose(by_number[0], by_number[2])
    with pytest.raises(InputError, match="frame must be one of the 5 frames of the stimulus.*; got 5"):
        record(grnn, films, file, fixed_points={"frame": 5})


def test_settings_are_checked(grnn, probe, file):
    with pytest.raises(InputError, match="fixed_points: unknown key 'trial'"):
        record(grnn, probe, file, fixed_points={"trial": 2})
    with pytest.raises(InputError, match="exponents: number: "):
        record(grnn, probe, file, exponents={"number": 0})
    block = validate(RecordBlock, {"fixed_points": {}, "exponents": {"rollout": 0}}, "record")
    assert block.fixed_points == FixedPointsBlock()
    assert block.model_dump()["exponents"]["rollout"] == 0


def test_other_modules_are_refused_before_anything_is_written(conv, probe, file, conv_sites, called):
    with pytest.raises(InputError, match="exponents: expected a flowsim.Network, .*; got ConvLSTM"):
        record(conv, probe, file, sites=conv_sites, feed=called, exponents={})
    assert not file.exists()


def test_the_network_computes_as_before(fernn, probe, file):
    state = torch.get_rng_state()
    before = {name: values.clone() for name, values in fernn.state_dict().items()}
    record(fernn, probe, file, **FEW)
    assert all(torch.equal(values, before[name]) for name, values in fernn.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert next(fernn.parameters()).dtype == torch.float32


def test_a_part_that_is_saved_is_a_recording(fernn, probe, file, tmp_path):
    record(fernn, probe, file, **FEW)
    with open_recording(file) as made:
        made.isel(trial=[0]).to_netcdf(tmp_path / "part.h5", engine="h5netcdf")
    assert "fixed_point" in open_recording(tmp_path / "part.h5")
    with xr.open_dataset(file, engine="h5netcdf") as plain:
        assert "fixed_point_flow_vy" in plain.coords
