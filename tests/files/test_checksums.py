"""A file is compared with the checksums that were written with it."""

import hashlib

import h5py
import numpy as np
import pytest
import xarray as xr

from flowsim import InputError, open_recording, record
from flowsim.files import netcdf
from flowsim.files.checksums import seal, sealed
from stimuli import moving_digits


@pytest.fixture
def file(tmp_path, fernn, probe):
    record(fernn, probe, tmp_path / "a.h5", codec="none")
    return tmp_path / "a.h5"


def flip(file, at, bit=4):
    content = bytearray(file.read_bytes())
    content[at] ^= 1 << bit
    file.write_bytes(bytes(content))


def test_a_whole_file_is_verified(file):
    assert open_recording(file, verify=True).state.sizes["flow"] == 9


def test_a_flipped_bit_is_told_as_it_is_read_and_when_asked(file):
    with h5py.File(file) as h5:
        chunk = h5["state"].id.get_chunk_info(3)
    first_flow, trial, time = chunk.chunk_offset[:3]
    flip(file, chunk.byte_offset + 40)
    told = "a.h5: state is not what was written; the file is damaged. Record it again"
    opened = open_recording(file)
    opened.state[:, 2].load()  # not read together with trial 0
    with pytest.raises(InputError, match=told):
        opened.state[first_flow, trial, time].load()
    with pytest.raises(InputError, match=told):
        open_recording(file, verify=True)


@pytest.mark.parametrize("name", ["flow_vx", "time", "object_label", "frames"])
def test_a_flipped_bit_of_what_is_small_is_told_on_opening(file, name):
    with h5py.File(file) as h5:
        stored = h5[name].id
        flip(file, stored.get_offset() or stored.get_chunk_info(0).byte_offset, 0)
    with pytest.raises(
        InputError,
        match="a.h5: expected a whole HDF5 file, but it cannot be read .a coordinate, .* is not what was written",
    ):
        open_recording(file)


def test_a_chunk_that_cannot_be_read(file, fernn, probe):
    record(fernn, probe, file)
    with h5py.File(file) as h5:
        at = h5["state"].id.get_chunk_info(3).byte_offset + 40
    content = bytearray(file.read_bytes())
    content[at : at + 8] = b"\xff" * 8
    file.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"a.h5: .* is not what was written"):
        open_recording(file, verify=True)


def change_value(h5):
    h5["flow_vx"][1] += 1


def rename(h5):
    h5.move("prediction", "state2")


def lose_variable(h5):
    del h5["prediction"]


def lose_attribute(h5):
    del h5.attrs["flow_group"]


@pytest.mark.parametrize("change", [change_value, rename, lose_variable, lose_attribute])
def test_a_file_that_another_program_changed_is_told(file, change):
    with h5py.File(file, "a") as h5:
        change(h5)
    with pytest.raises(InputError, match="a.h5: expected checksums at its end, as flowsim wrote it"):
        open_recording(file)


def test_a_copy_by_another_program_is_read_and_cannot_be_verified(file, tmp_path):
    """Also one that takes all attributes over."""
    with xr.open_dataset(file, engine="h5netcdf") as opened:
        opened.isel(trial=[0, 1]).to_netcdf(tmp_path / "b.h5", engine="h5netcdf")
    assert open_recording(tmp_path / "b.h5").sizes["trial"] == 2
    with pytest.raises(InputError, match=r"the file has none, so it cannot be verified"):
        open_recording(tmp_path / "b.h5", verify=True)


def test_checksums_of_format_1_are_verified(file, tmp_path):
    """They are of values, as attributes."""
    made = open_recording(file).load()
    made.attrs["checksum_state"] = hashlib.sha256(made.state.values.data).hexdigest()
    made.to_netcdf(tmp_path / "old.h5", engine="h5netcdf")
    assert "checksum_state" not in open_recording(tmp_path / "old.h5", verify=True).attrs
    made.state[2] += 1
    made.to_netcdf(tmp_path / "old.h5", engine="h5netcdf")
    open_recording(tmp_path / "old.h5").state.load()
    with pytest.raises(InputError, match="old.h5: state is not what was written"):
        open_recording(tmp_path / "old.h5", verify=True)


def test_a_seal_of_any_file(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(bytes(range(200)))
    assert sealed(file) is None
    seal(file, {"middle": [(50, 20), (90, 10)]})
    whole = file.read_bytes()
    assert whole[:200] == bytes(range(200))
    assert sealed(file).compare_all() is None
    for at in range(len(whole)):
        flip(file, at, at % 8)
        if 50 <= at < 70 or 90 <= at < 100:
            with pytest.raises(InputError, match="middle is not what was written"):
                sealed(file).compare_all()
        elif at < len(whole) - 8:
            with pytest.raises(InputError, match="is not what was written"):
                sealed(file)
        else:
            assert sealed(file) is None  # its mark is lost, and with it that it had a seal
        file.write_bytes(whole)


def test_other_programs_do_not_see_a_seal(tmp_path):
    made = xr.Dataset({"a": ("x", np.arange(5.0))}, {"x": np.arange(5)}, {"stage": "analysis"})
    netcdf.write(made, tmp_path / "a.h5", {})
    for engine in ("h5netcdf", "netcdf4"):
        pytest.importorskip(engine.replace("netcdf4", "netCDF4"))
        with xr.open_dataset(tmp_path / "a.h5", engine=engine) as found:
            xr.testing.assert_equal(found.load(), made)


def test_blocks_of_any_size(file, fernn, rng):
    """Chunks of a block that begin within a chunk, and a last block that is smaller."""
    stimulus = moving_digits.generate("probe", rng, height=9, width=8, trials=41, frames=5, probe_speed=0)
    record(fernn, stimulus, file)
    recorded = open_recording(file, verify=True)
    np.testing.assert_array_equal(recorded.frames, stimulus.frames)
