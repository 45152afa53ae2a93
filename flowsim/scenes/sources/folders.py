"""Where data that do not come with flowsim are looked for, and where downloads and decoded videos are stored.

A user names a folder of data by the environment variable FLOWSIM_DATA. What is downloaded or decoded goes to
the folder that FLOWSIM_CACHE names, or to the operating system's usual folder for caches.
"""

from __future__ import annotations

import os
from pathlib import Path

from flowsim.errors import InputError

DATA, CACHE = "FLOWSIM_DATA", "FLOWSIM_CACHE"


def data_and_cache() -> tuple[str, str]:
    """Absolute paths of the two folders as the environment names them now, "" for one that is not named."""
    data, downloads = (os.environ.get(name, "") for name in (DATA, CACHE))
    return os.path.abspath(data) if data else "", os.path.abspath(downloads) if downloads else ""


def candidates(data: str) -> list[Path]:
    """Folders in which data of this name may lie: FLOWSIM_DATA's sub-folder of that name, and FLOWSIM_DATA
    itself; none if it is not set.

    Raises
    ------
    InputError
        If FLOWSIM_DATA is set and is not a folder.
    """
    if not os.environ.get(DATA):
        return []
    folder = Path(os.environ[DATA]).expanduser()
    if not folder.is_dir():
        raise InputError(f"{DATA}: expected the folder that holds the data; there is no folder {folder}")
    return [folder / data, folder]


def cache(data: str) -> Path:
    """The folder for downloaded or decoded data of this name; it need not exist yet."""
    if os.environ.get(CACHE):
        return Path(os.environ[CACHE]).expanduser() / data
    import pooch

    return Path(pooch.os_cache("flowsim")) / data
