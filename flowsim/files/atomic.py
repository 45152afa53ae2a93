"""Files appear whole or not at all, and one process at a time makes each of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from flowsim.errors import InputError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; when the block ends without an error, rename it to ``path``.

    The block writes the file and verifies it. If it fails, or the machine does, ``path`` is as it was before.

    Raises
    ------
    InputError
        If the folder cannot be written to.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror}; choose a folder that can be written to"
        ) from None
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def spare(path: Path, size: int) -> Iterator[Callable[[], None]]:
    """Set ``size`` bytes of the disk aside beside ``path``, until the end of the block at latest.

    HDF5 must write a little to close a file, and crashes the interpreter if the disk is full. Giving up the
    reserve first makes room for that.

    Yields
    ------
    callable
        Gives up the reserve.
    """
    reserve = path.with_name(f".{path.name}.spare")
    try:
        with reserve.open("wb") as file:
            file.write(bytes(size))
        yield partial(reserve.unlink, missing_ok=True)
    finally:
        reserve.unlink(missing_ok=True)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Let one process at a time make ``path``: wait while another one does. A killed process blocks nobody.

    Raises
    ------
    InputError
        If the folder cannot be written to.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(f"another process is making {path}; waiting for it to end", flush=True)
            lock.acquire()
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror}; choose a folder that can be written to"
        ) from None
    try:
        yield
    finally:
        lock.release()


def existing(path: str | Path, what: str) -> Path:
    """``path``, which must be a file.

    Parameters
    ----------
    path : path
    what : str
        What the file should be, for the error.

    Raises
    ------
    InputError
        If there is no such file.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"{path}: expected {what}, found no such file; check the path or make it first")
    return path
