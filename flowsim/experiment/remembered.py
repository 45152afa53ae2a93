"""The plan of an experiment that has passed its checks, kept until anything changes that it depends on.

A check rehearses every network and every analysis, and takes seconds; a look at a file of the cache does not.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from flowsim import ideas
from flowsim.errors import InputError
from flowsim.files.atomic import whole
from flowsim.files.user_cache import cache
from flowsim.scenes.sources.folders import DATA

KEPT = 100
"""Plans in the cache; the oldest give way."""
OURS = ("flowsim", "stimuli", "analysis")
"""Folders of our code."""
SOURCES = ("mnist", "kth")
"""Folders of data in ``FLOWSIM_DATA``."""
GPUS = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
"""Variables that hide a GPU, which a plan asks for where there is one."""


def remembered_jobs(path: str | Path) -> dict[str, Any]:
    """The jobs of an experiment that passes its checks, as `flowsim.experiment.plan.jobs` gives them.

    They come from the cache if they are there and whole, and are made anew with another experiment file,
    another line of our code or of the user's, another version of a package, other data in ``FLOWSIM_DATA``,
    or in another folder or on another machine. A cache that cannot be written is done without.

    Raises
    ------
    InputError
        If the experiment would fail; that is not kept.
    """
    place = cache("plans") / f"{_state(Path(path))}.json"
    known = _recalled(place)
    if known is not None:
        return known
    from flowsim.experiment.plan import jobs

    plan = jobs(path)
    with suppress(OSError, InputError):
        _remember(place, plan)
    return plan


def _state(path: Path) -> str:
    """Hash of all that a plan depends on and that can be told without importing it."""
    digest = hashlib.sha256()
    here = Path.cwd()
    for fact in (
        *(path.stem, here, platform.node(), sys.version, sys.executable),
        *(os.environ.get(name, "") for name in GPUS),
        Path("/dev/nvidiactl").exists(),
        *_importable(here),
        *_installed(),
        *_data(),
    ):
        digest.update(f"{fact}\n".encode())
    for file in (path, *_code(here)):
        with suppress(OSError):
            content = file.read_bytes()
            digest.update(f"{file} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _importable(here: Path) -> list[str]:
    """Names in the working directory that an import may find there before it finds a package."""
    with suppress(OSError):
        return sorted(
            [*(file.parent.name for file in here.glob("*/__init__.py")), *(f.name for f in here.glob("*.py"))]
        )
    return []


def _installed() -> list[str]:
    """Names and versions of the packages that can be imported."""
    found: set[str] = set()
    for folder in sys.path:
        with suppress(OSError):
            found |= {
                name for name in os.listdir(folder or ".") if name.endswith((".dist-info", ".egg-info"))
            }
    return sorted(found)


def _data() -> Iterator[str]:
    """What lies in the folder of MNIST and KTH and in those of that name in it, with sizes and times; deeper,
    where a disk full of data may lie, is not looked.
    """
    folder = os.environ.get(DATA, "")
    yield folder
    for name in ("", *SOURCES) if folder else ():
        with suppress(OSError):
            for file in sorted((Path(folder).expanduser() / name).iterdir()):
                about = file.stat()
                yield f"{file}" if file.is_dir() else f"{file} {about.st_size} {about.st_mtime_ns}"


def _code(here: Path) -> Iterator[Path]:
    """Our files, and those of the working directory that may be or hold the user's ideas (not what else lies
    there, such as weights).
    """
    for folder in (ideas.ROOT / name for name in OURS):
        yield from sorted(
            file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts
        )
    for own in ideas.FOLDERS.values():
        yield from sorted((here / own).rglob("*.py"))
    yield from sorted(here.glob("*.py"))


def _remember(place: Path, plan: dict[str, Any]) -> None:
    """Keep a plan, with the checksums of the user's files that lie elsewhere than `_code` looks."""
    from flowsim.files.code_hash import own_sources
    from flowsim.files.provenance import checksum

    own = {str(file): checksum(file) for file in own_sources(*plan["ideas"])}
    text = json.dumps({"own": own, "plan": plan})
    place.parent.mkdir(parents=True, exist_ok=True)
    with whole(place) as temporary:
        temporary.write_text(f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}", encoding="utf-8")
    by_age = sorted(place.parent.glob("*.json"), key=lambda file: file.stat().st_mtime)
    for old in by_age[:-KEPT]:
        old.unlink(missing_ok=True)


def _recalled(place: Path) -> dict[str, Any] | None:
    """The plan in a file, if it is whole and the user's files are as they were."""
    from flowsim.files.provenance import checksum

    try:
        expected, _, text = place.read_text(encoding="utf-8").partition("\n")
        if hashlib.sha256(text.encode()).hexdigest() != expected:
            return None
        known = json.loads(text)
        unchanged = all(checksum(Path(file)) == before for file, before in known["own"].items())
    except (OSError, ValueError):
        return None
    plan: dict[str, Any] = known["plan"]
    return plan if unchanged else None
