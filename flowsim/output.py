"""What a command prints, if nobody reads it: a pipe that was closed (``| head``), a full disk, no stdout."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator

from flowsim import torchrun
from flowsim.errors import InputError

UNWRITABLE = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EBADF, errno.EIO)
"""How a system says that what was printed cannot be written."""


class Closed(io.TextIOBase):
    """Stands for a stdout that was closed before the command began."""

    def __init__(self) -> None:
        self.lost = False

    def write(self, text: str) -> int:
        """Raise an OSError."""
        self.lost = True
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def flush(self) -> None:
        """Raise an OSError if something was written, also where whoever wrote passed over the error."""
        if self.lost:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))


@contextlib.contextmanager
def kept_open() -> Iterator[None]:
    """Let what is printed within arrive, or say in one line that it cannot.

    Raises
    ------
    InputError
        If it cannot.
    """
    _stand_in()
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        _give_up()
        where = f" to {error.filename}" if error.filename else ""
        raise InputError(
            f"expected what it writes{where} to be taken; got {error.strerror}. Make room, or let its "
            "output be read to the end"
        ) from None


def one_line(text: str) -> str:
    """A text in which what would end the line, such as a line break in a name, is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def say(text: str) -> None:
    """Print why a command ends, as a line on stderr, if anybody is there to read it.

    Of several processes that end together one does so; see `flowsim.torchrun`.
    """
    if torchrun.speaks():
        with contextlib.suppress(OSError, ValueError):
            print(text, file=sys.stderr, flush=True)


def _stand_in() -> None:
    """Put something in place of streams that are closed: the next file that is opened would else get their
    number, and what libraries print would go into it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stdout is None:
        sys.stdout = Closed()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _give_up() -> None:
    """Let what is still to be written to stdout go nowhere, so that Python does not try again at its end."""
    if isinstance(sys.stdout, Closed):
        sys.stdout.lost = False
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
