"""A process that has imported what takes seconds, and runs commands in forks of itself.

Most of the seconds of most jobs of a pipeline would be imports. ``python -P -m flowsim.fork_server SOCKET``
listens at a socket until its standard input ends, that is until whoever started it does. Commands ask it by
`flowsim.fork_client`. Each runs in its own folder and environment, with its own standard input, output and
error, in a fork of this process, which is killed when the command that asked is. Where our code has been
edited since it was imported, or the command is of another copy of it, the server declines.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

from flowsim.commands.parser import verbs
from flowsim.fork_client import BEGUN, package, received, signals

NEEDED = (
    *("dask.array", "h5netcdf", "scipy.stats", "seaborn", "sklearn.linear_model", "torch", "xarray"),
    *("flowsim.files.results", "flowsim.recording.record"),
)
OURS = ("flowsim", "analysis", "stimuli")
"""Packages whose code may have been edited."""


def serve(address: str) -> None:
    """Run commands until standard input ends."""
    with socket.socket(socket.AF_UNIX) as listening:
        _import()
        as_imported = _sources()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how those that keep a job have ended
        listening.bind(address)
        listening.listen(128)
        either: list[Any] = [listening, sys.stdin]
        while sys.stdin not in select.select(either, [], [])[0]:
            connection, _ = listening.accept()
            with connection, suppress(OSError):  # without a fork the command runs itself
                if os.fork() == 0:
                    listening.close()
                    _keep(connection, as_imported)


def _import() -> None:
    """All that most jobs need, which is kept where forks can share it."""
    for name in NEEDED:
        import_module(name)
    verbs()
    gc.freeze()


def _sources() -> dict[str, tuple[int, int]]:
    """Files of our packages that have been imported, with what shows that they are edited."""
    files = [
        module.__file__
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] in OURS and getattr(module, "__file__", None)
    ]
    about = ((file, os.stat(file)) for file in files if file)
    return {file: (found.st_mtime_ns, found.st_size) for file, found in about}


def _keep(connection: socket.socket, as_imported: dict[str, tuple[int, int]]) -> None:
    """Start a job, pass signals on to it and say how it ended; in a process that ends with the job."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        size, standard, *_ = socket.recv_fds(connection, 4, 3)
        told = json.loads(received(connection, int.from_bytes(size, "big")))
        if told["package"] != package() or _sources() != as_imported:
            return
        ended, held = os.pipe()  # of which only the job holds an end
        job = os.fork()
        if job == 0:
            _run(told, standard)
        os.close(held)
        connection.sendall(BEGUN)
        either: list[Any] = [ended, connection]
        while ended not in select.select(either, [], [])[0]:
            asked = connection.recv(1)
            os.kill(job, asked[0] if asked else signal.SIGKILL)
            if not asked:
                break
        status = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
        connection.sendall(status.to_bytes(2, "big", signed=True))
    finally:
        os._exit(0)


def _run(told: dict[str, Any], standard: Sequence[int]) -> NoReturn:
    """Run a command as if it were a process of its own."""
    status = 1
    try:
        for number, descriptor in enumerate(standard):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.chdir(told["folder"])
        os.environ.clear()
        os.environ.update(told["environment"])
        sys.argv[1:] = told["arguments"]
        for number in signals():
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        from flowsim.__main__ import main

        status = main()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve(sys.argv[1])
