"""Which GPU: one that no other command of the same person has taken.

Trainings that run side by side on a machine with several GPUs would otherwise all use the first. Each takes
a lock on a card, which the system lets go when the process ends, however it ends. A card is known by its
serial number, whichever cards a process is shown (CUDA_VISIBLE_DEVICES).
"""

from __future__ import annotations

import getpass
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from flowsim.errors import InputError

EVERY = 0.5
"""Seconds between two looks at cards that are taken."""
_held: list[FileLock] = []
"""Locks that this process holds until it ends."""


def lock_of(card: str) -> Path:
    """The file by which a person's commands know that one of them has a card."""
    return Path(tempfile.gettempdir()) / f"flowsim-gpus-{getpass.getuser()}" / f"{card}.lock"


def take(cards: Sequence[str], folder: Path | None = None) -> int:
    """The place in ``cards`` of one that no other process has taken; waits while all are taken.

    It is this process's until it ends.

    Parameters
    ----------
    cards : sequence of str
        A name for each, the same in all processes.
    folder : path, optional
        Where the locks lie; else `lock_of` says where.

    Raises
    ------
    InputError
        If no lock can be made.
    """
    told = False
    while True:
        for place, card in enumerate(cards):
            file = folder / f"{card}.lock" if folder else lock_of(card)
            lock = FileLock(file, fallback_to_soft=False)
            try:
                file.parent.mkdir(mode=0o700, exist_ok=True)
                lock.acquire(timeout=0)
            except Timeout:
                continue
            except OSError as error:
                raise InputError(
                    f"{file.parent}: expected a folder for locks of GPUs that can be written to; got "
                    f"{error.strerror or error}. Set TMPDIR to another folder"
                ) from None
            _held.append(lock)
            return place
        if not told:
            print(f"other commands use all {len(cards)} GPUs; waiting for one", file=sys.stderr, flush=True)
            told = True
        time.sleep(EVERY)
