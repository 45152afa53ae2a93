"""Ideas are files: find a stimulus, a network, an analysis, a command or an export by the name of its file.

Folders ``stimuli``, ``analysis`` and ``models`` in the working directory, or elsewhere on ``sys.path``, add
to ours; none of them has an ``__init__.py``. Python itself adds the first two, since ``stimuli`` and
``analysis`` are namespace packages; ``models`` is added to ``flowsim.models`` here.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path
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
USER_FOLDERS = {"flowsim.models": "models"}
"""Packages to which a folder on ``sys.path`` adds, and the name of that folder."""


def names(package: str) -> list[str]:
    """Names of all ideas in one of the packages of `KINDS`."""
    return sorted({module.name for module in pkgutil.iter_modules(_package(package).__path__)})


def load(package: str, name: str) -> ModuleType:
    """The module of one idea.

    Raises
    ------
    InputError
        If ``package`` has none of this name, or a user's network has the name of one of ours.
    """
    known = names(package)
    if name not in known:
        raise InputError(f"unknown {KINDS[package]} {name!r}; expected one of: {', '.join(known)}")
    files = [Path(folder) / f"{name}.py" for folder in _package(package).__path__]
    files = [file for file in files if file.is_file()]
    if package in USER_FOLDERS and len(files) > 1:
        raise InputError(
            f"expected one {KINDS[package]} called {name!r}; got {' and '.join(map(str, files))}. Rename one"
        )
    return importlib.import_module(f"{package}.{name}")


def _package(package: str) -> ModuleType:
    """The package, with the folders of the user's that add to it in its ``__path__``."""
    module = importlib.import_module(package)
    if package in USER_FOLDERS:
        ours, *_ = module.__path__
        candidates = [Path(entry).absolute() / USER_FOLDERS[package] for entry in sys.path]
        theirs = [
            str(folder)
            for folder in dict.fromkeys(candidates)
            if folder.is_dir() and not (folder / "__init__.py").exists()
        ]
        module.__path__ = [ours, *theirs]
    return module
