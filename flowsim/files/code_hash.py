"""A hash of code that changes only when the code changes in meaning.

A rule of the pipeline reruns when the hash of the modules that it runs is another one than before. Comments,
layout and documentation do not count; what a module imports from this project does, and what a file of the
user's imports from the working directory.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from flowsim import HOMES, ideas

PACKAGES = ("flowsim", "stimuli", "analysis")
FOUND_BY_PLACE = {"flowsim.flows.find_groups": "flowsim.flows"}
"""Modules that import every module of a package, which no import statement names."""


def code_hash(*modules: str, without: Sequence[str] = ()) -> str:
    """Hash of the named modules and of all modules of this project that they import.

    It is taken over syntax trees without docstrings, and over C sources that lie beside modules under their
    names. Modules in ``without``, and all modules of packages in it, are left out.

    Raises
    ------
    ModuleNotFoundError
        If a module in ``modules`` or ``without`` does not exist; a renamed module would otherwise hash to
        nothing, and nothing that depends on it would rerun.
    """
    for name in (*modules, *without):
        if ideas.source(name) is None:
            raise ModuleNotFoundError(f"cannot hash the code of {name!r}: there is no such module", name=name)
    digest = hashlib.sha256()
    for name, file in sorted(_closure(modules).items()):
        if any(f"{name}.".startswith(f"{left_out}.") for left_out in without):
            continue
        digest.update(f"{name}\n{_meaning(file.read_text(encoding='utf-8'))}\n".encode())
        in_c = file.with_suffix(".c")
        if in_c.exists():
            digest.update(in_c.read_bytes())
    return digest.hexdigest()[:16]


def training_code(model: str, streamed: str | None = None) -> str:
    """`code_hash` of what decides the weights at the end; ``streamed`` is the streamed stimulus, if any."""
    stream = [] if streamed is None else [f"stimuli.{streamed}"]
    return code_hash("flowsim.training.train", "flowsim.training.batches", f"flowsim.models.{model}", *stream)


def analysis_modules(name: str, settings: Mapping[str, Any]) -> list[str]:
    """The module of an analysis, and those of others that it applies in turn: its function ``uses``, if it
    has one, names them by its settings.
    """
    uses = getattr(ideas.load("analysis", name), "uses", None)
    others = uses(**settings) if uses else []
    return [f"analysis.{each}" for each in (name, *others)]


def own_sources(*modules: str) -> list[Path]:
    """Files of the user's among the named modules and all that they import, for the provenance of a file."""
    return sorted(file for file in set(_closure(modules).values()) if ideas.is_own(file))


def _closure(modules: Sequence[str]) -> dict[str, Path]:
    """Files of the modules and of everything of this project, or of the user's, that they import, by module
    name.
    """
    found: dict[str, Path] = {}
    todo = list(modules)
    while todo:
        name = todo.pop()
        file = None if name in found else ideas.source(name)
        if file is None:
            continue
        found[name] = file
        source, is_package = file.read_text(encoding="utf-8"), file.name == "__init__.py"
        if ideas.is_own(file):
            todo += with_parents(imported(source, name, is_package))
        else:
            todo += imports(source, name, is_package)
        todo += _modules_of(FOUND_BY_PLACE[name]) if name in FOUND_BY_PLACE else []
    return found


def with_parents(names: Sequence[str]) -> list[str]:
    """Dotted names, and the packages that are imported on the way to them."""
    parts = [name.split(".") for name in names]
    return [".".join(part[:length]) for part in parts for length in range(1, len(part) + 1)]


def _modules_of(package: str) -> list[str]:
    """Names of all modules of a package."""
    folders = importlib.import_module(package).__path__
    return [module.name for module in pkgutil.iter_modules(folders, f"{package}.")]


@cache
def imports(source: str, module: str, is_package: bool = False) -> list[str]:
    """Modules of this project that a module's source imports, as `imported` gives them."""
    names = imported(source, module, is_package)
    return [name for name in names if name.split(".")[0] in PACKAGES and "." in name]


@cache
def imported(source: str, module: str, is_package: bool = False) -> list[str]:
    """Modules that a module's source imports, wherever in it (names of functions included).

    ``is_package`` says that the source is that of an ``__init__``, whose relative imports start at itself.
    """
    names: list[str] = []
    inside = module.split(".") + ["__init__"] * is_package
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(inside[: -node.level]) if node.level else ""
            origin = ".".join(part for part in (package, node.module) if part)
            names += [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
    return names + [
        f"flowsim.{HOMES[name.removeprefix('flowsim.')]}"
        for name in names
        if name.removeprefix("flowsim.") in HOMES
    ]


@cache
def _meaning(source: str) -> str:
    """The syntax tree, without docstrings and other bare strings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [statement for statement in node.body if not _is_text(statement)]
    return ast.dump(tree)


def _is_text(statement: ast.stmt) -> bool:
    value = getattr(statement, "value", None)
    return (
        isinstance(statement, ast.Expr) and isinstance(value, ast.Constant) and isinstance(value.value, str)
    )
