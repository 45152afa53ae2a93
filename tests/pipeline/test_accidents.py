"""What happens to a recording: killed at any moment, on a full disk, in a folder that cannot be written to,
damaged.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
import torch

from flowsim import InputError, build, open_recording, record
from stimuli import moving_digits

SCRIPT = """
import shutil, sys
from types import SimpleNamespace
import numpy as np, torch
from flowsim import InputError, build, record
from stimuli import moving_digits
torch.manual_seed(0)
torch.set_num_threads(1)
if len(sys.argv) > 2:
    shutil.disk_usage = lambda _: SimpleNamespace(free=10**12)
print("ready", flush=True)
try:
    record(build("fernn", (9, 8), max_speed=2, channels=8),
           moving_digits.generate("probe", np.random.default_rng(0), height=9, width=8, trials=48),
           sys.argv[1])
except InputError as error:
    sys.exit(str(error))
"""


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    file = tmp_path_factory.mktemp("undisturbed") / "a.h5"
    assert start(file).wait() == 0
    return file


def same(file, other):
    with h5py.File(file) as a, h5py.File(other) as b:
        return set(a) == set(b) and all(
            np.array_equal(a[n], b[n], equal_nan=a[n].dtype.kind == "f") for n in a
        )


@pytest.mark.slow
def test_killed_at_ten_moments(undisturbed, tmp_path):
    """At no time does a part look like a recording, and the next try makes a whole one."""
    whole = start(tmp_path / "timed.h5")
    whole.stdout.readline()
    began = time.monotonic()
    whole.wait()
    takes = time.monotonic() - began
    file, cut, moments = tmp_path / "a.h5", 0, random.Random(0)
    for _ in range(10):
        running = start(file)
        running.stdout.readline()
        time.sleep(moments.uniform(0, takes))
        running.send_signal(signal.SIGKILL)
        running.wait()
        if file.exists():
            assert same(file, undisturbed)
            file.unlink()
        else:
            cut += any(tmp_path.glob(".a.h5.tmp"))
    assert cut >= 3, "hardly any was killed while it wrote"
    assert start(file).wait() == 0
    assert same(file, undisturbed)
    assert {path.name for path in tmp_path.iterdir()} <= {"a.h5", "timed.h5", ".a.h5.lock", ".timed.h5.lock"}


@pytest.fixture
def small_disk(tmp_path):
    """A folder with room for 12 MB, in memory."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("this user may not mount a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(not shutil.which("mount"), reason="there is no mount")
def test_a_disk_that_fills_up(small_disk):
    """While it is written: it was said to have room. The process ends as it should, and leaves nothing."""
    running = start(small_disk / "a.h5", "there is room")
    _, said = running.communicate()
    assert running.returncode == 1, said
    assert re.search(r"the recording of \d+ MB could not be written \(.*make room, or record less", said)
    assert not [p for p in small_disk.iterdir() if p.suffix != ".lock"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to any folder")
def test_a_folder_that_cannot_be_written_to(tmp_path):
    tmp_path.chmod(0o500)
    assert "cannot write" in start(tmp_path / "a.h5").communicate()[1]


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot write" in start(tmp_path / "file" / "a.h5").communicate()[1]


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


def test_a_truncated_file(file):
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(InputError, match="a.h5: expected a whole HDF5 file, but it cannot be read"):
        open_recording(file)


def test_a_recording_of_another_version(file):
    with h5py.File(file, "a") as h5:
        h5.attrs["format"] = 7
    with pytest.raises(
        InputError, match="expected a file of format 1; this one is of format 7, by another version"
    ):
        open_recording(file)


def test_a_file_without_checksums(file):
    with h5py.File(file, "a") as h5:
        for name in [n for n in h5.attrs if n.startswith("checksum_")]:
            del h5.attrs[name]
    open_recording(file)
    with pytest.raises(InputError, match="expected checksums .*; the file has none"):
        open_recording(file, verify=True)


@pytest.mark.parametrize("codec", ["gzip", "rounded", "none"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_codecs(codec, dtype, probe, tmp_path):
    """h5py reads what was written in our own chunks; rounding keeps three digits, and exact values as they
    are.
    """
    torch.manual_seed(0)
    network = build("fernn", (9, 8), max_speed=1, channels=3, decoder_layers=1).to(torch.float64)
    record(network, probe, tmp_path / "a.h5", dtype=dtype, codec=codec)
    with torch.no_grad():
        frames = torch.from_numpy(probe.frames.values[2])[:, :, None].double()
        expected = network.states(frames).numpy().astype(dtype)
    with h5py.File(tmp_path / "a.h5") as h5:
        found = h5["state"][2]
        assert (h5["state"].compression, h5["state"].shuffle) == (
            (None, False) if codec == "none" else ("gzip", True)
        )
    if codec == "rounded" and dtype != "float16":
        np.testing.assert_allclose(found, expected, rtol=2**-11, atol=1e-30)
        assert not np.array_equal(found, expected)
        bits = found[found != 0].view(f"u{found.itemsize}")
        assert not (bits & ((1 << (np.finfo(dtype).nmant - 10)) - 1)).any()
    else:
        np.testing.assert_array_equal(found, expected)
    assert open_recording(tmp_path / "a.h5", verify=True)


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


def test_moving_digits_is_what_is_recorded(fernn, tmp_path):
    """The last block of trials is a part of a chunk."""
    made = moving_digits.generate("test", np.random.default_rng(0), height=9, width=8, trials=70, frames=6)
    record(fernn, made, tmp_path / "a.h5")
    np.testing.assert_array_equal(open_recording(tmp_path / "a.h5", verify=True).frames[0], made.frames)
