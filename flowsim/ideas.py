"""Ideas are files: find a stimulus, a network or an analysis by its name, and check what it is asked for.

The file name is the name used in specifications, found by import. ``stimuli`` and ``analysis`` are namespace
packages, so that a folder of the same name in the user's working directory adds to them.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from flowsim.errors import InputError

KINDS = {"flowsim.models": "network model", "stimuli": "stimulus", "analysis": "analysis"}


def names(package: str) -> list[str]:
    """Names of all ideas in ``package``: "flowsim.models", "stimuli" or "analysis"."""
    return sorted(m.name for m in pkgutil.iter_modules(importlib.import_module(package).__path__))


def load(package: str, name: str) -> ModuleType:
    """The module of one idea.

    Raises
    ------
    InputError
        If ``package`` has none of this name.
    """
    known = names(package)
    if name not in known:
        raise InputError(f"unknown {KINDS[package]} {name!r}; expected one of: {', '.join(known)}")
    return importlib.import_module(f"{package}.{name}")
