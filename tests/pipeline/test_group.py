"""Processes end together with those that they started."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowsim.pipeline import group
from flowsim.pipeline.group import running

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has neither these signals nor groups")
FIRST = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
open("pids", "w").write(f"{os.getpid()} {child.pid}\\n")
child.wait()
"""
OUTER = f"""
import signal, sys
for name, handler in ("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL):  # nohup ignores them
    signal.signal(getattr(signal, name), handler)
from pathlib import Path
from flowsim.pipeline.group import running
try:
    with open("log", "w") as output, running([sys.executable, "-c", {FIRST!r}], output) as process:
        process.wait()
except KeyboardInterrupt:
    print("interrupted")
"""


def started(folder):
    """The processes of `FIRST`, once they are there."""
    for _ in range(2000):
        path = folder / "pids"
        if path.is_file() and path.read_text().endswith("\n"):
            return [int(pid) for pid in path.read_text().split()]
        time.sleep(0.02)
    raise TimeoutError("no process was started")


def is_there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.is_file() and status.read_text().rpartition(")")[2].split()[0] == "Z")


def gone(pids):
    for _ in range(100):
        if not any(map(is_there, pids)):
            return True
        time.sleep(0.02)
    return False


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, getattr(signal, "SIGHUP", 1)])
def test_a_signal_to_one_process_ends_all(tmp_path, number):
    outer = subprocess.Popen(
        [sys.executable, "-c", OUTER], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    pids = started(tmp_path)
    outer.send_signal(number)
    assert outer.communicate(timeout=100) == ("interrupted\n", "")
    assert gone(pids)


@posix
def test_who_does_not_end_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(group, "GRACE", 0.1)
    monkeypatch.chdir(tmp_path)
    deaf = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{FIRST}"
    with pytest.raises(KeyError), (tmp_path / "log").open("w") as output:
        left_by_an_error(tmp_path, [sys.executable, "-c", deaf], output)
    assert gone(started(tmp_path))


def left_by_an_error(folder, command, output):
    with running(command, output):
        started(folder)
        raise KeyError


def test_its_end_is_waited_for_and_signals_are_as_before(tmp_path):
    before = [signal.getsignal(number) for number in group.ENDING]
    with (
        (tmp_path / "log").open("w") as output,
        running([sys.executable, "-c", "print(1)"], output) as process,
    ):
        pass
    assert process.returncode == 0
    assert (tmp_path / "log").read_text() == "1\n"
    assert [signal.getsignal(number) for number in group.ENDING] == before
