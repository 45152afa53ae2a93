"""The driver of hostile settings, and its short form."""

import os
import subprocess
import sys
from itertools import islice

import pytest

from tests.faults.hostile_settings import Try, _judged, tries


def test_the_same_seed_gives_the_same_tries():
    one, other, third = (list(islice(tries(seed), 200)) for seed in (0, 0, 1))
    assert [t.arguments for t in one] == [t.arguments for t in other] != [t.arguments for t in third]
    assert {t.kind for t in one} == {
        "stimulus",
        "train",
        "record",
        "analyse",
        "plan",
        "text",
        "command line",
        "path",
    }


@pytest.mark.parametrize(
    ("status", "text", "hostile", "outcome"),
    [
        (0, "$ flowsim train\nwrote a.pt", 3, "done"),
        (0, "wrote a.pt", {"noise": float("inf")}, "not a number"),
        (2, "$ flowsim train\nflowsim train: error: no", None, "refused"),
        (2, "flowsim train: error: no\nand more", None, "long"),
        (2, "", None, "silent"),
        (1, "Traceback (most recent call last):\nValueError", None, "traceback"),
        (1, "Traceback (most recent call last):\nMemoryError", None, "memory"),
        (-11, "", None, "crash"),
    ],
)
def test_outcomes(status, text, hostile, outcome):
    assert _judged(Try("train", [], hostile), status, False, text) == outcome
    assert _judged(Try("train", [], hostile), status, True, text) == "hang"


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="tries are forks")
def test_a_few_hostile_settings():
    command = [sys.executable, "-m", "tests.faults.hostile_settings", "--tries", "60", "--seed", "5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
