"""Ideas are files: find a stimulus, a network, an analysis, a command or an export by the name of its file.

Folders ``stimuli``, ``models`` and ``analysis`` in the working directory add to ours. Their files are loaded
by their path: an ``__init__.py`` in such a folder, or another installed package called ``analysis`` or
``stimuli``, hides neither them nor ours. A file without the function of its kind (`CONTRACT`) is no idea, and
may hold what several ideas share: ``from stimuli.shared import draw``.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import inspect
import pkgutil
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from os.path import isfile  # which no name makes fail
from pathlib import Path
from types import ModuleType

from flowsim.errors import InputError, did_you_mean
from flowsim.splits import SPLIT_OF

KINDS = {
    "flowsim.models": "network model",
    "stimuli": "stimulus",
    "analysis": "analysis",
    "flowsim.commands": "command",
    "flowsim.exports": "export",
}
"""What the ideas in a package are called in error messages."""
FOLDERS = {"stimuli": "stimuli", "flowsim.models": "models", "analysis": "analysis"}
"""Packages to which a folder of the working directory adds, and the name of that folder."""
CONTRACT = {
    "stimuli": ("generate", ("split", "rng")),
    "flowsim.models": ("build", ("frame_shape",)),
    "analysis": ("analyse", ("recording",)),
}
"""The function that makes a file an idea, and its first parameters, which are no settings."""
ROOT = Path(__file__).resolve().parents[1]
"""Where ``flowsim``, ``stimuli`` and ``analysis`` lie side by side, in a checkout or installed."""


def names(package: str) -> list[str]:
    """Names of all ideas in one of the packages of `KINDS`."""
    if package not in FOLDERS:
        return sorted(
            {module.name for module in pkgutil.iter_modules(importlib.import_module(package).__path__)}
        )
    return sorted({file.stem for folder in folders(package) for file in _ideas_in(folder, package)})


def own(package: str) -> list[str]:
    """Names of the ideas that the working directory adds to a package of `FOLDERS`."""
    _, *theirs = folders(package)
    return sorted({file.stem for folder in theirs for file in _ideas_in(folder, package)})


def folders(package: str) -> list[Path]:
    """Our folder of a package of `FOLDERS`, then that of the working directory, if it is another one."""
    ours = _our_folder(package)
    theirs = Path.cwd() / FOLDERS[package]
    return [ours, theirs] if theirs.is_dir() and theirs.resolve() != ours else [ours]


def load(package: str, name: str) -> ModuleType:
    """The module of one idea, which has all that its kind needs.

    What an analysis leaves out is filled in: ``QUESTION`` by the first paragraph of its docstring,
    ``READING`` by nothing, and ``answers`` by none.

    Raises
    ------
    InputError
        If ``package`` has none of this name; if a file of the user's has the name of one of ours, cannot be
        imported, or lacks what its kind needs. The message names the file.
    """
    if package not in FOLDERS:
        if name not in names(package):
            raise _unknown(package, name)
        return importlib.import_module(f"{package}.{name}")
    files = [file for folder in folders(package) if isfile(file := folder / f"{name}.py")]
    if not files or not name.isidentifier():
        raise _unknown(package, name)
    if len({file.read_bytes() for file in files}) > 1:
        both = " and ".join(shown(file) for file in files)
        raise InputError(f"expected one {KINDS[package]} called {name!r}; got {both}. Rename one")
    module = _imported(package, name, files[0])
    _check_function(module, package)
    if package == "analysis":
        _complete_analysis(module)
    return module


def source(module: str) -> Path | None:
    """The file of a module of this project or of the user's, by its dotted name, without importing it.

    Modules of the user's are those in `folders`, and those in the working directory. None for any other
    module, and for a name that leads to none.
    """
    for package in FOLDERS:
        if module.startswith(f"{package}."):
            parts = module.removeprefix(f"{package}.").split(".")
            return next((file for folder in folders(package) if (file := _file_in(folder, parts))), None)
    top, *parts = module.split(".")
    if top == "flowsim":
        return _file_in(ROOT / "flowsim", parts)
    return None if top in sys.stdlib_module_names else _file_in(Path.cwd(), [top, *parts])


def is_own(file: str | Path) -> bool:
    """Whether a source file is the user's, and not one of ours."""
    path = Path(file).resolve()
    return not any(path.is_relative_to(ROOT / ours) for ours in ("flowsim", "stimuli", "analysis"))


def file_of(module: ModuleType) -> str:
    """The file of an idea, as messages name it."""
    return shown(Path(str(module.__file__)))


def shown(file: Path) -> str:
    """A path as messages show it: from the working directory on, where it lies in it."""
    path = file.absolute()
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


@contextmanager
def blamed(file: str | Path | None) -> Iterator[None]:
    """Any error within, if this is a file of the user's, is one line that names the file and where in it.

    Errors in one of our files keep their traceback.

    Raises
    ------
    InputError
        In place of the error.
    """
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        if file is None or not is_own(file):
            raise
        raise InputError(fault(Path(file), error)) from error


