"""Processes that torchrun started to do one thing together: one of them speaks for those of its machine.

They find the same mistake, or lose each other, at about the same time. Each decides by what torchrun tells it
in environment variables; without torchrun there is one process, and it speaks.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

MARK = "flowsim-said"
"""The file by which processes of one machine know that one of them has spoken."""


def is_first() -> bool:
    """Whether this is the process that writes files and tells how far it is."""
    return os.environ.get("RANK", "0") == "0"


@functools.cache
def speaks() -> bool:
    """Whether this is the first process of its machine that has to say why it ends; the others are silent.

    The answer stays the same until the process ends. The mark lies in the folder that torchrun makes for each
    attempt, beside the folders of the processes.
    """
    folder = os.environ.get("TORCHELASTIC_ERROR_FILE", "")
    if not folder or os.environ.get("LOCAL_WORLD_SIZE", "1") == "1":
        return True
    try:
        os.close(os.open(Path(folder).parents[1] / MARK, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    except OSError:  # better twice than not at all
        return True
    return True
