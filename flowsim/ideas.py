"""Ideas are files: find a stimulus, a network or an analysis by its name.

The file name is the name used in specifications, found by import. Folders ``stimuli``, ``analysis`` and
``models`` in the user's working directory, or elsewhere on ``sys.path``, add to ours; none of them has an
``__init__.py``. ``stimuli`` and ``analysis`` are namespace packages, to which Python itself adds them;
``models`` is added to ``flowsim.models`` here.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

from flowsim.errors import InputError

KINDS = {"flowsim.models": "network model", "stimuli": "stimulus", "analysis": "analysis"}
USER_FOLDERS = {"flowsim.models": "models"}
"""Packages to which a folder on ``sys.path`` adds, and the name of that folder."""


def names(package: str) -> list[str]:
    """Names of all ideas in ``package``: "flowsim.models", "stimuli" or "analysis"."""
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
