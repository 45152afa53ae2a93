"""The driver of kills in its short form: one verb, one try of each disturbance."""

import os
import subprocess
import sys

import pytest


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_a_few_kills():
    command = [sys.executable, "-m", "tests.faults.kills", "--tries", "1", "--verbs", "stimulus"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("stimulus, ")]
    assert {"stimulus, SIGTERM", "stimulus, SIGKILL", "stimulus, file size"} <= {
        " ".join(row.split()[: 2 + ("size" in row)]) for row in rows
    }