def fault(file: Path, error: Exception) -> str:
    """An error as one line: the file, the last line of it that was run, and what went wrong."""
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if _same(frame.filename, file)
    ]
    if isinstance(error, SyntaxError) and error.filename and _same(error.filename, file):
        lines = [error.lineno]
    where = f"{shown(file)}, line {lines[-1]}" if lines else shown(file)
    text = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
    return f"{where}: {type(error).__name__}: {text}".removesuffix(": ")


def _unknown(package: str, name: str) -> InputError:
    known = names(package)
    where = (
        f" (yours are looked for in {FOLDERS[package]}/ of the working directory)"
        if package in FOLDERS and not own(package)
        else ""
    )
    expected = f"expected one of: {', '.join(known)}{where}{did_you_mean(name, known)}"
    return InputError(f"unknown {KINDS[package]} {name!r}; {expected}")


def _our_folder(package: str) -> Path:
    return ROOT.joinpath(*package.split("."))


def _ideas_in(folder: Path, package: str) -> list[Path]:
    """Files that define the function of their kind; helpers, or what another package put there, do not."""
    function, _ = CONTRACT[package]
    defines = re.compile(rf"^def {function}\b|^{function}\s*[:=]|^from .*\b{function}\b", re.MULTILINE)
    files = [file for file in folder.glob("*.py") if file.stem.isidentifier()]
    return [file for file in files if defines.search(file.read_text(encoding="utf-8", errors="replace"))]


def _file_in(folder: Path, parts: list[str]) -> Path | None:
    """The file of a module, or of a package, in a folder."""
    path = folder.joinpath(*parts)
    candidates = [path.with_name(f"{path.name}.py")] if parts else []
    return next((file for file in [*candidates, path / "__init__.py"] if isfile(file)), None)


def _same(one: str | Path, other: str | Path) -> bool:
    return Path(one).resolve() == Path(other).resolve()


def _imported(package: str, name: str, file: Path) -> ModuleType:
    """The module in ``file``, imported once; again if its name stood for another file before."""
    full = f"{_home(package)}.{name}"
    known = sys.modules.get(full)
    if known is not None and _same(str(known.__file__), file):
        return known
    sys.modules.pop(full, None)
    importlib.invalidate_caches()
    with blamed(file):
        return importlib.import_module(full)


def _home(package: str) -> str:
    """Name of the package through which ideas are imported, with our folder and the user's in its
    ``__path__``.

    It is ``package`` itself, unless that is somebody else's: then it is a package without a file.
    """
    paths = [str(folder) for folder in folders(package)]
    spec = importlib.util.find_spec(package)
    if package.startswith("flowsim."):
        importlib.import_module(package).__path__ = paths
        return package
    if spec is not None and spec.origin is None and spec.submodule_search_locations is not None:
        others = [path for path in spec.submodule_search_locations if path not in paths]
        importlib.import_module(package).__path__ = [*paths, *others]
        return package
    home = f"flowsim_{package}"
    module = sys.modules.setdefault(home, ModuleType(home))
    module.__spec__ = importlib.machinery.ModuleSpec(home, None, is_package=True)
    module.__path__ = paths
    return home


def _check_function(module: ModuleType, package: str) -> None:
    """Raise InputError if the function of the kind is missing, or begins with other parameters."""
    name, first = CONTRACT[package]
    expected = f"{file_of(module)}: expected a function {name}({', '.join(first)}, ...)"
    function = getattr(module, name, None)
    if not callable(function):
        raise InputError(f"{expected}; there is none. Add it")
    parameters = tuple(inspect.signature(function).parameters)
    if parameters[: len(first)] != first:
        raise InputError(f"{expected}; got {name}({', '.join(parameters)}). Rename its parameters")


def _complete_analysis(module: ModuleType) -> None:
    """Fill in what an analysis may leave out, and raise InputError for what it may not."""
    recorded = [split for split, images in SPLIT_OF.items() if images == "test"]
    reads = getattr(module, "READS", None)
    if reads not in recorded:
        raise InputError(
            f"{file_of(module)}: expected READS to name a recording, one of {', '.join(recorded)}; "
            f"{'there is none' if reads is None else f'got {reads!r}'}"
        )
    if not callable(getattr(module, "figure", None)):
        raise InputError(
            f"{file_of(module)}: expected a function figure(results) that returns a Figure of matplotlib; "
            "there is none. Add it"
        )
    first_paragraph = " ".join((inspect.getdoc(module) or "").split("\n\n")[0].split())
    defaults = {"QUESTION": first_paragraph or module.__name__.rpartition(".")[-1], "READING": ""}
    for name, default in defaults.items():
        text = module.__dict__.setdefault(name, default)
        if not isinstance(text, str):
            raise InputError(f"{file_of(module)}: expected {name} to be text; got {text!r}")
    module.__dict__.setdefault("answers", _no_answers)


def _no_answers(results: object) -> dict[str, object]:
    """Of an analysis that gives no numbers to the report's opening table."""
    return {}
