"""What is printed arrives, or one line says that it did not."""

import subprocess
import sys
from pathlib import Path

import pytest

PLACES = {
    "a full disk": "{} > /dev/full",
    "a pipe that is closed": "{{ sleep 0.3; {}; echo status $? >&2; }} | true",
    "nothing": "{} >&-",
}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("arguments", ["", "--help"])
def test_output_that_nobody_takes(place, arguments):
    command = f"{sys.executable} -m flowsim {arguments}".strip()
    done = subprocess.run(
        PLACES[place].format(command), shell=True, capture_output=True, text=True, timeout=60
    )
    first, *others = done.stderr.splitlines()
    assert first.startswith("flowsim"), done.stderr
    assert "error: expected what it writes to be taken; got " in first
    assert others == (["status 2"] if "pipe" in place else [])
    assert "pipe" in place or done.returncode == 2


def test_no_stderr():
    command = f"{sys.executable} -m flowsim 2>&-"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "flowsim doctor" in done.stdout


def test_an_error_is_one_line_whatever_a_file_is_called():
    done = subprocess.run(
        [sys.executable, "-m", "flowsim", "inspect", "a\nb\x1b[31m\u202e.h5"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    error = done.stderr.splitlines()[-1]
    assert error.startswith("flowsim inspect: error: a\\nb\\x1b[31m\\u202e.h5: ")
    assert done.returncode == 2
