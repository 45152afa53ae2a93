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

from flowsim import InputError, build, record
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
            cut += any(tmp_path.glob(".a.h5.flowsim.tmp"))
    assert cut >= 3, "hardly any was killed while it wrote"
    assert start(file).wait() == 0
    assert same(file, undisturbed)
    assert {path.name for path in tmp_path.iterdir()} == {"a.h5", "timed.h5"}


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
    assert re.search(r"a.h5: expected room for [\d,]+ bytes at least; got No space left .*; make room", said)
    assert not [*small_disk.iterdir()]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to any folder")
def test_a_folder_that_cannot_be_written_to(tmp_path):
    tmp_path.chmod(0o500)
    assert "cannot write" in start(tmp_path / "a.h5").communicate()[1]


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    stimulus = moving_digits.generate("probe", np.random.default_rng(0), height=9, width=8, trials=1)
    with pytest.raises(InputError, match="cannot write"):
        record(build("fernn", (9, 8), channels=1), stimulus, tmp_path / "file" / "a.h5")
