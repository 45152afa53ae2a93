"""Files appear whole or not at all, and one process at a time makes each of them.

Beside a file that is being made lie ``.NAME.flowsim.lock``, which its maker holds, and ``.NAME.flowsim.tmp``.
Both are gone when it is made. What a killed process leaves of them is removed by the next one that makes any
file in that folder.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from flowsim.errors import InputError
from flowsim.stopping import deferred

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""How a system says that there is no room: on the disk, in the user's quota, in the largest file allowed."""
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""How a file system says that it has no locks."""
BESIDE = re.compile(r"\.(?P<name>.+)\.flowsim\.(lock|tmp)", re.DOTALL)
"""Names of what lies beside a file that is being made."""


class _Held(threading.local):
    """The locks that this thread holds."""

    def __init__(self) -> None:
        self.files: set[Path] = set()


_held = _Held()


def lock_of(path: Path) -> Path:
    """The lock of a file that is being made."""
    return _beside(path, "lock")


def temporary_of(path: Path) -> Path:
    """Where a file lies until it is whole."""
    return _beside(path, "tmp")


def _beside(path: Path, ending: str) -> Path:
    if not path.name:
        raise InputError(
            f"{path}: expected a place for a file; this is a folder. Give the name of a file in it"
        )
    return path.with_name(f".{path.name}.flowsim.{ending}")


@contextmanager
def whole(path: Path, size: int | None = None) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; when the block ends without an error, rename it to ``path``.

    The block writes the file, which is there and empty, and verifies it. If it fails, or the machine does,
    ``path`` is as it was before. One process at a time makes it: see `exclusive`.

    Parameters
    ----------
    path : path
    size : int, optional
        How many bytes are to be written, about; for the error.

    Raises
    ------
    InputError
        If the folder cannot be written to, or has no room.
    """
    temporary = temporary_of(path)
    with exclusive(path):
        try:
            _make_anew(temporary, path)
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            os.replace(temporary, path)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise no_room(path, temporary, size, error) from None
        finally:
            with deferred(), suppress(OSError):
                temporary.unlink(missing_ok=True)


def _make_anew(temporary: Path, path: Path) -> None:
    """Make an empty file; what lies in its place, such as a link of somebody's, is not written through."""
    try:
        temporary.unlink(missing_ok=True)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)
        os.close(os.open(temporary, flags, 0o666))
    except OSError as error:
        if error.errno in FULL:
            raise
        raise cannot_write(path, error) from None


def no_room(path: Path, temporary: Path, size: int | None, error: OSError) -> InputError:
    """The error to raise for a file of ``size`` bytes for which there was no room."""
    with suppress(OSError):
        size = max(size or 0, temporary.stat().st_size)
    free = shutil.disk_usage(path.parent).free
    return InputError(
        f"{path}: expected room for {size or 0:,} bytes at least; got {error.strerror or error} (the disk "
        f"has {free:,} bytes free). Nothing is left of it; make room and run the same command again"
    )


def cannot_write(path: Path, error: OSError) -> InputError:
    """The error to raise for a file that cannot be made."""
    advice = "choose a folder that can be written to"
    if error.errno in NO_LOCKS:
        advice = f"the file system of {path.absolute().parent} has no locks; choose a folder on another one"
    return InputError(f"cannot write {path}: {error.strerror or error}; {advice}")


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Let one process at a time make ``path``: wait while another one does. A killed process blocks nobody.

    Within a thread that holds the lock already nothing is to be waited for.

    Raises
    ------
    InputError
        If the lock cannot be made.
    """
    file = lock_of(path)
    key = Path(os.path.realpath(file.parent)) / file.name
    if key in _held.files:
        yield
        return
    lock: FileLock | None = None
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = _acquired(file, path)
        except OSError as error:
            if error.errno in FULL:
                raise no_room(path, file, None, error) from None
            raise cannot_write(path, error) from None
        _held.files.add(key)
        _sweep(path.parent)
        yield
    finally:
        if lock is not None:
            with deferred():
                _held.files.discard(key)
                _release(lock, file)


def _acquired(file: Path, path: Path) -> FileLock:
    """The lock, held."""
    lock = FileLock(file, fallback_to_soft=False)
    try:
        lock.acquire(timeout=0)
    except OSError as error:
        if error.errno in NO_LOCKS:  # nobody holds what was made in vain
            file.unlink(missing_ok=True)
        if not isinstance(error, Timeout):
            raise
        _require_makeable(file)
        print(f"another process is making {path}; waiting for it to end", file=sys.stderr, flush=True)
        lock.acquire()
    return lock


def _require_makeable(file: Path) -> None:
    """Raise an OSError where a lock is not held by another process, but cannot be made (as in /proc)."""
    with suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))


def _release(lock: FileLock, file: Path) -> None:
    """Remove a lock and let it go. Who waited for it sees that it has no name now, and makes a new one."""
    if os.name == "posix":  # elsewhere it can only be removed after it was let go, which `filelock` does
        with suppress(OSError):
            file.unlink()
    lock.release(force=True)


def _sweep(folder: Path) -> None:
    """Remove what killed processes left in a folder: what lies beside files that nobody is making."""
    try:
        found = [BESIDE.fullmatch(name) for name in os.listdir(folder)]
    except OSError:  # it may be written to, and not be read
        return
    for path in {folder / match["name"] for match in found if match}:
        file = lock_of(path)
        if Path(os.path.realpath(file.parent)) / file.name in _held.files:
            continue
        lock = FileLock(file, fallback_to_soft=False)
        try:
            lock.acquire(timeout=0)
        except OSError:  # held (a Timeout), or a link, or somebody else's
            continue
        with deferred():
            with suppress(OSError):
                temporary_of(path).unlink(missing_ok=True)
            _release(lock, file)


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
