"""A signal stops a command wherever it is, once, with one line and the status that shells expect."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest

START = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # where it is ignored, as in the background of a shell
signal.signal(signal.SIGTERM, signal.SIG_DFL)
from flowsim import stopping
from flowsim.commands import parser
def verb(arguments):
    print("ready", flush=True)
{}
parser._run = verb
sys.argv = ["flowsim", "train"]
from flowsim.__main__ import main
sys.exit(main())
"""
BODIES = {
    "plain": """
time.sleep(60)
""",
    "swallowed": """
for _ in range(160):
    try:
        time.sleep(0.05)
    except BaseException:
        pass
time.sleep(60)
""",
    "made another error": """
try:
    time.sleep(60)
except BaseException:
    raise ImportError("numpy failed to import")
""",
    "while an object is forgotten": """
class Forgotten:
    def __del__(self):
        time.sleep(1)
Forgotten()
time.sleep(60)
""",
    "an object that is half made": """
class Half:
    def __init__(self):
        time.sleep(60)
        self.whole = True
    def __del__(self):
        self.whole
Half()
""",
    "deferred": """
with stopping.deferred():
    time.sleep(0.5)
    print("done", flush=True)
time.sleep(60)
""",
    "within HDF5": """
@stopping.uninterrupted
def write():
    time.sleep(0.5)
    print("done", flush=True)
write()
time.sleep(60)
""",
}
SAID = {
    signal.SIGTERM: "flowsim train: stopped by SIGTERM; run the same command to continue\n",
    signal.SIGINT: "flowsim train: interrupted; run the same command to continue\n",
}


def stopped(body, number, times=1):
    """The status and what was printed of a command that gets a signal once it is ready."""
    source = START.format(textwrap.indent(body, "    "))
    child = subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "ready\n"
    for _ in range(times):
        time.sleep(0.1)
        child.send_signal(number)
    out, err = child.communicate(timeout=60)
    return child.returncode, out, err


@pytest.mark.parametrize("number", SAID)
@pytest.mark.parametrize("where", ["plain", "made another error"])
def test_one_line_and_a_status(where, number):
    assert stopped(BODIES[where], number) == (128 + number, "", SAID[number])


@pytest.mark.parametrize(
    "where",
    ["an object that is half made", pytest.param("while an object is forgotten", marks=pytest.mark.slow)],
)
def test_what_cannot_be_raised_is_not_told(where):
    assert stopped(BODIES[where], signal.SIGTERM) == (143, "", SAID[signal.SIGTERM])


@pytest.mark.parametrize("where", ["deferred", "within HDF5"])
def test_what_must_not_be_half_done_is_done(where):
    assert stopped(BODIES[where], signal.SIGTERM) == (143, "done\n", SAID[signal.SIGTERM])


def test_a_second_signal_does_not_disturb_the_first():
    assert stopped(BODIES["deferred"], signal.SIGINT, times=3) == (130, "done\n", SAID[signal.SIGINT])


@pytest.mark.slow
def test_it_comes_again_where_it_was_swallowed():
    began = time.monotonic()
    status, _, err = stopped(BODIES["swallowed"], signal.SIGTERM)
    assert (status, err) == (143, SAID[signal.SIGTERM])
    assert time.monotonic() - began < 40


def test_a_signal_that_is_ignored_stays_ignored():
    """As by nohup."""
    source = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + START.format(
        "    import os; os.kill(os.getpid(), signal.SIGHUP)"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
