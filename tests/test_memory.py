"""More memory than there is: one line, at once."""

import subprocess
import sys

import pytest

from flowsim import memory

SCRIPT = """
import resource, sys
from flowsim import memory
memory.available = lambda: 2**30
memory.NVIDIA = memory.CGROUPS[0].with_name("no such device")
memory.limit()
import numpy as np
try:
    np.ones(int(sys.argv[1]) * 2**20, np.uint8)
except MemoryError:
    print("refused")
else:
    print("given")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit it")
@pytest.mark.parametrize(("megabytes", "answer"), [(100, "given"), (1200, "refused")])
def test_a_process_gets_as_much_as_there_is(megabytes, answer):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(megabytes)], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == answer, done.stderr


def test_a_container_has_less_than_the_machine(tmp_path, monkeypatch):
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "max").write_text("max\n")
    monkeypatch.setattr(memory, "CGROUPS", (tmp_path / "none", tmp_path / "max"))
    whole = memory.available()
    monkeypatch.setattr(memory, "CGROUPS", (tmp_path / "memory.max", tmp_path / "max"))
    assert memory.available() == 1_000_000 < whole


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("memory"), False),
    ],
)
def test_which_errors_say_so(error, is_one):
    assert memory.is_lack_of_memory(error) == is_one
