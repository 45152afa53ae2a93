"""How a command stops when asked to: by Ctrl-C (SIGINT), a queue (SIGTERM) or a closed terminal (SIGHUP).

The signal raises `Stopped` wherever the main thread is, so that every ``with`` and ``finally`` on the way out
tidies up. It waits while something is changed that must not be left half-changed (`deferred`), and while the
HDF5 library is in one of our functions, which must not raise (`uninterrupted`). Where foreign code swallows
it, it comes again.
"""

from __future__ import annotations

import _thread
import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any, TypeVar

from flowsim import torchrun

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""Those that ask a command to stop; Windows has no SIGHUP."""
SOON, AGAIN = 0.02, 5.0
"""Seconds until a signal comes again that had to wait, and one that may have been swallowed."""
Function = TypeVar("Function", bound=Callable[..., Any])


class Stopped(KeyboardInterrupt):
    """A command was asked to stop."""


class _Request:
    """What was asked for, and whether it may be raised now."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self.answered = False
        self.deferred = 0


_request = _Request()
_uninterrupted: set[CodeType] = set()


def listen() -> None:
    """Raise `Stopped` at the signals that ask a command to stop, but for those that are ignored (nohup)."""
    global _request
    _request.answered = True  # an earlier one
    _request = _Request()
    for name in SIGNALS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)
    sys.unraisablehook = _unraisable


def forget() -> None:
    """A command begins in a process that ran others: a signal that stopped one of them is not for it."""
    global _request
    _request.answered = True
    _request = _Request()


def requested() -> int | None:
    """The number of the signal that asked this command to stop, if one did."""
    return _request.signal


def answered() -> bool:
    """Whether something was done because of that signal; see `answer`."""
    return _request.answered


def answer() -> None:
    """Let nothing interrupt what has to be done now that the command stops."""
    _request.answered = True


def said(command: str) -> int:
    """Say in one line that a command stops; returns its exit status, as shells have it."""
    answer()
    number = requested() or signal.SIGINT
    how = "interrupted" if number == signal.SIGINT else f"stopped by {signal.Signals(number).name}"
    if torchrun.speaks():
        with contextlib.suppress(OSError, ValueError):  # nobody may be there to read it
            print(f"{command}: {how}; run the same command to continue", file=sys.stderr, flush=True)
    return 128 + number


def wait_for_another() -> None:
    """Let nothing but another signal interrupt what has to be done now that the command stops."""
    global _request
    answer()
    number, _request = _request.signal, _Request()
    _request.signal = number


def leave() -> None:
    """The command has said that it stops: another signal ends the process at once."""
    answer()
    for each in SIGNALS:
        number = getattr(signal, each, None)
        if number is not None and signal.getsignal(number) is _stop:
            signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Let a signal wait until the end of the block, which is short."""
    _request.deferred += 1
    try:
        yield
    finally:
        _request.deferred -= 1


def uninterrupted(function: Function) -> Function:
    """A function, called by a library that cannot bear errors, during which signals wait."""
    _uninterrupted.add(function.__code__)
    return function


def _stop(number: int, frame: FrameType | None) -> None:
    """The handler of all signals."""
    if _request.answered:
        return
    first = _request.signal is None
    if first:
        _request.signal = number
    if _request.deferred or _is_uninterrupted(frame):
        _remind(number, SOON)
        return
    _remind(number, AGAIN)
    raise Stopped


def _unraisable(unraisable: Any) -> None:
    """Say what went wrong where no error can be raised (as while an object is forgotten), unless it comes of
    the stop: `Stopped` itself, which comes again, or an object that was stopped while it was made.
    """
    if _request.signal is None:
        sys.__unraisablehook__(unraisable)


def _is_uninterrupted(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code in _uninterrupted:
            return True
        frame = frame.f_back
    return False


def _remind(number: int, seconds: float) -> None:
    """Send this process the signal again. A plain thread: one of `threading` takes locks, and the signal may
    have come while they were held.
    """
    main, request = threading.main_thread().ident, _request

    def send() -> None:
        time.sleep(seconds)
        if request.answered or main is None:
            return
        if hasattr(signal, "pthread_kill"):
            signal.pthread_kill(main, number)
        else:
            signal.raise_signal(number)

    _thread.start_new_thread(send, ())
