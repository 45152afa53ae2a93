"""A file that is not the expected one is called what it is, and nobody is told to delete it."""

import h5py
import numpy as np
import pytest
import torch

from flowsim import InputError
from flowsim.files import netcdf
from flowsim.files.identify import described
from flowsim.training import weights


def files(folder):
    """Files of several kinds, by the words for them."""
    made = {
        "an empty file": b"",
        "a PNG picture": b"\x89PNG\r\n\x1a\n",
        "a text file": b"title: two digits\n",
        "a file of an unknown kind": bytes([200, 1, 2, 255] * 5),
        "an HDF5 file that is locked, damaged or not whole": b"\x89HDF\r\n\x1a\n" + bytes(40),
    }
    paths = {}
    for number, (kind, content) in enumerate(made.items()):
        paths[kind] = folder / f"{number}.h5"
        paths[kind].write_bytes(content)
    for kind, stage in (("an HDF5 file of another program", None), ("a recording by flowsim", "recording")):
        paths[kind] = folder / f"{stage}.h5"
        with h5py.File(paths[kind], "w") as file:
            if stage:
                file.attrs["stage"] = stage
    paths["a file of torch"] = folder / "a.pt"
    torch.save({"a": torch.zeros(2)}, paths["a file of torch"])
    return paths


def test_files_are_called_what_they_are(tmp_path):
    for kind, path in files(tmp_path).items():
        assert described(path) == kind


def test_a_file_of_another_kind_is_named_and_never_to_be_deleted(tmp_path):
    for kind, path in files(tmp_path).items():
        messages = []
        if kind not in ("an HDF5 file of another program", "a recording by flowsim"):
            with pytest.raises(InputError) as refused:
                netcdf.read(path, "stimulus")
            messages.append(str(refused.value))
        with pytest.raises(InputError) as refused:
            weights.load(path, "weights")
        messages.append(str(refused.value))
        for message in messages:
            assert "delete" not in message
            assert str(path) in message
        if kind != "a file of torch":
            assert kind in messages[-1]


def test_a_recording_where_a_stimulus_is_expected(tmp_path):
    with pytest.raises(InputError, match="expected a file of stage stimulus; this one is of stage recording"):
        netcdf.read(files(tmp_path)["a recording by flowsim"], "stimulus")


def test_a_locked_file_is_to_be_closed():
    error = netcdf.damaged("a.h5", BlockingIOError(11, "unable to lock file"))
    assert "another program has locked it" in str(error)
    assert "may be read" in str(netcdf.damaged("a.h5", PermissionError(13, "Permission denied")))


def test_a_whole_file_of_ours_is_read(tmp_path, probe):
    netcdf.write(probe, tmp_path / "a.h5", {"stage": "stimulus"})
    assert described(tmp_path / "a.h5") == "a stimulus by flowsim"
    np.testing.assert_array_equal(netcdf.read(tmp_path / "a.h5", "stimulus").frames, probe.frames)
