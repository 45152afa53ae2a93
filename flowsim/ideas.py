"""Ideas are files: find a stimulus, a network, an analysis, a command or an export by the name of its file.

``stimuli`` and ``analysis`` are namespace packages, so that a folder of the same name in the user's working
directory adds to them.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from flowsim.errors import InputError

KINDS = {
    "flowsim.models": "network model",
    "stimuli": "stimulus",
    "analysis": "analysis",
    "flowsim.commands": "command",
    "flowsim.exports": "export",
}
"""What the ideas in a package are called in error messages."""


def names(package: str) -> list[str]:
    """Names of all ideas in one of the packages of `KINDS`."""
    folders = importlib.import_module(package).__path__
    return sorted(module.name for module in pkgutil.iter_modules(folders))


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
