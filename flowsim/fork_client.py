"""Commands that are run by a process which has imported already what they need: see `flowsim.fork_server`.

A job of a pipeline that finds the socket of one in the environment variable FLOWSIM_FORK_SERVER asks it,
passes signals on to the fork that runs it, and ends as that does. Where there is no server, or it declines,
the command runs itself. Only commands on one thread ask: libraries of the server have been told to use one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from flowsim import stopping

if TYPE_CHECKING:
    import socket

ADDRESS = "FLOWSIM_FORK_SERVER"
VERBS = ("stimulus", "record", "analyse", "figure")
"""Jobs of seconds; a training is none, and may have several threads."""
BEGUN = b"B"
"""What a server says when a command runs there."""


def ask(arguments: Sequence[str]) -> int | None:
    """Let a fork server run a command, if there is one.

    Returns
    -------
    int or None
        Its exit status; None if it has to run here. Does not return if a signal ended it: the same ends this
        process.
    """
    address = os.environ.get(ADDRESS)
    if not address or not arguments or arguments[0] not in VERBS or os.environ.get("OMP_NUM_THREADS") != "1":
        return None
    import json
    import signal
    import socket

    told = {
        "arguments": list(arguments),
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "package": package(),
    }
    content = json.dumps(told).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(address)
            socket.send_fds(connection, [len(content).to_bytes(4, "big")], [0, 1, 2])
            connection.sendall(content)
            if received(connection, 1) != BEGUN:
                return None
        except OSError:
            return None

        def pass_on(number: int, _: object) -> None:
            with suppress(OSError):  # the job has ended just now
                connection.send(bytes([number]))

        for number in signals():
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, pass_on)
        answer = received(connection, 2)
    if len(answer) < 2:
        print("flowsim: error: the process that ran this job has ended; run it again", file=sys.stderr)
        return 1
    status = int.from_bytes(answer, "big", signed=True)
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


def package() -> str:
    """Where this flowsim lies: a server may be of another copy."""
    return str(Path(__file__).parent.resolve())


def signals() -> list[int]:
    """Numbers of those that ask a command to stop."""
    import signal

    return [getattr(signal, name) for name in stopping.SIGNALS if hasattr(signal, name)]


def received(connection: socket.socket, size: int) -> bytes:
    """So many bytes, or fewer if the connection ends."""
    content = b""
    while len(content) < size and (more := connection.recv(size - len(content))):
        content += more
    return content
