"""MNIST, from a folder that the user names or downloaded once."""

from __future__ import annotations

import numpy as np


def mnist() -> tuple[np.ndarray, np.ndarray, int]:
    raise NotImplementedError
