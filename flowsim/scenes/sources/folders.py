"""Where data that do not come with flowsim are looked for.

A user names a folder of data by the environment variable FLOWSIM_DATA. What is downloaded or decoded goes to
a folder for caches (`flowsim.files.user_cache`).
"""

from __future__ import annotations

import os
from pathlib import Path

from flowsim.errors import InputError
from flowsim.files.user_cache import CACHE

DATA = "FLOWSIM_DATA"


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
