"""A process that ends together with all that it started, when this one is told to end.

On a terminal Ctrl-C reaches every process of a pipeline; the signals of a scheduler, of ``kill`` and of a
terminal that is closed reach one process alone. Here each of them is passed on to all, in the same way.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import IO, Any

from flowsim import stopping

GRACE = 30.0
"""Seconds in which processes may end by themselves; then they are killed."""
ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Signals that ask a process to end and that Python does not already make a KeyboardInterrupt of."""


@contextmanager
def running(command: Sequence[str], output: IO[Any]) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose output goes to a file; it has ended when the block is left.

    It has a group of its own. If the block is left by an exception, every process of the group is asked to
    end, and is killed if it has not after `GRACE` seconds, or when a second signal comes. SIGTERM and SIGHUP
    are KeyboardInterrupt within the block.
    """
    with _interrupted_by(ENDING):
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            yield process
        except BaseException:
            _end(process)
            raise
        finally:
            process.wait()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask all processes of a group to end; kill those that do not."""
    try:
        stopping.wait_for_another()
        _signal(process, signal.SIGTERM)
        process.wait(GRACE)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        pass
    finally:
        _signal(process, getattr(signal, "SIGKILL", signal.SIGTERM))


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to a group; Windows has none, and there to its first process."""
    with suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)


@contextmanager
def _interrupted_by(numbers: Sequence[int]) -> Iterator[None]:
    """Make signals whose effect would be to end this process at once a KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in numbers}
    taken = [number for number, handler in before.items() if handler is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
