"""C sources, compiled once for the processor of this machine into the user's cache.

What is written in C is also written in Python, which is used where there is no compiler, or where the
environment variable FLOWSIM_COMPILE is 0.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from flowsim.errors import InputError
from flowsim.files.atomic import whole
from flowsim.files.user_cache import cache as user_cache

SWITCH = "FLOWSIM_COMPILE"
COMPILER = ("cc", "-O3", "-march=native", "-fopenmp", "-fPIC", "-c")
LINKER = ("cc", "-shared")
"""Without a library of OpenMP: the one that torch has loaded is found, and its threads with it."""


def library(source: Path, *options: str) -> ctypes.CDLL | None:
    """The library that a C source is compiled to.

    Parameters
    ----------
    source : path
    *options : str
        Further arguments of the compiler.

    Returns
    -------
    ctypes.CDLL or None
        None where FLOWSIM_COMPILE is 0, or where it cannot be compiled or loaded, which is said once.
    """
    return None if os.environ.get(SWITCH) == "0" else _library(source, options)


@cache
def _library(source: Path, options: Sequence[str]) -> ctypes.CDLL | None:
    command = [*COMPILER, *options]
    about = "\n".join([*command, *LINKER, _processor()]).encode() + source.read_bytes()
    place = user_cache("compiled") / f"{source.stem}-{hashlib.sha256(about).hexdigest()[:16]}.so"
    if place.exists():
        with suppress(OSError):  # what is damaged is made again
            return ctypes.CDLL(str(place))
    try:
        with whole(place) as temporary, tempfile.TemporaryDirectory() as folder:
            compiled = Path(folder) / "compiled.o"
            _run([*command, str(source), "-o", str(compiled)])
            _run([*LINKER, str(compiled), "-o", str(temporary)])
        return ctypes.CDLL(str(place))
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [str(error)]
        why = f"{command[0]}: {lines[0]}"
    except (OSError, InputError) as error:
        why = " ".join(str(error).split())
    warnings.warn(
        f"{source.name} is not used, and what it does takes longer: {why}. Install GCC, so that it is "
        f"called {command[0]}, or set {SWITCH}=0 to go on without this line",
        stacklevel=3,
    )
    return None


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def _processor() -> str:
    """What the processor can do, as the system tells: a folder of caches may serve several machines."""
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith(("flags", "Features")):
                return line
    return f"{platform.machine()} {platform.processor()} {platform.node()}"
