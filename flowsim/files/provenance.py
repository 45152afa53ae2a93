"""Attributes that say what a file was made from: stage, specification, inputs, versions, commit and seed."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from flowsim import __version__

DISTRIBUTION = "flowsim-rnn"
VERSIONS_OF = ("torch", "numpy", "xarray", "h5netcdf", "scikit-learn")


def provenance(
    stage: str, specification: Mapping[str, Any], inputs: Sequence[Path] = (), seed: int | None = None
) -> dict[str, str]:
    """Attributes for a file, all of them text.

    Parameters
    ----------
    stage : str
        That makes the file.
    specification : mapping
        What the stage was asked to do; written as JSON.
    inputs : sequence of path
        Files that the stage read; written as JSON with their checksums.
    seed : int, optional

    Returns
    -------
    mapping
        ``stage``, ``specification``, ``inputs``, ``versions`` (JSON, of Python and the main libraries),
        ``commit`` and ``seed``.
    """
    versions = {"python": platform.python_version(), "flowsim": __version__}
    versions |= {name: importlib.metadata.version(name) for name in VERSIONS_OF}
    return {
        "stage": stage,
        "specification": json.dumps(specification),
        "inputs": json.dumps({str(path): checksum(path) for path in inputs}),
        "versions": json.dumps(versions),
        "commit": commit(),
        "seed": "" if seed is None else str(seed),
    }


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def commit() -> str:
    """Commit of the flowsim that runs: of its git checkout, with "+changes" if its files differ from it, or
    the one from which pip installed it; else "".
    """
    is_tracked = ["ls-files", "--error-unmatch", Path(__file__).name]
    describe = ["describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+changes"]
    for command in (is_tracked, describe):
        try:
            done = subprocess.run(
                ["git", *command], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=20
            )
        except (OSError, subprocess.TimeoutExpired):
            return _installed_commit()
        if done.returncode:
            return _installed_commit()
    return done.stdout.strip()


def _installed_commit() -> str:
    """The commit that pip noted when it installed this flowsim from a git address (PEP 610), or ""."""
    try:
        installed = importlib.metadata.distribution(DISTRIBUTION)
        noted = json.loads(installed.read_text("direct_url.json") or "{}")
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return ""
    here = (
        Path(__file__).resolve() == Path(str(installed.locate_file("flowsim/files/provenance.py"))).resolve()
    )
    return str(noted.get("vcs_info", {}).get("commit_id", "")) if here else ""
