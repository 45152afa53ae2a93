"""Where data from outside are looked for, and where what was made of them is kept.

A user names a folder of data by the environment variable FLOWSIM_DATA. What is downloaded or decoded goes to
the folder that FLOWSIM_CACHE names, or to the operating system's usual place for such files.
"""

from __future__ import annotations

import os
from pathlib import Path

from flowsim.errors import InputError

DATA, CACHE = "FLOWSIM_DATA", "FLOWSIM_CACHE"


def setting() -> tuple[str, str]:
    """The two folders as they are named now, whole: what was read under another setting may differ."""
    data, kept = (os.environ.get(name, "") for name in (DATA, CACHE))
    return os.path.abspath(data) if data else "", os.path.abspath(kept) if kept else ""


def named(data: str) -> list[Path]:
    """Folders in which data of this name may lie: FLOWSIM_DATA's sub-folder and itself; none if it is not
    set.

    Raises
    ------
    InputError
        If FLOWSIM_DATA is set and is no folder.
    """
    if not os.environ.get(DATA):
        return []
    folder = Path(os.environ[DATA]).expanduser()
    if not folder.is_dir():
        raise InputError(f"{DATA}: expected the folder that holds the data; there is no folder {folder}")
    return [folder / data, folder]


def cache(data: str) -> Path:
    """The folder, which need not exist yet, for what is made of data of this name."""
    if os.environ.get(CACHE):
        return Path(os.environ[CACHE]).expanduser() / data
    import pooch

    return Path(pooch.os_cache("flowsim")) / data
