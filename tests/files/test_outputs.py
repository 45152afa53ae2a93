"""What is written never destroys what is read, nor what is somebody else's."""

import os

import h5py
import pytest
import torch

from flowsim import InputError
from flowsim.files.atomic import lock_of, temporary_of
from flowsim.files.outputs import KINDS, protect


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "rec.h5"
    with h5py.File(path, "w") as file:
        file.attrs["stage"] = "recording"
    return path


def refused(*written, read=(), match):
    with pytest.raises(InputError, match=match) as error:
        protect(*written, read=read)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["same", "link", "hard link", "spelling", "through a folder"])
def test_an_input_is_known_by_any_name(tmp_path, recording, name):
    other = tmp_path / "other.h5"
    if name == "same":
        other = recording
    elif name == "link":
        other.symlink_to(recording)
    elif name == "hard link":
        os.link(recording, other)
    elif name == "spelling":
        other = tmp_path / "." / "nowhere" / ".." / "rec.h5"
        (tmp_path / "nowhere").mkdir()
    else:
        (tmp_path / "folder").symlink_to(tmp_path)
        other = tmp_path / "folder" / "rec.h5"
    refused(
        (other, "a recording"),
        read=[recording],
        match="expected a place for a recording; this file.* is read by the same",
    )
    protect((other, "a recording"))  # as an own file that is made anew it may be


def test_what_lies_beside_is_looked_at_too(tmp_path, recording):
    table = tmp_path / "a.csv"
    table.write_text("my,own,data\n1,2,3\n")
    refused(
        (tmp_path / "a.svg", "a drawing (SVG)"),
        (table, "a table (CSV)"),
        match=r"a.csv: .*; there is a text file. Choose",
    )
    path = tmp_path / "a.ckpt"
    refused((path, "weights"), (path, "a checkpoint"), match="this file is written too by the same command")
    for beside in (lock_of(path), temporary_of(path)):
        refused((path, "weights"), read=[beside], match="is read by the same command")


@pytest.mark.parametrize("kind", KINDS)
def test_what_flowsim_did_not_make_stays(tmp_path, recording, kind):
    files = {
        "a.py": b"import numpy\n", "a.pdf": b"%PDF-1.7 and so on", "a.png": b"\x89PNG\r\n\x1a\nSoftware\0Photos",
        "a.csv": b"a,b\n1,2\n", "a.svg": b"<?xml version='1.0'?><svg/>", "a.html": b"<!doctype html>\n<title>mine</title>",
        "a.json": b"{}", "a.zip": b"PK\x03\x04 broken", "a.bin": bytes([200, 1, 2, 255] * 99),
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        refused(
            (tmp_path / name, kind),
            match="expected a place for .*, or one by flowsim to be made anew; there is",
        )
    with h5py.File(tmp_path / "theirs.h5", "w"):
        pass
    torch.save({"model": torch.zeros(2)}, tmp_path / "theirs.pt")
    for name in ("theirs.h5", "theirs.pt"):
        refused((tmp_path / name, kind), match="expected a place for")
    if kind != "a recording":
        refused((recording, kind), match="there is a recording by flowsim")


def test_folders_and_devices_are_no_files(tmp_path):
    refused((tmp_path, "weights"), match="this is a folder. Give the name of a file in it")
    refused((type(tmp_path)("/dev/null"), "weights"), match="this is no ordinary file")


def test_nothing_and_an_empty_file_may_be_filled(tmp_path):
    protect((tmp_path / "none" / "a.pt", "weights"))
    (tmp_path / "a.pt").touch()
    protect((tmp_path / "a.pt", "weights"))
