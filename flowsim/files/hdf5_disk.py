"""HDF5 files on a disk that may be full.

The HDF5 library does not survive a disk that refuses to take what it writes: it crashes the interpreter when
the file is closed. Here it writes into a `Disk`, which never refuses. What does not fit is kept in memory, so
that the library can read it again and close the file as usual, and the error is raised when it has.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flowsim.stopping import uninterrupted


class Disk(io.RawIOBase):
    """A file that HDF5 writes: ``h5py.File(disk, "w")`` and ``h5netcdf.File(disk, "w")`` take it.

    Once the file is closed nothing more is written: where a signal ends a command between opening and closing
    a file, the library closes it when Python forgets it, which is later.

    Attributes
    ----------
    error : OSError, optional
        Why something could not be written, if so; the file is then worth nothing.
    """

    def __init__(self, path: Path) -> None:
        self.file = path.open("r+b", buffering=0)
        self.error: OSError | None = None
        self.place = 0
        self.beyond: list[tuple[int, bytes]] = []

    def check(self) -> None:
        """Raise the error, if there is one. Whoever writes much calls this between its parts.

        Raises
        ------
        OSError
            As the system raised it.
        """
        if self.error is not None:
            raise self.error

    @uninterrupted
    def write(self, content: Any) -> int:
        """Write at the present place."""
        view = memoryview(content).cast("B")
        done = 0
        try:
            while done < len(view) and not self.file.closed:
                done += _write_at(self.file, view[done:], self.place + done)
        except OSError as error:
            self.error = self.error or error
            self.beyond.append((self.place + done, bytes(view[done:])))
        self.place += len(view)
        return len(view)

    @uninterrupted
    def readinto(self, buffer: Any) -> int:
        """Read from the present place on; zeros beyond the end."""
        view = memoryview(buffer).cast("B")
        got = 0
        if not self.file.closed:
            self.file.seek(self.place)
            while got < len(view) and (count := self.file.readinto(view[got:])):
                got += count
        view[got:] = bytes(len(view) - got)
        for start, content in self.beyond:
            first, last = max(start, self.place), min(start + len(content), self.place + len(view))
            if first < last:
                view[first - self.place : last - self.place] = content[first - start : last - start]
        self.place += len(view)
        return len(view)

    @uninterrupted
    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Change the present place."""
        self.place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.place}.get(whence, self.size)
        return self.place

    @uninterrupted
    def truncate(self, size: int | None = None) -> int:
        """Set where the file ends."""
        size = self.place if size is None else size
        try:
            if not self.file.closed:
                self.file.truncate(size)
        except OSError as error:
            self.error = self.error or error
        return size

    @uninterrupted
    def tell(self) -> int:
        """The present place."""
        return self.place

    @uninterrupted
    def flush(self) -> None:
        """Nothing waits to be written."""

    @property
    def size(self) -> int:
        """Bytes in the file and beyond it."""
        ends = [start + len(content) for start, content in self.beyond]
        there = 0 if self.file.closed else os.fstat(self.file.fileno()).st_size
        return max(there, *ends, 0)

    def readable(self) -> bool:
        """True."""
        return True

    def writable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True


def _write_at(file: io.FileIO, view: memoryview, place: int) -> int:
    file.seek(place)
    return file.write(view) or 0


@contextmanager
def on_disk(path: Path) -> Iterator[Disk]:
    """A `Disk` that writes to a path, where a file is.

    Raises
    ------
    OSError
        At the end of the block, and in place of an error within it, if something could not be written.
    """
    disk = Disk(path)
    try:
        yield disk
    except Exception:
        disk.check()  # the reason, where the library or a check between parts says less
        raise
    finally:
        disk.file.close()
    disk.check()
