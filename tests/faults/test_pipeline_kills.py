"""The driver that kills whole pipelines: how it judges, and its short form."""

import os
import subprocess
import sys

import pytest

from tests.faults.pipeline_kills import _compared

UNDISTURBED = {"models/a.pt": 1, "figures/b.svg": 2}


@pytest.mark.parametrize(
    ("before", "now", "text", "outcome"),
    [
        ({}, {"models/a.pt": 1}, "", "harmless"),
        ({}, {"models/a.pt": 3}, "", "silent"),
        ({}, {"models/other.pt": 1}, "", "silent"),
        ({"models/a.pt": 1}, {}, "", "lost"),
        ({"models/a.pt": 1}, {}, "    output: results/tiny/figures/b.svg\n", "lost"),
        (
            {"figures/b.svg": 2},
            {},
            "    output: results/tiny/c.png, results/tiny/figures/b.svg\n",
            "harmless",
        ),
    ],
)
def test_what_a_kill_did(before, now, text, outcome):
    assert _compared(before, now, UNDISTURBED, text)[0] == outcome


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_a_few_kills_of_a_pipeline():
    command = [sys.executable, "-m", "tests.faults.pipeline_kills", "--kills", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].split()[:3] == ["all", "3", "3"]
