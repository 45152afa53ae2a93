"""Where flowsim keeps what it can make again: downloads, decoded videos, plans, compiled code.

The folder that the environment variable FLOWSIM_CACHE names, or the operating system's usual folder for
caches.
"""

from __future__ import annotations

import os
from pathlib import Path

CACHE = "FLOWSIM_CACHE"


def cache(of: str) -> Path:
    """The folder for one kind of what is kept; it need not exist yet."""
    if os.environ.get(CACHE):
        return Path(os.environ[CACHE]).expanduser() / of
    import pooch

    return Path(pooch.os_cache("flowsim")) / of
