"""A recording is verified against the checksums that were written with it."""

import h5py
import numpy as np
import pytest

from flowsim import InputError, open_recording, record
from stimuli import moving_digits


@pytest.fixture
def file(tmp_path, fernn, probe):
    record(fernn, probe, tmp_path / "a.h5", codec="none")
    return tmp_path / "a.h5"


def test_a_whole_file_is_verified(file):
    assert open_recording(file, verify=True).state.sizes["flow"] == 9


def test_a_flipped_bit_is_told_when_asked(file):
    with h5py.File(file) as h5:
        at = h5["state"].id.get_chunk_info(3).byte_offset + 40
    content = bytearray(file.read_bytes())
    content[at] ^= 16
    file.write_bytes(bytes(content))
    open_recording(file).state.load()
    with pytest.raises(
        InputError, match="a.h5: state is not what was written; the file is damaged. Record it again"
    ):
        open_recording(file, verify=True)


def test_a_chunk_that_cannot_be_read(file, fernn, probe):
    record(fernn, probe, file)
    with h5py.File(file) as h5:
        at = h5["state"].id.get_chunk_info(3).byte_offset + 40
    content = bytearray(file.read_bytes())
    content[at : at + 8] = b"\xff" * 8
    file.write_bytes(bytes(content))
    with pytest.raises(
        InputError, match="a.h5: state (cannot be read .*|is not what was written); the file is damaged"
    ):
        open_recording(file, verify=True)


def test_a_file_without_checksums(file):
    with h5py.File(file, "a") as h5:
        for name in [n for n in h5.attrs if n.startswith("checksum_")]:
            del h5.attrs[name]
    open_recording(file)
    with pytest.raises(InputError, match="expected checksums .*; the file has none"):
        open_recording(file, verify=True)


def test_moving_digits_is_what_is_recorded(fernn, tmp_path):
    """The last block of trials is a part of a chunk."""
    made = moving_digits.generate("test", np.random.default_rng(0), height=9, width=8, trials=70, frames=6)
    record(fernn, made, tmp_path / "a.h5")
    np.testing.assert_array_equal(open_recording(tmp_path / "a.h5", verify=True).frames[0], made.frames)
