"""What a command took is said, and read again."""

import time

import numpy as np
import pytest

from flowsim import usage
from flowsim.usage import Usage


def test_time_and_memory_are_those_that_were_used(capsys, tmp_path):
    began, cpu_began = time.perf_counter(), time.process_time()
    with usage.said():
        begun, size = time.process_time(), 300
        array = np.ones(size * 2**17)  # 300 MB
        while time.process_time() - begun < 0.5:
            array[0] += 1
        time.sleep(0.3)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    (tmp_path / "log").write_text(f"$ python -m flowsim\n{capsys.readouterr().err}")
    used = usage.read(tmp_path / "log")
    assert 0.5 <= used.cpu_seconds < cpu_seconds + 0.02
    assert used.cpu_seconds + 0.3 - 0.02 <= used.seconds < seconds + 0.02
    assert used.megabytes > size


@pytest.mark.parametrize("used", [Usage(12.5, 11.0, 300), Usage(0.25, 0.0)])
def test_it_is_read_as_it_was_said(used, tmp_path):
    (tmp_path / "log").write_text(f"took 1 s\n{Usage(1, 1, 1)}\n{used}\n")
    assert usage.read(tmp_path / "log") == used


def test_a_command_that_fails_says_nothing(capsys, tmp_path):
    with pytest.raises(ValueError, match="no"), usage.said():
        raise ValueError("no")
    (tmp_path / "log").write_text(capsys.readouterr().err)
    assert usage.read(tmp_path / "log") is None
    assert usage.read(tmp_path / "none") is None
